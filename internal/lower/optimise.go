package lower

// Optimise rewrites the blocks of p, each on its own.
func Optimise(p *Program) {
	if !p.does(PassBlocks) {
		return
	}
	p.liveness()
	p.narrowness()
	constants := p.constants()
	o := p.optimiser()
	for i := range p.Blocks {
		b := &p.Blocks[i]
		if b.Dead || len(b.Ins) == 0 {
			continue
		}
		o.enter(&constants, i)
		o.optimise(b)
	}
}

// OptimiseJoined rewrites the blocks that have been put together of others.
func OptimiseJoined(p *Program) {
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
		read, written := p.Uses(b, last)
		live = live&^written | read
	}
	o.values(b)
	o.need(live)
	o.leas()
	out, ok := o.allocate(o.result[:0], live)
	o.result = out[:0]
	if ok {
		b.Ins = p.replace(b.Ins, out)
	}
}

// replace returns a copy of the instructions, in the place of old ones if there is room.
func (p *Program) replace(old, by []Ins) []Ins {
	if len(by) > cap(old) {
		return p.clone(by)
	}
	return append(old[:0], by...)
}

// clone returns a copy of the instructions, in memory of p.
func (p *Program) clone(ins []Ins) []Ins {
	m := p.memory
	if len(m.more)+len(ins) > cap(m.more) {
		m.more = make([]Ins, 0, max(1024, len(p.P.Insns)/8, len(ins)))
	}
	from := len(m.more)
	m.more = append(m.more, ins...)
	return m.more[from:len(m.more):len(m.more)]
}
