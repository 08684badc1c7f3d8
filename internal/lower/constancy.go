package lower

import "github.com/sandbpf/sandbpf/asm"

// constancy is which registers hold constants at the beginning of each block, the same on
// all ways that lead there: loops have what they need ready in registers, of which the rules
// should know.
type constancy struct {
	known  []Regs // by block; r10 is in those of blocks that nothing is known to lead to
	values [][framePointer]int64
}

const notReached = Regs(1) << framePointer

// findConstants finds them, in programs that loop.
func (p *Program) findConstants() (c constancy) {
	if !p.does(PassConstants) {
		return c
	}
	loops := false
	for i := range p.Blocks {
		loops = loops || p.Blocks[i].LoopHead
	}
	if !loops {
		return c
	}
	m := p.memory
	c.known, c.values = m.regs.cut(len(p.Blocks)), m.consts.cut(len(p.Blocks))
	changed := m.bools.take(len(p.Blocks))
	for i := range c.known {
		c.known[i] = notReached
	}
	for _, f := range p.Funcs {
		c.known[f.Block], changed[f.Block] = 0, true
	}
	again := true
	for round := 0; again; round++ {
		if round == maxRounds {
			return constancy{}
		}
		again = false
		for i := range p.Blocks {
			b := &p.Blocks[i]
			if !changed[i] {
				continue
			}
			changed[i] = false
			have, values := c.behind(i, b)
			if b.Next >= 0 && c.join(b.Next, have, &values) {
				changed[b.Next], again = true, true
			}
			if last := b.Last(); last != nil && last.Jumps() && c.join(last.Target, have, &values) {
				changed[last.Target], again = true, true
			}
		}
	}
	return c
}

// behind returns the registers that hold constants at the end of a block.
func (c *constancy) behind(i int, b *Block) (have Regs, values [framePointer]int64) {
	have, values = c.known[i], c.values[i]
	for j := range b.Ins {
		switch in := &b.Ins[j]; {
		case in.Op == Mov && in.B == None:
			have |= bit(in.Dst)
			values[in.Dst] = in.Imm
			if !in.Wide {
				values[in.Dst] = int64(uint32(in.Imm))
			}
		case in.Op == Call || in.Op == Helper || in.Op == Packet:
			have &= SavedRegs
		case in.Op == Atomic && in.Imm == int64(asm.AtomicCmpXchg):
			have &^= Result
		default:
			have &^= bit(in.Dst)
		}
	}
	return have, values
}

// join adds a way that leads to a block, and reports whether that changes what is known there.
func (c *constancy) join(to int32, have Regs, values *[framePointer]int64) bool {
	old := c.known[to]
	if old == notReached {
		c.known[to], c.values[to] = have, *values
		return true
	}
	have &= old
	for r := range framePointer {
		if have.Has(r) && c.values[to][r] != values[r] {
			have &^= bit(r)
		}
	}
	c.known[to] = have
	return have != old
}

// enter makes the optimiser know the constants at the beginning of a block that its
// registers hold: those that somebody looks at.
func (o *optimiser) enter(b *Block) {
	c, i := &o.p.constants, b.Origin
	o.constIn = 0
	if c.known == nil || c.known[i] == notReached {
		return
	}
	o.constIn, o.constAt = c.known[i]&b.LiveIn, &c.values[i]
}
