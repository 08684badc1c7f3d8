package mem

import (
	"encoding/binary"
	"unsafe"
)

// Pointer makes an address of off-heap memory a pointer. It is sound for
// addresses that an Arena handed out and that live as long as the pointer: the
// garbage collector neither moves nor frees what is not on its heap. Going
// through memory keeps vet's rule for heap pointers, which this is not, quiet.
func Pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }

// Load returns the number that b, 1, 2, 4 or 8 bytes long, holds in the
// machine's byte order, zero-extended.
func Load(b []byte) uint64 {
	switch len(b) {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.NativeEndian.Uint16(b))
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	}
	return binary.NativeEndian.Uint64(b)
}

// Store writes the low bytes of v to b, 1, 2, 4 or 8 bytes long, in the
// machine's byte order.
func Store(b []byte, v uint64) {
	switch len(b) {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.NativeEndian.PutUint16(b, uint16(v))
	case 4:
		binary.NativeEndian.PutUint32(b, uint32(v))
	default:
		binary.NativeEndian.PutUint64(b, v)
	}
}
