package domain

// What Linux 6.18.44 deduces, step for step (kernel/bpf/verifier.c, function names
// in the comments). Other kernels have fewer steps; where the order of two steps
// matters, it is Linux's.

// linuxRounds is how often Linux goes over its rules, whether or not anything
// changes.
const linuxRounds = 3

// linuxSync is reg_bounds_sync. Of a constant, and of what is in order already, it knows the
// outcome.
func linuxSync[W width](s *Scalar) {
	if v := s.Tnum.Value; s.Tnum.IsConst() && contains[W](s, v) {
		s.setConst(v, bitsOf[W]())
		return
	}
	if !linuxSettled[W](s) {
		linuxSteps[W](s)
	}
}

// linuxSettled reports of most scalars that the steps would not change that they would not: of a
// low half and of a whole of which nothing is known, and of numbers as linuxSmall has them.
func linuxSettled[W width](s *Scalar) bool {
	n := bitsOf[W]()
	h := n / 2
	lo, hi, t := s.U64.Min, s.U64.Max, s.Tnum
	if hi > uint64(smax(h)) {
		return lo == 0 && t.Value == 0 && t.Mask == hi && s.lowUnsigned() == fullUnsigned(h) && s.lowSigned() == fullSigned(h) &&
			(hi == umax(h) && s.S64 == signed{0, int64(hi)} || hi == umax(n) && s.S64 == fullSigned(n))
	}
	if s.S64.Min != int64(lo) || s.S64.Max != int64(hi) || s.S32.Min != int32(lo) || s.S32.Max != int32(hi) ||
		s.U32.Min != uint32(lo) || s.U32.Max != uint32(hi) {
		return false
	}
	return lo < hi && t.Contains(lo) && t.Contains(hi) && t == t.Intersect(TnumRange(lo, hi))
}

// linuxSteps is all that reg_bounds_sync does.
func linuxSteps[W width](s *Scalar) {
	linuxFromBits[W](s)
	if !linuxSmall[W](s) {
		linuxDeduce[W](s)
		linuxToBits[W](s)
	}
	linuxFromBits[W](s)
}

// linuxDeduce has the bounds tighten each other, as often as Linux does.
func linuxDeduce[W width](s *Scalar) {
	for range linuxRounds {
		before := *s
		linuxOrders[W](s)
		linuxLowToWhole[W](s)
		if *s == before {
			break // and so it would stay
		}
	}
}

// linuxSmall is linuxDeduce and then linuxToBits for most numbers that programs have: those
// that by all bounds are the same number, not negative, whole and as a low half. The first round
// makes all bounds the same then, and no other changes any. It returns false, and has done nothing,
// if s is none of these.
func linuxSmall[W width](s *Scalar) bool {
	h := bitsOf[W]() / 2
	if s.U64.Max > uint64(smax(h)) || s.S64.Min < 0 || uint64(s.S64.Max) > umax(h) || s.S32.Min < 0 {
		return false
	}
	b := unsigned{
		max(s.U64.Min, uint64(s.S64.Min), uint64(s.U32.Min), uint64(s.S32.Min)),
		min(s.U64.Max, uint64(s.S64.Max), uint64(s.U32.Max), uint64(s.S32.Max)),
	}
	if b.Empty() || s.S64.Empty() || s.U32.Empty() {
		return false
	}
	s.U64, s.S64 = b, signed{int64(b.Min), int64(b.Max)}
	s.setLowUnsigned(b)
	s.setLowSigned(s.S64)
	s.Tnum = s.Tnum.Intersect(TnumRange(b.Min, b.Max))
	return true
}

// linuxFromBits is __update_reg_bounds: the bounds that the known bits give.
func linuxFromBits[W width](s *Scalar) {
	n := bitsOf[W]()
	linuxLowFromBits(s, n/2)
	s.U64 = s.U64.Intersect(unsigned{s.Tnum.Value, s.Tnum.Max()})
	s.S64 = s.S64.Intersect(signedBounds(s.Tnum, n))
	linuxSingle[W](s)
}

// linuxLowFromBits is __update_reg32_bounds.
func linuxLowFromBits(s *Scalar, h uint) {
	low := s.Tnum.Truncate(h)
	s.setLowUnsigned(s.lowUnsigned().Intersect(unsigned{low.Value, low.Max()}))
	s.setLowSigned(s.lowSigned().Intersect(signedBounds(low, h)))
}

// signedBounds returns the bounds of t's words of n bits as signed numbers.
func signedBounds(t Tnum, n uint) signed {
	sign := signBit(n)
	return signed{sext(t.Value|t.Mask&sign, n), sext(t.Value|t.Mask&^sign, n)}
}

// linuxSingle finds the one number that has the known bits and lies within the
// unsigned bounds, if there is just one.
func linuxSingle[W width](s *Scalar) {
	lo, hi := s.U64.Min, s.U64.Max
	if lo < hi && s.Tnum.Contains(lo) && s.Tnum.Contains(hi) {
		return // there are two
	}
	next := linuxStep(s.Tnum, lo)
	switch member := s.Tnum.Contains(lo); {
	case member && next > hi:
		s.setConst(lo, bitsOf[W]())
	case !member && next == s.Tnum.Max():
		s.setConst(next, bitsOf[W]())
	case !member && next <= hi && linuxStep(s.Tnum, next) > hi:
		s.setConst(next, bitsOf[W]())
	}
}

