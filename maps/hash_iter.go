package maps

import (
	"sync/atomic"
)

// next gives the key after key in bucket order, the first one if key is nil or
// not in the map.
func (h *hashMap) next(key, next []byte) Errno {
	start := uint32(0)
	if key != nil {
		hash := h.hash(key)
		b := h.bucket(hash & h.mask)
		b.lock()
		ref := *h.findLocked(b, hash, key)
		if ref != 0 {
			start = hash&h.mask + 1
			if ref = h.elem(ref).Next; ref != 0 {
				copyKey(next, h.elem(ref))
				b.unlock()
				return 0
			}
		}
		b.unlock()
	}
	for i := uint64(start); i <= uint64(h.mask); i++ {
		b := h.bucket(uint32(i))
		if atomic.LoadUint32(&b.Head) == 0 {
			continue
		}
		b.lock()
		ref := b.Head
		if ref != 0 {
			copyKey(next, h.elem(ref))
		}
		b.unlock()
		if ref != 0 {
			return 0
		}
	}
	return ENOENT
}

func copyKey(dst []byte, e *HashElem) { copyOut(dst, e.key()) }

// walk visits every element for a program, without locks: the callback may
// change the map. Next is read before the callback, as in Linux; if that element
// has moved to another chain since, the rest of the chain is left out.
func (h *hashMap) walk(cpu int, key []byte, each func(uintptr) bool) int {
	n := 0
	for i := uint64(0); i <= uint64(h.mask); i++ {
		ref := atomic.LoadUint32(&h.bucket(uint32(i)).Head)
		for steps := uint32(0); ref != 0 && steps < h.total; steps++ {
			e := h.elem(ref)
			seq := atomic.LoadUint32(&e.Seq)
			copyKey(key, e)
			next := atomic.LoadUint32(&e.Next)
			if h.moved(e, seq, uint32(i)) {
				break
			}
			n++
			if !each(uintptr(h.value(e, ref, cpu))) {
				return n
			}
			ref = next
		}
	}
	return n
}

// batch copies out, and removes if take, the elements of whole buckets from
// *at on, until the next one does not fit. It is the batch operation of Linux:
// ENOENT says that the end was reached, ENOSPC that the first bucket has more
// than max elements. emit is given room for one element.
func (h *hashMap) batch(at *uint32, max int, take bool, emit func(i int) (key, value []byte)) (n int, e Errno) {
	for ; uint64(*at) <= uint64(h.mask); *at++ {
		b := h.bucket(*at)
		if atomic.LoadUint32(&b.Head) == 0 {
			if *at == h.mask {
				break
			}
			continue
		}
		b.lock()
		got, taken := h.batchLocked(b, n, max, take, emit)
		b.unlock()
		for taken != 0 {
			next := h.elem(taken).Next
			h.put(taken)
			h.uncount()
			taken = next
		}
		if got < 0 {
			if n == 0 {
				return 0, ENOSPC
			}
			return n, 0
		}
		n += got
		if *at == h.mask {
			break
		}
	}
	return n, ENOENT
}

// batchLocked does one bucket. It returns -1 if it does not fit, and the chain
// of what it took out.
func (h *hashMap) batchLocked(b *HashBucket, n, max int, take bool, emit func(i int) (key, value []byte)) (got int, taken uint32) {
	for ref := b.Head; ref != 0; ref = h.elem(ref).Next {
		got++
	}
	if n+got > max {
		return -1, 0
	}
	i := n
	for ref := b.Head; ref != 0; ref = h.elem(ref).Next {
		key, value := emit(i)
		copyKey(key, h.elem(ref))
		h.copyValue(value, ref)
		i++
	}
	if !take {
		return got, 0
	}
	taken = b.Head
	atomic.StoreUint32(&b.Head, 0)
	for ref := taken; ref != 0; ref = h.elem(ref).Next {
		atomic.AddUint32(&h.elem(ref).Seq, 1)
	}
	return got, taken
}
