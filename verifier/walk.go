package verifier

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
)

const globalLinkage = prog.Global

// pendingState is a way that has not been walked yet.
type pendingState struct {
	state      *state
	insn, prev int
}

// prepareWalk makes room for the states.
func (v *verifier) prepareWalk() {
	n := len(v.insns)
	if cap(v.heads) < n {
		v.heads = make([]*explored, n)
	}
	v.heads = v.heads[:n]
	if v.visits == nil {
		v.visits = make(map[sccKey]*sccVisit)
	}
	if cap(v.aux) < n {
		v.aux = make([]insnAux, n)
	}
	v.aux = v.aux[:n]
	clear(v.aux)
	v.kept = 0
}

// insnAux is what paths have found about an instruction.
type insnAux struct {
	ptr      kind // of the pointer that it dereferences; notInit: none yet
	ptrFlags flag
	mapArg   int16 // one more than the map argument of a call; -1 if it differs
	inline   bool  // a call of bpf_loop has been seen
}

// walkAll verifies the program, and then each global function that it calls
// (do_check_main, do_check_subprogs).
func (v *verifier) walkAll() error {
	for i := range v.funcs {
		if v.funcs[i].exception {
			v.funcs[i].reached, v.funcs[i].calledBack = true, true
		}
	}
	if err := v.walkFunc(0); err != nil {
		return err
	}
	for again := true; again; {
		again = false
		for i := 1; i < len(v.funcs); i++ {
			f := &v.funcs[i]
			if f.linkage != globalLinkage && !f.exception || !f.reached || f.done {
				continue
			}
			f.done = true
			if err := v.walkFunc(i); err != nil {
				return err
			}
			again = true
		}
	}
	return nil
}

// walkFunc explores all paths from the start of a function.
func (v *verifier) walkFunc(fn int) error {
	s := v.newState()
	s.branches = 1
	s.sleeps = v.sleepable
	s.frames = append(s.frames, v.enterFrame(fn, -1, 0))
	v.cur, v.walkedFunc = s, fn
	f := &v.funcs[fn]
	s.first, s.last = int32(f.start), -1
	v.insnIdx, v.prevIdx = f.start, -1
	if err := v.setArguments(fn, s.cur()); err != nil {
		return err
	}
	v.log.function(fn)
	if err := v.walk(f.start); err != nil {
		return err
	}
	// Precision does not go beyond the function; its states are of no use to others.
	v.forgetStates()
	return nil
}

// walk explores all paths from the current state (do_check).
func (v *verifier) walk(start int) error {
	next, prev := start, -1
	for {
		v.insnIdx, v.prevIdx, v.recorded = next, prev, false
		if v.processed++; v.processed > v.limit() {
			return v.fail(CodeTooComplex, errnoE2BIG, "the program is too large: %d instructions were explored", v.processed)
		}
		if v.processed&0xfff == 0 && v.env.Progress != nil {
			v.env.Progress(v.processed)
		}
		in := &v.insns[next]
		s := v.cur
		s.last, s.insn = int32(prev), int32(next)
		over := false
		if in.mark&markPrune != 0 {
			hit, err := v.visited(next)
			if err != nil {
				return err
			}
			over = hit
			if hit {
				v.log.safe(prev, next)
			}
		}
		if !over {
			if in.mark&markJump != 0 {
				v.pushHistory(0, 0)
			}
			prev = next
			var err error
			v.log.before(next)
			if s.spec {
				next, err = v.stepSpeculative(in)
			} else {
				next, err = v.step(in)
			}
			if err != nil {
				return err
			}
			v.log.after(prev)
			over = next == pathEnds
		}
		if over {
			var more bool
			var err error
			next, prev, more, err = v.nextPath()
			if err != nil || !more {
				return err
			}
		}
	}
}

func (v *verifier) limit() int { return maxProcessed }

// stepSpeculative is step on a path that only speculation takes. It ends where Linux has barriers
// that speculation does not pass: at an instruction that would be unsafe on such a path, and behind
// stores that a later load may overtake.
func (v *verifier) stepSpeculative(in *insn) (next int, err error) {
	if in.mark&markBarrier != 0 {
		return pathEnds, nil
	}
	next, err = v.step(in)
	if err != nil && recoverable(err) {
		in.mark |= markBarrier
		return pathEnds, nil
	}
	if in.mark&markBarrierAfter != 0 {
		next = pathEnds
	}
	return next, err
}

// recoverable reports whether an error ends a path that only speculation takes, and no more.
func recoverable(err error) bool {
	e, ok := err.(*Error)
	return ok && (e.Errno == errnoEPERM || e.Errno == errnoEACCES || e.Errno == errnoEINVAL)
}

