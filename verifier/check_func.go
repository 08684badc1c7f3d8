package verifier

import (
	"slices"
	"strings"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// checkCallLocal executes the call of a function of the program (check_func_call).
func (v *verifier) checkCallLocal(in *insn) (int, error) {
	fn := v.funcOf(in.target)
	if v.funcs[fn].linkage == prog.Global {
		return v.callGlobal(fn)
	}
	if err := v.enter(v.cur, fn); err != nil {
		return 0, err
	}
	caller, callee := v.cur.frames[v.cur.top()-1], v.cur.cur()
	copy(callee.regs[1:6], caller.regs[1:6])
	for r := range caller.regs[:6] {
		caller.regs[r] = reg{}
	}
	v.log.enter()
	return v.funcs[fn].start, nil
}

// enter adds a frame for a function to a state.
func (v *verifier) enter(s *state, fn int) error {
	if len(s.frames) >= prog.MaxFrames {
		return v.fail(CodeCallDepth, errnoE2BIG, "the call stack of %d frames is too deep", len(s.frames)+1)
	}
	s.frames = append(s.frames, v.enterFrame(fn, v.insnIdx, len(s.frames)))
	return nil
}

// returnFromFrame executes exit in a function that the program has called (prepare_func_exit).
func (v *verifier) returnFromFrame() (int, error) {
	s := v.cur
	callee, caller := s.cur(), s.frames[s.top()-1]
	r0 := &callee.regs[asm.R0]
	if r0.kind == ptrStack {
		return 0, v.failReg(asm.R0, CodeStackEscape, errnoEINVAL, "a function cannot return a pointer to the stack")
	}
	next := int(callee.callsite) + 1
	if callee.callback == syncCallback {
		if r0.kind == notInit {
			return 0, v.failReg(asm.R0, CodeUninitialized, errnoEACCES, "r0 was not written before the callback's end")
		}
		if r0.kind != scalar {
			return 0, v.failReg(asm.R0, CodeReturn, errnoEACCES, "a callback returns a number, r0 is %s", kindName(r0))
		}
		if err := v.inRange(asm.R0, r0, callee.returns, "the callback's end"); err != nil {
			return 0, err
		}
		next--
	} else {
		caller.regs[asm.R0] = *r0
	}
	sync := callee.callback == syncCallback
	s.frames = s.frames[:len(s.frames)-1]
	v.freeFrame(callee)
	if sync {
		v.forgetKeys(len(s.frames))
		if prev := v.previousAt(s, next); prev != nil {
			v.widen(prev, s)
		}
	}
	v.log.leave(next)
	return next, nil
}

// callGlobal executes the call of a function that is verified on its own.
func (v *verifier) callGlobal(fn int) (int, error) {
	f := &v.funcs[fn]
	s := v.cur
	switch {
	case s.locks > 0:
		return 0, v.fail(CodeLock, errnoEINVAL, "a global function cannot be called with a spin lock held; a static one can")
	case f.has(mightSleep) && !s.sleeps:
		return 0, v.fail(CodeSleep, errnoEINVAL, "function %s may sleep, the program may not", f.name)
	case f.has(mightSleep):
		if err := v.mayNotSleep("function " + f.name); err != nil {
			return 0, err
		}
	}
	if err := v.globalArgs(fn); err != nil {
		return 0, err
	}
	f.reached = true
	if f.movesPacket() || v.callArgs.moved {
		v.forgetPackets()
	}
	v.clobberCall()
	s.cur().regs[asm.R0] = unknownReg()
	return v.insnIdx + 1, nil
}

// globalArg is what a parameter of a global function is (btf_prepare_func_args).
type globalArg uint8

const (
	argNumber globalArg = iota
	argContext
	argDynptr
	argMem
	argTrusted
	argUntrusted
	argArena
)

// paramTags are the tags of a parameter of a global function.
var paramTags = []string{"ctx", "trusted", "untrusted", "nonnull", "nullable", "arena"}

// globalParam returns what parameter i of a global function is.
func (v *verifier) globalParam(fn, i int) (kind globalArg, t *prog.BTFType, size int, null bool, err error) {
	f := &v.funcs[fn]
	p := &f.proto.Params[i]
	bad := func(why string) (globalArg, *prog.BTFType, int, bool, error) {
		return 0, nil, 0, false, v.fail(CodeGlobalArg, errnoEINVAL, "argument %d of the global function %s %s", i, f.name, why)
	}
	const unsupported, combined = "has a type that is not supported", "has tags that do not go together"
	tags := paramTagsOf(p)
	has := func(tag string) bool { return slices.Contains(tags, tag) }
	alone := len(tags) < 2
	t = p.Type
	switch {
	case slices.ContainsFunc(tags, func(tag string) bool { return !slices.Contains(paramTags, tag) }):
		return bad("has a tag that is not known")
	case t == nil:
		return bad(unsupported)
	case t.Kind != prog.BTFPointer && len(tags) > 0:
		return bad("has the tag of a pointer and is none")
	case (t.Kind == prog.BTFInt || t.Kind == prog.BTFEnum) && t.Size <= 8:
		return argNumber, nil, 0, false, nil
	case t.Kind != prog.BTFPointer:
		return bad(unsupported)
	}
	target := t.Elem
	isVoid := target == nil || target.Kind == prog.BTFVoid
	switch {
	case has("ctx") || !isVoid && target.Name != "" && v.isCtxStruct(target.Name):
		switch {
		case !alone || len(tags) == 1 && !has("ctx"):
			return bad(combined)
		case has("ctx") && !v.isCtxTarget(target):
			return bad(unsupported)
		}
		return argContext, nil, 0, false, nil
	case !isVoid && target.Name == "bpf_dynptr":
		if len(tags) > 0 {
			return bad(combined)
		}
		return argDynptr, nil, 0, false, nil
	case has("trusted"):
		return v.trustedParam(fn, i, target, has)
	case has("untrusted"):
		switch {
		case !alone:
			return bad(combined)
		case isVoid || target.Kind == prog.BTFInt || target.Kind == prog.BTFEnum:
			return argUntrusted, nil, 0, false, nil
		}
		t, err := v.kernelParam(fn, i, target)
		return argUntrusted, t, 0, false, err
	case has("arena"):
		if !alone {
			return bad(combined)
		}
		return argArena, nil, 0, false, nil
	case has("nullable"):
		return bad(combined)
	case isVoid || target.Kind == prog.BTFFwd || sizeOf(target) == 0:
		return bad(unsupported)
	}
	return argMem, target, sizeOf(target), !has("nonnull"), nil
}

// paramTagsOf returns the tags that say what a parameter is.
func paramTagsOf(p *prog.BTFParam) []string {
	var tags []string
	for _, decl := range p.Decl {
		if tag, ok := strings.CutPrefix(decl, "arg:"); ok {
			tags = append(tags, tag)
		}
	}
	return tags
}

// trustedParam is globalParam for a trusted pointer.
func (v *verifier) trustedParam(fn, i int, target *prog.BTFType, has func(string) bool) (globalArg, *prog.BTFType, int, bool, error) {
	if has("nonnull") {
		return 0, nil, 0, false, v.fail(CodeGlobalArg, errnoEINVAL, "argument %d of the global function %s is trusted and need not be tagged as not null", i, v.funcs[fn].name)
	}
	t, err := v.kernelParam(fn, i, target)
	return argTrusted, t, 0, has("nullable"), err
}

// kernelParam returns the kernel's struct of the name that a parameter points to.
func (v *verifier) kernelParam(fn, i int, target *prog.BTFType) (*prog.BTFType, error) {
	if target != nil && target.Kind == prog.BTFStruct {
		if t := linux.Struct(target.Name); t != nil {
			return t, nil
		}
	}
	return nil, v.fail(CodeGlobalArg, errnoENOENT, "argument %d of the global function %s points to what the kernel has no struct of", i, v.funcs[fn].name)
}

// isCtxTarget reports whether a parameter with the tag of a context may point to a type
// (btf_validate_prog_ctx_type).
func (v *verifier) isCtxTarget(t *prog.BTFType) bool {
	if t == nil || t.Kind == prog.BTFVoid {
		return true
	}
	switch v.p.Type {
	case prog.Tracepoint, prog.Syscall:
		return true
	case prog.Tracing:
		if v.p.Attach == attachIter {
			return strings.HasPrefix(t.Name, "bpf_iter__")
		} else if v.p.Attach == attachRawTP && t.Name == "bpf_raw_tracepoint_args" {
			return true
		}
		return t.Kind == prog.BTFInt && t.Size == 8
	case prog.RawTracepoint, prog.RawTracepointWritable, prog.LSM, prog.StructOps:
		if t.Kind == prog.BTFInt && t.Size == 8 {
			return true
		}
	}
	return t.Name != "" && v.isCtxStruct(t.Name)
}

// isCtxStruct reports whether a struct is what programs of this type know their context as.
func (v *verifier) isCtxStruct(name string) bool {
	if v.p.Type == prog.Custom {
		return v.env.Ctx != nil && v.env.Ctx.Name == name
	}
	return slices.Contains(ctxStructs[v.p.Type], name)
}

// ctxStructs are the contexts' names in C (include/linux/bpf_types.h).
var ctxStructs = map[prog.Type][]string{
	prog.SocketFilter: {"__sk_buff"}, prog.SchedCLS: {"__sk_buff"}, prog.SchedACT: {"__sk_buff"}, prog.XDP: {"xdp_md"},
	prog.CGroupSKB: {"__sk_buff"}, prog.CGroupSock: {"bpf_sock"}, prog.CGroupSockAddr: {"bpf_sock_addr"}, prog.LWTIn: {"__sk_buff"},
	prog.LWTOut: {"__sk_buff"}, prog.LWTXmit: {"__sk_buff"}, prog.LWTSeg6Local: {"__sk_buff"}, prog.SockOps: {"bpf_sock_ops"},
	prog.SkSKB: {"__sk_buff"}, prog.SkMsg: {"sk_msg_md"}, prog.FlowDissector: {"__sk_buff"}, prog.Kprobe: {"pt_regs", "bpf_user_pt_regs_t"},
	prog.PerfEvent: {"bpf_perf_event_data"}, prog.RawTracepoint: {"bpf_raw_tracepoint_args"}, prog.RawTracepointWritable: {"bpf_raw_tracepoint_args"},
	prog.CGroupDevice: {"bpf_cgroup_dev_ctx"}, prog.CGroupSysctl: {"bpf_sysctl"}, prog.CGroupSockopt: {"bpf_sockopt"},
	prog.SkReuseport: {"sk_reuseport_md"}, prog.SkLookup: {"bpf_sk_lookup"}, prog.Netfilter: {"bpf_nf_ctx"}, prog.LircMode2: {"__u32"},
}

// setArguments sets the registers that a function which is verified on its own starts with.
func (v *verifier) setArguments(fn int, f *frame) error {
	if fn == 0 {
		f.regs[asm.R1] = pointer(ptrCtx, 0)
		return nil
	}
	sub := &v.funcs[fn]
	if err := v.checkGlobalProto(sub); err != nil {
		return err
	}
	for i := range sub.proto.Params {
		kind, t, size, null, err := v.globalParam(fn, i)
		if err != nil {
			return err
		}
		r := &f.regs[i+1]
		switch kind {
		case argNumber, argArena:
			*r = unknownReg()
		case argContext:
			*r = pointer(ptrCtx, 0)
		case argDynptr:
			*r = pointer(ptrDynptr, packetSlice)
			r.aux, r.id = dynptrLocal, v.nextID()
		case argMem:
			*r = pointer(ptrMem, 0)
			r.size = int32(size)
		case argTrusted:
			*r = pointer(ptrBTF, trusted)
			r.aux = v.typeID(t)
		case argUntrusted:
			if t != nil {
				*r = pointer(ptrBTF, untrusted)
				r.aux = v.typeID(t)
			} else {
				*r = pointer(ptrMem, untrusted|rdonly)
			}
		}
		if null {
			r.flags |= orNull
			r.id = v.nextID()
		}
	}
	if sub.exception && (len(sub.proto.Params) != 1 || f.regs[asm.R1].kind != scalar) {
		return v.fail(CodeException, errnoEINVAL, "the exception callback %s takes more or less than a number", sub.name)
	}
	return nil
}

// checkGlobalProto refuses global functions that cannot be verified on their own.
func (v *verifier) checkGlobalProto(sub *subprog) error {
	if sub.proto == nil || len(sub.proto.Params) > 5 || !returnsInt(sub.proto) {
		return v.fail(CodeGlobalArg, errnoEINVAL, "the global function %s has a type that is not supported: it returns a number and takes at most 5 arguments", sub.name)
	}
	return nil
}

// globalArgs checks the arguments of a call of a global function (btf_check_func_arg_match).
func (v *verifier) globalArgs(fn int) error {
	sub := &v.funcs[fn]
	if err := v.checkGlobalProto(sub); err != nil {
		return err
	}
	v.callArgs = callMeta{m: -1, callee: -1, global: sub.name, packetOK: true}
	packet := false // some memory lies in the packet
	for i := range sub.proto.Params {
		kind, t, size, null, err := v.globalParam(fn, i)
		if err != nil {
			return err
		}
		at := asm.Register(i + 1)
		r := &v.cur.cur().regs[at]
		errno := errnoEINVAL
		if kind == argTrusted || r.kind == notInit && kind != argNumber && kind != argArena {
			errno = errnoEACCES
		}
		if r.kind == notInit {
			return v.failReg(at, CodeUninitialized, errno, "%s was not written before it is read", at)
		}
		bad := func(want string) error {
			return v.failReg(at, CodeGlobalArg, errno, "argument %d of function %s is %s, the caller passes %s", i, sub.name, want, kindName(r))
		}
		switch kind {
		case argNumber:
			if r.kind != scalar {
				return bad("a number")
			}
		case argContext:
			if r.kind != ptrCtx {
				return bad("the context")
			}
			if err := v.ctxOffset(r, at); err != nil {
				return err
			}
		case argDynptr:
			if err := v.readableDynptr(r, at); err != nil {
				return err
			}
			v.callArgs.moved = v.callArgs.moved || sub.has(dynptrWrite) && movesPacket(v.dynptrReg(r))
		case argMem:
			packet = packet || r.isPacket() || r.kind == ptrMem && r.has(packetSlice)
			if !null && (r.isNull() || r.has(orNull)) { // Linux forgets the number 0
				return bad("not null")
			}
			if err := v.globalMem(r, at, size); err != nil {
				return err
			}
		case argTrusted:
			if r.isNull() && null {
				break
			}
			switch {
			case r.kind != ptrBTF || r.has(orNull) && !null, !trustedOrOwned(r): // Linux takes what RCU protects, too
				return bad("a trusted pointer")
			case !v.sameStruct(v.types[r.aux], int(r.off), t, false):
				return bad("a pointer to struct " + t.Name)
			}
			if err := v.fixedOffset(r, at, true); err != nil {
				return err
			}
		case argArena:
			if r.kind != ptrArena && r.kind != scalar {
				return bad("a pointer into the arena")
			}
		}
	}
	if packet && (sub.movesPacket() || v.callArgs.moved) {
		// Linux forgets that what the function was passed may not be there any more.
		return v.fail(CodePacketAccess, errnoEINVAL, "function %s may move the packet, and is passed memory of it", sub.name)
	}
	return nil
}

// trustedOrOwned reports whether a pointer to a struct of the kernel that may be null is valid if it is not.
func trustedOrOwned(r *reg) bool {
	f := r.flags &^ orNull
	return f == trusted || f == 0 && r.ref != 0
}

// globalMem checks memory that is passed to a global function, which may read and write it
// (check_mem_reg).
func (v *verifier) globalMem(r *reg, at asm.Register, size int) error {
	if err := v.argOffset(helper.ArgMem, &helper.Arg{}, r, at); err != nil || r.isNull() {
		return err
	}
	saved := *r
	r.flags &^= orNull
	err := v.argMemory(at, int64(size), false, false)
	if err == nil {
		err = v.argMemory(at, int64(size), true, false)
	}
	*r = saved
	if err != nil {
		err.(*Error).Errno = errnoEINVAL
	}
	return err
}

// pushCallback puts off a walk of the function that a helper calls while it runs
// (push_callback_call).
func (v *verifier) pushCallback(meta *callMeta, returns Range) error {
	fn := meta.callee
	caller := v.cur.cur()
	s, err := v.push(v.funcs[fn].start, v.insnIdx, errnoENOMEM)
	if err != nil {
		return err
	}
	if err := v.enter(s, fn); err != nil {
		return err
	}
	v.funcs[fn].calledBack = true
	callee := s.cur()
	callee.callback, callee.returns = syncCallback, returns
	s.callbacks++
	s.frames[s.top()-1].callbackDepth++
	v.callbackArgs(meta, caller, callee)
	caller.callbackDepth = 0
	return nil
}

// callbackArgs sets the registers that a callback starts with (set_callee_state_cb).
func (v *verifier) callbackArgs(meta *callMeta, caller, callee *frame) {
	r := &callee.regs
	switch meta.fn {
	case asm.FnLoop:
		r[1], r[2] = unknownReg(), caller.regs[3]
	case asm.FnForEachMapElem:
		v.mapCallbackArgs(meta.m, meta.mapUID, r)
		r[4] = caller.regs[3]
	case asm.FnTimerSetCallback:
		v.mapCallbackArgs(meta.m, meta.mapUID, r)
	case asm.FnFindVma:
		r[1] = caller.regs[1]
		r[2] = pointer(ptrBTF, 0)
		r[2].aux = v.typeID(kernelStruct("vm_area_struct"))
		r[3] = caller.regs[4]
	case asm.FnUserRingbufDrain:
		r[1] = pointer(ptrDynptr, 0)
		r[1].aux, r[1].id = dynptrLocal, v.nextID()
		r[2] = caller.regs[3]
	}
}

// mapCallbackArgs sets map, key and value.
func (v *verifier) mapCallbackArgs(m int16, uid uint32, r *[11]reg) {
	r[1] = pointer(ptrMap, 0)
	r[2] = pointer(ptrMapKey, 0)
	r[3] = pointer(ptrMapValue, 0)
	for i := 1; i <= 3; i++ {
		r[i].m, r[i].aux = m, uid
	}
	r[2].frame = r[asm.R10].frame
	if v.maps[m].hasLock {
		r[3].id = v.nextID()
	}
}

// forgetKeys invalidates the key that the callback in a frame was given, and may have stored: it is a
// copy that is gone once the callback has returned. (In Linux it is the map's own.)
func (v *verifier) forgetKeys(frame int) {
	v.cur.eachReg(func(r *reg) {
		if r.kind == ptrMapKey && int(r.frame) == frame {
			v.lose(r)
		}
	})
}

// pushAsync puts off a walk of a function that runs on its own, later (push_async_cb).
func (v *verifier) pushAsync(meta *callMeta, returns Range, sleeps bool) error {
	fn := meta.callee
	s := v.newState()
	s.branches, s.sleeps = 1, sleeps
	f := v.enterFrame(fn, -1, 0)
	s.frames = append(s.frames, f)
	f.callback, f.async, f.returns = asyncCallback, v.cur.cur().async+1, returns
	s.first, s.last = int32(v.funcs[fn].start), -1
	v.funcs[fn].async, v.funcs[fn].calledBack = true, true
	v.callbackArgs(meta, v.cur.cur(), f)
	return v.pushState(s, v.funcs[fn].start, v.insnIdx, errnoEFAULT)
}
