package lower

import "github.com/sandbpf/sandbpf/asm"

// never is what last is of registers that are not read.
var never = [asm.NumRegisters]int32{-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1}

// need marks what the block's effects depend on and drops the rest. live are the
// registers that matter in front of what ends the block.
func (o *optimiser) need(live Regs) {
	o.last = never
	end := int32(len(o.nodes))
	for left := live; left != 0; left &= left - 1 {
		r := left.first()
		v := o.cur[r]
		o.mark(v, end)
		if n := o.node(v); n != nil {
			n.wanted |= bit(r)
		}
	}
	for i := len(o.nodes) - 1; i >= 0; i-- {
		n := &o.nodes[i]
		if n.last >= 0 && n.uses == 0 && n.pure() {
			n.Op = Nop
			continue
		}
		o.mark(n.a, int32(i))
		o.mark(n.b, int32(i))
		o.mark(n.index, int32(i))
	}
}

// mark notes that node at reads v.
func (o *optimiser) mark(v value, at int32) {
	if v.isDef() {
		o.node(v).uses++
	}
	o.keep(v, at)
}

// keep keeps v until node at.
func (o *optimiser) keep(v value, at int32) {
	switch {
	case v.isDef():
		n := o.node(v)
		n.last = max(n.last, at)
	case v >= 0:
		o.last[v] = max(o.last[v], at)
	}
}
