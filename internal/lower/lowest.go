package lower

// lowest finds that the lowest bit of x that is set is taken off, x ^ (x & -x), for which
// x & (x-1) does: a cycle less.
func (o *optimiser) lowest(n *node) bool {
	if n.Op != Xor && n.Op != Sub {
		return false
	}
	x, bit := n.a, o.node(n.b)
	if n.Op == Xor && (bit == nil || bit.Op != And) {
		x, bit = n.b, o.node(n.a)
	}
	if x == noValue || bit == nil || bit.Op != And || !bit.Wide && n.Wide || o.stale(x) {
		return false
	}
	neg := o.node(bit.a)
	if bit.a == x {
		neg = o.node(bit.b)
	} else if bit.b != x {
		return false
	}
	if neg == nil || neg.Op != Neg || !neg.Wide && n.Wide || neg.a != x {
		return false
	}
	n.Op, n.a, n.b = And, x, o.part(n, Add, n.Dst, x, o.constant(-1))
	return true
}
