package maps

import (
	"encoding/binary"
	"sync/atomic"
)

// alloc takes a node, 0 if there is none. The caller holds the lock.
func (t *lpmTrie) alloc(prefix uint32, data, value []byte) uint32 {
	c := t.control()
	ref := c.Free
	switch {
	case ref != 0:
		c.Free = t.node(ref).Link
		atomic.AddUint32(&c.Seq, 1)
	case c.Fresh < t.nodes:
		ref = uint32((lpmControlSize + uintptr(c.Fresh)*t.stride) / 8)
		atomic.StoreUint32(&c.Fresh, c.Fresh+1)
	default:
		return 0
	}
	n := t.node(ref)
	n.Child[0].store(0)
	n.Child[1].store(0)
	atomic.StoreUint32(&n.Prefix, prefix)
	for off := 0; off < len(data); off += 8 {
		atomic.StoreUint64(n.at(uintptr(off)), keyWord(data, off))
	}
	copyIn(t.value(ref), value)
	return ref
}

// release puts back a node that no reader can get to any more.
func (t *lpmTrie) release(ref uint32) {
	t.node(ref).Link = t.control().Free
	t.control().Free = ref
}

// nodeData copies a node's data out.
func (t *lpmTrie) nodeData(n *LPMNode, dst []byte) []byte {
	dst = dst[:t.data]
	var b [8]byte
	for off := 0; off < len(dst); off += 8 {
		binary.BigEndian.PutUint64(b[:], n.word(uintptr(off)))
		copy(dst[off:], b[:])
	}
	return dst
}

// descend follows the key to the place where its node is, or would be: the
// reference to it, and how many bits of the node there match.
func (t *lpmTrie) descend(length uint32, data []byte) (slot *LPMRef, matched uint32) {
	slot = &t.control().Root
	for *slot != 0 {
		n, plen := t.node(slot.ref()), slot.bits()
		matched = t.match(n, data, min(plen, length))
		if matched != plen || plen == length {
			return slot, matched
		}
		slot = &n.Child[bit(data, plen)]
	}
	return slot, 0
}

// admit counts a new element.
func (t *lpmTrie) admit(flags uint64) Errno {
	c := t.control()
	switch {
	case flags == uint64(UpdateExist):
		return ENOENT
	case c.Count == t.max:
		return ENOSPC
	}
	c.Count++
	return 0
}

func (t *lpmTrie) update(_ int, key, value []byte, flags uint64) Errno {
	return t.set(key, value, flags)
}

func (t *lpmTrie) set(key, value []byte, flags uint64) Errno {
	length, data := t.prefix(key)
	if flags > uint64(UpdateExist) || length > t.bits {
		return EINVAL
	}
	c := t.control()
	lock(&c.Lock)
	defer unlock(&c.Lock)
	slot, matched := t.descend(length, data)
	old := slot.ref()
	if old != 0 && t.node(old).Prefix == length && matched == length {
		return t.replace(slot, length, data, value, flags)
	}
	if old != 0 && t.node(old).Prefix == length|LPMIntermediate && matched == length {
		if e := t.admit(flags); e != 0 {
			return e
		}
		if e := t.replace(slot, length, data, value, 0); e != 0 {
			c.Count--
			return e
		}
		return 0
	}
	if e := t.admit(flags); e != 0 {
		return e
	}
	if !t.insert(slot, matched, length, data, value) {
		c.Count--
		return ENOMEM
	}
	return 0
}

// replace puts a new node where one with the same prefix is. Whoever has the
// address of the old value keeps seeing the old value.
func (t *lpmTrie) replace(slot *LPMRef, length uint32, data, value []byte, flags uint64) Errno {
	if flags == uint64(UpdateNoExist) {
		return EEXIST
	}
	ref := t.alloc(length, data, value)
	if ref == 0 {
		return ENOMEM
	}
	old := slot.ref()
	n := t.node(ref)
	n.Child[0].store(t.node(old).Child[0])
	n.Child[1].store(t.node(old).Child[1])
	slot.store(refTo(ref, length))
	t.release(old)
	return 0
}

