package lower

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/isa"
)

// foldable are the operations that package isa computes, by name.
var foldable = [...]asm.ALUOp{Add: asm.Add, Sub: asm.Sub, Mul: asm.Mul, And: asm.And, Or: asm.Or, Xor: asm.Xor, Div: asm.Div,
	Mod: asm.Mod, SDiv: asm.SDiv, SMod: asm.SMod, LSh: asm.LSh, RSh: asm.RSh, ArSh: asm.ArSh}

// known returns the value of n where no instruction is needed to compute it.
func (o *optimiser) known(n *node) (value, bool) {
	b, bConst := o.constOf(n.b)
	switch a := o.bits(n.a); {
	case n.Op == Mov && bConst && !(n.Wide && n.b.isInitial()): // else a register has it
		if !n.Wide {
			b = int64(uint32(b))
		}
		return o.constant(b), true
	case n.Op == Mov:
		return n.b, n.Wide || o.narrow(n.b)
	case o.kind(n.a) == isConstant:
		if k, ok := fold(n, a, b, bConst); ok {
			return o.constant(int64(k)), true
		}
	case n.Op == Zext && a>>(8*n.Size) == 0, n.Op == Sext && a>>(8*n.Size-1) == 0:
		return n.a, true
	}
	if !bConst || !n.Wide && !o.narrow(n.a) {
		return noValue, false
	}
	switch n.Op {
	case Add, Sub, Or, Xor, LSh, RSh, ArSh:
		return n.a, b == 0 && (n.Wide || n.Op != ArSh)
	case And:
		return n.a, o.bits(n.a)&^uint64(b) == 0
	case Mul, Div:
		return n.a, b == 1
	}
	return noValue, false
}

// fold returns what n computes of constants, if package isa knows it.
func fold(n *node, a uint64, b int64, bConst bool) (uint64, bool) {
	switch {
	case bConst && n.Op >= Add && n.Op <= ArSh:
		return isa.ALU(foldable[n.Op], n.Wide, a, uint64(b)), true
	case n.Op == Neg:
		return isa.Neg(n.Wide, a), true
	case n.Op == Sext:
		return isa.MovSX(n.Wide, a, 8*n.Size), true
	case n.Op == Zext:
		return isa.Truncate(a, 8*n.Size), true
	case n.Op == Swap:
		return isa.BSwap(a, 8*n.Size), true
	}
	return 0, false
}

// order brings constants to the right, where instructions can have them.
func (o *optimiser) order(n *node) bool {
	_, aConst := o.constOf(n.a)
	_, bConst := o.constOf(n.b)
	switch n.Op {
	case Add, Mul, And, Or, Xor:
		if aConst && !bConst {
			n.a, n.b = n.b, n.a
			return true
		}
	}
	return false
}

// identity replaces an operation with a constant by a cheaper one.
func (o *optimiser) identity(n *node) bool {
	k, ok := o.constOf(n.b)
	if !ok {
		return false
	}
	switch {
	case n.Op == Sub:
		n.Op, n.b = Add, o.constant(-k)
		return true
	case n.Op == And && uint64(k) == 1<<32-1, n.Op == And && !n.Wide && uint32(k) == 1<<32-1:
		n.Op, n.Wide, n.b, n.a = Mov, false, n.a, noValue
		return true
	}
	return false
}

// strength replaces multiplications and divisions by powers of two, signed divisions of what is not
// negative, and divides on 32 bits where that is the same.
func (o *optimiser) strength(n *node) bool {
	signed := n.Op == SDiv || n.Op == SMod
	switch {
	case n.Op == Mul:
	case signed && !o.negative(n, n.a) && !o.negative(n, n.b):
		n.Op -= SDiv - Div
		return true
	case !signed && n.Wide && o.narrow(n.a) && o.narrow(n.b):
		n.Wide = false
		return true
	}
	k, ok := o.constOf(n.b)
	if !ok {
		return false
	}
	if signed {
		return o.byOne(n, k)
	}
	u := uint64(k)
	if !n.Wide {
		u = uint64(uint32(k))
	}
	if u == 0 || u&(u-1) != 0 {
		return false
	}
	switch n.Op {
	case Mul:
		n.Op, n.b = LSh, o.constant(int64(bits.TrailingZeros64(u)))
	case Div:
		n.Op, n.b = RSh, o.constant(int64(bits.TrailingZeros64(u)))
	case Mod:
		n.Op, n.b = And, o.constant(int64(u-1))
	}
	return true
}

// negative reports whether v may be a negative number to n.
func (o *optimiser) negative(n *node, v value) bool {
	if n.Wide {
		return o.bits(v)>>63 != 0
	}
	return o.bits(v)>>31&1 != 0
}

// byOne replaces signed divisions by 1 and -1.
func (o *optimiser) byOne(n *node, k int64) bool {
	if !n.Wide {
		k = int64(int32(k))
	}
	switch {
	case k != 1 && k != -1:
		return false
	case n.Op == SMod:
		n.Op, n.a, n.b = Mov, noValue, o.constant(0)
	case k == 1:
		n.Op, n.a, n.b = Mov, noValue, n.a
	default:
		n.Op, n.b = Neg, noValue
	}
	return true
}

// sum joins two additions of constants.
func (o *optimiser) sum(n *node) bool {
	k, ok := o.constOf(n.b)
	inner := o.node(n.a)
	if n.Op != Add || !ok || inner == nil || inner.Op != Add || inner.Wide != n.Wide || o.stale(inner.a) {
		return false
	}
	j, ok := o.constOf(inner.b)
	if !ok {
		return false
	}
	n.a, n.b = inner.a, o.constant(j+k)
	return true
}
