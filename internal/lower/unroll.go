package lower

import "github.com/sandbpf/sandbpf/asm"

// Unroll repeats the bodies of small innermost loops. A loop with blocks h to m becomes
//
//	G       if the slice has fewer instructions left than the copies take, go to h
//	h' m'   the copies, none of which looks at the budget
//	...
//	R       back to the first copy if the slice lasts, else fall through
//	h  m    the loop as it was, going back to G
//
// so that a run that uses up its budget does so in the loop as it was, at the same
// instruction as without copies.
func Unroll(p *Program) {
	u := unroller{p: p, loops: p.smallLoops()}
	if len(u.loops) == 0 {
		return
	}
	u.place()
	u.build()
}

// What is unrolled: loops of few instructions, the shorter the more often.
const (
	maxUnrolled = 32 // instructions of a loop
	maxCopies   = 4
	// Copies of a branch are learned by the processor each for itself: loops that branch
	// much get slower.
	maxUnrolledBlocks = 2
)

// loop is an innermost loop: blocks [head, end).
type loop struct {
	head, end int32
	copies    int32
}

type unroller struct {
	p      *Program
	loops  []loop  // in order
	moved  []int32 // by old block: where references to it go
	slow   []int32 // by old block: where it is itself
	blocks []Block
}

// smallLoops returns the loops that are worth it.
func (p *Program) smallLoops() (found []loop) {
	first, last := p.backJumps()
	entry := make(map[int32]bool, len(p.Funcs))
	for _, f := range p.Funcs {
		entry[f.Block] = true
	}
	for h := int32(0); h < int32(len(p.Blocks)); h++ {
		if !p.Blocks[h].LoopHead || entry[h] || last[h] < h {
			continue
		}
		l := loop{head: h, end: last[h] + 1}
		n := p.repeatable(l)
		if n == 0 { // perhaps an outer loop has the same head
			l.end = first[h] + 1
			n = p.repeatable(l)
		}
		if n == 0 {
			continue
		}
		l.copies = maxCopies
		if 2*n > maxUnrolled {
			l.copies = 2
		}
		found = append(found, l)
		h = l.end - 1
	}
	return found
}

// backJumps returns for each block the first and the last block that jumps back to it, -1
// if none does.
func (p *Program) backJumps() (first, last []int32) {
	first, last = make([]int32, len(p.Blocks)), make([]int32, len(p.Blocks))
	for i := range last {
		first[i], last[i] = -1, -1
	}
	for i := range p.Blocks {
		in := p.Blocks[i].Last()
		if in == nil || !in.Jumps() || p.Blocks[i].Dead || in.Target > int32(i) {
			continue
		}
		if first[in.Target] < 0 {
			first[in.Target] = int32(i)
		}
		last[in.Target] = int32(i)
	}
	return first, last
}

// repeatable returns how many instructions a loop has, 0 if it cannot be unrolled.
func (p *Program) repeatable(l loop) (n int) {
	if l.end-l.head > maxUnrolledBlocks {
		return 0
	}
	for i := l.head; i < l.end; i++ {
		b := &p.Blocks[i]
		if b.Func < 0 || p.Funcs[b.Func].Calls || b.Dead {
			return 0
		}
		if i > l.head && b.LoopHead {
			return 0
		}
		if n += max(len(b.Ins), 1); n > maxUnrolled {
			return 0
		}
		if in := b.Last(); in != nil && in.Op >= Atomic && in.Op != Jump && in.Op != Goto {
			return 0
		}
	}
	if b := &p.Blocks[l.end-1]; b.Last().Target != l.head {
		return 0
	}
	return n
}

// place finds out where each block will be.
func (u *unroller) place() {
	n, at := int32(0), 0
	u.moved, u.slow = make([]int32, len(u.p.Blocks)), make([]int32, len(u.p.Blocks))
	for i := range int32(len(u.p.Blocks)) {
		guard := int32(-1)
		if at < len(u.loops) && i == u.loops[at].head {
			l := u.loops[at]
			at++
			guard = n
			n += 2 + l.copies*(l.end-l.head)
		}
		u.slow[i], u.moved[i] = n, n
		if guard >= 0 {
			u.moved[i] = guard
		}
		n++
	}
	u.blocks = make([]Block, 0, n)
}

