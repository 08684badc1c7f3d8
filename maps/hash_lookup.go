package maps

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"unsafe"
)

// The hash function folds the 128-bit product of (word ^ Seed0 ^ what came
// before) and Seed1, for each 8-byte word of the key, the last one padded with
// zeros; a 4-byte key is one word. Its result is the lower half of the fold, so
// that native code needs one multiplication for keys up to 8 bytes.
//
//	hi, lo = (word ^ state) * Seed1
//	state  = hi ^ lo
func mix(state, word, seed1 uint64) uint64 {
	hi, lo := bits.Mul64(state^word, seed1)
	return hi ^ lo
}

// seeds returns the two seeds, the second odd and with many bits set.
func seeds(fixed bool) (s0, s1 uint64) {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio
	if fixed {
		return 0, golden
	}
	s0 = rand.Uint64()
	for s1 = rand.Uint64() | 1; bits.OnesCount64(s1) < 24 || bits.OnesCount64(s1) > 40; {
		s1 = rand.Uint64() | 1
	}
	return s0, s1
}

func (h *hashMap) hash(key []byte) uint32 {
	switch len(key) {
	case 8:
		return uint32(mix(h.seed0, binary.NativeEndian.Uint64(key), h.seed1))
	case 4:
		return uint32(mix(h.seed0, uint64(binary.NativeEndian.Uint32(key)), h.seed1))
	}
	state := h.seed0
	for ; len(key) > 8; key = key[8:] {
		state = mix(state, binary.NativeEndian.Uint64(key), h.seed1)
	}
	return uint32(mix(state, lastWord(key), h.seed1))
}

// lastWord is the word that 1 to 8 bytes, padded with zeros, are in memory.
func lastWord(tail []byte) uint64 {
	if len(tail) == 8 {
		return binary.NativeEndian.Uint64(tail)
	}
	var b [8]byte
	if len(tail) == 4 {
		binary.NativeEndian.PutUint32(b[:], binary.NativeEndian.Uint32(tail))
		return binary.NativeEndian.Uint64(b[:])
	}
	for i := range tail { // at most 7; shorter than a call of memmove
		b[i&7] = tail[i]
	}
	return binary.NativeEndian.Uint64(b[:])
}

// sameKey compares word by word, with atomic loads: a reader may look at an
// element that is being rewritten, and its loads must not pass its check of Seq.
func (h *hashMap) sameKey(e *HashElem, key []byte) bool {
	p := e.key()
	for ; len(key) > 8; key = key[8:] {
		if atomic.LoadUint64((*uint64)(p)) != binary.NativeEndian.Uint64(key) {
			return false
		}
		p = unsafe.Add(p, 8)
	}
	return atomic.LoadUint64((*uint64)(p)) == lastWord(key)
}

// fillKey writes the key, padded with zeros, into an element that is in no chain.
func (h *hashMap) fillKey(e *HashElem, key []byte) {
	p := e.key()
	for ; len(key) > 8; key = key[8:] {
		atomic.StoreUint64((*uint64)(p), binary.NativeEndian.Uint64(key))
		p = unsafe.Add(p, 8)
	}
	atomic.StoreUint64((*uint64)(p), lastWord(key))
}

// moved reports whether an element changed since its Seq was seq, or is not in
// the chain of hash. The caller has read Next.
func (h *hashMap) moved(e *HashElem, seq, hash uint32) bool {
	return (atomic.LoadUint32(&e.Hash)^hash)&h.mask != 0 || seq&1 != 0 || atomic.LoadUint32(&e.Seq) != seq
}

