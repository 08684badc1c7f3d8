package domain

import "github.com/sandbpf/sandbpf/asm"

// linuxALU is adjust_scalar_min_max_vals, in place. Src may be dst.
func linuxALU[W width](op asm.ALUOp, wide bool, dst, src *Scalar) {
	n := bitsOf[W]()
	if src == dst {
		same := *src
		src = &same
	}
	switch op {
	case asm.Add, asm.Sub, asm.Mul:
		linuxArith[W](dst, op, src)
	case asm.And, asm.Or, asm.Xor:
		linuxBitwise[W](dst, op, src)
	case asm.LSh, asm.RSh, asm.ArSh:
		size := n
		if !wide {
			size /= 2
		}
		if !src.Tnum.Truncate(size).IsConst() || src.U64.Max >= uint64(size) {
			*dst = unknown[W]()
			return
		}
		if k := uint(src.U64.Max); wide {
			linuxShift[W](dst, op, k)
		} else {
			linuxShiftLow[W](dst, op, k)
		}
	default:
		*dst = unknown[W]()
		return
	}
	if !wide {
		dst.keepLow(n / 2)
	}
	linuxSync[W](dst)
	linuxSane[W](dst)
}

// linuxArith sets s to s op src, each part from the same part of src.
func linuxArith[W width](s *Scalar, op asm.ALUOp, src *Scalar) {
	n := bitsOf[W]()
	h := n / 2
	low, lowSigned := linuxBounds(op, s.lowUnsigned(), src.lowUnsigned(), s.lowSigned(), src.lowSigned(), h)
	s.setLowUnsigned(low)
	s.setLowSigned(lowSigned)
	s.U64, s.S64 = linuxBounds(op, s.U64, src.U64, s.S64, src.S64, n)
	switch op {
	case asm.Add:
		s.Tnum = s.Tnum.Add(src.Tnum)
	case asm.Sub:
		s.Tnum = s.Tnum.Sub(src.Tnum)
	case asm.Mul:
		s.Tnum = s.Tnum.LongMul(src.Tnum)
	}
	s.Tnum = s.Tnum.Truncate(n)
}

// linuxBounds returns the bounds of op for words of n bits. If a signed end wraps,
// nothing is known; of unsigned ends both may.
func linuxBounds(op asm.ALUOp, a, b unsigned, c, d signed, n uint) (unsigned, signed) {
	if op == asm.Mul {
		return mulUnsigned(a, b, n), mulSigned(c, d, n)
	}
	var u unsigned
	var v signed
	var atMin, atMax int
	if op == asm.Add {
		u = addUnsigned(a, b, n)
		v, atMin, atMax = addSigned(c, d, n)
	} else {
		u = subUnsigned(a, b, n)
		v, atMin, atMax = subSigned(c, d, n)
	}
	if atMin != 0 || atMax != 0 {
		v = fullSigned(n)
	}
	return u, v
}

// linuxBitwise sets s to s op src.
func linuxBitwise[W width](s *Scalar, op asm.ALUOp, src *Scalar) {
	n := bitsOf[W]()
	h := n / 2
	s.Tnum = tnumALU(op, s.Tnum, src.Tnum)

	low := s.Tnum.Truncate(h)
	if low.IsConst() && src.Tnum.Truncate(h).IsConst() {
		s.setLowConst(low.Value, h)
	} else {
		u := linuxBitwiseBounds(op, low, s.lowUnsigned(), src.lowUnsigned())
		s.setLowUnsigned(u)
		s.setLowSigned(linuxSigned(u, h))
	}
	if s.Tnum.IsConst() && src.Tnum.IsConst() {
		s.setConst(s.Tnum.Value, n)
		return
	}
	s.U64 = linuxBitwiseBounds(op, s.Tnum, s.U64, src.U64)
	s.S64 = linuxSigned(s.U64, n)
	linuxFromBits[W](s)
}

// linuxBitwiseBounds returns the unsigned bounds of a op b, whose bits are t.
func linuxBitwiseBounds(op asm.ALUOp, t Tnum, a, b unsigned) unsigned {
	switch op {
	case asm.And:
		return unsigned{t.Value, min(a.Max, b.Max)}
	case asm.Or:
		return unsigned{max(a.Min, b.Min), t.Max()}
	}
	return unsigned{t.Value, t.Max()}
}

// linuxSigned returns u as signed bounds of n bits if its ends are in order so, else all
// numbers.
func linuxSigned(u unsigned, n uint) signed {
	if v := (signed{sext(u.Min, n), sext(u.Max, n)}); !v.Empty() {
		return v
	}
	return fullSigned(n)
}

// linuxShift sets s to s op k on the whole.
func linuxShift[W width](s *Scalar, op asm.ALUOp, k uint) {
	n := bitsOf[W]()
	h := n / 2
	u, v := s.U64, s.S64
	s.U64, s.S64 = fullUnsigned(n), fullSigned(n)
	switch op {
	case asm.LSh:
		if k == h {
			low := s.lowSigned()
			s.S64 = signed{sext(uint64(low.Min)<<k, n), sext(uint64(low.Max)<<k, n)}
		}
		s.U64 = linuxLSh(u, k, n)
		low := linuxLSh(s.lowUnsigned(), k, h)
		s.forgetLowBounds(h)
		s.setLowUnsigned(low)
		s.Tnum = s.Tnum.LShift(k).Truncate(n)
	case asm.RSh:
		s.U64 = unsigned{u.Min >> k, u.Max >> k}
		s.forgetLowBounds(h)
		s.Tnum = s.Tnum.RShift(k)
	case asm.ArSh:
		s.S64 = signed{v.Min >> k, v.Max >> k}
		s.forgetLowBounds(h)
		s.Tnum = s.Tnum.ARShift(k, n)
	}
	linuxFromBits[W](s)
}

