package jit

import (
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// divide is a division or modulo, signed or not.
func (e *emitter) divide(in *lower.Ins) {
	switch signed := in.Op == lower.SDiv || in.Op == lower.SMod; {
	case in.B == lower.None && e.divideConst(in, signed):
	case in.B == lower.None || reg(in.B) == scratch:
		// There is no scratch register left for the divisor.
		e.MovToX(0, counter)
		if in.B == lower.None {
			e.MovImm(counter, constant(in))
		} else {
			e.Mov(amd64.W64, counter, scratch)
		}
		e.divideBy(counter, in, signed)
		e.MovFromX(counter, 0)
	default:
		e.divideBy(reg(in.B), in, signed)
	}
}

// divideBy divides by a register. The processor has the dividend in RDX:RAX and traps where BPF
// has a result: division by zero, and overflow.
func (e *emitter) divideBy(b amd64.Reg, in *lower.Ins, signed bool) {
	w, dst, a := width(in.Wide), reg(in.Dst), reg(in.A)
	modulo := in.Op == lower.Mod || in.Op == lower.SMod
	b = e.spare(dst, b)
	switch {
	case signed:
		e.divideSigned(w, a, b, modulo)
	case modulo:
		// The division by zero leaves out the division only: RDX holds the dividend.
		e.moveTo(amd64.RAX, a, w)
		e.Mov(w, amd64.RDX, amd64.RAX)
		e.divideUnsigned(w, amd64.RAX, b, b)
	default:
		// RAX holds zero, the divisor.
		if a == amd64.RAX {
			a = amd64.RDX
			e.Mov(w, a, amd64.RAX)
		}
		e.Mov(w, amd64.RAX, b)
		e.divideUnsigned(w, a, b, amd64.RAX)
	}
	if modulo {
		e.moveTo(dst, amd64.RDX, amd64.W64)
	} else {
		e.moveTo(dst, amd64.RAX, amd64.W64)
	}
	e.restore(dst)
}

// divideUnsigned divides a by b unless test, a register that holds b, is zero. It does not look whether
// both would fit into 32 bits: on Zen 5 a division takes as long as its quotient, whatever its width.
func (e *emitter) divideUnsigned(w amd64.Width, a, b, test amd64.Reg) {
	e.Test(w, test, test)
	skip := e.JccShort(amd64.E)
	e.moveTo(amd64.RAX, a, w)
	e.RR(amd64.Xor, amd64.W32, amd64.RDX, amd64.RDX)
	e.Unary(amd64.Div, w, b)
	e.Land(skip)
}

// divideSigned divides a by b. If that is 0 or -1, the quotient is a * b, and the remainder a * (b + 1).
func (e *emitter) divideSigned(w amd64.Width, a, b amd64.Reg, modulo bool) {
	e.moveTo(amd64.RAX, a, w)
	e.Lea(w, amd64.RDX, amd64.At(b, 1))
	e.RI(amd64.Cmp, w, amd64.RDX, 1)
	other := e.JccShort(amd64.A)
	if modulo {
		e.IMul(w, amd64.RDX, amd64.RAX)
	} else {
		e.IMul(w, amd64.RAX, b)
	}
	end := e.JmpShort()
	e.Land(other)
	e.SignExtendRAX(w)
	e.Unary(amd64.IDiv, w, b)
	e.Land(end)
}

// spare makes RAX and RDX free for what computes dst in them: what they held is in the scratch registers,
// until restore brings it back. It returns where r is meanwhile.
func (e *emitter) spare(dst, r amd64.Reg) amd64.Reg {
	now := r
	if dst != amd64.RAX || r == amd64.RAX {
		e.Mov(amd64.W64, scratch, amd64.RAX)
	}
	if dst != amd64.RDX || r == amd64.RDX {
		e.Mov(amd64.W64, scratch2, amd64.RDX)
	}
	switch r {
	case amd64.RAX:
		now = scratch
	case amd64.RDX:
		now = scratch2
	}
	return now
}

// restore brings back what spare has moved, but for dst.
func (e *emitter) restore(dst amd64.Reg) {
	if dst != amd64.RAX {
		e.Mov(amd64.W64, amd64.RAX, scratch)
	}
	if dst != amd64.RDX {
		e.Mov(amd64.W64, amd64.RDX, scratch2)
	}
}
