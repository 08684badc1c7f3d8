package sandbpf

import (
	"errors"
	"fmt"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// ProgramType is a program type; see the constants of this package for those that run here.
type ProgramType = prog.Type

// AttachType is where a program of a type attaches (enum bpf_attach_type).
type AttachType = prog.AttachType

// Line is a source line of a program.
type Line = prog.Line

// ProgramSpec is the blueprint of a program. A loader makes it from an object
// file; it can also be written by hand around a few instructions.
type ProgramSpec struct {
	Name       string
	Type       ProgramType
	AttachType AttachType
	AttachTo   string // what follows the type in the section name: "raw_syscalls/sys_enter" of "tracepoint/raw_syscalls/sys_enter"
	Section    string // the section it came from, "" if none
	License    string
	Sleepable  bool

	// Instructions of the program and of all subprograms that it calls, the entry
	// first. Each function starts with an instruction that has its name as symbol.
	// References are by name: maps of the collection, functions, kernel functions
	// and variables.
	Instructions asm.Instructions

	Lines  []Line                  // source lines, by slot in Instructions
	Funcs  map[string]*FuncInfo    // what is known of functions, by symbol
	Kfuncs map[string]*prog.Kfunc  // declarations of the kernel functions it calls
	Ksyms  map[string]*prog.Extern // declarations of the kernel variables it refers to

	MapTypes map[string]*MapTypes // of the maps that it refers to, by name, where known
	Types    []*prog.BTFType      // structs that it makes by bpf_obj_new or takes out of lists and trees, by their ID
}

// FuncInfo is what an object file says of a function beyond its instructions.
type FuncInfo struct {
	Linkage   prog.Linkage
	Proto     *prog.BTFType
	Exception bool // the exception callback of the program
}

// CollectionSpec is the blueprint of programs and the maps that they share.
type CollectionSpec struct {
	Programs map[string]*ProgramSpec

	// Maps by name. Elements in the Contents of a ProgramArray may have the name of a
	// program as value, a string; those of a map of maps the name of a map.
	Maps     map[string]*maps.Spec
	MapTypes map[string]*MapTypes // of keys and values, where known

	Variables map[string]*VariableSpec
	Notes     []string // what the object asks for and does not get, for people to read
}

// complete says which part of s is nil.
func (s *CollectionSpec) complete() error {
	if s == nil {
		return errors.New("nil CollectionSpec")
	}
	for name, p := range s.Programs {
		if p == nil {
			return fmt.Errorf("program %s: %w", name, errNilProgram)
		}
	}
	for name, m := range s.Maps {
		if m == nil {
			return fmt.Errorf("map %s: nil Spec", name)
		}
	}
	for name, v := range s.Variables {
		if v == nil {
			return fmt.Errorf("variable %s: nil VariableSpec", name)
		}
	}
	return nil
}

// Only returns the blueprint of these programs and of what they reach: maps, the maps in
// them, and the programs that they may jump to. An object often has others beside them that
// cannot be loaded here, of a type such as kprobe. The parts are those of s, which does not
// change. The error is an [ErrNotExist].
func (s *CollectionSpec) Only(programs ...string) (*CollectionSpec, error) {
	r := reach{s, &CollectionSpec{
		Programs: make(map[string]*ProgramSpec), Maps: make(map[string]*maps.Spec),
		MapTypes: make(map[string]*MapTypes), Variables: make(map[string]*VariableSpec), Notes: s.Notes,
	}}
	for _, name := range programs {
		if s.Programs[name] == nil {
			return nil, fmt.Errorf("program %q: %w in the collection", name, ErrNotExist)
		}
		r.program(name)
	}
	for name, v := range s.Variables {
		if r.out.Maps[v.Map] != nil {
			r.out.Variables[name] = v
		}
	}
	return r.out, nil
}

// reach is what programs of a collection have been found to reach.
type reach struct{ from, out *CollectionSpec }

func (r reach) program(name string) {
	p := r.from.Programs[name]
	if p == nil || r.out.Programs[name] != nil {
		return
	}
	r.out.Programs[name] = p
	for _, m := range mapNames(p) {
		r.mapOf(m)
	}
}

func (r reach) mapOf(name string) {
	m := r.from.Maps[name]
	if m == nil || r.out.Maps[name] != nil {
		return
	}
	r.out.Maps[name] = m
	if types := r.from.MapTypes[name]; types != nil {
		r.out.MapTypes[name] = types
	}
	for _, element := range m.Contents {
		inner, named := element.Value.(string)
		switch {
		case !named:
		case m.Type == maps.ProgramArray:
			r.program(inner)
		case m.Type.MapInMap():
			r.mapOf(inner)
		}
	}
}

// MapTypes are the types of what is in a map, nil where they are not known. The value of
// a map of global variables is a struct of these.
type MapTypes struct {
	Key, Value *prog.BTFType
	Inner      *MapTypes // of the maps in a map of maps
}

// VariableSpec is a global variable: bytes of the first value of a map. Set and Get
// change and read what it is when the programs start.
type VariableSpec struct {
	Name     string
	Map      string // the map of its section: ".data", ".rodata.config"
	Off      uint32
	Size     uint32
	Type     *prog.BTFType // nil if not known
	ReadOnly bool          // to programs, and to all once it is loaded
	Value    []byte        // a part of the map's initial Contents
}
