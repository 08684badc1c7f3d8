package lower

import "github.com/sandbpf/sandbpf/asm"

// unroll puts copies of small innermost loops in front of them. A loop with blocks h to m becomes
//
//	G       if the slice has fewer instructions left than the copies take, go to h
//	h' m'   the copies, none of which looks at the budget
//	...
//	R       back to the first copy if the slice lasts, else go to h
//	h  m    the loop as it was, going back to G
//
// so that a run that uses up its budget does so in the loop as it was, at the same
// instruction as without copies. The copies of a loop that branches are in an order
// of their own, in which all ways lead forwards to R; if there is one copy, what
// all ways have in common at their end is with R in front of h', so that each way has one jump back.
func unroll(p *Program) {
	if !p.does(PassUnroll) {
		return
	}
	u := unroller{p: p, loops: p.innermostLoops()}
	if len(u.loops) == 0 {
		return
	}
	u.place()
	u.build()
}

type unroller struct {
	p      *Program
	loops  []loop  // in the order of their heads
	moved  []int32 // by old block: where references to it go
	slow   []int32 // by old block: where it is itself
	copied []int32 // by old block: where the first copy is, if it is one of the loop that is repeated
	blocks []Block
}

// place finds out where each block will be.
func (u *unroller) place() {
	n, at, total := int32(0), 0, len(u.p.Blocks)
	places := u.p.memory.ints.take(3 * total)
	u.moved, u.slow, u.copied = places[:total], places[total:2*total], places[2*total:]
	for i := range int32(total) {
		u.moved[i] = n
		if at < len(u.loops) && i == u.loops[at].head() {
			n += 2 + u.loops[at].size()
			at++
		}
		u.slow[i] = n
		n++
	}
	u.blocks = u.p.memory.blocks.cut(int(n))[:0]
}

// build writes the blocks anew.
func (u *unroller) build() {
	p, at := u.p, 0
	for i := range int32(len(p.Blocks)) {
		if at < len(u.loops) && i == u.loops[at].head() {
			u.repeat(&u.loops[at])
			at++
		}
		u.blocks = append(u.blocks, p.Blocks[i])
	}
	for _, i := range u.slow { // of which no copies are made any more
		redirect(&u.blocks[i], func(to int32) int32 { return u.moved[to] })
	}
	for _, l := range u.loops {
		u.blocks[u.slow[l.head()]].LoopHead = true
		for _, old := range l.blocks {
			u.blocks[u.slow[old]].Copied = true
		}
	}
	p.Blocks = u.blocks
	funcOf := make(map[int32]int32, len(p.Funcs))
	for i := range p.Funcs {
		f := &p.Funcs[i]
		f.Block = u.moved[f.Block]
		funcOf[f.Block] = int32(i)
	}
	p.FuncOf = funcOf
}

// redirect renews the references of b to other blocks.
func redirect(b *Block, to func(int32) int32) {
	if b.Next >= 0 {
		b.Next = to(b.Next)
	}
	if in := b.Last(); in != nil && (in.Jumps() || in.Op == Call) {
		in.Target = to(in.Target)
	}
}

// repeat adds guard and copies of a loop.
func (u *unroller) repeat(l *loop) {
	p := u.p
	head := &p.Blocks[l.head()]
	guard := int32(len(u.blocks))
	firstCopy := guard + 1
	if l.tail > 0 {
		firstCopy += l.tail + 1
	}
	edge := Block{Start: head.Start, End: head.Start, Func: head.Func, Next: firstCopy, LoopHead: head.LoopHead, Guard: true,
		LiveIn: head.LiveIn, LiveOut: head.LiveIn}
	in := Ins{Op: Guard, Dst: None, A: None, B: None, Index: None, Slot: head.Start, Imm: l.need, Target: u.slow[l.head()]}
	if l.counted {
		p.Counters = append(p.Counters, l.count)
		in.A, in.B, in.Disp = l.count.Reg, l.count.Limit, int32(len(p.Counters))
	}
	edge.Ins = append(p.room(1), in)
	u.blocks = append(u.blocks, edge)
	edge.Next, edge.Fast, edge.LoopHead, edge.Guard = u.slow[l.head()], true, false, false
	if in.Op, in.Target = Repeat, firstCopy; l.counted && l.count.Aligned() { // and still is
		in.A, in.B, in.Disp = None, None, 0
	}
	edge.Ins = append(p.room(1), in)
	switch {
	case l.counted && l.test == 0:
		u.join(l, firstCopy+l.size())
		u.blocks = append(u.blocks, edge)
	case l.tail > 0:
		u.copyTail(l, edge)
	default:
		u.copyTrips(l, firstCopy, edge)
	}
}

