package difftest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// structs are declared by a program of the tests.
type structs []*btf.Struct

func (s structs) find(name string) *btf.Struct {
	i := slices.IndexFunc(s, func(t *btf.Struct) bool { return t.Name == name })
	if i < 0 {
		return nil
	}
	return s[i]
}

// kernelWords is how many words the kernel's structs take that are fields of values.
var kernelWords = map[string]uint32{
	"bpf_list_node": 3, "bpf_list_head": 2, "bpf_rb_node": 4, "bpf_rb_root": 2, "bpf_timer": 2, "bpf_wq": 2, "bpf_task_work": 1,
	"bpf_dynptr": 2, "bpf_iter_num": 1,
}

// parseStruct reads a struct, whose members are laid out as C does:
//
//	tree bpf_spin_lock lock; bpf_rb_root root contains:node:link; u64 n[2]; cgroup *ref kptr
//
// A member is a type, a name, and tags: of the declaration or, of a pointer, of its type.
func (s structs) parseStruct(text string) (*btf.Struct, error) {
	name, members, _ := strings.Cut(text, " ")
	t := &btf.Struct{Name: name}
	align := uint32(1)
	for member := range strings.SplitSeq(members, ";") {
		words := strings.Fields(member)
		if len(words) < 2 {
			return nil, fmt.Errorf("struct %s: member %q has no type and name", name, member)
		}
		typ, size, err := s.memberType(words)
		if err != nil {
			return nil, fmt.Errorf("struct %s: %w", name, err)
		}
		at := min(size, 8)
		if a, ok := typ.(*btf.Array); ok {
			at, size = min(size, 8), size*a.Nelems
		}
		if st, ok := typ.(*btf.Struct); ok && st.Size > 4 {
			at = 8
		}
		align = max(align, at)
		t.Size = (t.Size + at - 1) / at * at
		m := btf.Member{Name: memberName(words[1]), Type: typ, Offset: btf.Bits(t.Size * 8)}
		if _, ok := typ.(*btf.Pointer); !ok {
			m.Tags = words[2:]
		}
		t.Members = append(t.Members, m)
		t.Size += size
	}
	t.Size = (t.Size + align - 1) / align * align
	return t, nil
}

// memberName is a member's name without what makes it a pointer or array.
func memberName(word string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(word, "*"), "[")
	return name
}

// memberType returns the type of a member, and its size; of an array, that of an element.
func (s structs) memberType(words []string) (btf.Type, uint32, error) {
	t, size := s.namedType(words[0])
	if strings.HasPrefix(words[1], "*") {
		for _, tag := range words[2:] {
			t = &btf.TypeTag{Type: t, Value: tag}
		}
		return &btf.Pointer{Target: t}, 8, nil
	}
	_, dim, ok := strings.Cut(strings.TrimSuffix(words[1], "]"), "[")
	if !ok {
		return t, size, nil
	}
	n, err := strconv.ParseUint(dim, 0, 32)
	return &btf.Array{Index: typeU32, Type: t, Nelems: uint32(n)}, size, err
}

// namedType returns a type and its size: a number, a struct of the program's, or one of the kernel's, of
// which nothing but the name counts.
func (s structs) namedType(name string) (btf.Type, uint32) {
	switch name {
	case "int":
		return typeInt, 4
	case "u32":
		return typeU32, 4
	case "u64":
		return typeU64, 8
	case "bpf_spin_lock", "bpf_res_spin_lock", "bpf_refcount":
		return word(name), 4
	case "nodex":
		return typeNodeX, typeNodeX.Size
	case "node":
		return typeNode, typeNode.Size
	case "task_struct":
		return typeTask, typeTask.Size
	}
	if own := s.find(name); own != nil {
		return own, own.Size
	}
	if n := kernelWords[name]; n > 0 {
		return opaque(name, n), 8 * n
	}
	return structOf(name, 8, field("opaque", typeU64, 0)), 8
}
