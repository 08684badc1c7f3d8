package verifier

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/verifier/domain"
)

// checkJump executes a conditional jump (check_cond_jmp_op).
func (v *verifier) checkJump(in *insn) (int, error) {
	at, fall, target := v.insnIdx, v.insnIdx+1, int(in.target)
	byReg := in.info.Source == asm.RegSource
	var src *reg
	var err error
	if byReg {
		if src, err = v.readReg(in.Src); err != nil {
			return 0, err
		}
	}
	dst, err := v.readReg(in.Dst)
	if err != nil {
		return 0, err
	}
	if byReg {
		if !v.leaks && src.isPointer() && !(src.isPacketAny() && dst.isPacketAny()) {
			return 0, v.failReg(in.Src, CodePtrCompare, errnoEACCES, "comparison of a pointer")
		}
	} else {
		src = v.immediate(uint64(in.Imm))
	}
	flags := v.jumpFlags(dst, src, byReg)
	if known, taken := v.decide(in, dst, src); known {
		return v.constantJump(in, dst, src, byReg, taken)
	}
	tells := !v.leaks && dst.isPointer() && !v.teaches(in, dst, src, byReg)
	v.proof.Insns[at].Taken, v.proof.Insns[at].Falls = true, true
	links := v.collectLinks(in, dst, src, byReg)
	if flags != 0 || links != 0 {
		v.pushHistory(flags, links)
	}
	other, err := v.push(target, at, errnoEFAULT)
	if err != nil {
		return 0, err
	}
	v.refineBoth(in, other, dst, src, byReg)
	if tells { // found by Linux with the other way put off already, which speculation then takes
		return 0, v.failReg(in.Dst, CodePtrCompare, errnoEACCES, "comparison of a pointer")
	}
	return fall, nil
}

func isEquality(op asm.JumpOp) bool { return op == asm.JEq || op == asm.JNE }

// teaches reports whether something is learned of a pointer that is compared: all else would tell
// an address.
func (v *verifier) teaches(in *insn, dst, src *reg, byReg bool) bool {
	if !in.info.Wide {
		return false
	}
	if !byReg {
		return in.Imm == 0 && isEquality(in.info.Jump) && dst.has(orNull)
	}
	switch in.info.Jump {
	case asm.JGT, asm.JGE, asm.JLT, asm.JLE:
		return isPacketPair(dst, src) || isPacketPair(src, dst)
	}
	return false
}

// jumpFlags says which operands of a jump are stack pointers, for the way back.
func (v *verifier) jumpFlags(dst, src *reg, byReg bool) (flags histFlags) {
	if byReg && src.kind == ptrStack {
		flags |= histSrcStack
	}
	if dst.kind == ptrStack {
		flags |= histDstStack
	}
	return flags
}

// constantJump follows the only way that a jump can go.
func (v *verifier) constantJump(in *insn, dst, src *reg, byReg, taken bool) (int, error) {
	at := v.insnIdx
	// Only numbers are compared by value; that they are what they are matters.
	if dst.kind == scalar {
		if err := v.markPrecise(in.Dst); err != nil {
			return 0, err
		}
	}
	if byReg && src.kind == scalar {
		if err := v.markPrecise(in.Src); err != nil {
			return 0, err
		}
	}
	p := &v.proof.Insns[at]
	next, otherWay := at+1, int(in.target)
	if taken {
		next, otherWay = otherWay, next
		p.Taken = true
	} else {
		p.Falls = true
	}
	if !v.leaks {
		return next, v.pushSpeculative(in, otherWay, byReg)
	}
	return next, nil
}

// pushSpeculative puts off the way that a processor may take by mistake.
func (v *verifier) pushSpeculative(in *insn, way int, byReg bool) error {
	s, err := v.push(way, v.insnIdx, errnoEFAULT)
	if err != nil {
		return err
	}
	s.spec = true
	f := s.cur()
	f.regs[in.Dst] = unknownReg()
	if byReg {
		f.regs[in.Src] = unknownReg()
	}
	return nil
}

// decide returns whether a jump is taken, if that is known (is_branch_taken).
func (v *verifier) decide(in *insn, dst, src *reg) (known, taken bool) {
	op := in.info.Jump
	switch {
	case dst.kind == scalar && src.kind == scalar:
		return domain.Linux.Decide(op, in.info.Wide, &dst.Scalar, &src.Scalar)
	case dst.isPacketAny() && src.isPacketAny() && in.info.Wide:
		return decidePacket(op, dst, src)
	}
	ptr, num := dst, src
	if !dst.isPointer() {
		ptr, num = src, dst
	}
	// A pointer that is not null: Linux decides the comparison of the lower half as well, which
	// may be zero.
	if !num.isNull() || !in.info.Wide || !isEquality(op) || !v.neverNull(ptr) {
		return false, false
	}
	return true, op == asm.JNE
}

