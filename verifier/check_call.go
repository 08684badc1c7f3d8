package verifier

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier/domain"
)

// callMeta is what the arguments of a call say (bpf_call_arg_meta).
type callMeta struct {
	fn     asm.BuiltinFunc
	proto  *helper.Proto
	m      int16 // map, -1 if there is none
	mapUID uint32
	fromR  asm.Register // register of the map

	packetOK bool // memory may lie in the packet

	raw     bool // the memory that comes next need not be initialised
	rawReg  asm.Register
	rawSize int // bytes of stack that are written so

	memSize    int64 // constant size of what is returned
	maxSize    uint64
	ref        uint32
	releaseReg asm.Register // 0: none
	callee     int          // function given, -1

	key       uint32 // constant key
	keyKnown  bool
	dynptr    *reg // initialised dynptr argument
	dynptrArg reg  // what dynptr points to
	moved     bool // the packet may have moved
	kptr      *field
	btf       uint32 // type of the BTF argument
	btfPtr    reg

	global string // name of a global function

	// Of kernel functions.
	kfunc     *linux.Kfunc
	constant  uint64 // of an argument that must be one
	memRdonly bool
	owning    bool // the object argument is owned
	lockReg   asm.Register
	iter      *slot
	irq       *slot // where flags are saved
	irqClass  uint32
	root      *field // list or tree
	node      *field
}

// name returns what is called, for messages.
func (m *callMeta) name() string {
	switch {
	case m.proto != nil:
		return m.proto.String()
	case m.kfunc != nil:
		return m.kfunc.Name
	case m.global != "":
		return "function " + m.global
	}
	return "the call"
}

// helperProto returns the prototype of a helper, nil if there is none of this number.
func (v *verifier) helperProto(fn asm.BuiltinFunc) *helper.Proto {
	if v.env.Helper != nil {
		if p := v.env.Helper(fn); p != nil {
			return p
		}
	}
	p, _ := helper.Get(fn)
	return p
}

// checkCall executes the call of a helper or kernel function.
func (v *verifier) checkCall(in *insn) (next int, err error) {
	v.wrote = 0
	if in.kind == asm.KindCallHelper {
		next, err = v.checkCallHelper(in)
	} else {
		next, err = v.checkCallKfunc(in)
	}
	if err == nil {
		v.wroteSlots(v.wrote)
	}
	return next, err
}

// checkCallHelper executes the call of a helper (check_helper_call).
func (v *verifier) checkCallHelper(in *insn) (int, error) {
	fn := asm.BuiltinFunc(in.Imm)
	if v.cur.locks > 0 && fn != asm.FnSpinUnlock {
		return 0, v.fail(CodeLock, errnoEINVAL, "%s cannot be called with a spin lock held", fn)
	}
	proto, err := v.callable(fn)
	if err != nil {
		return 0, err
	}
	meta := &v.callArgs
	*meta = callMeta{fn: fn, proto: proto, m: -1, callee: -1, packetOK: proto.PacketMem}
	for i := range proto.Args {
		arg := v.argOf(&proto.Args[i])
		if err := v.checkArg(arg, proto, i); err != nil {
			return 0, err
		}
	}
	if err := v.afterArgs(meta); err != nil {
		return 0, err
	}
	if fn == asm.FnTailCall && v.cur.top() > 0 {
		return v.tailCallInFunc()
	}
	moved, err := v.special(meta)
	if err != nil {
		return 0, err
	}
	v.clobberCall()
	if err := v.setResult(meta); err != nil {
		return 0, err
	}
	if meta.m >= 0 {
		if err := v.checkMapHelper(v.maps[meta.m], fn); err != nil {
			return 0, err
		}
	}
	if proto.MovesPacket || moved {
		v.forgetPackets()
	}
	v.noteCall(meta)
	return v.insnIdx + 1, nil
}

// argOf returns what an argument is in programs of this type.
func (v *verifier) argOf(a *helper.Arg) *helper.Arg {
	if a.Alt != nil && v.known && a.AltIn.Has(v.variant) {
		return a.Alt
	}
	return a
}

