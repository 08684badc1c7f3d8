package jit

import (
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// arithmetic is an instruction that computes Dst from A and B or Imm.
func (e *emitter) arithmetic(in *lower.Ins) {
	if in.Size != 0 && in.Op >= lower.Add && in.Op <= lower.Xor {
		e.withMemory(in)
		return
	}
	w, dst := width(in.Wide), reg(in.Dst)
	switch in.Op {
	case lower.Mov:
		e.move(in)
	case lower.Add:
		e.add(in)
	case lower.Sub:
		e.sub(in)
	case lower.Mul:
		e.mul(in)
	case lower.And:
		e.and(in)
	case lower.Or:
		e.binary(amd64.Or, in)
	case lower.Xor:
		e.binary(amd64.Xor, in)
	case lower.LSh:
		e.shift(amd64.Shl, in)
	case lower.RSh:
		e.shift(amd64.Shr, in)
	case lower.ArSh:
		e.shift(amd64.Sar, in)
	case lower.Rol:
		e.copyTo(dst, in.A, w)
		e.ShiftImm(amd64.Rol, w, dst, uint8(in.Imm))
	case lower.Neg:
		e.copyTo(dst, in.A, w)
		e.Unary(amd64.Neg, w, dst)
	case lower.Zext:
		e.Extend(int(in.Size), false, amd64.W32, dst, reg(in.A))
	case lower.Sext:
		e.Extend(int(in.Size), true, w, dst, reg(in.A))
	case lower.Swap:
		e.swap(in)
	case lower.Popcount:
		e.Popcnt(w, dst, reg(in.A))
	case lower.Lea:
		e.lea(in)
	case lower.Exchange:
		// Three moves, which are free, unlike xchg.
		e.Mov(w, scratch, dst)
		e.Mov(w, dst, reg(in.B))
		e.Mov(w, reg(in.B), scratch)
	default:
		e.divide(in)
	}
}

// copyTo makes dst hold r, unless it does.
func (e *emitter) copyTo(dst amd64.Reg, r lower.Reg, w amd64.Width) { e.moveTo(dst, reg(r), w) }

func (e *emitter) moveTo(dst, src amd64.Reg, w amd64.Width) {
	if src != dst {
		e.Mov(w, dst, src)
	}
}

func (e *emitter) move(in *lower.Ins) {
	dst, w := reg(in.Dst), width(in.Wide)
	switch {
	case in.B == lower.None:
		e.constant(dst, w, in.Imm)
	case w == amd64.W32 || in.B != in.Dst:
		e.Mov(w, dst, reg(in.B))
	}
}

// constant makes dst hold v, of which a 32-bit operation has the lower half.
func (e *emitter) constant(dst amd64.Reg, w amd64.Width, v int64) {
	if w == amd64.W32 {
		v = int64(uint32(v))
	}
	if v == 0 {
		e.RR(amd64.Xor, amd64.W32, dst, dst)
		return
	}
	e.MovImm(dst, uint64(v))
}

// immediate returns the constant of in as an instruction can have it, and whether it can.
func immediate(in *lower.Ins) (int32, bool) {
	if in.B != lower.None {
		return 0, false
	}
	return int32(in.Imm), !in.Wide || fits(in.Imm)
}

// constant returns the constant of in as its operation reads it.
func constant(in *lower.Ins) uint64 {
	if !in.Wide {
		return uint64(uint32(in.Imm))
	}
	return uint64(in.Imm)
}

// operand returns the register that holds B or, if it is none and no immediate, the constant.
func (e *emitter) operand(in *lower.Ins) amd64.Reg {
	if in.B != lower.None {
		return reg(in.B)
	}
	e.MovImm(scratch, uint64(in.Imm))
	return scratch
}

// binary is an operation whose operands may be swapped.
func (e *emitter) binary(op amd64.ALU, in *lower.Ins) {
	dst, w := reg(in.Dst), width(in.Wide)
	if imm, ok := immediate(in); ok {
		e.copyTo(dst, in.A, w)
		e.RI(op, w, dst, imm)
		return
	}
	b := e.operand(in)
	if b == dst {
		e.RR(op, w, dst, reg(in.A))
		return
	}
	e.copyTo(dst, in.A, w)
	e.RR(op, w, dst, b)
}

// and is binary for an operation that may be a zero-extension.
func (e *emitter) and(in *lower.Ins) {
	dst, a := reg(in.Dst), amd64.NoReg
	if in.B == lower.None {
		a = reg(in.A)
	}
	switch {
	case a == amd64.NoReg:
	case in.Imm == 0xff:
		e.Extend(1, false, amd64.W32, dst, a)
		return
	case in.Imm == 0xffff:
		e.Extend(2, false, amd64.W32, dst, a)
		return
	case in.Imm == 0xffffffff:
		e.Mov(amd64.W32, dst, a)
		return
	case uint64(in.Imm)>>32 == 0: // the upper half becomes zero
		e.copyTo(dst, in.A, amd64.W32)
		e.RI(amd64.And, amd64.W32, dst, int32(in.Imm))
		return
	}
	e.binary(amd64.And, in)
}

func (e *emitter) add(in *lower.Ins) {
	dst, w := reg(in.Dst), width(in.Wide)
	if in.Dst == in.A || in.Dst == in.B {
		e.binary(amd64.Add, in)
		return
	}
	if imm, ok := immediate(in); ok {
		e.Lea(w, dst, amd64.At(reg(in.A), imm))
		return
	}
	e.Lea(w, dst, amd64.Mem{Base: reg(in.A), Index: e.operand(in), Scale: 1})
}

func (e *emitter) sub(in *lower.Ins) {
	dst, w := reg(in.Dst), width(in.Wide)
	if imm, ok := immediate(in); ok {
		if dst != reg(in.A) && imm != -imm {
			e.Lea(w, dst, amd64.At(reg(in.A), -imm))
			return
		}
		e.copyTo(dst, in.A, w)
		e.RI(amd64.Sub, w, dst, imm)
		return
	}
	b := e.operand(in)
	if b == dst && in.A != in.B {
		e.Unary(amd64.Neg, w, dst)
		e.RR(amd64.Add, w, dst, reg(in.A))
		return
	}
	e.copyTo(dst, in.A, w)
	e.RR(amd64.Sub, w, dst, b)
}

func (e *emitter) mul(in *lower.Ins) {
	dst, w := reg(in.Dst), width(in.Wide)
	if in.B == lower.None && e.mulConst(in, constant(in)) {
		return
	}
	if imm, ok := immediate(in); ok {
		e.IMulImm(w, dst, reg(in.A), imm)
		return
	}
	b := e.operand(in)
	if b == dst {
		e.IMul(w, dst, reg(in.A))
		return
	}
	e.copyTo(dst, in.A, w)
	e.IMul(w, dst, b)
}

// opcodes are those of operations that may have an operand in memory.
var opcodes = [...]amd64.ALU{lower.Add: amd64.Add, lower.Sub: amd64.Sub, lower.And: amd64.And, lower.Or: amd64.Or, lower.Xor: amd64.Xor}

// withMemory is an operation one of whose operands is in memory.
func (e *emitter) withMemory(in *lower.Ins) {
	if in.Dst == lower.None {
		if in.B != lower.None {
			e.MR(opcodes[in.Op], int(in.Size), e.mem(in), reg(in.B))
		} else {
			e.MI(opcodes[in.Op], int(in.Size), e.mem(in), int32(in.Imm))
		}
		return
	}
	w, m := width(in.Wide), e.memAt(in.B, in)
	e.copyTo(reg(in.Dst), in.A, w)
	if in.Op == lower.Mul {
		e.IMulMem(w, reg(in.Dst), m)
		return
	}
	e.RM(opcodes[in.Op], w, reg(in.Dst), m)
}

// shift masks its count, as BPF does.
func (e *emitter) shift(op amd64.Shift, in *lower.Ins) {
	dst, w := reg(in.Dst), width(in.Wide)
	if in.B == lower.None {
		count := uint8(in.Imm) & 31
		if in.Wide {
			count = uint8(in.Imm) & 63
		}
		if count == 0 {
			e.Mov(w, dst, reg(in.A))
			return
		}
		e.copyTo(dst, in.A, w)
		e.ShiftImm(op, w, dst, count)
		return
	}
	// The count has to be in RCX.
	b := reg(in.B)
	switch {
	case in.B == lower.Count && dst != amd64.RCX:
		e.copyTo(dst, in.A, w)
		e.ShiftCL(op, w, dst)
		return
	case in.Scale != 0 && in.A != lower.Count:
		e.Mov(amd64.W32, amd64.RCX, b)
		e.copyTo(dst, in.A, w)
		e.ShiftCL(op, w, dst)
		return
	case dst != amd64.RCX && dst != b:
		e.Mov(amd64.W64, scratch2, amd64.RCX)
		e.copyTo(dst, in.A, w)
		e.Mov(amd64.W32, amd64.RCX, b)
		e.ShiftCL(op, w, dst)
		e.Mov(amd64.W64, amd64.RCX, scratch2)
		return
	}
	e.Mov(amd64.W64, scratch2, amd64.RCX)
	e.Mov(amd64.W64, scratch, reg(in.A))
	if b != amd64.RCX {
		e.Mov(amd64.W32, amd64.RCX, b)
	}
	e.ShiftCL(op, w, scratch)
	e.Mov(amd64.W64, amd64.RCX, scratch2)
	e.Mov(amd64.W64, dst, scratch)
}

// swap reverses the low bytes of A.
func (e *emitter) swap(in *lower.Ins) {
	dst := reg(in.Dst)
	switch in.Size {
	case 2:
		e.copyTo(dst, in.A, amd64.W64)
		e.Swap16(dst)
		e.Extend(2, false, amd64.W32, dst, dst)
	case 4:
		e.copyTo(dst, in.A, amd64.W64)
		e.BSwap(amd64.W32, dst)
	default:
		e.copyTo(dst, in.A, amd64.W64)
		e.BSwap(amd64.W64, dst)
	}
}

func (e *emitter) lea(in *lower.Ins) {
	dst, w := reg(in.Dst), width(in.Wide)
	switch {
	case in.A != lower.None:
		e.Lea(w, dst, e.mem(in))
	default:
		e.LeaScaled(w, dst, reg(in.Index), in.Scale, in.Disp)
	}
}
