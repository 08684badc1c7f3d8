package lower

import "slices"

// sink moves what one way behind the jump at the end of a block needs, and the other does not, from in
// front of the jump to the beginning of that way, if no other leads there. A way back to the beginning
// of a loop is taken too often for that to be worth anything.
func (p *Program) sink(block int32, ways []int32) {
	f := &p.flows[block]
	if !p.does(PassSink) || f.last != Jump || f.next < 0 || f.next == f.target {
		return
	}
	p.sinkTo(block, f.next, f.target, ways)
	p.sinkTo(block, f.target, f.next, ways)
}

// sinkTo is sink for the way to a block.
func (p *Program) sinkTo(from, block, other int32, ways []int32) {
	b, to, f := &p.Blocks[from], &p.Blocks[block], &p.flows[block]
	unwanted := p.flows[other].liveIn
	back := f.target >= 0 && f.target <= block
	if ways[block] != 1 || to.LoopHead || to.Called || back || f.liveIn&^unwanted == 0 {
		return
	}
	n := len(b.Ins) - 1
	read, written := b.Ins[n].Reads(), Regs(0) // by what stays
	stays := n                                 // b.Ins[stays:n] stays
	moved := p.memory.moved[:0]                // from the last to the first
	for i := n - 1; i >= 0; i-- {
		in := b.Ins[i]
		only := f.liveIn &^ (unwanted | read | written)
		reads := in.Reads() & AllRegs
		if in.Op < Mov || in.Op > Lea || !only.Has(in.Dst) || reads&written != 0 {
			r, w := p.uses(&in)
			if in.shifts() && in.Private {
				w |= bit(Count)
			}
			read, written = read|r, written|w
			stays--
			b.Ins[stays] = in
			continue
		}
		p.forget(block, bit(in.Dst)|reads&^f.liveIn) // which may not hold what the program says
		f.liveIn = f.liveIn&^bit(in.Dst) | reads
		in.Private = false
		in.Slot = to.Start // where its way begins: instructions are counted by place
		moved = append(moved, in)
	}
	if p.memory.moved = moved; len(moved) == 0 {
		return
	}
	b.Ins = append(b.Ins[:0], b.Ins[stays:]...)
	b.LiveOut = f.liveIn | unwanted
	ins := p.room(len(moved) + len(to.Ins))
	for _, in := range slices.Backward(moved) {
		ins = append(ins, in)
	}
	to.Ins = append(ins, to.Ins...)
}

// forget drops what is known of registers at the beginning of a block.
func (p *Program) forget(block int32, rs Regs) {
	p.flows[block].narrowIn &^= rs
	if p.constants.known != nil {
		p.constants.known[block] &^= rs
	}
}
