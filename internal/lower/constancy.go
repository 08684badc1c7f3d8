package lower

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
	if !p.does(PassConstants) || !p.loops {
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
		for i := range p.flows {
			if !changed[i] {
				continue
			}
			changed[i] = false
			f, have := &p.flows[i], p.constantsBehind(&c, i)
			if f.next >= 0 && c.join(f.next, have, &p.memory.values) {
				changed[f.next], again = true, true
			}
			if f.target >= 0 && c.join(f.target, have, &p.memory.values) {
				changed[f.target], again = true, true
			}
		}
	}
	return c
}

// constantsBehind returns the registers that hold constants at the end of a block; which, it leaves
// in memory.values.
func (p *Program) constantsBehind(c *constancy, block int) Regs {
	f, values := &p.flows[block], &p.memory.values
	kept := c.known[block] & f.leaves
	for left := kept; left != 0; left &= left - 1 {
		r := left.first()
		values[r] = c.values[block][r]
	}
	literals := p.memory.literals[f.constants:]
	for left := f.gives; left != 0; left &= left - 1 {
		values[left.first()], literals = literals[0], literals[1:]
	}
	return kept | f.gives
}

// join adds a way that leads to a block, and reports whether that changes what is known there.
func (c *constancy) join(to int32, have Regs, values *[framePointer]int64) bool {
	old := c.known[to]
	at := &c.values[to]
	if old == notReached {
		c.known[to] = have
		for left := have; left != 0; left &= left - 1 {
			r := left.first()
			at[r] = values[r]
		}
		return true
	}
	have &= old
	for left := have; left != 0; left &= left - 1 {
		if r := left.first(); at[r] != values[r] {
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
	o.constIn, o.narrowIn = 0, 0
	if i >= 0 && o.p.parts != nil {
		o.parts, o.narrowIn = o.p.parts[i], b.LiveIn
	}
	if c.known == nil || i < 0 || c.known[i] == notReached {
		return
	}
	o.constIn, o.constAt = c.known[i]&b.LiveIn, &c.values[i]
}
