package domain

import "fmt"

// A Scalar is what is known of a number in a register: its bits, and its bounds
// when the register is read as unsigned or signed, whole or its 32-bit part. It
// stands for the set of numbers that satisfy all five.
//
// After [Rules.Sync] with [Tight] each part knows what the others imply. All functions
// of this package take scalars that have been synced, and return such. A scalar that
// stands for no number only comes out of functions that say so.
//
// The zero Scalar is the number 0.
type Scalar struct {
	Tnum Tnum
	U64  Bounds[uint64]
	S64  Bounds[int64]
	U32  Bounds[uint32]
	S32  Bounds[int32]
}

// Unknown returns the scalar of all numbers.
func Unknown() Scalar { return anyNumber }

var anyNumber = unknown[w64]()

// Const returns the scalar of the one number v.
func Const(v uint64) (s Scalar) {
	s.SetConst(v)
	return s
}

// SetConst makes s stand for the one number v.
func (s *Scalar) SetConst(v uint64) {
	s.Tnum.Value, s.Tnum.Mask = v, 0
	s.U64.Min, s.U64.Max = v, v
	s.S64.Min, s.S64.Max = int64(v), int64(v)
	s.U32.Min, s.U32.Max = uint32(v), uint32(v)
	s.S32.Min, s.S32.Max = int32(v), int32(v)
}

// IsConst reports whether s stands for one number, s.Tnum.Value.
func (s *Scalar) IsConst() bool { return s.Tnum.IsConst() }

// IsConst32 reports whether the 32-bit part of s is one number.
func (s *Scalar) IsConst32() bool { return s.Tnum.Subreg().IsConst() }

// IsUnknown reports whether s stands for all numbers.
func (s *Scalar) IsUnknown() bool { return *s == Unknown() }

// Contains reports whether s stands for v, among others.
func (s *Scalar) Contains(v uint64) bool { return contains[w64](s, v) }

// Includes reports whether each part of s includes that of o, so that s stands for
// all numbers that o does. It is the comparison that pruning is about.
func (s *Scalar) Includes(o *Scalar) bool {
	return s.Tnum.Includes(o.Tnum) && s.U64.Includes(o.U64) && s.S64.Includes(o.S64) &&
		s.U32.Includes(o.U32) && s.S32.Includes(o.S32)
}

// Join returns the smallest scalar that stands for the numbers of both.
func (s *Scalar) Join(o *Scalar) Scalar {
	return Scalar{s.Tnum.Join(o.Tnum), s.U64.Join(o.U64), s.S64.Join(o.S64), s.U32.Join(o.U32), s.S32.Join(o.S32)}
}

// intersect returns what s and o say together.
func (s *Scalar) intersect(o *Scalar) Scalar {
	return Scalar{s.Tnum.Intersect(o.Tnum), s.U64.Intersect(o.U64), s.S64.Intersect(o.S64),
		s.U32.Intersect(o.U32), s.S32.Intersect(o.S32)}
}

// String returns all five parts.
func (s Scalar) String() string {
	return fmt.Sprintf("{%v u64%v s64%v u32%v s32%v}", s.Tnum, s.U64, s.S64, s.U32, s.S32)
}

func unknown[W width]() Scalar {
	n := bitsOf[W]()
	s := Scalar{Tnum: TnumUnknown.Truncate(n)}
	s.forgetBounds(n)
	return s
}

func constant[W width](v uint64) (s Scalar) {
	s.setConst(v, bitsOf[W]())
	return s
}

// setConst makes s, of n bits, stand for v.
func (s *Scalar) setConst(v uint64, n uint) {
	s.Tnum.Value, s.Tnum.Mask = v, 0
	s.U64.Min, s.U64.Max = v, v
	s.S64.Min, s.S64.Max = sext(v, n), sext(v, n)
	s.setLowConst(v, n/2)
}

// setLowConst makes the bounds of the low h bits those of v's.
func (s *Scalar) setLowConst(v uint64, h uint) {
	s.setLowUnsigned(unsigned{trunc(v, h), trunc(v, h)})
	s.setLowSigned(signed{sext(v, h), sext(v, h)})
}

// forgetBounds makes all bounds those of any number of n bits.
func (s *Scalar) forgetBounds(n uint) {
	s.U64, s.S64 = fullUnsigned(n), fullSigned(n)
	s.forgetLowBounds(n / 2)
}

// forgetLowBounds makes the bounds of the low h bits those of any number.
func (s *Scalar) forgetLowBounds(h uint) {
	s.setLowUnsigned(fullUnsigned(h))
	s.setLowSigned(fullSigned(h))
}

func (s *Scalar) lowUnsigned() unsigned { return unsigned{uint64(s.U32.Min), uint64(s.U32.Max)} }
func (s *Scalar) lowSigned() signed     { return signed{int64(s.S32.Min), int64(s.S32.Max)} }

func (s *Scalar) setLowUnsigned(b unsigned) { s.U32 = Bounds[uint32]{uint32(b.Min), uint32(b.Max)} }
func (s *Scalar) setLowSigned(b signed)     { s.S32 = Bounds[int32]{int32(b.Min), int32(b.Max)} }

func contains[W width](s *Scalar, v uint64) bool {
	n := bitsOf[W]()
	return s.Tnum.Contains(v) && s.U64.Contains(v) && s.S64.Contains(sext(v, n)) &&
		s.U32.Contains(uint32(trunc(v, n/2))) && s.S32.Contains(int32(sext(v, n/2)))
}

// word is what is known of a whole register, or of its low half as a word of its
// own. Arithmetic is the same for both.
type word struct {
	t Tnum
	u unsigned
	s signed
}

func (s *Scalar) whole() word { return word{s.Tnum, s.U64, s.S64} }

// low returns the low h bits.
func (s *Scalar) low(h uint) word { return word{s.Tnum.Truncate(h), s.lowUnsigned(), s.lowSigned()} }

// setLow makes the low h bits those of w, and leaves what is known of the whole.
func (s *Scalar) setLow(w word, h uint) {
	s.Tnum = s.Tnum.withLow(w.t, h)
	s.setLowUnsigned(w.u)
	s.setLowSigned(w.s)
}

// keepLow makes s the low h bits of it, zero-extended: the result of a 32-bit operation.
func (s *Scalar) keepLow(h uint) {
	s.Tnum.Value, s.Tnum.Mask = trunc(s.Tnum.Value, h), trunc(s.Tnum.Mask, h)
	s.U64.Min, s.U64.Max = uint64(s.U32.Min), uint64(s.U32.Max)
	s.S64.Min, s.S64.Max = 0, int64(umax(h))
	if s.S32.Min >= 0 && s.S32.Max >= 0 {
		s.S64.Min, s.S64.Max = int64(s.S32.Min), int64(s.S32.Max)
	}
}

// extend returns w, of h bits, zero-extended.
func extend(w word, h uint) (s Scalar) {
	s.setLow(w, h)
	s.keepLow(h)
	return s
}

func unknownWord(n uint) word {
	return word{TnumUnknown.Truncate(n), fullUnsigned(n), fullSigned(n)}
}

func constWord(v uint64, n uint) word {
	v = trunc(v, n)
	return word{TnumConst(v), unsigned{v, v}, signed{sext(v, n), sext(v, n)}}
}

func (w word) join(o word) word { return word{w.t.Join(o.t), w.u.Join(o.u), w.s.Join(o.s)} }
