package lower

// extension finds the zero and sign extensions that compilers write as two shifts
// where the instruction set has none.
func (o *optimiser) extension(n *node) bool {
	if !n.Wide || n.Op != RSh && n.Op != ArSh {
		return false
	}
	inner := o.node(n.a)
	k, ok := o.constOf(n.b)
	if inner == nil || inner.Op != LSh || !inner.Wide || !ok {
		return false
	}
	left, ok := o.constOf(inner.b)
	if !ok || left != k || o.stale(inner.a) || k != 32 && k != 48 && k != 56 {
		return false
	}
	size := uint8(64-k) / 8
	switch {
	case n.Op == ArSh:
		n.Op, n.Size = Sext, size
	case k == 32:
		n.Op, n.Wide, n.b, n.a = Mov, false, inner.a, noValue
		return true
	default:
		n.Op, n.Size = Zext, size
	}
	n.a, n.b = inner.a, noValue
	return true
}

// rotation finds (x << k) | (x >> (width - k)).
func (o *optimiser) rotation(n *node) bool {
	if n.Op != Or && n.Op != Xor && n.Op != Add {
		return false
	}
	l, r := o.node(n.a), o.node(n.b)
	if l == nil || r == nil {
		return false
	}
	if l.Op != LSh {
		l, r = r, l
	}
	width := int64(32)
	if n.Wide {
		width = 64
	}
	if l.Op != LSh || r.Op != RSh || l.a != r.a || l.Wide != n.Wide {
		return false
	}
	// A right shift on 32 bits of a value with a zero upper half has become a 64-bit one.
	if r.Wide != n.Wide && !(r.Wide && o.narrow(r.a)) {
		return false
	}
	k, ok1 := o.constOf(l.b)
	j, ok2 := o.constOf(r.b)
	if !ok1 || !ok2 || k <= 0 || j <= 0 || k+j != width {
		return false
	}
	n.Op, n.a, n.b = Rol, l.a, o.constant(k)
	return true
}
