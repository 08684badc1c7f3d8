package verifier

import (
	"errors"

	"github.com/sandbpf/sandbpf/asm"
)

// Most numbers do not matter for safety. Those that do are marked precise in the states that the
// path came through, back to where they were made, so that only states that agree in them are
// taken for the same (__mark_chain_precision).

// errGiveUp says that the way back cannot be followed; then all numbers are marked.
var errGiveUp = errors.New("precision cannot be tracked")

// markPrecise marks a register of the current frame.
func (v *verifier) markPrecise(r asm.Register) error {
	x := &v.cur.cur().regs[r]
	if x.precise || x.kind != scalar {
		return nil
	}
	w := &v.want
	w.reset()
	w.frame = v.cur.top()
	w.addReg(uint8(r))
	_, err := v.trackBack(v.cur, v.insnIdx)
	x.precise = true
	return err
}

// markSlotPrecise marks a stack slot of a frame.
func (v *verifier) markSlotPrecise(frame, slot int) error {
	w := &v.want
	w.reset()
	w.frame = v.cur.top()
	w.slots[frame] |= 1 << slot
	_, err := v.trackBack(v.cur, v.insnIdx)
	return err
}

// propagatePrecision marks on the way to s what is live and marked in old, which s was found equal to, unless s
// has no number there, or it is marked already. (Linux 6.18 asks for what is not live as well, and for slots
// without a number in s; then it finds nothing that has made it, takes that for a mistake of its own, and
// refuses the program.)
func (v *verifier) propagatePrecision(old, s *state) (changed bool, err error) {
	w := &v.want
	w.reset()
	w.frame = old.top()
	for i, f := range old.frames {
		now, in := s.frames[i], &v.insns[v.siteOf(old, s, i)]
		for r := range f.regs[:10] {
			if in.live>>r&1 != 0 && f.regs[r].precise && f.regs[r].kind == scalar && !now.regs[r].precise {
				w.regs[i] |= 1 << r
			}
		}
		for n := range min(len(f.slots), len(now.slots)) {
			a, b := &f.slots[n], &now.slots[n]
			if in.slots>>n&1 != 0 && a.spilledScalar() && a.reg.precise && b.spilledScalar() && !(b.spilledWhole() && b.reg.precise) {
				w.slots[i] |= 1 << n
			}
		}
	}
	return v.trackBack(s, int(s.insn))
}

// trackBack marks what is wanted before the instruction at insn of start, back through the
// states that it came through. It reports whether a mark is new.
func (v *verifier) trackBack(start *state, insn int) (changed bool, err error) {
	w := &v.want
	if w.empty() {
		return false, nil
	}
	s, last, subseq, skip := start, insn, -1, true
	first := int(s.first)
	for {
		if last < 0 {
			return v.trackEntry(s, changed)
		}
		done, err := v.trackState(s, last, subseq, skip)
		switch {
		case err == errGiveUp:
			v.markAllPrecise(start)
			return true, nil
		case err != nil || done:
			return changed, err
		}
		if s = s.parent; s == nil {
			break
		}
		if v.markState(s) {
			changed = true
		}
		if w.empty() {
			return changed, nil
		}
		subseq, last, first, skip = first, int(s.last), int(s.first), false
	}
	v.markAllPrecise(start)
	return true, nil
}

// trackEntry is reached at the start of a function that is verified on its own: its arguments
// may still be wanted.
func (v *verifier) trackEntry(s *state, changed bool) (bool, error) {
	w := &v.want
	f := s.frames[0]
	if len(s.frames) != 1 || f.fn == 0 || f.callsite >= 0 || w.slots[0] != 0 || w.regs[0]&^arguments != 0 {
		return changed, v.internal("precision is wanted before the program starts")
	}
	for regs := w.regs[0]; regs != 0; {
		var r int
		r, regs = lowest(regs)
		if f.regs[r].kind == scalar && !f.regs[r].precise {
			f.regs[r].precise, changed = true, true
		}
	}
	return changed, nil
}

// trackState follows one state's instructions backwards from last, which it may skip. It reports whether
// nothing is wanted any more.
func (v *verifier) trackState(s *state, last, subseq int, skip bool) (done bool, err error) {
	w := &v.want
	wants := w.regs[w.frame] | backAlways
	n, first := len(s.history), int(s.first)
	recorded := s.recorded(n)
	for i := last; ; skip = false {
		if !skip {
			// Most instructions have nothing to do with what is wanted.
			for i != recorded && i != first && i > 0 && v.backs[i]&wants == 0 {
				subseq, i = i, i-1
			}
		}
		here := i == recorded
		if !skip && (here || v.backs[i]&wants != 0) {
			var h *hist
			if here {
				h = &s.history[n-1]
			}
			if err := v.backtrack(i, subseq, h); err != nil {
				return false, err
			}
			if w.empty() {
				return true, nil
			}
			wants = w.regs[w.frame] | backAlways
		}
		if subseq = i; i == first && (n == 0 || n == 1 && here) {
			return false, nil
		}
		if i--; here {
			i = int(s.history[n-1].prev)
			n--
			recorded = s.recorded(n)
		}
		if i < 0 {
			return false, v.internal("the way back leaves the program")
		}
	}
}

