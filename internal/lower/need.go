package lower

// need marks what the block's effects depend on and drops the rest. live are the
// registers that matter in front of what ends the block.
func (o *optimiser) need(live Regs) {
	mark := func(v value, at int32) {
		if d := o.def(v); d != nil {
			d.needed = true
			d.uses++
			d.last = max(d.last, at)
		}
	}
	end := int32(len(o.nodes))
	for r, v := range o.cur {
		if !live.Has(Reg(r)) {
			continue
		}
		mark(v, end)
		if d := o.def(v); d != nil {
			d.wanted |= bit(Reg(r))
		}
	}
	for i := len(o.nodes) - 1; i >= 0; i-- {
		n := &o.nodes[i]
		if n.out != noValue && !o.def(n.out).needed && n.pure() {
			n.Op = Nop
			continue
		}
		mark(n.a, int32(i))
		mark(n.b, int32(i))
		mark(n.index, int32(i))
	}
}
