package lower

// Optimise rewrites the blocks of p, each on its own.
func Optimise(p *Program) {
	p.liveness()
	p.narrowness()
	constants := p.constants()
	o := optimiser{p: p}
	for i := range p.Blocks {
		b := &p.Blocks[i]
		if b.Dead || len(b.Ins) == 0 {
			continue
		}
		live := b.LiveOut
		if last := b.Last(); terminates(last) {
			read, written := p.Uses(b, last)
			live = live&^written | read
		}
		o.enter(&constants, i)
		o.values(b)
		o.need(live)
		out, ok := o.allocate(o.result[:0], live)
		o.result = out[:0]
		if ok {
			b.Ins = append(b.Ins[:0], out...)
		}
	}
}
