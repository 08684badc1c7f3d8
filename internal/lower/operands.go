package lower

// Operands lets operations have operands in memory: what is loaded for nothing else, and where the result goes
// back to, if nobody else looks at it.
//
//	r2 = u32[r1+4]; w0 = w0 + r2                  w0 = w0 + u32[r1+4]
//	r2 = u64[r1+8]; r2 = r2 + 1; u64[r1+8] = r2   u64[r1+8] = u64[r1+8] + 1
//
// It is the last pass, since others do not know such operands, and works on one block: it is done when code is made of that, so
// that the instructions of a long program come into the cache once for both.
func (p *Program) Operands(b *Block) {
	if !p.does(PassOperands) || !p.does(PassBlocks) {
		return
	}
	for first := range b.Ins {
		if b.Ins[first].Op == Load {
			p.memory.fuser.block(p, b, int32(first))
			return
		}
	}
}

// fuser walks a block backwards.
type fuser struct {
	ins     []Ins
	pending Regs          // of which the load is looked for
	uses    [1 << 4]use   // by register that is pending
	written [1 << 4]int32 // by register: the nearest instruction behind that writes it
	loads   int32         // the nearest load
}

// use is what needs a register that nobody reads behind it.
type use struct {
	op    int32 // an operation, -1 if it has not been found yet
	store int32 // of its result, -1 if there is none
}

// block looks at a block, from its end to the first that loads.
func (f *fuser) block(p *Program, b *Block, first int32) {
	f.ins, f.pending = b.Ins, 0
	end := int32(len(b.Ins))
	for r := range f.written {
		f.written[r] = end
	}
	f.loads = end
	live := b.LiveOut
	for i := end - 1; i >= first; i-- {
		in := &b.Ins[i]
		read, written := in.Reads(), in.writes()
		switch {
		case in.Op == Exchange:
			read |= written
		case in.Op == Exit:
			read |= p.leaves(b)
		case in.Op >= Atomic:
			read, written = p.uses(in)
		}
		kept := Regs(0)
		if f.pending.Has(in.Dst) {
			kept = f.defined(in, i, live)
		}
		f.pending = f.pending&^(read|written) | kept
		for left := written; left != 0; left &= left - 1 {
			f.written[left.first()] = i
		}
		switch {
		case in.Op == Load:
			f.loads = i
		case in.Op > Exchange:
			f.pending = 0
		}
		if in.B != None && !live.Has(in.B) {
			f.used(in, i)
		}
		live = live&^written | read
	}
}

// used notes that B is not read behind in.
func (f *fuser) used(in *Ins, at int32) {
	switch {
	case in.Op == Store && !in.Check:
		f.pending |= bit(in.B)
		f.uses[in.B] = use{-1, at}
	case in.Op < Add || in.Op > Xor || in.Size != 0 || in.A == in.B:
	case in.Dst == in.A || in.Dst != in.B && in.Op != Add: // a lea adds into a register of its own
		f.pending |= bit(in.B)
		f.uses[in.B] = use{at, -1}
	}
}

// defined uses what defines a register that is pending, and returns the register that is then.
func (f *fuser) defined(in *Ins, at int32, live Regs) Regs {
	u := &f.uses[in.Dst]
	switch {
	case u.op < 0:
		return f.result(in, at, live, u.store)
	case in.Op != Load || in.Check || in.Signed:
	case u.store >= 0:
		f.modify(in, u)
	default:
		f.operand(in, &f.ins[u.op], u.op)
	}
	return 0
}

// result notes that a store is of the result of in, and returns the register that a load from there would be into.
func (f *fuser) result(in *Ins, at int32, live Regs, store int32) Regs {
	if in.Op < Add || in.Op > Xor || in.Op == Mul || in.Size != 0 || in.A == in.B || in.A != in.Dst && live.Has(in.A) || in.Imm != int64(int32(in.Imm)) {
		return 0
	}
	s := &f.ins[store]
	if !in.Wide && s.Size == 8 || in.B != None && f.written[in.B] < store {
		return 0
	}
	f.uses[in.A] = use{at, store}
	return bit(in.A)
}

// steady reports whether the load in may be made at another instruction instead: its address is the same there, and
// if others may write to the memory, nothing between reads any.
func (f *fuser) steady(in *Ins, at int32) bool {
	return f.written[in.A] >= at && (in.Index == None || f.written[in.Index] >= at) && (in.Place.private() || f.loads >= at)
}

// operand makes the load in part of the operation op.
func (f *fuser) operand(in, op *Ins, at int32) {
	if op.Wide && in.Size != 8 || !op.Wide && in.Size != 4 || !f.steady(in, at) ||
		op.Dst != op.A && (op.Dst == in.A || op.Dst == in.Index) { // which gets what A holds before
		return
	}
	op.B, op.Index, op.Scale, op.Disp, op.Size = in.A, in.Index, in.Scale, in.Disp, in.Size
	f.loads = min(f.loads, at)
	in.Op, in.Dst, in.A, in.Index = Nop, None, None, None
}

// modify makes the load in and an operation part of the store of its result.
func (f *fuser) modify(in *Ins, u *use) {
	op, s := &f.ins[u.op], &f.ins[u.store]
	if in.Size != s.Size || in.A != s.A || in.Index != s.Index || in.Scale != s.Scale || in.Disp != s.Disp || op.Size != 0 || !f.steady(in, u.store) {
		return
	}
	s.Op, s.Wide, s.B, s.Imm = op.Op, s.Size == 8, op.B, op.Imm
	f.pending &^= bit(op.B)
	f.loads = min(f.loads, u.store)
	for _, gone := range [...]*Ins{in, op} {
		gone.Op, gone.Dst, gone.A, gone.B, gone.Index = Nop, None, None, None, None
	}
}
