package lower

// Align finds loops: the last jump back to each head, and which heads are worth to be aligned,
// those of innermost loops. Where jumps
// backwards go to several blocks of one loop, as compilers lay out loops that branch, those are
// on the way and padding in front of them is executed.
func Align(p *Program) {
	_, last := p.backJumps()
	align := p.does(PassAlign)
	head := int32(-1) // the nearest in front of which none is known to be an innermost one
	for i := range p.Blocks {
		b := &p.Blocks[i]
		b.Back = last[i]
		if b.LoopHead && !b.Guard && !b.Dead {
			head = int32(i)
			b.Align = align && b.Fast
		}
		if head >= 0 && last[head] == int32(i) {
			p.Blocks[head].Align = align && p.Blocks[head].Resume == head
			head = -1
		}
	}
}
