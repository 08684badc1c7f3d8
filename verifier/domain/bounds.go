package domain

import (
	"fmt"
	"math/bits"
)

// Bounds are the least and the greatest number that a word can be, both inclusive.
// They are empty if Min is above Max.
type Bounds[T uint64 | int64 | uint32 | int32] struct {
	Min, Max T
}

// Empty reports whether no number is within b.
func (b Bounds[T]) Empty() bool { return b.Min > b.Max }

// IsConst reports whether there is one number within b, b.Min.
func (b Bounds[T]) IsConst() bool { return b.Min == b.Max }

// Contains reports whether v is within b.
func (b Bounds[T]) Contains(v T) bool { return b.Min <= v && v <= b.Max }

// Includes reports whether o is within b, both not empty.
func (b Bounds[T]) Includes(o Bounds[T]) bool { return b.Min <= o.Min && o.Max <= b.Max }

// Intersect returns the bounds of what is within both.
func (b Bounds[T]) Intersect(o Bounds[T]) Bounds[T] {
	return Bounds[T]{max(b.Min, o.Min), min(b.Max, o.Max)}
}

// Join returns the bounds of what is within either, both not empty.
func (b Bounds[T]) Join(o Bounds[T]) Bounds[T] {
	return Bounds[T]{min(b.Min, o.Min), max(b.Max, o.Max)}
}

// String returns b as "[min,max]".
func (b Bounds[T]) String() string { return fmt.Sprintf("[%d,%d]", b.Min, b.Max) }

// unsigned and signed are the bounds that arithmetic is done in, whatever the width
// of the word: unsigned ones are zero-extended, signed ones sign-extended.
type (
	unsigned = Bounds[uint64]
	signed   = Bounds[int64]
)

func fullUnsigned(n uint) unsigned { return unsigned{0, umax(n)} }
func fullSigned(n uint) signed     { return signed{smin(n), smax(n)} }

// fits reports whether the difference of b's ends is below 2^n, so that the low n
// bits of the numbers within b go at most once around.
func fits(b unsigned, n uint) bool { return b.Max-b.Min <= umax(n) }

// keep returns the bounds of those numbers of b that lie on the way from lo up to
// hi, around the end of the word if lo is above hi. This one rule is how bounds in
// one order, or of one width, tighten those in another: every interval in one order is
// such a way in the other. It does not matter how many bits the word has.
func (b Bounds[T]) keep(lo, hi T) Bounds[T] {
	if lo <= hi {
		return b.Intersect(Bounds[T]{lo, hi})
	}
	// What is between hi and lo, both excluded, is not on the way.
	if b.Min > hi && b.Min < lo {
		b.Min = lo
	}
	if b.Max < lo && b.Max > hi {
		b.Max = hi
	}
	return b
}

// addUnsigned returns the bounds of the sums of n bits. They keep their order if
// neither of the ends wraps, and also if both do.
func addUnsigned(a, b unsigned, n uint) unsigned {
	r := unsigned{trunc(a.Min+b.Min, n), trunc(a.Max+b.Max, n)}
	if (r.Min < a.Min) != (r.Max < a.Max) {
		return fullUnsigned(n)
	}
	return r
}

// subUnsigned returns the bounds of the differences a - b of n bits.
func subUnsigned(a, b unsigned, n uint) unsigned {
	r := unsigned{trunc(a.Min-b.Max, n), trunc(a.Max-b.Min, n)}
	if (a.Min < b.Max) != (a.Max < b.Min) {
		return fullUnsigned(n)
	}
	return r
}

// mulUnsigned returns the bounds of the products of n bits, all numbers if one
// overflows.
func mulUnsigned(a, b unsigned, n uint) unsigned {
	hi, most := bits.Mul64(a.Max, b.Max)
	if hi != 0 || most > umax(n) {
		return fullUnsigned(n)
	}
	return unsigned{a.Min * b.Min, most}
}
