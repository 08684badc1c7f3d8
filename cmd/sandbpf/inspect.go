package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io"
	stdmaps "maps"
	"slices"
	"strings"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

var inspectCommand = &command{
	name:  "inspect",
	args:  "OBJECT [OPTIONS]",
	short: "list programs, maps, variables and types of an object",
	long: `Shows what an object file has: programs with the maps and helpers they use, maps
with the types of their keys and values, global variables with their initial
values, and the definitions of the structs among these types. It loads each
program and map to say whether it runs here, and if not, why.

Examples:

  $ sandbpf inspect firewall.o
  $ sandbpf inspect firewall.o --json | jq '.programs[].helpers'
`,
	setup: setupInspect,
}

func setupInspect(fs *flag.FlagSet) func(*env, []string) error {
	object := newObjectFlags(fs)
	json := fs.Bool("json", false, "write JSON")
	return func(e *env, args []string) error {
		switch {
		case len(args) == 0:
			return usageErrorf("give an object; \"-\" is standard input")
		case len(args) > 1:
			return usageErrorf("unexpected argument %q", args[1])
		}
		spec, err := object.open(e, args[0])
		if err != nil {
			return err
		}
		in, err := inspectObject(spec)
		if err != nil {
			return err
		}
		if *json {
			return e.writeJSON(in)
		}
		in.write(e.stdout)
		return nil
	}
}

// inspection is what there is to say about an object.
type inspection struct {
	Programs  []programView  `json:"programs"`
	Maps      []mapView      `json:"maps"`
	Variables []variableView `json:"variables"`
	Types     []string       `json:"types"` // definitions of structs, in C
	Notes     []string       `json:"notes"`
}

type programView struct {
	Name        string         `json:"name"`
	Type        string         `json:"type"`
	Section     string         `json:"section"`
	License     string         `json:"license"`
	Slots       int            `json:"slots"` // of all functions
	Functions   []functionView `json:"functions"`
	Maps        []string       `json:"maps"`
	Helpers     []string       `json:"helpers"`
	Kfuncs      []string       `json:"kfuncs,omitempty"`
	Ksyms       []string       `json:"ksyms,omitempty"`
	RunsHere    string         `json:"-"`
	Unsupported string         `json:"unsupported,omitempty"` // why it does not run here
}

type functionView struct {
	Name   string `json:"name"`
	Slots  int    `json:"slots"`
	Global bool   `json:"global,omitempty"`
}

type mapView struct {
	Name        string   `json:"name"`
	Type        string   `json:"type"`
	KeySize     uint32   `json:"key_size"`
	ValueSize   uint32   `json:"value_size"`
	MaxEntries  uint32   `json:"max_entries"`
	Flags       []string `json:"flags,omitempty"`
	Key         string   `json:"key,omitempty"`
	Value       string   `json:"value,omitempty"`
	Contents    int      `json:"contents,omitempty"` // initial elements
	Frozen      bool     `json:"frozen,omitempty"`
	Inner       *mapView `json:"inner,omitempty"`
	Unsupported string   `json:"unsupported,omitempty"`
}

type variableView struct {
	Name     string `json:"name"`
	Map      string `json:"map"`
	Offset   uint32 `json:"offset"`
	Size     uint32 `json:"size"`
	Type     string `json:"type,omitempty"`
	ReadOnly bool   `json:"read_only"`
	Value    any    `json:"value"`
}

func inspectObject(spec *sandbpf.CollectionSpec) (*inspection, error) {
	t, err := newTrial()
	if err != nil {
		return nil, err
	}
	defer t.close()
	in := &inspection{Programs: []programView{}, Maps: []mapView{}, Variables: []variableView{}, Types: []string{}, Notes: spec.Notes}
	var structs []*prog.BTFType
	for _, name := range slices.Sorted(stdmaps.Keys(spec.Maps)) {
		types := spec.MapTypes[name]
		if isData(name) {
			types = nil // its variables say what is in it
		}
		view := viewMap(spec.Maps[name], types)
		view.Unsupported = why(t.tryMap(name, spec.Maps[name]))
		in.Maps = append(in.Maps, view)
		for ; types != nil; types = types.Inner {
			structs = structsOf(types.Value, structsOf(types.Key, structs))
		}
	}
	for _, name := range programNames(spec) {
		view := viewProgram(spec.Programs[name])
		view.RunsHere, view.Unsupported = t.tryProgram(spec.Programs[name])
		in.Programs = append(in.Programs, view)
	}
	for _, v := range spec.Variables {
		in.Variables = append(in.Variables, viewVariable(v))
	}
	slices.SortFunc(in.Variables, func(a, b variableView) int {
		return cmp.Or(cmp.Compare(a.Map, b.Map), cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Name, b.Name))
	})
	for _, v := range in.Variables {
		structs = structsOf(spec.Variables[v.Name].Type, structs)
	}
	for _, s := range structs {
		in.Types = append(in.Types, cStruct(s))
	}
	return in, nil
}

