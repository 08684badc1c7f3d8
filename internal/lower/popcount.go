package lower

// popcount finds the way in which compilers count bits where the instruction set has nothing
// for it, with masks m1 = 0x55.., m2 = 0x33.., m4 = 0x0f.. and h = 0x01..:
//
//	x -= x>>1 & m1
//	x = (x & m2) + (x>>2 & m2)
//	x = (x + x>>4) & m4
//	n = x*h >> (width - 8)
func (o *optimiser) popcount(n *node) bool {
	if n.Op != RSh || !o.p.Popcount {
		return false
	}
	k, ok := o.constOf(n.b)
	if !ok || k != 24 && k != 56 {
		return false
	}
	m := bitCounter{o, k == 56}
	if m.wide != n.Wide && !(n.Wide && o.narrow(n.a)) {
		return false
	}
	x := m.masked(m.scaled(n.a), 0x0f0f0f0f0f0f0f0f)
	x = m.sumOfNibbles(x)
	x = m.pairs(x)
	if x == noValue || o.stale(x) {
		return false
	}
	n.Op, n.Wide, n.a, n.b = Popcount, m.wide, x, noValue
	return true
}

// bitCounter takes a count of bits apart, from its end. Each method returns the value that
// its step has started from, noValue if v is not the result of such a step.
type bitCounter struct {
	*optimiser
	wide bool
}

// step returns the node that computes v by op, if its lower half, or all of it if wide, is
// that of an operation of the right width.
func (m bitCounter) step(v value, op Op) *node {
	n := m.node(v)
	if n == nil || n.Op != op {
		return nil
	}
	switch {
	case n.Wide == m.wide:
		return n
	case n.Wide && (op != RSh || m.narrow(n.a)):
		return n
	}
	return nil
}

// is reports whether v is the constant k, in a register or not.
func (m bitCounter) is(v value, k uint64) bool {
	have, ok := m.literal(v)
	if m.wide {
		return ok && uint64(have) == k
	}
	return ok && uint32(have) == uint32(k)
}

func (m bitCounter) scaled(v value) value {
	if n := m.step(v, Mul); n != nil && m.is(n.b, 0x0101010101010101) {
		return n.a
	}
	return noValue
}

func (m bitCounter) masked(v value, mask uint64) value {
	n := m.step(v, And)
	switch {
	case n == nil:
	case m.is(n.b, mask):
		return n.a
	case m.is(n.a, mask):
		return n.b
	}
	return noValue
}

func (m bitCounter) shifted(v value, k uint64) value {
	if n := m.step(v, RSh); n != nil {
		if have, ok := m.constOf(n.b); ok && uint64(have) == k {
			return n.a
		}
	}
	return noValue
}

// sumOfNibbles undoes x + x>>4.
func (m bitCounter) sumOfNibbles(v value) value {
	n := m.step(v, Add)
	switch {
	case n == nil || n.a == noValue || n.b == noValue:
	case m.shifted(n.b, 4) == n.a:
		return n.a
	case m.shifted(n.a, 4) == n.b:
		return n.b
	}
	return noValue
}

// pairs undoes the first two steps.
func (m bitCounter) pairs(v value) value {
	const m1, m2 = 0x5555555555555555, 0x3333333333333333
	n := m.step(v, Add)
	if n == nil {
		return noValue
	}
	low, high := m.masked(n.a, m2), m.masked(n.b, m2)
	if s := m.shifted(low, 2); s != noValue && s == high {
		low = high
	} else if s := m.shifted(high, 2); s == noValue || s != low {
		return noValue
	}
	sub := m.step(low, Sub)
	if sub == nil || sub.a == noValue || m.shifted(m.masked(sub.b, m1), 1) != sub.a {
		return noValue
	}
	return sub.a
}