// recorded returns the instruction of the last of n entries of the history, -1 if there is none.
func (s *state) recorded(n int) int {
	if n == 0 {
		return -1
	}
	return int(s.history[n-1].insn)
}

// markState marks what is wanted in a kept state. What is marked already, or is no number, is
// not wanted any further.
func (v *verifier) markState(s *state) (changed bool) {
	w := &v.want
	for i := min(w.frame, s.top()); i >= 0; i-- {
		f := s.frames[i]
		for regs := w.regs[i]; regs != 0; {
			var r int
			r, regs = lowest(regs)
			if x := &f.regs[r]; x.kind != scalar || x.precise {
				w.regs[i] &^= 1 << r
			} else {
				x.precise, changed = true, true
			}
		}
		for slots := w.slots[i]; slots != 0; {
			var n int
			n, slots = lowest(slots)
			if n >= len(f.slots) || !f.slots[n].spilledScalar() || f.slots[n].reg.precise {
				w.slots[i] &^= 1 << n
			} else {
				f.slots[n].reg.precise, changed = true, true
			}
		}
	}
	return changed
}

// markAllPrecise marks all numbers of all states that s came through.
func (v *verifier) markAllPrecise(s *state) {
	v.want.reset()
	for s = s.parent; s != nil; s = s.parent {
		s.eachReg(func(r *reg) {
			if r.kind == scalar {
				r.precise = true
			}
		})
	}
}

// backtrack changes what is wanted after the instruction at i to what is wanted before it.
// Subseq is the instruction that came after it (backtrack_insn).
func (v *verifier) backtrack(i, subseq int, h *hist) error {
	in := &v.insns[i]
	if in.mark&markSecond != 0 {
		return nil
	}
	w := &v.want
	w.syncLinks(h)
	if err := v.backtrackInsn(in, i, subseq, h); err != nil {
		return err
	}
	w.syncLinks(h)
	return nil
}

// backAlways is in backs of what is looked at on the way back whatever is wanted.
const backAlways = 1 << 15

// backOf returns the registers of which one must be wanted after an instruction for it to change what
// is wanted before.
func backOf(in *insn) uint16 {
	switch in.kind {
	case asm.KindInvalid, asm.KindGoto, asm.KindMayGoto, asm.KindNeg, asm.KindToLE, asm.KindToBE, asm.KindBSwap:
		return 0
	case asm.KindLoadAbs, asm.KindLoadInd:
		return 1
	case asm.KindJump:
		if in.info.Source != asm.RegSource {
			return 0
		}
		return bit(in.Dst) | bit(in.Src)
	case asm.KindAtomic:
		if to, ok := fetches(in); ok {
			return bit(in.Dst) | bit(to)
		}
	case asm.KindCallLocal, asm.KindCallHelper, asm.KindCallKfunc, asm.KindExit:
		return backAlways
	}
	return bit(in.Dst)
}

// fetches returns the register that an atomic operation loads what was there into, if it does.
func fetches(in *insn) (asm.Register, bool) {
	if in.info.Atomic == asm.AtomicCmpXchg {
		return asm.R0, true
	}
	return in.Src, in.info.Atomic.Fetch()
}

// syncLinks makes all linked registers wanted if one is.
func (w *wanted) syncLinks(h *hist) {
	if h == nil || h.links == 0 {
		return
	}
	n, any := numLinks(h.links), false
	for i := range n {
		any = any || w.has(unpackLink(h.links, i))
	}
	for i := range n {
		if any {
			w.add(unpackLink(h.links, i))
		}
	}
}

func (v *verifier) backtrackInsn(in *insn, i, subseq int, h *hist) error {
	w := &v.want
	dst, src := uint8(in.Dst), uint8(in.Src)
	switch in.kind {
	case asm.KindALU, asm.KindMovSX, asm.KindAddrSpaceCast:
		if !w.hasReg(dst) {
			return nil
		}
		mov := in.kind != asm.KindALU || in.info.ALU == asm.Mov
		if mov {
			w.dropReg(dst)
		}
		if (in.kind != asm.KindALU || in.info.Source == asm.RegSource) && src != 10 {
			w.addReg(src)
		}
	case asm.KindLoad, asm.KindLoadAcquire:
		if w.hasReg(dst) {
			w.backtrackLoad(dst, h)
		}
	case asm.KindStoreImm, asm.KindStoreReg, asm.KindStoreRelease:
		return w.backtrackStore(in, h)
	case asm.KindAtomic:
		return w.backtrackAtomic(in, h)
	case asm.KindLoadImm64:
		w.dropReg(dst)
	case asm.KindLoadAbs, asm.KindLoadInd:
		if w.hasReg(0) {
			return errGiveUp
		}
	case asm.KindJump:
		if in.info.Source != asm.RegSource || !w.hasReg(dst) && !w.hasReg(src) {
			return nil
		}
		if h == nil || h.flags&histSrcStack == 0 {
			w.addReg(src)
		}
		if h == nil || h.flags&histDstStack == 0 {
			w.addReg(dst)
		}
	case asm.KindCallLocal:
		return v.backtrackCall(in, i, subseq)
	case asm.KindCallHelper, asm.KindCallKfunc:
		return v.backtrackHelper(in, i, subseq)
	case asm.KindExit:
		return v.backtrackExit(subseq)
	}
	return nil
}

