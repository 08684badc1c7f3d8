package verifier

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// accessStack is for the stack: loads and stores at constant and at variable offsets.
func (v *verifier) accessStack(a *access, r *reg, off int) error {
	if r.Tnum.IsConst() {
		off += int(int64(r.Tnum.Value))
		if err := v.inStack(a, off, off+a.size); err != nil {
			return err
		}
		v.noteStack(r, off, true)
		frame := int(r.frame) // r may be what is loaded
		if a.write {
			v.deepen(frame, off)
			return v.storeStack(a, r, off)
		}
		err := v.loadStack(a, r, off)
		if err == nil { // a path that only speculation takes ends here, and the program may be accepted
			v.deepen(frame, off)
		}
		return err
	}
	if !v.leaks {
		return v.failReg(a.r, CodeStackVarOff, errnoEACCES, "variable stack offset without CAP_PERFMON")
	}
	if r.S64.Min <= -maxOffset || r.S64.Max >= maxOffset {
		e := v.failReg(a.r, CodeStackBounds, errnoEACCES, "the offset into the stack is unbounded")
		e.Hint = "bound the index from below and above by the size of the array: an unsigned index, if (i < sizeof(array))"
		return e
	}
	lo, hi := off+int(r.S64.Min), off+int(r.S64.Max)+a.size
	if err := v.inStack(a, lo, hi); err != nil {
		return err
	}
	if a.value < 0 && !a.imm {
		return v.failReg(a.r, CodeStackVarOff, errnoEACCES, "variable stack offset where it must be constant")
	}
	v.noteStack(r, lo, false)
	v.deepen(int(r.frame), lo)
	if a.write {
		return v.storeStackVar(a, r, lo, hi)
	}
	return v.loadStackVar(a, r, lo, hi)
}

// inStack refuses [lo, hi) if it is not within the frame.
func (v *verifier) inStack(a *access, lo, hi int) error {
	if lo >= -prog.StackSize && lo < 0 && hi <= 0 {
		return nil
	}
	verb := "read from"
	if a.write {
		verb = "write to"
	}
	return v.outsideStack(a.r, verb, lo, hi)
}

// outsideStack refuses an access to the bytes [lo, hi), counted from r10
// (check_stack_access_within_bounds).
func (v *verifier) outsideStack(r asm.Register, verb string, lo, hi int) error {
	e := v.failReg(r, CodeStackBounds, errnoEACCES, "%s the stack at %d to %d, the frame is -%d to 0", verb, lo, hi, prog.StackSize)
	if lo >= -prog.StackSize && lo < 0 {
		e.Errno = errnoEINVAL
		e.Hint = "the variable on the stack is smaller than what is accessed: compare the sizes, bound the index"
	}
	return e
}

// deepen notes that a frame is used down to off (update_stack_depth).
func (v *verifier) deepen(frame, off int) {
	f := v.cur.frames[frame]
	fn := &v.funcs[f.fn]
	fn.stack = max(fn.stack, -off)
}

// storeStack stores at a constant offset (check_stack_write_fixed_off).
func (v *verifier) storeStack(a *access, r *reg, off int) error {
	f := v.cur.frames[r.frame]
	f.grow(off)
	s := f.slotAt(off)
	var value *reg
	switch {
	case a.imm:
		value = v.immediate(uint64(int64(v.insns[v.insnIdx].ImmLo())))
	case a.value >= 0:
		value = &v.cur.cur().regs[a.value]
	}
	if !v.leaks && s.spilled() && s.reg.kind != scalar && a.size != 8 { // or what one was that is not valid any more
		return v.failReg(a.r, CodeStackSpill, errnoEACCES, "store over a part of a spilled pointer")
	}
	at := byteIndex(off)
	v.barrierAfter(s.bytes[at:min(at+a.size, 8)], value != nil && value.isPointer())
	if err := v.destroyDynptr(f, r.frame, off, a.size); err != nil {
		return err
	}
	aligned := off%8 == 0
	flags := stackHist(int(r.frame), slotIndex(off))
	switch {
	case value != nil && value.kind == scalar && aligned:
		if !a.imm {
			v.shareIfFits(value, a.size)
		}
		v.spill(s, value, a.size)
		if value.U64.Max > maxOf(a.size) { // it does not fit
			s.reg.unlink()
		}
		if a.imm {
			s.reg.unlink()
		}
	case value != nil && value.isPointer() && value.kind != ptrTPBuffer && value.kind != ptrDynptr:
		if a.size != 8 {
			return v.failReg(asm.Register(a.value), CodeStackSpill, errnoEACCES, "store of %d bytes of a pointer", a.size)
		}
		if int(r.frame) != v.cur.top() && value.kind == ptrStack {
			return v.failReg(asm.Register(a.value), CodeStackEscape, errnoEINVAL, "pointer to the stack stored in the frame of a caller")
		}
		v.spill(s, value, 8)
	default:
		flags = 0
		if err := v.storeBytes(a, s, value, off); err != nil {
			return err
		}
	}
	if flags != 0 {
		v.pushHistory(flags, 0)
	}
	if a.size == 8 && int(r.frame) == v.cur.top() {
		v.wroteSlots(slotsOf(off, off+8))
	} else {
		v.wroteSlots(0)
	}
	return nil
}

