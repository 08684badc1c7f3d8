package lower

import "github.com/sandbpf/sandbpf/asm"

// In a block that is several copies of a loop, what each copy computes from the one before
// is a chain. Two rules cut it, which elsewhere would keep values for longer than they are worth.

// reassociate adds up what the copies add to a sum before it is added: (s + a) + b is s + (a + b),
// where s is what a register held at the beginning. So a trip of the copies takes one addition from
// s to s, and not one for each copy.
func (o *optimiser) reassociate(n *node) bool {
	if !o.b.Joined || n.Op != Add && n.Op != Xor || o.node(n.b) == nil && o.node(n.a) == nil {
		return false
	}
	for _, operands := range [...][2]value{{n.a, n.b}, {n.b, n.a}} {
		sum, x := o.node(operands[0]), operands[1]
		if sum == nil || sum.Op != n.Op || sum.Wide != n.Wide || !o.isDef(x) || !o.replaces(n, operands[0]) {
			continue
		}
		s, y := sum.a, sum.b
		if o.isDef(s) {
			s, y = y, s
		}
		if !s.isInitial() || !o.isDef(y) {
			continue
		}
		n.a, n.b = s, o.part(n, n.Op, None, y, x)
		return true
	}
	return false
}

// replaces reports whether n is the only one to read v: nobody has so far, and the one register that
// holds it will hold what n computes.
func (o *optimiser) replaces(n *node, v value) bool {
	return n.Dst != None && o.cur[cell(n.Dst)] == v && o.holders(v) == 1 && o.readers(v) == 0
}

// holders returns how many registers of the program hold v.
func (o *optimiser) holders(v value) (n int) {
	for _, held := range o.cur[:asm.NumRegisters] {
		if held == v {
			n++
		}
	}
	return n
}

// readers returns how many nodes read v, which one of them computes.
func (o *optimiser) readers(v value) (n int) {
	behind := o.nodes[o.info[v].node+1:]
	for i := range behind {
		if m := &behind[i]; m.a == v || m.b == v || m.index == v {
			n++
		}
	}
	return n
}

// advanced reports whether all that has become of v, which its register held at the beginning,
// is the sum of v and a constant. Then v is kept, and what is addressed by the sum can be
// addressed by v.
func (o *optimiser) advanced(v value) bool {
	if !o.b.Joined {
		return false
	}
	n := o.node(o.now(v))
	if n == nil || n.Op != Add || n.a != v {
		return false
	}
	_, ok := o.constOf(n.b)
	return ok
}
