package lower

// need marks what the block's effects depend on and drops the rest. live are the
// registers that matter in front of what ends the block.
func (o *optimiser) need(live Regs) {
	end := int32(len(o.nodes))
	for left := live; left != 0; left &= left - 1 {
		r := left.first()
		v := o.cur[cell(r)]
		o.mark(v, end)
		o.info[v].wanted |= bit(r)
	}
	for i := len(o.nodes) - 1; i >= 0; i-- {
		n := &o.nodes[i]
		if n.out != noValue && o.info[n.out].uses == 0 && n.pure() {
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
	i := &o.info[v]
	i.uses++
	i.last = max(i.last, at)
}
