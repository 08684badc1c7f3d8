package lower

import "github.com/sandbpf/sandbpf/asm"

// counter is what counts the trips of a loop of one block, and perhaps one with nothing but the
// jump back: the loop goes on until the register has
// come to the limit, by steps of a power of two. If the distance is a multiple of all the steps
// of the copies, no copy but the last one can be the last trip.
type counter struct {
	reg     Reg
	step    int64 // its amount
	limit   Reg   // None: limitAt
	limitAt int32
}

// maxStep is the largest step, so that the steps of all copies fit into Ins.Scale.
const maxStep = 255 / maxCopies

// back returns what the block of a loop goes on with that is counted: itself, or a jump to it.
func (l *loop) back() int32 { return l.blocks[len(l.blocks)-1] }

// onlyGoes reports whether a block is a jump and nothing else.
func (p *Program) onlyGoes(block int32) bool {
	ins := p.Blocks[block].Ins
	return len(ins) == 1 && ins[0].Op == Goto
}

// counterOf returns what counts the trips of a loop.
func (p *Program) counterOf(l *loop) (c counter, ok bool) {
	b := &p.Blocks[l.head()]
	in := b.Last()
	if in == nil || in.Op != Jump {
		return c, false
	}
	switch {
	case in.Cond == asm.JNE && in.Target == l.back() && b.Next != l.back():
	case in.Cond == asm.JEq && in.Target != l.back() && b.Next == l.back():
	default:
		return c, false
	}
	c = counter{reg: None, limit: in.B, limitAt: int32(in.Imm)}
	if in.B == None && in.Wide && in.Imm != int64(c.limitAt) {
		return c, false
	}
	from, written := b.steps(in.Wide)
	if written.Has(in.B) {
		return c, false
	}
	c.reg, c.step = from[in.A].reg, from[in.A].steps
	if c.step < 0 {
		c.step = -c.step
	}
	// What is compared is what the next trip begins with.
	ok = c.reg != None && from[c.reg] == from[in.A] && c.step > 0 && c.step <= maxStep && c.step&(c.step-1) == 0
	return c, ok
}

// sum is what a register held at the beginning of a block, None if that is not known, and what
// was added since.
type sum struct {
	reg   Reg
	steps int64
}

// steps returns what the registers hold at the end of b as sums, of 64 bits if wide, else as far as
// the lower 32 go, and which of them it writes.
func (b *Block) steps(wide bool) (at [asm.NumRegisters]sum, written Regs) {
	for r := range at {
		at[r].reg = Reg(r)
	}
	for i := range b.Ins {
		in := &b.Ins[i]
		if in.Dst == None && in.Op < Atomic {
			continue
		}
		s := sum{reg: None}
		switch {
		case wide && !in.Wide:
		case in.Op == Mov && in.B != None:
			s = at[in.B]
		case in.Op == Add && in.B == None:
			s = at[in.A]
			s.steps += int64(int32(in.Imm))
			if in.Imm != int64(int32(in.Imm)) && in.Wide {
				s.reg = None
			}
		}
		if in.Op == Exchange || in.Op == Atomic { // both operands, and r0
			at[in.B].reg, at[asm.R0].reg = None, None
			written |= bit(in.B) | Result
		}
		if in.Dst != None {
			at[in.Dst] = s
			written |= bit(in.Dst)
		}
	}
	return at, written
}