// callable refuses helpers that the program may not call.
func (v *verifier) callable(fn asm.BuiltinFunc) (*helper.Proto, error) {
	if v.env.Helper != nil {
		if p := v.env.Helper(fn); p != nil {
			return p, nil
		}
	}
	p, ok := helper.Get(fn)
	switch {
	case int64(fn) == prog.FailedRelocation:
		return nil, v.fail(CodeHelperUnknown, errnoEINVAL, "a CO-RE relocation found no match in the target's types")
	case !ok:
		return nil, v.fail(CodeHelperUnknown, errnoEINVAL, "there is no helper number %d", int32(fn))
	case !v.allowed(p):
		return nil, v.fail(CodeHelperDenied, errnoEINVAL, "programs of type %v cannot call %s", v.p.Type, fn)
	case p.GPL && !v.gpl:
		return nil, v.fail(CodeLicense, errnoEINVAL, "%s is for programs with a GPL-compatible licence, this one has %q", fn, v.p.License)
	case v.p.Type == prog.Syscall && hookHelpers[fn]:
		return nil, v.fail(CodeHelperDenied, errnoEINVAL, "%s is for programs at hooks that it is safe at, not for those of type %v", fn, v.p.Type)
	case p.Sleeps && !v.cur.sleeps:
		return nil, v.fail(CodeSleep, errnoEINVAL, "%s may sleep, the program may not", fn)
	case p.Sleeps:
		return p, v.mayNotSleep(p.String())
	}
	return p, nil
}

// allowed reports whether the program's type may call a helper.
func (v *verifier) allowed(p *helper.Proto) bool {
	if v.p.Type == prog.Custom {
		return p.Availability.Has(kprobeVariant)
	}
	if !v.leaks && perfmonHelpers[p.ID] {
		return false
	}
	return v.known && p.Availability.Has(v.variant)
}

// kprobeVariant is what hooks that Linux does not have are like.
var kprobeVariant, _ = helper.VariantOf(prog.Kprobe, 0, "")

// hookHelpers ask what a program is attached to (bpf_func_proto.allowed). Linux has them for programs of type
// syscall, too, and refuses every call.
var hookHelpers = map[asm.BuiltinFunc]bool{asm.FnSkStorageGet: true, asm.FnSkStorageDelete: true, asm.FnDPath: true}

// perfmonHelpers tell what lies in memory or who runs, and need CAP_PERFMON
// (bpf_base_func_proto).
var perfmonHelpers = map[asm.BuiltinFunc]bool{
	asm.FnTracePrintk: true, asm.FnGetCurrentTask: true, asm.FnGetCurrentTaskBtf: true, asm.FnProbeReadUser: true,
	asm.FnProbeReadKernel: true, asm.FnProbeReadUserStr: true, asm.FnProbeReadKernelStr: true, asm.FnSnprintfBtf: true,
	asm.FnSnprintf: true, asm.FnTaskPtRegs: true, asm.FnTraceVprintk: true, asm.FnGetTaskStack: true, asm.FnGetCurrentComm: true,
	asm.FnCopyFromUser: true, asm.FnCopyFromUserTask: true,
	asm.FnPerfEventRead: true, asm.FnPerfEventReadValue: true, asm.FnGetStackid: true, asm.FnGetStack: true, asm.FnSendSignal: true,
	asm.FnSendSignalThread: true, asm.FnGetBranchSnapshot: true, asm.FnFindVma: true,
	asm.FnSkcToTcp6Sock: true, asm.FnSkcToTcpSock: true, asm.FnSkcToTcpTimewaitSock: true, asm.FnSkcToTcpRequestSock: true,
	asm.FnSkcToUdp6Sock: true, asm.FnSkcToUnixSock: true, asm.FnSkcToMptcpSock: true, asm.FnGetRetval: true, asm.FnSetRetval: true,
}