// trial loads programs and maps to see whether that works.
type trial struct {
	vm     *sandbpf.VM
	maps   map[string]*maps.Map
	failed map[string]error // why there is no such map
}

func newTrial() (*trial, error) {
	vm, err := sandbpf.New(sandbpf.WithCPUs(1))
	if err != nil {
		return nil, err
	}
	return &trial{vm, make(map[string]*maps.Map), make(map[string]error)}, nil
}

// close lets go of everything. There is nothing that could be done about an error.
func (t *trial) close() {
	for _, m := range t.maps {
		_ = m.Close()
	}
	_ = t.vm.Close()
}

// tryMap creates a map without its contents.
func (t *trial) tryMap(name string, spec *maps.Spec) error {
	own := spec.Copy()
	own.Contents, own.Freeze = nil, false
	m, err := t.vm.NewMap(own)
	if err != nil {
		t.failed[name] = err
		return err
	}
	t.maps[name] = m
	return nil
}

// tryProgram reports whether a program loads, and if not, why.
func (t *trial) tryProgram(spec *sandbpf.ProgramSpec) (runs, reason string) {
	runs = "yes"
	if spec.Type == sandbpf.Unspec && hooks.BySection(spec.Section) == nil {
		own := *spec
		own.Section, own.AttachTo = "", ""
		spec, runs = &own, "over memory (run --mem), or with a --type: its section says none"+prog.NearSection(spec.Section)
	}
	for _, name := range references(spec.Instructions, mapOf) {
		if err := t.failed[name]; err != nil {
			return "", fmt.Sprintf("map %s cannot be made: %s", name, why(err))
		}
	}
	p, err := t.vm.LoadProgram(spec, t.maps)
	if err == nil {
		err = p.Close()
	}
	if err != nil {
		return "", why(err)
	}
	return runs, ""
}

// why returns what an error says, without the name of the program or map that is shown
// above it.
func why(err error) string {
	if err == nil {
		return ""
	}
	var bad *maps.Error
	if errors.As(err, &bad) && bad.Reason != "" {
		return bad.Reason
	}
	text := err.Error()
	if rest, ok := strings.CutPrefix(text, "program "); ok {
		_, text, _ = strings.Cut(rest, ": ")
	}
	return text
}

func viewProgram(p *sandbpf.ProgramSpec) programView {
	v := programView{
		Name: p.Name, Type: p.Type.String(), Section: p.Section, License: p.License, Slots: p.Instructions.Slots(),
		Functions: functionsOf(p), Helpers: references(p.Instructions, helperOf), Maps: references(p.Instructions, mapOf),
		Kfuncs: slices.Sorted(stdmaps.Keys(p.Kfuncs)), Ksyms: slices.Sorted(stdmaps.Keys(p.Ksyms)),
	}
	if p.AttachTo != "" {
		v.Type += ", attaches to " + p.AttachTo
	}
	return v
}

func mapOf(ins asm.Instruction) string {
	if ins.Kind() != asm.KindLoadImm64 {
		return ""
	}
	switch ins.Src {
	case asm.PseudoMapFD, asm.PseudoMapValue, asm.PseudoMapIdx, asm.PseudoMapIdxValue:
		return ins.Reference()
	}
	return ""
}

// functionsOf returns the entry and the subprograms with their lengths.
func functionsOf(p *sandbpf.ProgramSpec) []functionView {
	var out []functionView
	for _, ins := range p.Instructions {
		name := ins.Symbol()
		info := p.Funcs[name]
		if len(out) == 0 || info != nil {
			if name == "" {
				name = p.Name
			}
			out = append(out, functionView{Name: name, Global: info != nil && info.Linkage == prog.Global})
		}
		out[len(out)-1].Slots += ins.Slots()
	}
	return out
}

func viewMap(m *maps.Spec, types *sandbpf.MapTypes) mapView {
	v := mapView{Name: m.Name, Type: m.Type.String(), KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries,
		Flags: flagNames(m.Flags), Contents: len(m.Contents), Frozen: m.Freeze}
	if types != nil && types.Key != nil {
		v.Key = cType(types.Key, "")
	}
	if types != nil && types.Value != nil {
		v.Value = cType(types.Value, "")
	}
	if m.InnerMap != nil {
		var innerTypes *sandbpf.MapTypes
		if types != nil {
			innerTypes = types.Inner
		}
		inner := viewMap(m.InnerMap, innerTypes)
		v.Inner = &inner
	}
	return v
}

var mapFlags = []struct {
	bit  uint32
	name string
}{
	{maps.FlagNoPrealloc, "BPF_F_NO_PREALLOC"}, {maps.FlagNoCommonLRU, "BPF_F_NO_COMMON_LRU"},
	{maps.FlagNumaNode, "BPF_F_NUMA_NODE"}, {maps.FlagRdonly, "BPF_F_RDONLY"}, {maps.FlagWronly, "BPF_F_WRONLY"},
	{maps.FlagZeroSeed, "BPF_F_ZERO_SEED"}, {maps.FlagRdonlyProg, "BPF_F_RDONLY_PROG"},
	{maps.FlagWronlyProg, "BPF_F_WRONLY_PROG"}, {maps.FlagMmapable, "BPF_F_MMAPABLE"},
	{maps.FlagPreserveElems, "BPF_F_PRESERVE_ELEMS"}, {maps.FlagInnerMap, "BPF_F_INNER_MAP"},
}