// neverNull is reg_not_null.
func (v *verifier) neverNull(r *reg) bool {
	if r.has(orNull) {
		return false
	}
	switch r.kind {
	case ptrSocket, ptrSockCommon, ptrTCPSock, ptrMapValue, ptrMapKey, ptrMap:
		return true
	case ptrBTF:
		return r.isTrusted()
	case ptrMem:
		return !r.has(untrusted)
	}
	return false
}

// decidePacket compares a packet pointer with data_end, if a comparison before has told that it lies
// at or beyond it (is_pkt_ptr_branch_taken).
func decidePacket(op asm.JumpOp, dst, src *reg) (known, taken bool) {
	pkt := dst
	switch {
	case src.kind == ptrPacketEnd:
	case dst.kind == ptrPacketEnd:
		pkt, op = src, swapped(op)
	default:
		return false, false
	}
	if pkt.kind != ptrPacket || pkt.size >= 0 || dst.aux != src.aux {
		return false, false
	}
	switch op {
	case asm.JLE, asm.JGT:
		return pkt.size == beyondEnd, op == asm.JGT
	case asm.JLT, asm.JGE:
		return true, op == asm.JGE
	}
	return false, false
}

// swapped returns the condition with its operands exchanged.
func swapped(op asm.JumpOp) asm.JumpOp {
	switch op {
	case asm.JGT:
		return asm.JLT
	case asm.JGE:
		return asm.JLE
	case asm.JLT:
		return asm.JGT
	case asm.JLE:
		return asm.JGE
	case asm.JSGT:
		return asm.JSLT
	case asm.JSGE:
		return asm.JSLE
	case asm.JSLT:
		return asm.JSGT
	case asm.JSLE:
		return asm.JSGE
	}
	return op
}

// refineBoth adds what a jump tells to the state at hand, in which it is not taken, and to other,
// in which it is.
func (v *verifier) refineBoth(in *insn, other *state, dst, src *reg, byReg bool) {
	op, wide := in.info.Jump, in.info.Wide
	f := other.cur()
	dst2, src2 := &f.regs[in.Dst], src
	if byReg {
		src2 = &f.regs[in.Src]
	}
	if dst.kind == scalar && src.kind == scalar {
		if byReg {
			domain.Linux.Refine(op, wide, true, &dst2.Scalar, &src2.Scalar)
			domain.Linux.Refine(op, wide, false, &dst.Scalar, &src.Scalar)
		} else {
			domain.Linux.RefineImm(op, wide, true, &dst2.Scalar, uint64(in.Imm))
			domain.Linux.RefineImm(op, wide, false, &dst.Scalar, uint64(in.Imm))
		}
	}
	if byReg {
		v.syncLinks(v.cur, src)
		v.syncLinks(other, src2)
	}
	v.syncLinks(v.cur, dst)
	v.syncLinks(other, dst2)
	for _, s := range [2]*state{v.cur, other} {
		v.imprecise(s, in, byReg)
	}
	if !wide {
		return
	}
	switch {
	case byReg && isEquality(op) && dst.isPointer() && src.isPointer():
		equal := other
		if op == asm.JNE {
			equal = v.cur
		}
		v.equalPointers(equal, in)
	case !byReg && in.Imm == 0 && isEquality(op) && dst.has(orNull) && dst.isPointer():
		v.refineNull(v.cur, in.Dst, op == asm.JNE)
		v.refineNull(other, in.Dst, op == asm.JEq)
	case byReg:
		v.refinePacket(in, other)
	}
}

// imprecise notes that whoever needs an operand of a jump exactly needs those that it was compared
// with, or is linked to, as well.
func (v *verifier) imprecise(s *state, in *insn, byReg bool) {
	if byReg {
		s.cur().regs[in.Dst].precise, s.cur().regs[in.Src].precise = false, false
	}
	if len(v.linked) < 2 {
		return
	}
	for _, l := range v.linked {
		if r := s.linked(l); r != nil {
			r.precise = false
		}
	}
}

// linked returns a register or slot, nil if it is not there any more.
func (s *state) linked(l linkedReg) *reg {
	f := s.frames[l.frame]
	switch {
	case !l.slot:
		return &f.regs[l.index%11]
	case int(l.index) < len(f.slots) && f.slots[l.index].spilled():
		return &f.slots[l.index].reg
	}
	return nil
}

