package domain

import "math/bits"

// refineAtMost adds to a and b that a <= b. It returns false if that cannot be.
func refineAtMost[T uint64 | int64](a, b *Bounds[T]) bool {
	a.Max = min(a.Max, b.Max)
	b.Min = max(a.Min, b.Min)
	return !a.Empty() && !b.Empty()
}

// refineLess adds to a and b that a < b. It returns false if that cannot be.
func refineLess[T uint64 | int64](a, b *Bounds[T]) bool {
	if a.Min >= b.Max {
		return false
	}
	a.Max = min(a.Max, b.Max-1)
	b.Min = max(b.Min, a.Min+1)
	return true
}

// refineUnequal adds to x that it is not y, which says something if y is one number
// and that is at an end of x.
func refineUnequal(x, y *word, n uint) bool {
	if !y.t.IsConst() {
		return true
	}
	v := y.t.Value
	return trim(&x.u, v) && trim(&x.s, sext(v, n))
}

// trim takes v off the ends of b. It returns false if nothing is left.
func trim[T uint64 | int64](b *Bounds[T], v T) bool {
	switch {
	case b.Min == v && b.Max == v:
		return false
	case b.Min == v:
		b.Min++
	case b.Max == v:
		b.Max--
	}
	return true
}

// refineCommon adds to x and y, of n bits, that they have a bit in common: neither is zero, and if
// there is just one such bit that both can have, both have it.
func refineCommon(x, y *word, n uint) bool {
	common := x.t.Max() & y.t.Max()
	if common == 0 {
		return false
	}
	if bits.OnesCount64(common) == 1 {
		x.t = x.t.Or(TnumConst(common))
		y.t = y.t.Or(TnumConst(common))
	}
	zero := constWord(0, n)
	return refineUnequal(x, &zero, n) && refineUnequal(y, &zero, n)
}

// refineDisjoint adds to x and y that they have no bit in common: each is zero where the other is known to be one.
func refineDisjoint(x, y *word) bool {
	if x.t.Value&y.t.Value != 0 {
		return false
	}
	x.t.Mask &^= y.t.Value
	y.t.Mask &^= x.t.Value
	return true
}
