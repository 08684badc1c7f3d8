package jit

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// oneLea reports whether one lea multiplies by k.
func oneLea(k uint64) bool { return k == 3 || k == 5 || k == 9 }

// mulConst multiplies by a constant in two cycles, where imul takes three, if it can: by 3, 5
// and 9, by products of two of these, and by a power of two more or less one.
func (e *emitter) mulConst(in *lower.Ins, k uint64) bool {
	w, dst, a := width(in.Wide), reg(in.Dst), reg(in.A)
	switch {
	case oneLea(k):
		e.Lea(w, dst, amd64.Mem{Base: a, Index: a, Scale: uint8(k - 1)})
	case k < 82 && oneLea(k/9) && k%9 == 0, k < 82 && oneLea(k/5) && k%5 == 0:
		f := uint64(5)
		if k%9 == 0 {
			f = 9
		}
		e.Lea(w, dst, amd64.Mem{Base: a, Index: a, Scale: uint8(f - 1)})
		e.Lea(w, dst, amd64.Mem{Base: dst, Index: dst, Scale: uint8(k/f - 1)})
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
