package maps

import (
	"encoding/binary"
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// Values are copied in and out by 8-byte words, each with one load or store, so
// that an aligned word is never torn by a program on another CPU. (The runtime's
// memmove promises this for pointers only.) The off-heap side is 8-byte aligned.

// copyIn copies src to p.
func copyIn(p unsafe.Pointer, src []byte) {
	for len(src) >= 8 {
		storeWord((*uint64)(p), binary.NativeEndian.Uint64(src))
		src, p = src[8:], unsafe.Add(p, 8)
	}
	if len(src) >= 4 {
		*(*uint32)(p) = binary.NativeEndian.Uint32(src)
		src, p = src[4:], unsafe.Add(p, 4)
	}
	if len(src) >= 2 {
		*(*uint16)(p) = binary.NativeEndian.Uint16(src)
		src, p = src[2:], unsafe.Add(p, 2)
	}
	if len(src) > 0 {
		*(*byte)(p) = src[0]
	}
}

// copyOut copies len(dst) bytes from p to dst.
func copyOut(dst []byte, p unsafe.Pointer) {
	for len(dst) >= 8 {
		binary.NativeEndian.PutUint64(dst, loadWord((*uint64)(p)))
		dst, p = dst[8:], unsafe.Add(p, 8)
	}
	if len(dst) >= 4 {
		binary.NativeEndian.PutUint32(dst, *(*uint32)(p))
		dst, p = dst[4:], unsafe.Add(p, 4)
	}
	if len(dst) >= 2 {
		binary.NativeEndian.PutUint16(dst, *(*uint16)(p))
		dst, p = dst[2:], unsafe.Add(p, 2)
	}
	if len(dst) > 0 {
		dst[0] = *(*byte)(p)
	}
}

func loadWord(p *uint64) uint64 {
	if bits.UintSize == 32 {
		return atomic.LoadUint64(p)
	}
	return *p
}

func storeWord(p *uint64, v uint64) {
	if bits.UintSize == 32 {
		atomic.StoreUint64(p, v)
		return
	}
	*p = v
}

// zero clears size bytes at p, a multiple of 8.
func zero(p unsafe.Pointer, size uintptr) {
	for i := uintptr(0); i < size; i += 8 {
		storeWord((*uint64)(unsafe.Add(p, i)), 0)
	}
}

func round8[T ~uint32 | ~uint64 | ~uintptr](n T) T { return (n + 7) &^ 7 }

// lock takes an off-heap spin lock: 0 is free, 1 is taken. Native code may take
// it with cmpxchg too. Holders neither block nor take a second one, so a waiter
// only ever waits for a few instructions, or for a preempted holder to be
// scheduled again: hence the yield.
func lock(l *uint32) {
	for spins := 0; !atomic.CompareAndSwapUint32(l, 0, 1); spins++ {
		if spins >= 32 {
			runtime.Gosched()
		}
	}
}

func unlock(l *uint32) { atomic.StoreUint32(l, 0) }
