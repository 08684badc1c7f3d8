package domain

// Division and modulo, unsigned and signed, where a division by 0 gives 0, the
// remainder by 0 is the dividend, and the smallest number divided by -1 is itself
// (RFC 9669, section 4.1). Linux 6.18 takes all results for unknown.

// divWord returns the unsigned a / b.
func divWord(a, b word, n uint) word {
	r := word{a.t.UDiv(b.t), unsigned{0, a.u.Max}, fullSigned(n)}
	switch {
	case b.u.Max == 0:
		r.u.Max = 0
	case b.u.Min > 0:
		r.u = unsigned{a.u.Min / b.u.Max, a.u.Max / b.u.Min}
	}
	return r
}

// modWord returns the unsigned a % b.
func modWord(a, b word, n uint) word {
	if a.u.Max < b.u.Min || b.u.Max == 0 {
		return a
	}
	r := word{a.t.UMod(b.t), unsigned{0, a.u.Max}, fullSigned(n)}
	if b.u.Min == 0 {
		return r
	}
	r.u.Max = min(a.u.Max, b.u.Max-1)
	if d := b.u.Min; b.u.IsConst() && a.u.Min/d == a.u.Max/d {
		r.u = unsigned{a.u.Min % d, a.u.Max % d}
	}
	return r
}

// sdivWord returns the signed a / b for words of n bits.
func sdivWord(a, b word, n uint) word {
	r := unknownWord(n)
	below, above := signed{b.s.Min, min(b.s.Max, -1)}, signed{max(b.s.Min, 1), b.s.Max}
	if !below.Empty() && !above.Empty() || b.u.Min == 0 {
		// 0 is a quotient, or between one of each sign.
		r.s = signed{}
		if !below.Empty() {
			r.s = r.s.Join(quotients(a.s, below, n))
		}
		if !above.Empty() {
			r.s = r.s.Join(quotients(a.s, above, n))
		}
		return r
	}
	if below.Empty() {
		r.s = quotients(a.s, above, n)
	} else {
		r.s = quotients(a.s, below, n)
	}
	return r
}

// quotients returns the bounds of a / b, for b that are all above or all below 0. A
// quotient rises or falls with each operand, so that the corners have the ends.
func quotients(a, b signed, n uint) signed {
	if a.Min == smin(n) && b.Contains(-1) {
		if a.IsConst() && b.IsConst() {
			return a
		}
		return fullSigned(n)
	}
	p, q, r, s := a.Min/b.Min, a.Min/b.Max, a.Max/b.Min, a.Max/b.Max
	return signed{min(p, q, r, s), max(p, q, r, s)}
}

// smodWord returns the signed a % b for words of n bits. The remainder has the sign
// of a, and less magnitude than b.
func smodWord(a, b word, n uint) word {
	divisor := signed{min(b.s.Min, 0), max(b.s.Max, 0)}
	most := max(-uint64(divisor.Min), uint64(divisor.Max)) // the magnitude; zero if all divisors are
	least := leastMagnitude(b)
	if most == 0 || max(-uint64(min(a.s.Min, 0)), uint64(max(a.s.Max, 0))) < least {
		return a
	}
	r := unknownWord(n)
	r.t = a.t.SMod(b.t, n)
	r.s = signed{min(a.s.Min, 0), max(a.s.Max, 0)}
	if b.u.Min > 0 && most-1 <= uint64(smax(n)) {
		r.s = r.s.Intersect(signed{-int64(most - 1), int64(most - 1)})
	}
	if a.s.IsConst() && b.s.IsConst() && b.s.Min != 0 {
		c := a.s.Min % b.s.Min
		r = constWord(uint64(c), n)
	}
	return r
}

// leastMagnitude returns the least magnitude of b as a signed number.
func leastMagnitude(b word) uint64 {
	switch {
	case b.s.Min > 0:
		return uint64(b.s.Min)
	case b.s.Max < 0:
		return -uint64(b.s.Max)
	case b.u.Min > 0:
		return 1
	}
	return 0
}
