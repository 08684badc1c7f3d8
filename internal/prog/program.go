// Package prog holds a program between the stages of its life: what the loader
// makes, the verifier proves, and the engines run.
//
// Everything here counts in slots, as Linux does: a 64-bit immediate load is at
// its first slot, and the second holds a zero [asm.Instruction].
package prog

import (
	"errors"
	"fmt"
	"sort"

	"github.com/sandbpf/sandbpf/asm"
)

// MaxSlots is the longest program that Linux takes (BPF_COMPLEXITY_LIMIT_INSNS).
const MaxSlots = 1_000_000

// MaxFrames is how deep calls may nest, the first frame included (MAX_CALL_FRAMES).
const MaxFrames = 8

// StackSize is the size in bytes of a frame's stack (MAX_BPF_STACK).
const StackSize = 512

// FailedRelocation is the helper that loaders let a program call instead of
// executing an instruction whose CO-RE relocation failed (0xbad2310 in libbpf).
// It is an error only if it is reached.
const FailedRelocation = 195896080

// ErrInvalid is what every error about a program's structure is.
var ErrInvalid = errors.New("invalid program")

// Error says what is wrong with a program, and where.
type Error struct {
	Prog   string
	Slot   int
	Line   Line // the source line, zero if not known
	Reason string
}

func (e *Error) Error() string {
	s := fmt.Sprintf("instruction %d: %s", e.Slot, e.Reason)
	if e.Prog != "" {
		s = fmt.Sprintf("program %s: %s", e.Prog, s)
	}
	if e.Line.Number != 0 {
		s += fmt.Sprintf(" (%s)", e.Line)
	}
	return s
}

// Is reports whether target is [ErrInvalid].
func (e *Error) Is(target error) bool { return target == ErrInvalid }

// Program is one program: an entry function and the subprograms it calls.
// It does not change once it is built.
type Program struct {
	Name    string
	Type    Type
	Attach  AttachType
	Target  string // what it attaches to, from the section name: "sys_enter" of "tp/sys_enter"
	License string
	Sleep   bool // loaded as sleepable (BPF_F_SLEEPABLE)

	// Insns is indexed by slot. References are by index: a 64-bit immediate load of
	// kind PseudoMapIdx or PseudoMapIdxValue has in its low half an index into Maps,
	// of kind PseudoBTFID one into Externs; a kfunc call has in imm one into Kfuncs.
	Insns []asm.Instruction

	Funcs   []Func // by Start; Funcs[0] is the entry
	Maps    []Map
	Kfuncs  []Kfunc
	Externs []Extern
	Lines   []Line     // by Slot
	Types   []*BTFType // structs of the program's own types, as bpf_obj_new means them by ID
}

// GPL reports whether the program's licence lets it use GPL-only helpers.
func (p *Program) GPL() bool {
	switch p.License { // license_is_gpl_compatible, include/linux/license.h
	case "GPL", "GPL v2", "GPL and additional rights", "Dual BSD/GPL", "Dual MIT/GPL", "Dual MPL/GPL":
		return true
	}
	return false
}

// Map is what a program sees of a map: the loader and the engines know the rest.
type Map interface {
	Name() string
	// Addr is the address that a program holds as the map's pointer.
	Addr() uint64
}

// Linkage says who may call a function.
type Linkage uint8

// The linkages of BTF (enum btf_func_linkage).
const (
	Static Linkage = iota // verified as part of each caller
	Global                // verified on its own
	External
)

// Func is a function: the entry or a subprogram, slots [Start, End).
type Func struct {
	Name       string
	Start, End int
	Linkage    Linkage
	Proto      *BTFType // its KindFuncProto, nil if not known
	Exception  bool     // the program's exception callback
}

// Kfunc is a kernel function that the program calls by name.
type Kfunc struct {
	Name  string
	Proto *BTFType
	Weak  bool
}

// Extern is a kernel variable whose address the program takes.
type Extern struct {
	Name string
	Type *BTFType
	Weak bool
}

// Line is the source line that made the instructions from Slot on.
type Line struct {
	Slot   int
	File   string
	Number int // from 1; 0 means not known
	Column int
	Text   string
}

// String returns "file:line: text", "" for the zero Line.
func (l Line) String() string {
	switch {
	case l.Number == 0:
		return ""
	case l.Text == "":
		return fmt.Sprintf("%s:%d", l.File, l.Number)
	}
	return fmt.Sprintf("%s:%d: %s", l.File, l.Number, l.Text)
}

// LineAt returns the source line of the instruction at slot, the zero Line if
// that is not known.
func (p *Program) LineAt(slot int) Line {
	i := sort.Search(len(p.Lines), func(i int) bool { return p.Lines[i].Slot > slot })
	if i == 0 {
		return Line{}
	}
	return p.Lines[i-1]
}

// FuncAt returns the function that slot is in, nil if slot is outside.
func (p *Program) FuncAt(slot int) *Func {
	if i := p.funcAt(slot); i >= 0 {
		return &p.Funcs[i]
	}
	return nil
}

func (p *Program) funcAt(slot int) int {
	i := sort.Search(len(p.Funcs), func(i int) bool { return p.Funcs[i].Start > slot }) - 1
	if i >= 0 && slot >= p.Funcs[i].End {
		return -1
	}
	return i
}

// Errorf returns an [*Error] about the instruction at slot.
func (p *Program) Errorf(slot int, format string, args ...any) error {
	return &Error{Prog: p.Name, Slot: slot, Line: p.LineAt(slot), Reason: fmt.Sprintf(format, args...)}
}