// findWord finds a key of 4 or 8 bytes, which is one word in an element. It
// returns the element's reference and its Seq at that time, or 0.
func (h *hashMap) findWord(hash uint32, key uint64) (ref, seq uint32) {
	b := h.bucket(hash & h.mask)
	for step := 0; step < maxSteps; step++ {
		version := atomic.LoadUint32(&b.Lock) // first: a link is under a later one, or seen
		head := atomic.LoadUint32(&b.Head)
		for ref = head; ref != 0 && step < maxSteps; step++ {
			e := h.elem(ref)
			seq = atomic.LoadUint32(&e.Seq)
			if atomic.LoadUint64((*uint64)(e.key())) == key {
				if seq&1 == 0 && atomic.LoadUint32(&e.Seq) == seq {
					return ref, seq
				}
				break
			}
			ref = atomic.LoadUint32(&e.Next)
		}
		if ref == 0 && atomic.LoadUint32(&b.Head) == head && atomic.LoadUint32(&b.Lock) == version {
			return 0, 0
		}
	}
	var k [8]byte
	binary.NativeEndian.PutUint64(k[:], key)
	return h.findSlow(hash, k[:])
}

// findKey finds a key of any size; see findWord.
func (h *hashMap) findKey(hash uint32, key []byte) (ref, seq uint32) {
	b := h.bucket(hash & h.mask)
	for step := 0; step < maxSteps; step++ {
		version := atomic.LoadUint32(&b.Lock)
		head := atomic.LoadUint32(&b.Head)
		for ref = head; ref != 0 && step < maxSteps; step++ {
			e := h.elem(ref)
			seq = atomic.LoadUint32(&e.Seq)
			if atomic.LoadUint32(&e.Hash) == hash && h.sameKey(e, key) {
				if seq&1 == 0 && atomic.LoadUint32(&e.Seq) == seq {
					return ref, seq
				}
				break
			}
			ref = atomic.LoadUint32(&e.Next)
		}
		if ref == 0 && atomic.LoadUint32(&b.Head) == head && atomic.LoadUint32(&b.Lock) == version {
			return 0, 0
		}
	}
	return h.findSlow(hash, key)
}

// findSlow finds a key under the bucket's lock.
func (h *hashMap) findSlow(hash uint32, key []byte) (ref, seq uint32) {
	b := h.bucket(hash & h.mask)
	b.lock()
	if ref = *h.findLocked(b, hash, key); ref != 0 {
		seq = h.elem(ref).Seq
	}
	b.unlock()
	return ref, seq
}

// locate finds a key without a lock.
func (h *hashMap) locate(key []byte) (ref, seq uint32) {
	switch len(key) {
	case 8:
		k := binary.NativeEndian.Uint64(key)
		return h.findWord(uint32(mix(h.seed0, k, h.seed1)), k)
	case 4:
		k := binary.NativeEndian.Uint32(key)
		return h.findWord(uint32(mix(h.seed0, uint64(k), h.seed1)), lastWord(key))
	}
	return h.findKey(h.hash(key), key)
}

func (h *hashMap) lookup(cpu int, key []byte) uintptr {
	ref, _ := h.locate(key)
	if ref == 0 {
		return 0
	}
	e := h.elem(ref)
	if h.lru && atomic.LoadUint32(&e.Used) == 0 {
		atomic.StoreUint32(&e.Used, 1)
	}
	if h.perCPU {
		return uintptr(*(*uint64)(h.cell(e))) + uintptr(cpu)*h.cpuStride
	}
	return uintptr(h.cell(e))
}

// get copies a value out. If the element was reused meanwhile, it looks again.
// It does not count as use to an LRU map, as in Linux.
func (h *hashMap) get(key, value []byte, _ uint64) Errno {
	for range 8 {
		ref, seq := h.locate(key)
		if ref == 0 {
			return ENOENT
		}
		h.copyValue(value, ref)
		if atomic.LoadUint32(&h.elem(ref).Seq) == seq {
			return 0
		}
	}
	hash := h.hash(key)
	b := h.bucket(hash & h.mask)
	b.lock()
	defer b.unlock()
	ref := *h.findLocked(b, hash, key)
	if ref == 0 {
		return ENOENT
	}
	h.copyValue(value, ref)
	return 0
}
