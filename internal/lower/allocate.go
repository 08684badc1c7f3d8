package lower

import "github.com/sandbpf/sandbpf/asm"

// allocation gives every value of a block a register. Those that the program's registers
// hold at the end go there at once if they can, else by a move at the end.
type allocation struct {
	*optimiser
	live Regs  // the registers that matter at the end
	end  int32 // the node in front of which registers must hold what the program says
	// What each register holds now, noValue if nothing that matters: see cell.
	holds [1 << 5]value
	out   []Ins
}

const framePointer = Reg(asm.R10)

// allocate returns the block's instructions on registers, appended to dst. It reports
// false if there are not enough registers.
func (o *optimiser) allocate(dst []Ins, live Regs) ([]Ins, bool) {
	a := allocation{optimiser: o, live: live, end: int32(len(o.nodes)), out: dst}
	if n := len(o.nodes); n > 0 && (terminates(&o.nodes[n-1].Ins) || o.nodes[n-1].Op == Jump) {
		a.end = int32(n - 1)
	}
	a.initial()
	for i := range o.nodes {
		if int32(i) == a.end {
			break
		}
		if n := &o.nodes[i]; n.Op != Nop && !a.place(n, int32(i)) {
			return dst, false
		}
	}
	if !a.finish() {
		return dst, false
	}
	return a.out, true
}

// initial says what of the beginning registers hold that matters.
func (a *allocation) initial() {
	for r := range Reg(asm.NumRegisters) {
		if v := initial(r); a.info[v].last >= 0 {
			a.holds[r] = v
		}
	}
}

// where returns the register that v is in, None for a constant or no value.
func (a *allocation) where(v value) Reg { return a.info[v].reg }

// free reports whether a register holds nothing that anybody reads behind node at.
func (a *allocation) free(r Reg, at int32) bool {
	v := a.holds[cell(r)]
	return r != framePointer && (v == noValue || a.info[v].last <= at)
}

// place writes a node with registers, and finds one for its result.
func (a *allocation) place(n *node, at int32) bool {
	if n.out != noValue {
		a.makeRoom(n, at)
	}
	a.out = extend(a.out)
	in := &a.out[len(a.out)-1]
	*in = n.Ins
	in.A, in.B, in.Index = a.where(n.a), a.where(n.b), a.where(n.index)
	if n.out != noValue {
		r := a.choose(n, at)
		if r == None {
			return false
		}
		a.release(n.a, at)
		a.release(n.b, at)
		a.release(n.index, at)
		i := &a.info[n.out]
		i.reg, in.Dst = r, r
		if i.last > at {
			a.holds[cell(r)] = n.out
		}
		if in.shifts() {
			in.Scale = uint8(number(r != Count && a.free(Count, at)))
		}
	}
	return true
}

// release frees the register of v, if nobody reads it behind node at.
func (a *allocation) release(v value, at int32) {
	if i := &a.info[v]; i.last <= at {
		a.holds[cell(i.reg)] = noValue
	}
}

// makeRoom moves what is in the register that the program wants the result of a node in at the
// end to where the program wants that, if it can: later, the two might have to change places.
func (a *allocation) makeRoom(n *node, at int32) {
	for left := a.info[n.out].wanted; left != 0; left &= left - 1 {
		r := left.first()
		old := a.holds[cell(r)]
		if a.free(r, at) {
			return
		}
		for to, v := range a.cur[:asm.NumRegisters] {
			if v != old || !a.live.Has(Reg(to)) || !a.free(Reg(to), at-1) {
				continue
			}
			a.out = append(a.out, Ins{Op: Mov, Wide: true, Dst: Reg(to), A: None, B: r, Index: None, Slot: n.Slot})
			a.holds[cell(r)], a.holds[to] = noValue, old
			a.info[old].reg = Reg(to)
			return
		}
	}
}

// choose returns a register for the result of a node, None if all are taken.
func (a *allocation) choose(n *node, at int32) Reg {
	// Where the program wants it at the end.
	out := &a.info[n.out]
	for left := out.wanted; left != 0; left &= left - 1 {
		if r := left.first(); a.free(r, at) {
			return r
		}
	}
	last := out.last
	if out.counts && a.free(Count, at) && !a.promised(Count, at, last) {
		return Count
	}
	// Where its first operand is, which is not read any more.
	if r := a.where(n.a); r != None && a.free(r, at) && !a.promised(r, at, last) {
		return r
	}
	if n.Dst != None && a.free(n.Dst, at) && !a.promised(n.Dst, at, last) {
		return n.Dst
	}
	any := None
	for r := range framePointer {
		if !a.free(r, at) {
			continue
		}
		if !a.promised(r, at, last) {
			return r
		}
		any = r
	}
	return any
}

