package verifier

import (
	"math"
	"slices"
	"strings"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/verifier/domain"
)

// kfuncEffect does what a kernel function does to the state.
func (v *verifier) kfuncEffect(k *linux.Kfunc) (int, error) {
	meta, next := &v.callArgs, v.insnIdx+1
	switch k.Name {
	case "bpf_throw":
		return v.throw()
	case "bpf_res_spin_lock", "bpf_res_spin_lock_irqsave":
		return next, v.lockResilient(k)
	case "bpf_res_spin_unlock", "bpf_res_spin_unlock_irqrestore":
		kind := refResLock
		if strings.HasSuffix(k.Name, "irqrestore") {
			kind = refResLockIRQ
		}
		if err := v.unlock(meta.lockReg, &v.cur.cur().regs[meta.lockReg], kind); err != nil {
			return 0, err
		}
	case "bpf_rbtree_add_impl":
		if err := v.pushLess(meta); err != nil {
			return 0, err
		}
		v.giveToGraph(meta)
	case "bpf_list_push_front_impl", "bpf_list_push_back_impl":
		v.giveToGraph(meta)
	case "bpf_wq_set_callback_impl", "bpf_task_work_schedule_signal_impl", "bpf_task_work_schedule_resume_impl":
		meta.fn = asm.FnTimerSetCallback // its arguments are the same
		if meta.callee < 0 {
			return 0, v.fail(CodeCallback, errnoEINVAL, "%s wants a function", k.Name)
		}
		returns := Range{0, 0}
		if k.Name != "bpf_wq_set_callback_impl" {
			returns = Range{math.MinInt32, math.MaxInt32} // nobody looks at it
		}
		if err := v.pushAsync(meta, returns, true); err != nil {
			return 0, err
		}
	default:
		if err := v.section(k.Name); err != nil {
			return 0, err
		}
	}
	if k.Flags&linux.KfRelease != 0 || strings.HasSuffix(k.Name, "obj_drop_impl") {
		if meta.ref == 0 || !v.release(meta.ref) {
			return 0, v.fail(CodeReference, errnoEINVAL, "%s gives back a reference that was not acquired", k.Name)
		}
	}
	v.clobberCall()
	if err := v.kfuncResult(k); err != nil {
		return 0, err
	}
	if k.MovesPacket() || meta.moved {
		v.forgetPackets()
	}
	if k.Flags&linux.KfIterNext != 0 {
		return next, v.iterNext()
	}
	return next, nil
}

// section enters or leaves a section.
func (v *verifier) section(name string) error {
	s := v.cur
	switch name {
	case "bpf_rcu_read_lock":
		if s.rcu {
			return v.fail(CodeRCU, errnoEINVAL, "nested RCU read sections are not allowed")
		}
		s.rcu = true
	case "bpf_rcu_read_unlock":
		if !s.rcu {
			return v.fail(CodeRCU, errnoEINVAL, "end of an RCU read section that was not begun")
		}
		s.rcu = false
		s.eachReg(func(r *reg) {
			if r.isPointer() && r.has(inRCU) {
				r.flags = r.flags&^(inRCU|orNull) | untrusted
			}
		})
		s.endRCUIters()
	case "bpf_preempt_disable":
		s.preempt++
	case "bpf_preempt_enable":
		if s.preempt == 0 {
			return v.fail(CodePreempt, errnoEINVAL, "preemption is not disabled")
		}
		s.preempt--
	case "__bpf_trap":
		return v.fail(CodeUnsupported, errnoEFAULT, "__bpf_trap is reached")
	}
	return nil
}

// throw leaves all frames (process_bpf_exit_full with an exception).
func (v *verifier) throw() (int, error) {
	if err := v.noResources("bpf_throw"); err != nil {
		return 0, err
	}
	s := v.cur
	for i := range v.funcs {
		if v.funcs[i].exception {
			return pathEnds, nil // which checks what it returns
		}
	}
	if v.walkedFunc != 0 {
		// A global function's exception ends the program: its cookie is the program's result.
		if rng, ok := v.returnRange(); ok {
			return pathEnds, v.inRange(asm.R1, &s.cur().regs[asm.R1], rng, "the exception")
		}
		return pathEnds, nil
	}
	return pathEnds, v.checkReturn(asm.R1)
}

