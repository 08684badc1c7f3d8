package verifier

import (
	"math"
	"slices"
	"strings"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// fieldKind is a kind of field that programs must not access as bytes (enum btf_field_type).
type fieldKind uint8

const (
	fieldSpinLock fieldKind = iota
	fieldResLock
	fieldTimer
	fieldWorkqueue
	fieldTaskWork
	fieldKptrUnref
	fieldKptrRef
	fieldKptrPercpu
	fieldUptr
	fieldList
	fieldListNode
	fieldRoot
	fieldRootNode
	fieldRefcount
)

var fieldNames = [...]string{
	"spin lock", "resilient spin lock", "timer", "workqueue", "task work", "untrusted kptr", "kptr", "per-CPU kptr", "uptr",
	"list head", "list node", "rbtree root", "rbtree node", "reference count",
}

func (k fieldKind) String() string { return fieldNames[k] }

func (k fieldKind) isKptr() bool {
	return k == fieldKptrUnref || k == fieldKptrRef || k == fieldKptrPercpu || k == fieldUptr
}

// field is a special field of a map's value or of an object.
type field struct {
	kind fieldKind
	off  int
	size int
	// Of a kptr, what it points to; of a list or tree, the type of its nodes.
	target *prog.BTFType
	node   string // of a list or tree: the member of target that links it
}

// structFields are the kernel's structs that are special fields.
var structFields = map[string]fieldKind{
	"bpf_spin_lock": fieldSpinLock, "bpf_res_spin_lock": fieldResLock, "bpf_timer": fieldTimer, "bpf_wq": fieldWorkqueue,
	"bpf_task_work": fieldTaskWork, "bpf_list_head": fieldList, "bpf_list_node": fieldListNode, "bpf_rb_root": fieldRoot,
	"bpf_rb_node": fieldRootNode, "bpf_refcount": fieldRefcount,
}

// kptrTags are the tags of pointers that are special fields.
var kptrTags = map[string]fieldKind{
	"kptr_untrusted": fieldKptrUnref, "kptr": fieldKptrRef, "percpu_kptr": fieldKptrPercpu, "uptr": fieldUptr,
}

// fieldsOf returns the special fields of a struct, by offset; t may be nil (btf_parse_fields).
func fieldsOf(t *prog.BTFType) []field {
	var list []field
	left := maxFieldWalk
	collectFields(&list, &left, t, t, 0, 0)
	slices.SortFunc(list, func(a, b field) int { return a.off - b.off })
	return list
}

const (
	maxFieldDepth = 4
	maxFields     = 11 // BTF_FIELDS_MAX
	// maxFieldWalk is how many members are looked at. Structs that have so many contain
	// themselves, which Linux does not load.
	maxFieldWalk = 1 << 18
)

func collectFields(list *[]field, left *int, root, t *prog.BTFType, off, depth int) {
	if *left--; t == nil || depth > maxFieldDepth || len(*list) >= maxFields || *left < 0 {
		return
	}
	switch t.Kind {
	case prog.BTFStruct:
		if k, ok := structFields[t.Name]; ok && depth > 0 {
			*list = append(*list, field{kind: k, off: off, size: int(t.Size)})
			return
		}
		for i := range t.Members {
			m := &t.Members[i]
			n := len(*list)
			collectFields(list, left, root, m.Type, off+int(m.BitOff/8), depth+1)
			for j := n; j < len(*list); j++ {
				(*list)[j].contains(root, m.Decl)
			}
		}
	case prog.BTFArray:
		for i := range min(int(t.Len), maxFields) {
			collectFields(list, left, root, t.Elem, off+i*sizeOf(t.Elem), depth+1)
		}
	case prog.BTFPointer:
		for _, tag := range t.Tags {
			if k, ok := kptrTags[tag]; ok {
				*list = append(*list, field{kind: k, off: off, size: 8, target: t.Elem})
				return
			}
		}
	}
}

// contains notes which nodes a list or tree holds: the declaration tag "contains:struct:member".
func (f *field) contains(root *prog.BTFType, decl []string) {
	if f.kind != fieldList && f.kind != fieldRoot {
		return
	}
	for _, d := range decl {
		if rest, ok := strings.CutPrefix(d, "contains:"); ok {
			name, member, _ := strings.Cut(rest, ":")
			f.target, f.node = &prog.BTFType{Kind: prog.BTFFwd, Name: name}, member
		}
	}
}

// maxDims is how many dimensions arrays have. One with more contains itself.
const maxDims = 32

// sizeOf returns the size of a type in bytes, 0 if it has none, or one that no memory has.
func sizeOf(t *prog.BTFType) int {
	n := int64(1)
	for range maxDims {
		switch {
		case t == nil || n > math.MaxInt32:
			return 0
		case t.Kind == prog.BTFArray:
			n *= int64(t.Len)
			t = t.Elem
			continue
		case t.Kind == prog.BTFPointer:
			n *= 8
		default:
			n *= int64(t.Size)
		}
		if n > math.MaxInt32 {
			return 0
		}
		return int(n)
	}
	return 0
}

// fieldAt returns the field of some kinds that starts at off.
func fieldAt(list []field, off int, kinds ...fieldKind) *field {
	for i := range list {
		if list[i].off == off && slices.Contains(kinds, list[i].kind) {
			return &list[i]
		}
	}
	return nil
}

// fieldOf returns the first field of a kind.
func fieldOf(list []field, kind fieldKind) *field {
	i := slices.IndexFunc(list, func(f field) bool { return f.kind == kind })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// overlapped returns the first field that [lo, hi) overlaps.
func overlapped(list []field, lo, hi int64) *field {
	for i := range list {
		if f := &list[i]; lo < int64(f.off+f.size) && int64(f.off) < hi {
			return f
		}
	}
	return nil
}

// specialField refuses an access to a map's value that overlaps a special field. It returns the
// kptr that is accessed as such, nil for plain bytes (check_map_access).
func (v *verifier) specialField(a *access, r *reg, m *mapInfo) (*field, error) {
	if len(m.fields) == 0 {
		return nil, nil
	}
	base := int64(a.off) + int64(r.off)
	lo, hi := base+r.S64.Min, base+int64(r.U64.Max)+int64(a.size)
	f := overlapped(m.fields, lo, hi)
	if f == nil {
		return nil, nil
	}
	if !f.kind.isKptr() {
		return nil, v.failReg(a.r, CodeSpecialField, errnoEACCES, "the %s at offset %d cannot be accessed directly", f.kind, f.off)
	}
	switch {
	case a.atomic || a.signed:
		return nil, v.failReg(a.r, CodeSpecialField, errnoEACCES, "a kptr is accessed by plain loads and stores only")
	case !r.Tnum.IsConst():
		return nil, v.failReg(a.r, CodeSpecialField, errnoEACCES, "access to a kptr at a variable offset")
	case lo != int64(f.off) || a.size != 8:
		return nil, v.failReg(a.r, CodeSpecialField, errnoEACCES, "access to the kptr at offset %d must be of its 8 bytes", f.off)
	}
	return f, nil
}

// accessKptr loads or stores a kptr (check_map_kptr_access).
func (v *verifier) accessKptr(a *access, r *reg, f *field) error {
	if a.write {
		if f.kind != fieldKptrUnref {
			return v.failReg(a.r, CodeSpecialField, errnoEACCES, "a %s is stored with bpf_kptr_xchg only", f.kind)
		}
		if a.value < 0 {
			if v.insns[v.insnIdx].Imm != 0 {
				return v.failReg(a.r, CodeSpecialField, errnoEACCES, "only 0 can be stored in a kptr as a number")
			}
			return nil
		}
		value := &v.cur.cur().regs[a.value]
		if value.isNull() {
			return nil
		}
		return v.kptrMatches(asm.Register(a.value), value, f, false)
	}
	if a.value < 0 {
		return nil
	}
	v.cur.cur().regs[a.value] = v.loadedKptr(f)
	return nil
}

// kptrTarget returns the struct that a kptr points to: the kernel's of that name, whatever the
// program declares of it, or one of the program's own (btf_parse_kptr).
func (v *verifier) kptrTarget(f *field) *prog.BTFType {
	if t := linux.Struct(f.target.Name); t != nil {
		return t
	}
	return v.resolve(f.target)
}

// loadedKptr is what a load of a kptr gives.
func (v *verifier) loadedKptr(f *field) reg {
	if f.kind == fieldUptr {
		r := pointer(ptrMem, orNull)
		r.size, r.id = int32(sizeOf(v.resolve(f.target))), v.nextID()
		return r
	}
	r := pointer(ptrBTF, orNull)
	r.aux, r.id = v.typeID(v.kptrTarget(f)), v.nextID()
	local := v.isLocal(f.target)
	_, rcu, _ := linux.RefKptr(f.target.Name)
	switch {
	case f.kind == fieldKptrUnref || !v.inRCUSection():
		r.flags |= untrusted
	case f.kind == fieldKptrPercpu:
		r.flags |= inRCU | percpu
	case local:
		r.flags |= inRCU | alloc
		if fields := v.fieldsOfType(v.types[r.aux]); fieldOf(fields, fieldListNode) != nil || fieldOf(fields, fieldRootNode) != nil {
			r.flags |= nonOwn
		}
	case rcu:
		r.flags |= inRCU
	default:
		r.flags |= untrusted
	}
	return r
}

// kptrTakes returns the flags that a pointer may have that is stored in a kptr: one to a struct of the
// kernel, or one to an object of the program's.
func (v *verifier) kptrTakes(r *reg, f *field) flag {
	switch {
	case fromKernel(v.types[r.aux]) && f.kind == fieldKptrUnref:
		return orNull | trusted | inRCU | untrusted
	case fromKernel(v.types[r.aux]):
		return orNull | trusted | inRCU
	case f.kind == fieldKptrPercpu:
		return orNull | alloc | percpu
	}
	return orNull | alloc
}

// kptrMatches refuses a pointer that does not go into a kptr (map_kptr_match_type).
func (v *verifier) kptrMatches(at asm.Register, r *reg, f *field, owned bool) error {
	if r.kind != ptrBTF || r.flags&^v.kptrTakes(r, f) != 0 {
		return v.failReg(at, CodeArgType, errnoEACCES, "a pointer to %s does not go into a kptr to %s", kindName(r), f.target.Name)
	}
	if f.kind == fieldKptrPercpu && !r.has(percpu) { // Linux takes it for one of each CPU's from then on
		return v.failReg(at, CodeArgType, errnoEACCES, "an object that is not per CPU does not go into a per-CPU kptr")
	}
	if !r.Tnum.IsConst() || r.Tnum.Value != 0 {
		return v.failReg(at, CodeVarOff, errnoEACCES, "a pointer with a variable offset does not go into a kptr")
	}
	if !v.sameStruct(v.types[r.aux], int(r.off), v.kptrTarget(f), f.kind != fieldKptrUnref) {
		return v.failReg(at, CodeArgType, errnoEACCES, "a pointer to %s does not go into a kptr to %s", v.types[r.aux].Name, f.target.Name)
	}
	return nil
}