// linuxStep is tnum_step: the smallest word of t above x, or the largest word of
// all if there is none.
func linuxStep(t Tnum, x uint64) uint64 {
	if x >= t.Max() {
		return t.Max()
	}
	next, _ := t.Ceil(x + 1)
	return next
}

// linuxOrders is __reg32_deduce_bounds and then __reg64_deduce_bounds.
func linuxOrders[W width](s *Scalar) {
	n := bitsOf[W]()
	h := n / 2
	u, v := s.lowUnsigned(), s.lowSigned()
	u, v = linuxWholeToLow(u, v, s.U64.Min, s.U64.Max, true, h)
	u, v = linuxWholeToLow(u, v, uint64(s.S64.Min), uint64(s.S64.Max), false, h)
	v = linuxAcross(v, s.U64.Min, s.U64.Max, n)
	v = linuxAcross(v, uint64(s.S64.Min), uint64(s.S64.Max), n)
	u, v = linuxExchange(u, v, h)
	s.setLowUnsigned(u)
	s.setLowSigned(v)
	s.U64, s.S64 = linuxExchange(s.U64, s.S64, n)
}

// linuxWholeToLow tightens the bounds u and v of the low h bits by the whole's, lo and
// hi, if these have the same upper half. The unsigned bounds of the whole are in order
// in their low halves then, the signed ones are asked for it.
func linuxWholeToLow(u unsigned, v signed, lo, hi uint64, ordered bool, h uint) (unsigned, signed) {
	if lo>>h != hi>>h {
		return u, v
	}
	low := unsigned{trunc(lo, h), trunc(hi, h)}
	if ordered || !low.Empty() {
		u = u.Intersect(low)
	}
	if b := (signed{sext(lo, h), sext(hi, h)}); !b.Empty() {
		v = v.Intersect(b)
	}
	return u, v
}

// linuxAcross tightens the signed bounds of the low half by the whole's, of n bits, if
// these are in two neighbouring upper halves, and negative and then not as low halves.
func linuxAcross(v signed, lo, hi uint64, n uint) signed {
	h := n / 2
	b := signed{sext(lo, h), sext(hi, h)}
	if trunc(lo>>h+1, h) == trunc(hi>>h, h) && b.Min < 0 && b.Max >= 0 {
		v = v.Intersect(b)
	}
	return v
}

// linuxExchange lets the unsigned and signed bounds of words of n bits tighten each
// other.
func linuxExchange(u unsigned, v signed, n uint) (unsigned, signed) {
	if b := (signed{sext(u.Min, n), sext(u.Max, n)}); !b.Empty() {
		v = v.Intersect(b)
	}
	lo, hi := trunc(uint64(v.Min), n), trunc(uint64(v.Max), n)
	switch {
	case lo <= hi:
		u = u.Intersect(unsigned{lo, hi})
	case u.Max < lo: // only the end that is not negative is met
		v.Min, u.Max = sext(u.Min, n), min(u.Max, hi)
	case hi < u.Min: // only the negative end is
		v.Max, u.Min = sext(u.Max, n), max(u.Min, lo)
	}
	return u, v
}

// linuxLowToWhole is __reg_deduce_mixed_bounds: the low half's bounds under the
// upper halves that the whole's ends have.
func linuxLowToWhole[W width](s *Scalar) {
	n := bitsOf[W]()
	h := n / 2
	low, lowSigned := s.lowUnsigned(), s.lowSigned()
	s.U64 = s.U64.Intersect(unsigned{s.U64.Min>>h<<h | low.Min, s.U64.Max>>h<<h | low.Max})
	s.S64 = s.S64.Intersect(signed{s.S64.Min>>h<<h | int64(low.Min), s.S64.Max>>h<<h | int64(low.Max)})
	if lowSigned.Min >= 0 && s.S64.Min >= smin(h) && s.S64.Max <= smax(h) {
		s.S64 = lowSigned
		s.U64 = unsigned{trunc(uint64(lowSigned.Min), n), trunc(uint64(lowSigned.Max), n)}
		s.Tnum = s.Tnum.Intersect(TnumRange(s.U64.Min, s.U64.Max))
	}
}

// linuxToBits is __reg_bound_offset: the leading bits that the bounds give.
func linuxToBits[W width](s *Scalar) {
	h := bitsOf[W]() / 2
	s.Tnum = s.Tnum.Intersect(TnumRange(s.U64.Min, s.U64.Max))
	low := s.lowUnsigned()
	s.Tnum = s.Tnum.withLow(s.Tnum.Truncate(h).Intersect(TnumRange(low.Min, low.Max)), h)
}

// linuxSane is reg_bounds_sanity_check: if s contradicts itself, its bounds are
// forgotten and its bits stay.
func linuxSane[W width](s *Scalar) {
	n := bitsOf[W]()
	h := n / 2
	torn := false
	if low := s.Tnum.Truncate(h); low.IsConst() {
		u, v := uint32(low.Value), int32(sext(low.Value, h))
		torn = s.U32 != Bounds[uint32]{u, u} || s.S32 != Bounds[int32]{v, v}
	}
	if s.Tnum.IsConst() {
		u, v := s.Tnum.Value, sext(s.Tnum.Value, n)
		torn = torn || s.U64 != unsigned{u, u} || s.S64 != signed{v, v}
	}
	if torn || s.U64.Empty() || s.S64.Empty() || s.U32.Empty() || s.S32.Empty() {
		s.forgetBounds(n)
	}
}
