package maps

import (
	"encoding/binary"
	"math"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// An LPM trie is one arena of nodes, referred to as in a hash: by words of 8
// bytes from the arena's start (Header.Base), 0 being none.
//
//	Base         Base+8*ref
//	+------------+------+------+---- ...
//	| LPMControl | node | node |
//	| 64 bytes   |      |      |
//	+------------+------+------+---- ...
//
// A node, Stride bytes long:
//
//	0          8          16       20     24                  ValueOff
//	+----------+----------+--------+------+-------------------+---------+
//	| Child[0] | Child[1] | Prefix | Link | data, padded      | value   |
//	+----------+----------+--------+------+-------------------+---------+
//
// It is a binary trie with compressed paths: a child's prefix is longer than
// its parent's by one bit or more, and Child is chosen by the first of these.
// A node without an element of its own (LPMIntermediate) has both children.
// Data is kept as 64-bit words, the first bit of the prefix being the highest
// bit of the first word, whatever the host's byte order.
//
// Child and Root are an [LPMRef]: the reference of a node and the length of its
// prefix, which tells the bit to go on by. So the way down needs one load for
// each node; that the node's data match is found out beside it.
//
// # Lookups take no lock
//
// Updates happen under Control.Lock, and each becomes visible with one store of
// an LPMRef, or of Prefix: a reader sees the trie before or after it. Nodes
// that were taken out keep their contents until they are reused; before a node
// is, Control.Seq changes. A reader that finds it changed at the end starts
// over; after a few times it takes the lock.

// LPMControl is what an LPM trie keeps off-heap beside its nodes.
type LPMControl struct {
	Root  LPMRef
	Lock  uint32 // 1 while somebody changes the trie
	Seq   uint32 // number of nodes that were reused
	Count uint32 // elements
	Free  uint32 // first free node; Link leads on
	Fresh uint32 // nodes at and after this index were never used
}

// LPMNode is the head of a node; data and value follow.
type LPMNode struct {
	Child  [2]LPMRef
	Prefix uint32 // length in bits, and LPMIntermediate
	Link   uint32 // next free node
}

// LPMRef is a node: its reference in the upper half, the length of its prefix in
// bits in the lower. 0 is no node.
type LPMRef uint64

func (r LPMRef) ref() uint32 { return uint32(r >> 32) }

func (r LPMRef) bits() uint32 { return uint32(r) }

func refTo(ref, bits uint32) LPMRef { return LPMRef(ref)<<32 | LPMRef(bits) }

func (r *LPMRef) load() LPMRef { return LPMRef(atomic.LoadUint64((*uint64)(r))) }

func (r *LPMRef) store(v LPMRef) { atomic.StoreUint64((*uint64)(r), uint64(v)) }

// LPMIntermediate in LPMNode.Prefix marks a node with no element.
const LPMIntermediate = 1 << 31

const (
	lpmControlSize = 64
	lpmDataOff     = unsafe.Sizeof(LPMNode{})
	lpmTries       = 8
	maxRefBytes    = math.MaxUint32 * 8 // what a reference can reach: 32 GiB
)

type lpmTrie struct {
	arena    *mem.Arena
	base     unsafe.Pointer
	data     uintptr // bytes of data in a key
	bits     uint32  // the same in bits: the longest prefix
	valueOff uintptr
	stride   uintptr
	size     uintptr
	max      uint32
	nodes    uint32 // nodes that there is room for
}

func newLPM(c *core) (*lpmTrie, error) {
	data := uint64(c.keySize - lpmHeader)
	valueOff := uint64(lpmDataOff) + round8(data)
	stride := valueOff + round8(uint64(c.valueSize))
	// n elements need at most n-1 intermediate nodes, and an update needs two
	// nodes before it gives one back. Linux allocates nodes as it goes, so a
	// max_entries beyond reach is no error until the nodes run out.
	limit := uint64(maxRefBytes)
	if bits.UintSize == 32 {
		limit = 64 << 20
	}
	nodes := min(2*uint64(c.maxEntries)+2, (limit-lpmControlSize)/stride, math.MaxUint32)
	a, err := mem.New(int(lpmControlSize + nodes*stride))
	if err != nil {
		return nil, err
	}
	h := c.hdr
	h.Base, h.Stride, h.ValueOff, h.Control = uint64(a.Addr()), uint32(stride), uint32(valueOff), uint64(a.Addr())
	return &lpmTrie{
		arena: a, base: a.Base(), data: uintptr(data), bits: uint32(data) * 8,
		valueOff: uintptr(valueOff), stride: uintptr(stride), size: uintptr(c.valueSize),
		max: c.maxEntries, nodes: uint32(nodes),
	}, nil
}

func (t *lpmTrie) control() *LPMControl { return (*LPMControl)(t.base) }

func (t *lpmTrie) node(ref uint32) *LPMNode {
	return (*LPMNode)(unsafe.Add(t.base, uintptr(ref)*8))
}

func (t *lpmTrie) value(ref uint32) unsafe.Pointer {
	return unsafe.Add(t.base, uintptr(ref)*8+t.valueOff)
}

// word returns 8 bytes of a node's data, the first bit being the highest.
func (n *LPMNode) word(off uintptr) uint64 {
	return atomic.LoadUint64(n.at(off))
}

func (n *LPMNode) at(off uintptr) *uint64 {
	return (*uint64)(unsafe.Add(unsafe.Pointer(n), lpmDataOff+off))
}

// keyWord returns 8 bytes of a key's data likewise, padded with zeros.
func keyWord(data []byte, off int) uint64 {
	if len(data)-off >= 8 {
		return binary.BigEndian.Uint64(data[off:])
	}
	if len(data)-off == 4 {
		return uint64(binary.BigEndian.Uint32(data[off:])) << 32
	}
	var b [8]byte
	copy(b[:], data[off:])
	return binary.BigEndian.Uint64(b[:])
}

// prefix splits a key.
func (t *lpmTrie) prefix(key []byte) (length uint32, data []byte) {
	return binary.NativeEndian.Uint32(key), key[lpmHeader:]
}

// match returns how many bits a node's data and the key have in common, at most limit.
func (t *lpmTrie) match(n *LPMNode, data []byte, limit uint32) uint32 {
	for off := 0; off < len(data); off += 8 {
		if x := n.word(uintptr(off)) ^ keyWord(data, off); x != 0 {
			return min(uint32(off*8+bits.LeadingZeros64(x)), limit)
		}
		if uint32(off*8+64) >= limit {
			break
		}
	}
	return limit
}

// bit returns a bit of data, counted from the most significant one of the first byte.
func bit(data []byte, i uint32) uint32 { return uint32(data[i/8]>>(7-i%8)) & 1 }

// longest returns the node of the longest prefix of the key, 0 if there is none.
// It ends, whatever happens to the nodes meanwhile: it goes on only while prefixes grow.
func (t *lpmTrie) longest(length uint32, data []byte) (found uint32) {
	if length > t.bits {
		return 0
	}
	if len(data) <= 8 {
		return t.longestWord(length, keyWord(data, 0))
	}
	least := uint32(0)
	for at := t.control().Root.load(); at != 0; {
		n, plen := t.node(at.ref()), at.bits()
		if plen < least || plen > length || t.match(n, data, plen) < plen {
			break
		}
		if atomic.LoadUint32(&n.Prefix)&LPMIntermediate == 0 {
			found = at.ref()
		}
		if plen == t.bits {
			break
		}
		least = plen + 1
		at = n.Child[bit(data, plen)].load()
	}
	return found
}

// longestWord is longest for data of at most 8 bytes.
func (t *lpmTrie) longestWord(length uint32, key uint64) (found uint32) {
	least := uint32(0)
	for at := t.control().Root.load(); at != 0; {
		n, plen := t.node(at.ref()), at.bits()
		if plen < least || plen > length || (n.word(0)^key)>>(64-plen) != 0 {
			break
		}
		if atomic.LoadUint32(&n.Prefix)&LPMIntermediate == 0 {
			found = at.ref()
		}
		if plen == t.bits {
			break
		}
		least = plen + 1
		at = n.Child[key<<plen>>63].load()
	}
	return found
}

// locate finds the longest prefix without a lock, and the Seq that vouches for it.
func (t *lpmTrie) locate(key []byte) (ref, seq uint32) {
	length, data := t.prefix(key)
	c := t.control()
	for range lpmTries {
		seq = atomic.LoadUint32(&c.Seq)
		ref = t.longest(length, data)
		if atomic.LoadUint32(&c.Seq) == seq {
			return ref, seq
		}
	}
	lock(&c.Lock)
	defer unlock(&c.Lock)
	return t.longest(length, data), c.Seq
}

func (t *lpmTrie) lookup(_ int, key []byte) uintptr {
	if ref, _ := t.locate(key); ref != 0 {
		return uintptr(t.value(ref))
	}
	return 0
}

func (t *lpmTrie) get(key, value []byte, _ uint64) Errno {
	for range lpmTries {
		ref, seq := t.locate(key)
		if ref == 0 {
			return ENOENT
		}
		copyOut(value, t.value(ref))
		if atomic.LoadUint32(&t.control().Seq) == seq {
			return 0
		}
	}
	lock(&t.control().Lock)
	defer unlock(&t.control().Lock)
	ref := t.longest(t.prefix(key))
	if ref == 0 {
		return ENOENT
	}
	copyOut(value, t.value(ref))
	return 0
}

// find knows the value of every node that was ever used: a deleted node may be an
// intermediate one now, and a program may still hold its value.
func (t *lpmTrie) find(addr uintptr) (uintptr, bool) {
	off := addr - uintptr(t.base) - lpmControlSize
	if off/t.stride >= uintptr(atomic.LoadUint32(&t.control().Fresh)) {
		return 0, false
	}
	if in := off % t.stride; in >= t.valueOff && in-t.valueOff < t.size {
		return addr - (in - t.valueOff), true
	}
	return 0, false
}

func (t *lpmTrie) free() { _ = t.arena.Close() }
