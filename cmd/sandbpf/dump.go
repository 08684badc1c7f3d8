package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// mapDump is what a map holds.
type mapDump struct {
	Name       string     `json:"name"`
	Type       string     `json:"type"`
	MaxEntries uint32     `json:"max_entries"`
	Entries    []mapEntry `json:"entries"`
	Zero       int        `json:"zero_entries,omitempty"` // elements of an array that are zero, which Entries leaves out
	Error      string     `json:"error,omitempty"`
	typ        maps.Type
}

type mapEntry struct {
	Key   any `json:"key,omitempty"`
	Value any `json:"value"`
	raw   []byte
}

// dumper knows the names of programs and maps.
type dumper struct {
	coll  *sandbpf.Collection
	spec  *sandbpf.CollectionSpec
	progs map[uint32]string
}

func newDumper(coll *sandbpf.Collection, spec *sandbpf.CollectionSpec) *dumper {
	d := &dumper{coll: coll, spec: spec, progs: make(map[uint32]string)}
	for _, name := range coll.Programs() {
		d.progs[coll.Program(name).ProgramID()] = name
	}
	return d
}

// isStream reports whether a map has no elements but records, which are shown when they
// come.
func isStream(t maps.Type) bool { return t == maps.RingBuf || t == maps.PerfEventArray }

// maps returns what is in the maps, but those of global variables.
func (d *dumper) maps() []mapDump {
	out := []mapDump{}
	for _, name := range d.coll.Maps() {
		m := d.coll.Map(name)
		if isStream(m.Type()) || isData(name) {
			continue
		}
		out = append(out, d.dump(name, m, d.spec.MapTypes[name]))
	}
	return out
}

// isData reports whether a map is that of a section of global variables.
func isData(name string) bool {
	return name == ".bss" || strings.HasPrefix(name, ".data") || strings.HasPrefix(name, ".rodata") || name == ".kconfig"
}

func (d *dumper) dump(name string, m *maps.Map, types *sandbpf.MapTypes) mapDump {
	if types == nil {
		types = &sandbpf.MapTypes{}
	}
	out := mapDump{Name: name, Type: m.Type().String(), MaxEntries: m.MaxEntries(), Entries: []mapEntry{}, typ: m.Type()}
	var err error
	if m.Type() == maps.Queue || m.Type() == maps.Stack {
		err = out.drain(m, types)
	} else {
		err = d.elements(&out, m, types)
	}
	if err != nil {
		out.Error = err.Error()
	}
	slices.SortStableFunc(out.Entries, compareKeys)
	return out
}

// drain empties a queue or a stack, which nobody needs any more.
func (out *mapDump) drain(m *maps.Map, types *sandbpf.MapTypes) error {
	value := make([]byte, m.ValueSize())
	for {
		err := m.LookupAndDelete(nil, &value)
		if errors.Is(err, maps.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		out.Entries = append(out.Entries, mapEntry{Value: decodeValue(types.Value, bytes.Clone(value))})
	}
}

// maxRead is how many elements of a map are looked at, and maxReadBytes how many bytes of
// values: reading a large array would commit all its memory.
const (
	maxRead      = 1 << 20
	maxReadBytes = 1 << 26
)

func (d *dumper) elements(out *mapDump, m *maps.Map, types *sandbpf.MapTypes) error {
	limit := min(maxRead, maxReadBytes/max(1, int(m.ValueSize()))+1)
	key, err := m.NextKeyBytes(nil)
	for n := 0; err == nil && key != nil; key, err = m.NextKeyBytes(key) {
		if n++; n > limit {
			return fmt.Errorf("it has more than %s", plural(limit, "element"))
		}
		value, zero, err := d.value(m, key, types)
		switch {
		case err != nil:
			return err
		case value == nil: // of an array of references
		case zero && isArray(m.Type()):
			out.Zero++
		default:
			out.Entries = append(out.Entries, mapEntry{Key: decodeKey(m, types.Key, key), Value: value, raw: key})
		}
	}
	return err
}

func isArray(t maps.Type) bool { return t == maps.Array || t == maps.PerCPUArray }

// value returns the value of a key, nil if there is none, and whether all its bytes are
// zero.
func (d *dumper) value(m *maps.Map, key []byte, types *sandbpf.MapTypes) (value any, zero bool, err error) {
	if m.Type().MapInMap() {
		var inner *maps.Map
		if err := m.Lookup(key, &inner); err != nil {
			return nil, false, ignoreMissing(err)
		}
		defer inner.Close()
		return d.dump(inner.Name(), inner, types.Inner), false, nil
	}
	b, err := m.LookupBytes(key)
	if err != nil || b == nil {
		return nil, false, err
	}
	b = b[:min(len(b), int(m.ValueSize()))] // there is one CPU
	if m.Type() == maps.ProgramArray {
		id, ok := decodeInt(&prog.BTFType{}, b).(uint64)
		if name := d.progs[uint32(id)]; ok && name != "" {
			return name, false, nil
		}
	}
	return decodeValue(types.Value, b), len(bytes.Trim(b, "\x00")) == 0, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, maps.ErrKeyNotExist) {
		return nil
	}
	return err
}

