package verifier

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// What a path will still read decides what a state has to agree in with another one to be
// as good (see prune.go). It is computed before the walk, for each function by itself.

// findLiveness computes insn.live and insn.slots.
func (v *verifier) findLiveness() {
	for i := range v.funcs {
		f := &v.funcs[i]
		v.followFrame(f)
		for changed := true; changed; {
			changed = false
			for slot := f.end - 1; slot >= f.start; slot-- {
				in := &v.insns[slot]
				if in.mark&markSecond != 0 {
					continue
				}
				live, slots := v.liveAfter(slot)
				use, def := v.registers(in)
				live = live&^def | use
				read, write := v.effects[slot].read, v.effects[slot].write
				slots = slots&^write | read
				if live != in.live || slots != in.slots {
					in.live, in.slots = live, slots
					changed = true
				}
			}
		}
	}
}

func (v *verifier) liveAfter(slot int) (live uint16, slots uint64) {
	next, target := v.successors(slot)
	if next >= 0 && next < len(v.insns) {
		live, slots = v.insns[next].live, v.insns[next].slots
	}
	if target >= 0 {
		live |= v.insns[target].live
		slots |= v.insns[target].slots
	}
	return live, slots
}

const (
	callerSaved = 0x3f // r0 to r5
	arguments   = 0x3e // r1 to r5
)

func bit(r asm.Register) uint16 { return 1 << r }

// registers returns the registers that an instruction reads and those that it writes
// (compute_insn_live_regs).
func (v *verifier) registers(in *insn) (use, def uint16) {
	dst, src := bit(in.Dst), bit(in.Src)
	switch in.kind {
	case asm.KindALU:
		if in.info.ALU != asm.Mov {
			use = dst
		}
		if in.info.Source == asm.RegSource {
			use |= src
		}
		return use, dst
	case asm.KindNeg, asm.KindToLE, asm.KindToBE, asm.KindBSwap:
		return dst, dst
	case asm.KindMovSX, asm.KindAddrSpaceCast, asm.KindLoad, asm.KindLoadAcquire:
		return src, dst
	case asm.KindLoadImm64:
		return 0, dst
	case asm.KindLoadAbs, asm.KindLoadInd:
		return 0x3ff, 0
	case asm.KindStoreImm:
		return dst, 0
	case asm.KindStoreReg, asm.KindStoreRelease:
		return dst | src, 0
	case asm.KindAtomic:
		switch {
		case in.info.Atomic == asm.AtomicCmpXchg:
			return dst | src | 1, 1
		case in.info.Atomic.Fetch():
			return dst | src, src
		}
		return dst | src, 0
	case asm.KindJump:
		if in.info.Source == asm.RegSource {
			return dst | src, 0
		}
		return dst, 0
	case asm.KindCallLocal:
		return arguments, callerSaved
	case asm.KindCallHelper, asm.KindCallKfunc:
		return (1<<(v.numArgs(in)+1) - 1) &^ 1, callerSaved
	case asm.KindExit:
		return 1, 0
	}
	return 0, 0
}

// numArgs returns how many arguments a helper or kernel function takes.
func (v *verifier) numArgs(in *insn) int {
	if in.kind == asm.KindCallHelper {
		if p := v.helperProto(asm.BuiltinFunc(in.Imm)); p != nil {
			return len(p.Args)
		}
		return 5
	}
	if k, ok := linux.KfuncByName(v.p.Kfuncs[in.Imm].Name); ok && k.Proto != nil {
		return min(len(k.Proto.Params), 5)
	}
	return 5
}

// stackEffect is what an instruction does to the frame of its function: the slots that it may
// read and those that it writes whole.
type stackEffect struct{ read, write uint64 }

const allSlots = ^uint64(0)

// place says what is in a register as far as the code alone tells: where it points in the frame, a
// small number, or a map.
type place int16

const (
	placeNone    place = 1        // no pointer into the frame
	placeUnknown place = 2        // somewhere in the frame
	placeUnset   place = 3        // no path has come here yet
	placeLowest  place = -1 << 9  // places down to here are offsets from r10;
	placeMaybe   place = -1 << 10 // from here down, the same offsets of what may point elsewhere too
	placeNumber  place = 16       // from here on it is a number,
	placeMap     place = 1 << 12  // and from here on a map, by its index
)

func (p place) inFrame() bool { return p <= 0 || p == placeUnknown }

// offset returns where p is in the frame, if that is known, and whether it certainly is there.
func (p place) offset() (off int, known, certain bool) {
	switch {
	case p > 0:
		return 0, false, false
	case p > placeMaybe:
		return int(p), true, true
	}
	return int(p - placeMaybe), true, false
}

// number returns the number that a register holds.
func (p place) number() (int, bool) {
	return int(p - placeNumber), p >= placeNumber && p < placeMap
}

