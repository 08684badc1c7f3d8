package interp

import "github.com/sandbpf/sandbpf/asm"

// narrowness finds for each block the registers whose upper half is zero
// whenever it is entered, which makes 32-bit and 64-bit operations the same.
func (d *decoder) narrowness() {
	for i := range d.blocks {
		d.blocks[i].narrowIn = allRegs
	}
	// At the entry and in callbacks anything can be in the registers; what a run
	// zeroes at its start is all that is known.
	meet := func(to int32, have regs) bool {
		before := d.blocks[to].narrowIn
		d.blocks[to].narrowIn &= have
		return d.blocks[to].narrowIn != before
	}
	meet(0, allRegs&^(1<<asm.R1|1<<asm.R2|1<<framePointer))
	for _, target := range d.callbacks {
		meet(target, 0)
	}
	work := make([]int32, len(d.blocks))
	for i := range work {
		work[i] = int32(len(d.blocks) - 1 - i)
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		b := &d.blocks[i]
		have := b.narrowIn
		for j := range b.instrs {
			have = d.narrowAfter(have, &b.instrs[j])
		}
		if n := len(b.instrs); n > 0 {
			last := &b.instrs[n-1]
			switch {
			case last.op == opCall:
				if meet(last.target, 0) {
					work = append(work, last.target)
				}
			case opInfos[last.op].jump:
				if meet(last.target, have) {
					work = append(work, last.target)
				}
			}
		}
		if b.next >= 0 && meet(b.next, have) {
			work = append(work, b.next)
		}
	}
}

// narrowAfter returns the registers with a zero upper half once in is done.
func (d *decoder) narrowAfter(have regs, in *instr) regs {
	switch in.op {
	case opHelper, opPacket:
		return have &^ resultR0
	case opCall: // the callee leaves the others as they were
		return have &^ (resultR0 | argRegs)
	case opAtomic:
		return 0
	}
	if in.dst < 0 {
		return have
	}
	is := func(v value) bool {
		if k, ok := d.constOf(v); ok {
			return k>>32 == 0
		}
		return v >= 0 && have.has(int(v))
	}
	narrow := opInfos[in.op].narrow
	switch in.op {
	case opMov64:
		narrow = is(in.b)
	case opAnd64:
		narrow = is(in.b) || is(in.c)
	case opOr64, opXor64:
		narrow = is(in.b) && is(in.c)
	case opRSh64:
		k, ok := d.constOf(in.c)
		narrow = is(in.b) || ok && k&63 >= 32
	}
	if narrow {
		return have | 1<<in.dst
	}
	return have &^ (1 << in.dst)
}
