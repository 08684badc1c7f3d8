package domain

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
)

// jNotSet is the condition that no bit is common, the opposite of JSet. No
// instruction has it.
const jNotSet asm.JumpOp = 0xff

// negated returns the condition that holds where op does not.
func negated(op asm.JumpOp) asm.JumpOp {
	switch op {
	case asm.JSet:
		return jNotSet
	case asm.JEq:
		return asm.JNE
	case asm.JNE:
		return asm.JEq
	case asm.JGT:
		return asm.JLE
	case asm.JGE:
		return asm.JLT
	case asm.JLT:
		return asm.JGE
	case asm.JLE:
		return asm.JGT
	case asm.JSGT:
		return asm.JSLE
	case asm.JSGE:
		return asm.JSLT
	case asm.JSLT:
		return asm.JSGE
	case asm.JSLE:
		return asm.JSGT
	}
	return op // no condition: nothing follows
}

// Refine adds to a and b what follows if a conditional jump is taken, or if it is
// not. It compares as Decide does. It returns false if it finds that this cannot be,
// which Linux never does; a and b are then not to be used. They may be the same
// Scalar.
//
//go:noinline // inlined into another package, its operands would escape
func (r Rules) Refine(op asm.JumpOp, wide, taken bool, a, b *Scalar) bool {
	return refine[w64](r, op, wide, taken, a, b)
}

// RefineImm is [Rules.Refine] with an immediate, of which nothing is to be learned.
//
//go:noinline // inlined into another package, its operands would escape
func (r Rules) RefineImm(op asm.JumpOp, wide, taken bool, a *Scalar, imm uint64) bool {
	if r != Linux {
		b := constant[w64](imm)
		return refine[w64](r, op, wide, taken, a, &b)
	}
	if !taken {
		op = negated(op)
	}
	linuxRefineImm[w64](op, wide, a, imm)
	return true
}

func refine[W width](r Rules, op asm.JumpOp, wide, taken bool, a, b *Scalar) bool {
	if !taken {
		op = negated(op)
	}
	switch {
	case r == Linux:
		linuxRefine[W](op, wide, a, b)
		return true
	case op == asm.JEq && wide:
		if !a.Tnum.Overlaps(b.Tnum) {
			return false
		}
		*a = a.intersect(b)
		ok := tighten[W](a)
		*b = *a
		return ok
	}
	x, y := view[W](a, wide), view[W](b, wide)
	if !refineWords(op, &x, &y, sizeOf[W](wide)) {
		return false
	}
	setView[W](a, &x, wide)
	setView[W](b, &y, wide)
	return tighten[W](a) && tighten[W](b)
}

// sizeOf returns how many bits an operation works on.
func sizeOf[W width](wide bool) uint {
	if wide {
		return bitsOf[W]()
	}
	return bitsOf[W]() / 2
}

// view returns the word of s that is compared.
func view[W width](s *Scalar, wide bool) (w word) {
	if wide {
		w.t, w.u, w.s = s.Tnum, s.U64, s.S64
		return w
	}
	h := bitsOf[W]() / 2
	w.t.Value, w.t.Mask = trunc(s.Tnum.Value, h), trunc(s.Tnum.Mask, h)
	w.u.Min, w.u.Max = uint64(s.U32.Min), uint64(s.U32.Max)
	w.s.Min, w.s.Max = int64(s.S32.Min), int64(s.S32.Max)
	return w
}

// setView puts the word back.
func setView[W width](s *Scalar, w *word, wide bool) {
	if wide {
		s.Tnum, s.U64, s.S64 = w.t, w.u, w.s
		return
	}
	s.setLow(*w, bitsOf[W]()/2)
}

// refineWords adds to x and y, of n bits, what follows from x op y. It returns false
// if that cannot be.
func refineWords(op asm.JumpOp, x, y *word, n uint) bool {
	switch op {
	case asm.JEq:
		return refineEqual(x, y)
	case asm.JNE:
		return refineUnequal(x, y, n) && refineUnequal(y, x, n)
	case asm.JSet:
		return refineCommon(x, y, n)
	case jNotSet:
		return refineDisjoint(x, y)
	case asm.JGT:
		return refineLess(&y.u, &x.u)
	case asm.JLT:
		return refineLess(&x.u, &y.u)
	case asm.JGE:
		return refineAtMost(&y.u, &x.u)
	case asm.JLE:
		return refineAtMost(&x.u, &y.u)
	case asm.JSGT:
		return refineLess(&y.s, &x.s)
	case asm.JSLT:
		return refineLess(&x.s, &y.s)
	case asm.JSGE:
		return refineAtMost(&y.s, &x.s)
	case asm.JSLE:
		return refineAtMost(&x.s, &y.s)
	}
	return true
}

// refineEqual gives x and y what is known of both.
func refineEqual(x, y *word) bool {
	if !x.t.Overlaps(y.t) {
		return false
	}
	x.t, x.u, x.s = x.t.Intersect(y.t), x.u.Intersect(y.u), x.s.Intersect(y.s)
	*y = *x
	return !x.u.Empty() && !x.s.Empty()
}

// refineAtMost adds to a and b that a <= b. It returns false if that cannot be.
func refineAtMost[T uint64 | int64](a, b *Bounds[T]) bool {
	a.Max = min(a.Max, b.Max)
	b.Min = max(a.Min, b.Min)
	return !a.Empty() && !b.Empty()
}

// refineLess adds to a and b that a < b. It returns false if that cannot be.
func refineLess[T uint64 | int64](a, b *Bounds[T]) bool {
	if a.Min >= b.Max {
		return false
	}
	a.Max = min(a.Max, b.Max-1)
	b.Min = max(b.Min, a.Min+1)
	return true
}

// refineUnequal adds to x that it is not y, which says something if y is one number
// and that is at an end of x.
func refineUnequal(x, y *word, n uint) bool {
	if !y.t.IsConst() {
		return true
	}
	v := y.t.Value
	return trim(&x.u, v) && trim(&x.s, sext(v, n))
}

// trim takes v off the ends of b. It returns false if nothing is left.
func trim[T uint64 | int64](b *Bounds[T], v T) bool {
	switch {
	case b.Min == v && b.Max == v:
		return false
	case b.Min == v:
		b.Min++
	case b.Max == v:
		b.Max--
	}
	return true
}

// refineCommon adds to x and y, of n bits, that they have a bit in common: neither is
// zero, and if there is just one such bit that both can have, both have it.
func refineCommon(x, y *word, n uint) bool {
	common := x.t.Max() & y.t.Max()
	if common == 0 {
		return false
	}
	if bits.OnesCount64(common) == 1 {
		x.t = x.t.Or(TnumConst(common))
		y.t = y.t.Or(TnumConst(common))
	}
	zero := constWord(0, n)
	return refineUnequal(x, &zero, n) && refineUnequal(y, &zero, n)
}

// refineDisjoint adds to x and y that they have no bit in common: each is zero where the
// other is known to be one.
func refineDisjoint(x, y *word) bool {
	if x.t.Value&y.t.Value != 0 {
		return false
	}
	x.t.Mask &^= y.t.Value
	y.t.Mask &^= x.t.Value
	return true
}
