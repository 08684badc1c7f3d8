package domain

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
)

// linuxRefine is reg_set_min_max for one edge: regs_refine_cond_op, then sync and
// sanity check of both operands. If these are the same register, each step sees what the
// step before it has done to the other one.
func linuxRefine[W width](op asm.JumpOp, wide bool, a, b *Scalar) {
	x, other := view[W](a, wide), view[W](b, wide)
	y := &other
	if a == b {
		y = &x
	}
	forget := linuxRefineWords(op, &x, y, sizeOf[W](wide))
	if forget == &x {
		a.forgetBounds(bitsOf[W]())
	} else if forget != nil {
		b.forgetBounds(bitsOf[W]())
	}
	setView[W](a, &x, wide)
	setView[W](b, y, wide)
	linuxSync[W](a)
	linuxSync[W](b)
	linuxSane[W](a)
	linuxSane[W](b)
}

// linuxRefineImm is linuxRefine for the first of two operands, the other being a constant.
func linuxRefineImm[W width](op asm.JumpOp, wide bool, a *Scalar, imm uint64) {
	n := sizeOf[W](wide)
	imm = trunc(imm, n)
	switch {
	case op == asm.JEq && a.Tnum.Max() <= umax(n) && contains[W](a, imm):
		a.setConst(imm, bitsOf[W]())
		return
	case op != asm.JNE || atEnd(a, wide, imm, n):
		x, y := view[W](a, wide), constWord(imm, n)
		if linuxRefineWords(op, &x, &y, n) == &x {
			a.forgetBounds(bitsOf[W]())
		}
		setView[W](a, &x, wide)
	}
	linuxSync[W](a)
	linuxSane[W](a)
}

// atEnd reports whether v, of n bits, is an end of one of the bounds that are compared.
func atEnd(s *Scalar, wide bool, v uint64, n uint) bool {
	w := sext(v, n)
	if wide {
		return v == s.U64.Min || v == s.U64.Max || w == s.S64.Min || w == s.S64.Max
	}
	u, i := s.lowUnsigned(), s.lowSigned()
	return v == u.Min || v == u.Max || w == i.Min || w == i.Max
}

// linuxRefineWords is regs_refine_cond_op on the words that are compared, of n bits. It
// returns the word that Linux forgets the bounds of, or nil. Ends wrap around where
// Linux lets them: on an edge that cannot be taken.
func linuxRefineWords(op asm.JumpOp, x, y *word, n uint) (forget *word) {
	switch op {
	case asm.JEq:
		x.t, x.u, x.s = x.t.Intersect(y.t), x.u.Intersect(y.u), x.s.Intersect(y.s)
		*y = *x
		return nil
	case asm.JGT, asm.JLT, asm.JGE, asm.JLE, asm.JSGT, asm.JSLT, asm.JSGE, asm.JSLE:
		linuxRefineOrder(op, x, y, n)
		return nil
	}
	// The others learn from a constant only, whichever side it is on.
	if !y.t.IsConst() {
		x, y = y, x
	}
	if !y.t.IsConst() {
		return nil
	}
	switch v := y.t.Value; op {
	case asm.JNE:
		linuxTrim(x, v, n)
	case asm.JSet:
		if bits.OnesCount64(v) == 1 {
			x.t = x.t.Or(y.t)
		}
	case jNotSet:
		x.t = x.t.And(TnumConst(^v))
		x.u, x.s = fullUnsigned(n), fullSigned(n)
		return x
	}
	return nil
}

// linuxRefineOrder adds to x and y what follows from x op y, to the upper end of the
// smaller and then to the lower end of the greater.
func linuxRefineOrder(op asm.JumpOp, x, y *word, n uint) {
	switch op {
	case asm.JGT, asm.JGE, asm.JSGT, asm.JSGE:
		x, y = y, x
	}
	switch op {
	case asm.JLT, asm.JGT:
		x.u.Max = min(x.u.Max, trunc(y.u.Max-1, n))
		y.u.Min = max(y.u.Min, trunc(x.u.Min+1, n))
	case asm.JLE, asm.JGE:
		x.u.Max = min(x.u.Max, y.u.Max)
		y.u.Min = max(y.u.Min, x.u.Min)
	case asm.JSLT, asm.JSGT:
		x.s.Max = min(x.s.Max, sext(uint64(y.s.Max)-1, n))
		y.s.Min = max(y.s.Min, sext(uint64(x.s.Min)+1, n))
	case asm.JSLE, asm.JSGE:
		x.s.Max = min(x.s.Max, y.s.Max)
		y.s.Min = max(y.s.Min, x.s.Min)
	}
}

// linuxTrim takes v off the ends of x.
func linuxTrim(x *word, v uint64, n uint) {
	if x.u.Min == v {
		x.u.Min = trunc(v+1, n)
	}
	if x.u.Max == v {
		x.u.Max = trunc(v-1, n)
	}
	w := sext(v, n)
	if x.s.Min == w {
		x.s.Min = sext(v+1, n)
	}
	if x.s.Max == w {
		x.s.Max = sext(v-1, n)
	}
}
