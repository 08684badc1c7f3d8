package verifier

import "github.com/sandbpf/sandbpf/asm"

// checkAtomic executes an atomic operation (check_atomic_rmw).
func (v *verifier) checkAtomic(in *insn) error {
	src, err := v.readReg(in.Src)
	if err != nil {
		return err
	}
	dst, err := v.readReg(in.Dst)
	if err != nil {
		return err
	}
	to := *dst
	load := -1
	switch {
	case in.info.Atomic == asm.AtomicCmpXchg:
		load = int(asm.R0)
		r0, err := v.readReg(asm.R0)
		if err != nil {
			return err
		}
		if !v.leaks && r0.isPointer() {
			return v.failReg(asm.R0, CodePtrLeak, errnoEACCES, "r0 leaks an address into memory")
		}
	case in.info.Atomic.Fetch():
		load = int(in.Src)
	}
	if !v.leaks && src.isPointer() {
		return v.failReg(in.Src, CodePtrLeak, errnoEACCES, "%s leaks an address into memory", in.Src)
	}
	if err := v.atomicTarget(in.Dst, &to); err != nil {
		return err
	}
	if to.kind == ptrArena && inArenaLoop(in.info.Atomic) {
		return v.failReg(in.Dst, CodeAtomic, errnoEACCES, "operation %#x is not for the arena: Linux compiles it to a loop, whose faults it cannot mend", int32(in.Imm))
	}
	if load == int(asm.R10) {
		return v.failReg(asm.R10, CodeFramePointer, errnoEACCES, "the frame pointer r10 is read-only")
	}
	a := access{r: in.Dst, off: int(in.Off), size: in.info.Size.Bytes(), value: -1, atomic: true, strict: true}
	if err := v.checkAccess(&a); err != nil {
		return err
	}
	if load >= 0 {
		a.value = load
		if err := v.checkAccess(&a); err != nil {
			return err
		}
	}
	a.value, a.write = -1, true
	if err := v.checkAccess(&a); err != nil {
		return err
	}
	if to.kind == ptrArena || load < 0 {
		return v.samePointer(&to, in.Dst, false)
	}
	return nil
}

// inArenaLoop reports whether an operation takes a loop of cmpxchg on x86 (bpf_jit_supports_insn).
func inArenaLoop(op asm.AtomicOp) bool {
	return op == asm.AtomicFetchAnd || op == asm.AtomicFetchOr || op == asm.AtomicFetchXor
}

// atomicTarget refuses memory that atomic operations are not for (atomic_ptr_type_ok).
func (v *verifier) atomicTarget(at asm.Register, r *reg) error {
	switch r.kind {
	case ptrCtx, ptrPacket, ptrPacketMeta, ptrFlowKeys, ptrSocket, ptrSockCommon, ptrTCPSock, ptrXDPSock:
		return v.failReg(at, CodeAtomic, errnoEACCES, "atomic operations on a pointer to %s are not allowed", kindName(r))
	}
	return nil
}