// afterArgs does what a call does once all arguments are in order, whatever the helper.
func (v *verifier) afterArgs(meta *callMeta) error {
	if meta.m >= 0 {
		if err := v.recordMap(meta); err != nil {
			return err
		}
	}
	if meta.rawSize > 0 {
		r := &v.cur.cur().regs[meta.rawReg]
		off := int(int64(r.off) + int64(r.Tnum.Value))
		if !v.leaks {
			if err := v.keepSpills(meta.rawReg, r, off, off+meta.rawSize); err != nil {
				return err
			}
		}
		if err := v.destroyDynptr(v.cur.frames[r.frame], r.frame, off, meta.rawSize); err != nil {
			return err
		}
		v.miscStack(int(r.frame), off, off+meta.rawSize)
	}
	if meta.releaseReg != 0 {
		return v.releaseArg(meta)
	}
	return nil
}

// recordMap notes the map of a call, and refuses to have a read-only one changed (record_func_map).
func (v *verifier) recordMap(meta *callMeta) error {
	m := v.maps[meta.m]
	switch meta.fn {
	case asm.FnMapUpdateElem, asm.FnMapDeleteElem, asm.FnMapPushElem, asm.FnMapPopElem:
		if !m.writable() {
			return v.fail(CodeReadOnly, errnoEACCES, "write into map %s, which is read-only for programs", m.Name)
		}
	case asm.FnTailCall:
		if r := &v.cur.cur().regs[asm.R3]; r.isConst() && r.Tnum.Value < uint64(m.MaxEntries) {
			return v.markPrecise(asm.R3)
		}
	}
	return nil
}

// releaseArg gives back the reference that an argument holds.
func (v *verifier) releaseArg(meta *callMeta) error {
	r := &v.cur.cur().regs[meta.releaseReg]
	switch {
	case meta.dynptr != nil:
		return v.releaseDynptr(r)
	case r.isNull():
		return nil
	case meta.fn == asm.FnKptrXchg:
		return v.giveToKptr(meta)
	}
	if !v.release(meta.ref) {
		return v.failReg(meta.releaseReg, CodeReference, errnoEINVAL, "%s gives back a reference that was not acquired", meta.name())
	}
	return nil
}

// giveToKptr is kptr_xchg's second argument: the map owns the object from now on.
func (v *verifier) giveToKptr(meta *callMeta) error {
	id := meta.ref
	r := &v.cur.cur().regs[asm.R2]
	if v.inRCUSection() && r.has(percpu) {
		v.cur.releaseRef(id)
		v.cur.eachReg(func(x *reg) {
			if x.ref == id {
				x.ref = 0
				x.flags = x.flags&^(alloc|trusted) | inRCU
			}
		})
		return nil
	}
	if !v.release(id) {
		return v.failReg(asm.R2, CodeReference, errnoEINVAL, "bpf_kptr_xchg takes a reference that was not acquired")
	}
	return nil
}

// clobberCall makes r0 to r5 unusable.
func (v *verifier) clobberCall() {
	f := v.cur.cur()
	for r := range f.regs[:6] {
		f.regs[r] = reg{}
	}
}

// special does what single helpers do. Moved says that the packet may have moved.
func (v *verifier) special(meta *callMeta) (moved bool, err error) {
	f := v.cur.cur()
	switch meta.fn {
	case asm.FnTailCall:
		return false, v.noResources("a tail call")
	case asm.FnGetLocalStorage:
		if !f.regs[asm.R2].isNull() {
			return false, v.failReg(asm.R2, CodeArgConst, errnoEINVAL, "bpf_get_local_storage takes no flags")
		}
	case asm.FnForEachMapElem:
		if !iterable(v.maps[meta.m].Type) {
			return false, v.fail(CodeMapHelper, errnoENOTSUPP, "elements of maps of type %v cannot be walked", v.maps[meta.m].Type)
		}
		return false, v.pushCallback(meta, Range{0, 1})
	case asm.FnLoop:
		return false, v.checkLoop(meta)
	case asm.FnFindVma, asm.FnUserRingbufDrain:
		return false, v.pushCallback(meta, Range{0, 1})
	case asm.FnTimerSetCallback:
		return false, v.pushAsync(meta, Range{0, 0}, false)
	case asm.FnSpinLock:
		return false, v.lock(asm.R1, &f.regs[asm.R1], refLock)
	case asm.FnSpinUnlock:
		return false, v.unlock(asm.R1, &f.regs[asm.R1], refLock)
	case asm.FnSnprintf:
		return false, v.checkFormat(meta)
	case asm.FnTraceVprintk, asm.FnSeqPrintf:
		return false, v.checkDataLen(meta)
	case asm.FnDynptrFromMem:
		if r := &f.regs[asm.R1]; r.kind != ptrMapValue {
			return false, v.failReg(asm.R1, CodeDynptr, errnoEACCES, "a dynptr is made of memory of a map's value only, not of %s", kindName(r))
		}
	case asm.FnDynptrWrite:
		return meta.dynptr != nil && movesPacket(meta.dynptr), nil
	case asm.FnGetFuncIp:
		switch v.p.Type {
		case prog.Kprobe, prog.Tracing:
		default:
			return false, v.fail(CodeUnsupported, errnoENOTSUPP, "bpf_get_func_ip is not for programs of type %v", v.p.Type)
		}
	}
	return false, nil
}

