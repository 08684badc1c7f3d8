package lower

// extension finds the zero and sign extensions that compilers write as two shifts
// where the instruction set has none.
func (o *optimiser) extension(n *node) bool {
	if n.Op != RSh && n.Op != ArSh {
		return false
	}
	inner := o.node(n.a)
	k, ok := o.constOf(n.b)
	if inner == nil || inner.Op != LSh || inner.Wide != n.Wide || !ok {
		return false
	}
	width := int64(32)
	if n.Wide {
		width = 64
	}
	left, ok := o.constOf(inner.b)
	size := width - k
	if !ok || left != k || o.stale(inner.a) || size != 8 && size != 16 && size != 32 || k == 0 {
		return false
	}
	n.Size = uint8(size / 8)
	switch {
	case n.Op == ArSh:
		n.Op = Sext
	case size == 32:
		n.Op, n.Wide, n.b, n.a = Mov, false, inner.a, noValue
		return true
	default:
		n.Op, n.Wide = Zext, true
	}
	n.a, n.b = inner.a, noValue
	return true
}

// rotation finds (x << k) | (x >> (width - k)). Where x is a product with a constant,
// compilers make x << k a product of its own.
func (o *optimiser) rotation(n *node) bool {
	if n.Op != Or && n.Op != Xor && n.Op != Add {
		return false
	}
	l, r := o.node(n.a), o.node(n.b)
	if l == nil || r == nil {
		return false
	}
	if r.Op != RSh {
		l, r = r, l
	}
	width := int64(32)
	if n.Wide {
		width = 64
	}
	if r.Op != RSh || l.Wide != n.Wide {
		return false
	}
	// A right shift on 32 bits of a value with a zero upper half has become a 64-bit one.
	if r.Wide != n.Wide && !(r.Wide && o.narrow(r.a)) {
		return false
	}
	j, ok := o.constOf(r.b)
	if !ok || j <= 0 || j >= width {
		return false
	}
	k := width - j
	switch l.Op {
	case LSh:
		if by, ok := o.constOf(l.b); !ok || by != k || l.a != r.a {
			return false
		}
	case Mul:
		x := o.node(r.a)
		if x == nil || x.Op != Mul || x.a != l.a || x.Wide != n.Wide {
			return false
		}
		factor, ok1 := o.literal(x.b)
		shifted, ok2 := o.literal(l.b)
		if !ok1 || !ok2 || uint64(factor)<<k<<(64-width) != uint64(shifted)<<(64-width) {
			return false
		}
	default:
		return false
	}
	n.Op, n.a, n.b = Rol, r.a, o.constant(k)
	return true
}
