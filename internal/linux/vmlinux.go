package linux

import (
	"bytes"
	"compress/flate"
	_ "embed" // vmlinux.btf.z
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// vmlinux.btf.z is BTF, pruned, and the ids that its types have in the kernel's; deflated.
//
//go:embed vmlinux.btf.z
var vmlinuxBTF []byte

// maxNesting bounds how deep types lie in each other; broken BTF has them in circles.
const maxNesting = 64

// vmlinux are the kernel's types. Theirs are the ids everywhere but in raw.
type vmlinux struct {
	raw    *rawBTF
	ids    []uint32          // by the id in raw
	local  map[uint32]uint32 // ids in raw
	byName [kindEnum64 + 1]map[string]uint32

	mu   sync.Mutex
	done map[uint32]*prog.BTFType // by the id in raw
}

// kernelBTF returns the types, which the first call inflates and indexes.
var kernelBTF = sync.OnceValue(func() *vmlinux {
	v, err := openTypes(vmlinuxBTF)
	if err != nil {
		panic(err) // the file is ours, and a test reads it
	}
	return v
})

// maxInflated bounds what vmlinux.btf.z becomes.
const maxInflated = 8 << 20

func openTypes(z []byte) (*vmlinux, error) {
	data, err := inflate(z)
	if err != nil {
		return nil, err
	}
	return readTypes(data)
}

func inflate(z []byte) ([]byte, error) {
	var data bytes.Buffer
	data.Grow(4 * len(z))
	if _, err := data.ReadFrom(io.LimitReader(flate.NewReader(bytes.NewReader(z)), maxInflated)); err != nil {
		return nil, fmt.Errorf("%w: %w", errBTF, err)
	}
	return data.Bytes(), nil
}

// RawBTF returns the types of this package as a .BTF section has them, in little-endian byte
// order. Ids in it are its own.
func RawBTF() []byte {
	data, err := inflate(vmlinuxBTF)
	if err != nil {
		panic(err) // the file is ours, and a test reads it
	}
	_, ids, err := parseBTF(data)
	if err != nil {
		panic(err)
	}
	return data[:len(data)-len(ids)]
}

func readTypes(data []byte) (*vmlinux, error) {
	raw, rest, err := parseBTF(data)
	if err != nil {
		return nil, err
	}
	n := len(raw.at)
	v := &vmlinux{raw: raw, ids: make([]uint32, n), local: make(map[uint32]uint32, n), done: make(map[uint32]*prog.BTFType)}
	for i := 1; i < n; i++ {
		step, size := binary.Uvarint(rest)
		id := uint64(v.ids[i-1]) + step
		if size <= 0 || step == 0 || step > 1<<31 || id > 1<<31 {
			return nil, fmt.Errorf("%w: no id for type %d", errBTF, i)
		}
		rest = rest[size:]
		v.ids[i] = uint32(id)
		v.local[uint32(id)] = uint32(i)
	}
	for _, k := range []btfKind{kindStruct, kindUnion, kindFunc, kindVar, kindTypedef} {
		v.byName[k] = make(map[string]uint32)
	}
	for i := n - 1; i > 0; i-- { // of two with one name, the kernel means the first
		r := raw.record(uint32(i))
		if int(r.kind) < len(v.byName) && v.byName[r.kind] != nil {
			v.byName[r.kind][raw.text(r.name)] = uint32(i)
		}
	}
	return v, nil
}

// find returns the id in raw of a type by name and kind, 0 if there is none.
func (v *vmlinux) find(name string, kinds ...btfKind) uint32 {
	for _, k := range kinds {
		if id := v.byName[k][name]; id != 0 && name != "" {
			return id
		}
	}
	return 0
}

// get returns the type with an id in raw, nil if there is none.
func (v *vmlinux) get(id uint32) *prog.BTFType {
	if id == 0 {
		return nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	t, ok := v.build(id, 0)
	if !ok {
		return nil
	}
	return t
}

// build converts a type and what lies in it; of structs that are pointed to, only the
// name and the id. It reports whether the types in it are whole and in no circle.
func (v *vmlinux) build(id uint32, depth int) (*prog.BTFType, bool) {
	if t := v.done[id]; t != nil {
		return t, true
	}
	left, typedef := v.raw.skip(id)
	if depth > maxNesting || left >= uint32(len(v.ids)) {
		return nil, false
	}
	r := v.raw.record(left)
	t := &prog.BTFType{Name: v.raw.text(r.name)}
	if t.Name == "" {
		t.Name = v.raw.text(typedef)
	}
	t.ID = v.ids[left]
	if !v.fill(t, r, depth+1) {
		return nil, false
	}
	v.done[id] = t
	return t, true
}

// fill sets what a type has besides name and id.
func (v *vmlinux) fill(t *prog.BTFType, r btfRecord, depth int) (ok bool) {
	switch r.kind {
	case 0:
		return t.ID == 0 // void
	case kindInt:
		t.Kind, t.Size, t.Signed = prog.BTFInt, r.arg, r.word(0)>>24 == intSigned
		return true
	case kindFloat:
		t.Kind, t.Size = prog.BTFFloat, r.arg
		return true
	case kindEnum, kindEnum64:
		t.Kind, t.Size, t.Signed = prog.BTFEnum, r.arg, r.flag
		return true
	case kindFwd:
		t.Kind = prog.BTFFwd
		return true
	case kindPtr:
		t.Kind, t.Size = prog.BTFPointer, 8
		t.Tags = v.tags(r.arg)
		t.Elem, ok = v.pointee(r.arg, depth)
		return ok
	case kindArray:
		t.Kind, t.Len = prog.BTFArray, r.word(2)
		if t.Elem, ok = v.build(r.word(0), depth); ok {
			t.Size = t.Elem.Size * t.Len
		}
		return ok
	case kindStruct, kindUnion:
		return v.fillStruct(t, r, depth)
	case kindFunc:
		t.Kind = prog.BTFFunc
		t.Elem, ok = v.build(r.arg, depth)
		return ok
	case kindVar:
		t.Kind = prog.BTFVar
		if t.Elem, ok = v.build(r.arg, depth); ok {
			t.Size = t.Elem.Size
		}
		return ok
	case kindFuncProto:
		return v.fillProto(t, r, depth)
	}
	return false
}

// intSigned is the encoding of signed integers (BTF_INT_SIGNED).
const intSigned = 1

func (v *vmlinux) fillStruct(t *prog.BTFType, r btfRecord, depth int) bool {
	t.Kind, t.Size = prog.BTFStruct, r.arg
	if r.kind == kindUnion {
		t.Kind = prog.BTFUnion
	}
	t.Members = make([]prog.BTFMember, r.vlen)
	for i := range t.Members {
		typ, ok := v.build(r.word(3*i+1), depth)
		if !ok {
			return false
		}
		m := prog.BTFMember{Name: v.raw.text(r.word(3 * i)), Type: typ, BitOff: r.word(3*i + 2)}
		if r.flag { // kind_flag: the size of a bit field is in the upper byte
			m.BitSize, m.BitOff = m.BitOff>>24, m.BitOff&0xffffff
		}
		t.Members[i] = m
	}
	return true
}

func (v *vmlinux) fillProto(t *prog.BTFType, r btfRecord, depth int) (ok bool) {
	t.Kind = prog.BTFFuncProto
	if r.arg != 0 {
		if t.Return, ok = v.build(r.arg, depth); !ok {
			return false
		}
	}
	t.Params = make([]prog.BTFParam, r.vlen)
	for i := range t.Params {
		t.Params[i].Name = v.raw.text(r.word(2 * i))
		if t.Params[i].Type, ok = v.build(r.word(2*i+1), depth); !ok {
			return false
		}
	}
	return true
}

// pointee returns what a pointer points to: a struct as its name and id, so that types
// end there.
func (v *vmlinux) pointee(id uint32, depth int) (*prog.BTFType, bool) {
	left, typedef := v.raw.skip(id)
	r := v.raw.record(left) // of kind 0 for ids that there are none of
	if r.kind != kindStruct && r.kind != kindUnion {
		return v.build(id, depth)
	}
	t := &prog.BTFType{Kind: prog.BTFFwd, Name: v.raw.text(r.name), ID: v.ids[left]}
	if t.Name == "" {
		t.Name = v.raw.text(typedef)
	}
	return t, true
}

// tags returns the type tags in front of what a pointer points to.
func (v *vmlinux) tags(id uint32) (tags []string) {
	for range maxModifiers {
		r := v.raw.record(id)
		switch r.kind {
		case kindTypeTag:
			tags = append(tags, v.raw.text(r.name))
		case kindVolatile, kindConst, kindRestrict:
		default:
			return tags
		}
		id = r.arg
	}
	return tags
}
