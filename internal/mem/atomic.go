package mem

import (
	"sync/atomic"
	"unsafe"
)

// Atomic access to program-visible memory. The size is in bytes and p is
// aligned to it. Go's atomics are sequentially consistent, which is at least
// what programs ask for.

// LoadAcquire returns the 1, 2, 4 or 8 bytes at p.
func LoadAcquire(p unsafe.Pointer, size int) uint64 {
	switch size {
	case 8:
		return atomic.LoadUint64((*uint64)(p))
	case 4:
		return uint64(atomic.LoadUint32((*uint32)(p)))
	}
	word, shift := within(p, size)
	return uint64(atomic.LoadUint32(word)>>shift) & (1<<(8*size) - 1)
}

// StoreRelease writes v to the 1, 2, 4 or 8 bytes at p.
func StoreRelease(p unsafe.Pointer, size int, v uint64) {
	switch size {
	case 8:
		atomic.StoreUint64((*uint64)(p), v)
	case 4:
		atomic.StoreUint32((*uint32)(p), uint32(v))
	default:
		// Nothing orders a narrow store, but it may be made part of an exchange of the
		// word around it, which stays within the page and so within the mapping.
		word, shift := within(p, size)
		mask := uint32(1<<(8*size)-1) << shift
		for {
			old := atomic.LoadUint32(word)
			if atomic.CompareAndSwapUint32(word, old, old&^mask|uint32(v)<<shift&mask) {
				return
			}
		}
	}
}

// Update replaces the 4 or 8 bytes at p with what f makes of them, and returns
// what they were. f may be called several times.
func Update(p unsafe.Pointer, size int, f func(old uint64) uint64) uint64 {
	for {
		if size == 8 {
			old := atomic.LoadUint64((*uint64)(p))
			if atomic.CompareAndSwapUint64((*uint64)(p), old, f(old)) {
				return old
			}
			continue
		}
		old := atomic.LoadUint32((*uint32)(p))
		if atomic.CompareAndSwapUint32((*uint32)(p), old, uint32(f(uint64(old)))) {
			return uint64(old)
		}
	}
}

// within returns the aligned word that holds the 1 or 2 bytes at p, and by how
// many bits they are shifted in it.
func within(p unsafe.Pointer, size int) (*uint32, uint) {
	off := uintptr(p) & 3
	shift := 8 * off
	if bigEndian {
		shift = 8 * (4 - off - uintptr(size))
	}
	return (*uint32)(unsafe.Add(p, -int(off))), uint(shift)
}

var bigEndian = func() bool {
	x := uint16(1)
	return *(*byte)(unsafe.Pointer(&x)) == 0
}()