func iterable(t maps.Type) bool {
	switch t {
	case maps.Array, maps.PerCPUArray, maps.Hash, maps.LRUHash, maps.PerCPUHash, maps.LRUCPUHash:
		return true
	}
	return false
}

// checkLoop is bpf_loop: its callback is walked unless it cannot run once more.
func (v *verifier) checkLoop(meta *callMeta) error {
	f := v.cur.cur()
	if f.regs[asm.R1].kind != scalar { // Linux finds no number to be exact about, and takes that for a mistake of its own
		return v.failReg(asm.R1, CodeArgType, errnoEFAULT, "bpf_loop wants a number of turns in r1, it is %s", kindName(&f.regs[asm.R1]))
	}
	if a := &v.aux[v.insnIdx]; !a.inline && f.regs[asm.R4].isNull() {
		if err := v.markPrecise(asm.R4); err != nil {
			return err
		}
	} else {
		a.inline = true
	}
	if err := v.markPrecise(asm.R1); err != nil {
		return err
	}
	if uint64(f.callbackDepth) >= f.regs[asm.R1].U64.Max {
		f.callbackDepth = 0
		return nil
	}
	return v.pushCallback(meta, Range{0, 1})
}

// checkDataLen checks the data of a format: eight bytes an argument.
func (v *verifier) checkDataLen(meta *callMeta) error {
	r := &v.cur.cur().regs[asm.R4]
	if meta.fn == asm.FnSeqPrintf {
		r = &v.cur.cur().regs[asm.R5]
	}
	if r.Tnum.IsConst() && r.Tnum.Value%8 != 0 {
		return v.fail(CodeArgSize, errnoEINVAL, "data of a format is a multiple of 8 bytes")
	}
	return nil
}

// checkFormat checks snprintf's data against its constant format.
func (v *verifier) checkFormat(meta *callMeta) error {
	f := v.cur.cur()
	size := &f.regs[asm.R5]
	if !size.Tnum.IsConst() || size.Tnum.Value%8 != 0 {
		return v.fail(CodeArgSize, errnoEINVAL, "data of a format is a constant multiple of 8 bytes")
	}
	format, ok := v.constString(&f.regs[asm.R3])
	if !ok {
		return v.failReg(asm.R3, CodeArgConst, errnoEACCES, "the format is no constant string")
	}
	if n, ok := formatArgs(format); !ok || n > int(size.Tnum.Value/8) {
		return v.fail(CodeArgConst, errnoEINVAL, "the format %q does not go with %d arguments", format, size.Tnum.Value/8)
	}
	return nil
}

// tailCallInFunc is a tail call in a function of the program: it falls through, or the program that was
// called returns in place of the function.
func (v *verifier) tailCallInFunc() (int, error) {
	if err := v.noResources("a tail call"); err != nil {
		return 0, err
	}
	if err := v.checkMapHelper(v.maps[v.callArgs.m], asm.FnTailCall); err != nil {
		return 0, err
	}
	v.noteCall(&v.callArgs)
	v.clobberCall()
	if _, err := v.push(v.insnIdx+1, v.insnIdx, errnoEFAULT); err != nil {
		return 0, err
	}
	v.forgetPackets()
	v.cur.cur().regs[asm.R0] = unknownReg()
	return v.returnFromFrame()
}