// numberPlace is the place of a number.
func numberPlace(n int64) place {
	if n < 0 || n >= int64(placeMap-placeNumber) {
		return placeNone
	}
	return placeNumber + place(n)
}

// join returns what is true of both.
func (p place) join(q place) place {
	switch {
	case p == q, q == placeUnset:
		return p
	case p == placeUnset:
		return q
	case p.inFrame() && q.inFrame():
		a, known, _ := p.offset()
		if b, too, _ := q.offset(); known && too && a == b {
			return placeMaybe + place(a)
		}
		return placeUnknown
	case p.inFrame():
		return p.maybe()
	case q.inFrame():
		return q.maybe()
	}
	return placeNone
}

// maybe returns the place of what may be at p, or not in the frame.
func (p place) maybe() place {
	if off, known, _ := p.offset(); known {
		return placeMaybe + place(off)
	}
	return placeUnknown
}

type places [11]place

// followFrame finds the effects of f's instructions on its frame. It follows r10 through
// moves and additions of constants, and, of functions that store addresses of their frame, through
// their frame: whatever such a function loads from there may lie anywhere in it. (Nowhere else does Linux
// let a pointer to the stack be stored so that it is one when it is loaded.)
func (v *verifier) followFrame(f *subprog) {
	if len(v.effects) < len(v.insns) {
		v.effects = make([]stackEffect, len(v.insns))
		v.places = make([]places, len(v.insns))
	}
	f.escapes = false
	v.followPlaces(f)
	if f.escapes {
		v.followPlaces(f)
	}
}

// followPlaces goes forward through f until nothing changes.
func (v *verifier) followPlaces(f *subprog) {
	for slot := f.start; slot < f.end; slot++ {
		v.effects[slot] = stackEffect{}
		for r := range v.places[slot] {
			v.places[slot][r] = placeUnset
		}
	}
	entry := &v.places[f.start]
	for r := range entry {
		entry[r] = placeNone
	}
	entry[10] = 0
	for changed := true; changed; {
		changed = false
		for slot := f.start; slot < f.end; slot++ {
			if v.insns[slot].mark&markSecond != 0 || v.places[slot][10] == placeUnset {
				continue
			}
			after := v.places[slot]
			v.follow(f, slot, &after)
			next, target := v.successors(slot)
			for _, to := range [2]int{next, target} {
				if to >= 0 && to < f.end && v.joinPlaces(to, &after) {
					changed = changed || to <= slot
				}
			}
		}
	}
}

// joinPlaces adds what holds on one way to slot to what holds there.
func (v *verifier) joinPlaces(slot int, from *places) (changed bool) {
	to := &v.places[slot]
	for r := range to {
		if p := to[r].join(from[r]); p != to[r] {
			to[r], changed = p, true
		}
	}
	return changed
}

// follow finds the effect of one instruction and what registers point to after it.
func (v *verifier) follow(f *subprog, slot int, at *places) {
	in, effect := &v.insns[slot], &v.effects[slot]
	*effect = stackEffect{}
	size := in.info.Size.Bytes()
	switch in.kind {
	case asm.KindALU:
		at[in.Dst%11] = v.moved(in, at)
	case asm.KindLoad, asm.KindLoadAcquire:
		from := at[in.Src%11]
		effect.read = slotsRead(from, int(in.Off), size)
		at[in.Dst%11] = placeNone
		if f.escapes && from.inFrame() && size == 8 {
			at[in.Dst%11] = placeUnknown
		}
	case asm.KindStoreReg, asm.KindStoreRelease, asm.KindStoreImm:
		f.escapes = f.escapes || in.kind != asm.KindStoreImm && at[in.Src%11].inFrame()
		effect.write = slotsWritten(at[in.Dst%11], int(in.Off), size)
	case asm.KindAtomic:
		f.escapes = f.escapes || at[in.Src%11].inFrame()
		effect.read = slotsRead(at[in.Dst%11], int(in.Off), size)
		v.overwritten(in, at)
	case asm.KindCallLocal:
		for r := 1; r <= 5; r++ {
			if at[r].inFrame() {
				effect.read = allSlots
			}
		}
		clobber(at)
	case asm.KindCallHelper, asm.KindCallKfunc:
		for r := 1; r <= v.numArgs(in); r++ {
			if at[r].inFrame() {
				effect.read |= v.argSlots(in, r, at)
			}
		}
		clobber(at)
	case asm.KindLoadImm64:
		at[in.Dst%11] = placeNone
		if in.Src == asm.PseudoMapIdx {
			at[in.Dst%11] = placeMap + place(in.ImmLo())
		}
	default:
		v.overwritten(in, at)
	}
}

// overwritten forgets what the registers that an instruction writes pointed to.
func (v *verifier) overwritten(in *insn, at *places) {
	_, def := v.registers(in)
	for r := range at[:10] {
		if def>>r&1 != 0 {
			at[r] = placeNone
		}
	}
}

