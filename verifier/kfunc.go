package verifier

import (
	"slices"
	"strings"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// checkCallKfunc executes the call of a kernel function (check_kfunc_call).
func (v *verifier) checkCallKfunc(in *insn) (int, error) {
	decl := &v.p.Kfuncs[in.Imm]
	k, ok := linux.KfuncByName(decl.Name)
	if v.env.NoKernel {
		return 0, v.fail(CodeUnsupported, errnoENOENT, "there is no kernel to call %s of", decl.Name)
	}
	if !ok {
		if decl.Name == "" { // an error if it is not eliminated
			return v.insnIdx + 1, nil
		}
		return 0, v.fail(CodeKfunc, errnoEINVAL, "kernel function %s is not there", decl.Name)
	}
	if err := v.kfuncCallable(k); err != nil {
		return 0, err
	}
	meta := &v.callArgs
	*meta = callMeta{m: -1, callee: -1, packetOK: true, kfunc: k}
	if err := v.kfuncArgs(k); err != nil {
		return 0, err
	}
	if err := v.kfuncHere(k); err != nil {
		return 0, err
	}
	return v.kfuncEffect(k)
}

// kfuncCallable refuses functions that the program may not call.
func (v *verifier) kfuncCallable(k *linux.Kfunc) error {
	s := v.cur
	if s.locks > 0 && !allowedUnderLock(k) {
		return v.fail(CodeLock, errnoEINVAL, "%s cannot be called with a spin lock held", k.Name)
	}
	if !v.known || !k.Allowed.Has(v.variant) {
		return v.fail(CodeKfunc, errnoEACCES, "programs of type %v cannot call %s", v.p.Type, k.Name)
	}
	if k.Flags&linux.KfSleepable != 0 && !s.sleeps {
		return v.fail(CodeSleep, errnoEACCES, "%s may sleep, the program may not", k.Name)
	}
	return nil
}

// kfuncHere refuses functions that the program may call, but not in the section that it is in. Linux looks at
// that behind the arguments.
func (v *verifier) kfuncHere(k *linux.Kfunc) error {
	if k.Flags&linux.KfSleepable != 0 {
		if err := v.mayNotSleep(k.Name); err != nil {
			err.(*Error).Errno = errnoEACCES
			return err
		}
	}
	if k.Flags&linux.KfRCUProtected != 0 && !v.inRCUSection() {
		return v.fail(CodeRCU, errnoEACCES, "%s is for RCU read sections only", k.Name)
	}
	return nil
}

// allowedUnderLock reports whether a function may be called with a spin lock held.
func allowedUnderLock(k *linux.Kfunc) bool {
	switch {
	case strings.HasPrefix(k.Name, "bpf_list_"), strings.HasPrefix(k.Name, "bpf_rbtree_"), strings.HasPrefix(k.Name, "bpf_iter_num_"),
		strings.HasPrefix(k.Name, "bpf_res_spin_"), k.Name == "bpf_refcount_acquire_impl":
		return true
	}
	return false
}

// kfuncArgs checks the arguments by the function's prototype (check_kfunc_args).
func (v *verifier) kfuncArgs(k *linux.Kfunc) error {
	if len(k.Proto.Params) > 5 {
		return v.fail(CodeKfunc, errnoEINVAL, "%s takes %d arguments, more than there are registers", k.Name, len(k.Proto.Params))
	}
	for i := range k.Proto.Params {
		at := asm.Register(i + 1)
		p := &k.Proto.Params[i]
		if suffix(p, "__ign") || suffix(p, "__prog") {
			continue
		}
		r := &v.cur.cur().regs[at]
		number := p.Type.Kind != prog.BTFPointer
		if r.kind == notInit {
			errno := errnoEACCES
			if number {
				errno = errnoEINVAL
			}
			return v.failReg(at, CodeUninitialized, errno, "%s was not written before it is read", at)
		}
		var err error
		if number {
			err = v.kfuncNumber(k, p, r, at)
		} else {
			err = v.kfuncPointer(k, i, r, at)
		}
		if err != nil {
			return err
		}
	}
	if k.Flags&linux.KfRelease != 0 && v.callArgs.releaseReg == 0 {
		return v.fail(CodeReference, errnoEINVAL, "%s wants a reference to give back", k.Name)
	}
	return nil
}

func suffix(p *prog.BTFParam, s string) bool { return strings.HasSuffix(p.Name, s) }

// kfuncNumber checks an argument that is no pointer.
func (v *verifier) kfuncNumber(k *linux.Kfunc, p *prog.BTFParam, r *reg, at asm.Register) error {
	if r.kind != scalar {
		return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants a number in %s, it is a pointer to %s", k.Name, at, kindName(r))
	}
	constant := suffix(p, "__k")
	size := p.Name == "rdonly_buf_size" || p.Name == "rdwr_buf_size"
	if !constant && !size {
		return nil
	}
	if !r.Tnum.IsConst() {
		return v.failReg(at, CodeArgConst, errnoEINVAL, "%s wants a constant in %s", k.Name, at)
	}
	if constant {
		v.callArgs.constant = r.Tnum.Value
	}
	if size {
		v.callArgs.memSize, v.callArgs.memRdonly = int64(r.Tnum.Value), p.Name == "rdonly_buf_size"
	}
	return v.markPrecise(at)
}

// kfuncPointer checks a pointer argument.
func (v *verifier) kfuncPointer(k *linux.Kfunc, i int, r *reg, at asm.Register) error {
	p := &k.Proto.Params[i]
	meta := &v.callArgs
	if err := v.kfuncOwner(k, p, r, at); err != nil {
		return err
	}
	if suffix(p, "__nullable") && r.isNull() {
		return nil
	}
	target := p.Type.Elem
	name := ""
	if target != nil {
		name = target.Name
	}
	switch {
	case target != nil && v.isKfuncCtx(p, name) && (r.kind == ptrCtx || name == "__sk_buff" || name == "xdp_md"):
		if r.kind != ptrCtx {
			return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants the context in %s", k.Name, at)
		}
		if k.Name == "bpf_cast_to_kern_ctx" {
			return v.castCtx(r, at)
		}
		return v.ctxOffset(r, at)
	case suffix(p, "__alloc"), suffix(p, "__refcounted_kptr"):
		return v.kfuncObject(k, p, r, at)
	case name == "bpf_dynptr", name == "bpf_dynptr_kern":
		return v.kfuncDynptr(k, p, r, at)
	case isIterStruct(name) && (i == 0 && k.Flags&(linux.KfIterNew|linux.KfIterNext|linux.KfIterDestroy) != 0 || suffix(p, "__iter")):
		return v.argIter(k, r, at, target)
	case name == "bpf_list_head", name == "bpf_rb_root":
		return v.kfuncRoot(k, name, r, at)
	case name == "bpf_list_node", name == "bpf_rb_node":
		return v.kfuncNode(k, name, r, at)
	case suffix(p, "__str"):
		if r.kind != ptrMapValue {
			return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants a constant string in %s", k.Name, at)
		}
		return v.argString(r, at)
	case suffix(p, "__map"):
		if r.kind != ptrMap {
			return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants a map in %s", k.Name, at)
		}
		return v.kfuncMap(r, at)
	case name == "bpf_wq", name == "bpf_task_work":
		kind := fieldWorkqueue
		if name == "bpf_task_work" {
			kind = fieldTaskWork
		}
		if r.kind != ptrMapValue || r.has(orNull) {
			return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants a %s in %s, in a map's value", k.Name, kind, at)
		}
		_, err := v.argAsync(r, at, kind)
		return err
	case suffix(p, "__irq_flag"):
		return v.kfuncIRQ(k, r, at)
	case name == "bpf_res_spin_lock":
		meta.lockReg = at
		if r.kind != ptrMapValue && r.kind != ptrBTF {
			return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants a lock in %s", k.Name, at)
		}
		_, err := v.lockField(at, r, refResLock)
		return err
	case target != nil && target.Kind == prog.BTFFuncProto:
		if r.kind != ptrFunc {
			return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants a function in %s", k.Name, at)
		}
		meta.callee = int(r.aux)
		return nil
	}
	isStruct := target != nil && (target.Kind == prog.BTFStruct || target.Kind == prog.BTFUnion || target.Kind == prog.BTFFwd)
	if r.kind == ptrBTF || r.isSock() || r.kind == ptrMap {
		if !isStruct {
			return v.failReg(at, CodeArgType, errnoEINVAL, "%s does not take a pointer to %s as memory in %s", k.Name, kindName(r), at)
		}
		return v.kfuncStruct(k, target, r, at)
	}
	return v.kfuncMemory(k, i, target, r, at)
}

// kfuncOwner checks what a pointer argument must be whatever it points to: not null where a function
// trusts it, and the only one with a reference that the function takes over.
func (v *verifier) kfuncOwner(k *linux.Kfunc, p *prog.BTFParam, r *reg, at asm.Register) error {
	meta := &v.callArgs
	strict := k.Flags&(linux.KfTrustedArgs|linux.KfRCU|linux.KfRelease) != 0
	nullable := suffix(p, "__nullable") || suffix(p, "__opt") || suffix(p, "__szk__opt")
	if strict && (r.isNull() || r.has(orNull)) && !nullable {
		return v.failReg(at, CodeArgNull, errnoEACCES, "%s may be null, %s wants a trusted pointer", at, k.Name)
	}
	if r.ref != 0 && r.kind != ptrStack {
		if k.Flags&linux.KfRelease != 0 && meta.ref != 0 {
			return v.failReg(at, CodeReference, errnoEFAULT, "more than one argument with a reference")
		}
		meta.ref = r.ref
		if k.Flags&linux.KfRelease != 0 {
			meta.releaseReg = at
		}
	}
	return nil
}

// kfuncOffset refuses an offset that no argument of a kernel function may have which points to an object of the
// program's.
func (v *verifier) kfuncOffset(r *reg, at asm.Register) error {
	return v.argOffset(helper.ArgAny, &helper.Arg{}, r, at)
}

// isIterStruct reports whether a struct is an open-coded iterator's.
func isIterStruct(name string) bool { return strings.HasPrefix(name, "bpf_iter_") }

// isKfuncCtx reports whether a parameter is the program's context.
func (v *verifier) isKfuncCtx(p *prog.BTFParam, name string) bool {
	if v.isCtxStruct(name) {
		return true
	}
	if p.Name == "obj" && name == "" { // bpf_cast_to_kern_ctx
		return false
	}
	switch name {
	case "__sk_buff":
		return v.isCtxStruct("__sk_buff")
	case "xdp_md", "xdp_buff":
		return v.p.Type == prog.XDP
	}
	return false
}

// kernelCtx returns the kernel's struct behind the context, nil if it is none.
func (v *verifier) kernelCtx() *prog.BTFType {
	name := kernelCtxs[v.p.Type]
	if name == "" && v.isCtxStruct("__sk_buff") {
		name = "sk_buff"
	}
	if name == "" {
		return nil
	}
	return kernelStruct(name)
}

// kernelCtxs are the kernel's structs behind contexts other than struct __sk_buff
// (include/linux/bpf_types.h).
var kernelCtxs = map[prog.Type]string{
	prog.XDP: "xdp_buff", prog.CGroupSock: "sock", prog.CGroupSockAddr: "bpf_sock_addr_kern", prog.SockOps: "bpf_sock_ops_kern",
	prog.SkMsg: "sk_msg", prog.FlowDissector: "bpf_flow_dissector", prog.Kprobe: "pt_regs", prog.PerfEvent: "bpf_perf_event_data_kern",
	prog.CGroupDevice: "bpf_cgroup_dev_ctx", prog.CGroupSysctl: "bpf_sysctl_kern", prog.CGroupSockopt: "bpf_sockopt_kern",
	prog.SkReuseport: "sk_reuseport_kern", prog.SkLookup: "bpf_sk_lookup_kern", prog.Netfilter: "bpf_nf_ctx",
}

// castCtx is the argument of bpf_cast_to_kern_ctx.
func (v *verifier) castCtx(r *reg, at asm.Register) error {
	if r.kind != ptrCtx {
		return v.failReg(at, CodeArgType, errnoEINVAL, "bpf_cast_to_kern_ctx wants the context in %s", at)
	}
	t := v.kernelCtx()
	if t == nil {
		return v.fail(CodeArgType, errnoEINVAL, "the context of programs of type %v is no struct of the kernel", v.p.Type)
	}
	v.callArgs.btf = v.typeID(t)
	return v.ctxOffset(r, at)
}

// kfuncMap notes a map argument, which must be that of a workqueue before it.
func (v *verifier) kfuncMap(r *reg, at asm.Register) error {
	meta := &v.callArgs
	if meta.m >= 0 && (meta.m != r.m || meta.mapUID != r.aux) {
		return v.failReg(at, CodeArgType, errnoEINVAL, "this is not the map that the field lies in")
	}
	meta.m, meta.mapUID, meta.fromR = r.m, r.aux, at
	return nil
}

// kfuncObject checks an object that the program owns.
func (v *verifier) kfuncObject(k *linux.Kfunc, p *prog.BTFParam, r *reg, at asm.Register) error {
	if r.kind != ptrBTF || !r.has(alloc) {
		code := CodeArgType
		if r.kind == ptrBTF {
			code = CodeArgTrust
		}
		return v.failReg(at, code, errnoEINVAL, "%s wants an object of bpf_obj_new in %s", k.Name, at)
	}
	perCPU := strings.HasPrefix(k.Name, "bpf_percpu_obj_")
	if suffix(p, "__refcounted_kptr") {
		if fieldOf(v.fieldsOfType(v.types[r.aux]), fieldRefcount) == nil {
			return v.failReg(at, CodeArgType, errnoEINVAL, "struct %s has no reference count", v.types[r.aux].Name)
		}
		if err := v.fixedOffset(r, at, true); err != nil {
			return err
		}
		// What RCU protects may have lost its last owner, which Linux does not think of.
		v.callArgs.btf, v.callArgs.owning = r.aux, r.ref != 0
		return nil
	}
	if r.has(percpu) != perCPU {
		return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants another kind of object in %s", k.Name, at)
	}
	if r.ref == 0 {
		return v.failReg(at, CodeReference, errnoEINVAL, "%s must be owned", at)
	}
	if r.off != 0 {
		return v.failReg(at, CodeArgOffset, errnoEINVAL, "%s must be at offset 0", at)
	}
	v.callArgs.releaseReg, v.callArgs.btf = at, r.aux
	return v.fixedOffset(r, at, false)
}

// kfuncDynptr checks a dynptr argument.
func (v *verifier) kfuncDynptr(k *linux.Kfunc, p *prog.BTFParam, r *reg, at asm.Register) error {
	if suffix(p, "__uninit") {
		kind := dynptrLocal
		ref := uint32(0)
		switch k.Name {
		case "bpf_dynptr_from_skb":
			kind = dynptrSKB
		case "bpf_dynptr_from_xdp":
			kind = dynptrXDP
		case "bpf_dynptr_from_skb_meta":
			kind = dynptrSKBMeta
		case "bpf_dynptr_clone":
			d := v.callArgs.dynptr
			if d == nil {
				return v.internal("clone of no dynptr")
			}
			kind, ref = d.aux, d.ref
		}
		return v.newDynptr(r, at, kind, ref)
	}
	if r.kind != ptrStack && r.kind != ptrDynptr {
		return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants a dynptr in %s", k.Name, at)
	}
	if err := v.readableDynptr(r, at); err != nil {
		return err
	}
	d := v.noteDynptr(r)
	if at == asm.R1 && writesDynptr(k.Name) && movesPacket(d) {
		v.callArgs.moved = true
	}
	return nil
}

// writesDynptr reports whether a kernel function writes through the dynptr that is its first argument, as
// bpf_dynptr_write does. Linux does not think of it that this may move the packet.
func writesDynptr(name string) bool {
	return name == "bpf_dynptr_copy" || name == "bpf_dynptr_memset" || strings.HasSuffix(name, "_dynptr")
}

// kfuncStruct checks a pointer to a kernel structure.
func (v *verifier) kfuncStruct(k *linux.Kfunc, target *prog.BTFType, r *reg, at asm.Register) error {
	trusts := k.Flags&(linux.KfTrustedArgs|linux.KfRelease) != 0
	switch {
	case trusts && !r.isTrusted():
		return v.failReg(at, CodeArgTrust, errnoEINVAL, "%s must be referenced or trusted", at)
	case !trusts && k.Flags&linux.KfRCU != 0 && !r.isTrusted() && !r.has(inRCU):
		return v.failReg(at, CodeArgTrust, errnoEINVAL, "%s must be an rcu pointer", at)
	case r.kind == ptrBTF && r.flags&^(alloc|trusted) != 0 && !r.has(inRCU):
		return v.failReg(at, CodeArgTrust, errnoEINVAL, "%s is not trusted", at)
	}
	if k.Flags&linux.KfRelease != 0 && r.off != 0 {
		return v.failReg(at, CodeArgOffset, errnoEINVAL, "%s must be at offset 0 to be given back", at)
	}
	if err := v.fixedOffset(r, at, r.kind == ptrBTF); err != nil {
		return err
	}
	t := v.structOf(r)
	want := linux.Resolve(target)
	strict := t != nil && (k.Flags&linux.KfRelease != 0 && r.ref != 0 || noCast(t.Name, want.Name))
	if t == nil || !v.sameStruct(t, int(r.off), want, strict) {
		name := "?"
		if t != nil {
			name = t.Name
		}
		return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants struct %s in %s, it is struct %s", k.Name, target.Name, at, name)
	}
	v.callArgs.btf = v.typeID(t)
	return nil
}

// noCast reports whether one of two structs is the other before it is ready for use
// (btf_type_ids_nocast_alias).
func noCast(a, b string) bool {
	const suffix = "___init"
	return a != b && strings.TrimSuffix(a, suffix) == strings.TrimSuffix(b, suffix)
}

// structOf returns the kernel's struct that a pointer points to.
func (v *verifier) structOf(r *reg) *prog.BTFType {
	switch r.kind {
	case ptrBTF:
		return v.types[r.aux]
	case ptrSockCommon:
		return kernelStruct("sock_common")
	case ptrSocket:
		return kernelStruct("sock")
	case ptrTCPSock:
		return kernelStruct("tcp_sock")
	case ptrXDPSock:
		return kernelStruct("xdp_sock")
	case ptrMap:
		return kernelStruct("bpf_map")
	}
	return nil
}

// kfuncMemory checks memory of the size of what is pointed to, or of the next argument.
func (v *verifier) kfuncMemory(k *linux.Kfunc, i int, target *prog.BTFType, r *reg, at asm.Register) error {
	params := k.Proto.Params
	if i+1 < len(params) && (suffix(&params[i+1], "__sz") || suffix(&params[i+1], "__szk")) {
		size := &v.cur.cur().regs[at+1]
		if size.kind == notInit {
			return v.failReg(at+1, CodeUninitialized, errnoEACCES, "%s was not written before it is read", at+1)
		}
		if size.kind != scalar {
			return v.failReg(at+1, CodeArgType, errnoEINVAL, "%s wants a size in %s", k.Name, at+1)
		}
		if suffix(&params[i+1], "__szk") {
			if !size.Tnum.IsConst() {
				return v.failReg(at+1, CodeArgConst, errnoEINVAL, "%s must be a constant", at+1)
			}
			v.callArgs.constant = size.Tnum.Value
		}
		if r.isNull() && suffix(&params[i], "__opt") {
			return nil
		}
		if err := v.argSize(at+1, false, true); err != nil {
			return err
		}
		return v.argSize(at+1, true, true)
	}
	if r.kind == ptrArena || r.kind == scalar && strings.HasPrefix(k.Name, "bpf_arena_") {
		return nil
	}
	switch k.Name {
	case "bpf_rdonly_cast":
		return nil
	case "bpf_cast_to_kern_ctx":
		return v.castCtx(r, at)
	}
	n := sizeOf(linux.Resolve(target))
	if target == nil || target.Kind == prog.BTFVoid || n == 0 || !scalarsOnly(linux.Resolve(target)) {
		return v.failReg(at, CodeArgType, errnoEINVAL, "%s does not take a pointer to %s in %s", k.Name, kindName(r), at)
	}
	if r.has(orNull) || r.isNull() {
		return v.failReg(at, CodeArgNull, errnoEACCES, "%s may be null", at)
	}
	if err := v.argMemory(at, int64(n), false, false); err != nil {
		return err
	}
	return v.argMemory(at, int64(n), true, false)
}

// scalarsOnly reports whether a type has no pointers in it (btf_type_is_scalar_struct).
func scalarsOnly(t *prog.BTFType) bool {
	left := maxFieldWalk
	var look func(t *prog.BTFType, depth int) bool
	look = func(t *prog.BTFType, depth int) bool {
		if left--; t == nil || depth > 4 || left < 0 {
			return false
		}
		switch t.Kind {
		case prog.BTFInt, prog.BTFEnum, prog.BTFFloat:
			return true
		case prog.BTFArray:
			return look(t.Elem, depth) // which ends at the latest when nothing is left
		case prog.BTFStruct, prog.BTFUnion:
			return !slices.ContainsFunc(t.Members, func(m prog.BTFMember) bool { return !look(m.Type, depth+1) })
		}
		return false
	}
	return look(t, 0)
}

// kfuncIRQ checks the flags of an interrupt-disabled section.
func (v *verifier) kfuncIRQ(k *linux.Kfunc, r *reg, at asm.Register) error {
	if err := v.kfuncOffset(r, at); err != nil {
		return err
	}
	if r.kind != ptrStack {
		return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants flags on the stack in %s", k.Name, at)
	}
	list := v.iterSlots(r, 1)
	if list == nil {
		if savesIRQ(k) {
			if err := v.objectOutside(r, at, 1); err != nil {
				return err
			}
		}
		return v.failReg(at, CodeIRQ, errnoEINVAL, "interrupt flags take 8 aligned bytes of the stack")
	}
	s, class := list[0], uint32(1)
	if strings.HasPrefix(k.Name, "bpf_res_spin_") {
		class = 2
	}
	if savesIRQ(k) {
		if s.bytes[0] == byteIRQ {
			return v.failReg(at, CodeIRQ, errnoEINVAL, "%s points to flags that were saved and not restored", at)
		}
		if err := v.destroyDynptr(v.cur.frames[r.frame], r.frame, int(int64(r.off)+int64(r.Tnum.Value)), 8); err != nil {
			return err
		}
		v.callArgs.irq = s
		v.callArgs.irqClass = class
		if k.Name == "bpf_local_irq_save" {
			v.saveIRQ(s, class)
			v.callWrote(r, 8)
		}
		return nil
	}
	v.readSlots(int(r.frame), slotsAt(r, 8))
	if s.bytes[0] != byteIRQ {
		return v.failReg(at, CodeIRQ, errnoEINVAL, "%s must point to flags that were saved", at)
	}
	if s.reg.aux != class {
		return v.failReg(at, CodeIRQ, errnoEINVAL, "the flags in %s were saved by another function", at)
	}
	if s.reg.ref != v.cur.irqID {
		return v.failReg(at, CodeIRQ, errnoEACCES, "interrupt flags are restored in the reverse order")
	}
	v.restoreIRQ(s)
	v.callWrote(r, 8)
	return nil
}

// savesIRQ reports whether a function disables interrupts and saves their flags.
func savesIRQ(k *linux.Kfunc) bool {
	return k.Name == "bpf_local_irq_save" || k.Name == "bpf_res_spin_lock_irqsave"
}

func (v *verifier) saveIRQ(s *slot, class uint32) {
	st := v.cur
	id := v.acquire(refIRQ)
	st.refs[len(st.refs)-1].prev = st.irqID
	st.irqID = id
	v.barrierAfter(s.bytes[:], false)
	for i := range s.bytes {
		s.bytes[i] = byteIRQ
	}
	s.reg = reg{kind: slotIRQ, ref: id, aux: class}
}

func (v *verifier) restoreIRQ(s *slot) {
	st := v.cur
	i := slices.IndexFunc(st.refs, func(r ref) bool { return r.kind == refIRQ && r.id == s.reg.ref })
	if i >= 0 {
		st.irqID = st.refs[i].prev
		st.refs = slices.Delete(st.refs, i, i+1)
	}
	*s = slot{}
}
