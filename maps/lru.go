package maps

import (
	"runtime"
	"sync/atomic"
)

// An LRU map evicts with a clock: a hand goes round all elements; one that was
// looked up since the hand passed last gets another round, the first that was
// not goes. Linux keeps lists and the same bit; which of the elements not used
// lately goes first is not specified by either.

// evict takes an element out of the map and returns it, still counted, to the
// caller. It returns 0 if two rounds found none: they are all in the hands of
// other updates, which will have put theirs in or given it back the next time.
func (h *hashMap) evict() uint32 {
	c := h.control()
	n := atomic.LoadUint32(&c.Fresh)
	for range 2 * uint64(n) {
		ref := h.ref(atomic.AddUint32(&c.Hand, 1) % n)
		e := h.elem(ref)
		seq := atomic.LoadUint32(&e.Seq)
		if seq&1 != 0 {
			continue
		}
		if atomic.LoadUint32(&e.Used) != 0 {
			atomic.StoreUint32(&e.Used, 0)
			continue
		}
		b := h.bucket(atomic.LoadUint32(&e.Hash) & h.mask)
		b.lock()
		// The element cannot have left the chain of this hash and kept its Seq.
		if atomic.LoadUint32(&e.Seq) == seq {
			at := &b.Head
			for *at != ref {
				at = &h.elem(*at).Next
			}
			h.unlink(at)
			b.unlock()
			return ref
		}
		b.unlock()
	}
	runtime.Gosched()
	return 0
}
