package verifier

import "math/bits"

// History says of a path what the instructions alone do not: where it jumped, and which stack slot
// an access meant. Precision is tracked backwards along it (push_jmp_history).

// histFlags is what an instruction did.
type histFlags uint16

const (
	histStack    histFlags = 1 << iota // it spilled to or filled from the slot of the other bits
	histDstStack                       // the first operand of a jump was a stack pointer
	histSrcStack                       // the second one was

	histFrameShift = 3 // three bits: the frame
	histSlotShift  = 6 // six bits: the slot
)

func stackHist(frame, slot int) histFlags {
	return histStack | histFlags(frame)<<histFrameShift | histFlags(slot)<<histSlotShift
}

func (f histFlags) frame() int { return int(f>>histFrameShift) & 7 }
func (f histFlags) slot() int  { return int(f>>histSlotShift) & 63 }

// pushHistory records the current instruction; one that is recorded already gets more flags.
func (v *verifier) pushHistory(flags histFlags, links uint64) {
	h := &v.cur.history
	if v.recorded {
		last := &(*h)[len(*h)-1]
		last.flags |= flags
		last.links = links
		return
	}
	v.recorded = true
	*h = append(*h, hist{insn: int32(v.insnIdx), prev: int32(v.prevIdx), flags: flags, links: links})
}

// maxLinked is how many registers a jump refines together.
const maxLinked = 6

// linkedReg is a register or slot that is linked to an operand of a jump.
type linkedReg struct {
	frame uint8
	slot  bool
	index uint8
}

const linkBits = 10

// packLinks puts up to six linked registers into a history entry.
func packLinks(list []linkedReg) uint64 {
	if len(list) < 2 {
		return 0
	}
	w := uint64(0)
	for i, l := range list {
		e := uint64(l.frame) | uint64(l.index)<<3
		if l.slot {
			e |= 1 << 9
		}
		w |= e << (4 + i*linkBits)
	}
	return w | uint64(len(list))
}

func unpackLink(w uint64, i int) linkedReg {
	e := w >> (4 + i*linkBits)
	return linkedReg{frame: uint8(e & 7), index: uint8(e >> 3 & 63), slot: e>>9&1 != 0}
}

func numLinks(w uint64) int { return int(w & 15) }

// wanted is a set of registers and stack slots, by frame.
type wanted struct {
	frame int // the current one
	regs  [8]uint16
	slots [8]uint64
}

func (w *wanted) empty() bool {
	for i := 0; i <= w.frame; i++ {
		if w.regs[i] != 0 || w.slots[i] != 0 {
			return false
		}
	}
	return true
}

func (w *wanted) reset() { *w = wanted{} }

func (w *wanted) hasReg(r uint8) bool { return w.regs[w.frame]>>r&1 != 0 }
func (w *wanted) addReg(r uint8)      { w.regs[w.frame] |= 1 << r }
func (w *wanted) dropReg(r uint8)     { w.regs[w.frame] &^= 1 << r }

func (w *wanted) has(l linkedReg) bool {
	if l.slot {
		return w.slots[l.frame]>>l.index&1 != 0
	}
	return w.regs[l.frame]>>l.index&1 != 0
}

func (w *wanted) add(l linkedReg) {
	if l.slot {
		w.slots[l.frame] |= 1 << l.index
	} else {
		w.regs[l.frame] |= 1 << l.index
	}
}

// lowest returns the number of the lowest bit of a set that is not empty, and the set without.
func lowest[T uint16 | uint64](set T) (int, T) {
	return bits.TrailingZeros64(uint64(set)), set & (set - 1)
}
