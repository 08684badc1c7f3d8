package domain

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
)

// aluWide returns what the tight rules know of dst op src on whole registers, before Sync.
func aluWide[W width](op asm.ALUOp, dst, src *Scalar) Scalar {
	n := bitsOf[W]()
	h := n / 2
	s := unknown[W]()
	if upwards(op) {
		t := tnumALU(op, dst.Tnum, src.Tnum).Truncate(n)
		w := boundsALU(op, dst.whole(), src.whole(), t, n)
		s.Tnum, s.U64, s.S64 = w.t, w.u, w.s
		s.setLow(boundsALU(op, dst.low(h), src.low(h), t.Truncate(h), h), h)
		return s
	}
	w := aluWord(op, dst.whole(), src.whole(), n)
	s.Tnum, s.U64, s.S64 = w.t, w.u, w.s
	if op == asm.LSh {
		shiftLow(&s, dst, shiftCounts(src.whole(), n), n)
	}
	return s
}

// aluWord returns what the tight rules know of a op b for words of n bits.
func aluWord(op asm.ALUOp, a, b word, n uint) word {
	if upwards(op) {
		return boundsALU(op, a, b, tnumALU(op, a.t, b.t).Truncate(n), n)
	}
	switch op {
	case asm.LSh, asm.RSh, asm.ArSh:
		return shiftBy(op, a, shiftCounts(b, n), n)
	case asm.Div:
		return divWord(a, b, n)
	case asm.Mod:
		return modWord(a, b, n)
	case asm.SDiv:
		return sdivWord(a, b, n)
	case asm.SMod:
		return smodWord(a, b, n)
	}
	return unknownWord(n)
}

// upwards reports whether each bit of a result of op depends on the bits of the
// operands from there down only, so that low halves give low halves.
func upwards(op asm.ALUOp) bool {
	switch op {
	case asm.Add, asm.Sub, asm.Mul, asm.And, asm.Or, asm.Xor:
		return true
	}
	return false
}

// tnumALU returns the bits of a op b, for operations that work upwards.
func tnumALU(op asm.ALUOp, a, b Tnum) Tnum {
	switch op {
	case asm.Add:
		return a.Add(b)
	case asm.Sub:
		return a.Sub(b)
	case asm.Mul:
		return a.Mul(b)
	case asm.And:
		return a.And(b)
	case asm.Or:
		return a.Or(b)
	}
	return a.Xor(b)
}

// boundsALU returns the word of a op b, whose bits are t.
func boundsALU(op asm.ALUOp, a, b word, t Tnum, n uint) word {
	r := word{t, fullUnsigned(n), fullSigned(n)}
	switch op {
	case asm.Add:
		s, atMin, atMax := addSigned(a.s, b.s, n)
		r.u, r.s = addUnsigned(a.u, b.u, n), unlessTorn(s, atMin, atMax, n)
	case asm.Sub:
		s, atMin, atMax := subSigned(a.s, b.s, n)
		r.u, r.s = subUnsigned(a.u, b.u, n), unlessTorn(s, atMin, atMax, n)
	case asm.Mul:
		r.u, r.s = mulUnsigned(a.u, b.u, n), mulSigned(a.s, b.s, n)
	case asm.And:
		r.u.Max, r.s = min(a.u.Max, b.u.Max), andSigned(a.s, b.s)
	case asm.Or:
		r.u.Min, r.s = max(a.u.Min, b.u.Min), orSigned(a.s, b.s)
	case asm.Xor:
		r.s = bitwiseSigned(a.s, b.s)
	}
	return r
}

// unlessTorn returns b, or all numbers if its ends have wrapped differently.
func unlessTorn(b signed, atMin, atMax int, n uint) signed {
	if atMin != atMax {
		return fullSigned(n)
	}
	return b
}

// bitwiseSigned returns the bounds of all numbers with as many sign bits as those of
// a and b have. A bitwise operation does not lose any.
func bitwiseSigned(a, b signed) signed {
	most := magnitude(a.Min) | magnitude(a.Max) | magnitude(b.Min) | magnitude(b.Max)
	most = umaxBelow(bits.Len64(most))
	return signed{^int64(most), int64(most)}
}

// magnitude returns x, or ^x if x is negative: the bits that are not sign.
func magnitude(x int64) uint64 { return uint64(x ^ x>>63) }

// andSigned returns the bounds of a & b. It is at most each operand that is not
// negative, and if both are negative at most either; it is negative only if both are.
func andSigned(a, b signed) signed {
	r := bitwiseSigned(a, b)
	switch {
	case a.Min >= 0 && b.Min >= 0, a.Max < 0 && b.Max < 0:
		r.Max = min(a.Max, b.Max)
	case a.Min >= 0:
		r.Max = a.Max
	case b.Min >= 0:
		r.Max = b.Max
	default:
		r.Max = max(a.Max, b.Max)
	}
	if a.Min >= 0 || b.Min >= 0 {
		r.Min = 0
	}
	return r
}

// orSigned returns the bounds of a | b, which is ^(^a & ^b).
func orSigned(a, b signed) signed {
	r := andSigned(signed{^a.Max, ^a.Min}, signed{^b.Max, ^b.Min})
	return signed{^r.Max, ^r.Min}
}
