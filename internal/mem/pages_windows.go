package mem

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// reservation is the address that VirtualAlloc gave: guard page, pages, guard
// page, of which only the pages between are committed.
type reservation struct {
	addr uintptr
	size int // of the pages between
}

func reserve(size int, _ bool) (reservation, unsafe.Pointer, error) {
	n := roundUp(size, pageSize)
	addr, err := windows.VirtualAlloc(0, uintptr(n+2*pageSize), windows.MEM_RESERVE, windows.PAGE_NOACCESS)
	if err != nil {
		return reservation{}, nil, err
	}
	inner, err := windows.VirtualAlloc(addr+uintptr(pageSize), uintptr(n), windows.MEM_COMMIT, windows.PAGE_READWRITE)
	if err != nil {
		_ = windows.VirtualFree(addr, 0, windows.MEM_RELEASE)
		return reservation{}, nil, err
	}
	// The OS hands out an integer; this is the one place where it becomes a
	// pointer. It points outside the Go heap, so the collector ignores it.
	return reservation{addr, n}, *(*unsafe.Pointer)(unsafe.Pointer(&inner)), nil
}

func (r reservation) release() error {
	return windows.VirtualFree(r.addr, 0, windows.MEM_RELEASE)
}

// protect changes what may be done with n bytes at off, whole pages.
func (r reservation) protect(off, n int, to access) error {
	var old uint32
	return windows.VirtualProtect(r.addr+uintptr(pageSize+off), uintptr(n), protections[to], &old)
}

var protections = [...]uint32{noAccess: windows.PAGE_NOACCESS, writable: windows.PAGE_READWRITE, executable: windows.PAGE_EXECUTE_READ}
