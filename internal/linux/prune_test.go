package linux

import (
	"encoding/binary"
	"maps"
	"slices"
)

// pruner takes from BTF what is reachable from roots, and leaves out what the verifier
// does not ask: modifiers, names of integers' typedefs, enumerators and, but for struct_ops,
// the prototypes of function pointers.
type pruner struct {
	src    *rawBTF
	steps  map[uint32]int  // kept types: how many pointers to structs are followed from here
	protos map[uint32]bool // structs whose function pointers keep their prototypes
	fwd    map[uint32]bool // structs that are pointed to; those not kept become forward declarations

	voidPtr uint32 // what function pointers become
}

func newPruner(src *rawBTF) *pruner {
	p := &pruner{src: src, steps: map[uint32]int{}, protos: map[uint32]bool{}, fwd: map[uint32]bool{}}
	for id := range uint32(len(src.at)) {
		if r := src.record(id); r.kind == kindPtr && r.arg == 0 {
			p.voidPtr = id
			p.steps[id] = 0
			break
		}
	}
	return p
}

// target is what a reference to id becomes one to: without modifiers, and without
// typedefs but for those that name what has no name of its own.
func (p *pruner) target(id uint32) uint32 {
	for {
		r := p.src.record(id)
		switch r.kind {
		case kindTypedef:
			if left, _ := p.src.skip(id); p.nameless(left) {
				return id
			}
		case kindVolatile, kindConst, kindRestrict:
		default:
			return id
		}
		id = r.arg
	}
}

func (p *pruner) nameless(id uint32) bool {
	r := p.src.record(id)
	return (r.kind == kindStruct || r.kind == kindUnion || r.kind == kindEnum) && p.src.text(r.name) == ""
}

// isFuncPtr reports whether id is a pointer to a function.
func (p *pruner) isFuncPtr(id uint32) bool {
	r := p.src.record(id)
	if r.kind != kindPtr {
		return false
	}
	left, _ := p.src.skip(r.arg)
	return p.src.record(left).kind == kindFuncProto
}

// add keeps a type, all that lies in it, and what it points to over steps pointers to structs.
func (p *pruner) add(id uint32, steps int) {
	id = p.target(id)
	if have, ok := p.steps[id]; id == 0 || ok && have >= steps {
		return
	}
	p.steps[id] = steps
	r := p.src.record(id)
	switch r.kind {
	case kindPtr:
		p.addPointee(r.arg, steps)
	case kindTypedef, kindTypeTag, kindFunc, kindVar:
		p.add(r.arg, steps)
	case kindArray:
		p.add(r.word(0), steps)
	case kindStruct, kindUnion:
		for i := range r.vlen {
			member := p.target(r.word(3*i + 1))
			if !p.isFuncPtr(member) || p.protos[id] {
				p.add(member, steps)
			}
		}
	case kindFuncProto:
		p.add(r.arg, steps)
		for i := range r.vlen {
			p.add(r.word(2*i+1), steps)
		}
	}
}

func (p *pruner) addPointee(id uint32, steps int) {
	left, _ := p.src.skip(id)
	if k := p.src.record(left).kind; k != kindStruct && k != kindUnion {
		p.add(id, steps)
		return
	}
	if p.src.record(p.target(id)).kind == kindTypeTag {
		p.steps[p.target(id)] = 0
	}
	p.fwd[p.target(left)] = true
	if steps > 0 {
		p.add(left, steps-1)
	}
}

// encode returns the pruned BTF, with the ids that its types had behind it, each as the
// distance from the one before.
func (p *pruner) encode() []byte {
	for id := range p.fwd {
		if _, ok := p.steps[id]; !ok {
			p.steps[id] = -1
		}
	}
	ids := slices.Sorted(maps.Keys(p.steps))
	renumbered := map[uint32]uint32{}
	for i, id := range ids {
		renumbered[id] = uint32(i + 1)
	}
	e := encoder{p: p, ids: renumbered, strings: []byte{0}, have: map[string]uint32{"": 0}}
	for _, id := range ids {
		e.record(id)
	}
	le := binary.LittleEndian
	out := le.AppendUint16(nil, btfMagic)
	out = append(out, 1, 0)
	for _, word := range []int{btfHeaderSize, 0, len(e.types), len(e.types), len(e.strings)} {
		out = le.AppendUint32(out, uint32(word))
	}
	out = slices.Concat(out, e.types, e.strings)
	last := uint32(0)
	for _, id := range ids {
		out = binary.AppendUvarint(out, uint64(id-last))
		last = id
	}
	return out
}

type encoder struct {
	p              *pruner
	ids            map[uint32]uint32 // new ones by old ones
	types, strings []byte
	have           map[string]uint32
}

func (e *encoder) name(off uint32) uint32 {
	s := e.p.src.text(off)
	at, ok := e.have[s]
	if !ok {
		at = uint32(len(e.strings))
		e.have[s] = at
		e.strings = append(append(e.strings, s...), 0)
	}
	return at
}

// ref is the new id of a type that another refers to.
func (e *encoder) ref(id uint32) uint32 {
	id = e.p.target(id)
	if _, kept := e.ids[id]; !kept && e.p.isFuncPtr(id) {
		id = e.p.voidPtr
	}
	return e.ids[id]
}

// pointee is ref for what a pointer points to: a struct even where a typedef names it.
func (e *encoder) pointee(id uint32) uint32 {
	left, _ := e.p.src.skip(id)
	if k := e.p.src.record(left).kind; (k == kindStruct || k == kindUnion) && e.p.src.record(e.p.target(id)).kind != kindTypeTag {
		return e.ids[left]
	}
	return e.ref(id)
}

func (e *encoder) words(words ...uint32) {
	for _, w := range words {
		e.types = binary.LittleEndian.AppendUint32(e.types, w)
	}
}

func (e *encoder) head(r btfRecord, vlen int, arg uint32) {
	info := uint32(r.kind)<<24 | uint32(vlen)
	if r.flag {
		info |= 1 << 31
	}
	e.words(e.name(r.name), info, arg)
}

func (e *encoder) record(id uint32) {
	r := e.p.src.record(id)
	if e.p.steps[id] < 0 {
		e.head(btfRecord{kind: kindFwd, flag: r.kind == kindUnion, name: r.name}, 0, 0)
		return
	}
	switch r.kind {
	case kindPtr, kindTypeTag:
		e.head(r, 0, e.pointee(r.arg))
	case kindTypedef, kindFunc:
		e.head(r, r.vlen, e.ref(r.arg))
	case kindVar:
		e.head(r, 0, e.ref(r.arg))
		e.words(r.word(0))
	case kindArray:
		e.head(r, 0, 0)
		e.words(e.ref(r.word(0)), 0, r.word(2))
	case kindStruct, kindUnion:
		e.head(r, r.vlen, r.arg)
		for i := range r.vlen {
			e.words(e.name(r.word(3*i)), e.ref(r.word(3*i+1)), r.word(3*i+2))
		}
	case kindFuncProto:
		e.head(r, r.vlen, e.ref(r.arg))
		for i := range r.vlen {
			e.words(e.name(r.word(2*i)), e.ref(r.word(2*i+1)))
		}
	case kindEnum, kindEnum64:
		e.head(r, 0, r.arg)
	case kindInt:
		e.head(r, 0, r.arg)
		e.words(r.word(0))
	default: // float, fwd
		e.head(r, r.vlen, r.arg)
	}
}