// insert adds a node at slot: as a leaf, as the parent of the node there, or
// beside it below a new intermediate node. It reports false if nodes ran out.
func (t *lpmTrie) insert(slot *LPMRef, matched, length uint32, data, value []byte) bool {
	old := *slot
	ref := t.alloc(length, data, value)
	if ref == 0 {
		return false
	}
	if old == 0 {
		slot.store(refTo(ref, length))
		return true
	}
	var buf [lpmMaxData]byte
	oldBit := bit(t.nodeData(t.node(old.ref()), buf[:]), matched)
	if matched == length {
		t.node(ref).Child[oldBit].store(old)
		slot.store(refTo(ref, length))
		return true
	}
	fork := t.alloc(matched|LPMIntermediate, data, nil)
	if fork == 0 {
		t.release(ref)
		return false
	}
	t.node(fork).Child[oldBit].store(old)
	t.node(fork).Child[1-oldBit].store(refTo(ref, length))
	slot.store(refTo(fork, matched))
	return true
}

func (t *lpmTrie) remove(key []byte) Errno {
	length, data := t.prefix(key)
	if length > t.bits {
		return EINVAL
	}
	c := t.control()
	lock(&c.Lock)
	defer unlock(&c.Lock)

	// up is the reference to the parent of the node at slot.
	var up *LPMRef
	slot := &c.Root
	for {
		if *slot == 0 {
			return ENOENT
		}
		n, plen := t.node(slot.ref()), slot.bits()
		if plen > length || t.match(n, data, plen) != plen {
			return ENOENT
		}
		if plen == length {
			break
		}
		up, slot = slot, &n.Child[bit(data, plen)]
	}
	old := *slot
	n := t.node(old.ref())
	if n.Prefix&LPMIntermediate != 0 {
		return ENOENT
	}
	c.Count--
	switch {
	case n.Child[0] != 0 && n.Child[1] != 0:
		atomic.StoreUint32(&n.Prefix, n.Prefix|LPMIntermediate)
		return 0
	case n.Child[0]|n.Child[1] == 0 && up != nil && t.node(up.ref()).Prefix&LPMIntermediate != 0:
		// The fork above has one branch left: the other node takes its place.
		fork := t.node(up.ref())
		released := up.ref()
		up.store(fork.Child[0] ^ fork.Child[1] ^ old)
		t.release(released)
	default:
		slot.store(n.Child[0] | n.Child[1]) // there is one at most
	}
	t.release(old.ref())
	return 0
}

// next gives the keys in post-order, children (0 first) before parents, so that
// longer prefixes come before those that contain them. A key that is not in the
// trie leads to the first one.
func (t *lpmTrie) next(key, next []byte) Errno {
	c := t.control()
	lock(&c.Lock)
	defer unlock(&c.Lock)
	if c.Root == 0 {
		return ENOENT
	}
	if key == nil {
		return t.copyKey(t.firstBelow(c.Root.ref()), next)
	}
	length, data := t.prefix(key)
	if length > t.bits {
		return t.copyKey(t.firstBelow(c.Root.ref()), next)
	}
	// after is the node that follows the one being looked for: the last
	// ancestor with an element, or the first node right of the path,
	// whichever is lower in the trie.
	after := uint32(0)
	ref := c.Root.ref()
	for ref != 0 {
		n := t.node(ref)
		plen := n.Prefix &^ LPMIntermediate
		if plen > length || t.match(n, data, plen) != plen {
			ref = 0
			break
		}
		if plen == length {
			break
		}
		side := bit(data, plen)
		switch right := n.Child[1].ref(); {
		case side == 0 && right != 0:
			after = t.firstBelow(right)
		case n.Prefix&LPMIntermediate == 0:
			after = ref
		}
		ref = n.Child[side].ref()
	}
	if ref == 0 || t.node(ref).Prefix&LPMIntermediate != 0 {
		return t.copyKey(t.firstBelow(c.Root.ref()), next)
	}
	if after == 0 {
		return ENOENT
	}
	return t.copyKey(after, next)
}

// firstBelow returns the first node with an element in post-order. Every leaf
// has one.
func (t *lpmTrie) firstBelow(ref uint32) uint32 {
	for {
		n := t.node(ref)
		switch {
		case n.Child[0] != 0:
			ref = n.Child[0].ref()
		case n.Child[1] != 0:
			ref = n.Child[1].ref()
		default:
			return ref
		}
	}
}

func (t *lpmTrie) copyKey(ref uint32, key []byte) Errno {
	n := t.node(ref)
	binary.NativeEndian.PutUint32(key, n.Prefix&^LPMIntermediate)
	t.nodeData(n, key[lpmHeader:])
	return 0
}
