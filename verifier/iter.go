package verifier

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// The states of an open-coded iterator.
const (
	iterActive uint8 = 1 + iota
	iterDrained
)

// iterSlots returns the slots of the stack that r points to, count of them, the lowest first.
func (v *verifier) iterSlots(r *reg, count int) []*slot {
	if r.kind != ptrStack || !r.Tnum.IsConst() {
		return nil
	}
	off := int(int64(r.off) + int64(r.Tnum.Value))
	if off%8 != 0 || off < -512 || off+8*count > 0 {
		return nil
	}
	f := v.cur.frames[r.frame]
	f.grow(off)
	v.deepen(int(r.frame), off)
	list := make([]*slot, count)
	for i := range list {
		list[i] = f.slotAt(off + 8*i)
	}
	return list
}

// objectOutside refuses to make an object of n slots where Linux finds no fault but that it lies outside of the
// frame.
func (v *verifier) objectOutside(r *reg, at asm.Register, n int) error {
	if !r.Tnum.IsConst() {
		return nil
	}
	off := int(int64(r.off) + int64(r.Tnum.Value))
	if off%8 != 0 || off >= -prog.StackSize && (off != 0 || n > 1) {
		return nil
	}
	return v.outsideStack(at, v.callArgs.name()+" writes", off, off+8)
}

// iterAt returns the first slot of an iterator of a type, nil if r does not point to one that was
// initialised.
func (v *verifier) iterAt(r *reg, t *prog.BTFType) *slot {
	list := v.iterSlots(r, (int(t.Size)+7)/8)
	if list == nil {
		return nil
	}
	for i, s := range list {
		if s.bytes[0] != byteIter || s.reg.aux != v.typeID(t) || (i == 0) != (s.reg.ref != 0) {
			return nil
		}
	}
	return list[0]
}

// argIter checks the iterator argument of a kernel function (process_iter_arg), and makes or destroys
// it.
func (v *verifier) argIter(k *linux.Kfunc, r *reg, at asm.Register, t *prog.BTFType) error {
	if err := v.kfuncOffset(r, at); err != nil {
		return err
	}
	if r.kind != ptrStack {
		return v.failReg(at, CodeArgType, errnoEINVAL, "%s must point to an iterator on the stack", at)
	}
	t = linux.Resolve(t)
	if k.Flags&linux.KfIterNew != 0 {
		return v.newIter(k, r, at, t)
	}
	s := v.iterAt(r, t)
	if s == nil {
		return v.failReg(at, CodeIterator, errnoEINVAL, "%s must point to an iterator of type %s that was initialised", at, t.Name)
	}
	if s.reg.has(untrusted) {
		return v.failReg(at, CodeRCU, errnoEPROTO, "the RCU read section is over that the iterator was made in")
	}
	v.callArgs.iter = s
	n := (int(t.Size) + 7) / 8
	v.readSlots(int(r.frame), slotsAt(r, 8*n))
	if k.Flags&linux.KfIterDestroy != 0 {
		return v.destroyIter(r, s, n)
	}
	return nil
}

func (v *verifier) newIter(k *linux.Kfunc, r *reg, at asm.Register, t *prog.BTFType) error {
	n := (int(t.Size) + 7) / 8
	list := v.iterSlots(r, n)
	if list == nil {
		if err := v.objectOutside(r, at, n); err != nil {
			return err
		}
		return v.failReg(at, CodeIterator, errnoEINVAL, "an iterator %s takes %d aligned bytes of the stack", t.Name, 8*n)
	}
	for _, s := range list {
		if s.bytes[0] == byteIter {
			return v.failReg(at, CodeIterator, errnoEINVAL, "%s points to where an iterator is already", at)
		}
	}
	if k.Name == "bpf_iter_css_task_new" && v.p.Type != prog.LSM && v.p.Attach != attachIter && !v.cur.sleeps {
		return v.fail(CodeIterator, errnoEINVAL, "the tasks of a cgroup are walked by programs that may sleep, and by those of LSM hooks and iterators")
	}
	if err := v.destroyDynptr(v.cur.frames[r.frame], r.frame, int(int64(r.off)+int64(r.Tnum.Value)), 8*n); err != nil {
		return err
	}
	ref := v.acquire(refPointer)
	var protection flag
	if k.Flags&linux.KfRCUProtected != 0 {
		protection = inRCU
	}
	for i, s := range list {
		v.barrierAfter(s.bytes[:], false)
		for j := range s.bytes {
			s.bytes[j] = byteIter
		}
		s.reg = reg{kind: slotIter, aux: v.typeID(t), frame: iterActive, flags: protection}
		if i == 0 {
			s.reg.ref = ref
		}
	}
	v.callWrote(r, 8*n)
	return nil
}

// endRCUIters makes iterators unusable whose RCU read section ends.
func (s *state) endRCUIters() {
	for _, f := range s.frames {
		for i := range f.slots {
			if x := &f.slots[i]; x.bytes[0] == byteIter && x.reg.has(inRCU) {
				x.reg.flags = untrusted
			}
		}
	}
}

// destroyIter gives an iterator back.
func (v *verifier) destroyIter(r *reg, first *slot, n int) error {
	ref := first.reg.ref
	if !v.release(ref) {
		return v.internal("iterator without its reference")
	}
	for _, s := range v.iterSlots(r, n) {
		*s = slot{}
	}
	v.callWrote(r, 8*n)
	return nil
}

// iterActive reports whether the iterator that r1 points to has more elements to give.
func (v *verifier) iterActive(s *state) bool {
	r := &s.cur().regs[asm.R1]
	if r.kind != ptrStack {
		return false
	}
	off := int(int64(r.off) + int64(r.Tnum.Value))
	if off >= 0 || off < -512 {
		return false
	}
	x := s.frames[r.frame].slotAt(off)
	return x != nil && x.bytes[0] == byteIter && x.reg.frame == iterActive
}

// iterNext is the next element, in a state of its own, or the end (process_iter_next_call).
func (v *verifier) iterNext() error {
	it := v.callArgs.iter
	if it.reg.frame == iterActive {
		s, err := v.push(v.insnIdx+1, v.insnIdx, errnoENOMEM)
		if err != nil {
			return err
		}
		v.iterOf(s, it).size++ // the depth
		if parent := v.cur.parent; parent != nil {
			if prev := v.previousAt(parent, v.insnIdx); prev != nil {
				v.widen(prev, s)
			}
		}
		s.cur().regs[asm.R0].flags &^= orNull
		it.reg.frame = iterDrained
	}
	// At the end there is no element.
	v.cur.cur().regs[asm.R0] = constReg(0)
	return nil
}

// iterOf returns in s the slot that is it in the current state.
func (v *verifier) iterOf(s *state, it *slot) *reg {
	for i, f := range v.cur.frames {
		for n := range f.slots {
			if &f.slots[n] == it {
				return &s.frames[i].slots[n].reg
			}
		}
	}
	return &reg{}
}
