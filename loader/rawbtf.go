package loader

import "encoding/binary"

// btfKind is the kind of a type record (BTF_KIND_* of include/uapi/linux/btf.h).
type btfKind uint8

const (
	kindStruct    btfKind = 4
	kindUnion     btfKind = 5
	kindEnum      btfKind = 6
	kindFuncProto btfKind = 13
	kindVar       btfKind = 14
	kindDatasec   btfKind = 15
	kindEnum64    btfKind = 19
)

// extraBytes is what follows the 12 bytes of a record of each kind: once, and for
// each of its members.
var extraBytes = [...]struct{ once, each int }{
	1: {once: 4}, 2: {}, 3: {once: 12}, kindStruct: {each: 12}, kindUnion: {each: 12}, kindEnum: {each: 8},
	7: {}, 8: {}, 9: {}, 10: {}, 11: {}, 12: {}, kindFuncProto: {each: 8}, kindVar: {once: 4},
	kindDatasec: {each: 12}, 16: {}, 17: {once: 4}, 18: {}, kindEnum64: {each: 12},
}

// rawBTF is the content of a .BTF section.
type rawBTF struct {
	order          binary.ByteOrder
	types, strings []byte
}

// parseBTF reads the header. The slices are parts of data.
func parseBTF(data []byte, order binary.ByteOrder) (*rawBTF, error) {
	var h struct {
		Magic                    uint16
		Version, Flags           uint8
		HdrLen, TypeOff, TypeLen uint32
		StrOff, StrLen           uint32
	}
	if _, err := binary.Decode(data, order, &h); err != nil || h.Magic != 0xeb9f {
		return nil, invalid("section", ".BTF", "no header in %d bytes", len(data))
	}
	part := func(off, size uint32) []byte {
		start, end := uint64(h.HdrLen)+uint64(off), uint64(h.HdrLen)+uint64(off)+uint64(size)
		if end > uint64(len(data)) {
			return nil
		}
		return data[start:end:end]
	}
	b := &rawBTF{order: order, types: part(h.TypeOff, h.TypeLen), strings: part(h.StrOff, h.StrLen)}
	if b.types == nil || b.strings == nil {
		return nil, invalid("section", ".BTF", "types and strings are not within its %d bytes", len(data))
	}
	return b, nil
}

// rawType is a type record: 12 bytes and what follows them, which may be written to.
type rawType struct {
	id   uint32
	kind btfKind
	rec  []byte
	each int // bytes of a member
}

// members are the records behind the first 12 bytes, of kinds that have any.
func (t *rawType) members() [][]byte {
	var out [][]byte
	if t.each > 0 {
		for b := t.rec[12:]; len(b) >= t.each; b = b[t.each:] {
			out = append(out, b[:t.each])
		}
	}
	return out
}

// names calls f with the place of every name in the record.
func (t *rawType) names(order binary.ByteOrder, f func(off uint32)) {
	f(order.Uint32(t.rec))
	switch t.kind {
	case kindStruct, kindUnion, kindEnum, kindFuncProto, kindEnum64:
		for _, m := range t.members() {
			f(order.Uint32(m))
		}
	}
}

// walk calls f with every type record.
func (b *rawBTF) walk(f func(*rawType)) error {
	id := uint32(1)
	for rest := b.types; len(rest) > 0; id++ {
		if len(rest) < 12 {
			return invalid("section", ".BTF", "type %d is cut off", id)
		}
		info := b.order.Uint32(rest[4:])
		kind, vlen := int(info>>24&0x1f), int(info&0xffff)
		if kind == 0 || kind >= len(extraBytes) {
			return invalid("section", ".BTF", "type %d is of unknown kind %d", id, kind)
		}
		extra := extraBytes[kind]
		size := 12 + extra.once + vlen*extra.each
		if size > len(rest) {
			return invalid("section", ".BTF", "type %d is cut off", id)
		}
		f(&rawType{id: id, kind: btfKind(kind), rec: rest[:size:size], each: extra.each})
		rest = rest[size:]
	}
	return nil
}

// name returns the name of a record, "" if it is out of place.
func (b *rawBTF) name(t *rawType) string {
	budget := maxNames
	s, _ := cString(b.strings, b.order.Uint32(t.rec), &budget)
	return s
}

// extStrings calls f with the place of every string that .BTF.ext refers to: in line
// infos the name of the file and the line, in CO-RE relocations the accessor.
func extStrings(data []byte, order binary.ByteOrder, f func(off uint32)) error {
	if len(data) < 24 {
		return nil // cilium/ebpf says what is wrong
	}
	hdr := order.Uint32(data[4:])
	parts := []struct {
		field int // where the header has offset and length
		names []int
	}{{16, []int{4, 8}}, {24, []int{8}}}
	for _, p := range parts {
		if uint64(p.field)+8 > min(uint64(hdr), uint64(len(data))) {
			continue
		}
		start := uint64(hdr) + uint64(order.Uint32(data[p.field:]))
		end := start + uint64(order.Uint32(data[p.field+4:]))
		if end > uint64(len(data)) {
			return invalid("section", ".BTF.ext", "its parts are not within its %d bytes", len(data))
		}
		extRecords(data[start:end], order, func(rec []byte) {
			for _, at := range p.names {
				if at+4 <= len(rec) {
					f(order.Uint32(rec[at:]))
				}
			}
		})
	}
	return nil
}

// extRecords calls f with the records of all sections in a part of .BTF.ext.
func extRecords(part []byte, order binary.ByteOrder, f func(rec []byte)) {
	if len(part) < 4 {
		return
	}
	size := uint64(order.Uint32(part))
	for b := part[4:]; len(b) >= 8 && size > 0; {
		n := uint64(order.Uint32(b[4:]))
		b = b[8:]
		for ; n > 0 && uint64(len(b)) >= size; n-- {
			f(b[:size])
			b = b[size:]
		}
	}
}