// barrierAfter notes that Linux keeps later loads from overtaking a store to bytes of a slot: it
// stores a pointer, or over what is neither data nor zero.
func (v *verifier) barrierAfter(bytes []slotKind, pointer bool) {
	if v.leaks {
		return
	}
	needed := pointer
	for _, b := range bytes {
		needed = needed || b != byteMisc && b != byteZero
	}
	if needed {
		v.insns[v.insnIdx].mark |= markBarrierAfter
	}
}

// maxOf returns the largest number of size bytes.
func maxOf(size int) uint64 { return ^uint64(0) >> (64 - 8*size) }

// shareIfFits gives a number that is spilled an identity, as a copy gets one.
func (v *verifier) shareIfFits(r *reg, size int) {
	if r.U64.Max <= maxOf(size) {
		v.shareID(r)
	}
}

// spill stores the low n bytes of a register in a slot (save_register_state).
func (v *verifier) spill(s *slot, r *reg, n int) {
	s.reg = *r
	for i := range s.bytes {
		switch {
		case i < n:
			s.bytes[i] = byteSpill
		case s.bytes[i] == byteZero || s.bytes[i] == byteInvalid:
		default:
			s.bytes[i] = byteMisc
		}
	}
}

// storeBytes stores what is kept as bytes only.
func (v *verifier) storeBytes(a *access, s *slot, value *reg, off int) error {
	if b := s.bytes[0]; b == byteSpill || b >= byteDynptr {
		for i := range s.bytes {
			s.bytes[i] = scrub(s.bytes[i])
		}
	}
	s.reg = reg{}
	b := byteMisc
	if value != nil && value.isNull() {
		b = byteZero
		if !a.imm {
			// That it is zero matters from now on.
			if err := v.markPrecise(asm.Register(a.value)); err != nil {
				return err
			}
		}
	}
	for i := range a.size {
		s.bytes[byteIndex(off+i)] = b
	}
	return nil
}

// storeStackVar stores at a variable offset (check_stack_write_var_off).
func (v *verifier) storeStackVar(a *access, r *reg, lo, hi int) error {
	f := v.cur.frames[r.frame]
	f.grow(lo)
	v.wroteSlots(0)
	var value *reg
	zero := a.imm && v.insns[v.insnIdx].Imm == 0
	if a.value >= 0 {
		value = &v.cur.cur().regs[a.value]
		zero = value.isNull()
	}
	if err := v.destroyDynptr(f, r.frame, lo, hi-lo); err != nil {
		return err
	}
	usedZero := false
	for off := lo; off < hi; off++ {
		s, i := f.slotAt(off), byteIndex(off)
		if zero && s.spilledScalar() && s.reg.isNull() {
			usedZero = true
			continue // a spilled zero stays one
		}
		s.loseReg()
		if zero && s.bytes[i] == byteZero {
			usedZero = true
			continue
		}
		s.bytes[i] = byteMisc
	}
	if usedZero && a.value >= 0 {
		return v.markPrecise(asm.Register(a.value))
	}
	return nil
}

// loadStack loads from a constant offset (check_stack_read_fixed_off).
func (v *verifier) loadStack(a *access, r *reg, off int) error {
	f := v.cur.frames[r.frame]
	s := f.slotAt(off)
	if s == nil {
		s = &emptySlot
	}
	v.readSlots(int(r.frame), slotsOf(off, off+a.size))
	if s.spilled() {
		return v.loadSpilled(a, r, s, off)
	}
	zeros := true
	for i := range a.size {
		switch b := s.bytes[byteIndex(off+i)]; {
		case b == byteMisc, b == byteInvalid && v.leaks:
			zeros = false
		case b == byteZero:
		default:
			return v.badStackRead(a.r, off)
		}
	}
	if a.value < 0 {
		return nil
	}
	dst := &v.cur.cur().regs[a.value]
	if zeros {
		*dst = constReg(0)
	} else {
		*dst = loadedReg(a.size, a.signed)
	}
	return nil
}

func (v *verifier) badStackRead(at asm.Register, off int) error {
	return v.failReg(at, CodeStackUninit, errnoEACCES, "invalid read from the stack at %d: nothing that a program may read was stored there", off)
}