// join adds the copies of a loop of one block as one block.
func (u *unroller) join(l *loop, back int32) {
	b := u.p.Blocks[l.head()]
	body := b.Ins[:len(b.Ins)-1]
	ins := u.p.room(int(l.copies) * (len(b.Ins) + 1))
	for range l.copies - 1 {
		ins = u.hops(append(ins, body...), l)
	}
	b.Ins = append(ins, b.Ins...)
	b.Fast, b.LoopHead, b.Joined = true, true, true
	last := int32(len(u.blocks) + len(l.blocks) - 1)
	to := func(to int32) int32 {
		switch to {
		case l.head():
			return back
		case l.back():
			return last
		}
		return u.moved[to]
	}
	redirect(&b, to)
	straighten(&b, int32(len(u.blocks)))
	u.blocks = append(u.blocks, b)
	if len(l.blocks) == 2 {
		u.copyBlock(l.back(), false, to)
	}
}

// hops appends the jumps at the end of a trip that lead to the next one.
func (u *unroller) hops(ins []Ins, l *loop) []Ins {
	for i := int(l.test); i < len(l.blocks); i++ {
		next := l.blocks[(i+1)%len(l.blocks)]
		ins = append(ins, Ins{Op: Hop, Dst: None, A: None, B: None, Index: None, Slot: u.p.Blocks[l.blocks[i]].Last().Slot,
			Imm: int64(u.p.Blocks[next].Start)})
	}
	return ins
}

// copyTail adds the one copy of a loop whose tail, with what leads back, is in front of its head.
func (u *unroller) copyTail(l *loop, back Block) {
	n := int32(len(l.blocks)) - l.tail
	first := int32(len(u.blocks))
	for i, old := range l.blocks {
		if u.copied[old] = first + l.tail + 1 + int32(i); int32(i) >= n {
			u.copied[old] = first + int32(i) - n
		}
	}
	to := func(to int32) int32 {
		switch {
		case to == l.head():
			return first + l.tail
		case u.copied[to] != 0:
			return u.copied[to]
		}
		return u.moved[to]
	}
	for _, old := range l.blocks[n:] {
		u.copyBlock(old, false, to)
	}
	u.blocks = append(u.blocks, back)
	for i, old := range l.blocks[:n] {
		u.copyBlock(old, i == 0, to)
	}
	for _, old := range l.blocks {
		u.copied[old] = 0
	}
}

// copyBlock adds a copy of a block.
func (u *unroller) copyBlock(old int32, head bool, to func(int32) int32) {
	b := u.p.Blocks[old]
	b.Ins = u.p.clone(b.Ins)
	b.Fast, b.LoopHead = true, head
	redirect(&b, to)
	straighten(&b, int32(len(u.blocks)))
	u.blocks = append(u.blocks, b)
}

// straighten makes a conditional jump at the end of block number i fall through to what
// follows, if it jumps there.
func straighten(b *Block, i int32) {
	in := b.Last()
	if in == nil || in.Op != Jump || in.Target != i+1 {
		return
	}
	in.Cond = opposites[in.Cond]
	in.Target, b.Next = b.Next, in.Target
}

var opposites = map[asm.JumpOp]asm.JumpOp{asm.JEq: asm.JNE, asm.JNE: asm.JEq, asm.JGT: asm.JLE, asm.JLE: asm.JGT,
	asm.JGE: asm.JLT, asm.JLT: asm.JGE, asm.JSGT: asm.JSLE, asm.JSLE: asm.JSGT, asm.JSGE: asm.JSLT, asm.JSLT: asm.JSGE,
	asm.JSet: NotSet, NotSet: asm.JSet}
