package jit

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// mulConst multiplies by a constant in two cycles, where imul takes three, if it can: by 3, 5
// and 9, and by a power of two more or less one.
func (e *emitter) mulConst(in *lower.Ins, k uint64) bool {
	w, dst, a := width(in.Wide), reg(in.Dst), reg(in.A)
	switch {
	case k == 3 || k == 5 || k == 9:
		e.Lea(w, dst, amd64.Mem{Base: a, Index: a, Scale: uint8(k - 1)})
	case k > 9 && (k-1)&(k-2) == 0:
		e.Mov(w, scratch, a)
		e.ShiftImm(amd64.Shl, w, scratch, uint8(bits.TrailingZeros64(k-1)))
		e.Lea(w, dst, amd64.Mem{Base: scratch, Index: a, Scale: 1})
	case k > 6 && (k+1)&k == 0 && k < 1<<31: // a 32-bit shift by 32 would be one by 0
		e.Mov(w, scratch, a)
		e.ShiftImm(amd64.Shl, w, scratch, uint8(bits.TrailingZeros64(k+1)))
		if dst == a {
			e.RR(amd64.Sub, w, scratch, a)
			e.Mov(w, dst, scratch)
			break
		}
		e.Mov(w, dst, scratch)
		e.RR(amd64.Sub, w, dst, a)
	default:
		return false
	}
	return true
}

// reciprocal is what a division of unsigned numbers by a constant d becomes: with
// h the upper half of the product with factor,
//
//	n / d = h >> shift                  or, if wide,
//	n / d = ((n - h)>>1 + h) >> shift
//
// where n is shifted right by before at the beginning.
// See Granlund and Montgomery, Division by Invariant Integers using Multiplication, 1994.
type reciprocal struct {
	factor uint64
	before uint8 // bits
	shift  uint8
	wide   bool // the factor has 65 bits, of which the highest is left out
}

// reciprocalOf returns that of d, at least 3 and no power of two. The dividend has 32 bits if
// narrow, else 64.
func reciprocalOf(d uint64, narrow bool) reciprocal {
	if narrow { // 2^64/d rounded up is exact enough: its error times n is less than 2^64/d
		q, _ := bits.Div64(1, 0, d)
		return reciprocal{factor: q + 1}
	}
	log := bits.Len64(d) // 2^(log-1) < d < 2^log
	// 2^(63+log)/d, rounded up, will do if what rounding adds, times the greatest dividend, does
	// not reach the next quotient.
	q, r := bits.Div64(1<<(log-1), 0, d)
	if d-r <= 1<<(log-1) {
		return reciprocal{factor: q + 1, shift: uint8(log - 1)}
	}
	// So it will if the dividend is smaller: an even divisor can do with half of it.
	if d&1 == 0 {
		before := bits.TrailingZeros64(d)
		d >>= before
		log -= before
		q, _ = bits.Div64(1<<(log-1), 0, d)
		return reciprocal{factor: q + 1, before: uint8(before), shift: uint8(log - 1)}
	}
	// 2^(64+log)/d always does.
	q, _ = bits.Div64(1<<log-d, 0, d)
	return reciprocal{factor: q + 1, shift: uint8(log - 1), wide: true}
}

// divideConst is an unsigned division or modulo by d, at least 3 and no power of two.
func (e *emitter) divideConst(in *lower.Ins, d uint64) {
	w, dst, rec := width(in.Wide), reg(in.Dst), reciprocalOf(d, !in.Wide)
	a := reg(in.A)
	if rec.wide || in.Op == lower.Mod || w == amd64.W32 { // n is needed once more, or its lower half
		e.Mov(w, scratch2, a)
		a = scratch2
	}
	spared := e.spare(amd64.W64, dst, a)
	if rec.before != 0 {
		e.ShiftImm(amd64.Shr, amd64.W64, amd64.RAX, rec.before)
	}
	e.MovImm(amd64.RDX, rec.factor)
	e.Unary(amd64.Mul, amd64.W64, amd64.RDX)
	if rec.wide {
		e.Mov(amd64.W64, amd64.RAX, scratch2)
		e.RR(amd64.Sub, amd64.W64, amd64.RAX, amd64.RDX)
		e.ShiftImm(amd64.Shr, amd64.W64, amd64.RAX, 1)
		e.RR(amd64.Add, amd64.W64, amd64.RDX, amd64.RAX)
	}
	if rec.shift != 0 {
		e.ShiftImm(amd64.Shr, amd64.W64, amd64.RDX, rec.shift)
	}
	if in.Op == lower.Div {
		e.Mov(amd64.W64, scratch2, amd64.RDX)
	} else {
		if fits(int64(d)) {
			e.IMulImm(amd64.W64, amd64.RDX, amd64.RDX, int32(d))
		} else {
			e.MovImm(amd64.RAX, d)
			e.IMul(amd64.W64, amd64.RDX, amd64.RAX)
		}
		e.RR(amd64.Sub, amd64.W64, scratch2, amd64.RDX)
	}
	e.restore(spared)
	e.Mov(amd64.W64, dst, scratch2)
}
