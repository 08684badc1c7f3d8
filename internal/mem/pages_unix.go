//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package mem

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// reservation is what the OS was asked for: guard page, pages, guard page.
//
//	+-------+---------------------------+-------+
//	| guard | size, rounded up to pages | guard |
//	+-------+---------------------------+-------+
type reservation struct {
	all []byte
}

func reserve(size int, low bool) (reservation, unsafe.Pointer, error) {
	n := roundUp(size, pageSize)
	flags := unix.MAP_ANON | unix.MAP_PRIVATE | mapNoReserve
	if low {
		flags |= mapLow
	}
	all, err := unix.Mmap(-1, 0, n+2*pageSize, unix.PROT_NONE, flags)
	if err != nil && low { // there is no room there
		return reserve(size, false)
	}
	if err != nil {
		return reservation{}, nil, err
	}
	r := reservation{all}
	if err := unix.Mprotect(r.inner(), unix.PROT_READ|unix.PROT_WRITE); err != nil {
		_ = unix.Munmap(all)
		return reservation{}, nil, err
	}
	return r, unsafe.Pointer(&all[pageSize]), nil
}

// inner is the reservation without its guard pages.
func (r reservation) inner() []byte { return r.all[pageSize : len(r.all)-pageSize] }

func (r reservation) release() error { return unix.Munmap(r.all) }

// protect changes what may be done with n bytes at off, whole pages.
func (r reservation) protect(off, n int, to access) error {
	return unix.Mprotect(r.inner()[off:off+n], protections[to])
}

var protections = [...]int{noAccess: unix.PROT_NONE, writable: unix.PROT_READ | unix.PROT_WRITE, executable: unix.PROT_READ | unix.PROT_EXEC}