// lockResilient is bpf_res_spin_lock: it fails with an error, or holds the lock.
func (v *verifier) lockResilient(k *linux.Kfunc) error {
	meta := &v.callArgs
	kind := refResLock
	if strings.HasSuffix(k.Name, "irqsave") {
		kind = refResLockIRQ
	}
	failed, err := v.push(v.insnIdx+1, v.insnIdx, errnoENOMEM)
	if err != nil {
		return err
	}
	f := failed.cur()
	for r := range f.regs[:6] {
		f.regs[r] = reg{}
	}
	r0 := unknownReg()
	r0.S64, r0.S32 = domain.Bounds[int64]{Min: -4095, Max: -1}, domain.Bounds[int32]{Min: -4095, Max: -1}
	r0.Scalar, _ = domain.Linux.Sync(r0.Scalar)
	f.regs[asm.R0] = r0
	if err := v.lock(meta.lockReg, &v.cur.cur().regs[meta.lockReg], kind); err != nil {
		return err
	}
	if meta.irq != nil {
		v.saveIRQ(meta.irq, meta.irqClass)
	}
	v.clobberCall()
	v.cur.cur().regs[asm.R0] = constReg(0)
	return nil
}

// kfuncRoot checks the head of a list or tree, whose lock must be held (process_kf_arg_ptr_to_list_head).
func (v *verifier) kfuncRoot(k *linux.Kfunc, name string, r *reg, at asm.Register) error {
	kind := fieldList
	if name == "bpf_rb_root" {
		kind = fieldRoot
	}
	var fields []field
	owner := lockOwner{m: -1, id: r.id}
	switch {
	case r.kind == ptrMapValue && !r.has(orNull):
		fields, owner.m = v.maps[r.m].fields, r.m
	case r.kind == ptrBTF && r.has(alloc):
		if r.ref == 0 {
			return v.failReg(at, CodeReference, errnoEINVAL, "%s must be owned", at)
		}
		fields, owner.ty = v.fieldsOfType(v.types[r.aux]), r.aux+1
	default:
		return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants a %s in %s", k.Name, kind, at)
	}
	if !r.Tnum.IsConst() {
		return v.failReg(at, CodeArgConst, errnoEINVAL, "a %s at a variable offset", kind)
	}
	f := fieldAt(fields, int(int64(r.off)+int64(r.Tnum.Value)), kind)
	if f == nil {
		return v.failReg(at, CodeSpecialField, errnoEINVAL, "there is no %s at offset %d", kind, r.off)
	}
	if !slices.ContainsFunc(v.cur.refs, func(h ref) bool { return h.kind != refPointer && h.kind != refIRQ && h.owner == owner }) {
		return v.failReg(at, CodeLock, errnoEINVAL, "the lock of the %s at offset %d must be held", kind, f.off)
	}
	v.callArgs.root = f
	return nil
}

// kfuncNode checks a node of a list or tree (process_kf_arg_ptr_to_graph_node).
func (v *verifier) kfuncNode(k *linux.Kfunc, name string, r *reg, at asm.Register) error {
	kind := fieldListNode
	if name == "bpf_rb_node" {
		kind = fieldRootNode
	}
	root := v.callArgs.root
	if err := v.kfuncOffset(r, at); err != nil {
		return err
	}
	if r.kind != ptrBTF || !r.has(alloc) {
		return v.failReg(at, CodeArgType, errnoEINVAL, "%s wants an object with a %s in %s", k.Name, kind, at)
	}
	adds := strings.Contains(k.Name, "_push_") || strings.Contains(k.Name, "_add_")
	if adds && r.ref == 0 {
		return v.failReg(at, CodeReference, errnoEINVAL, "%s must be owned", at)
	}
	if !adds && !r.has(nonOwn) && r.ref == 0 {
		return v.failReg(at, CodeReference, errnoEINVAL, "%s must be a node that is in the tree, or owned", at)
	}
	if frames := v.cur.frames; !adds && (v.compareNodes(frames[len(frames)-1:]) || k.Name == "bpf_rbtree_remove" && v.compareNodes(frames)) {
		return v.fail(CodeCallback, errnoEINVAL, "%s cannot be called by the comparison of bpf_rbtree_add", k.Name)
	}
	t := v.types[r.aux]
	f := fieldAt(v.fieldsOfType(t), int(r.off), kind)
	if f == nil || !r.Tnum.IsConst() || r.Tnum.Value != 0 {
		return v.failReg(at, CodeSpecialField, errnoEINVAL, "there is no %s at offset %d of struct %s", kind, r.off, t.Name)
	}
	if root != nil && (root.target.Name != t.Name || memberAt(t, f.off) != root.node) {
		return v.failReg(at, CodeArgType, errnoEINVAL, "this %s is for nodes %s.%s, not %s", root.kind, root.target.Name, root.node, t.Name)
	}
	v.callArgs.node, v.callArgs.btf = f, r.aux
	v.callArgs.btfPtr = *r
	return nil
}

// compareNodes reports whether one of the frames compares nodes for bpf_rbtree_add, which is at work then: the
// tree must not lose nodes, nor its lock be given back. Linux thinks of the comparison itself, and not of
// functions that it calls (in_rbtree_lock_required_cb).
func (v *verifier) compareNodes(frames []*frame) bool {
	return slices.ContainsFunc(frames, func(f *frame) bool {
		return f.callback == syncCallback && v.insns[f.callsite].kind == asm.KindCallKfunc
	})
}

