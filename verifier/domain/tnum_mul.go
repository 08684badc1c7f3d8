package domain

import "math/bits"

// Mul returns the tnum of the products. It is what two long multiplications, with
// the roles of the operands exchanged, agree on: each is sound, and neither is always the
// better one. No exact algorithm that takes a reasonable time is known; README.md
// has the figures.
func (t Tnum) Mul(o Tnum) Tnum {
	if t.IsConst() && o.IsConst() {
		return TnumConst(t.Value * o.Value)
	}
	return t.LongMul(o).Intersect(o.LongMul(t))
}

// LongMul returns the tnum of the products by long multiplication, as Linux does
// since 6.18 (tnum_mul): for each bit of t that may be set, o is added, shifted.
// Where the bit is not known the sum with and the sum without o are joined, which
// keeps together what depends on the same bit. It is not commutative.
func (t Tnum) LongMul(o Tnum) Tnum {
	var acc Tnum
	for {
		rest := t.Max()
		if rest == 0 {
			return acc
		}
		skip := uint(bits.TrailingZeros64(rest))
		t, o = t.RShift(skip), o.LShift(skip)
		sum := acc.Add(o)
		if t.Value&1 != 0 {
			acc = sum
		} else {
			acc = acc.Join(sum)
		}
		t = Tnum{Value: t.Value &^ 1, Mask: t.Mask &^ 1}
	}
}
