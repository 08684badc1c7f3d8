package maps

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// unsupported answers what a map type does not do as Linux does: with ENOTSUPP.
type unsupported struct{}

func (unsupported) lookup(int, []byte) uintptr               { return 0 }
func (unsupported) update(int, []byte, []byte, uint64) Errno { return EINVAL }
func (unsupported) remove([]byte) Errno                      { return ENOTSUPP }
func (unsupported) find(uintptr) (uintptr, bool)             { return 0, false }
func (unsupported) get([]byte, []byte, uint64) Errno         { return ENOTSUPP }
func (unsupported) set([]byte, []byte, uint64) Errno         { return ENOTSUPP }
func (unsupported) next([]byte, []byte) Errno                { return ENOTSUPP }
func (unsupported) free()                                    {}

// cells is an off-heap array of equal cells, and of one such array per CPU.
//
//	Base              +stride          +2*stride
//	+-----------------+----------------+---- ... ----+  CPU 0, or the only one
//	| value 0         | value 1        |             |
//	+-----------------+----------------+---- ... ----+  Base+CPUStride: CPU 1
//	| value 0         | value 1        |             |
//	+-----------------+----------------+---- ... ----+
//
// stride is value size rounded up to 8.
type cells struct {
	arena     *mem.Arena
	base      unsafe.Pointer
	stride    uintptr
	cpuStride uintptr
	size      uintptr // bytes of a value that programs see
	max       uint32
	cpus      uintptr
}

// newCells makes the array and writes its place in the map's header.
func newCells(c *core, size uint32, cpus int) (cells, error) {
	stride := uint64(round8(uint64(size)))
	cpuStride := stride * uint64(c.maxEntries) // at most 2^63: both factors are below 2^32
	if cpus > 1 {
		cpuStride = (cpuStride + 127) &^ 127 // CPUs share no cache line, nor a pair of them
	}
	if cpuStride > math.MaxInt/2/uint64(cpus) {
		return cells{}, fmt.Errorf("%d bytes for each of %d CPUs: %w", cpuStride, cpus, mem.ErrNoMemory)
	}
	a, err := mem.NewLow(int(cpuStride) * cpus)
	if err != nil {
		return cells{}, err
	}
	h := c.hdr
	h.Base, h.Stride = uint64(a.Addr()), uint32(stride)
	if c.typ.PerCPU() {
		h.CPUStride = cpuStride
	}
	return cells{a, a.Base(), uintptr(stride), uintptr(cpuStride), uintptr(size), c.maxEntries, uintptr(cpus)}, nil
}

func (a *cells) at(cpu int, index uint32) unsafe.Pointer {
	return unsafe.Add(a.base, uintptr(cpu)*a.cpuStride+uintptr(index)*a.stride)
}

func (a *cells) find(addr uintptr) (uintptr, bool) {
	off := addr - uintptr(a.base)
	if off >= a.cpuStride*a.cpus {
		return 0, false
	}
	in := off % a.cpuStride
	if in >= uintptr(a.max)*a.stride || in%a.stride >= a.size {
		return 0, false
	}
	return addr - in%a.stride, true
}

func (a *cells) next(key, next []byte) Errno { return nextIndex(a.max, key, next) }

func (a *cells) free() { _ = a.arena.Close() }

// nextIndex is the iteration of every array: after an index that is none comes
// the first.
func nextIndex(max uint32, key, next []byte) Errno {
	i := uint32(0)
	if key != nil {
		if k := index(key); k < max {
			if i = k + 1; i == max {
				return ENOENT
			}
		}
	}
	binary.NativeEndian.PutUint32(next, i)
	return 0
}

func index(key []byte) uint32 { return binary.NativeEndian.Uint32(key) }

// array is an Array or PerCPUArray.
type array struct {
	cells
	perCPU bool
}

func newArray(c *core) (*array, error) {
	cpus := 1
	if c.typ.PerCPU() {
		cpus = c.numCPU
	}
	cs, err := newCells(c, c.valueSize, cpus)
	if err != nil {
		return nil, err
	}
	return &array{cs, c.typ.PerCPU()}, nil
}

func (a *array) lookup(cpu int, key []byte) uintptr {
	i := index(key)
	if i >= a.max {
		return 0
	}
	p := uintptr(a.base) + uintptr(i)*a.stride
	if a.perCPU {
		p += uintptr(cpu) * a.cpuStride
	}
	return p
}

// place checks an update's flags and index in Linux's order.
func (a *array) place(key []byte, flags uint64) (uint32, Errno) {
	i := index(key)
	if a.perCPU {
		switch {
		case flags > uint64(UpdateExist):
			return 0, EINVAL
		case i >= a.max:
			return 0, E2BIG
		case flags == uint64(UpdateNoExist):
			return 0, EEXIST
		}
		return i, 0
	}
	switch {
	case flags&^uint64(UpdateLock) > uint64(UpdateExist):
		return 0, EINVAL
	case i >= a.max:
		return 0, E2BIG
	case flags&uint64(UpdateNoExist) != 0:
		return 0, EEXIST
	case flags&uint64(UpdateLock) != 0:
		return 0, EINVAL
	}
	return i, 0
}

func (a *array) update(cpu int, key, value []byte, flags uint64) Errno {
	i, e := a.place(key, flags)
	if e != 0 {
		return e
	}
	if !a.perCPU {
		cpu = 0
	}
	copyIn(a.at(cpu, i), value)
	return 0
}

func (a *array) remove([]byte) Errno { return EINVAL }

func (a *array) get(key, value []byte, _ uint64) Errno {
	i := index(key)
	if i >= a.max {
		return ENOENT
	}
	if !a.perCPU {
		copyOut(value, a.at(0, i))
		return 0
	}
	for cpu := range int(a.cpus) {
		copyOut(value[cpu*int(a.stride):][:a.stride], a.at(cpu, i))
	}
	return 0
}

func (a *array) set(key, value []byte, flags uint64) Errno {
	i, e := a.place(key, flags)
	if e != 0 {
		return e
	}
	if !a.perCPU {
		copyIn(a.at(0, i), value)
		return 0
	}
	for cpu := range int(a.cpus) {
		copyIn(a.at(cpu, i), value[cpu*int(a.stride):][:a.size])
	}
	return 0
}

func (a *array) walk(cpu int, key []byte, each func(uintptr) bool) int {
	for i := range a.max {
		binary.NativeEndian.PutUint32(key, i)
		if !each(a.lookup(cpu, key)) {
			return int(i) + 1
		}
	}
	return int(a.max)
}
