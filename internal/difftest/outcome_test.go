package difftest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/maps"
)

// outcome is what can be seen of the runs of a program, in the order of looking. Its memory
// is reused.
type outcome struct {
	fields []outcomeField
	bytes  []byte
}

// outcomeField is one of them: bytes up to end, from where the one before ends.
type outcomeField struct {
	name string
	end  int
}

func (o *outcome) reset() { o.fields, o.bytes = o.fields[:0], o.bytes[:0] }

func (o *outcome) add(name string, b []byte) {
	o.bytes = append(o.bytes, b...)
	o.fields = append(o.fields, outcomeField{name, len(o.bytes)})
}

func (o *outcome) number(name string, v uint64) {
	o.bytes = binary.BigEndian.AppendUint64(o.bytes, v)
	o.fields = append(o.fields, outcomeField{name, len(o.bytes)})
}

func (o *outcome) equal(other *outcome) bool {
	return slices.Equal(o.fields, other.fields) && bytes.Equal(o.bytes, other.bytes)
}

// hash stands for all of the outcome.
func (o *outcome) hash() uint64 {
	h := fnv.New64a()
	h.Write(o.bytes)
	for _, f := range o.fields {
		fmt.Fprintln(h, f.name, f.end)
	}
	return h.Sum64()
}

func (o *outcome) copy(from *outcome) {
	o.fields, o.bytes = append(o.fields[:0], from.fields...), append(o.bytes[:0], from.bytes...)
}

// difference is in what another outcome, of whom, differs from the interpreter's, for people.
func (o *outcome) difference(other *outcome, who string) (text string) {
	a, b := o.lines(), other.lines()
	for i := range max(len(a), len(b)) {
		line := func(list []string) string {
			if i < len(list) {
				return list[i]
			}
			return "-"
		}
		if line(a) != line(b) {
			text += fmt.Sprintf("interpreter: %s\n%s: %s\n", line(a), who, line(b))
		}
	}
	return text
}

// lines is the outcome for people.
func (o *outcome) lines() (lines []string) {
	from := 0
	for _, f := range o.fields {
		lines = append(lines, fmt.Sprintf("%s: %x", f.name, o.bytes[from:f.end]))
		if f.name == "error" {
			lines[len(lines)-1] = fmt.Sprintf("error: %s", o.bytes[from:f.end])
		}
		from = f.end
	}
	return lines
}

// contents adds what a map holds, in an order that does not depend on its seed.
func (o *outcome) contents(t testing.TB, name string, m *maps.Map) {
	switch m.Type() {
	case maps.RingBuf:
		c, err := maps.NewRingConsumer(m)
		require.NoError(t, err)
		defer c.Close()
		for {
			b, ok := c.Next(nil)
			if !ok {
				if held := c.Available(); held != 0 {
					o.number(name+" holds", uint64(held))
				}
				return
			}
			o.add(name, b)
		}
	case maps.Queue:
		b := make([]byte, m.ValueSize())
		for m.PopProg(b) == 0 {
			o.add(name, b)
		}
		return
	}
	var elems [][]byte // key and value
	next, err := m.NextKeyBytes(nil)
	for ; err == nil && next != nil; next, err = m.NextKeyBytes(next) {
		value, err := m.LookupBytes(next)
		require.NoError(t, err)
		elems = append(elems, append(slices.Clip(next), value...))
	}
	slices.SortFunc(elems, bytes.Compare)
	for _, e := range elems {
		o.add(name, e)
	}
}
