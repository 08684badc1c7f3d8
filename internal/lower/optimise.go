package lower

// optimiseBlocks rewrites the blocks of p, each on its own.
func optimiseBlocks(p *Program) {
	if !p.does(PassBlocks) {
		return
	}
	p.liveness()
	p.constants, p.parts = p.findConstants(), p.findParts()
	for _, f := range p.Funcs { // which calls ask for
		p.Blocks[f.Block].LiveIn = p.flows[f.Block].liveIn
	}
	o := p.optimiser()
	for i := range p.Blocks {
		b, f := &p.Blocks[i], &p.flows[i]
		b.Origin, b.LiveIn, b.LiveOut = int32(i), f.liveIn, f.liveOut
		if !b.Dead && len(b.Ins) > 0 {
			o.optimise(b)
		}
	}
}

// LiveBehind returns the registers that somebody reads behind a block.
func (p *Program) LiveBehind(block int32) Regs {
	if !p.does(PassBlocks) {
		return AllRegs
	}
	return p.Blocks[block].LiveOut
}

// LiveAt returns the registers that somebody reads at the beginning of a block or behind.
func (p *Program) LiveAt(block int32) Regs {
	if !p.does(PassBlocks) {
		return AllRegs
	}
	return p.Blocks[block].LiveIn
}

// optimiseJoined rewrites the blocks that have been put together of others.
func optimiseJoined(p *Program) {
	if !p.does(PassBlocks) {
		return
	}
	o := p.optimiser()
	for i := range p.Blocks {
		if p.Blocks[i].Joined {
			o.optimise(&p.Blocks[i])
		}
	}
}

// optimiser returns one for p that knows of no constants.
func (p *Program) optimiser() *optimiser {
	o := &p.memory.optimiser
	o.p, o.constIn = p, 0
	return o
}

// optimise rewrites a block.
func (o *optimiser) optimise(b *Block) {
	p := o.p
	live := b.LiveOut
	if last := b.Last(); terminates(last) {
		read, written := p.uses(last)
		if last.Op == Exit {
			read |= p.leaves(b)
		}
		live = live&^written | read
	}
	o.enter(b)
	// What the program keeps in its frame may have no place in registers. Parts of numbers may need none.
	for _, o.forwards = range [...]kinds{^kinds(0), bytes, 0} {
		if !o.does(PassForward) {
			o.forwards = 0
		}
		if o.try(b, live) {
			b.Ins = p.replace(b.Ins, o.result)
			return
		}
		if !o.forwarded {
			return
		}
	}
}

// try makes of a block what the optimiser has as its result, unless there are not enough registers.
func (o *optimiser) try(b *Block, live Regs) (ok bool) {
	o.forwarded = false
	o.values(b)
	o.need(live)
	o.leas()
	o.result, ok = o.allocate(o.result[:0], live)
	return ok
}