// equalPointers is applied where two pointers are equal: if one of them is not null, neither is the
// other.
func (v *verifier) equalPointers(s *state, in *insn) {
	a, b := &s.cur().regs[in.Dst], &s.cur().regs[in.Src]
	if a.kind == ptrBTF || b.kind == ptrBTF || a.has(orNull) == b.has(orNull) {
		return
	}
	if b.has(orNull) {
		a = b
	}
	v.notNull(a)
}

// refineNull is applied where the register r, which may be null, is null or is not
// (mark_ptr_or_null_regs).
func (v *verifier) refineNull(s *state, r asm.Register, null bool) {
	x := s.cur().regs[r]
	if null && x.ref != 0 && x.ref == x.id {
		s.releaseRef(x.ref)
	}
	s.eachReg(func(y *reg) {
		if y.id != x.id || !y.has(orNull) || !y.isPointer() {
			return
		}
		if null {
			// What is left is the offset, which is zero.
			*y = reg{kind: scalar, Scalar: y.Scalar}
			return
		}
		v.notNull(y)
		if !v.mayHoldLock(y) {
			y.id = 0
		}
	})
}

// notNull makes a pointer that may be null one that is not (mark_ptr_not_null_reg).
func (v *verifier) notNull(r *reg) {
	r.flags &^= orNull
	if r.kind != ptrMapValue {
		return
	}
	m := v.maps[r.m]
	switch {
	case m.innerIndex >= 0:
		inner := reg{kind: ptrMap, m: m.innerIndex, id: r.id, Scalar: zeroOffset}
		if v.maps[m.innerIndex].hasAsync() {
			inner.aux = r.id // its timers are not those of another one
		}
		*r = inner
	case m.isXSK():
		*r = reg{kind: ptrXDPSock, id: r.id, Scalar: zeroOffset}
	case m.isSockMap():
		*r = reg{kind: ptrSocket, id: r.id, ref: r.ref, Scalar: zeroOffset}
	}
}

// refinePacket learns from the comparison of a packet pointer with data_end, or of metadata with data
// (try_match_pkt_pointers).
func (v *verifier) refinePacket(in *insn, other *state) {
	op := in.info.Jump
	dst, src := &v.cur.cur().regs[in.Dst], &v.cur.cur().regs[in.Src]
	pkt, r := dst, in.Dst
	switch {
	case isPacketPair(dst, src):
	case isPacketPair(src, dst):
		pkt, r, op = src, in.Src, swapped(op)
	default:
		return
	}
	p := *pkt
	switch op {
	case asm.JGT: // pkt > end: where it is not so, pkt may be up to the end
		v.extendPacket(v.cur, &p, 0)
		markEnd(other, r, beyondEnd)
	case asm.JGE:
		v.extendPacket(v.cur, &p, 1)
		markEnd(other, r, atEnd)
	case asm.JLT:
		v.extendPacket(other, &p, 1)
		markEnd(v.cur, r, atEnd)
	case asm.JLE:
		v.extendPacket(other, &p, 0)
		markEnd(v.cur, r, beyondEnd)
	}
}

// isPacketPair reports whether a is bounded by b: packet by its end, metadata by the packet's start.
func isPacketPair(a, b *reg) bool {
	return a.kind == ptrPacket && b.kind == ptrPacketEnd && a.aux == b.aux ||
		a.kind == ptrPacketMeta && b.kind == ptrPacket && b.off == 0 && b.id == 0 && b.Scalar == zeroOffset
}

// maxPacketOffset is how far into a packet a program may look (MAX_PACKET_OFF).
const maxPacketOffset = 0xffff

// extendPacket makes what lies before p, and more bytes behind it, accessible to all pointers that
// have the same base (find_good_pkt_pointers).
func (v *verifier) extendPacket(s *state, p *reg, more int32) {
	if p.off <= 0 || p.U64.Max > maxPacketOffset || p.U64.Max+uint64(p.off) > maxPacketOffset {
		return
	}
	n := p.off + more
	s.eachReg(func(r *reg) {
		if r.kind == p.kind && r.id == p.id && r.aux == p.aux {
			r.size = max(r.size, n)
		}
	})
}

// markEnd notes that the packet pointer in r lies at or beyond the end.
func markEnd(s *state, r asm.Register, mark int32) {
	if x := &s.cur().regs[r]; x.kind == ptrPacket {
		x.size = mark
	}
}

