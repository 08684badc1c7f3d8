package domain

import (
	"fmt"
	"math/bits"
)

// A Tnum, a tracked or tristate number, says of each bit of a word that it is 0,
// that it is 1, or that it is not known. It stands for the set of words that have
// the known bits. (kernel/bpf/tnum.c; Vishwanathan et al., CGO 2022.)
//
// Value has the bits that are known to be 1, Mask those that are not known, and no
// bit is in both. The zero Tnum is the number 0. A Tnum is never the empty set.
type Tnum struct {
	Value, Mask uint64
}

// TnumUnknown stands for all words.
var TnumUnknown = Tnum{Mask: ^uint64(0)}

// TnumConst returns the tnum of the one word v.
func TnumConst(v uint64) Tnum { return Tnum{Value: v} }

// TnumRange returns the smallest tnum that has every word from lo to hi, with lo
// <= hi: the bits above the highest one in which lo and hi differ.
func TnumRange(lo, hi uint64) Tnum {
	mask := umaxBelow(bits.Len64(lo ^ hi))
	return Tnum{Value: lo &^ mask, Mask: mask}
}

// umaxBelow returns the word with the low n bits set, for n from 0 to 64.
func umaxBelow(n int) uint64 { return 1<<uint(n) - 1 }

// IsConst reports whether t stands for one word, t.Value.
func (t Tnum) IsConst() bool { return t.Mask == 0 }

// IsUnknown reports whether t stands for all words.
func (t Tnum) IsUnknown() bool { return t.Mask == ^uint64(0) }

// Max returns the largest word in t, as an unsigned number. The smallest is t.Value.
func (t Tnum) Max() uint64 { return t.Value | t.Mask }

// Contains reports whether v is in t.
func (t Tnum) Contains(v uint64) bool { return v&^t.Mask == t.Value }

// Includes reports whether every word of o is in t.
func (t Tnum) Includes(o Tnum) bool { return o.Mask&^t.Mask == 0 && t.Contains(o.Value) }

// Overlaps reports whether t and o have a word in common.
func (t Tnum) Overlaps(o Tnum) bool { return (t.Value^o.Value)&^(t.Mask|o.Mask) == 0 }

// Aligned reports whether every word of t is a multiple of size, a power of two.
func (t Tnum) Aligned(size uint64) bool { return t.Max()&(size-1) == 0 }

// Intersect returns the tnum of the words in both. If there are none, it is a
// tnum that has a 1 where one has a 1 and the other a 0: ask Overlaps before.
func (t Tnum) Intersect(o Tnum) Tnum {
	mask := t.Mask & o.Mask
	return Tnum{Value: (t.Value | o.Value) &^ mask, Mask: mask}
}

// Join returns the smallest tnum that has the words of both.
func (t Tnum) Join(o Tnum) Tnum {
	mask := t.Value ^ o.Value | t.Mask | o.Mask
	return Tnum{Value: t.Value &^ mask, Mask: mask}
}

// Truncate returns the tnum of the low n bits of t's words, zero-extended, for n
// from 1 to 64.
func (t Tnum) Truncate(n uint) Tnum {
	return Tnum{Value: trunc(t.Value, n), Mask: trunc(t.Mask, n)}
}

// SignExtend returns the tnum of the low n bits of t's words, sign-extended, for n
// from 1 to 64.
func (t Tnum) SignExtend(n uint) Tnum {
	return Tnum{Value: uint64(sext(t.Value, n)), Mask: uint64(sext(t.Mask, n))}
}

// Subreg returns the tnum of the 32-bit part of t's words.
func (t Tnum) Subreg() Tnum { return t.Truncate(32) }

// WithSubreg returns t with the low 32 bits as low has them.
func (t Tnum) WithSubreg(low Tnum) Tnum { return t.withLow(low, 32) }

// withLow returns t with the low n bits as low has them. Low has no others.
func (t Tnum) withLow(low Tnum, n uint) Tnum {
	return Tnum{Value: t.Value>>n<<n | low.Value, Mask: t.Mask>>n<<n | low.Mask}
}

// Ceil returns the smallest word of t that is at least x, as unsigned numbers, and
// false if there is none.
func (t Tnum) Ceil(x uint64) (uint64, bool) {
	wrong := (x ^ t.Value) &^ t.Mask
	if wrong == 0 {
		return x, true
	}
	// Words of t agree with x, if at all, above the highest wrong bit only.
	below := umaxBelow(bits.Len64(wrong))
	if t.Value&(below&^(below>>1)) != 0 { // that bit is 1 in t: already above x
		return x&^below | t.Value&below, true
	}
	// It is 0 in t: the next free bit that x has not set makes up for it.
	free := t.Mask &^ x &^ below
	if free == 0 {
		return 0, false
	}
	free &= -free
	return x&^(free<<1-1) | free | t.Value&(free-1), true
}

// Floor returns the largest word of t that is at most x, as unsigned numbers, and
// false if there is none.
func (t Tnum) Floor(x uint64) (uint64, bool) {
	if t.Contains(x) {
		return x, true
	}
	// The complement turns the order around.
	v, ok := Tnum{Value: ^t.Max(), Mask: t.Mask}.Ceil(^x)
	return ^v, ok
}

// String returns t in the form of the kernel's logs, "(value; mask)".
func (t Tnum) String() string { return fmt.Sprintf("(%#x; %#x)", t.Value, t.Mask) }
