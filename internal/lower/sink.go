package lower

// sink moves what a block of a loop's copies computes for one of two ways onward there, if that is seldom come to, and
// nothing else leads there:
//
//	r7 = r0; r8 = r1 + r2; r9 = u8[r1+r2]; if r9 jeq r6 goto 8
//	8: r0 = r7 + 1; r8 = u8[r8+1]; ...
//
// where block 8 gets r7 = r0 and r8 = r1 + r2. In a copy that goes on to the next at once, these were most of what is
// to be done. Loads stay, to be early.
func sink(p *Program) {
	if !p.does(PassSink) {
		return
	}
	ways := p.memory.ints.take(len(p.Blocks)) // by block of the copies: how many lead there
	for i := range p.Blocks {
		b := &p.Blocks[i]
		if b.Next >= 0 {
			ways[b.Next]++
		}
		if in := b.Last(); in != nil && in.targets() {
			ways[in.Target]++
		}
	}
	o := p.optimiser()
	for i := range p.Blocks {
		b := &p.Blocks[i]
		in := b.Last()
		if !b.Fast || b.Rare || b.Dead || in == nil || in.Op != Jump || b.Next < 0 || in.Target == b.Next {
			continue
		}
		for _, way := range [...][2]int32{{b.Next, in.Target}, {in.Target, b.Next}} {
			to := &p.Blocks[way[0]]
			if to.Rare && ways[way[0]] == 1 && p.sinkInto(b, to, p.Blocks[way[1]].LiveIn) {
				o.optimise(to)
			}
		}
	}
}

// targets reports whether in may go to Target, in whatever way.
func (in *Ins) targets() bool {
	return in.Jumps() || in.Op == Call || in.Op == Guard || in.Op == Repeat
}

// maxSunk is how many instructions are moved at most from one block to another.
const maxSunk = 16

// sinkInto moves instructions of b into what follows it, if their results are read there only and not
// where the registers in others are.
func (p *Program) sinkInto(b, to *Block, others Regs) bool {
	wanted := to.LiveIn &^ others
	read, written := Regs(0), Regs(0) // by what stays
	var moved [maxSunk]Ins
	first := len(moved)
	for i := len(b.Ins) - 1; i >= 0 && first > 0 && wanted != 0; i-- {
		in := &b.Ins[i]
		dst := bit(in.Dst)
		if in.Op >= Mov && in.Op <= Lea && wanted&dst != 0 && (read|written)&dst == 0 && in.Reads()&written == 0 && in.writes() == dst {
			first--
			moved[first] = *in
			wanted = wanted&^dst | in.Reads()&^others
			*in = Ins{Op: Nop, Dst: None, A: None, B: None, Index: None, Slot: in.Slot}
			continue
		}
		reads, writes := p.uses(in)
		read |= reads
		written |= writes | in.writes()
	}
	if first == len(moved) {
		return false
	}
	for i := len(moved) - 1; i >= first; i-- {
		to.LiveIn = to.LiveIn&^bit(moved[i].Dst) | moved[i].Reads()
	}
	b.LiveOut = others | to.LiveIn
	to.Ins = append(append(p.room(len(moved)-first+len(to.Ins)), moved[first:]...), to.Ins...)
	to.Origin = -1 // what is known of registers there does not hold for those that have become live
	return true
}
