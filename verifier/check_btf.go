package verifier

import (
	"slices"
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
	ptr    *prog.BTFType // the pointer to a struct that lies there, nil for plain bytes
	parent *prog.BTFType // the struct that it is a member of
	name   string
}

// findMember finds what a load of size bytes at off of a struct gives (btf_struct_walk).
func findMember(t *prog.BTFType, off, size int) (member, bool) {
	for depth := 0; depth < 32; depth++ {
		t = linux.Resolve(t)
		if t == nil || t.Kind != prog.BTFStruct && t.Kind != prog.BTFUnion {
			return member{}, false
		}
		if off+size > int(t.Size) && !flexible(t, off) {
			return member{}, false
		}
		i := slices.IndexFunc(t.Members, func(m prog.BTFMember) bool { return covers(t, &m, off) })
		if i < 0 {
			return member{}, false // a hole
		}
		m := &t.Members[i]
		at, inner := off-int(m.BitOff/8), m.Type
		if m.BitSize != 0 {
			return member{parent: t, name: m.Name}, off+size <= int(m.BitOff+m.BitSize+7)/8+7
		}
		for inner != nil && inner.Kind == prog.BTFArray {
			n := sizeOf(inner.Elem)
			if n == 0 {
				return member{}, false
			}
			if isBytes(inner.Elem) {
				return member{parent: t, name: m.Name}, at+size <= sizeOf(inner) || sizeOf(inner) == 0
			}
			at, inner = at%n, inner.Elem
		}
		if inner == nil {
			return member{}, false
		}
		switch inner.Kind {
		case prog.BTFStruct, prog.BTFUnion:
			t, off = inner, at
			continue
		case prog.BTFPointer:
			if at != 0 || size != 8 {
				return member{}, false
			}
			if e := inner.Elem; e != nil && (e.Kind == prog.BTFStruct || e.Kind == prog.BTFUnion || e.Kind == prog.BTFFwd) {
				return member{ptr: inner, parent: t, name: m.Name}, true
			}
			return member{parent: t, name: m.Name}, true
		}
		return member{parent: t, name: m.Name}, at+size <= sizeOf(inner)
	}
	return member{}, false
}

// isBytes reports whether a type has no pointers in it.
func isBytes(t *prog.BTFType) bool {
	return t.Kind == prog.BTFInt || t.Kind == prog.BTFEnum || t.Kind == prog.BTFFloat
}

// covers reports whether the byte at off is in member m of t.
func covers(t *prog.BTFType, m *prog.BTFMember, off int) bool {
	lo := int(m.BitOff / 8)
	n := sizeOf(m.Type)
	if m.BitSize != 0 {
		n = int(m.BitOff%8+m.BitSize+7) / 8
	}
	if n == 0 && m.Type != nil && m.Type.Kind == prog.BTFArray { // at the end: any number of elements
		return off >= lo
	}
	return off >= lo && off < lo+n
}

// flexible reports whether t ends in an array of any length that off is in.
func flexible(t *prog.BTFType, off int) bool {
	if len(t.Members) == 0 {
		return false
	}
	last := &t.Members[len(t.Members)-1]
	return last.Type != nil && last.Type.Kind == prog.BTFArray && last.Type.Len == 0 && off >= int(last.BitOff/8)
}

// accessBTF is for structs of the kernel and for objects (check_ptr_to_btf_access).
func (v *verifier) accessBTF(a *access, r *reg, off int) error {
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
	m, ok := findMember(t, off, a.size)
	if !ok {
		return v.failReg(a.r, CodeBTFAccess, errnoEACCES, "access of %d bytes at offset %d is not to one member of struct %s", a.size, off, t.Name)
	}
	v.note(MemBTF, false, r, off)
	if a.write || a.value < 0 {
		return nil
	}
	if m.ptr == nil || r.has(alloc) { // any number may have been stored in an object
		v.loaded(a)
		return nil
	}
	v.cur.cur().regs[a.value] = v.loadedPointer(r, m)
	return nil
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
	for _, tag := range m.ptr.Tags {
		switch tag {
		case "user":
			r.flags |= user
		case "percpu":
			r.flags |= percpu
		}
	}
	inSection := v.inRCUSection()
	trust, null := linux.MemberTrust(m.parent.Name, m.name)
	switch {
	case parent.has(untrusted):
		r.flags |= untrusted
	case parent.isTrusted() || parent.has(inRCU):
		switch {
		case trust == linux.TrustTrusted:
			r.flags |= trusted
		case inSection && (trust == linux.TrustRCU || slices.Contains(m.ptr.Tags, "rcu")):
			r.flags |= inRCU
			null = null || slices.Contains(m.ptr.Tags, "rcu") && trust != linux.TrustRCU
		case inSection:
			null = false
		default:
			r.flags |= untrusted
			null = false
		}
		if null {
			r.flags |= orNull
			r.id = v.nextID()
		}
	default:
		r.flags |= parent.flags & (user | percpu)
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
	if m.ptr == nil {
		v.loaded(a)
		return nil
	}
	parent := pointer(ptrBTF, 0)
	v.cur.cur().regs[a.value] = v.loadedPointer(&parent, m)
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
	for depth := 0; depth < 8; depth++ {
		if off == 0 && (t == want || alike && t.Name == want.Name && t.Name != "") {
			return true
		}
		if strict {
			return false
		}
		t = linux.Resolve(t)
		i := slices.IndexFunc(t.Members, func(m prog.BTFMember) bool { return covers(t, &m, off) })
		if i < 0 {
			return false
		}
		m := &t.Members[i]
		if m.Type == nil || m.Type.Kind != prog.BTFStruct {
			return false
		}
		t, off = m.Type, off-int(m.BitOff/8)
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