// decodeKey returns a key by its type; the keys of arrays are indexes in any case.
func decodeKey(m *maps.Map, t *prog.BTFType, key []byte) any {
	if t == nil && len(key) == 4 && !strings.Contains(m.Type().String(), "Hash") {
		t = &prog.BTFType{Kind: prog.BTFInt, Size: 4}
	}
	return decodeValue(t, key)
}

// compareKeys orders numbers by value, all else by bytes.
func compareKeys(a, b mapEntry) int {
	switch x := a.Key.(type) {
	case uint64:
		if y, ok := b.Key.(uint64); ok {
			return cmp.Compare(x, y)
		}
	case int64:
		if y, ok := b.Key.(int64); ok {
			return cmp.Compare(x, y)
		}
	}
	return bytes.Compare(a.raw, b.raw)
}

// maxShown is how many elements of a map people are shown.
const maxShown = 100

// write writes the map for people.
func (m *mapDump) write(w io.Writer, indent string) {
	fmt.Fprintf(w, "%smap %s: %s, %d of %s\n", indent, m.Name, m.Type, len(m.Entries)+m.Zero, plural(m.MaxEntries, "element"))
	for i, e := range m.Entries {
		if i == maxShown {
			fmt.Fprintf(w, "%s  and %d more: --json shows all\n", indent, len(m.Entries)-i)
			break
		}
		inner, nested := e.Value.(mapDump)
		switch {
		case nested:
			fmt.Fprintf(w, "%s  %s:\n", indent, valueText(e.Key))
			inner.write(w, indent+"    ")
		case e.Key == nil:
			fmt.Fprintf(w, "%s  %s\n", indent, valueText(e.Value))
		case m.typ == maps.ProgramArray:
			fmt.Fprintf(w, "%s  %s: %v\n", indent, valueText(e.Key), e.Value)
		default:
			fmt.Fprintf(w, "%s  %s: %s\n", indent, valueText(e.Key), valueText(e.Value))
		}
	}
	if m.Zero > 0 {
		rest := "all"
		if len(m.Entries) > 0 {
			rest = "the others"
		}
		fmt.Fprintf(w, "%s  %s are zero\n", indent, rest)
	}
	if m.Error != "" {
		fmt.Fprintf(w, "%s  not all is shown: %s\n", indent, m.Error)
	}
}

// variableDump is a global variable that programs can change.
type variableDump struct {
	Name  string `json:"name"`
	Value any    `json:"value"`
}

// variables returns the global variables, but those that nothing can change.
func (d *dumper) variables() ([]variableDump, error) {
	var out []variableDump
	for _, name := range d.coll.Variables() {
		v := d.coll.Variable(name)
		if v.ReadOnly() {
			continue
		}
		var b []byte
		if err := v.Get(&b); err != nil {
			return nil, err
		}
		out = append(out, variableDump{Name: name, Value: decodeValue(d.spec.Variables[name].Type, b)})
	}
	return out, nil
}
