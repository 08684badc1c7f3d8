package verifier

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
)

// The kinds of dynptr (enum bpf_dynptr_type).
const (
	dynptrLocal uint32 = 1 + iota
	dynptrRingbuf
	dynptrSKB
	dynptrXDP
	dynptrSKBMeta
)

func isPacketDynptr(kind uint32) bool {
	return kind == dynptrSKB || kind == dynptrXDP || kind == dynptrSKBMeta
}

// movesPacket reports whether a write through a dynptr may move the packet: in Linux, that of an skb may
// need memory of its own first. What a global function is passed may be a dynptr of an skb.
func movesPacket(d *reg) bool {
	return d.aux == dynptrSKB || d.aux == dynptrSKBMeta || d.has(packetSlice)
}

// A dynptr on the stack takes two slots. The lower one, at the address that the program passes, has
// reg.frame 1.

// dynptrSlot returns the lower slot of the dynptr that r points to, nil if there is none.
func (v *verifier) dynptrSlot(r *reg) *slot {
	lower, _ := v.dynptrSlots(r)
	return lower
}

func (v *verifier) dynptrSlots(r *reg) (lower, upper *slot) {
	if r.kind != ptrStack || !r.Tnum.IsConst() {
		return nil, nil
	}
	off := int(int64(r.off) + int64(r.Tnum.Value))
	if off%8 != 0 || off < -512 || off > -16 {
		return nil, nil
	}
	f := v.cur.frames[r.frame]
	lower, upper = f.slotAt(off), f.slotAt(off+8)
	if lower == nil || lower.bytes[0] != byteDynptr || upper.bytes[0] != byteDynptr || lower.reg.frame != 1 || upper.reg.frame != 0 ||
		lower.reg.id != upper.reg.id {
		return nil, nil
	}
	return lower, upper
}

// destroyDynptr is applied before bytes of a frame are overwritten: a dynptr that lies there is
// lost (destroy_if_dynptr_stack_slot).
func (v *verifier) destroyDynptr(f *frame, frame uint8, off, size int) error {
	for at := off; at < off+size; at = (at + 8) &^ 7 {
		s := f.slotAt(at)
		if s == nil || s.bytes[0] != byteDynptr {
			continue
		}
		if s.reg.ref != 0 {
			return v.fail(CodeDynptr, errnoEINVAL, "the dynptr on the stack holds a reference, it cannot be overwritten")
		}
		other := at + 8
		if s.reg.frame != 1 {
			other = at - 8
		}
		id := s.reg.id
		*s = slot{}
		if o := f.slotAt(other &^ 7); o != nil && o.bytes[0] == byteDynptr && o.reg.id == id {
			*o = slot{}
		}
		v.forgetSlices(id)
	}
	return nil
}

// forgetSlices invalidates memory that bpf_dynptr_data got out of a dynptr.
func (v *verifier) forgetSlices(id uint32) {
	v.cur.eachReg(func(r *reg) {
		if r.dynptr == id && id != 0 {
			v.lose(r)
		}
	})
}

// argDynptr checks a dynptr argument of a helper (process_dynptr_func).
func (v *verifier) argDynptr(arg *helper.Arg, r *reg, at asm.Register) error {
	if arg.Flags&helper.FlagUninit != 0 {
		kind := dynptrLocal
		if arg.Flags&helper.FlagRingbuf != 0 {
			kind = dynptrRingbuf
		}
		return v.newDynptr(r, at, kind, 0)
	}
	if r.kind == ptrDynptr && arg.Flags&helper.FlagRdonly == 0 {
		return v.failReg(at, CodeDynptr, errnoEINVAL, "a dynptr that the program does not own cannot be changed")
	}
	if err := v.readableDynptr(r, at); err != nil {
		return err
	}
	d := v.noteDynptr(r)
	if arg.Flags&helper.FlagRingbuf != 0 && d.aux != dynptrRingbuf || arg.Flags&helper.FlagLocal != 0 && d.aux != dynptrLocal {
		return v.failReg(at, CodeDynptr, errnoEINVAL, "%s wants another kind of dynptr in %s", v.callArgs.name(), at)
	}
	if d.ref != 0 && arg.Flags&helper.FlagRelease != 0 {
		v.callArgs.ref = d.ref
	}
	return nil
}

