package lower

import "github.com/sandbpf/sandbpf/asm"

// onlyGoes reports whether a block is a jump and nothing else.
func (p *Program) onlyGoes(block int32) bool {
	ins := p.Blocks[block].Ins
	return len(ins) == 1 && ins[0].Op == Goto
}

// counts finds out whether the trips of a loop are counted, and by what.
func (f *loopFinder) counts(l *loop) {
	l.test = int32(len(l.blocks)) - 1
	if l.test > 0 && f.p.onlyGoes(l.back()) && len(f.before(l.back())) == 1 {
		l.test--
	}
	ways := 0
	for _, from := range f.before(l.head()) {
		ways += int(number(f.inside[from] == f.inside[l.head()]))
	}
	if ways != 1 {
		return
	}
	l.count, l.counted = f.p.counterOf(l)
	if !l.counted || l.test == 0 {
		return
	}
	// Loops that branch and go on while less than a number that is not known are short as a rule: copies that
	// all look at it are worth more.
	if l.counted = l.count.Limit == None || l.count.Cond == asm.JNE; l.counted {
		f.moving(l)
	}
}

// moving finds the registers that the end of each trip adds a constant to, and nothing else writes.
func (f *loopFinder) moving(l *loop) {
	p := f.p
	sums, _ := p.Blocks[l.blocks[l.test]].steps(true)
	for r, s := range sums {
		if s.reg == Reg(r) && s.steps != 0 && max(s.steps, -s.steps) < maxMove {
			l.moving |= bit(Reg(r))
			l.moves[r] = s.steps
		}
	}
	for _, block := range l.blocks[:l.test] {
		b := &p.Blocks[block]
		_, written := b.steps(true)
		if in := b.Last(); in != nil && in.Op >= Atomic { // it reads registers as they are
			written |= in.Reads()
		}
		l.moving &^= written
	}
	if !p.does(PassBlocks) { // nobody knows what is read behind the loop
		l.moving = 0
	}
	for _, block := range l.blocks[:l.test] {
		for _, to := range f.p.flows[block].successors() {
			l.exits += int32(number(to >= 0 && f.inside[to] != f.inside[l.head()] && p.Blocks[to].LiveIn&l.moving != 0))
		}
	}
}

// counterOf returns what counts the trips of a loop that goes back in one place.
func (p *Program) counterOf(l *loop) (c Counter, ok bool) {
	b := &p.Blocks[l.blocks[l.test]]
	in := b.Last()
	if in == nil || in.Op != Jump {
		return c, false
	}
	c = Counter{Reg: in.A, Limit: in.B, LimitAt: int32(in.Imm), Wide: in.Wide, Cond: in.Cond}
	on := l.blocks[(int(l.test)+1)%len(l.blocks)]
	switch {
	case in.Target == b.Next:
		return c, false
	case in.Target != on:
		c.Cond = opposites[c.Cond]
	}
	from, written := b.steps(in.Wide)
	if c.Limit != None && from[c.Limit].steps != 0 { // the other way round
		c.Reg, c.Limit, c.Cond = c.Limit, c.Reg, mirrored[c.Cond]
	}
	count := from[c.Reg]
	if count.reg == None || from[count.reg] != count { // what is compared is what the next trip begins with
		return c, false
	}
	for i, block := range l.blocks[:l.test] { // in front of it, the head may add to the counter too
		sums, writes := p.Blocks[block].steps(in.Wide)
		if i == 0 && sums[count.reg].reg == count.reg {
			count.steps += sums[count.reg].steps
			writes &^= bit(count.reg)
		}
		if writes.Has(count.reg) {
			return c, false
		}
		written |= writes
	}
	c.Reg, c.Step = count.reg, int32(count.steps)
	return c, !written.Has(c.Limit) && count.steps == int64(c.Step) && c.ok(in.Imm)
}

// maxMove bounds what a trip adds to a register that counts trips or is [loop.moving].
const maxMove = 1 << 16

// ok reports whether c is one that can be told of whether the last of some trips is near. limit is its constant limit.
func (c *Counter) ok(limit int64) bool {
	if c.Limit == None && c.Wide && limit != int64(c.LimitAt) || c.Limit == None && max(c.LimitAt, -c.LimitAt) > 1<<30 {
		return false
	}
	switch c.Cond {
	case asm.JNE:
		return c.Step != 0 && max(c.Step, -c.Step) < maxMove
	case asm.JLT, asm.JSLT:
		return c.Step > 0 && c.Step < maxMove
	case asm.JGT, asm.JSGT:
		return c.Step < 0 && c.Step > -maxMove
	}
	return false
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
