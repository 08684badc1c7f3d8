package lower

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
)

// trips makes the copies of a loop of several blocks. For one whose trips are counted, of blocks h to e, the last of which
// ends a trip:
//
//	h' m'       the first copy
//	e'h'' m''   the end of a trip and the head of the next, as one block
//	...
//	e"          the end of the last trip, which looks whether it is the last of all
//	R           back to h' if another pass is possible, else go to h
//	x' x''      what is seldom come to, of all copies
//	o           ways out of the loop
//
// In all copies, the registers that move hold what they do in the first, up to e" or to a way out. If trips are not
// counted, each copy has all blocks, and goes on to the head of the next.
type trips struct {
	*unroller
	l      *loop
	copy   int32  // the one at hand, from 0 on
	rare   uint64 // by index in l.blocks, of which there are less than 64: what is seldom come to
	usual  int32  // how many blocks of a trip are not
	repeat int32  // number of the block R
	n      int32  // how many blocks each copy has of its own
	outs   []Block
}

// copyTrips adds the copies of a loop, and repeat, which leads back.
func (u *unroller) copyTrips(l *loop, firstCopy int32, repeat Block) {
	t := trips{unroller: u, l: l, n: int32(len(l.blocks))}
	if l.counted {
		t.n = l.test
	}
	t.place(firstCopy)
	for t.copy = range l.copies {
		t.add(false)
	}
	if t.copy = l.copies - 1; l.counted {
		t.end()
	}
	u.blocks = append(u.blocks, repeat)
	for t.copy = range l.copies {
		t.add(true)
	}
	u.blocks = append(u.blocks, t.outs...)
	for _, old := range l.blocks {
		u.copied[old] = 0
	}
}

// place finds out where the first copy of each block will be.
func (t *trips) place(firstCopy int32) {
	for i, old := range t.l.blocks {
		t.copied[old] = int32(i) + 1
	}
	usual := uint64(1)
	for i, old := range t.l.blocks[:t.n] {
		b := &t.p.Blocks[old]
		if usual>>i&1 == 0 {
			continue
		}
		ways := t.p.flows[old].successors()
		if ways[0] >= 0 && ways[1] >= 0 && t.copied[ways[0]] != 0 && t.copied[ways[1]] != 0 {
			switch b.Last().Cond { // numbers are seldom equal, unless the loop goes on there only
			case asm.JEq:
				ways[0] = -1
			case asm.JNE:
				ways[1] = -1
			}
		}
		for _, to := range ways {
			if to >= 0 && t.copied[to] != 0 {
				usual |= 1 << (t.copied[to] - 1)
			}
		}
	}
	t.rare = ^usual & (1<<t.n - 1)
	at := [2]int32{firstCopy, 0}
	t.usual = t.n - int32(bits.OnesCount64(t.rare))
	t.repeat = firstCopy + t.l.copies*t.usual + int32(len(t.l.blocks)) - t.n
	at[1] = t.repeat + 1
	for i, old := range t.l.blocks {
		kind := t.rare >> i & 1
		t.copied[old] = at[kind]
		at[kind]++
	}
}

// add adds a copy of the blocks in front of the end of a trip that are seldom come to, or are not.
func (t *trips) add(rare bool) {
	for i, old := range t.l.blocks[:t.n] {
		switch {
		case t.rare>>i&1 != 0 != rare:
			continue
		case t.copy == 0 || !t.l.counted:
			t.copyBlock(old, t.copy == 0 && i == 0, t.to)
		case i == 0:
			t.joined()
		default:
			t.block(t.p.Blocks[old], t.copy)
		}
		t.blocks[len(t.blocks)-1].Rare = rare
	}
}

// to returns where a block of a copy goes instead of to another block of the loop.
func (t *trips) to(old int32) int32 {
	at := t.copied[old]
	switch {
	case old == t.l.head() && !t.l.counted && t.copy+1 < t.l.copies:
		return at + (t.copy+1)*t.usual
	case old == t.l.head():
		return t.repeat
	case at > t.repeat:
		return at + t.copy*(t.n-t.usual)
	case at != 0:
		return at + t.copy*t.usual
	}
	return t.moved[old]
}

// onward is to for blocks in front of the end of a trip, some of which leave the loop.
func (t *trips) onward(old int32) int32 {
	live := t.p.Blocks[old].LiveIn
	if t.copied[old] != 0 || live&t.l.moving == 0 {
		return t.to(old)
	}
	start := t.p.Blocks[old].Start
	out := Block{Start: start, End: start, Func: t.p.Blocks[t.l.head()].Func, Next: t.moved[old], Fast: true, Rare: true,
		LiveIn: live, LiveOut: live, Origin: -1}
	out.Ins = t.move(t.p.room(asm.NumRegisters), live, t.copy, start)
	t.outs = append(t.outs, out)
	return t.repeat + t.l.copies*(t.n-t.usual) + int32(len(t.outs))
}

