package jit

import (
	"math/bits"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// Where a CPU has what inlined helpers read.
const (
	cpuID   = int32(unsafe.Offsetof(vm.CPU{}.ID))
	cpuRand = int32(unsafe.Offsetof(vm.CPU{}.Rand))
)

// lookup finds a value of an array by the index in memory; see maps.Header for the layout.
func (e *emitter) lookup(in *lower.Ins) {
	cells, dst := &e.p.Cells[in.Imm], reg(in.Dst)
	e.Load(4, false, dst, e.mem(in))
	e.RI(amd64.Cmp, amd64.W32, dst, int32(cells.Len))
	inside := e.JccShort(amd64.B)
	e.RR(amd64.Xor, amd64.W32, dst, dst)
	none := e.JmpShort()
	e.Land(inside)
	if s := cells.Stride; s&(s-1) == 0 {
		e.ShiftImm(amd64.Shl, amd64.W64, dst, uint8(bits.TrailingZeros64(s)))
	} else {
		e.IMulImm(amd64.W64, dst, dst, int32(s))
	}
	e.MovImm(scratch, cells.Base)
	e.RR(amd64.Add, amd64.W64, dst, scratch)
	if cells.CPUStride != 0 {
		e.Load(8, false, scratch, onStackCPU)
		e.Load(8, false, scratch, amd64.At(scratch, cpuID))
		e.IMulImm(amd64.W64, scratch, scratch, int32(cells.CPUStride))
		e.RR(amd64.Add, amd64.W64, dst, scratch)
	}
	e.Land(none)
}

// random is what [vm.CPU.Random] does.
func (e *emitter) random(dst amd64.Reg) {
	e.Load(8, false, scratch2, onStackCPU)
	state := amd64.At(scratch2, cpuRand)
	e.Load(8, false, dst, state)
	for _, step := range [...]struct {
		op    amd64.Shift
		count uint8
	}{{amd64.Shr, 12}, {amd64.Shl, 25}, {amd64.Shr, 27}} {
		e.Mov(amd64.W64, scratch, dst)
		e.ShiftImm(step.op, amd64.W64, scratch, step.count)
		e.RR(amd64.Xor, amd64.W64, dst, scratch)
	}
	e.Store(8, state, dst)
	e.MovImm(scratch, vm.RandomFactor)
	e.IMul(amd64.W64, dst, scratch)
	e.ShiftImm(amd64.Shr, amd64.W64, dst, 32)
}
