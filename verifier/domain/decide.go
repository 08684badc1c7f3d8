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