// loadSpilled loads from a slot that holds a register.
func (v *verifier) loadSpilled(a *access, r *reg, s *slot, off int) error {
	n := 0
	for n < 8 && s.bytes[n] == byteSpill {
		n++
	}
	start := byteIndex(off)
	if s.reg.kind != scalar && (a.size != 8 || start != 0) {
		return v.failReg(a.r, CodeStackSpill, errnoEACCES, "load of a part of a spilled pointer")
	}
	if a.value < 0 {
		if !v.leaks && s.reg.kind != scalar {
			return v.failReg(a.r, CodePtrLeak, errnoEACCES, "a spilled pointer is read as a number")
		}
		return nil
	}
	dst := &v.cur.cur().regs[a.value]
	flags := stackHist(int(r.frame), slotIndex(off))
	switch {
	case start == 0 && a.size <= n:
		*dst = s.reg
		if dst.kind == scalar && a.size < 8 {
			fits := dst.U64.Max <= maxOf(a.size)
			if a.signed { // the value must not change for the copies to be the same
				fits = dst.U64.Max <= maxOf(a.size)>>1
			}
			if !fits {
				dst.unlink()
			}
			dst.Scalar = loadedScalar(dst.Scalar, a.size, a.signed)
		}
	default:
		value, spilled, err := v.bytesOf(a, s, off)
		if err != nil {
			return err
		}
		if !spilled {
			flags = 0
		}
		*dst = value
	}
	if flags != 0 {
		v.pushHistory(flags, 0)
	}
	return nil
}

// bytesOf returns what is known of a load of some bytes of a slot with a spilled number; spilled says
// that it depends on that number.
func (v *verifier) bytesOf(a *access, s *slot, off int) (value reg, spilled bool, err error) {
	spills, zeros := 0, 0
	for i := range a.size {
		switch b := s.bytes[byteIndex(off+i)]; {
		case b == byteSpill:
			spills++
		case b == byteMisc, b == byteInvalid && v.leaks:
		case b == byteZero:
			zeros++
		default:
			return reg{}, false, v.badStackRead(a.r, off)
		}
	}
	switch {
	case spills == a.size && s.reg.isNull():
		value = constReg(0)
		value.precise = s.reg.precise
		return value, true, nil
	case zeros == a.size:
		return constReg(0), false, nil
	}
	return loadedReg(a.size, a.signed), false, nil
}

// loadStackVar loads from a variable offset (check_stack_read_var_off).
func (v *verifier) loadStackVar(a *access, r *reg, lo, hi int) error {
	if err := v.stackReadable(a.r, r, lo, hi, true, false); err != nil {
		return err
	}
	f := v.cur.frames[r.frame]
	zeros := true
	for off := lo; off < hi && zeros; off++ {
		s := f.slotAt(off)
		zeros = s != nil && s.bytes[byteIndex(off)] == byteZero
	}
	if zeros {
		v.cur.cur().regs[a.value] = constReg(0)
		return nil
	}
	v.loaded(a)
	return nil
}

// stackReadable refuses a read of [lo, hi) of a frame, by an instruction or a helper, if it holds what
// must not be read (check_stack_range_initialized). Clobber says that it is written as well, by
// a helper.
func (v *verifier) stackReadable(at asm.Register, r *reg, lo, hi int, byInsn, clobber bool) error {
	f := v.cur.frames[r.frame]
	v.readSlots(int(r.frame), slotsOf(lo, hi))
	if clobber {
		f.grow(lo)
	}
	for off := lo; off < hi; off++ {
		s := f.slotAt(off)
		if s == nil {
			if !v.leaks {
				return v.badStackRead(at, off)
			}
			continue
		}
		i := byteIndex(off)
		switch b := s.bytes[i]; {
		case b == byteMisc, b == byteInvalid && v.leaks:
		case b == byteZero:
			if clobber {
				s.bytes[i] = byteMisc
			}
		case b == byteSpill && (s.reg.kind == scalar || v.leaks):
			if clobber {
				s.reg = unknownReg()
				for j := range s.bytes {
					s.bytes[j] = scrub(s.bytes[j])
				}
			}
		default:
			return v.badStackRead(at, off)
		}
	}
	return nil
}

// keepSpills refuses to have spilled pointers in [lo, hi) overwritten by a helper.
func (v *verifier) keepSpills(at asm.Register, r *reg, lo, hi int) error {
	for off := lo; off < hi; off++ {
		if s := v.cur.frames[r.frame].slotAt(off); s != nil && s.spilled() && s.reg.isPointer() {
			return v.failReg(at, CodeStackSpill, errnoEACCES, "store over a part of a spilled pointer")
		}
	}
	return nil
}

// miscStack makes [lo, hi) of a frame data of which nothing is known: a helper has written it.
func (v *verifier) miscStack(frame int, lo, hi int) {
	f := v.cur.frames[frame]
	f.grow(lo)
	for off := lo; off < hi; off++ {
		s, at := f.slotAt(off), byteIndex(off)
		v.barrierAfter(s.bytes[at:at+1], false)
		s.loseReg()
		s.bytes[at] = byteMisc
	}
}