// build writes the blocks anew.
func (u *unroller) build() {
	p, at := u.p, 0
	for i := range int32(len(p.Blocks)) {
		if at < len(u.loops) && i == u.loops[at].head {
			u.repeat(u.loops[at])
			at++
		}
		u.blocks = append(u.blocks, u.redirect(p.Blocks[i], func(to int32) int32 { return u.moved[to] }))
	}
	for _, l := range u.loops {
		u.blocks[u.slow[l.head]].Resume = u.moved[l.head]
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

// redirect returns b, which is at the end of the list, with its references to other
// blocks renewed. Its instructions are changed in place.
func (u *unroller) redirect(b Block, to func(int32) int32) Block {
	if b.Next >= 0 {
		b.Next = to(b.Next)
	}
	b.Resume = int32(len(u.blocks))
	if in := b.Last(); in != nil && (in.Jumps() || in.Op == Call) {
		in.Target = to(in.Target)
	}
	return b
}

// repeat adds guard and copies of a loop.
func (u *unroller) repeat(l loop) {
	p := u.p
	head, size := &p.Blocks[l.head], l.end-l.head
	guard := int32(len(u.blocks))
	firstCopy := guard + 1
	back := firstCopy + l.copies*size
	need := int64(l.copies * (p.Index[p.Blocks[l.end-1].End] - p.Index[head.Start]))
	edge := Block{Start: head.Start, End: head.Start, Func: head.Func, Next: firstCopy, Resume: guard, LoopHead: true, Guard: true}
	edge.Ins = []Ins{{Op: Guard, Dst: None, A: None, B: None, Index: None, Slot: head.Start, Imm: need, Target: u.slow[l.head]}}
	u.blocks = append(u.blocks, edge)
	for c := range l.copies {
		begin := firstCopy + c*size
		for i := l.head; i < l.end; i++ {
			b := p.Blocks[i]
			b.Ins = p.clone(b.Ins)
			b.Fast, b.LoopHead = true, c == 0 && i == l.head
			invert(&b, l.head)
			u.blocks = append(u.blocks, u.redirect(b, func(to int32) int32 {
				switch {
				case to == l.head:
					return begin + size // of the next copy, or what leads back
				case to > l.head && to < l.end:
					return begin + to - l.head
				}
				return u.moved[to]
			}))
		}
	}
	edge.Next, edge.Resume, edge.Fast, edge.LoopHead, edge.Guard = u.slow[l.head], back, true, false, false
	edge.Ins = []Ins{{Op: Repeat, Dst: None, A: None, B: None, Index: None, Slot: head.Start, Imm: need, Target: firstCopy}}
	u.blocks = append(u.blocks, edge)
}

// invert makes the last jump of a block that goes back to the head fall through there.
func invert(b *Block, head int32) {
	in := b.Last()
	if in == nil || in.Op != Jump || in.Target != head {
		return
	}
	in.Cond, in.Not = opposite(in.Cond, in.Not)
	in.Target, b.Next = b.Next, in.Target
}

// opposite returns the opposite of a condition; that of JSet has no name.
func opposite(c asm.JumpOp, not bool) (asm.JumpOp, bool) {
	if o, ok := opposites[c]; ok {
		return o, not
	}
	return c, !not
}

var opposites = map[asm.JumpOp]asm.JumpOp{asm.JEq: asm.JNE, asm.JNE: asm.JEq, asm.JGT: asm.JLE, asm.JLE: asm.JGT,
	asm.JGE: asm.JLT, asm.JLT: asm.JGE, asm.JSGT: asm.JSLE, asm.JSLE: asm.JSGT, asm.JSGE: asm.JSLT, asm.JSLT: asm.JSGE}
