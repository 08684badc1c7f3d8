package interp

import "github.com/sandbpf/sandbpf/asm"

// Slots are many, so that a value has one of its own for as long as it is read,
// and registers are written only where somebody looks at them: at the end of
// the block, by the instruction that defines what they hold then.

// allocate gives every value a slot and appends the block's instructions, now
// on slots, to dst. It reports false if the temporaries do not suffice.
func (o *optimiser) allocate(dst []instr, live regs) ([]instr, bool) {
	a := allocation{optimiser: o, live: live, end: int32(len(o.out))}
	if n := len(o.out); n > 0 {
		info := &opInfos[o.out[n-1].op]
		if info.jump || info.ends || info.call {
			a.end = int32(n - 1) // what moves into registers at the end does so before it
		}
	}
	a.homes()
	if !a.saves() || !a.temporaries() {
		return dst, false
	}
	return a.write(dst), true
}

type allocation struct {
	*optimiser
	live   regs
	end    int32
	moves  [asm.NumRegisters]value // what is moved into the register at the end, none if negative
	writes [asm.NumRegisters]int32 // when the register's slot is overwritten
	saved  [asm.NumRegisters]int16 // the slot that keeps what the register held at the beginning
	used   [scratch - firstTemp]int32
}

// neverWritten is the time at which a register's slot is overwritten that is not.
const neverWritten = -2

// homes lets the last definition of a register write to the register's slot.
func (a *allocation) homes() {
	for r := range a.moves {
		a.moves[r], a.writes[r], a.saved[r] = noValue, neverWritten, -1
		v := a.cur[r]
		if !a.live.has(r) || v == value(r) {
			continue
		}
		if f := a.def(v); f != nil && f.slot < 0 {
			f.slot, a.writes[r] = int16(r), f.at
			continue
		}
		a.moves[r], a.writes[r] = v, a.end-1
	}
}

// lateReads finds the registers whose initial value is read after their slot
// was overwritten.
func (a *allocation) lateReads() (late regs) {
	check := func(v value, at int32) {
		if v >= 0 && v < firstDef && a.writes[v] != neverWritten && at > a.writes[v] {
			late |= 1 << v
		}
	}
	for i := range a.out {
		in := &a.out[i]
		if in.op == opNop {
			continue
		}
		for _, v := range [...]value{in.a, in.b, in.c} {
			check(v, int32(i))
		}
	}
	for r, v := range a.moves {
		if v >= 0 && v < firstDef && v != value(r) && a.writes[v] != neverWritten {
			late |= 1 << v // the order of moves is then of no concern
		}
	}
	return late
}

// saves gives the initial values that are read late a temporary.
func (a *allocation) saves() bool {
	late := a.lateReads()
	for r := range a.saved {
		if !late.has(r) {
			continue
		}
		t, ok := a.take(0, int32(len(a.out))+1)
		if !ok {
			return false
		}
		a.saved[r] = t
	}
	return true
}

// take finds a temporary that is free from one instruction to another.
func (a *allocation) take(from, to int32) (int16, bool) {
	for i := range a.used {
		if a.used[i] <= from {
			a.used[i] = to
			return int16(firstTemp + i), true
		}
	}
	return 0, false
}

// temporaries gives the other values slots, in the order of their definition.
func (a *allocation) temporaries() bool {
	for i := range a.out {
		in := &a.out[i]
		if in.out == noValue || in.op == opNop {
			continue
		}
		if f := a.def(in.out); f.slot < 0 {
			t, ok := a.take(f.at, max(f.last, f.at+1))
			if !ok {
				return false
			}
			f.slot = t
		}
	}
	return true
}

// slotOf returns where v is; constants stay what they are.
func (a *allocation) slotOf(v value) value {
	switch {
	case v < 0:
		return v
	case v < firstDef:
		if a.saved[v] >= 0 {
			return value(a.saved[v])
		}
		return v
	}
	return value(a.def(v).slot)
}

func (a *allocation) write(dst []instr) []instr {
	slot := int32(0)
	if len(a.out) > 0 {
		slot = a.out[0].slot
	}
	for r, t := range a.saved {
		if t >= 0 {
			dst = append(dst, instr{op: opMov64, dst: int8(t), a: noValue, b: value(r), c: noValue, slot: slot})
		}
	}
	for i := range a.out {
		if int32(i) == a.end {
			dst = a.writeMoves(dst, slot)
		}
		in := a.out[i]
		if in.op == opNop {
			continue
		}
		slot = in.slot
		in.a, in.b, in.c = a.slotOf(in.a), a.slotOf(in.b), a.slotOf(in.c)
		if in.out != noValue {
			in.dst = int8(a.def(in.out).slot)
		}
		dst = append(dst, in)
	}
	if a.end == int32(len(a.out)) {
		dst = a.writeMoves(dst, slot)
	}
	return dst
}

func (a *allocation) writeMoves(dst []instr, slot int32) []instr {
	for r, v := range a.moves {
		if v != noValue {
			dst = append(dst, instr{op: opMov64, dst: int8(r), a: noValue, b: a.slotOf(v), c: noValue, slot: slot})
		}
	}
	return dst
}
