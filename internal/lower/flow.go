package lower

import "github.com/sandbpf/sandbpf/asm"

// maxRounds bounds how often the flow of a program is walked: one that nests its loops
// deeper is not worth more, and compilation stays linear.
const maxRounds = 16

// effect is the registers that a block reads before it writes them, and those that it writes.
type effect struct{ read, written Regs }

// liveness finds for each block the registers that matter at its beginning and behind it.
func (p *Program) liveness() {
	effects := p.memory.effects.take(len(p.Blocks))
	for i := range p.Blocks {
		e := &effects[i]
		for j := range p.Blocks[i].Ins {
			read, written := p.Uses(&p.Blocks[i], &p.Blocks[i].Ins[j])
			e.read |= read &^ e.written
			e.written |= written
		}
	}
	for round := 0; ; round++ {
		changed := false
		for i := len(p.Blocks) - 1; i >= 0; i-- {
			b := &p.Blocks[i]
			out := Regs(0)
			if b.Next >= 0 {
				out = p.Blocks[b.Next].LiveIn
			}
			if last := b.Last(); last != nil && last.Jumps() {
				out |= p.Blocks[last.Target].LiveIn
			}
			if round == maxRounds {
				out = AllRegs
			}
			in := effects[i].read | out&^effects[i].written
			changed = changed || in != b.LiveIn || out != b.LiveOut
			b.LiveIn, b.LiveOut = in, out
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
	changed := p.memory.bools.cut(len(p.Blocks))
	for i := range p.Blocks {
		p.Blocks[i].NarrowIn, changed[i] = unknown, true
	}
	for _, f := range p.Funcs {
		p.Blocks[f.Block].NarrowIn = 0
	}
	again := true
	flow := func(to int32, have Regs) {
		if to < 0 || p.Blocks[to].NarrowIn&^have == 0 {
			return
		}
		p.Blocks[to].NarrowIn &= have
		changed[to], again = true, true
	}
	for round := 0; again; round++ {
		again = false
		for i := range p.Blocks {
			b := &p.Blocks[i]
			if !changed[i] {
				continue
			}
			changed[i] = false
			have := b.NarrowIn
			for j := range b.Ins {
				have = narrowAfter(have, &b.Ins[j])
			}
			flow(b.Next, have)
			if last := b.Last(); last != nil && last.Jumps() {
				flow(last.Target, have)
			}
		}
		if again && round == maxRounds {
			for i := range p.Blocks {
				p.Blocks[i].NarrowIn = 0
			}
			return
		}
	}
}

// narrowAfter returns the registers with an upper half of zero behind in.
func narrowAfter(have Regs, in *Ins) Regs {
	switch in.Op {
	case Call:
		return have & SavedRegs
	case Helper, Packet:
		return have &^ Result
	case Atomic:
		if in.Imm == int64(asm.AtomicCmpXchg) {
			have &^= Result
		}
	}
	if in.Dst < 0 {
		return have
	}
	b, far := have.Has(in.B), false
	if in.B == None {
		b, far = uint64(in.Imm)>>32 == 0, in.Imm&63 >= 32
	}
	if narrowResult(in, have.Has(in.A), b, far) {
		return have | bit(in.Dst)
	}
	return have &^ bit(in.Dst)
}

// narrowResult reports whether the upper half of what in writes is zero. a and b say so of its
// operands, far says that B is a constant of at least 32, as far as shifts look at it.
func narrowResult(in *Ins, a, b, far bool) bool {
	if !in.Wide {
		return in.Op >= Mov && in.Op <= Lea || in.Op == Atomic
	}
	switch in.Op {
	case CPUID, Random, Popcount:
		return true
	case Mov:
		return b
	case Zext:
		return true
	case Swap:
		return in.Size < 8
	case Load:
		return in.Size < 8 && !in.Signed
	case LoadAcquire:
		return in.Size < 8
	case And:
		return a || b
	case Or, Xor:
		return a && b
	case RSh:
		return a || far
	case Div, Mod:
		return a
	}
	return false
}
