package lower

// maxDuplicated is how many instructions a block may have that is repeated behind those that jump
// to it.
const maxDuplicated = 6

// Duplicate repeats the short blocks at the end of copies of loops in place of the jumps to them:
// what the cases of a switch have in common, as a rule. Each way then goes back to the head
// by itself, with branches of its own for the processor to learn.
func Duplicate(p *Program) {
	if !p.does(PassDuplicate) {
		return
	}
	for i := int32(len(p.Blocks)) - 1; i >= 0; i-- { // where they lead to comes first
		b := &p.Blocks[i]
		in := b.Last()
		if !b.Fast || in == nil || in.Op != Goto || in.Target == i+1 {
			continue
		}
		to := &p.Blocks[in.Target]
		if !to.Fast || to.LoopHead || len(to.Ins) > maxDuplicated || !p.endsTrip(to) {
			continue
		}
		ins := p.room(len(b.Ins) + len(to.Ins))
		ins = append(ins, b.Ins[:len(b.Ins)-1]...)
		ins = append(ins, Ins{Op: Hop, Dst: None, A: None, B: None, Index: None, Slot: in.Slot, Imm: int64(to.Start)})
		b.Ins = append(ins, to.Ins...)
		b.End, b.Next, b.LiveOut, b.Joined = to.End, to.Next, to.LiveOut, true
	}
}

// endsTrip reports whether a block goes on with the next trip, or leaves the loop.
func (p *Program) endsTrip(b *Block) bool {
	if in := b.Last(); in != nil && (in.Op == Goto || in.Op == Repeat) {
		return in.Op == Goto
	}
	next := p.Blocks[b.Next].Last()
	return next != nil && next.Op == Repeat
}
