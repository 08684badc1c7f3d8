package jit

import (
	"math/bits"
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// Where a CPU has what inlined helpers read.
const (
	cpuID   = int32(unsafe.Offsetof(vm.CPU{}.ID))
	cpuRand = int32(unsafe.Offsetof(vm.CPU{}.Rand))
)

// lookup finds a value of an array by its index; see maps.Header for the layout.
func (e *emitter) lookup(in *lower.Ins) {
	dst := reg(in.Dst)
	key := e.key(in, dst)
	e.RI(amd64.Cmp, amd64.W32, key, int32(e.p.Cells[in.Imm].Len))
	inside := e.JccShort(amd64.B)
	e.RR(amd64.Xor, amd64.W32, dst, dst)
	none := e.JmpShort()
	e.Land(inside)
	e.valueAt(in, dst, key)
	e.Land(none)
}

// nullCheck is the comparison of what a lookup has found with zero, as that of the index with the length of
// the array. Where it is not one of the array, the result is not zero yet.
type nullCheck struct {
	key    amd64.Reg
	length int32 // 0: the jump at hand is none
}

// checksNull reports whether all that follows the lookup in is a comparison of its result with zero.
func (e *emitter) checksNull(in *lower.Ins, rest []lower.Ins) bool {
	if len(rest) != 1 || rest[0].Op != lower.Jump {
		return false
	}
	j := &rest[0]
	return j.Wide && j.A == in.Dst && j.B == lower.None && j.Imm == 0 && (j.Cond == asm.JEq || j.Cond == asm.JNE) &&
		!e.checked(j.Slot, j.Target)
}

// lookupOrJump is a lookup whose result is compared with zero by the jump that follows.
func (e *emitter) lookupOrJump(in, jump *lower.Ins) {
	key := e.key(in, scratch2)
	if key == reg(in.Dst) {
		key = scratch2
		e.Mov(amd64.W32, key, reg(in.Dst))
	}
	e.valueAt(in, reg(in.Dst), key)
	e.null = nullCheck{key, int32(e.p.Cells[in.Imm].Len)}
	e.pending = e.base + e.p.Index[jump.Slot]
	e.begins(jump.Slot)
	e.jump(jump)
	if jump.Cond == asm.JNE && e.p.LiveAt(e.p.Blocks[e.block].Next).Has(in.Dst) {
		e.RR(amd64.Xor, amd64.W32, reg(in.Dst), reg(in.Dst))
	}
	e.null = nullCheck{}
}

// key returns the register that has the index for a lookup: to, if it has to be loaded.
func (e *emitter) key(in *lower.Ins, to amd64.Reg) amd64.Reg {
	if in.B != lower.None {
		return reg(in.B)
	}
	e.Load(4, false, to, e.mem(in))
	return to
}

// valueAt computes the address of an array's value whose index is in key.
func (e *emitter) valueAt(in *lower.Ins, dst, key amd64.Reg) {
	cells := &e.p.Cells[in.Imm]
	low := fits(int64(cells.Base))
	switch s := cells.Stride; {
	case low && s <= 8 && s&(s-1) == 0:
		e.LeaScaled(amd64.W64, dst, key, uint8(s), int32(cells.Base))
	case s&(s-1) == 0:
		if dst != key {
			e.Mov(amd64.W64, dst, key)
		}
		e.ShiftImm(amd64.Shl, amd64.W64, dst, uint8(bits.TrailingZeros64(s)))
		e.addBase(dst, cells.Base)
	default:
		e.IMulImm(amd64.W64, dst, key, int32(s))
		e.addBase(dst, cells.Base)
	}
	if cells.CPUStride != 0 {
		e.Load(8, false, scratch, onStackCPU)
		e.Load(8, false, scratch, amd64.At(scratch, cpuID))
		e.IMulImm(amd64.W64, scratch, scratch, int32(cells.CPUStride))
		e.RR(amd64.Add, amd64.W64, dst, scratch)
	}
}

func (e *emitter) addBase(dst amd64.Reg, base uint64) {
	if fits(int64(base)) {
		e.RI(amd64.Add, amd64.W64, dst, int32(base))
		return
	}
	e.MovImm(scratch, base)
	e.RR(amd64.Add, amd64.W64, dst, scratch)
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
