package verifier

import (
	"slices"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/verifier/domain"
)

// acquire notes a reference that the program has got at the current instruction, and returns its
// identity.
func (v *verifier) acquire(kind refKind) uint32 {
	id := v.nextID()
	v.cur.refs = append(v.cur.refs, ref{id: id, insn: int32(v.insnIdx), kind: kind, owner: lockOwner{m: -1}})
	return id
}

// releaseRef takes a reference off the list. It reports whether it was there.
func (s *state) releaseRef(id uint32) bool {
	i := slices.IndexFunc(s.refs, func(r ref) bool { return r.kind == refPointer && r.id == id })
	if i < 0 {
		return false
	}
	s.refs = slices.Delete(s.refs, i, i+1)
	return true
}

// release gives a reference back: nothing that belongs to it can be used any more
// (release_reference).
func (v *verifier) release(id uint32) bool {
	if !v.cur.releaseRef(id) {
		return false
	}
	v.cur.eachReg(func(r *reg) {
		if r.ref == id && r.isPointer() {
			v.lose(r)
		}
	})
	return true
}

// lose makes a register whose memory is gone a number, or nothing where addresses must not be seen
// (mark_reg_invalid).
func (v *verifier) lose(r *reg) {
	*r = reg{}
	if v.leaks {
		*r = unknownReg()
	}
}

// held returns the first reference to a pointer, nil if there is none.
func (s *state) held() *ref {
	for i := range s.refs {
		if s.refs[i].kind == refPointer {
			return &s.refs[i]
		}
	}
	return nil
}

// noResources refuses what must not be done while the program holds something: leaving it, or
// entering another one (check_resource_leak).
func (v *verifier) noResources(what string) error {
	s := v.cur
	if r := s.held(); r != nil {
		e := v.fail(CodeReference, errnoEINVAL, "%s would leak the reference that was acquired at instruction %d", what, r.insn)
		e.Origin = append(e.Origin, v.origin(int(r.insn), "acquires the reference"))
		return e
	}
	switch {
	case s.locks > 0:
		e := v.fail(CodeLock, errnoEINVAL, "%s with a spin lock held", what)
		for i := range s.refs {
			if k := s.refs[i].kind; k != refPointer && k != refIRQ {
				e.Origin = append(e.Origin, v.origin(int(s.refs[i].insn), "takes the lock"))
			}
		}
		return e
	case s.irqID != 0:
		return v.fail(CodeIRQ, errnoEINVAL, "%s with interrupts disabled", what)
	case s.rcu:
		return v.fail(CodeRCU, errnoEINVAL, "%s in an RCU read section", what)
	case s.preempt > 0:
		return v.fail(CodePreempt, errnoEINVAL, "%s with preemption disabled", what)
	}
	return nil
}

// inRCUSection reports whether what RCU protects stays valid: in a read section, under a lock, or in
// a program that cannot sleep.
func (v *verifier) inRCUSection() bool {
	return v.cur.rcu || v.cur.locks > 0 || !v.cur.sleeps
}

// mayNotSleep refuses what may sleep where it must not.
func (v *verifier) mayNotSleep(what string) error {
	s := v.cur
	switch {
	case s.rcu:
		return v.fail(CodeSleep, errnoEINVAL, "%s may sleep, in an RCU read section", what)
	case s.preempt > 0:
		return v.fail(CodeSleep, errnoEINVAL, "%s may sleep, with preemption disabled", what)
	case s.irqID != 0:
		return v.fail(CodeSleep, errnoEINVAL, "%s may sleep, with interrupts disabled", what)
	}
	return nil
}

// forgetPackets invalidates all pointers into the packet (clear_all_pkt_pointers).
func (v *verifier) forgetPackets() {
	v.cur.eachReg(func(r *reg) {
		if r.isPacketAny() || r.kind == ptrMem && r.has(packetSlice) {
			v.lose(r)
		}
	})
}

// packetSlice marks a slice of a dynptr to a packet, and a dynptr that may be one.
const packetSlice flag = 1 << 12

// forgetNonOwning invalidates pointers to nodes of lists and trees whose lock is given back.
func (v *verifier) forgetNonOwning() {
	v.cur.eachReg(func(r *reg) {
		if r.isPointer() && r.has(nonOwn) {
			v.lose(r)
		}
	})
}

// mayHoldLock reports whether a pointer's identity matters because there may be a lock behind it.
func (v *verifier) mayHoldLock(r *reg) bool {
	switch r.kind {
	case ptrMapValue:
		return v.maps[r.m].hasLock
	case ptrBTF:
		return r.has(alloc) && slices.ContainsFunc(v.fieldsOfType(v.types[r.aux]), func(f field) bool {
			return f.kind == fieldSpinLock || f.kind == fieldResLock
		})
	}
	return false
}

