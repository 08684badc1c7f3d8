package verifier

import (
	"errors"

	"bytes"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// checkArg checks argument i of a helper (check_func_arg).
func (v *verifier) checkArg(arg *helper.Arg, proto *helper.Proto, i int) error {
	at := asm.Register(i + 1)
	r, err := v.readReg(at)
	if err != nil {
		return err
	}
	meta := &v.callArgs
	if arg.Kind == helper.ArgAny || arg.Kind == helper.ArgConst0 { // the helper's own check says more of the latter
		if !v.leaks && r.isPointer() {
			return v.failReg(at, CodePtrLeak, errnoEACCES, "%s leaks an address into %s", at, meta.name())
		}
		return nil
	}
	if r.isPacket() && !(meta.packetOK && v.seesPacket && v.p.Type != prog.SockOps || v.p.Type == prog.CGroupSockopt) {
		return v.failReg(at, CodePacketAccess, errnoEACCES, "%s does not take memory of the packet", meta.name())
	}
	kind := arg.Kind
	if kind == helper.ArgMapValue && meta.m >= 0 && v.maps[meta.m].isSockMap() {
		if arg.Flags&(helper.FlagUninit|helper.FlagOrNull) != 0 {
			return v.failReg(at, CodeMapHelper, errnoEINVAL, "%s does not take map %s, whose values are sockets", meta.name(), v.maps[meta.m].Name)
		}
		kind = helper.ArgSockCommonBTF
	}
	if !(r.isNull() && arg.Flags&helper.FlagOrNull != 0) {
		if err := v.argType(kind, arg, r, at); err != nil {
			return err
		}
		if err := v.argOffset(kind, arg, r, at); err != nil {
			return err
		}
	}
	if arg.Flags&helper.FlagRelease != 0 {
		if err := v.argRelease(kind, r, at); err != nil {
			return err
		}
	}
	if r.ref != 0 && kind != helper.ArgKptrDest {
		if meta.ref != 0 {
			return v.failReg(at, CodeReference, errnoEACCES, "more than one argument with a reference")
		}
		meta.ref = r.ref
	}
	return v.argValue(kind, arg, proto, i, r, at)
}

// memoryKinds are the kinds of pointers that memory arguments may be.
func memoryKind(r *reg) bool {
	switch r.kind {
	case ptrStack, ptrPacket, ptrPacketMeta, ptrMapKey, ptrMapValue:
		return r.flags == 0
	case ptrMem:
		return r.flags&^(ringbufMem|packetSlice) == 0
	case ptrBuf:
		return r.flags == 0
	case ptrBTF:
		return r.flags == trusted
	}
	return false
}

// argType refuses an argument of the wrong kind (check_reg_type).
func (v *verifier) argType(kind helper.ArgKind, arg *helper.Arg, reg *reg, at asm.Register) error {
	x := *reg
	r := &x
	if arg.Flags&helper.FlagOrNull != 0 {
		r.flags &^= orNull
	}
	if reads := arg.Flags&(helper.FlagRead|helper.FlagWrite) == helper.FlagRead; reads && (kind == helper.ArgMem || r.isPacket()) {
		r.flags &^= rdonly // which Linux does not allow for keys and values of maps
	}
	ok := false
	switch kind {
	case helper.ArgMapKey, helper.ArgMapValue, helper.ArgMem:
		if ok = memoryKind(r); ok && r.kind == ptrBTF && (kind != helper.ArgMem || arg.Flags&helper.FlagWrite != 0) {
			return v.failReg(at, CodeReadOnly, errnoEACCES, "%s may write into struct %s, which is read-only", v.callArgs.name(), v.types[r.aux].Name)
		}
	case helper.ArgCtx:
		ok = r.kind == ptrCtx
	case helper.ArgMapPtr:
		ok = r.kind == ptrMap
	case helper.ArgSize, helper.ArgSize0, helper.ArgAllocSize:
		ok = r.kind == scalar
	case helper.ArgSocket:
		ok = r.kind == ptrSocket && r.flags == 0
	case helper.ArgSockCommon:
		ok = r.isSock() && r.flags == 0
	case helper.ArgSockCommonBTF:
		ok = r.isSock() && r.flags == 0 || r.kind == ptrBTF && r.flags&^(trusted) == 0 && v.isSockStruct(r)
	case helper.ArgBTF:
		ok = r.kind == ptrBTF && r.flags&^(trusted|inRCU|orNull|v.kptrFlags()) == 0
	case helper.ArgPerCPUBTF:
		ok = r.kind == ptrBTF && (r.flags == percpu || r.flags == percpu|inRCU || r.flags == percpu|trusted)
	case helper.ArgRingbufMem:
		ok = r.kind == ptrMem && r.flags == ringbufMem
	case helper.ArgFunc:
		ok = r.kind == ptrFunc
	case helper.ArgStack:
		ok = r.kind == ptrStack
	case helper.ArgConstStr, helper.ArgTimer:
		ok = r.kind == ptrMapValue && r.flags == 0
	case helper.ArgSpinLock, helper.ArgKptrDest:
		ok = r.kind == ptrMapValue && r.flags == 0 || r.kind == ptrBTF && r.flags&^(trusted|nonOwn|inRCU) == alloc
	case helper.ArgDynptr:
		ok = r.kind == ptrStack || r.kind == ptrDynptr
	}
	if !ok && r.isPacket() && r.has(rdonly) {
		return v.argWritable(reg, at, true)
	}
	if !ok {
		code := CodeArgType
		if reg.has(orNull) {
			code = CodeArgNull
		}
		return v.failReg(at, code, errnoEACCES, "%s wants %s in %s, it is %s", v.callArgs.name(), argNames[kind], at, kindName(reg))
	}
	if r.kind == ptrBTF {
		return v.argStruct(kind, arg, reg, at)
	}
	return nil
}

func (v *verifier) kptrFlags() flag {
	if v.callArgs.fn == asm.FnKptrXchg {
		return alloc | percpu
	}
	return 0
}

var argNames = [...]string{
	helper.ArgAny: "anything", helper.ArgCtx: "the context", helper.ArgMapPtr: "a map", helper.ArgMapKey: "memory with a key",
	helper.ArgMapValue: "memory with a value", helper.ArgMem: "memory", helper.ArgSize: "a size", helper.ArgSize0: "a size",
	helper.ArgAllocSize: "a constant size", helper.ArgConst0: "0", helper.ArgSocket: "a full socket", helper.ArgSockCommon: "a socket",
	helper.ArgSockCommonBTF: "a socket", helper.ArgBTF: "a kernel structure", helper.ArgPerCPUBTF: "a per-CPU variable",
	helper.ArgRingbufMem: "a ring-buffer record", helper.ArgFunc: "a function", helper.ArgStack: "stack memory",
	helper.ArgConstStr: "a constant string", helper.ArgSpinLock: "a spin lock", helper.ArgTimer: "a timer",
	helper.ArgKptrDest: "a kptr field", helper.ArgDynptr: "a dynptr",
}

// isSockStruct reports whether a kernel structure is a socket.
func (v *verifier) isSockStruct(r *reg) bool {
	return v.sameStruct(v.types[r.aux], int(r.off), kernelStruct("sock_common"), false)
}

// argStruct checks the type of a kernel structure.
func (v *verifier) argStruct(kind helper.ArgKind, arg *helper.Arg, r *reg, at asm.Register) error {
	switch kind {
	case helper.ArgBTF:
		if r.has(orNull) && (arg.Flags&helper.FlagOrNull == 0 || arg.Flags&helper.FlagRelease != 0) {
			return v.failReg(at, CodeArgNull, errnoEACCES, "%s may be null", at)
		}
		if arg.Struct == "" { // that of a kptr
			f := v.callArgs.kptr
			if f == nil {
				return v.internal("kptr_xchg without a kptr")
			}
			return v.kptrMatches(at, r, f, true)
		}
		if !v.sameStruct(v.types[r.aux], int(r.off), kernelStruct(arg.Struct), arg.Flags&helper.FlagRelease != 0) {
			return v.failReg(at, CodeArgType, errnoEACCES, "%s wants struct %s in %s, it is struct %s", v.callArgs.name(), arg.Struct, at, v.types[r.aux].Name)
		}
	case helper.ArgPerCPUBTF:
		v.callArgs.btf, v.callArgs.btfPtr = r.aux, *r
	}
	return nil
}

// argOffset refuses offsets of pointers that must be at their start (check_func_arg_reg_off).
func (v *verifier) argOffset(kind helper.ArgKind, arg *helper.Arg, r *reg, at asm.Register) error {
	if arg.Flags&helper.FlagRelease != 0 {
		if kind == helper.ArgDynptr && r.kind == ptrStack {
			return nil
		}
		if r.off != 0 {
			return v.failReg(at, CodeArgOffset, errnoEINVAL, "%s must be at offset 0 to be given back, it is at %d", at, r.off)
		}
		return v.fixedOffset(r, at, false)
	}
	switch r.kind {
	case ptrStack, ptrPacket, ptrPacketMeta, ptrMapKey, ptrMapValue, ptrMem, ptrBuf, ptrArena, scalar:
		return nil
	case ptrBTF:
		return v.fixedOffset(r, at, true)
	}
	return v.fixedOffset(r, at, false)
}

// fixedOffset refuses a variable offset, and any at all unless one is allowed (__check_ptr_off_reg).
func (v *verifier) fixedOffset(r *reg, at asm.Register, allowed bool) error {
	code := CodeArgOffset
	if r.kind == ptrCtx {
		code = CodeCtxModified
	}
	switch {
	case r.off < 0:
		return v.failReg(at, code, errnoEACCES, "negative offset %d of a pointer to %s", r.off, kindName(r))
	case r.off != 0 && !allowed:
		return v.failReg(at, code, errnoEACCES, "a pointer to %s that was moved by %d is not allowed here", kindName(r), r.off)
	case !r.Tnum.IsConst() || r.Tnum.Value != 0:
		return v.failReg(at, CodeVarOff, errnoEACCES, "a pointer to %s with a variable offset is not allowed here", kindName(r))
	}
	return nil
}

// argRelease checks an argument that is given back.
func (v *verifier) argRelease(kind helper.ArgKind, r *reg, at asm.Register) error {
	v.callArgs.releaseReg = at
	if kind == helper.ArgDynptr {
		if r.kind != ptrStack {
			return v.failReg(at, CodeDynptr, errnoEINVAL, "a dynptr that the program does not own cannot be given back")
		}
		if s := v.dynptrSlot(r); s == nil || s.reg.ref == 0 {
			return v.failReg(at, CodeReference, errnoEINVAL, "%s is no dynptr with a reference", at)
		}
		return nil
	}
	if r.ref == 0 && !r.isNull() {
		return v.failReg(at, CodeReference, errnoEINVAL, "%s must be referenced to be given back", at)
	}
	return nil
}

// argValue checks what an argument's kind asks of it, and notes what it says about the call.
func (v *verifier) argValue(kind helper.ArgKind, arg *helper.Arg, proto *helper.Proto, i int, r *reg, at asm.Register) error {
	meta := &v.callArgs
	switch kind {
	case helper.ArgMapPtr:
		return v.argMap(r, at)
	case helper.ArgMapKey:
		return v.argKey(r, at)
	case helper.ArgMapValue:
		if r.isNull() {
			return nil
		}
		if meta.m < 0 {
			return v.fail(CodeArgType, errnoEACCES, "a value without its map")
		}
		// What a Bloom filter is asked for is read.
		meta.raw = arg.Flags&helper.FlagUninit != 0 && v.maps[meta.m].Type != maps.BloomFilter
		return v.argMemory(at, int64(v.maps[meta.m].ValueSize), arg.Flags&helper.FlagWrite != 0, false)
	case helper.ArgMem:
		meta.raw = arg.Flags&helper.FlagUninit != 0
		if arg.Fixed == 0 || r.isNull() && arg.Flags&helper.FlagOrNull != 0 && arg.Fixed != 0 {
			return nil
		}
		if err := v.argMemory(at, int64(arg.Fixed), arg.Flags&helper.FlagWrite != 0, false); err != nil {
			return err
		}
		if arg.Flags&helper.FlagAligned != 0 {
			return v.checkAligned(&access{r: at, size: int(arg.Fixed), strict: true}, r)
		}
	case helper.ArgSize, helper.ArgSize0:
		mem := v.argOf(&proto.Args[i-1])
		return v.argSize(at, mem.Flags&helper.FlagWrite != 0, kind == helper.ArgSize0)
	case helper.ArgAllocSize:
		if !r.Tnum.IsConst() {
			return v.failReg(at, CodeArgConst, errnoEACCES, "%s must be a constant", at)
		}
		meta.memSize = int64(r.Tnum.Value)
		return v.markPrecise(at)
	case helper.ArgFunc:
		meta.callee = int(r.aux)
	case helper.ArgPerCPUBTF:
		if r.aux == 0 && len(v.types) == 0 {
			return v.internal("per-CPU variable without a type")
		}
	case helper.ArgConstStr:
		return v.argString(r, at)
	case helper.ArgTimer:
		return v.argTimer(r, at)
	case helper.ArgKptrDest:
		return v.argKptr(r, at)
	case helper.ArgDynptr:
		return v.argDynptr(arg, r, at)
	}
	return nil
}

// argMap notes the map of a call.
func (v *verifier) argMap(r *reg, at asm.Register) error {
	meta := &v.callArgs
	if meta.m >= 0 && (meta.m != r.m || meta.mapUID != r.aux) { // timer_init: the timer's map
		return v.failReg(at, CodeArgType, errnoEINVAL, "the timer is not in this map")
	}
	meta.m, meta.mapUID, meta.fromR = r.m, r.aux, at
	return nil
}

// argKey checks a key.
func (v *verifier) argKey(r *reg, at asm.Register) error {
	meta := &v.callArgs
	if meta.m < 0 {
		return v.fail(CodeArgType, errnoEACCES, "a key without its map")
	}
	m := v.maps[meta.m]
	meta.raw = false
	if err := v.argMemory(at, int64(m.KeySize), false, false); err != nil {
		var e *Error
		if m.KeySize == 0 && errors.As(err, &e) && e.Code == CodeArgSize {
			e = v.failReg(at, CodeArgSize, errnoEACCES, "map %s has no keys", m.Name)
			e.Hint = "queues, stacks and ring buffers have helpers of their own"
			return e
		}
		return err
	}
	if m.Type == maps.Array || m.Type == maps.PerCPUArray {
		return v.constKey(r, int(m.KeySize))
	}
	return nil
}

// constKey finds out whether a key on the stack is a constant (get_constant_map_key).
func (v *verifier) constKey(r *reg, size int) error {
	if r.kind != ptrStack || !r.Tnum.IsConst() {
		return nil
	}
	off := int(int64(r.off) + int64(r.Tnum.Value))
	f := v.cur.frames[r.frame]
	s := f.slotAt(off)
	if s == nil {
		return nil
	}
	first, zeros := byteIndex(off), true
	for i := first; i < first+size && i < 8; i++ {
		zeros = zeros && s.bytes[i] == byteZero
	}
	if zeros && first+size <= 8 {
		v.callArgs.key, v.callArgs.keyKnown = 0, true
		return nil
	}
	if !s.spilledScalar() || !s.reg.isConst() {
		return nil
	}
	n := first
	for n < 8 && s.bytes[n] == byteSpill {
		n++
	}
	if n-first != size {
		return nil
	}
	// Linux takes the number for the key in its upper half, too, which is 0 if the number is one of an element.
	if err := v.markSlotPrecise(int(r.frame), slotIndex(off)); err != nil {
		return err
	}
	if key := s.reg.Tnum.Value; key == uint64(uint32(key)) {
		v.callArgs.key, v.callArgs.keyKnown = uint32(key), true
	}
	return nil
}

// argSize checks a size, and the memory before it (check_mem_size_reg).
func (v *verifier) argSize(at asm.Register, write, zeroOK bool) error {
	r := &v.cur.cur().regs[at]
	meta := &v.callArgs
	if mem := &v.cur.cur().regs[at-1]; mem.isPacket() && meta.proto != nil && meta.proto.PacketChecked {
		return v.argWritable(mem, at-1, write)
	}
	meta.maxSize = r.U64.Max
	if !r.Tnum.IsConst() {
		meta.raw = false
	}
	switch {
	case r.S64.Min < 0:
		return v.failReg(at, CodeArgSize, errnoEACCES, "the size in %s may be negative", at)
	case r.U64.Min == 0 && !zeroOK:
		return v.failReg(at, CodeArgSize, errnoEACCES, "the size in %s may be zero", at)
	case r.U64.Max >= maxOffset:
		return v.failReg(at, CodeArgSize, errnoEACCES, "the size in %s has no upper bound", at)
	}
	if err := v.argMemory(at-1, int64(r.U64.Max), write, zeroOK); err != nil {
		return err
	}
	return v.markPrecise(at)
}

// argMemory refuses size bytes of memory that a helper may not access (check_helper_mem_access).
func (v *verifier) argMemory(at asm.Register, size int64, write, zeroOK bool) error {
	r := &v.cur.cur().regs[at]
	a := access{r: at, write: write, value: -1, size: int(size)}
	switch r.kind {
	case ptrPacket, ptrPacketMeta:
		if err := v.argWritable(r, at, write); err != nil {
			return err
		}
		return v.inPacket(r, at, 0, int(size), zeroOK)
	case ptrMapKey:
		if write {
			return v.failReg(at, CodeReadOnly, errnoEACCES, "write to a map's key")
		}
		return v.inMemory(r, at, size, int64(v.maps[r.m].KeySize), CodeMapBounds, zeroOK)
	case ptrMapValue:
		return v.argMapValue(&a, r, zeroOK)
	case ptrMem:
		if r.has(orNull) {
			break
		}
		if r.has(rdonly) && write {
			return v.failReg(at, CodeReadOnly, errnoEACCES, "write to read-only memory")
		}
		return v.inMemory(r, at, size, r.memSize(), CodeMemBounds, zeroOK)
	case ptrBuf:
		if r.has(orNull) {
			break
		}
		if r.has(rdonly) && write {
			return v.failReg(at, CodeReadOnly, errnoEACCES, "write to a read-only buffer")
		}
		return v.inBuffer(&a, r)
	case ptrStack:
		return v.argStack(&a, r, zeroOK)
	case ptrBTF:
		a.size = max(a.size, 1)
		return v.argObject(&a, r)
	case ptrCtx:
		if v.p.Type == prog.Syscall {
			return v.argSyscallCtx(&a, r, zeroOK)
		}
	}
	if zeroOK && size == 0 && r.isNull() {
		return nil
	}
	return v.failReg(at, CodeArgType, errnoEACCES, "%s must point to memory, it is %s", at, kindName(r))
}

// argWritable refuses a packet that a helper would write and the program may not.
func (v *verifier) argWritable(r *reg, at asm.Register, write bool) error {
	switch {
	case write && !v.writesPkt:
		return v.failReg(at, CodePacketAccess, errnoEACCES, "programs of this type cannot write into the packet")
	case write && r.has(rdonly):
		return v.failReg(at, CodeReadOnly, errnoEACCES, "write to bytes that are read-only to programs of this hook")
	}
	return nil
}

// inMemory is inRegion for a size that may be zero.
func (v *verifier) inMemory(r *reg, at asm.Register, n, size int64, code Code, zeroOK bool) error {
	if n == 0 && !zeroOK {
		return v.failReg(at, CodeArgSize, errnoEACCES, "access of zero bytes")
	}
	return v.inRegion(r, at, 0, int(n), size, code)
}

func (v *verifier) argMapValue(a *access, r *reg, zeroOK bool) error {
	m := v.maps[r.m]
	switch {
	case r.has(orNull):
		return v.failReg(a.r, CodeArgType, errnoEACCES, "%s may be null", a.r)
	case a.write && !m.writable(), !a.write && !m.readable():
		return v.failReg(a.r, CodeReadOnly, errnoEACCES, "map %s cannot be accessed so by programs", m.Name)
	}
	if err := v.inMemory(r, a.r, int64(a.size), int64(m.ValueSize), CodeMapBounds, zeroOK); err != nil {
		return err
	}
	lo, hi := int64(r.off)+r.S64.Min, int64(r.off)+int64(r.U64.Max)+int64(a.size)
	if f := overlapped(m.fields, lo, hi); f != nil && a.size > 0 {
		return v.failReg(a.r, CodeSpecialField, errnoEACCES, "%s cannot be given the %s at offset %d of the value", v.callArgs.name(), f.kind, f.off)
	}
	return nil
}

// argObject is a kernel structure or an object as memory: its bytes are read.
func (v *verifier) argObject(a *access, r *reg) error {
	t := v.types[r.aux]
	if a.write && !(r.has(alloc) && (r.ref != 0 || r.has(nonOwn))) {
		return v.failReg(a.r, CodeReadOnly, errnoEACCES, "%s may write into struct %s, which is read-only", v.callArgs.name(), t.Name)
	}
	a.write = false
	_, err := v.btfMember(a, r, int(r.off))
	return err
}

// argSyscallCtx is the context of a syscall program, which is plain memory.
func (v *verifier) argSyscallCtx(a *access, r *reg, zeroOK bool) error {
	if a.size == 0 && !zeroOK {
		return v.failReg(a.r, CodeArgSize, errnoEACCES, "access of zero bytes")
	}
	if err := v.ctxOffset(r, a.r); err != nil {
		return err
	}
	if a.size > maxSyscallCtx {
		return v.failReg(a.r, CodeCtxAccess, errnoEACCES, "%d bytes of the context, at most %d are allowed", a.size, maxSyscallCtx)
	}
	return nil
}

// argStack is memory of the stack (check_stack_range_initialized).
func (v *verifier) argStack(a *access, r *reg, zeroOK bool) error {
	meta := &v.callArgs
	if a.size == 0 && !zeroOK {
		return v.failReg(a.r, CodeArgSize, errnoEACCES, "access of zero bytes")
	}
	raw := meta.raw && a.write
	lo := int(r.off)
	hi := lo + a.size
	if r.Tnum.IsConst() {
		lo += int(int64(r.Tnum.Value))
		hi = lo + a.size
	} else {
		if !v.leaks {
			return v.failReg(a.r, CodeStackVarOff, errnoEACCES, "variable stack offset without CAP_PERFMON")
		}
		if r.S64.Min <= -maxOffset || r.S64.Max >= maxOffset {
			return v.failReg(a.r, CodeStackBounds, errnoEACCES, "the offset into the stack is unbounded")
		}
		raw = false
		lo, hi = lo+int(r.S64.Min), hi+int(r.S64.Max)
	}
	if lo < -prog.StackSize || hi > 0 || lo >= 0 {
		return v.outsideStack(a.r, meta.name()+" accesses", lo, hi)
	}
	v.deepen(int(r.frame), lo)
	if a.size == 0 {
		return nil
	}
	if raw {
		f := v.cur.frames[r.frame]
		for off := lo; off < hi; off++ {
			if s := f.slotAt(off); s != nil && s.bytes[byteIndex(off)] == byteDynptr {
				return v.failReg(a.r, CodeDynptr, errnoEACCES, "%s would write over a dynptr at %d", meta.name(), off)
			}
		}
		meta.rawReg, meta.rawSize = a.r, a.size
		return nil
	}
	return v.stackReadable(a.r, r, lo, hi, false, a.write)
}

// argString checks a string: constant bytes of a map up to a zero (check_reg_const_str).
func (v *verifier) argString(r *reg, at asm.Register) error {
	m := v.maps[r.m]
	switch {
	case !m.Frozen || m.Flags&maps.FlagRdonlyProg == 0:
		return v.failReg(at, CodeArgConst, errnoEACCES, "a string must lie in a map that nobody changes, map %s is not read-only and frozen", m.Name)
	case !r.Tnum.IsConst():
		return v.failReg(at, CodeArgConst, errnoEACCES, "a string at a variable offset")
	case m.Type != maps.Array || m.Read == nil:
		return v.failReg(at, CodeArgConst, errnoEACCES, "map %s has no constant values", m.Name)
	}
	if _, ok := v.constString(r); !ok {
		return v.failReg(at, CodeArgConst, errnoEINVAL, "the string does not end within the map's value")
	}
	return nil
}

// constString returns the string that a pointer to a constant map points to, without its zero.
func (v *verifier) constString(r *reg) ([]byte, bool) {
	if r.kind != ptrMapValue || !r.Tnum.IsConst() {
		return nil, false
	}
	m := v.maps[r.m]
	off := int64(r.off) + int64(r.Tnum.Value)
	if m.Read == nil || m.MaxEntries != 1 || off < 0 || off >= int64(m.ValueSize) {
		return nil, false
	}
	b := make([]byte, int64(m.ValueSize)-off)
	if !m.Read(uint32(off), b) {
		return nil, false
	}
	s, _, ok := bytes.Cut(b, []byte{0})
	return s, ok
}

// argTimer checks a timer (process_timer_func).
func (v *verifier) argTimer(r *reg, at asm.Register) error {
	_, err := v.argAsync(r, at, fieldTimer)
	return err
}

// argAsync checks a field of a map's value that calls back later.
func (v *verifier) argAsync(r *reg, at asm.Register, kind fieldKind) (*field, error) {
	m := v.maps[r.m]
	switch {
	case !r.Tnum.IsConst():
		return nil, v.failReg(at, CodeArgConst, errnoEINVAL, "a %s at a variable offset", kind)
	case m.Value == nil:
		return nil, v.failReg(at, CodeSpecialField, errnoEINVAL, "map %s has no type (BTF) that says where its %s is", m.Name, kind)
	}
	f := fieldAt(m.fields, int(int64(r.off)+int64(r.Tnum.Value)), kind)
	if f == nil {
		return nil, v.failReg(at, CodeSpecialField, errnoEINVAL, "there is no %s at offset %d of map %s", kind, r.off, m.Name)
	}
	v.callArgs.m, v.callArgs.mapUID, v.callArgs.fromR = r.m, r.aux, at
	return f, nil
}

// argKptr checks the field that kptr_xchg changes (process_kptr_func).
func (v *verifier) argKptr(r *reg, at asm.Register) error {
	var fields []field
	if r.kind == ptrMapValue {
		m := v.maps[r.m]
		if m.Value == nil {
			return v.failReg(at, CodeSpecialField, errnoEINVAL, "map %s has no type (BTF) that says where its kptrs are", m.Name)
		}
		fields = m.fields
	} else {
		fields = v.fieldsOfType(v.types[r.aux])
	}
	if !r.Tnum.IsConst() {
		return v.failReg(at, CodeArgConst, errnoEINVAL, "a kptr at a variable offset")
	}
	off := int(int64(r.off) + int64(r.Tnum.Value))
	f := fieldAt(fields, off, fieldKptrRef, fieldKptrPercpu)
	if f == nil {
		return v.failReg(at, CodeSpecialField, errnoEACCES, "there is no referenced kptr at offset %d", off)
	}
	v.callArgs.kptr = f
	return nil
}

// formatArgs returns how many arguments a format of printk takes, false if it is none that programs
// may use (bpf_bprintf_prepare).
func formatArgs(format []byte) (n int, ok bool) {
	for i := 0; i < len(format); i++ {
		if format[i] >= 0x80 || format[i] < ' ' && format[i] != '\n' && format[i] != '\t' {
			return 0, false
		}
		if format[i] != '%' {
			continue
		}
		if i++; i < len(format) && format[i] == '%' {
			continue
		}
		for i < len(format) && bytes.IndexByte([]byte("0+-# 123456789."), format[i]) >= 0 {
			i++
		}
		if i >= len(format) {
			return 0, false
		}
		n++
		switch c := format[i]; c {
		case 'p':
			if i+1 < len(format) && bytes.IndexByte([]byte("KkxsSB"), format[i+1]) >= 0 {
				i++
			} else if i+2 < len(format) && (format[i+1] == 'i' || format[i+1] == 'I') && (format[i+2] == '4' || format[i+2] == '6') {
				i += 2
			}
			continue
		case 's', 'c':
			continue
		case 'l':
			if i++; i < len(format) && format[i] == 'l' {
				i++
			}
		}
		if i >= len(format) || bytes.IndexByte([]byte("diuxX"), format[i]) < 0 {
			return 0, false
		}
	}
	return n, n <= 12
}
