package lower

import "math/bits"

// mulAdd turns x*(2^k ± 1) + y, the step of many hashes, into x<<k + (y ± x): two cycles from
// x to the result, where a multiplication or what it becomes takes one or two more.
// Factors up to 9 are one lea.
func (o *optimiser) mulAdd(n *node) bool {
	if n.Op != Add {
		return false
	}
	for _, v := range [...]struct{ product, other value }{{n.a, n.b}, {n.b, n.a}} {
		mul := o.node(v.product)
		if mul == nil || mul.Op != Mul || mul.Wide != n.Wide || o.stale(v.other) {
			continue
		}
		k, ok := o.constOf(mul.b)
		if _, isConst := o.constOf(v.other); !ok || isConst {
			continue
		}
		op, power := Add, uint64(k-1)
		if power&(power-1) != 0 {
			op, power = Sub, uint64(k+1)
		}
		if k < 10 || power&(power-1) != 0 {
			continue
		}
		x := mul.a
		if o.stale(x) && o.now(x) != v.product { // the product is not needed any more
			continue
		}
		n.a = o.part(n, op, n.Dst, v.other, x)
		n.b = o.part(n, LSh, n.Dst, x, o.constant(int64(bits.TrailingZeros64(power))))
		return true
	}
	return false
}