// linuxLSh returns the bounds of b << k for words of n bits, all numbers if the
// largest one loses bits.
func linuxLSh(b unsigned, k, n uint) unsigned {
	if k >= n || b.Max > 1<<(n-1-k) {
		return fullUnsigned(n)
	}
	return unsigned{b.Min << k, b.Max << k}
}

// linuxShiftLow sets the low half of s to it op k. Nothing is left of the upper half.
func linuxShiftLow[W width](s *Scalar, op asm.ALUOp, k uint) {
	n := bitsOf[W]()
	h := n / 2
	low, u, v := s.Tnum.Truncate(h), s.lowUnsigned(), s.lowSigned()
	s.forgetBounds(n)
	switch op {
	case asm.LSh:
		s.setLowUnsigned(linuxLSh(u, k, h))
		s.Tnum = low.LShift(k).Truncate(h)
	case asm.RSh:
		s.setLowUnsigned(unsigned{u.Min >> k, u.Max >> k})
		s.Tnum = low.RShift(k)
	case asm.ArSh:
		s.setLowSigned(signed{v.Min >> k, v.Max >> k})
		s.Tnum = low.ARShift(k, h)
	}
	linuxLowFromBits(s, h)
}

// linuxTruncate is coerce_reg_to_size, for n below the width of a register.
func linuxTruncate[W width](x *Scalar, n uint) Scalar {
	m := bitsOf[W]()
	s := *x
	s.Tnum = s.Tnum.Truncate(n)
	if s.U64.Min>>n == s.U64.Max>>n {
		s.U64 = unsigned{trunc(s.U64.Min, n), trunc(s.U64.Max, n)}
	} else {
		s.U64 = fullUnsigned(n)
	}
	s.S64 = signed{int64(s.U64.Min), int64(s.U64.Max)}
	if n < m/2 {
		s.forgetLowBounds(m / 2)
	}
	linuxSync[W](&s)
	return s
}

// linuxMovSX is coerce_reg_to_size_sx if wide, else coerce_subreg_to_size_sx. Of the
// bits it keeps those that the bounds give.
func linuxMovSX[W width](wide bool, x *Scalar, n uint) Scalar {
	m := bitsOf[W]()
	h := m / 2
	if x.Tnum.IsConst() {
		v := uint64(sext(x.Tnum.Value, n))
		if !wide {
			v = trunc(v, h)
		}
		return constant[W](trunc(v, m))
	}
	s, from := unknown[W](), x.S64
	if !wide {
		from = x.lowSigned()
	}
	to := signed{sext(uint64(from.Min), n), sext(uint64(from.Max), n)}
	to = signed{min(to.Min, to.Max), max(to.Min, to.Max)}
	known := from.Min>>n == from.Max>>n && (to.Min < 0) == (to.Max < 0)
	if !known {
		to = fullSigned(n)
	}
	s.S64 = to
	s.setLowSigned(to)
	if known {
		s.U64 = unsigned{trunc(uint64(to.Min), m), trunc(uint64(to.Max), m)}
		s.setLowUnsigned(unsigned{trunc(uint64(to.Min), h), trunc(uint64(to.Max), h)})
		s.Tnum = TnumRange(s.U64.Min, s.U64.Max)
	}
	if !wide {
		s.keepLow(h)
		linuxSync[W](&s)
	}
	return s
}

// linuxBSwap is scalar_byte_swap: the bits are swapped and the bounds are theirs.
func linuxBSwap(x *Scalar, n uint) Scalar {
	s := Unknown()
	s.Tnum = x.Tnum.BSwap(n)
	linuxSync[w64](&s)
	return s
}

// Forks reports whether Linux goes on with two states at dst op src, and which values
// dst has in them: 0, explored later, and -1. It does so for And and Or with a constant
// where dst, as a whole or as a 32-bit part, is within [-1,0], the result of a sign
// spread over a word: two exact results instead of one vague one (maybe_fork_scalars).
// Tight has no such step.
//
//go:noinline // inlined into another package, its operands would escape
func (r Rules) Forks(op asm.ALUOp, dst, src *Scalar) (zero, ones Scalar, ok bool) {
	if r != Linux || op != asm.And && op != asm.Or || !src.IsConst() {
		return zero, ones, false
	}
	if dst.S64 == (signed{-1, 0}) {
		return Const(0), Const(^uint64(0)), true
	}
	if dst.S32 != (Bounds[int32]{-1, 0}) {
		return zero, ones, false
	}
	zero, ones = *dst, *dst
	zero.setLow(constWord(0, 32), 32)
	ones.setLow(constWord(umax(32), 32), 32)
	return zero, ones, true
}
