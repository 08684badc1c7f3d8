package mem

import (
	"sync/atomic"
	"unsafe"
)

// AddOwned adds n to a counter that only one goroutine at a time writes, and others read with
// [atomic.Uint64.Load]. It is a plain addition, which takes a quarter of the time of an atomic one: where a
// word has 64 bits, Go's memory model has reads see whole values of those that were written. The race detector,
// which knows nothing of who owns p, is told to leave it alone.
//
//go:norace
func AddOwned(p *atomic.Uint64, n uint64) {
	if unsafe.Sizeof(uintptr(0)) < 8 {
		p.Add(n)
		return
	}
	*(*uint64)(unsafe.Pointer(p)) += n // it has nothing in front of its value
}
