package lower

// linear is factor*x + rest, on 32 or 64 bits.
type linear struct {
	x, rest value
	factor  uint64
	reads   int // how often what computes it reads x
}

// linearForm returns n as a multiple of a value and a rest: what hashes like ret*31 + word are, also
// where mulAdd has made shifts of them.
func (o *optimiser) linearForm(n *node) (l linear, ok bool) {
	if n.Op != Add {
		return l, false
	}
	for _, v := range [...][2]value{{n.a, n.b}, {n.b, n.a}} {
		product, rest := o.node(v[0]), v[1]
		if product == nil || product.Wide != n.Wide {
			continue
		}
		k, ok := o.constOf(product.b)
		if !ok {
			continue
		}
		if product.Op == Mul {
			return linear{product.a, rest, uint64(k), 1}, true
		}
		sum, x := o.node(rest), product.a
		if product.Op != LSh || sum == nil || sum.Wide != n.Wide {
			continue
		}
		count := k & 31
		if n.Wide {
			count = k & 63
		}
		switch power := uint64(1) << count; {
		case sum.Op == Sub && sum.b == x:
			return linear{x, sum.a, power - 1, 2}, true
		case sum.Op == Add && sum.b == x:
			return linear{x, sum.a, power + 1, 2}, true
		case sum.Op == Add && sum.a == x:
			return linear{x, sum.b, power + 1, 2}, true
		}
	}
	return l, false
}

// horner makes what the copies of a loop hash depend on what the hash was before them by one
// multiplication only: (s*j + a)*k + b is s*(j*k) + (a*k + b), where s is what a register held at
// the beginning.
func (o *optimiser) horner(n *node) bool {
	if !o.b.Joined {
		return false
	}
	outer, ok := o.linearForm(n)
	if !ok {
		return false
	}
	inner := o.node(outer.x)
	if inner == nil || inner.Wide != n.Wide || o.holders(outer.x) != 0 || o.readers(outer.x) != outer.reads {
		return false
	}
	l, ok := o.linearForm(inner)
	if !ok || !l.x.isInitial() || !o.isDef(l.rest) || !o.isDef(outer.rest) {
		return false
	}
	rest := o.part(n, Add, None, o.part(n, Mul, None, l.rest, o.constant(int64(outer.factor))), outer.rest)
	n.a, n.b = o.part(n, Mul, None, l.x, o.constant(int64(l.factor*outer.factor))), rest
	return true
}