// promised reports whether r is better kept free up to last: what the program wants in it at the end
// is in another register, or a node behind at, but in front of last, computes it.
func (a *allocation) promised(r Reg, at, last int32) bool {
	if !a.live.Has(r) {
		return false
	}
	v := &a.info[a.cur[cell(r)]]
	return v.node < last && (v.node > at || v.node < at && v.reg != r && v.reg != None)
}

// finish makes the registers hold what the program says, and writes what ends the block.
func (a *allocation) finish() bool {
	moves := a.moves()
	var target Regs
	for _, m := range moves {
		target |= bit(m.Dst)
	}
	var last *node
	if int(a.end) < len(a.nodes) {
		last = &a.nodes[a.end]
	}
	var in Ins
	if last != nil {
		in = last.Ins
		if in.Op == Jump {
			for _, o := range [...]struct {
				v value
				r *Reg
			}{{last.a, &in.A}, {last.b, &in.B}} {
				r, ok := a.after(o.v, target)
				if !ok { // keep it where nobody looks behind the jump
					if r = a.unused(target | bit(a.where(last.a)) | bit(a.where(last.b))); r == None {
						return false
					}
					moves = append(moves, Ins{Op: Mov, Wide: true, Dst: r, A: None, B: a.where(o.v), Index: None, Slot: in.Slot})
					target |= bit(r)
				}
				*o.r = r
			}
		}
	}
	a.out = sequence(a.out, moves)
	if last != nil {
		a.out = append(a.out, in)
	}
	return true
}

// moves returns what is to be moved, all at once.
func (a *allocation) moves() []Ins {
	moves := a.moving[:0]
	slot := a.b.Start
	if n := len(a.out); n > 0 {
		slot = a.out[n-1].Slot
	}
	for left := a.live &^ bit(framePointer); left != 0; left &= left - 1 {
		r := left.first()
		v := a.cur[cell(r)]
		if a.where(v) == r {
			continue
		}
		m := Ins{Op: Mov, Wide: true, Dst: r, A: None, B: a.where(v), Index: None, Slot: slot}
		if k, ok := a.constOf(v); ok {
			m.Imm = k
		}
		moves = append(moves, m)
	}
	a.moving = moves
	return moves
}

// after returns where v is once the registers in target have been moved to.
func (a *allocation) after(v value, target Regs) (Reg, bool) {
	r := a.where(v)
	if !target.Has(r) { // None neither
		return r, true
	}
	for r := range framePointer {
		if a.cur[cell(r)] == v && a.live.Has(r) {
			return r, true
		}
	}
	return None, false
}

// unused returns a register that does not matter at the end and is none of those taken.
func (a *allocation) unused(taken Regs) Reg {
	for r := range framePointer {
		if !(a.live | taken).Has(r) {
			return r
		}
	}
	return None
}

// sequence appends moves that happen all at once as a list of single ones.
func sequence(dst []Ins, moves []Ins) []Ins {
	for len(moves) > 0 {
		progress := false
		for i := 0; i < len(moves); i++ {
			if reads(moves, moves[i].Dst, i) {
				continue
			}
			dst = append(dst, moves[i])
			moves = append(moves[:i], moves[i+1:]...)
			progress = true
			i--
		}
		if progress {
			continue
		}
		// What is left are circles: exchange two registers of one.
		m := moves[0]
		dst = append(dst, Ins{Op: Exchange, Wide: true, Dst: m.Dst, A: None, B: m.B, Index: None, Slot: m.Slot})
		moves = moves[1:]
		for i := range moves {
			if moves[i].B == m.Dst {
				moves[i].B = m.B
			}
		}
		for i := 0; i < len(moves); i++ {
			if moves[i].B == moves[i].Dst {
				moves = append(moves[:i], moves[i+1:]...)
				i--
			}
		}
	}
	return dst
}

// reads reports whether a move but the one at skip reads r.
func reads(moves []Ins, r Reg, skip int) bool {
	for i := range moves {
		if i != skip && moves[i].B == r {
			return true
		}
	}
	return false
}
