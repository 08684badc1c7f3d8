package interp

import "github.com/sandbpf/sandbpf/asm"

// initialised refuses programs that read a register which nothing can have
// written: no path to the instruction does. Linux refuses more, those where
// some path does not; that takes its verifier.
func (d *decoder) initialised() error {
	in := make([]regs, len(d.blocks))
	reached := make([]bool, len(d.blocks))
	work := []int32{}
	flow := func(to int32, have regs) {
		if !reached[to] || have&^in[to] != 0 {
			reached[to] = true
			in[to] |= have
			work = append(work, to)
		}
	}
	flow(0, 1<<asm.R1|1<<asm.R2|1<<framePointer)
	for _, target := range d.callbacks {
		flow(target, allRegs)
	}
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		b := &d.blocks[i]
		have := in[i]
		for j := range b.instrs {
			have = d.after(have, &b.instrs[j])
		}
		if n := len(b.instrs); n > 0 {
			if last := &b.instrs[n-1]; opInfos[last.op].jump || last.op == opCall {
				flow(last.target, have)
			}
		}
		if b.next >= 0 {
			flow(b.next, have)
		}
	}
	for i := range d.blocks {
		if err := d.checkReads(&d.blocks[i], in[i], reached[i]); err != nil {
			return err
		}
	}
	return nil
}

// after returns the registers that may have been written once in is done.
func (d *decoder) after(have regs, in *instr) regs {
	if in.dst >= 0 {
		have |= 1 << in.dst
	}
	switch in.op {
	case opHelper, opCall, opPacket:
		have |= resultR0
	case opAtomic:
		have = allRegs // what it writes has been read
	}
	return have
}

func (d *decoder) checkReads(b *block, have regs, reached bool) error {
	if !reached {
		return nil
	}
	for j := range b.instrs {
		in := &b.instrs[j]
		for _, v := range [...]value{in.a, in.b, in.c} {
			if v >= 0 && !have.has(int(v)) {
				return d.p.Errorf(int(in.slot), "register r%d is read, but nothing has written it", v)
			}
		}
		have = d.after(have, in)
	}
	return nil
}
