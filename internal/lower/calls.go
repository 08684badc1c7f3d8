package lower

import "github.com/sandbpf/sandbpf/asm"

// maxInlined is how many instructions a function may have that is repeated where it is
// called.
const maxInlined = 24

// inlineCalls puts small functions in the place of their calls: those of one block that
// call nothing, keep to themselves what they do to r6 to r9 and the stack, and cannot fault.
// What follows the call becomes part of the same block.
func (p *Program) inlineCalls() {
	if len(p.Funcs) == 1 || p.Shared || !p.does(PassCalls) {
		return
	}
	preds := p.predecessors()
	for i := range p.Blocks {
		b, inlined := &p.Blocks[i], false
		for !b.Dead {
			last := b.Last()
			if last == nil || last.Op != Call || !p.inlinable(last.Target) {
				break
			}
			inlined = true
			preds[last.Target]--
			p.inlineCall(b, &p.Blocks[last.Target])
			next := b.Next
			if next < 0 || preds[next] != 1 || p.Blocks[next].Called {
				break
			}
			p.join(b, &p.Blocks[next])
		}
		if inlined {
			p.summarise(int32(i))
		}
	}
	for _, f := range p.Funcs {
		if b := &p.Blocks[f.Block]; f.Block != 0 && !f.Callback && preds[f.Block] == 0 && p.inlinable(f.Block) {
			b.Dead = true
		}
	}
}

// predecessors returns for each block how many ways lead there.
func (p *Program) predecessors() []int32 {
	n := p.memory.ints.take(len(p.Blocks))
	for i := range p.Blocks {
		if p.Blocks[i].Dead {
			continue
		}
		for _, to := range p.flows[i].successors() {
			if to >= 0 {
				n[to]++
			}
		}
		if p.flows[i].last == Call {
			n[p.Blocks[i].Last().Target]++
		}
	}
	return n
}

// inlinable reports whether the function that begins at a block can be inlined.
func (p *Program) inlinable(block int32) bool {
	f, b := &p.Funcs[p.FuncOf[block]], &p.Blocks[block]
	if b.Dead || b.LoopHead || f.Calls || f.Exposed || f.Saved != 0 || len(b.Ins) > maxInlined || b.Last() == nil || b.Last().Op != Exit {
		return false
	}
	for i := range b.Ins[:len(b.Ins)-1] {
		if in := &b.Ins[i]; in.Op >= Atomic || in.Check || in.Reads().Has(Reg(asm.R10)) {
			return false
		}
	}
	return true
}

// inlineCall replaces the call that b ends with.
func (p *Program) inlineCall(b, callee *Block) {
	n := len(b.Ins) - 1
	ins := p.room(n + len(callee.Ins) + 1)
	ins = append(ins, b.Ins[:n]...)
	ins = append(ins, Ins{Op: Enter, Dst: None, A: None, B: None, Index: None, Slot: b.Ins[n].Slot, Imm: int64(callee.Start)})
	ins = append(ins, callee.Ins[:len(callee.Ins)-1]...)
	ins = append(ins, Ins{Op: Leave, Dst: None, A: None, B: None, Index: None, Slot: callee.Last().Slot, Imm: int64(b.End)})
	b.Ins = ins
}

// join makes next, to which only b leads, a part of b.
func (p *Program) join(b, next *Block) {
	b.Ins = append(b.Ins, next.Ins...)
	b.End, b.Next, next.Dead = next.End, next.Next, true
}