func flagNames(flags uint32) []string {
	var out []string
	for _, f := range mapFlags {
		if flags&f.bit != 0 {
			out = append(out, f.name)
			flags &^= f.bit
		}
	}
	if flags != 0 {
		out = append(out, fmt.Sprintf("%#x", flags))
	}
	return out
}

func viewVariable(v *sandbpf.VariableSpec) variableView {
	out := variableView{Name: v.Name, Map: v.Map, Offset: v.Off, Size: v.Size, ReadOnly: v.ReadOnly, Value: decodeValue(v.Type, v.Value)}
	if v.Type != nil {
		out.Type = cType(v.Type, "")
	}
	return out
}

// write writes the inspection for people.
func (in *inspection) write(w io.Writer) {
	first := true
	block := func() {
		if !first {
			fmt.Fprintln(w)
		}
		first = false
	}
	for _, p := range in.Programs {
		block()
		p.write(w)
	}
	for _, m := range in.Maps {
		block()
		fmt.Fprintf(w, "map %s\n", m.Name)
		writeTable(w, "  ", m.rows())
	}
	if len(in.Variables) > 0 {
		block()
		fmt.Fprintln(w, "variables")
		writeVariables(w, in.Variables)
	}
	for _, t := range in.Types {
		block()
		fmt.Fprint(w, t)
	}
	if len(in.Notes) > 0 {
		block()
	}
	for _, n := range in.Notes {
		fmt.Fprintf(w, "note: %s\n", n)
	}
}

func (p *programView) write(w io.Writer) {
	fmt.Fprintf(w, "program %s\n", p.Name)
	rows := [][]string{{"type", p.Type}, {"section", p.Section}, {"license", p.License}, {"slots", fmt.Sprint(p.Slots)}}
	for i, f := range p.Functions {
		if i == 0 {
			continue // the program itself
		}
		kind := ""
		if f.Global {
			kind = ", global"
		}
		label := ""
		if i == 1 {
			label = "calls"
		}
		rows = append(rows, []string{label, fmt.Sprintf("%s (%s%s)", f.Name, plural(f.Slots, "slot"), kind)})
	}
	for _, list := range []struct {
		name  string
		items []string
	}{{"maps", p.Maps}, {"helpers", p.Helpers}, {"kfuncs", p.Kfuncs}, {"ksyms", p.Ksyms}} {
		if len(list.items) > 0 {
			rows = append(rows, []string{list.name, strings.Join(list.items, ", ")})
		}
	}
	runs := p.RunsHere
	if p.Unsupported != "" {
		runs = "no: " + p.Unsupported
	}
	writeTable(w, "  ", append(rows, []string{"runs here", runs}))
}

func (m *mapView) rows() [][]string {
	typ := m.Type
	switch {
	case typ == maps.RingBuf.String():
		typ += " of " + plural(m.MaxEntries, "byte")
	case m.MaxEntries != 0:
		typ += " of " + plural(m.MaxEntries, "element")
	}
	rows := [][]string{{"type", typ}}
	if m.KeySize != 0 {
		rows = append(rows, []string{"key", sized(m.Key, m.KeySize)})
	}
	if m.ValueSize != 0 {
		rows = append(rows, []string{"value", sized(m.Value, m.ValueSize)})
	}
	if len(m.Flags) > 0 {
		rows = append(rows, []string{"flags", strings.Join(m.Flags, ", ")})
	}
	if m.Contents > 0 {
		text := plural(m.Contents, "element")
		if m.Frozen {
			text += ", then frozen"
		}
		rows = append(rows, []string{"contents", text})
	}
	if m.Inner != nil {
		for i, row := range m.Inner.rows() {
			if i == 0 {
				row[0] = "inner map"
			} else {
				row[0] = "  " + row[0]
			}
			rows = append(rows, row)
		}
	}
	if m.Unsupported != "" {
		rows = append(rows, []string{"runs here", "no: " + m.Unsupported})
	}
	return rows
}

func sized(typ string, size uint32) string {
	if typ == "" {
		return plural(size, "byte")
	}
	return fmt.Sprintf("%s, %s", typ, plural(size, "byte"))
}

func writeVariables(w io.Writer, list []variableView) {
	var rows [][]string
	for _, v := range list {
		value := valueText(v.Value)
		if len(value) > 40 {
			value = value[:40] + "..."
		}
		kind := ""
		if v.ReadOnly {
			kind = "read-only"
		}
		rows = append(rows, []string{fmt.Sprintf("%s+%d", v.Map, v.Offset), sized(v.Type, v.Size), v.Name, "= " + value, kind})
	}
	writeTable(w, "  ", rows)
}
