package domain

// Sync gives each part of a scalar what the others imply, until nothing more follows. It
// works on four intervals of unsigned numbers: of the whole and of the low half, each in
// unsigned order and in signed order, the latter with the sign bit inverted (the bias),
// so that one set of rules serves them all:
//
//   - bits to interval: the ends move inward to the nearest word that has the known bits
//     (Tnum.Ceil, Tnum.Floor);
//   - order to order: an interval in one order is a way around the circle of words in the
//     other (Bounds.keep);
//   - whole to half: an interval of at most as many numbers as the half has goes around
//     the half's circle at most once, so it is a way there;
//   - half to whole: the ends move inward to the nearest word whose low half is allowed;
//   - interval to bits: the leading bits in which both ends agree are known.
//
// Linux has a subset of these rules (kernel/bpf/verifier.c, reg_bounds_sync), which
// linux_sync.go states.

// maxSyncRounds is a limit that no known input comes near: each round but the last one
// tightens something. Stopping early is sound.
const maxSyncRounds = 16

// tighten syncs s. It returns false if it finds that s stands for no number, and s
// then is not to be used.
func tighten[W width](s *Scalar) bool {
	if s.Tnum.IsConst() {
		v := s.Tnum.Value
		ok := contains[W](s, v)
		s.setConst(v, bitsOf[W]())
		return ok
	}
	for range maxSyncRounds {
		before := *s
		if !tightenOnce[W](s) {
			return false
		}
		if *s == before {
			return true
		}
	}
	return true
}

// tightenOnce applies every rule once.
func tightenOnce[W width](s *Scalar) bool {
	n := bitsOf[W]()
	h := n / 2
	bias, bias32 := signBit(n), signBit(h)

	u := s.U64
	v := unsigned{trunc(uint64(s.S64.Min), n) ^ bias, trunc(uint64(s.S64.Max), n) ^ bias}
	u32 := s.lowUnsigned()
	v32 := unsigned{trunc(uint64(s.S32.Min), h) ^ bias32, trunc(uint64(s.S32.Max), h) ^ bias32}
	low := s.Tnum.Truncate(h)

	ok := within(&u, s.Tnum) && within(&v, biased(s.Tnum, bias)) &&
		within(&u32, low) && within(&v32, biased(low, bias32))
	if !ok {
		return false
	}
	u, v = exchange(u, v, bias)
	toHalf(u, &u32, &v32, h, bias32)
	toHalf(v, &u32, &v32, h, bias32) // the bias is above the half
	u32, v32 = exchange(u32, v32, bias32)
	if u32.Empty() || v32.Empty() {
		return false
	}
	ok = fromHalf(&u, u32, 0, n) && fromHalf(&u, v32, bias32, n) &&
		fromHalf(&v, u32, 0, n) && fromHalf(&v, v32, bias32, n)
	if !ok {
		return false
	}

	s.U64, s.S64 = u, signed{sext(v.Min^bias, n), sext(v.Max^bias, n)}
	s.setLowUnsigned(u32)
	s.setLowSigned(signed{sext(v32.Min^bias32, h), sext(v32.Max^bias32, h)})
	return learnBits(s, u, u32, h)
}

// biased returns t with the sign bit inverted.
func biased(t Tnum, bias uint64) Tnum {
	t.Value ^= bias &^ t.Mask
	return t
}

// within moves the ends of b inward to words of t. It returns false if there are none.
func within(b *unsigned, t Tnum) bool {
	lo, ok := t.Ceil(b.Min)
	hi, ok2 := t.Floor(b.Max)
	*b = unsigned{lo, hi}
	return ok && ok2 && lo <= hi
}

// exchange returns both intervals, the second one biased, with what each says of the
// other.
func exchange(u, v unsigned, bias uint64) (unsigned, unsigned) {
	u = u.keep(v.Min^bias, v.Max^bias)
	v = v.keep(u.Min^bias, u.Max^bias)
	return u, v
}

// toHalf tightens the intervals of the low h bits by one of the whole.
func toHalf(b unsigned, u32, v32 *unsigned, h uint, bias32 uint64) {
	if !fits(b, h) {
		return
	}
	lo, hi := trunc(b.Min, h), trunc(b.Max, h)
	*u32 = u32.keep(lo, hi)
	*v32 = v32.keep(lo^bias32, hi^bias32)
}

// fromHalf moves the ends of b, of n bits, inward to words whose low half, with bias
// inverted, is within half. It returns false if there are none.
func fromHalf(b *unsigned, half unsigned, bias uint64, n uint) bool {
	h := n / 2
	lo, ok := nextLow(b.Min, half.Min^bias, half.Max^bias, h)
	// Down is up in the complements.
	hi, ok2 := nextLow(umax(n)&^b.Max, umax(h)&^(half.Max^bias), umax(h)&^(half.Min^bias), h)
	*b = unsigned{lo, umax(n) &^ hi}
	return ok && ok2 && max(lo, hi) <= umax(n) && !b.Empty()
}

// nextLow returns the smallest word from x on whose low h bits are on the way from lo to
// hi, and false if it has more than 64 bits.
func nextLow(x, lo, hi uint64, h uint) (uint64, bool) {
	l := trunc(x, h)
	switch {
	case lo <= hi && l > hi:
		next := (x>>h + 1) << h
		return next | lo, next != 0
	case lo <= hi && l < lo, lo > hi && l > hi && l < lo:
		return x>>h<<h | lo, true
	}
	return x, true
}

// learnBits narrows the tnum of s to the leading bits of its unsigned bounds. It
// returns false if they contradict it.
func learnBits(s *Scalar, u, u32 unsigned, h uint) bool {
	bits := TnumRange(u.Min, u.Max)
	if !s.Tnum.Overlaps(bits) {
		return false
	}
	s.Tnum = s.Tnum.Intersect(bits)
	low, bits := s.Tnum.Truncate(h), TnumRange(u32.Min, u32.Max)
	if !low.Overlaps(bits) {
		return false
	}
	s.Tnum = s.Tnum.withLow(low.Intersect(bits), h)
	return true
}
