package verifier

import (
	"sync"

	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// typeID returns the number of a type in v.types; types have one when a register points to them.
func (v *verifier) typeID(t *prog.BTFType) uint32 {
	if id, ok := v.typeOf[t]; ok {
		return id
	}
	if v.typeOf == nil {
		v.typeOf = make(map[*prog.BTFType]uint32)
	}
	id := uint32(len(v.types))
	v.types = append(v.types, t)
	v.typeOf[t] = id
	return id
}

// kernelStruct returns a struct of the kernel; one that is not known has only its name.
func kernelStruct(name string) *prog.BTFType {
	if t := linux.Struct(name); t != nil {
		return t
	}
	t, _ := unknownStructs.LoadOrStore(name, &prog.BTFType{Kind: prog.BTFFwd, Name: name})
	return t.(*prog.BTFType)
}

// unknownStructs are the structs that package linux does not have, by name.
var unknownStructs sync.Map

// resolve returns the struct that a declaration without members stands for: one of the program's, or
// of the kernel's.
func (v *verifier) resolve(t *prog.BTFType) *prog.BTFType {
	if t == nil || t.Kind != prog.BTFFwd && len(t.Members) > 0 {
		return t
	}
	if local := v.localStruct(t.Name); local != nil {
		return local
	}
	return kernelStruct(t.Name)
}

// isLocal reports whether what a program declares is a struct of its own: the kernel has none of that
// name.
func (v *verifier) isLocal(t *prog.BTFType) bool {
	return v.localStruct(t.Name) != nil && linux.Struct(t.Name) == nil
}

// fromKernel reports whether the type of a register is the kernel's, and not one of the program's that may
// have the same name.
func fromKernel(t *prog.BTFType) bool { return t.Kind == prog.BTFFwd || linux.Struct(t.Name) == t }

// localStruct returns a struct that the types of the program's maps and functions mention.
func (v *verifier) localStruct(name string) *prog.BTFType {
	var found *prog.BTFType
	seen := make(map[*prog.BTFType]bool)
	var look func(t *prog.BTFType)
	look = func(t *prog.BTFType) {
		if t == nil || found != nil || seen[t] {
			return
		}
		seen[t] = true
		if t.Kind == prog.BTFStruct && t.Name == name && len(t.Members) > 0 {
			found = t
			return
		}
		look(t.Elem)
		look(t.Return)
		for i := range t.Members {
			look(t.Members[i].Type)
		}
		for i := range t.Params {
			look(t.Params[i].Type)
		}
	}
	for _, t := range v.p.Types {
		look(t)
	}
	for _, m := range v.maps {
		look(m.Value)
		look(m.Key)
	}
	for i := range v.p.Funcs {
		look(v.p.Funcs[i].Proto)
	}
	return found
}

// member is what lies at an offset of a struct.
type member struct {
	ptr   *prog.BTFType // the pointer to a struct that lies there, nil for plain bytes
	other bool          // a pointer to something else lies there
	union bool          // it is one of several things that may lie there
	name  string
}

// findMember finds what a load of size bytes at off of a struct gives (btf_struct_walk).
func findMember(t *prog.BTFType, off, size int) (m member, ok bool) {
	for range maxDims {
		if t = linux.Resolve(t); t == nil || t.Kind != prog.BTFStruct && t.Kind != prog.BTFUnion {
			return member{}, false
		}
		m.union = m.union || t.Kind == prog.BTFUnion && len(t.Members) != 1
		if off+size > int(t.Size) {
			if t, off = flexible(t, off); t == nil || t.Kind == prog.BTFInt {
				return m, t != nil
			}
			continue
		}
		f := fieldCovering(t, off, size)
		switch {
		case f.t == nil:
			return m, f.bits
		case f.t.Kind == prog.BTFStruct || f.t.Kind == prog.BTFUnion:
			t, off = f.t, off-f.off
			continue
		case f.t.Kind != prog.BTFPointer:
			return m, off+size <= f.end || m.union
		case off != f.off || size != 8:
			return member{}, false
		}
		m.name = f.name
		if e := f.t.Elem; e != nil && (e.Kind == prog.BTFStruct || e.Kind == prog.BTFUnion || e.Kind == prog.BTFFwd) {
			m.ptr = f.t
		}
		m.other = m.ptr == nil
		return m, true
	}
	return member{}, false
}

// covering is the member of a struct that an access begins in, or an element of it.
type covering struct {
	name string
	t    *prog.BTFType // nil if there is none, or a bit-field
	bits bool          // bit-fields lie there, and nothing else
	off  int           // where it begins
	end  int           // where the member ends
}

// fieldCovering returns the first member of t that an access of size bytes at off begins in.
func fieldCovering(t *prog.BTFType, off, size int) covering {
	for i := range t.Members {
		m := &t.Members[i]
		lo := int(m.BitOff / 8)
		switch {
		case off+size <= lo:
			return covering{}
		case m.BitSize != 0:
			if off <= lo && int(m.BitOff+m.BitSize+7)/8 <= off+size {
				return covering{bits: true}
			}
			continue
		case off < lo: // a hole
			return covering{}
		}
		end, inner := lo+sizeOf(m.Type), m.Type
		if off >= end {
			continue
		}
		for range maxDims {
			if inner.Kind != prog.BTFArray {
				break
			}
			inner = inner.Elem
		}
		if n := sizeOf(inner); n > 0 {
			lo += (off - lo) / n * n
		}
		return covering{name: m.Name, t: inner, off: lo, end: end}
	}
	return covering{}
}

// flexible returns the element that off is in if t ends in an array of any length, and the offset in the
// element; nil if there is none.
func flexible(t *prog.BTFType, off int) (elem *prog.BTFType, at int) {
	if len(t.Members) == 0 {
		return nil, 0
	}
	last := &t.Members[len(t.Members)-1]
	lo := int(last.BitOff / 8)
	if last.Type == nil || last.Type.Kind != prog.BTFArray || last.Type.Len != 0 || off < lo {
		return nil, 0
	}
	elem = last.Type.Elem
	switch n := sizeOf(elem); {
	case elem == nil || n == 0:
		return nil, 0
	case elem.Kind == prog.BTFInt, elem.Kind == prog.BTFStruct, elem.Kind == prog.BTFUnion:
		return elem, (off - lo) % n
	}
	return nil, 0
}

// accessBTF is for structs of the kernel and for objects (check_ptr_to_btf_access).
func (v *verifier) accessBTF(a *access, r *reg, off int) error {
	m, err := v.btfMember(a, r, off)
	if err != nil {
		return err
	}
	v.note(MemBTF, false, r, off)
	if a.write || a.value < 0 {
		return nil
	}
	if r.has(alloc) { // any number may have been stored in an object
		m.ptr = nil
	}
	v.loadedMember(a, r, m)
	return nil
}

// btfMember returns the member that is accessed, or why it must not be.
func (v *verifier) btfMember(a *access, r *reg, off int) (member, error) {
	err := v.btfAccessible(a, r, off)
	if err != nil {
		return member{}, err
	}
	t := v.types[r.aux]
	m, ok := findMember(t, off, a.size)
	if !ok {
		return m, v.failReg(a.r, CodeBTFAccess, errnoEACCES, "access of %d bytes at offset %d is not to one member of struct %s", a.size, off, t.Name)
	}
	return m, nil
}

// btfAccessible refuses what must not be accessed, whatever member is there.
func (v *verifier) btfAccessible(a *access, r *reg, off int) error {
	t := v.types[r.aux]
	switch {
	case r.has(orNull):
		return v.invalidAccess(a.r, r)
	case !v.leaks:
		return v.failReg(a.r, CodePrivilege, errnoEPERM, "access to struct %s needs CAP_PERFMON", t.Name)
	case !v.gpl && fromKernel(t):
		return v.failReg(a.r, CodeLicense, errnoEINVAL, "structs of the kernel are for programs with a GPL-compatible licence")
	case off < 0:
		return v.failReg(a.r, CodeBTFAccess, errnoEACCES, "negative offset %d into struct %s", off, t.Name)
	case !r.Tnum.IsConst() || r.Tnum.Value != 0:
		return v.failReg(a.r, CodeVarOff, errnoEACCES, "variable offset into struct %s is not allowed", t.Name)
	case r.has(user):
		return v.failReg(a.r, CodeBTFAccess, errnoEACCES, "struct %s is in user space, it is read with a helper", t.Name)
	case r.has(percpu):
		return v.failReg(a.r, CodeBTFAccess, errnoEACCES, "struct %s is per CPU, bpf_per_cpu_ptr or bpf_this_cpu_ptr give a pointer to it", t.Name)
	case a.write && !r.has(alloc):
		return v.failReg(a.r, CodeBTFAccess, errnoEACCES, "struct %s is read-only", t.Name)
	case r.has(alloc) && r.ref == 0 && !r.has(nonOwn|inRCU):
		return v.failReg(a.r, CodeBTFAccess, errnoEFAULT, "struct %s is an object that the program does not own, nor holds the lock of, nor is in an RCU read section for", t.Name)
	}
	if r.has(alloc) {
		if f := overlapped(v.fieldsOfType(t), int64(off), int64(off+a.size)); f != nil {
			return v.failReg(a.r, CodeSpecialField, errnoEACCES, "the %s at offset %d of struct %s cannot be accessed directly", f.kind, f.off, t.Name)
		}
	}
	return nil
}

// loadedMember gives a loaded register what lies in a member.
func (v *verifier) loadedMember(a *access, parent *reg, m member) {
	switch to := &v.cur.cur().regs[a.value]; {
	case m.ptr != nil:
		*to = v.loadedPointer(parent, m)
	case m.other: // any address: loads through it may fault
		*to = pointer(ptrMem, rdonly|untrusted)
	default:
		v.loaded(a)
	}
}

// loadedPointer is a pointer to a struct that was loaded from another struct, with the trust that
// is left of that of its parent.
func (v *verifier) loadedPointer(parent *reg, m member) reg {
	r := pointer(ptrBTF, 0)
	t := m.ptr.Elem
	if t.Kind == prog.BTFFwd || len(t.Members) == 0 {
		t = kernelStruct(t.Name)
	}
	r.aux = v.typeID(t)
	rcuTag := false
	for _, tag := range m.ptr.Tags {
		switch tag {
		case "user":
			r.flags |= user
		case "percpu":
			r.flags |= percpu
		case "rcu":
			rcuTag = true
		}
	}
	inSection, union := v.inRCUSection(), m.union
	trust, null := linux.MemberTrust(v.types[parent.aux].Name, m.name)
	switch walked := parent.isTrusted() || parent.has(inRCU); {
	case parent.has(untrusted):
		r.flags = untrusted
	case !walked: // which has long been so
	case trust == linux.TrustTrusted && null:
		r.flags |= trusted | orNull
	case trust == linux.TrustTrusted:
		r.flags |= trusted
	case !inSection:
		r.flags = untrusted
	case trust == linux.TrustRCU && !null:
		r.flags |= inRCU
	case trust == linux.TrustRCU:
		r.flags |= inRCU | orNull
		union = false
	case rcuTag:
		r.flags |= inRCU | orNull
	}
	if union {
		r.flags |= untrusted
	}
	if r.has(orNull) {
		r.id = v.nextID()
	}
	return r
}

// accessMapStruct is for the kernel's struct of a map, which may be read
// (check_ptr_to_map_access).
func (v *verifier) accessMapStruct(a *access, r *reg, off int) error {
	name := mapStructs[v.maps[r.m].Type]
	switch {
	case name == "":
		return v.failReg(a.r, CodeUnsupported, errnoENOTSUPP, "maps of type %v cannot be read as struct", v.maps[r.m].Type)
	case !v.leaks:
		return v.failReg(a.r, CodePrivilege, errnoEPERM, "reading %s needs CAP_PERFMON", name)
	case off < 0:
		return v.failReg(a.r, CodeBTFAccess, errnoEACCES, "negative offset %d into %s", off, name)
	case a.write:
		return v.failReg(a.r, CodeBTFAccess, errnoEACCES, "%s can only be read", name)
	}
	m, ok := findMember(kernelStruct(name), off, a.size)
	if !ok {
		return v.failReg(a.r, CodeBTFAccess, errnoEACCES, "access of %d bytes at offset %d is not to one member of %s", a.size, off, name)
	}
	v.note(MemBTF, false, r, off)
	if a.value < 0 {
		return nil
	}
	parent := pointer(ptrBTF, 0)
	parent.aux = v.typeID(kernelStruct(name))
	v.loadedMember(a, &parent, m)
	return nil
}

// mapStructs are the kernel's structs of maps (map_btf_id).
var mapStructs = map[maps.Type]string{
	maps.Hash: "bpf_htab", maps.LRUHash: "bpf_htab", maps.PerCPUHash: "bpf_htab", maps.LRUCPUHash: "bpf_htab", maps.HashOfMaps: "bpf_htab",
	maps.Array: "bpf_array", maps.PerCPUArray: "bpf_array", maps.ProgramArray: "bpf_array", maps.PerfEventArray: "bpf_array",
	maps.CGroupArray: "bpf_array", maps.ArrayOfMaps: "bpf_array", maps.StackTrace: "bpf_stack_map", maps.LPMTrie: "lpm_trie",
	maps.DevMap: "bpf_dtab", maps.DevMapHash: "bpf_dtab", maps.SockMap: "bpf_stab", maps.SockHash: "bpf_shtab", maps.CPUMap: "bpf_cpu_map",
	maps.XSKMap: "xsk_map", maps.CGroupStorage: "bpf_cgroup_storage_map", maps.PerCPUCGroupStorage: "bpf_cgroup_storage_map",
	maps.ReusePortSockArray: "reuseport_array", maps.Queue: "bpf_queue_stack", maps.Stack: "bpf_queue_stack",
	maps.SkStorage: "bpf_local_storage_map", maps.InodeStorage: "bpf_local_storage_map", maps.TaskStorage: "bpf_local_storage_map",
	maps.CgroupStorage: "bpf_local_storage_map", maps.RingBuf: "bpf_ringbuf_map", maps.UserRingbuf: "bpf_ringbuf_map",
	maps.BloomFilter: "bpf_bloom_filter", maps.Arena: "bpf_arena",
}

// sameStruct reports whether a pointer to t plus off points to a struct that is, or begins with, want
// (btf_struct_ids_match).
func (v *verifier) sameStruct(t *prog.BTFType, off int, want *prog.BTFType, strict bool) bool {
	alike := fromKernel(t) == fromKernel(want)
	for range maxDims {
		if off == 0 && (t == want || alike && t.Name == want.Name && t.Name != "") {
			return true
		}
		if strict {
			return false
		}
		f := fieldCovering(linux.Resolve(t), off, 1)
		if f.t == nil || f.t.Kind != prog.BTFStruct && f.t.Kind != prog.BTFUnion {
			return false
		}
		t, off = f.t, off-f.off
	}
	return false
}

// fieldsOfType returns the special fields of a struct of the program's.
func (v *verifier) fieldsOfType(t *prog.BTFType) []field {
	list, ok := v.objects[t]
	if !ok {
		list = fieldsOf(t)
		if v.objects == nil {
			v.objects = make(map[*prog.BTFType][]field)
		}
		v.objects[t] = list
	}
	return list
}