// collectLinks finds the numbers that are linked to the operands of a jump, and drops links that are
// too many (collect_linked_regs).
func (v *verifier) collectLinks(in *insn, dst, src *reg, byReg bool) uint64 {
	v.linked = v.linked[:0]
	if byReg && src.kind == scalar && src.id != 0 {
		v.collectLinked(src.id)
	}
	if dst.kind == scalar && dst.id != 0 {
		v.collectLinked(dst.id)
	}
	return packLinks(v.linked)
}

func (v *verifier) collectLinked(id uint32) {
	s := v.cur
	for i := s.top(); i >= 0; i-- {
		f := s.frames[i]
		slot := v.insnIdx
		if i < s.top() {
			slot = int(s.frames[i+1].callsite)
		}
		live := v.insns[slot].live
		for r := range f.regs[:10] {
			if live>>r&1 != 0 {
				v.collectOne(&f.regs[r], id, linkedReg{uint8(i), false, uint8(r)})
			}
		}
		for n := range f.slots {
			if f.slots[n].spilledWhole() {
				v.collectOne(&f.slots[n].reg, id, linkedReg{uint8(i), true, uint8(n)})
			}
		}
	}
}

func (v *verifier) collectOne(r *reg, id uint32, l linkedReg) {
	if r.kind != scalar || r.id != id {
		return
	}
	if len(v.linked) < maxLinked {
		v.linked = append(v.linked, l)
		return
	}
	r.unlink()
}

// syncLinks tells the numbers linked to r what has been learned of r (sync_linked_regs).
func (v *verifier) syncLinks(s *state, r *reg) {
	if r.kind != scalar || r.id == 0 || len(v.linked) < 2 {
		return
	}
	for _, l := range v.linked {
		x := s.linked(l)
		if x == nil || x == r || x.kind != scalar || x.id != r.id {
			continue
		}
		syncLink(x, r)
	}
}

// syncLink makes x what follows from r, by how far apart they are.
func syncLink(x, r *reg) {
	if x.link == 0 && r.link == 0 || x.link == r.link && x.off == r.off {
		*x = *r
		return
	}
	if x.link != 0 && r.link != 0 && x.link != r.link {
		return // sums on 32 and on 64 bits have nothing in common
	}
	delta, base := int64(0), int64(0)
	if x.link != 0 {
		delta = int64(x.off)
	}
	if r.link != 0 {
		base = int64(r.off)
	}
	id, off, link := x.id, x.off, x.link
	narrow := x.link == linkAdd32 || r.link == linkAdd32
	*x = *r
	x.Scalar = domain.Linux.ALU(asm.Add, true, r.Scalar, domain.Const(uint64(delta-base)))
	if narrow {
		x.Scalar = domain.Linux.ALU(asm.Mov, false, x.Scalar, x.Scalar)
	}
	x.id, x.off, x.link = id, off, link
}

// checkMayGoto executes a jump that the runtime takes at last (check_cond_jmp_op for BPF_JCOND).
func (v *verifier) checkMayGoto(in *insn) (int, error) {
	at := v.insnIdx
	s, err := v.push(at+1, at, errnoENOMEM)
	if err != nil {
		return 0, err
	}
	s.mayGotos++
	if prev := v.previousAt(v.cur.parent, at); prev != nil {
		v.widen(prev, s)
	}
	p := &v.proof.Insns[at]
	p.Taken, p.Falls = true, true
	return int(in.target), nil
}

// previousAt returns the newest kept state at an instruction that leads to s within the same calls
// (find_prev_entry).
func (v *verifier) previousAt(s *state, slot int) *state {
	for e := *v.bucket(slot); e != nil; e = e.next {
		if int(e.insn) == slot && e.state.branches > 0 && e.state.dfsDepth < s.dfsDepth && sameCallsites(e.state, s) {
			return e.state
		}
	}
	return nil
}

// widen forgets the numbers that have changed since prev and that nothing needed exactly, so that a
// loop comes to an end (widen_imprecise_scalars).
func (v *verifier) widen(prev, s *state) {
	v.idMap.reset(v.ids)
	for i := range s.frames {
		a, b := prev.frames[i], s.frames[i]
		for r := range b.regs[:10] {
			v.widenReg(&a.regs[r], &b.regs[r])
		}
		for n := range b.slots {
			if n < len(a.slots) && a.slots[n].spilled() && b.slots[n].spilled() {
				v.widenReg(&a.slots[n].reg, &b.slots[n].reg)
			}
		}
	}
}

func (v *verifier) widenReg(old, cur *reg) {
	if old.kind != scalar || cur.kind != scalar || old.precise || v.regExact(old, cur) {
		return
	}
	*cur = unknownReg()
}
