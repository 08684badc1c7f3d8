package domain

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
)

// shiftCounts returns the counts by which b may shift a word of n bits, as a set: bit k
// is there if k is possible. Of a count the low bits matter, as many as numbers below n
// need (RFC 9669, section 4.1).
func shiftCounts(b word, n uint) uint64 {
	count := uint64(n - 1)
	if b.t.Mask&count == 0 {
		return 1 << (b.t.Value & count)
	}
	t := Tnum{Value: b.t.Value & count, Mask: b.t.Mask & count}
	var set uint64
	for k := range uint64(n) {
		if t.Contains(k) && (b.u.Max > count || b.u.Contains(k)) {
			set |= 1 << k
		}
	}
	return set
}

// shiftBy returns a shifted by any of the counts, which may be n and more for LSh.
func shiftBy(op asm.ALUOp, a word, counts uint64, n uint) word {
	if counts == 0 { // b stood for no number
		return unknownWord(n)
	}
	k := uint(bits.TrailingZeros64(counts))
	r := shiftWord(op, a, k, n)
	for counts &= counts - 1; counts != 0 && r != unknownWord(n); counts &= counts - 1 {
		r = r.join(shiftWord(op, a, uint(bits.TrailingZeros64(counts)), n))
	}
	return r
}

// shiftWord returns a shifted by k.
func shiftWord(op asm.ALUOp, a word, k, n uint) word {
	if k == 0 {
		return a
	}
	r := unknownWord(n)
	switch op {
	case asm.LSh:
		return lshWord(a, k, n)
	case asm.RSh:
		r.t, r.u = a.t.RShift(k), unsigned{a.u.Min >> k, a.u.Max >> k}
		r.s = signed{0, smax(n)} // the sign bit is shifted out of its place
	case asm.ArSh:
		r.t, r.s = a.t.ARShift(k, n), signed{a.s.Min >> k, a.s.Max >> k}
	}
	return r
}

// lshWord returns a << k. Numbers keep their order if all lose the same bits.
func lshWord(a word, k, n uint) word {
	if k >= n {
		return constWord(0, n)
	}
	r := unknownWord(n)
	r.t = a.t.LShift(k).Truncate(n)
	if a.u.Min>>(n-k) == a.u.Max>>(n-k) {
		r.u = unsigned{trunc(a.u.Min<<k, n), trunc(a.u.Max<<k, n)}
	}
	// Signed, so does what becomes the sign; or nothing is lost.
	s := signed{sext(uint64(a.s.Min)<<k, n), sext(uint64(a.s.Max)<<k, n)}
	if a.s.Min>>(n-k-1) == a.s.Max>>(n-k-1) || s.Min>>k == a.s.Min && s.Max>>k == a.s.Max {
		r.s = s
	}
	return r
}

// shiftLow adds to s = dst << k, for k in counts and dst of n bits, what follows from
// the low half of dst: the low half of s, and for a k of that half and more all of it.
func shiftLow(s, dst *Scalar, counts uint64, n uint) {
	h := n / 2
	low := dst.low(h)
	s.setLow(shiftBy(asm.LSh, low, counts, h), h)
	if counts&umaxBelow(int(h)) != 0 {
		return
	}
	// The upper half is shifted out: it may as well be zero, or the sign.
	zero := shiftBy(asm.LSh, word{low.t, low.u, fullSigned(n)}, counts, n)
	sign := shiftBy(asm.LSh, word{low.t.SignExtend(h).Truncate(n), fullUnsigned(n), low.s}, counts, n)
	s.Tnum = s.Tnum.Intersect(zero.t)
	s.U64, s.S64 = s.U64.Intersect(zero.u), s.S64.Intersect(sign.s)
}
