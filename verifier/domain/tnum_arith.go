package domain

import "math/bits"

// The operations on tnums return what is known of the result, whatever words of the
// operands it is computed from. They work on 64 bits. Of Add, Sub, Neg, Mul, LShift and
// the bitwise ones the low n bits depend on the low n bits of the operands only, so for
// a narrower word it is enough to truncate the result. All but Mul and the divisions
// return the smallest such tnum.

// Add returns the tnum of the sums. A bit is known if it is so in both, and if the
// carry into it is the same for the largest and for the smallest words.
func (t Tnum) Add(o Tnum) Tnum {
	least, most := t.Value+o.Value, t.Max()+o.Max()
	mask := least ^ most | t.Mask | o.Mask
	return Tnum{Value: least &^ mask, Mask: mask}
}

// Sub returns the tnum of the differences t - o.
func (t Tnum) Sub(o Tnum) Tnum {
	least, most := t.Value-o.Max(), t.Max()-o.Value
	mask := least ^ most | t.Mask | o.Mask
	return Tnum{Value: least &^ mask, Mask: mask}
}

// Neg returns the tnum of -t.
func (t Tnum) Neg() Tnum { return Tnum{}.Sub(t) }

// And returns the tnum of t & o.
func (t Tnum) And(o Tnum) Tnum {
	ones := t.Value & o.Value
	return Tnum{Value: ones, Mask: t.Max() & o.Max() &^ ones}
}

// Or returns the tnum of t | o.
func (t Tnum) Or(o Tnum) Tnum {
	ones := t.Value | o.Value
	return Tnum{Value: ones, Mask: (t.Mask | o.Mask) &^ ones}
}

// Xor returns the tnum of t ^ o.
func (t Tnum) Xor(o Tnum) Tnum {
	mask := t.Mask | o.Mask
	return Tnum{Value: (t.Value ^ o.Value) &^ mask, Mask: mask}
}

// LShift returns the tnum of t << k.
func (t Tnum) LShift(k uint) Tnum { return Tnum{Value: t.Value << k, Mask: t.Mask << k} }

// RShift returns the tnum of t >> k, with zeros shifted in.
func (t Tnum) RShift(k uint) Tnum { return Tnum{Value: t.Value >> k, Mask: t.Mask >> k} }

// ARShift returns the tnum of t >> k for words of n bits, with the sign shifted in.
// The result has n bits as well.
func (t Tnum) ARShift(k, n uint) Tnum {
	t = t.SignExtend(n)
	t = Tnum{Value: uint64(int64(t.Value) >> k), Mask: uint64(int64(t.Mask) >> k)}
	return t.Truncate(n)
}

// BSwap returns the tnum of the low n bits (16, 32 or 64) in reverse byte order.
func (t Tnum) BSwap(n uint) Tnum {
	return Tnum{Value: bits.ReverseBytes64(t.Value) >> (64 - n), Mask: bits.ReverseBytes64(t.Mask) >> (64 - n)}
}

// UDiv returns the tnum of the unsigned quotients t / o, where a division by 0
// gives 0 (RFC 9669, section 4.1). It is exact for constants and for constant
// divisors that are powers of two, and otherwise knows the leading zeros.
func (t Tnum) UDiv(o Tnum) Tnum {
	if o.IsConst() && bits.OnesCount64(o.Value) == 1 {
		return t.RShift(uint(bits.TrailingZeros64(o.Value)))
	}
	if o.Max() == 0 {
		return Tnum{}
	}
	if o.Value == 0 {
		return TnumRange(0, t.Max())
	}
	return TnumRange(t.Value/o.Max(), t.Max()/o.Value)
}

// UMod returns the tnum of the unsigned remainders t % o, where the remainder of a
// division by 0 is the dividend. The low bits in which all divisors are 0 are those
// of the dividend, and no remainder is above its dividend.
func (t Tnum) UMod(o Tnum) Tnum {
	low := t.lowBits(o)
	if t.Max() < o.Value {
		return t
	}
	most := t.Max()
	if o.Value != 0 {
		most = min(most, o.Max()-1)
	}
	return TnumRange(0, most).Intersect(low)
}

// SMod returns the tnum of the signed remainders t % o, which have the sign of the
// dividend, for words of n bits. It knows the low bits as UMod does.
func (t Tnum) SMod(o Tnum, n uint) Tnum {
	return t.lowBits(o).Truncate(n)
}

// lowBits returns the low bits of t in which all of o is 0, and nothing above. A
// remainder differs from its dividend by a multiple of the divisor.
func (t Tnum) lowBits(o Tnum) Tnum {
	above := ^uint64(0) << uint(bits.TrailingZeros64(o.Max()))
	return Tnum{Value: t.Value &^ above, Mask: t.Mask | above}
}