// memberAt returns the name of the member that starts at off.
func memberAt(t *prog.BTFType, off int) string {
	for i := range t.Members {
		if int(t.Members[i].BitOff/8) == off {
			return t.Members[i].Name
		}
	}
	return ""
}

// giveToGraph makes an owned node one that the list or tree owns: the program may use it while it
// holds the lock (ref_convert_owning_non_owning).
func (v *verifier) giveToGraph(meta *callMeta) {
	id := meta.ref
	counted := fieldOf(v.fieldsOfType(v.types[meta.btf]), fieldRefcount) != nil
	v.cur.releaseRef(id)
	v.cur.eachReg(func(r *reg) {
		if r.ref != id {
			return
		}
		r.ref = 0
		r.flags |= nonOwn
		if counted {
			r.flags |= inRCU
		}
	})
}

// pushLess puts off a walk of the comparison of a tree's nodes.
func (v *verifier) pushLess(meta *callMeta) error {
	if meta.callee < 0 {
		return v.fail(CodeCallback, errnoEINVAL, "bpf_rbtree_add wants a function that compares nodes")
	}
	caller := v.cur.cur()
	s, err := v.push(v.funcs[meta.callee].start, v.insnIdx, errnoENOMEM)
	if err != nil {
		return err
	}
	if err := v.enter(s, meta.callee); err != nil {
		return err
	}
	v.funcs[meta.callee].calledBack = true
	f := s.cur()
	f.callback, f.returns = syncCallback, Range{0, 1}
	s.callbacks++
	s.frames[s.top()-1].callbackDepth++
	caller.callbackDepth = 0
	for i := 1; i <= 2; i++ {
		f.regs[i] = pointer(ptrBTF, alloc|nonOwn)
		f.regs[i].aux, f.regs[i].off = v.typeID(v.resolve(meta.root.target)), int32(meta.node.off)
		f.regs[i].id = v.nextID()
	}
	return nil
}

// kfuncResult gives r0 what a kernel function returns.
func (v *verifier) kfuncResult(k *linux.Kfunc) error {
	meta := &v.callArgs
	r0 := &v.cur.cur().regs[asm.R0]
	ret := k.Proto.Return
	switch {
	case ret == nil || ret.Kind == prog.BTFVoid:
		return nil
	case ret.Kind != prog.BTFPointer:
		*r0 = unknownReg()
		return nil
	}
	known, err := v.knownResult(k, r0)
	if err != nil {
		return err
	}
	target := ret.Elem
	switch {
	case known:
	case meta.memSize > 0 || target == nil || target.Kind == prog.BTFVoid:
		if meta.memSize == 0 {
			*r0 = unknownReg()
			return nil
		}
		*r0 = pointer(ptrMem, 0)
		r0.size = int32(meta.memSize)
		if meta.memRdonly {
			r0.flags |= rdonly
		}
		r0.ref = meta.ref
	case target.Kind == prog.BTFStruct || target.Kind == prog.BTFUnion || target.Kind == prog.BTFFwd:
		*r0 = pointer(ptrBTF, 0)
		r0.aux = v.typeID(kernelStruct(target.Name))
		if k.Flags&linux.KfIterNext != 0 {
			r0.flags |= trusted
			if isRCUIter(k.Name) {
				r0.flags = r0.flags&^trusted | inRCU
			}
		}
	default:
		*r0 = pointer(ptrMem, rdonly)
		r0.size = int32(sizeOf(target))
		if it := meta.iter; it != nil { // the element lives as long as the iterator
			r0.ref = it.reg.ref
		}
	}
	certain := meta.owning && k.Name == "bpf_refcount_acquire_impl" // an owner's object is alive
	if k.Flags&linux.KfRetNull != 0 && !certain || r0.has(orNull) {
		r0.flags |= orNull
		r0.id = v.nextID()
	}
	if k.Flags&linux.KfAcquire != 0 {
		id := v.acquire(refPointer)
		r0.ref = id
		if r0.has(orNull) {
			r0.id = id
		}
	}
	if r0.id == 0 && v.mayHoldLock(r0) {
		r0.id = v.nextID()
	}
	return nil
}

// isRCUIter reports whether an iterator's elements are protected by RCU only.
func isRCUIter(name string) bool {
	return name == "bpf_iter_task_next" || name == "bpf_iter_css_next"
}