// dynptrReg returns what is known of the dynptr that r stands for.
func (v *verifier) dynptrReg(r *reg) *reg {
	if r.kind == ptrDynptr {
		return r
	}
	return &v.dynptrSlot(r).reg
}

// noteDynptr is dynptrReg for an argument, whose register does not live as long as the call.
func (v *verifier) noteDynptr(r *reg) *reg {
	meta := &v.callArgs
	meta.dynptrArg = *v.dynptrReg(r)
	meta.dynptr = &meta.dynptrArg
	return meta.dynptr
}

// readableDynptr refuses what is no initialised dynptr.
func (v *verifier) readableDynptr(r *reg, at asm.Register) error {
	if r.kind == ptrDynptr {
		return v.fixedOffset(r, at, false)
	}
	if r.kind != ptrStack {
		return v.failReg(at, CodeArgType, errnoEINVAL, "%s must point to a dynptr, it is %s", at, kindName(r))
	}
	if v.dynptrSlot(r) == nil {
		return v.failReg(at, CodeDynptr, errnoEINVAL, "%s must point to a dynptr that was initialised", at)
	}
	v.readSlots(int(r.frame), slotsAt(r, 16))
	return nil
}

// newDynptr puts a dynptr on the stack (mark_stack_slots_dynptr). Ref is the reference that it
// holds; a new one is acquired for ring-buffer dynptrs.
func (v *verifier) newDynptr(r *reg, at asm.Register, kind uint32, ref uint32) error {
	if r.kind != ptrStack {
		return v.failReg(at, CodeArgType, errnoEINVAL, "%s must point to the stack, where the dynptr will be", at)
	}
	if !r.Tnum.IsConst() {
		return v.failReg(at, CodeDynptr, errnoEINVAL, "a dynptr at a variable offset")
	}
	off := int(int64(r.off) + int64(r.Tnum.Value))
	if off%8 != 0 || off < -512 || off > -16 {
		if err := v.objectOutside(r, at, 2); err != nil {
			return err
		}
		return v.failReg(at, CodeDynptr, errnoEINVAL, "a dynptr takes 16 aligned bytes of the stack, not offset %d", off)
	}
	f := v.cur.frames[r.frame]
	f.grow(off)
	v.deepen(int(r.frame), off)
	if err := v.destroyDynptr(f, r.frame, off, 16); err != nil {
		return err
	}
	id := v.nextID()
	if kind == dynptrRingbuf && ref == 0 {
		ref = v.acquire(refPointer)
	}
	for i := range 2 {
		s := f.slotAt(off + 8*i)
		v.barrierAfter(s.bytes[:], false)
		for j := range s.bytes {
			s.bytes[j] = byteDynptr
		}
		s.reg = reg{kind: slotDynptr, aux: kind, id: id, ref: ref, frame: uint8(1 - i)}
	}
	v.callWrote(r, 16)
	return nil
}

// releaseDynptr gives back a dynptr, all that were cloned from it, and all memory in them
// (unmark_stack_slots_dynptr).
func (v *verifier) releaseDynptr(r *reg) error {
	s := v.dynptrSlot(r)
	if s == nil {
		return v.internal("release of what is no dynptr")
	}
	ref := s.reg.ref
	if ref == 0 {
		return v.fail(CodeReference, errnoEINVAL, "the dynptr holds no reference")
	}
	if !v.release(ref) {
		return v.fail(CodeReference, errnoEINVAL, "the dynptr's reference was given back already")
	}
	for n, f := range v.cur.frames {
		for i := range f.slots {
			s := &f.slots[i]
			if s.bytes[0] == byteDynptr && s.reg.ref == ref {
				v.forgetSlices(s.reg.id)
				*s = slot{}
				if n == v.cur.top() {
					v.wrote |= 1 << i
				}
			}
		}
	}
	return nil
}
