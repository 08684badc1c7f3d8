package interp

// implicit returns the registers that an instruction reads and writes beside
// its operands.
func (d *decoder) implicit(op opcode) (read, written regs) {
	switch op {
	case opHelper:
		return argRegs, resultR0
	case opExit:
		if d.hasCalls { // a caller sees the registers that are not restored
			return argRegs | resultR0, 0
		}
		return resultR0, 0
	case opCall, opAtomic, opPacket:
		return allRegs, 0
	}
	return 0, 0
}

// liveness finds for each block the registers that matter behind it.
func (d *decoder) liveness() {
	type effect struct{ use, def regs }
	effects := make([]effect, len(d.blocks))
	for i := range d.blocks {
		var e effect
		for j := range d.blocks[i].instrs {
			in := &d.blocks[i].instrs[j]
			read, written := d.implicit(in.op)
			for _, v := range [...]value{in.a, in.b, in.c} {
				if v >= 0 {
					read |= 1 << v
				}
			}
			if in.dst >= 0 {
				written |= 1 << in.dst
			}
			e.use |= read &^ e.def
			e.def |= written
		}
		effects[i] = e
	}
	for changed := true; changed; {
		changed = false
		for i := len(d.blocks) - 1; i >= 0; i-- {
			b := &d.blocks[i]
			out := regs(0)
			if b.next >= 0 {
				out = d.blocks[b.next].liveIn
			}
			if n := len(b.instrs); n > 0 && opInfos[b.instrs[n-1].op].jump {
				out |= d.blocks[b.instrs[n-1].target].liveIn
			}
			in := effects[i].use | out&^effects[i].def
			if in != b.liveIn || out != b.liveOut {
				b.liveIn, b.liveOut, changed = in, out, true
			}
		}
	}
}
