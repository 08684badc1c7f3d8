package domain

import "github.com/sandbpf/sandbpf/asm"

// Rules says how much is deduced. All rules are sound; they differ in precision.
type Rules uint8

const (
	// Linux deduces what Linux 6.18.44 does, limit for limit, so that a verifier
	// comes to the same verdict. It does not notice contradictions.
	Linux Rules = iota
	// Tight deduces more: it never knows less than Linux of the result of an operation.
	Tight
)

// Sync returns s with each part as narrow as the others make it. It returns false
// if it finds that no number satisfies all parts, which Linux never does.
//
//go:noinline // inlined into another package, its operands would escape
func (r Rules) Sync(s Scalar) (Scalar, bool) {
	ok := syncBy[w64](r, &s)
	return s, ok
}

func syncBy[W width](r Rules, s *Scalar) bool {
	if r == Linux {
		linuxSync[W](s)
		return true
	}
	return tighten[W](s)
}

// ALU returns what is known of dst op src, on 64 bits if wide, else on the lower 32
// bits with a zero upper half (RFC 9669, section 4.1). An immediate operand is a
// constant, sign-extended. An op that does not exist gives an unknown scalar.
//
//go:noinline // inlined into another package, its operands would escape
func (r Rules) ALU(op asm.ALUOp, wide bool, dst, src Scalar) Scalar {
	aluTo[w64](r, op, wide, &dst, &src)
	return dst
}

// ALUTo is [Rules.ALU] in place.
//
//go:noinline // inlined into another package, its operands would escape
func (r Rules) ALUTo(op asm.ALUOp, wide bool, dst, src *Scalar) {
	aluTo[w64](r, op, wide, dst, src)
}

// aluTo makes dst the result. Src may be the same.
func aluTo[W width](r Rules, op asm.ALUOp, wide bool, dst, src *Scalar) {
	h := bitsOf[W]() / 2
	switch {
	case op == asm.Mov && wide:
		*dst = *src
		return
	case op == asm.Mov:
		*dst = *src
		dst.keepLow(h)
	case upwards(op) && dst.IsConst() && src.IsConst(): // often, and the same by all rules
		n := 2 * h
		if !wide {
			n = h
		}
		dst.setConst(tnumALU(op, dst.Tnum, src.Tnum).Truncate(n).Value, 2*h)
		return
	case r == Linux:
		linuxALU[W](op, wide, dst, src)
		return
	case !wide:
		*dst = extend(aluWord(op, dst.low(h), src.low(h), h), h)
	default:
		*dst = aluWide[W](op, dst, src)
	}
	settle[W](r, dst)
}

// Neg returns what is known of -x, on 64 bits if wide, else on 32.
//
//go:noinline // inlined into another package, its operands would escape
func (r Rules) Neg(wide bool, x Scalar) Scalar { return neg[w64](r, wide, &x) }

func neg[W width](r Rules, wide bool, x *Scalar) Scalar {
	s := constant[W](0)
	aluTo[W](r, asm.Sub, wide, &s, x)
	return s
}

// Truncate returns what is known of the low n bits (8, 16, 32 or 64) of x,
// zero-extended: a byte-order conversion to the order the number is in already, a load
// of n bits, or a spill of n bits that is filled again.
//
//go:noinline // inlined into another package, its operands would escape
func (r Rules) Truncate(x Scalar, n uint) Scalar { return truncate[w64](r, &x, n) }

func truncate[W width](r Rules, x *Scalar, n uint) Scalar {
	switch {
	case n >= bitsOf[W]():
		return *x
	case r == Linux:
		return linuxTruncate[W](x, n)
	}
	w := x.narrow(n)
	s := unknown[W]()
	s.Tnum, s.U64 = w.t, w.u
	if n == bitsOf[W]()/2 {
		s.setLow(w, n)
	}
	settle[W](r, &s)
	return s
}

// MovSX returns what is known of the low n bits (8, 16 or 32) of x, sign-extended to 64
// bits if wide, else to 32 with a zero upper half: a sign-extending move, or of an
// unknown x a sign-extending load.
//
//go:noinline // inlined into another package, its operands would escape
func (r Rules) MovSX(wide bool, x Scalar, n uint) Scalar { return movSX[w64](r, wide, &x, n) }

func movSX[W width](r Rules, wide bool, x *Scalar, n uint) Scalar {
	if r == Linux {
		return linuxMovSX[W](wide, x, n)
	}
	m := bitsOf[W]()
	h := m / 2
	w, s := x.narrow(n), unknown[W]()
	if wide {
		s.Tnum, s.S64 = w.t.SignExtend(n).Truncate(m), w.s
	} else {
		s = extend(word{w.t.SignExtend(n).Truncate(h), fullUnsigned(h), w.s}, h)
	}
	settle[W](r, &s)
	return s
}

// BSwap returns what is known of the low n bits (16, 32 or 64) of x in reverse byte
// order, zero-extended.
func (r Rules) BSwap(x Scalar, n uint) Scalar {
	if r == Linux {
		return linuxBSwap(&x, n)
	}
	s := Unknown()
	s.Tnum = x.Tnum.BSwap(n)
	settle[w64](r, &s)
	return s
}

// settle syncs s, the result of an operation. If it comes from operands that stand
// for no number, all is possible.
func settle[W width](r Rules, s *Scalar) {
	if !syncBy[W](r, s) {
		*s = unknown[W]()
	}
}

// narrow returns the low m bits of s as a word, for m up to half of s.
func (s *Scalar) narrow(m uint) word {
	u, v := fullUnsigned(m), fullUnsigned(m) // v is biased, see sync.go
	bias := signBit(m)
	for _, b := range [...]unsigned{
		s.U64, {uint64(s.S64.Min), uint64(s.S64.Max)},
		s.lowUnsigned(), {uint64(s.S32.Min), uint64(s.S32.Max)},
	} {
		toHalf(b, &u, &v, m, bias)
	}
	u, v = exchange(u, v, bias)
	return word{s.Tnum.Truncate(m), u, signed{sext(v.Min^bias, m), sext(v.Max^bias, m)}}
}