// knownResult is the result of functions that the verifier knows by name (check_special_kfunc).
func (v *verifier) knownResult(k *linux.Kfunc, r0 *reg) (bool, error) {
	meta := &v.callArgs
	node := func(f flag) {
		*r0 = pointer(ptrBTF, alloc|f)
		t := v.resolve(meta.rootOrNode(v))
		r0.aux = v.typeID(t)
		r0.off = int32(v.nodeOffset(meta, t))
	}
	switch k.Name {
	case "bpf_obj_new_impl", "bpf_percpu_obj_new_impl":
		return true, v.newObject(k, r0)
	case "bpf_refcount_acquire_impl":
		*r0 = pointer(ptrBTF, alloc)
		r0.aux = meta.btf
		if !meta.owning {
			r0.flags |= orNull
		}
		return true, nil
	case "bpf_list_pop_front", "bpf_list_pop_back", "bpf_rbtree_remove":
		node(orNull)
		return true, nil
	case "bpf_list_front", "bpf_list_back", "bpf_rbtree_first", "bpf_rbtree_root", "bpf_rbtree_left", "bpf_rbtree_right":
		node(orNull | nonOwn)
		return true, nil
	case "bpf_cast_to_kern_ctx":
		*r0 = pointer(ptrBTF, trusted)
		r0.aux = meta.btf
		return true, nil
	case "bpf_rdonly_cast":
		return true, v.readOnlyCast(r0)
	case "bpf_dynptr_slice", "bpf_dynptr_slice_rdwr":
		return true, v.dynptrSlice(k, r0)
	}
	return false, nil
}

// rootOrNode returns the type of the nodes that a function is about.
func (m *callMeta) rootOrNode(v *verifier) *prog.BTFType {
	if m.root != nil {
		return m.root.target
	}
	return v.types[m.btf]
}

// nodeOffset returns where the node is within its object.
func (v *verifier) nodeOffset(meta *callMeta, t *prog.BTFType) int {
	if meta.node != nil {
		return meta.node.off
	}
	for i := range t.Members {
		if t.Members[i].Name == meta.root.node {
			return int(t.Members[i].BitOff / 8)
		}
	}
	return 0
}

// newObject is bpf_obj_new: an object of a struct of the program's.
func (v *verifier) newObject(k *linux.Kfunc, r0 *reg) error {
	if len(v.p.Types) == 0 {
		return v.fail(CodeBTF, errnoEINVAL, "%s needs the program's types (BTF)", k.Name)
	}
	i := slices.IndexFunc(v.p.Types, func(t *prog.BTFType) bool { return uint64(t.ID) == v.callArgs.constant })
	if i < 0 || v.p.Types[i].Kind != prog.BTFStruct {
		return v.fail(CodeArgConst, errnoEINVAL, "%s wants the id of a struct of the program's, %d is none", k.Name, v.callArgs.constant)
	}
	t := v.p.Types[i]
	*r0 = pointer(ptrBTF, alloc|orNull)
	r0.aux = v.typeID(t)
	if strings.HasPrefix(k.Name, "bpf_percpu_") {
		if t.Size > 512 || !scalarsOnly(t) || len(v.fieldsOfType(t)) > 0 {
			return v.fail(CodeArgType, errnoEINVAL, "struct %s cannot be per CPU: it has at most 512 bytes, and numbers only", t.Name)
		}
		r0.flags |= percpu
	}
	return nil
}

// readOnlyCast is bpf_rdonly_cast.
func (v *verifier) readOnlyCast(r0 *reg) error {
	id := v.callArgs.constant
	if id == 0 {
		*r0 = pointer(ptrMem, rdonly|untrusted)
		return nil
	}
	t, ok := linux.StructID(uint32(id))
	if !ok {
		return v.fail(CodeArgConst, errnoEINVAL, "bpf_rdonly_cast wants the id of a struct, %d is none", id)
	}
	*r0 = pointer(ptrBTF, untrusted)
	r0.aux = v.typeID(kernelStruct(t.Name))
	return nil
}

// dynptrSlice is a part of a dynptr's memory.
func (v *verifier) dynptrSlice(k *linux.Kfunc, r0 *reg) error {
	meta := &v.callArgs
	*r0 = pointer(ptrMem, orNull)
	r0.size = int32(meta.constant)
	d := meta.dynptr
	if d == nil {
		return v.internal("slice of no dynptr")
	}
	if k.Name == "bpf_dynptr_slice" {
		r0.flags |= rdonly
	} else if isPacketDynptr(d.aux) && !v.writesPkt {
		return v.fail(CodePacketAccess, errnoEINVAL, "programs of this type cannot write into the packet")
	}
	switch {
	case isPacketDynptr(d.aux), d.has(packetSlice):
		r0.flags |= packetSlice
	case k.Name == "bpf_dynptr_slice_rdwr": // Linux lets a record be written after it was submitted
		r0.ref = d.ref
	}
	return nil
}
