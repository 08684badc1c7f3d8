package verifier

import "github.com/sandbpf/sandbpf/asm"

// Which slots of a frame a path will still read is not known before it has been walked: their addresses are
// numbers that the walk finds. So every instruction notes what it reads and writes, and what is
// live before it follows (kernel/bpf/liveness.c). That holds for what has been walked, and suffices: a state in
// which slots are dropped is one whose ways out have been walked to their ends.

// stackEffect is what an instruction does to the frame of its function: the slots that it has read on some
// path, and those that it has written whole on all. An instruction that no path has come to yet has written all.
type stackEffect struct{ read, write uint64 }

const allSlots = ^uint64(0)

// prepareSlots makes room for the effects, and finds the jumps to each instruction.
func (v *verifier) prepareSlots() {
	n := len(v.insns)
	if cap(v.effects) < n {
		v.effects, v.jumpsTo, v.nextJump = make([]stackEffect, n), make([]int32, n), make([]int32, n)
	}
	v.effects, v.jumpsTo, v.nextJump = v.effects[:n], v.jumpsTo[:n], v.nextJump[:n]
	clear(v.jumpsTo)
	for slot := range v.insns {
		in, e := &v.insns[slot], &v.effects[slot]
		*e = stackEffect{}
		switch {
		case isJump(in):
			v.nextJump[slot], v.jumpsTo[in.target] = v.jumpsTo[in.target], int32(slot)+1
		case writesSlots(in.kind):
			e.write = allSlots
		}
	}
}

// writesSlots reports whether instructions of a kind say what they write, by wroteSlots.
func writesSlots(k asm.Kind) bool {
	switch k {
	case asm.KindStoreReg, asm.KindStoreRelease, asm.KindStoreImm, asm.KindAtomic, asm.KindCallHelper, asm.KindCallKfunc:
		return true
	}
	return false
}

// readSlots notes that the instruction at hand reads slots of a frame; if that is a caller's, then so
// does the call there.
func (v *verifier) readSlots(frame int, slots uint64) {
	at := v.insnIdx
	if frame < v.cur.top() {
		at = int(v.cur.frames[frame+1].callsite)
	}
	if e := &v.effects[at]; slots&^e.read != 0 {
		e.read |= slots
		v.spreadLive(at)
	}
}

// wroteSlots notes that the instruction at hand has written slots of its function's frame whole, and no
// others.
func (v *verifier) wroteSlots(slots uint64) {
	if e := &v.effects[v.insnIdx]; e.write&^slots != 0 {
		e.write &= slots
		v.spreadLive(v.insnIdx)
	}
}

// callWrote notes that the call at hand has written the n bytes of the stack that r points to.
func (v *verifier) callWrote(r *reg, n int) {
	if int(r.frame) == v.cur.top() {
		v.wrote |= slotsAt(r, n)
	}
}

// spreadLive computes what is live before an instruction whose effect has changed, and before those that
// lead there. It only ever becomes more.
func (v *verifier) spreadLive(slot int) {
	work := append(v.ints[:0], slot)
	for len(work) > 0 {
		at := work[len(work)-1]
		work = work[:len(work)-1]
		for at >= 0 {
			in, e := &v.insns[at], &v.effects[at]
			_, slots := v.liveAfter(at)
			if slots = slots&^e.write | e.read; slots == in.slots {
				break
			}
			in.slots = slots
			for from := v.jumpsTo[at]; from != 0; from = v.nextJump[from-1] {
				work = append(work, int(from)-1)
			}
			at = v.fallsFrom(at)
		}
	}
	v.ints = work
}

// fallsFrom returns the instruction behind which control goes on at slot, -1 if there is none.
func (v *verifier) fallsFrom(slot int) int {
	slot--
	if slot > 0 && v.insns[slot].mark&markSecond != 0 {
		slot--
	}
	if slot < 0 || v.insns[slot].kind == asm.KindExit || v.insns[slot].kind == asm.KindGoto {
		return -1
	}
	return slot
}

// slotsOf returns the slots that the bytes [lo, hi) of a frame lie in.
func slotsOf(lo, hi int) uint64 {
	return uint64(1)<<slotIndex(lo)*2 - uint64(1)<<slotIndex(hi-1)
}

// slotsAt returns the slots of the n bytes that r, which has a constant offset, points to.
func slotsAt(r *reg, n int) uint64 {
	off := int(int64(r.off) + int64(r.Tnum.Value))
	return slotsOf(off, off+n)
}