// setResult gives r0 what the helper returns.
func (v *verifier) setResult(meta *callMeta) error {
	ret := &meta.proto.Ret
	r0 := &v.cur.cur().regs[asm.R0]
	null := flag(0)
	if ret.Flags&helper.RetOrNull != 0 {
		null = orNull
	}
	switch ret.Kind {
	case helper.RetVoid:
		return nil
	case helper.RetInt:
		*r0 = unknownReg()
		v.refineResult(meta, r0)
		return nil
	case helper.RetMapValue:
		*r0 = pointer(ptrMapValue, null)
		r0.m, r0.aux = meta.m, meta.mapUID
		if null != 0 && meta.fn == asm.FnMapLookupElem && meta.keyKnown && meta.key < v.leastEntries(meta.m) {
			null, r0.flags = 0, r0.flags&^orNull
		}
		if null == 0 && v.maps[meta.m].hasLock {
			r0.id = v.nextID()
		}
	case helper.RetRingbufMem:
		*r0 = pointer(ptrMem, null|ringbufMem)
		r0.size = int32(meta.memSize)
	case helper.RetDynptrMem:
		*r0 = pointer(ptrMem, null)
		r0.size = int32(meta.memSize)
		if d := meta.dynptr; d != nil {
			r0.dynptr, r0.ref = d.id, d.ref // of a packet there is none
		}
	case helper.RetSocket:
		*r0 = pointer(ptrSocket, null)
	case helper.RetSockCommon:
		*r0 = pointer(ptrSockCommon, null)
	case helper.RetTCPSock:
		*r0 = pointer(ptrTCPSock, null)
	case helper.RetBTF:
		v.setBTFResult(meta, r0, null)
		null = r0.flags & orNull
	case helper.RetMemOrBTF:
		v.setPerCPUResult(meta, r0, null)
	}
	if null != 0 {
		r0.id = v.nextID()
	}
	acquires := ret.Flags&helper.RetAcquire != 0 || meta.fn == asm.FnMapLookupElem && v.maps[meta.m].isSockMap()
	switch {
	case acquires:
		id := v.acquire(refPointer)
		r0.id, r0.ref = id, id
	case isCast(meta.fn):
		r0.ref = meta.ref
	}
	return nil
}

func (v *verifier) setBTFResult(meta *callMeta, r0 *reg, null flag) {
	*r0 = pointer(ptrBTF, null)
	if f := meta.kptr; f != nil {
		t := v.kptrTarget(f)
		r0.aux = v.typeID(t)
		if v.isLocal(f.target) {
			r0.flags |= alloc
			if f.kind == fieldKptrPercpu {
				r0.flags |= percpu
			}
		}
		return
	}
	r0.aux = v.typeID(kernelStruct(meta.proto.Ret.Struct))
	if meta.proto.Ret.Flags&helper.RetTrusted != 0 {
		r0.flags |= trusted
	}
}

// setPerCPUResult is what per_cpu_ptr and this_cpu_ptr return: the variable of a CPU.
func (v *verifier) setPerCPUResult(meta *callMeta, r0 *reg, null flag) {
	t := v.types[meta.btf]
	if meta.btfPtr.has(inRCU) { // the object of bpf_percpu_obj_new
		*r0 = pointer(ptrBTF, null|alloc|inRCU)
		r0.aux = meta.btf
		return
	}
	if t.Kind == prog.BTFStruct || t.Kind == prog.BTFFwd {
		*r0 = pointer(ptrBTF, null)
		r0.aux = meta.btf
		return
	}
	*r0 = pointer(ptrMem, null|rdonly)
	r0.size = int32(sizeOf(t))
}

// isCast reports whether a helper returns its argument as another kind of pointer.
func isCast(fn asm.BuiltinFunc) bool {
	switch fn {
	case asm.FnTcpSock, asm.FnSkFullsock, asm.FnSkcToTcp6Sock, asm.FnSkcToTcpSock, asm.FnSkcToTcpTimewaitSock, asm.FnSkcToTcpRequestSock,
		asm.FnSkcToUdp6Sock, asm.FnSkcToUnixSock, asm.FnSkcToMptcpSock:
		return true
	}
	return false
}

