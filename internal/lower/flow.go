package lower

import "github.com/sandbpf/sandbpf/asm"

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
	// What has an upper half of zero behind the block: narrow, and of keeps what has one in front or,
	// if there are steps, behind these. They are some of memory.steps.
	narrow, keeps      Regs
	steps, behindSteps int32

	last    Op   // of the instructions, Nop if there are none
	stack   bool // reads r10
	exposes bool // lets others have a pointer into the frame

	liveIn, liveOut, narrowIn Regs // as in Block
}

// narrowStep is an instruction of a block whose result has an upper half of zero if operands have, and which
// have in front of it: narrow, and of keeps what has one behind the step before.
type narrowStep struct {
	narrow, keeps Regs
	at            int32 // in the block
}

// summarise finds out what a block does as a whole. Little in it branches on what an instruction
// is, which the processor cannot foresee.
func (p *Program) summarise(block int32) {
	b, m := &p.Blocks[block], p.memory
	f := flow{next: b.Next, target: -1, constants: int32(len(m.literals)), steps: int32(len(m.steps)), keeps: AllRegs}
	var read, written, gives, narrow Regs
	for i := range b.Ins {
		in := &b.Ins[i]
		reads, dst := in.Reads(), bit(in.Dst)
		if reads.Has(framePointer) {
			f.stack, f.exposes = true, f.exposes || exposes(in)
		}
		writes := dst
		if in.Op >= Atomic {
			reads, writes = p.uses(in)
		}
		read |= reads &^ written
		written |= writes
		gives &^= writes
		if in.Op == Mov && in.B == None {
			gives |= dst
			m.values[in.Dst] = in.constant()
		}
		rule, of := in.narrowRule(), in.narrowCase()
		surely, perhaps := Regs(rule>>in.withNarrow(of, narrow)&1), Regs(rule>>in.withNarrow(of, AllRegs)&1)
		narrow = narrow&^writes | dst&-surely
		if dst&-(surely^perhaps) != 0 {
			m.steps = append(m.steps, narrowStep{f.narrow, f.keeps, int32(i)})
			f.narrow, f.keeps = 0, AllRegs
			continue
		}
		f.narrow = f.narrow&^writes | dst&-surely
		f.keeps &^= writes
	}
	f.read, f.written, f.leaves, f.behindSteps = read, written, ^written, int32(len(m.steps))
	if in := b.Last(); in != nil {
		f.last = in.Op
		gives, f.leaves = gives&^in.spoils(), f.leaves&^in.spoils()
		f.narrow, f.keeps = f.narrow&^in.widens(), f.keeps&^in.widens()
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
			changed = changed || in != f.liveIn || out != f.liveOut
			f.liveIn, f.liveOut = in, out
		}
		if !changed || round == maxRounds {
			return
		}
	}
}

// narrowness finds for each block the registers whose upper half is zero at its
// beginning, on all ways that lead there.
func (p *Program) narrowness() {
	if !p.does(PassNarrow) {
		return
	}
	const unknown = AllRegs // nothing has come here yet
	flows := p.flows
	changed := p.memory.bools.cut(len(flows))
	for i := range flows {
		flows[i].narrowIn, changed[i] = unknown, true
	}
	for _, f := range p.Funcs {
		flows[f.Block].narrowIn = 0
	}
	again := true
	comes := func(to int32, have Regs) {
		if to < 0 || flows[to].narrowIn&^have == 0 {
			return
		}
		flows[to].narrowIn &= have
		changed[to], again = true, true
	}
	for round := 0; again; round++ {
		again = false
		for i := range flows {
			if !changed[i] {
				continue
			}
			changed[i] = false
			have := p.narrowBehind(int32(i))
			comes(flows[i].next, have)
			comes(flows[i].target, have)
		}
		if again && round == maxRounds {
			for i := range flows {
				flows[i].narrowIn = 0
			}
			return
		}
	}
}

// narrowBehind returns the registers with an upper half of zero behind a block.
func (p *Program) narrowBehind(block int32) Regs {
	f := &p.flows[block]
	have := f.narrowIn
	for _, s := range p.memory.steps[f.steps:f.behindSteps] {
		in := &p.Blocks[block].Ins[s.at]
		have = have&s.keeps | s.narrow
		dst := bit(in.Dst)
		have = have&^dst | dst&-Regs(in.narrowRule()>>in.withNarrow(in.narrowCase(), have)&1)
	}
	return have&f.keeps | f.narrow
}

// widens returns the registers beside Dst whose upper half is not known behind in.
func (in *Ins) widens() Regs {
	switch {
	case in.Op < Atomic:
		return 0
	case in.Op == Call:
		return ^SavedRegs
	case in.Op == Helper || in.Op == LoadPacket || in.Op == Atomic && in.Imm == int64(asm.AtomicCmpXchg):
		return Result
	}
	return 0
}

// narrowRule says whether the upper half of a result is zero, by a bit for each narrowCase.
type narrowRule uint32

// The cases in which the upper half is zero: of A; of B if it is a register, or a constant; in which
// a constant shifts by at least 32; or in which what is loaded has fewer than 64 bits.
const (
	ifA        narrowRule = 0xaaaaaaaa
	ifB        narrowRule = 0xcccccccc
	ifConstant narrowRule = 0xf0f0f0f0
	ifFar      narrowRule = 0xff00ff00
	ifLoaded   narrowRule = 0xffff0000
	always     narrowRule = 0xffffffff
)

// narrowRules are by operation, those on 64 bits behind those on 32.
var narrowRules = func() (rules [2][1 << 6]narrowRule) {
	for op := Mov; op <= Lea; op++ {
		rules[0][op] = always
	}
	rules[0][Atomic] = always
	for _, op := range [...]Op{CPUID, Random, Popcount, Zext} {
		rules[1][op] = always
	}
	for _, op := range [...]Op{Swap, Load, LoadAcquire} {
		rules[1][op] = ifLoaded
	}
	rules[1][Mov] = ifB | ifConstant
	rules[1][And] = ifA | ifB | ifConstant
	rules[1][Or] = ifA & (ifB | ifConstant)
	rules[1][Xor] = rules[1][Or]
	rules[1][RSh] = ifA | ifFar
	rules[1][Div], rules[1][Mod] = ifA, ifA
	return rules
}()

func (in *Ins) narrowRule() narrowRule { return narrowRules[number(in.Wide)][in.Op&(1<<6-1)] }

// narrowCase returns what the result of in depends on, but for registers.
func (in *Ins) narrowCase() uint32 {
	constant := number(uint64(in.Imm)>>32 == 0)<<2 | uint32(in.Imm)>>5&1<<3
	return constant&-number(in.B == None) | number(in.Size < 8)&^number(in.Signed)<<4
}

// withNarrow adds to a narrowCase the registers, if those in have have an upper half of zero.
func (in *Ins) withNarrow(of uint32, have Regs) uint32 {
	return of | uint32(have)>>cell(in.A)&1 | uint32(have)>>cell(in.B)&1<<1
}

// number returns 1 for true, without a branch.
func number(b bool) uint32 {
	if b {
		return 1
	}
	return 0
}