// lockField returns the lock that a pointer points to (process_spin_lock).
func (v *verifier) lockField(at asm.Register, r *reg, lock refKind) (lockOwner, error) {
	if lock == refLock && v.compareNodes(v.cur.frames) {
		return lockOwner{}, v.fail(CodeLock, errnoEACCES, "a spin lock cannot be taken or given back by the comparison of bpf_rbtree_add")
	}
	kind := fieldSpinLock
	if lock != refLock {
		kind = fieldResLock
	}
	owner := lockOwner{m: -1, id: r.id}
	var fields []field
	switch {
	case r.kind == ptrMapValue && !r.has(orNull):
		m := v.maps[r.m]
		if m.Value == nil {
			return owner, v.failReg(at, CodeLock, errnoEINVAL, "map %s has no type (BTF) that says where its lock is", m.Name)
		}
		owner.m, fields = r.m, m.fields
	case r.kind == ptrBTF && r.has(alloc):
		owner.ty, fields = r.aux+1, v.fieldsOfType(v.types[r.aux])
	default:
		return owner, v.failReg(at, CodeArgType, errnoEACCES, "%s is no pointer to a map's value or to an object", at)
	}
	if !r.Tnum.IsConst() {
		return owner, v.failReg(at, CodeLock, errnoEINVAL, "the %s is at a variable offset", kind)
	}
	if fieldAt(fields, int(int64(r.off)+int64(r.Tnum.Value)), kind) == nil {
		return owner, v.failReg(at, CodeLock, errnoEINVAL, "there is no %s at offset %d", kind, r.off)
	}
	return owner, nil
}

// lock takes a spin lock.
func (v *verifier) lock(at asm.Register, r *reg, kind refKind) error {
	owner, err := v.lockField(at, r, kind)
	if err != nil {
		return err
	}
	s := v.cur
	if kind == refLock && s.locks > 0 {
		return v.fail(CodeLock, errnoEINVAL, "two spin locks at a time would dead-lock")
	}
	if kind != refLock {
		for _, held := range s.refs {
			if (held.kind == refResLock || held.kind == refResLockIRQ) && held.owner == owner {
				return v.fail(CodeLock, errnoEINVAL, "this lock is held already")
			}
		}
	}
	id := v.acquire(kind)
	s.refs[len(s.refs)-1].owner = owner
	s.locks++
	if kind != refLock {
		s.refs[len(s.refs)-1].prev = s.lockID
		s.lockID = id
	}
	return nil
}

// unlock gives a spin lock back.
func (v *verifier) unlock(at asm.Register, r *reg, kind refKind) error {
	owner, err := v.lockField(at, r, kind)
	if err != nil {
		return err
	}
	s := v.cur
	if s.locks == 0 {
		return v.fail(CodeLock, errnoEINVAL, "unlock of a lock that is not held")
	}
	i := slices.IndexFunc(s.refs, func(h ref) bool { return h.kind == kind && h.owner == owner })
	if i < 0 {
		return v.fail(CodeLock, errnoEINVAL, "unlock of another lock than the one that is held")
	}
	if kind != refLock && s.refs[i].id != s.lockID {
		return v.fail(CodeLock, errnoEINVAL, "locks are given back in the reverse order")
	}
	if kind != refLock {
		s.lockID = s.refs[i].prev
	}
	s.refs = slices.Delete(s.refs, i, i+1)
	s.locks--
	v.forgetNonOwning()
	return nil
}

// checkExit executes exit: the end of the program, or of a function that it calls (process_bpf_exit_full).
func (v *verifier) checkExit() (int, error) {
	s := v.cur
	if s.top() > 0 {
		return v.returnFromFrame()
	}
	what := "the program's end"
	if err := v.noResources(what); err != nil {
		return 0, err
	}
	return pathEnds, v.checkReturn(asm.R0)
}

// checkReturn checks what a program, or a global or asynchronous function, returns (check_return_code).
func (v *verifier) checkReturn(at asm.Register) error {
	f := v.cur.cur()
	fn := &v.funcs[v.walkedFunc]
	sub := v.walkedFunc != 0 && !fn.exception
	r, err := v.readReg(at)
	if err != nil {
		return err
	}
	switch {
	case f.callback == asyncCallback:
		return v.inRange(at, r, f.returns, "the callback's end")
	case sub:
		if r.kind != scalar {
			return v.failReg(at, CodeReturn, errnoEINVAL, "a global function returns a number, %s is a pointer to %s", at, kindName(r))
		}
		return nil
	}
	if !v.leaks && r.isPointer() {
		return v.failReg(at, CodePtrLeak, errnoEACCES, "%s leaks an address as return value", at)
	}
	rng, ok := v.returnRange()
	if !ok {
		return nil
	}
	if v.p.Type == prog.LSM && v.p.Attach != attachLSMCGroup && r.kind == scalar { // an int of the hook's
		low := *r
		low.S64 = domain.Bounds[int64]{Min: int64(r.S32.Min), Max: int64(r.S32.Max)}
		r = &low
	}
	return v.inRange(at, r, rng, "the program's end")
}

