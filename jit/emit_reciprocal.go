package jit

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// reciprocal is what a division by a constant d becomes: with h the upper half of the product of n
// and factor, which has as many bits as n,
//
//	n / d = h >> shift                                of unsigned numbers or, if wide,
//	n / d = (n + h) >> shift                          where the sum has a bit more
//	n / d = (h >> shift) + (1 if n is negative)       of signed numbers or, if wide,
//	n / d = (n + h >> shift) + (1 if n is negative)   where factor counts as negative in h
//
// where an unsigned n is shifted right by before at the beginning.
//
// See Granlund and Montgomery, Division by Invariant Integers using Multiplication, 1994.
type reciprocal struct {
	factor uint64
	before uint8 // bits
	shift  uint8
	wide   bool // the factor is greater by 2^width
}

// reciprocalOf returns that of d, at least 3 and no power of two, for numbers of 32 or 64 bits.
func reciprocalOf(d uint64, width int, signed bool) reciprocal {
	log := bits.Len64(d) // 2^(log-1) < d < 2^log
	// x * 2^width / d, rounded up, will do if what rounding adds, times the greatest dividend, does
	// not reach the next quotient: if it adds at most enough.
	x, enough := uint64(1)<<(log-1), uint64(1)<<(log-1)
	if signed { // whose greatest dividend is half of that of unsigned numbers
		x /= 2
	}
	factor, added := scaled(x, d, width)
	if added <= enough {
		return reciprocal{factor: factor, shift: uint8(bits.Len64(x) - 1)}
	}
	if signed { // a bit more always does
		factor, _ = scaled(2*x, d, width)
		return reciprocal{factor: factor, shift: uint8(log - 1), wide: true}
	}
	// So it will if the dividend is smaller: an even divisor can do with half of it.
	if d&1 == 0 {
		before := bits.TrailingZeros64(d)
		log -= before
		factor, _ = scaled(1<<(log-1), d>>before, width)
		return reciprocal{factor: factor, before: uint8(before), shift: uint8(log - 1)}
	}
	// A bit more always does: what is left out of the factor is 2^width.
	factor, _ = scaled(1<<log-d, d, width)
	return reciprocal{factor: factor, shift: uint8(log), wide: true}
}

// scaled returns x * 2^width / d, rounded up, and by how much it exceeds that, in 1/d. X is less
// than d, and d no power of two.
func scaled(x, d uint64, width int) (factor, added uint64) {
	q, r := bits.Div64(x>>(64-width), x<<width, d)
	return q + 1, d - r
}

// divideConst divides by a constant without an instruction that divides, and reports whether it can. A
// remainder has the sign of the dividend, whatever that of the divisor is.
func (e *emitter) divideConst(in *lower.Ins, signed bool) bool {
	d, negative := constant(in), false
	if signed {
		k := in.Imm
		if !in.Wide {
			k = int64(int32(k))
		}
		d, negative = uint64(max(k, -k)), k < 0 && in.Op == lower.SDiv
	}
	switch power := d&(d-1) == 0; {
	case d < 2, power && !signed, power && d > 1<<31:
		return false
	case power:
		e.dividePower(in, uint8(bits.TrailingZeros64(d)), negative)
	case in.Wide:
		e.divideLong(in, reciprocalOf(d, 64, signed), d, signed, negative)
	default:
		e.divideShort(in, reciprocalOf(d, 32, signed), d, signed, negative)
	}
	return true
}

// dividePower divides signed numbers by 2^k, or by -2^k. A shift rounds down: to negative
// numbers, 2^k-1 is added before.
func (e *emitter) dividePower(in *lower.Ins, k uint8, negative bool) {
	w, dst, a := width(in.Wide), reg(in.Dst), reg(in.A)
	sum := scratch
	if in.Op == lower.SDiv && dst != a {
		sum = dst
	}
	e.Lea(w, sum, amd64.At(a, int32(uint32(1)<<k-1)))
	e.Test(w, a, a)
	switch {
	case in.Op == lower.SMod:
		e.CMov(amd64.NS, w, sum, a)
		e.RI(amd64.And, w, sum, int32(-1)<<k)
		e.moveTo(dst, a, w)
		e.RR(amd64.Sub, w, dst, sum)
		return
	case dst == a:
		e.CMov(amd64.S, w, dst, sum)
	default:
		e.CMov(amd64.NS, w, dst, a)
	}
	e.ShiftImm(amd64.Sar, w, dst, k)
	if negative {
		e.Unary(amd64.Neg, w, dst)
	}
}

