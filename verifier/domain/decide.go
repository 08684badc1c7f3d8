package domain

import "github.com/sandbpf/sandbpf/asm"

// Decide returns whether a conditional jump is taken, if that is the same for all
// numbers that a and b stand for. It compares on 64 bits if wide, else on the lower 32
// bits. An immediate operand is a constant, sign-extended. It does not know that a and b
// are the same register if they are.
//
//go:noinline // inlined into another package, its operands would escape
func (r Rules) Decide(op asm.JumpOp, wide bool, a, b *Scalar) (known, taken bool) {
	return decide[w64](r, op, wide, a, b)
}

func decide[W width](r Rules, op asm.JumpOp, wide bool, a, b *Scalar) (known, taken bool) {
	switch op {
	case asm.JEq, asm.JNE:
		apart := wide && (a.U32.Intersect(b.U32).Empty() || a.S32.Intersect(b.S32).Empty())
		known, equal := decideEqual(view[W](a, wide), view[W](b, wide), apart)
		return known, equal == (op == asm.JEq)
	case asm.JSet:
		n := sizeOf[W](wide)
		return decideCommon(r, a.Tnum.Truncate(n), b.Tnum.Truncate(n))
	case asm.JGT, asm.JLT, asm.JGE, asm.JLE:
		if wide {
			return decideOrder(op, a.U64, b.U64)
		}
		return decideOrder(op, a.U32, b.U32)
	case asm.JSGT, asm.JSLT, asm.JSGE, asm.JSLE:
		if wide {
			return decideOrder(op, a.S64, b.S64)
		}
		return decideOrder(op, a.S32, b.S32)
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

// decideCommon returns whether x and y have a bit in common, if that is known. Linux
// asks for a constant.
func decideCommon(r Rules, x, y Tnum) (known, common bool) {
	if r == Linux && !x.IsConst() && !y.IsConst() {
		return false, false
	}
	both := x.And(y)
	return both.Value != 0 || both.Mask == 0, both.Value != 0
}

// decideOrder returns whether x op y, a less than or greater than, if that is known.
func decideOrder[T uint64 | int64 | uint32 | int32](op asm.JumpOp, x, y Bounds[T]) (known, taken bool) {
	switch op {
	case asm.JGT, asm.JSGT:
		return x.Min > y.Max || x.Max <= y.Min, x.Min > y.Max
	case asm.JLT, asm.JSLT:
		return x.Max < y.Min || x.Min >= y.Max, x.Max < y.Min
	case asm.JGE, asm.JSGE:
		return x.Min >= y.Max || x.Max < y.Min, x.Min >= y.Max
	}
	return x.Max <= y.Min || x.Min > y.Max, x.Max <= y.Min
}
