package lower

import "github.com/sandbpf/sandbpf/asm"

// parts are which parts of a number may have bits that are set, beside its low byte: bits 8 to 15, 16 to 31, and 32 to 63.
type parts uint8

const allParts parts = 1<<3 - 1

func partsOf(k uint64) parts {
	return parts(number(k>>8&0xff != 0) | number(k>>16&0xffff != 0)<<1 | number(k>>32 != 0)<<2)
}

// partBits are the bits that may be set in a number, by its parts.
var partBits = func() (list [allParts + 1]uint64) {
	for p := range list {
		list[p] = 0xff | uint64(p&1)*0xff00 | uint64(p>>1&1)*0xffff0000 | uint64(p>>2)*0xffffffff00000000
	}
	return list
}()

// registerParts are the parts of each register, in three bits of its own. Those of r10 are always all.
type registerParts uint64

const allRegisterParts registerParts = 1<<(3*asm.NumRegisters) - 1

func (s registerParts) of(r Reg) parts { return parts(s>>(3*uint8(r))) & allParts }

// narrowing is what a block does to the parts of registers.
type narrowing [asm.NumRegisters]struct {
	from Reg   // what it held at the beginning, None: anything,
	most parts // of which no others remain
}

// unchanged is what a block does that does nothing.
var unchanged = func() (at narrowing) {
	for r := range at {
		at[r].from, at[r].most = Reg(r), allParts
	}
	return at
}()

// narrows finds what a block does to the parts of registers.
func (p *Program) narrows(b *Block) (at narrowing) {
	at = unchanged
	for i := range b.Ins {
		in := &b.Ins[i]
		if in.Op >= Atomic {
			_, written := p.uses(in)
			for left := (written | in.spoils()) & AllRegs; left != 0; left &= left - 1 {
				r := left.first()
				at[r].from, at[r].most = None, allParts
			}
		}
		if in.Dst == None {
			continue
		}
		wide := allParts >> number(!in.Wide)
		to := at[in.Dst]
		to.from, to.most = None, wide
		switch in.Op {
		case Load:
			if !in.Signed {
				to.most = partsOf(allBits >> (64 - 8*in.Size))
			}
		case Zext, Swap:
			to.most = partsOf(allBits >> (64 - 8*in.Size))
		case Mov:
			if in.B == None {
				to.most = partsOf(uint64(in.constant()))
				break
			}
			to = at[in.B]
			to.most &= wide
		case And:
			to = at[in.A]
			to.most &= wide
			if in.B == None {
				to.most &= partsOf(uint64(in.constant()))
			}
		case RSh:
			if in.B == None {
				to.most = partsOf(partBits[wide] >> (in.Imm & int64(32<<number(in.Wide)-1)))
			}
		case LoadCtx, Lookup, CPUID, Random, Atomic, LoadAcquire:
			to.most = allParts
		}
		at[in.Dst] = to
	}
	return at
}

// behind returns the parts of registers behind a block of those in front.
func (at *narrowing) behind(in registerParts) (out registerParts) {
	for r := range at {
		left := at[r].most
		if from := at[r].from; from != None {
			left &= in.of(from)
		}
		out |= registerParts(left) << (3 * r)
	}
	return out
}

// findParts finds the parts of registers at the beginning of each block, in programs that loop and mask numbers: bytes and
// words that a loop hands on to its next trip have no others.
func (p *Program) findParts() []registerParts {
	if !p.does(PassParts) || !p.masks || !p.loops {
		return nil
	}
	m := p.memory
	at, does, changed := m.parts.take(len(p.Blocks)), m.narrowings.cut(len(p.Blocks)), m.bools.take(len(p.Blocks))
	for i := range p.Blocks {
		does[i] = p.narrows(&p.Blocks[i])
	}
	for _, f := range p.Funcs {
		at[f.Block], changed[f.Block] = allRegisterParts, true
	}
	again := true
	for round := 0; again; round++ {
		if round == maxRounds {
			return nil
		}
		again = false
		for i := range p.flows {
			if !changed[i] {
				continue
			}
			changed[i] = false
			behind := does[i].behind(at[i])
			for _, to := range p.flows[i].successors() {
				if to >= 0 && at[to]|behind != at[to] {
					at[to] |= behind
					changed[to], again = true, true
				}
			}
		}
	}
	return at
}
