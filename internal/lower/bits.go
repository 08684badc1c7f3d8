package lower

import "math/bits"

const (
	allBits = uint64(1<<64 - 1)
	lowBits = uint64(1<<32 - 1)
)

// bits returns the bits that may be set in v.
func (o *optimiser) bits(v value) uint64 { return o.info[v].bits }

// narrow reports whether the upper half of v is known to be zero.
func (o *optimiser) narrow(v value) bool { return o.bits(v)>>32 == 0 }

// upTo returns all bits up to the highest in x.
func upTo(x uint64) uint64 { return allBits >> bits.LeadingZeros64(x) }

// bitsOf returns the bits that may be set in what n computes.
func (o *optimiser) bitsOf(n *node) uint64 {
	switch n.Op {
	case Popcount:
		return 127
	case CPUID, Random:
		return lowBits
	case Load:
		if n.Signed || n.Check && n.Size == 4 { // it may be a field of the context that stands for a pointer
			return allBits
		}
		return allBits >> (64 - 8*n.Size)
	}
	have := o.bitsOfALU(n)
	if !n.Wide && n.Op >= Mov && n.Op <= Lea {
		have &= lowBits
	}
	return have
}

// bitsOfALU is bitsOf for an operation as if on 64 bits; where it is on 32, the upper half of
// the result is not used.
func (o *optimiser) bitsOfALU(n *node) uint64 {
	k, isConst := o.constOf(n.b)
	switch n.Op {
	case Mov:
		return o.bits(n.b)
	case And:
		return o.bits(n.a) & o.bits(n.b)
	case Or, Xor:
		return o.bits(n.a) | o.bits(n.b)
	case Add:
		if a, b := upTo(o.bits(n.a)), upTo(o.bits(n.b)); a|b < 1<<63 {
			return (a|b)<<1 | 1
		}
	case Mul:
		if n := bits.Len64(o.bits(n.a)) + bits.Len64(o.bits(n.b)); n < 64 {
			return 1<<n - 1
		}
	case LSh:
		if isConst {
			return o.bits(n.a) << o.count(n, k)
		}
	case RSh:
		a := o.bits(n.a)
		switch {
		case !n.Wide && isConst:
			return a & lowBits >> o.count(n, k)
		case !n.Wide:
			return lowBits
		case isConst:
			return a >> o.count(n, k)
		}
		return upTo(a)
	case Div, Mod:
		return upTo(o.bits(n.a))
	case Zext:
		return o.bits(n.a) & (1<<(8*n.Size) - 1)
	case Swap:
		return allBits >> (64 - 8*n.Size)
	}
	return allBits
}

// count returns by how many bits n shifts.
func (o *optimiser) count(n *node, k int64) uint64 {
	if n.Wide {
		return uint64(k) & 63
	}
	return uint64(k) & 31
}

// addend returns the constant that is added to the other operand of what computes v: also by an
// or, where the other operand has none of its bits.
func (o *optimiser) addend(v value) (other value, k int64, ok bool) {
	n := o.node(v)
	if n == nil || !n.Wide || n.Op != Add && n.Op != Or || o.stale(n.a) {
		return noValue, 0, false
	}
	k, ok = o.constOf(n.b)
	if n.Op == Or && o.bits(n.a)&uint64(k) != 0 {
		return noValue, 0, false
	}
	return n.a, k, ok
}
