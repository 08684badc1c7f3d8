package lower

// maxRounds bounds how often the flow of a program is walked: one that nests its loops
// deeper is not worth more, and compilation stays linear.
const maxRounds = 16

// flow is what a block does as a whole, in as few bytes as possible: what is found by walking over all
// blocks again and again reads this and not the instructions.
type flow struct {
	next, target int32 // the blocks that follow within the function, -1 for none
	constants    int32 // where in memory.literals the values of those in gives begin
	read         Regs  // before the block writes them
	written      Regs
	gives        Regs // hold constants behind it, whatever was in front
	leaves       Regs // hold the same constants as in front, if any
	given        Regs // written in front of the call that it ends with

	last    Op   // of the instructions, Nop if there are none
	stack   bool // reads r10
	exposes bool // lets others have a pointer into the frame

	liveIn, liveOut Regs // as in Block
}

// summarise finds out what a block does as a whole. Little in it branches on what an instruction
// is, which the processor cannot foresee.
func (p *Program) summarise(block int32) {
	b, m := &p.Blocks[block], p.memory
	f := flow{next: b.Next, target: -1, constants: int32(len(m.literals))}
	var read, written, gives Regs
	for i := range b.Ins {
		in := &b.Ins[i]
		reads, dst := in.Reads(), bit(in.Dst)
		if reads.Has(framePointer) {
			f.stack, f.exposes = true, f.exposes || exposes(in)
		}
		writes := dst
		if in.Op >= Atomic {
			reads, writes = p.uses(in)
			f.given = written
		}
		read |= reads &^ written
		written |= writes
		gives &^= writes
		if in.Op == And && in.B == None && (in.Imm == 0xff || in.Imm == 0xffff) || in.Op == Zext {
			p.masks = true
		}
		if in.Op == Mov && in.B == None {
			gives |= dst
			m.values[in.Dst] = in.constant()
		}
	}
	f.read, f.written, f.leaves = read, written, ^written
	if in := b.Last(); in != nil {
		f.last = in.Op
		gives, f.leaves = gives&^in.spoils(), f.leaves&^in.spoils()
		if in.Jumps() {
			f.target = in.Target
		}
	}
	f.gives = gives
	for ; gives != 0; gives &= gives - 1 {
		m.literals = append(m.literals, m.values[gives.first()])
	}
	p.flows[block] = f
}

// successors returns the blocks that follow within the function, -1 for none.
func (f *flow) successors() [2]int32 { return [2]int32{f.target, f.next} }

// liveness finds for each block the registers that matter at its beginning and behind it.
func (p *Program) liveness() {
	flows := p.flows
	for i := range flows {
		if f := &flows[i]; f.last == Exit {
			f.read |= p.leaves(&p.Blocks[i]) &^ f.written
		}
	}
	for round := 0; ; round++ {
		changed := false
		for i := len(flows) - 1; i >= 0; i-- {
			f := &flows[i]
			out := Regs(0)
			if f.next >= 0 {
				out = flows[f.next].liveIn
			}
			if f.target >= 0 {
				out |= flows[f.target].liveIn
			}
			if round == maxRounds {
				out = AllRegs
			}
			in := f.read | out&^f.written
			if f.last == Call && p.Verified { // what the function reads
				in |= flows[p.Blocks[i].Last().Target].liveIn & ArgRegs &^ f.given
			}
			changed = changed || in != f.liveIn || out != f.liveOut
			f.liveIn, f.liveOut = in, out
		}
		if !changed || round == maxRounds {
			return
		}
	}
}

// number returns 1 for true, without a branch.
func number(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