// move appends additions to those registers of a set that move, of what so many trips add.
func (t *trips) move(ins []Ins, set Regs, trips, slot int32) []Ins {
	for left := t.l.moving & set; left != 0 && trips != 0; left &= left - 1 {
		r := left.first()
		ins = append(ins, Ins{Op: Add, Wide: true, Dst: r, A: r, B: None, Index: None, Slot: slot, Imm: int64(trips) * t.l.moves[r]})
	}
	return ins
}

// joined adds the end of the trip in front of a copy and the head of the copy as one block.
func (t *trips) joined() {
	end, head := &t.p.Blocks[t.l.blocks[t.l.test]], &t.p.Blocks[t.l.head()]
	b := *head
	b.Start, b.LiveIn, b.Origin = end.Start, end.LiveIn, end.Origin
	ins := t.p.room(len(end.Ins) + 1 + len(head.Ins))
	b.Ins = append(t.hops(append(ins, end.Ins[:len(end.Ins)-1]...), t.l), head.Ins...)
	t.block(b, t.copy-1)
}

// block adds a block of a copy, which registers are to come to with what so many trips add, and leave with what those in
// front of the copy do.
func (t *trips) block(b Block, trips int32) {
	ins, off := t.p.room(len(b.Ins)+2*asm.NumRegisters), t.offsets(trips)
	shifted, ok := t.shift(ins, b.Ins, &off)
	if !ok || off != t.offsets(t.copy) {
		reads := Regs(0)
		for i := range b.Ins {
			reads |= b.Ins[i].Reads()
		}
		body, last := b.split()
		ins = append(t.move(ins, reads, trips, b.Start), body...)
		shifted, b.Joined = append(t.move(ins, reads, -t.copy, b.Start), last...), true
	}
	b.Ins = shifted
	t.push(b, t.onward)
}

// end adds the end of the last trip.
func (t *trips) end() {
	b := t.p.Blocks[t.l.blocks[t.l.test]]
	ins := t.p.room(len(b.Ins) + asm.NumRegisters)
	b.Ins, b.Joined = append(t.move(ins, t.l.moving, t.copy, b.Start), b.Ins...), true
	t.push(b, t.to)
	if int(t.l.test)+1 < len(t.l.blocks) {
		t.copyBlock(t.l.back(), false, t.to)
	}
}

// push adds a block.
func (t *trips) push(b Block, to func(old int32) int32) {
	b.Fast, b.LoopHead = true, false
	redirect(&b, to)
	straighten(&b, int32(len(t.blocks)))
	t.blocks = append(t.blocks, b)
}

// split returns the instructions of a block, and that which ends it.
func (b *Block) split() (body, last []Ins) {
	n := len(b.Ins)
	if n > 0 && b.Ins[n-1].Op >= Atomic {
		n--
	}
	return b.Ins[:n], b.Ins[n:]
}

// offsets are what registers are to be thought of as more than they hold.
type offsets [asm.NumRegisters]int64

func (t *trips) offsets(trips int32) (off offsets) {
	for left := t.l.moving; left != 0; left &= left - 1 {
		r := left.first()
		off[r] = int64(trips) * t.l.moves[r]
	}
	return off
}

// shift appends instructions that get along without what is to be added to the registers that move, as long as these
// are parts of addresses, and nothing else than a constant is added to them. Others have to be optimised again.
func (t *trips) shift(dst, ins []Ins, off *offsets) ([]Ins, bool) {
	for i := range ins {
		in := ins[i]
		if in.Dst != None && t.l.moving.Has(in.Dst) {
			if in.Op != Add || !in.Wide || in.B != None || in.A != in.Dst {
				return dst, false
			}
			off[in.Dst] += in.Imm
			continue
		}
		if in.Reads()&t.l.moving != 0 && !in.shift(t.l.moving, off) {
			return dst, false
		}
		dst = append(dst, in)
	}
	return dst, true
}

// shift makes in read registers that are to be thought of as more than they hold, and reports whether it can.
func (in *Ins) shift(moving Regs, off *offsets) bool {
	disp := int64(in.Disp)
	switch {
	case off.of(in.A)|off.of(in.B)|off.of(in.Index) == 0:
		return true
	case in.isMem() && !moving.Has(in.B), in.Op == Lea:
		disp += off.of(in.A) + off.of(in.Index)*int64(in.Scale)
		in.Disp = int32(disp)
		return int64(in.Disp) == disp
	case in.Op == Mov && in.Wide:
		in.Op, in.A, in.B, in.Imm = Add, in.B, None, off.of(in.B)
		return true
	case in.Op == Add && in.Wide && in.B == None:
		in.Imm += off.of(in.A)
		return in.Imm == int64(int32(in.Imm))
	}
	return false
}

// of returns the offset of a register, 0 of None.
func (off *offsets) of(r Reg) int64 {
	if r == None {
		return 0
	}
	return off[r]
}