// refineResult bounds the results of some helpers (do_refine_retval_range).
func (v *verifier) refineResult(meta *callMeta, r *reg) {
	ret := &meta.proto.Ret
	switch {
	case ret.Flags&helper.RetUpToSize != 0:
		r.S64 = domain.Bounds[int64]{Min: -4095, Max: int64(meta.maxSize)}
		r.S32 = domain.Bounds[int32]{Min: -4095, Max: int32(meta.maxSize)}
	case ret.Flags&helper.RetCPU != 0 && v.env.NumCPU > 0:
		n := uint32(v.env.NumCPU - 1)
		r.U64 = domain.Bounds[uint64]{Max: uint64(n)}
		r.U32 = domain.Bounds[uint32]{Max: n}
		r.S64 = domain.Bounds[int64]{Max: int64(n)}
		r.S32 = domain.Bounds[int32]{Max: int32(n)}
	default:
		return
	}
	r.Scalar, _ = domain.Linux.Sync(r.Scalar)
}

// checkLoadImm64 executes a load of 64 bits: a number, or what it stands for (check_ld_imm).
func (v *verifier) checkLoadImm64(in *insn) error {
	dst, err := v.writeReg(in.Dst)
	if err != nil {
		return err
	}
	switch in.Src {
	case asm.PseudoNone:
		*dst = constReg(uint64(in.Imm))
	case asm.PseudoFunc:
		fn := v.funcOf(in.target)
		if v.funcs[fn].proto == nil && !v.hasFuncInfo() {
			return v.fail(CodeBTF, errnoEINVAL, "the address of a function needs its type (BTF)")
		}
		if v.funcs[fn].linkage != prog.Static {
			return v.fail(CodeCallback, errnoEINVAL, "function %s is not static, its address cannot be taken", v.funcs[fn].name)
		}
		*dst = pointer(ptrFunc, 0)
		dst.aux = uint32(fn)
	case asm.PseudoBTFID:
		return v.loadExtern(in, dst)
	case asm.PseudoMapIdx:
		*dst = pointer(ptrMap, 0)
		dst.m = int16(in.ImmLo())
	case asm.PseudoMapIdxValue:
		m := in.ImmLo()
		if v.maps[m].Type == maps.Arena {
			*dst = unknownReg()
			return nil
		}
		*dst = pointer(ptrMapValue, 0)
		dst.m, dst.off = int16(m), int32(in.ImmHi())
	}
	return nil
}

// hasFuncInfo reports whether the program says anything about its functions.
func (v *verifier) hasFuncInfo() bool {
	for i := range v.p.Funcs {
		if v.p.Funcs[i].Proto != nil {
			return true
		}
	}
	return false
}

// loadExtern is the address of a variable or function of the kernel.
func (v *verifier) loadExtern(in *insn, dst *reg) error {
	e := &v.p.Externs[in.ImmLo()]
	t, _, ok := linux.Var(e.Name)
	switch {
	case v.env.NoKernel && !e.Weak:
		return v.fail(CodeUnsupported, errnoENOENT, "there is no kernel to take the address of %s from", e.Name)
	case v.env.NoKernel:
		*dst = constReg(0)
	case ok && (t.Kind == prog.BTFStruct || t.Kind == prog.BTFInt):
		*dst = pointer(ptrBTF, percpu)
		dst.aux = v.typeID(t)
	case ok:
		*dst = pointer(ptrMem, rdonly)
		dst.size = int32(sizeOf(t))
	case e.Type != nil && e.Type.Kind == prog.BTFStruct:
		*dst = pointer(ptrBTF, 0)
		dst.aux = v.typeID(e.Type)
	case e.Weak:
		*dst = constReg(0) // it is not there
	default:
		*dst = pointer(ptrMem, rdonly)
		dst.size = int32(sizeOf(e.Type))
	}
	return nil
}