func clobber(at *places) {
	for r := range at[:6] {
		at[r] = placeNone
	}
}

// moved returns where dst points after an arithmetic instruction.
func (v *verifier) moved(in *insn, at *places) place {
	dst, src := at[in.Dst%11], at[in.Src%11]
	byReg := in.info.Source == asm.RegSource
	switch {
	case in.info.ALU == asm.Mov && byReg:
		return src
	case in.info.ALU == asm.Mov:
		return numberPlace(in.Imm)
	case byReg && src.inFrame():
		return placeUnknown
	case !dst.inFrame():
		return placeNone
	case in.info.ALU == asm.Add && !byReg && in.info.Wide:
		off, known, certain := dst.offset()
		if to := int64(off) + in.Imm; known && to <= 0 && to >= int64(placeLowest) {
			if certain {
				return place(to)
			}
			return placeMaybe + place(to)
		}
	}
	return placeUnknown
}

// slotsRead returns the slots that an access of size bytes may read.
func slotsRead(p place, off, size int) uint64 {
	if !p.inFrame() || size == 0 {
		return 0
	}
	at, known, _ := p.offset()
	lo, hi := at+off, at+off+size
	if !known || lo < -512 || hi > 0 {
		return allSlots
	}
	return uint64(1)<<slotIndex(lo)*2 - uint64(1)<<slotIndex(hi-1)
}

// slotsWritten returns the slots that an access of size bytes writes whole.
func slotsWritten(p place, off, size int) uint64 {
	at, _, certain := p.offset()
	if !certain || size != 8 {
		return 0
	}
	lo := at + off
	if lo < -512 || lo > -8 || lo%8 != 0 {
		return 0
	}
	return 1 << slotIndex(lo)
}

// argSlots returns the slots that a helper or kernel function may read through argument r, which points
// into the frame.
func (v *verifier) argSlots(in *insn, r int, at *places) uint64 {
	p := at[r]
	if in.mark&markCallback != 0 {
		return allSlots
	}
	if in.kind == asm.KindCallKfunc {
		return v.kfuncSlots(in, r, p)
	}
	proto := v.helperProto(asm.BuiltinFunc(in.Imm))
	if proto == nil {
		return slotsAbove(p)
	}
	arg := v.argOf(&proto.Args[r-1])
	size := -1
	switch arg.Kind {
	case helper.ArgMapKey:
		size = v.mostOfMaps(at[1], func(m *mapInfo) uint32 { return m.KeySize })
	case helper.ArgMapValue:
		size = v.mostOfMaps(at[1], func(m *mapInfo) uint32 { return m.ValueSize })
	case helper.ArgMem:
		if size = int(arg.Fixed); size == 0 && r < 5 {
			var known bool
			if size, known = at[r+1].number(); !known {
				size = -1
			}
		}
	case helper.ArgDynptr:
		size = 16
	}
	if size < 0 {
		return slotsAbove(p)
	}
	return slotsRead(p, 0, size)
}

// kfuncSlots is argSlots for kernel functions: it knows iterators and dynptrs.
func (v *verifier) kfuncSlots(in *insn, r int, p place) uint64 {
	k, ok := linux.KfuncByName(v.p.Kfuncs[in.Imm].Name)
	if !ok || k.Proto == nil || r > len(k.Proto.Params) {
		return slotsAbove(p)
	}
	t := k.Proto.Params[r-1].Type
	if t == nil || t.Kind != prog.BTFPointer || t.Elem == nil {
		return slotsAbove(p)
	}
	switch {
	case t.Elem.Name == "bpf_dynptr", t.Elem.Name == "bpf_dynptr_kern":
		return slotsRead(p, 0, 16)
	case isIterStruct(t.Elem.Name):
		if n := sizeOf(linux.Resolve(t.Elem)); n > 0 {
			return slotsRead(p, 0, n)
		}
	}
	return slotsAbove(p)
}

// mostOfMaps returns a size of the map that a register holds, or the largest one of all that it may hold if
// that is not known.
func (v *verifier) mostOfMaps(p place, size func(*mapInfo) uint32) int {
	if p >= placeMap && int(p-placeMap) < v.numMaps {
		return int(size(v.maps[p-placeMap]))
	}
	most := uint32(0)
	for _, m := range v.maps {
		most = max(most, size(m))
	}
	return int(min(most, prog.StackSize))
}

// slotsAbove returns the slots from p up: what a function that is given p may read.
func slotsAbove(p place) uint64 {
	switch off, known, _ := p.offset(); {
	case p == placeUnknown:
		return allSlots
	case !known || off >= 0 || off < -prog.StackSize:
		return 0
	default:
		return uint64(1)<<slotIndex(off)*2 - 1
	}
}
