package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// record is the value of a struct: its members in order.
type record []member

type member struct {
	name  string
	value any
}

// MarshalJSON implements [json.Marshaler]: an object with the members in order.
func (r record) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range r {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(m.name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(m.value)
		if err != nil {
			return nil, err
		}
		b.Write(append(append(name, ':'), value...))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// rawBytes is a value of no known type, in JSON a string of hex digits.
type rawBytes []byte

// MarshalJSON implements [json.Marshaler].
func (b rawBytes) MarshalJSON() ([]byte, error) { return json.Marshal(hex.EncodeToString(b)) }

// Limits on the types of hostile objects: how deep they are looked into, and how many
// parts a value may have.
const (
	maxNesting = 16
	maxParts   = 1 << 16
)

// decoder counts the parts of a value.
type decoder struct{ parts int }

// decodeValue returns what b holds as a value of type t: a number, a bool, a string,
// a []any, a record or, where the type says nothing, rawBytes.
func decodeValue(t *prog.BTFType, b []byte) any { return new(decoder).decode(t, b, 0) }

func (d *decoder) decode(t *prog.BTFType, b []byte, depth int) any {
	d.parts++
	if t == nil || d.parts > maxParts || depth > maxNesting || uint64(t.Size) > uint64(len(b)) {
		return rawBytes(b)
	}
	b = b[:t.Size]
	switch t.Kind {
	case prog.BTFInt, prog.BTFEnum:
		return decodeInt(t, b)
	case prog.BTFPointer:
		return decodeInt(&prog.BTFType{}, b)
	case prog.BTFFloat:
		return decodeFloat(b)
	case prog.BTFArray:
		return d.array(t, b, depth)
	case prog.BTFStruct, prog.BTFUnion:
		return d.record(t, b, depth)
	case prog.BTFVar:
		return d.decode(t.Elem, b, depth+1)
	}
	return rawBytes(b)
}

func decodeInt(t *prog.BTFType, b []byte) any {
	var n uint64
	switch len(b) {
	case 1:
		n = uint64(b[0])
	case 2:
		n = uint64(binary.NativeEndian.Uint16(b))
	case 4:
		n = uint64(binary.NativeEndian.Uint32(b))
	case 8:
		n = binary.NativeEndian.Uint64(b)
	default:
		return rawBytes(b)
	}
	if t.Name == "_Bool" && n < 2 {
		return n == 1
	}
	return signed(n, 8*len(b), t.Signed)
}

// signed returns a number of so many bits as int64 or uint64.
func signed(n uint64, bits int, sign bool) any {
	if sign {
		return int64(n<<(64-bits)) >> (64 - bits)
	}
	return n
}

func decodeFloat(b []byte) any {
	f := math.NaN()
	switch len(b) {
	case 4:
		f = float64(math.Float32frombits(binary.NativeEndian.Uint32(b)))
	case 8:
		f = math.Float64frombits(binary.NativeEndian.Uint64(b))
	}
	if math.IsNaN(f) || math.IsInf(f, 0) { // JSON has no such numbers
		return rawBytes(b)
	}
	return f
}

func (d *decoder) array(t *prog.BTFType, b []byte, depth int) any {
	e := t.Elem
	if e == nil || e.Size == 0 || t.Len > maxParts || uint64(e.Size)*uint64(t.Len) > uint64(len(b)) {
		return rawBytes(b)
	}
	if e.Kind == prog.BTFInt && e.Size == 1 {
		if text, ok := decodeText(b); ok && e.Name == "char" {
			return text
		}
		return rawBytes(b)
	}
	list := make([]any, t.Len)
	for i := range list {
		list[i] = d.decode(e, b[i*int(e.Size):], depth+1)
	}
	return list
}

// decodeText returns the C string that b is, if it is one of printable characters.
func decodeText(b []byte) (string, bool) {
	text, rest, _ := bytes.Cut(b, []byte{0})
	for _, c := range text {
		if c < ' ' || c > '~' {
			return "", false
		}
	}
	return string(text), len(bytes.Trim(rest, "\x00")) == 0
}

func (d *decoder) record(t *prog.BTFType, b []byte, depth int) any {
	r := make(record, 0, len(t.Members))
	for _, m := range t.Members {
		off := uint64(m.BitOff) / 8
		if m.Type == nil || off > uint64(len(b)) {
			return rawBytes(b)
		}
		value := any(nil)
		if m.BitSize != 0 {
			value = decodeBits(m, b)
		} else {
			value = d.decode(m.Type, b[off:off+min(uint64(m.Type.Size), uint64(len(b))-off)], depth+1)
		}
		if inner, ok := value.(record); ok && m.Name == "" { // an anonymous member
			r = append(r, inner...)
			continue
		}
		r = append(r, member{m.Name, value})
	}
	return r
}

// decodeBits returns the value of a bit field. Its offset counts in memory order: from the
// lowest bit of a byte on little-endian machines, from the highest on others.
func decodeBits(m prog.BTFMember, b []byte) any {
	if m.BitSize > 64 || uint64(m.BitOff)+uint64(m.BitSize) > 8*uint64(len(b)) {
		return rawBytes(b)
	}
	var n uint64
	for i := range m.BitSize {
		bit := m.BitOff + i
		if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
			n |= uint64(b[bit/8]>>(bit%8)&1) << i
		} else {
			n = n<<1 | uint64(b[bit/8]>>(7-bit%8)&1)
		}
	}
	return signed(n, int(m.BitSize), m.Type.Signed)
}

// valueText returns a value of decodeValue for people.
func valueText(v any) string {
	switch v := v.(type) {
	case rawBytes:
		return bytesText(v)
	case string:
		return strconv.Quote(v)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = valueText(e)
		}
		return "[" + strings.Join(parts, " ") + "]"
	case record:
		parts := make([]string, len(v))
		for i, m := range v {
			parts[i] = m.name + ": " + valueText(m.value)
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// maxBytes is how many bytes of a value people are shown.
const maxBytes = 256

// bytesText returns bytes as hex digits.
func bytesText(b []byte) string {
	if len(b) > maxBytes {
		return fmt.Sprintf("% x ... (%d bytes)", b[:maxBytes], len(b))
	}
	return fmt.Sprintf("% x", b)
}

// cType returns a type as a declaration of name in C, without what is in structs.
// With an empty name it is the type alone.
func cType(t *prog.BTFType, name string) string { return cTypeAt(t, name, 0) }

func cTypeAt(t *prog.BTFType, name string, depth int) string {
	if t == nil {
		return join("?", name)
	}
	if depth > maxNesting {
		return join("...", name)
	}
	switch t.Kind {
	case prog.BTFVoid:
		return join("void", name)
	case prog.BTFInt:
		return join(intName(t), name)
	case prog.BTFPointer:
		if t.Elem != nil && t.Elem.Kind == prog.BTFFuncProto {
			return "void (*" + name + ")()"
		}
		return cTypeAt(t.Elem, "*"+name, depth+1)
	case prog.BTFArray:
		if strings.HasPrefix(name, "*") {
			name = "(" + name + ")"
		}
		return cTypeAt(t.Elem, fmt.Sprintf("%s[%d]", name, t.Len), depth+1)
	case prog.BTFStruct, prog.BTFUnion, prog.BTFEnum, prog.BTFFwd:
		keyword := map[prog.BTFKind]string{prog.BTFUnion: "union ", prog.BTFEnum: "enum "}[t.Kind]
		if keyword == "" {
			keyword = "struct "
		}
		if t.Name == "" {
			return join(keyword+"{...}", name)
		}
		return join(keyword+t.Name, name)
	case prog.BTFVar:
		return cTypeAt(t.Elem, name, depth+1)
	}
	return join(t.Name, name)
}

func join(typ, name string) string {
	if name == "" {
		return typ
	}
	return typ + " " + name
}

// intName returns the short name of an integer type, as the kernel has it.
func intName(t *prog.BTFType) string {
	switch {
	case t.Name == "_Bool":
		return "bool"
	case t.Name == "char":
		return "char"
	case t.Signed:
		return fmt.Sprintf("s%d", 8*uint64(t.Size))
	}
	return fmt.Sprintf("u%d", 8*uint64(t.Size))
}

// cStruct returns the definition of a struct or union, with the offset in bytes of each
// member.
func cStruct(t *prog.BTFType) string {
	var rows [][]string
	for _, m := range t.Members {
		decl := cType(m.Type, m.Name)
		if m.BitSize != 0 {
			decl += fmt.Sprintf(" : %d", m.BitSize)
		}
		rows = append(rows, []string{decl + ";", fmt.Sprintf("// %d", m.BitOff/8)})
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s { // %s\n", cType(t, ""), plural(t.Size, "byte"))
	writeTable(&b, "    ", rows)
	b.WriteString("}\n")
	return b.String()
}

// structsOf adds the structs that a value of type t consists of to found, each once, those
// that others need first. What pointers point to is not part of a value.
func structsOf(t *prog.BTFType, found []*prog.BTFType) []*prog.BTFType {
	seen := make(map[*prog.BTFType]bool)
	for _, f := range found {
		seen[f] = true
	}
	var visit func(t *prog.BTFType)
	visit = func(t *prog.BTFType) {
		if t == nil || seen[t] {
			return
		}
		seen[t] = true
		switch t.Kind {
		case prog.BTFArray, prog.BTFVar:
			visit(t.Elem)
		case prog.BTFStruct, prog.BTFUnion:
			for _, m := range t.Members {
				visit(m.Type)
			}
			if t.Name != "" {
				found = append(found, t)
			}
		}
	}
	visit(t)
	return found
}