// backtrackLoad wants the slot that a register was loaded from in place of the register.
func (w *wanted) backtrackLoad(r uint8, h *hist) {
	w.dropReg(r)
	if h != nil && h.flags&histStack != 0 {
		w.slots[h.flags.frame()] |= 1 << h.flags.slot()
	}
}

// backtrackAtomic passes the store of an atomic operation and then, if there is one, its load. Linux 6.18
// forgets the load.
func (w *wanted) backtrackAtomic(in *insn, h *hist) error {
	to, ok := fetches(in)
	loads := ok && w.hasReg(uint8(to))
	if err := w.backtrackStore(in, h); err != nil {
		return err
	}
	if loads {
		w.backtrackLoad(uint8(to), h)
	}
	return nil
}

func (w *wanted) backtrackStore(in *insn, h *hist) error {
	if w.hasReg(uint8(in.Dst)) {
		return errGiveUp // a number as address: two pointers were subtracted
	}
	if h == nil || h.flags&histStack == 0 {
		return nil
	}
	frame, slot := h.flags.frame(), h.flags.slot()
	if w.slots[frame]>>slot&1 == 0 {
		return nil
	}
	w.slots[frame] &^= 1 << slot
	if in.kind != asm.KindStoreImm {
		w.addReg(uint8(in.Src))
	}
	return nil
}

// backtrackCall leaves, backwards, the function that is called, or passes a global one.
func (v *verifier) backtrackCall(in *insn, i, subseq int) error {
	w := &v.want
	if v.funcs[v.funcOf(in.target)].linkage == globalLinkage {
		if w.regs[w.frame]&arguments != 0 {
			return v.internal("precision of arguments is wanted behind a call")
		}
		w.dropReg(0)
		return nil
	}
	if w.regs[w.frame]&^arguments != 0 || w.slots[w.frame] != 0 || w.frame == 0 {
		return v.internal("precision of a callee's own is wanted before its call")
	}
	args := w.regs[w.frame]
	w.regs[w.frame] = 0
	w.frame--
	w.regs[w.frame] |= args
	return nil
}

// backtrackHelper passes the call of a helper, or leaves backwards what it called.
func (v *verifier) backtrackHelper(in *insn, i, subseq int) error {
	w := &v.want
	if in.mark&markCallback != 0 && i != subseq-1 {
		if w.regs[w.frame]&^arguments != 0 || w.slots[w.frame] != 0 || w.frame == 0 {
			return v.internal("precision of a callback's own is wanted before its call")
		}
		w.regs[w.frame] = 0
		w.frame--
		return nil
	}
	if in.kind == asm.KindCallHelper && in.Imm == int64(asm.FnTailCall) && i != subseq-1 {
		return v.enterBack(false) // a function ended in a tail call: r0 comes from elsewhere
	}
	if in.kind == asm.KindCallKfunc && v.p.Kfuncs[in.Imm].Name == "" {
		return errGiveUp
	}
	w.dropReg(0)
	if w.regs[w.frame]&arguments != 0 {
		return v.internal("precision of arguments is wanted behind a call")
	}
	return nil
}

// backtrackExit enters, backwards, the function that returns here.
func (v *verifier) backtrackExit(subseq int) error {
	w := &v.want
	if subseq >= 0 && v.insns[subseq].mark&markCallback != 0 {
		w.regs[w.frame] &^= arguments
	}
	if w.regs[w.frame]&arguments != 0 {
		return v.internal("precision of arguments is wanted behind a call")
	}
	return v.enterBack(subseq >= 1 && v.insns[subseq-1].kind == asm.KindCallLocal && w.hasReg(0))
}

// enterBack goes to the frame of a function that has returned; r0 says that its result is
// wanted.
func (v *verifier) enterBack(r0 bool) error {
	w := &v.want
	w.dropReg(0)
	if w.frame+1 >= len(w.regs) {
		return v.internal("calls nest too deeply on the way back")
	}
	w.frame++
	if r0 {
		w.addReg(0)
	}
	return nil
}

// internal returns the error for what cannot be.
func (v *verifier) internal(reason string) error {
	return v.fail(CodeInternalError, errnoEFAULT, "verifier bug: %s", reason)
}
