package lower

// strip lets a 32-bit operation read what its operands are zero-extensions of.
func (o *optimiser) strip(n *node) (changed bool) {
	if n.Wide || n.Op < Add || n.Op > Neg && n.Op != Jump {
		return false
	}
	for _, v := range [...]*value{&n.a, &n.b} {
		if inner := o.node(*v); inner != nil && inner.Op == Mov && !inner.Wide && !o.stale(inner.b) {
			*v, changed = inner.b, true
		}
	}
	return changed
}

// lowHalf are the operations whose lower half depends on lower halves only.
func lowHalf(op Op) bool { return op >= Add && op <= Xor }

// widen makes 32-bit operations 64-bit ones where that is the same, so that more is
// known of them, and joins a 64-bit operation with the zero-extension of its result.
func (o *optimiser) widen(n *node) bool {
	if n.Wide {
		return false
	}
	switch n.Op {
	case Mov:
		inner := o.node(n.b)
		if inner == nil || !lowHalf(inner.Op) || o.stale(inner.a) || o.stale(inner.b) {
			return false
		}
		slot, dst := n.Slot, n.Dst
		*n = *inner
		n.Slot, n.Dst, n.Wide = slot, dst, false
		if k, ok := o.constOf(n.b); ok {
			n.b = o.constant(int64(int32(k)))
		}
		return true
	case And:
		if o.narrow(n.a) || o.narrow(n.b) {
			if k, ok := o.constOf(n.b); ok {
				n.b = o.constant(int64(uint32(k)))
			}
			n.Wide = true
			return true
		}
	case Or, Xor:
		if k, ok := o.constOf(n.b); ok {
			if !o.narrow(n.a) || int32(k) < 0 { // which would be a constant of 33 bits
				return false
			}
			n.b, n.Wide = o.constant(int64(uint32(k))), true
			return true
		}
		if o.narrow(n.a) && o.narrow(n.b) {
			n.Wide = true
			return true
		}
	case RSh:
		if k, ok := o.constOf(n.b); ok && o.narrow(n.a) {
			n.b, n.Wide = o.constant(k&31), true
			return true
		}
	}
	return false
}

// unmask lets a shift by a register read the count before that is masked, or its upper half cleared: of the count, a
// shift reads no more than a mask leaves it.
func (o *optimiser) unmask(n *node) bool {
	inner := o.node(n.b)
	if inner == nil {
		return false
	}
	count := noValue
	switch {
	case inner.Op == And:
		read := int64(31)
		if n.Wide {
			read = 63
		}
		if k, ok := o.constOf(inner.b); ok && k&read == read {
			count = inner.a
		}
	case inner.Op == Mov:
		count = inner.b
	}
	if count == noValue || o.stale(count) || o.kind(count) == isConstant {
		return false
	}
	n.b = count
	return true
}
