package lower

import "math/bits"

// product makes a multiplication by a small constant a shift of what one lea does, which multiplies by 3, 5
// or 9, so that an addition can have the shift. Not in copies of a loop that are joined, where products are
// multiplied again: see horner.
func (o *optimiser) product(n *node) bool {
	k, ok := o.constOf(n.b)
	if o.b.Joined || n.Op != Mul || !ok || k < 6 || k > 9*9 {
		return false
	}
	shift := bits.TrailingZeros64(uint64(k))
	f := k >> shift
	if shift == 0 || f != 3 && f != 5 && f != 9 {
		return false
	}
	n.a = o.part(n, Mul, n.Dst, n.a, o.constant(f))
	n.Op, n.b = LSh, o.constant(int64(shift))
	return true
}

// leas makes one instruction of a shift by up to 3 that only an addition reads, and that.
func (o *optimiser) leas() {
	if !o.p.does(PassLea) {
		return
	}
	for i := range o.nodes {
		n := &o.nodes[i]
		if n.Op != Add || o.kind(n.b) == isConstant || n.a == n.b {
			continue
		}
		if !o.lea(n, int32(i), n.b, n.a) {
			o.lea(n, int32(i), n.a, n.b)
		}
	}
}

func (o *optimiser) lea(n *node, at int32, shifted, other value) bool {
	shift := o.node(shifted)
	if shift == nil || o.info[shifted].uses != 1 || shift.Op != LSh || n.Wide && !shift.Wide ||
		o.stale(shift.a) && o.now(shift.a) != n.out {
		return false
	}
	k, ok := o.constOf(shift.b)
	if !ok || k < 1 || k > 3 {
		return false
	}
	n.Op, n.a, n.b, n.index, n.Scale = Lea, other, noValue, shift.a, 1<<k
	shift.Op = Nop
	x := &o.info[shift.a]
	x.last = max(x.last, at)
	return true
}

// unlea takes a lea apart again, for a block that is optimised once more.
func (o *optimiser) unlea(n *node) {
	k := int64(bits.TrailingZeros8(n.Scale))
	n.Op, n.b, n.index = Add, o.part(n, LSh, None, n.index, o.constant(k)), noValue
}