// divideShort divides numbers of 32 bits, whose products fit into a register.
func (e *emitter) divideShort(in *lower.Ins, r reciprocal, d uint64, signed, negative bool) {
	n, q := scratch, reg(in.Dst)
	if signed {
		e.Extend(4, true, amd64.W64, n, reg(in.A))
	} else {
		e.Mov(amd64.W32, n, reg(in.A))
	}
	by := q
	if r.before != 0 {
		by = scratch2
		e.Mov(amd64.W32, q, n)
		e.ShiftImm(amd64.Shr, amd64.W32, q, r.before)
	}
	switch {
	case r.factor < 1<<31 && by == q:
		e.IMulImm(amd64.W64, q, n, int32(r.factor))
	case by == q:
		e.MovImm(q, r.factor)
		e.IMul(amd64.W64, q, n)
	default:
		e.MovImm(by, r.factor)
		e.IMul(amd64.W64, q, by)
	}
	switch {
	case signed: // the factor is positive in any case
		e.ShiftImm(amd64.Sar, amd64.W64, q, 32+r.shift)
		e.Mov(amd64.W32, scratch2, n)
		e.ShiftImm(amd64.Sar, amd64.W32, scratch2, 31)
		if negative {
			e.RR(amd64.Sub, amd64.W32, scratch2, q)
			e.Mov(amd64.W32, q, scratch2)
		} else {
			e.RR(amd64.Sub, amd64.W32, q, scratch2)
		}
	case r.wide:
		e.ShiftImm(amd64.Shr, amd64.W64, q, 32)
		e.RR(amd64.Add, amd64.W64, q, n)
		e.ShiftImm(amd64.Shr, amd64.W64, q, r.shift)
	default:
		e.ShiftImm(amd64.Shr, amd64.W64, q, 32+r.shift)
	}
	if in.Op == lower.Mod || in.Op == lower.SMod {
		e.IMulImm(amd64.W32, q, q, int32(d))
		e.RR(amd64.Sub, amd64.W32, n, q)
		e.Mov(amd64.W32, q, n)
	}
}

// divideLong divides numbers of 64 bits, whose products are in RDX:RAX.
func (e *emitter) divideLong(in *lower.Ins, r reciprocal, d uint64, signed, negative bool) {
	const w = amd64.W64
	dst := reg(in.Dst)
	n := e.spare(dst, reg(in.A))
	switch {
	case signed:
		e.MovImm(amd64.RAX, r.factor)
		e.Unary(amd64.IMulWide, w, n)
	case r.before != 0:
		e.Mov(w, amd64.RAX, n)
		e.ShiftImm(amd64.Shr, w, amd64.RAX, r.before)
		e.MovImm(amd64.RDX, r.factor)
		e.Unary(amd64.Mul, w, amd64.RDX)
	default:
		e.MovImm(amd64.RAX, r.factor)
		e.Unary(amd64.Mul, w, n)
	}
	q := e.quotient(n, r, signed, negative)
	if in.Op == lower.Mod || in.Op == lower.SMod {
		q = e.remainder(n, d)
	}
	e.moveTo(dst, q, w)
	e.restore(dst)
}

// quotient returns where the quotient of n is that belongs to the upper half of a product in RDX.
func (e *emitter) quotient(n amd64.Reg, r reciprocal, signed, negative bool) amd64.Reg {
	const w = amd64.W64
	switch {
	case signed && r.wide:
		e.RR(amd64.Add, w, amd64.RDX, n)
	case r.wide: // half of the sum, which has 65 bits
		e.Mov(w, amd64.RAX, n)
		e.RR(amd64.Sub, w, amd64.RAX, amd64.RDX)
		e.ShiftImm(amd64.Shr, w, amd64.RAX, 1)
		e.RR(amd64.Add, w, amd64.RDX, amd64.RAX)
		r.shift--
	}
	if !signed {
		if r.shift != 0 {
			e.ShiftImm(amd64.Shr, w, amd64.RDX, r.shift)
		}
		return amd64.RDX
	}
	if r.shift != 0 {
		e.ShiftImm(amd64.Sar, w, amd64.RDX, r.shift)
	}
	e.Mov(w, amd64.RAX, n)
	e.ShiftImm(amd64.Sar, w, amd64.RAX, 63)
	if negative {
		e.RR(amd64.Sub, w, amd64.RAX, amd64.RDX)
		return amd64.RAX
	}
	e.RR(amd64.Sub, w, amd64.RDX, amd64.RAX)
	return amd64.RDX
}

// remainder returns where what n is more than d times the quotient in RDX is.
func (e *emitter) remainder(n amd64.Reg, d uint64) amd64.Reg {
	if fits(int64(d)) {
		e.IMulImm(amd64.W64, amd64.RDX, amd64.RDX, int32(d))
	} else {
		e.MovImm(amd64.RAX, d)
		e.IMul(amd64.W64, amd64.RDX, amd64.RAX)
	}
	e.Mov(amd64.W64, amd64.RAX, n)
	e.RR(amd64.Sub, amd64.W64, amd64.RAX, amd64.RDX)
	return amd64.RAX
}
