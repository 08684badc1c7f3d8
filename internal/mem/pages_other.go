//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly || windows)

package mem

import (
	"errors"
	"unsafe"
)

// reservation keeps the slice that stands in for pages. It has no pointers in
// it, and Go's collector does not move heap objects.
type reservation struct {
	words []uint64
}

func reserve(size int, _ bool) (reservation, unsafe.Pointer, error) {
	const align = 64
	words := make([]uint64, (size+align+7)/8)
	base := unsafe.Pointer(&words[0])
	pad := -uintptr(base) & (align - 1)
	return reservation{words}, unsafe.Add(base, pad), nil
}

func (r reservation) release() error { return nil }

// protect fails for executable memory, and does nothing else.
func (r reservation) protect(_, _ int, to access) error {
	if to == executable {
		return errors.ErrUnsupported
	}
	return nil
}
