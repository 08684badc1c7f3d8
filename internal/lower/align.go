package lower

// align finds loops: the last jump back to each head, and which heads are worth to be aligned,
// those of copies and of innermost loops that have none. Where jumps
// backwards go to several blocks of one loop, as compilers lay out loops that branch, those are
// on the way and padding in front of them is executed.
func align(p *Program) {
	last, does := p.backJumps(), p.does(PassAlign)
	head := int32(-1) // the nearest in front of which none is known to be an innermost one
	for i := range p.Blocks {
		b := &p.Blocks[i]
		b.Back = last[i]
		if b.LoopHead && !b.Guard && !b.Dead && !b.Fast {
			head = int32(i)
		}
		if b.Fast && p.Blocks[i-1].Guard {
			b.Align = does
		}
		if head >= 0 && last[head] == int32(i) {
			p.Blocks[head].Align = does && !p.Blocks[head].Copied
			head = -1
		}
	}
}

// backJumps returns for each block the last one that jumps back to it, -1 if none does.
func (p *Program) backJumps() []int32 {
	last := p.memory.ints.cut(len(p.Blocks))
	for i := range last {
		last[i] = -1
	}
	for i := range p.Blocks {
		in := p.Blocks[i].Last()
		if in != nil && in.Jumps() && !p.Blocks[i].Dead && in.Target <= int32(i) {
			last[in.Target] = int32(i)
		}
	}
	return last
}
