package maps

import (
	"fmt"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// What engines ask of maps beside what helpers do.

// ValueAddr returns the address of the byte at off in the first value of an Array,
// which 64-bit immediate loads of kind map value stand for.
func (m *Map) ValueAddr(off uint32) (uint64, error) {
	if m.typ != Array || off >= m.valueSize {
		return 0, fmt.Errorf("map %s: no address at offset %d: %w", m, off, EINVAL)
	}
	return m.hdr.Base + uint64(off), nil
}

// Target is [Map.ProgramAt] for engines that know nothing of this package: nil
// if there is no program.
func (m *Map) Target(index uint32) any {
	if p := m.ProgramAt(index); p != nil {
		return p
	}
	return nil
}

// Cells returns where the values of an Array or PerCPUArray lie, for engines that find
// them without a call. It reports false for maps of other types.
func (m *Map) Cells() (mem.Cells, bool) {
	if m.typ != Array && m.typ != PerCPUArray {
		return mem.Cells{}, false
	}
	return mem.Cells{Base: m.hdr.Base, Stride: uint64(m.hdr.Stride), CPUStride: m.hdr.CPUStride, Len: m.maxEntries}, true
}