// inRange refuses a result that may be outside of a range.
func (v *verifier) inRange(at asm.Register, r *reg, rng Range, where string) error {
	if r.kind != scalar {
		return v.failReg(at, CodeReturn, errnoEINVAL, "at %s %s must be %v, it is a pointer to %s", where, at, rng, kindName(r))
	}
	if err := v.markPrecise(at); err != nil {
		return err
	}
	if r.S64.Min < rng.Min || r.S64.Max > rng.Max {
		return v.failReg(at, CodeReturn, errnoEINVAL, "at %s %s is %v, it must be %v", where, at, Range{r.S64.Min, r.S64.Max}, rng)
	}
	return nil
}

// The attach types whose programs' results are restricted in a way of their own
// (enum bpf_attach_type).
const (
	attachCGroupEgress  prog.AttachType = 1
	attachBind4         prog.AttachType = 8
	attachBind6         prog.AttachType = 9
	attachRecvmsg4      prog.AttachType = 19
	attachRecvmsg6      prog.AttachType = 20
	attachRawTP         prog.AttachType = 23
	attachFentry        prog.AttachType = 24
	attachFexit         prog.AttachType = 25
	attachModifyReturn  prog.AttachType = 26
	attachLSM           prog.AttachType = 27
	attachGetpeername4  prog.AttachType = 29
	attachGetpeername6  prog.AttachType = 30
	attachGetsockname4  prog.AttachType = 31
	attachGetsockname6  prog.AttachType = 32
	attachLSMCGroup     prog.AttachType = 43
	attachRecvmsgUnix   prog.AttachType = 51
	attachGetpeernameU  prog.AttachType = 52
	attachGetsocknameU  prog.AttachType = 53
	attachTraceIter                     = attachIter
	attachKprobeSession prog.AttachType = 56
	attachUprobeSession prog.AttachType = 57
)

// returnRange returns what a program may return; false: anything.
func (v *verifier) returnRange() (Range, bool) {
	if v.p.Type == prog.Custom {
		if v.env.Returns == nil {
			return Range{}, false
		}
		return *v.env.Returns, true
	}
	switch v.p.Type {
	case prog.CGroupSockAddr:
		switch v.p.Attach {
		case attachRecvmsg4, attachRecvmsg6, attachGetpeername4, attachGetpeername6, attachGetsockname4, attachGetsockname6,
			attachRecvmsgUnix, attachGetpeernameU, attachGetsocknameU:
			return Range{1, 1}, true
		case attachBind4, attachBind6:
			return Range{0, 3}, true
		}
		return Range{0, 1}, true
	case prog.CGroupSKB:
		if v.p.Attach == attachCGroupEgress {
			return Range{0, 3}, true
		}
		return Range{0, 1}, true
	case prog.CGroupSock, prog.SockOps, prog.CGroupDevice, prog.CGroupSysctl, prog.CGroupSockopt, prog.SkLookup, prog.Netfilter:
		return Range{0, 1}, true
	case prog.RawTracepoint:
		return Range{0, 0}, v.p.Target != "" && v.p.Attach != 0
	case prog.Kprobe:
		return Range{0, 1}, v.p.Attach == attachKprobeSession || v.p.Attach == attachUprobeSession
	case prog.Tracing:
		switch v.p.Attach {
		case attachFentry, attachFexit:
			return Range{0, 0}, true
		case attachTraceIter:
			return Range{0, 1}, true
		}
		return Range{}, false
	case prog.LSM:
		return v.lsmRange()
	}
	return Range{}, false
}

// lsmRange is what LSM programs return: 0 or an error, by hook (bpf_lsm_get_retval_range).
func (v *verifier) lsmRange() (Range, bool) {
	hook := linux.Func("bpf_lsm_" + v.p.Target)
	void := hook != nil && (hook.Return == nil || hook.Return.Kind == prog.BTFVoid)
	switch {
	case v.p.Attach == attachLSMCGroup && void:
		return Range{1, 1}, true
	case v.p.Attach == attachLSMCGroup:
		return Range{0, 1}, true
	case void:
		return Range{}, false
	}
	switch v.p.Target {
	case "inode_xattr_skipcap", "audit_rule_known": // bool
		return Range{0, 1}, true
	}
	return Range{-4095, 0}, true
}
