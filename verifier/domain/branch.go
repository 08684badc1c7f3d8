package domain

import "github.com/sandbpf/sandbpf/asm"

// Decide returns whether a conditional jump is taken, if that is the same for all
// numbers that a and b stand for. It compares on 64 bits if wide, else on the
// lower 32 bits. An immediate operand is a constant, sign-extended. It does not know that a and
// b are the same register if they are.
func (r Rules) Decide(op asm.JumpOp, wide bool, a, b *Scalar) (known, taken bool) {
	return decide[w64](r, op, wide, a, b)
}

func decide[W width](r Rules, op asm.JumpOp, wide bool, a, b *Scalar) (known, taken bool) {
	h := bitsOf[W]() / 2
	x, y := a.whole(), b.whole()
	if !wide {
		x, y = a.low(h), b.low(h)
	}
	switch op {
	case asm.JEq, asm.JNE:
		apart := wide && (a.U32.Intersect(b.U32).Empty() || a.S32.Intersect(b.S32).Empty())
		known, equal := decideEqual(x, y, apart)
		return known, equal == (op == asm.JEq)
	case asm.JSet:
		if r == Linux && !x.t.IsConst() && !y.t.IsConst() {
			return false, false
		}
		common := x.t.And(y.t)
		return common.Value != 0 || common.Mask == 0, common.Value != 0
	case asm.JGT:
		return decideLess(y.u, x.u)
	case asm.JLT:
		return decideLess(x.u, y.u)
	case asm.JGE:
		known, less := decideLess(x.u, y.u)
		return known, !less
	case asm.JLE:
		known, more := decideLess(y.u, x.u)
		return known, !more
	case asm.JSGT:
		return decideLess(y.s, x.s)
	case asm.JSLT:
		return decideLess(x.s, y.s)
	case asm.JSGE:
		known, less := decideLess(x.s, y.s)
		return known, !less
	case asm.JSLE:
		known, more := decideLess(y.s, x.s)
		return known, !more
	}
	return false, false
}

// decideEqual returns whether x and y are equal, if that is known. Apart says that
// their low halves are known to differ.
func decideEqual(x, y word, apart bool) (known, equal bool) {
	switch {
	case x.t.IsConst() && y.t.IsConst():
		return true, x.t.Value == y.t.Value
	case apart, !x.t.Overlaps(y.t), x.u.Intersect(y.u).Empty(), x.s.Intersect(y.s).Empty():
		return true, false
	}
	return false, false
}

// decideLess returns whether a is less than b, if that is known.
func decideLess[T uint64 | int64](a, b Bounds[T]) (known, less bool) {
	switch {
	case a.Max < b.Min:
		return true, true
	case a.Min >= b.Max:
		return true, false
	}
	return false, false
}

// negated returns the condition that holds where op does not: XX condition the one that holds if it does not, except for
// JSet, which has none.
func negated(op asm.JumpOp) asm.JumpOp {
	switch op {
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
	return 0 // not JSet
}

// Refine adds to a and b what follows if a conditional jump is taken, or if it is
// not. It returns false if it finds that this cannot be, which Linux never does; a and b are then not to
// be used. They may be the same Scalar.
func (r Rules) Refine(op asm.JumpOp, wide, taken bool, a, b *Scalar) bool {
	return refine[w64](r, op, wide, taken, a, b)
}

func refine[W width](r Rules, op asm.JumpOp, wide, taken bool, a, b *Scalar) bool {
	if r == Linux {
		linuxRefine[W](op, wide, taken, a, b)
		return true
	}
	n := bitsOf[W]()
	x, y := a.whole(), b.whole()
	if !wide {
		n /= 2
		x, y = a.low(n), b.low(n)
	}
	if !refineWords(op, taken, &x, &y, n) {
		return false
	}
	if wide {
		a.Tnum, a.U64, a.S64 = x.t, x.u, x.s
		b.Tnum, b.U64, b.S64 = y.t, y.u, y.s
		if op == asm.JEq && taken || op == asm.JNE && !taken {
			a.U32, a.S32 = a.U32.Intersect(b.U32), a.S32.Intersect(b.S32)
			b.U32, b.S32 = a.U32, a.S32
		}
	} else {
		a.setLow(x, n)
		b.setLow(y, n)
	}
	return sync[W](a) && sync[W](b)
}

// refineWords adds to x and y, of n bits, what follows from x op y, or from its
// opposite.
func refineWords(op asm.JumpOp, taken bool, x, y *word, n uint) bool {
	if !taken {
		op = negated(op)
	}
	switch op {
	case asm.JEq:
		if !x.t.Overlaps(y.t) {
			return false
		}
		x.t, x.u, x.s = x.t.Intersect(y.t), x.u.Intersect(y.u), x.s.Intersect(y.s)
		*y = *x
		return !x.u.Empty() && !x.s.Empty()
	case asm.JNE:
		return refineUnequal(x, y, n) && refineUnequal(y, x, n)
	case asm.JSet:
		return refineCommon(x, y, n)
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
	return refineDisjoint(x, y) // JSet that is not taken
}
