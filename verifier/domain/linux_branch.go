package domain

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
)

// linuxRefine is reg_set_min_max for one edge: regs_refine_cond_op on the condition
// or its opposite, then sync and sanity check of both operands. All of it goes
// through the pointers, since a and b may be the same.
func linuxRefine[W width](op asm.JumpOp, wide, taken bool, a, b *Scalar) {
	if !taken {
		op = negated(op)
	}
	switch op {
	case asm.JGT, asm.JGE, asm.JSGT, asm.JSGE:
		op, a, b = swapped(op), b, a
	}
	if wide {
		linuxRefineWhole[W](op, a, b)
	} else {
		linuxRefineLow[W](op, a, b)
	}
	linuxSync[W](a)
	linuxSync[W](b)
	linuxSane[W](a)
	linuxSane[W](b)
}

// swapped returns the condition that holds for b and a where op, a greater than, does
// for a and b.
func swapped(op asm.JumpOp) asm.JumpOp {
	switch op {
	case asm.JGT:
		return asm.JLT
	case asm.JGE:
		return asm.JLE
	case asm.JSGT:
		return asm.JSLT
	}
	return asm.JSLE
}
