package lower

import "github.com/sandbpf/sandbpf/asm"

// memory folds the computation of an address into the access: base + index*scale + disp.
func (o *optimiser) memory(n *node) {
	if (o.kind(n.a)|o.kind(n.index))&(sums|ors) == 0 || !o.does(PassAddresses) {
		return
	}
	o.displace(n)
	o.displaceIndex(n)
	inner := o.node(n.a)
	if n.index != noValue || inner == nil || inner.Op != Add || !inner.Wide || o.stale(inner.a) || o.stale(inner.b) {
		return
	}
	if _, ok := o.constOf(inner.b); ok {
		return
	}
	n.a, n.index, n.Scale = inner.a, inner.b, 1
	for range 2 { // of what is added, each
		o.displace(n)
		n.a, n.index = n.index, n.a
	}
	o.scale(n)
}

// displace folds the addition of constants to the base into the displacement.
func (o *optimiser) displace(n *node) {
	for {
		base, k, ok := o.addend(n.a)
		disp := int64(n.Disp) + k
		if !ok || disp != int64(int32(disp)) {
			return
		}
		n.a, n.Disp = base, int32(disp)
	}
}

// displaceIndex does the same for an index that the instruction has already.
func (o *optimiser) displaceIndex(n *node) {
	inner := o.node(n.index)
	if inner == nil || inner.Op != Add || !inner.Wide || o.stale(inner.a) {
		return
	}
	k, ok := o.constOf(inner.b)
	if disp := int64(n.Disp) + k*int64(n.Scale); ok && k == int64(int32(k)) && disp == int64(int32(disp)) {
		n.index, n.Disp = inner.a, int32(disp)
	}
}

// scale folds a shift of the index, or of the base if the two are exchanged.
func (o *optimiser) scale(n *node) {
	for range 2 {
		if shift := o.node(n.index); shift != nil && shift.Op == LSh && shift.Wide && !o.stale(shift.a) {
			if k, ok := o.constOf(shift.b); ok && k >= 1 && k <= 3 {
				n.index, n.Scale = shift.a, 1<<k
				if index, j, ok := o.addend(n.index); ok && j == int64(int8(j)) {
					if disp := int64(n.Disp) + j<<k; disp == int64(int32(disp)) {
						n.index, n.Disp = index, int32(disp)
					}
				}
				return
			}
		}
		n.a, n.index = n.index, n.a
	}
}

// mirrored are the conditions with their operands exchanged.
var mirrored = map[asm.JumpOp]asm.JumpOp{asm.JEq: asm.JEq, asm.JNE: asm.JNE, asm.JSet: asm.JSet, NotSet: NotSet,
	asm.JGT: asm.JLT, asm.JLT: asm.JGT, asm.JGE: asm.JLE, asm.JLE: asm.JGE,
	asm.JSGT: asm.JSLT, asm.JSLT: asm.JSGT, asm.JSGE: asm.JSLE, asm.JSLE: asm.JSGE}

// compare brings a constant to the right of a comparison.
func (o *optimiser) compare(n *node) {
	o.strip(n)
	_, aConst := o.constOf(n.a)
	_, bConst := o.constOf(n.b)
	if aConst && !bConst {
		n.a, n.b, n.Cond = n.b, n.a, mirrored[n.Cond]
	}
}