// pathEnds is in place of the next instruction where there is none.
const pathEnds = -1

// nextPath ends the current path and goes on with the one put off last.
func (v *verifier) nextPath() (next, prev int, more bool, err error) {
	done := v.cur
	if err := v.finished(done); err != nil {
		return 0, 0, false, err
	}
	v.freeState(done)
	v.cur = nil
	n := len(v.pending)
	if n == 0 {
		return 0, 0, false, nil
	}
	p := v.pending[n-1]
	v.pending = v.pending[:n-1]
	v.cur = p.state
	v.log.from(p.prev, p.insn)
	return p.insn, p.prev, true, nil
}

// push puts off a way from the current state, which goes on at another instruction, and returns
// its state to be changed. Errno is what Linux returns if there are too many.
func (v *verifier) push(insn, prev, errno int) (*state, error) {
	s := v.copyState(v.cur)
	if err := v.pushState(s, insn, prev, errno); err != nil {
		return nil, err
	}
	return s, nil
}

func (v *verifier) pushState(s *state, insn, prev, errno int) error {
	v.pending = append(v.pending, pendingState{s, insn, prev})
	if len(v.pending) > maxPending {
		return v.fail(CodeTooManyJumps, errno, "the sequence of %d jumps is too complex", len(v.pending))
	}
	if s.parent != nil {
		s.parent.branches++
	}
	return nil
}

// step executes an instruction on the current state and returns the one to go on with.
func (v *verifier) step(in *insn) (int, error) {
	if in.mark&markChecked == 0 {
		if err := v.checkFields(in); err != nil {
			return 0, err
		}
		in.mark |= markChecked
	}
	at := v.insnIdx
	if !v.cur.spec { // what only speculation reaches is dead
		v.proof.Insns[at].Seen = true
	}
	if v.env.Observe != nil {
		v.observe()
	}
	next := at + 1
	var err error
	switch in.kind {
	case asm.KindALU:
		err = v.checkALU(in)
	case asm.KindNeg:
		err = v.checkNeg(in)
	case asm.KindToLE, asm.KindToBE, asm.KindBSwap:
		err = v.checkSwap(in)
	case asm.KindMovSX:
		err = v.checkMovSX(in)
	case asm.KindAddrSpaceCast:
		err = v.checkCast(in)
	case asm.KindLoadImm64:
		next, err = at+2, v.checkLoadImm64(in)
	case asm.KindLoad, asm.KindLoadAcquire:
		err = v.checkLoad(in)
	case asm.KindStoreReg, asm.KindStoreRelease:
		err = v.checkStoreReg(in)
	case asm.KindStoreImm:
		err = v.checkStoreImm(in)
	case asm.KindAtomic:
		err = v.checkAtomic(in)
	case asm.KindLoadAbs, asm.KindLoadInd:
		err = v.checkPacketLoad(in)
	default:
		v.jumps++
		return v.stepControl(in)
	}
	return next, err
}

// stepControl executes an instruction of the jump classes.
func (v *verifier) stepControl(in *insn) (int, error) {
	at := v.insnIdx
	switch in.kind {
	case asm.KindGoto:
		return int(in.target), nil
	case asm.KindJump:
		return v.checkJump(in)
	case asm.KindMayGoto:
		return v.checkMayGoto(in)
	case asm.KindCallLocal:
		return v.checkCallLocal(in)
	case asm.KindCallHelper, asm.KindCallKfunc:
		return v.checkCall(in)
	case asm.KindExit:
		return v.checkExit()
	}
	return at + 1, v.fail(CodeOpcode, errnoEINVAL, "unknown opcode %#02x", uint8(in.Op))
}

// checkFields checks what an instruction is encoded with. It is not before the instruction is
// reached that Linux does.
func (v *verifier) checkFields(in *insn) error {
	if in.kind == asm.KindInvalid {
		if in.Op.Class() == asm.ClassSTX && in.Op&0xe0 == asm.Opcode(asm.AtomicMode) {
			return v.fail(CodeAtomic, errnoEINVAL, "no such atomic operation: %#x on %d bytes", int32(in.Imm), asm.Size(in.Op&0x18).Bytes())
		}
		return v.fail(CodeReserved, errnoEINVAL, "opcode %#02x with fields that no instruction has", uint8(in.Op))
	}
	if err := in.Validate(); err != nil {
		return v.fail(CodeReserved, errnoEINVAL, "%s", trimPlace(err))
	}
	return nil
}

// nextID returns a fresh identity.
func (v *verifier) nextID() uint32 {
	v.ids++
	return v.ids
}
