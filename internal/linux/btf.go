package linux

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// BTF as in Documentation/bpf/btf.rst: a header, type records that follow each other and
// are numbered from 1, and strings. A record is three words (offset of the name; kind,
// length and a flag; size or type) and what its kind has behind them.

// btfKind is the kind of a record (BTF_KIND_* of include/uapi/linux/btf.h).
type btfKind uint8

const (
	kindInt btfKind = 1 + iota
	kindPtr
	kindArray
	kindStruct
	kindUnion
	kindEnum
	kindFwd
	kindTypedef
	kindVolatile
	kindConst
	kindRestrict
	kindFunc
	kindFuncProto
	kindVar
	kindDatasec
	kindFloat
	kindDeclTag
	kindTypeTag
	kindEnum64
)

const (
	btfMagic      = 0xeb9f
	btfHeaderSize = 24
	btfRecordSize = 12
)

// rawBTF is BTF with an index. What it holds may be anything, but each record is whole.
type rawBTF struct {
	types   []byte
	strings string
	at      []uint32 // by id: where the record starts; that of 0 is not one
}

var errBTF = errors.New("linux: broken BTF")

// parseBTF reads BTF in little-endian byte order. rest is what follows it in data.
func parseBTF(data []byte) (b *rawBTF, rest []byte, err error) {
	le := binary.LittleEndian
	if len(data) < btfHeaderSize || le.Uint16(data) != btfMagic || le.Uint32(data[4:]) != btfHeaderSize {
		return nil, nil, fmt.Errorf("%w: no header", errBTF)
	}
	body := data[btfHeaderSize:]
	part := func(off, size uint32) []byte {
		if end := uint64(off) + uint64(size); end <= uint64(len(body)) {
			return body[off:end]
		}
		return nil
	}
	b = &rawBTF{types: part(le.Uint32(data[8:]), le.Uint32(data[12:])), strings: string(part(le.Uint32(data[16:]), le.Uint32(data[20:])))}
	if b.types == nil || len(b.strings) == 0 || b.strings[len(b.strings)-1] != 0 {
		return nil, nil, fmt.Errorf("%w: types and strings are not within its %d bytes", errBTF, len(data))
	}
	if err := b.index(); err != nil {
		return nil, nil, err
	}
	return b, body[le.Uint32(data[16:])+le.Uint32(data[20:]):], nil
}

func (b *rawBTF) index() error {
	b.at = append(make([]uint32, 0, len(b.types)/32), 0)
	for off := 0; off < len(b.types); {
		if len(b.types)-off < btfRecordSize {
			return fmt.Errorf("%w: type %d is cut off", errBTF, len(b.at))
		}
		b.at = append(b.at, uint32(off))
		r := b.record(uint32(len(b.at) - 1))
		if off += btfRecordSize + r.bodySize(); off > len(b.types) {
			return fmt.Errorf("%w: type %d is cut off", errBTF, len(b.at)-1)
		}
	}
	return nil
}

// btfRecord is a record.
type btfRecord struct {
	kind btfKind
	flag bool // kind_flag
	vlen int
	name uint32 // offset in the strings
	arg  uint32 // size or type
	body []byte
}

// record returns the record of a type. Void and ids that there are none of have the kind 0.
func (b *rawBTF) record(id uint32) btfRecord {
	if id == 0 || id >= uint32(len(b.at)) {
		return btfRecord{}
	}
	le := binary.LittleEndian
	p := b.types[b.at[id]:]
	info := le.Uint32(p[4:])
	r := btfRecord{
		kind: btfKind(info >> 24 & 31), flag: info>>31 != 0, vlen: int(info & 0xffff),
		name: le.Uint32(p), arg: le.Uint32(p[8:]),
	}
	if p = p[btfRecordSize:]; r.bodySize() <= len(p) {
		r.body = p[:r.bodySize()]
	}
	return r
}

// bodySize is how many bytes a record has behind its three words.
func (r btfRecord) bodySize() int {
	switch r.kind {
	case kindInt, kindVar, kindDeclTag:
		return 4
	case kindArray:
		return 12
	case kindStruct, kindUnion, kindDatasec, kindEnum64:
		return 12 * r.vlen
	case kindEnum, kindFuncProto:
		return 8 * r.vlen
	}
	return 0
}

// word returns the i-th word of the body.
func (r btfRecord) word(i int) uint32 { return binary.LittleEndian.Uint32(r.body[4*i:]) }

// text returns a string by its offset, "" if there is none.
func (b *rawBTF) text(off uint32) string {
	if off >= uint32(len(b.strings)) {
		return ""
	}
	s, _, _ := strings.Cut(b.strings[off:], "\x00")
	return s
}

// maxModifiers bounds chains of modifiers, which may be circles in broken BTF.
const maxModifiers = 32

// skip returns the type that is left of id without modifiers and typedefs, and the name
// of the last typedef before it.
func (b *rawBTF) skip(id uint32) (left uint32, typedef uint32) {
	for range maxModifiers {
		r := b.record(id)
		switch r.kind {
		case kindTypedef:
			typedef = r.name
		case kindVolatile, kindConst, kindRestrict, kindTypeTag:
		default:
			return id, typedef
		}
		id = r.arg
	}
	return 0, 0
}
