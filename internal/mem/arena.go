package mem

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"
)

// ErrNoMemory is wrapped by every error that says the OS gave no pages.
var ErrNoMemory = errors.New("out of memory")

// ErrClosed is returned by the use of memory that has been closed.
var ErrClosed = errors.New("memory is closed")

var pageSize = os.Getpagesize()

// maxArena keeps page rounding and guard pages from overflowing an int.
const maxArena = int(^uint(0)>>1) - 1<<20

// Arena is a run of zeroed bytes outside the Go heap whose address stays the
// same until Close. Where the OS has pages, the memory is committed when it is
// first touched and an inaccessible page lies on either side; elsewhere it is a
// plain slice, aligned to 64 bytes.
//
// Whoever shares an Arena between goroutines sees to it that nobody uses its
// bytes after Close; the methods themselves may be called at any time.
type Arena struct {
	base   unsafe.Pointer
	size   int
	res    reservation
	closed atomic.Bool
}

// New returns an arena of size bytes, at least 1. The error wraps ErrNoMemory
// if the OS refuses.
func New(size int) (*Arena, error) { return newArena(size, false) }

// maxLow is the size above which NewLow does not try: there are at most 2 GB for all.
const maxLow = 4 << 20

// NewLow is New for what machine code has the addresses of: the arena lies below 2^31, where an
// address is an operand like any other constant, if the OS can be asked for that and has room there.
func NewLow(size int) (*Arena, error) { return newArena(size, size <= maxLow) }

// NewPair returns an arena of two parts of size bytes each. The second begins [PairDistance] behind the first, and an
// inaccessible page lies between them where the OS has pages.
func NewPair(size int) (*Arena, error) {
	a, err := newArena(PairDistance(size)+size, false)
	if err != nil {
		return nil, err
	}
	if err := a.res.protect(PairDistance(size)-pageSize, pageSize, noAccess); err != nil {
		_ = a.Close()
		return nil, fmt.Errorf("mem: guard page: %w: %w", ErrNoMemory, err)
	}
	return a, nil
}

// PairDistance is how many bytes behind the first part of what [NewPair] returns the second begins.
func PairDistance(size int) int { return roundUp(size, pageSize) + pageSize }

// access is what may be done with pages beside reading them: never both.
type access uint8

const (
	noAccess access = iota // not even reading
	writable
	executable
)

func newArena(size int, low bool) (*Arena, error) {
	if size <= 0 || size > maxArena {
		return nil, fmt.Errorf("mem: arena of %d bytes: %w", size, ErrNoMemory)
	}
	res, base, err := reserve(size, low)
	if err != nil {
		return nil, fmt.Errorf("mem: arena of %d bytes: %w: %w", size, ErrNoMemory, err)
	}
	return &Arena{base: base, size: size, res: res}, nil
}

// Base returns the address of the first byte, nil after Close.
func (a *Arena) Base() unsafe.Pointer {
	if a.closed.Load() {
		return nil
	}
	return a.base
}

// Addr returns the address of the first byte as an integer, 0 after Close.
func (a *Arena) Addr() uintptr { return uintptr(a.Base()) }

// Size returns the size that the arena was made with, in bytes.
func (a *Arena) Size() int { return a.size }

// Bytes returns the whole arena, nil after Close. The slice is only good until
// Close: touching it later faults.
func (a *Arena) Bytes() []byte {
	base := a.Base()
	if base == nil {
		return nil
	}
	return unsafe.Slice((*byte)(base), a.size)
}

// Close gives the memory back. Closing twice does nothing.
func (a *Arena) Close() error {
	if a.closed.Swap(true) {
		return nil
	}
	if err := a.res.release(); err != nil {
		return fmt.Errorf("mem: release arena: %w", err)
	}
	return nil
}

// roundUp rounds n up to a multiple of align, a power of two.
func roundUp(n, align int) int { return (n + align - 1) &^ (align - 1) }
