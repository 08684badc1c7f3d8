package linux

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// member returns a member of a struct by its name.
func member(t testing.TB, s *prog.BTFType, name string) *prog.BTFMember {
	t.Helper()
	require.NotNil(t, s, name)
	for i := range s.Members {
		if s.Members[i].Name == name {
			return &s.Members[i]
		}
	}
	require.Fail(t, "no member "+name, s.Name)
	return nil
}

func TestStruct(t *testing.T) {
	task := Struct("task_struct")
	require.Equal(t, prog.BTFStruct, task.Kind)
	require.Same(t, task, Struct("task_struct"))
	byID, ok := StructID(task.ID)
	require.True(t, ok)
	require.Same(t, task, byID)

	leader := member(t, task, "group_leader").Type
	require.Equal(t, prog.BTFPointer, leader.Kind)
	require.Equal(t, &prog.BTFType{Kind: prog.BTFFwd, Name: "task_struct", ID: task.ID}, leader.Elem)
	require.Same(t, task, Resolve(leader.Elem))
	require.Same(t, leader, Resolve(leader))
	require.Nil(t, Resolve(nil))

	comm := member(t, task, "comm").Type
	require.Equal(t, prog.BTFArray, comm.Kind)
	require.Equal(t, uint32(16), comm.Size)
	require.Equal(t, "char", comm.Elem.Name)

	key := Struct("bpf_iter_num")
	require.Equal(t, uint32(8), key.Size)
	require.Nil(t, Struct("nothing"))
	require.Nil(t, Struct(""))
	_, ok = StructID(0)
	require.False(t, ok)
	_, ok = StructID(1 << 31)
	require.False(t, ok)
}

func TestBitFields(t *testing.T) {
	skb := Struct("sk_buff")
	for i, found := 0, false; ; i++ {
		require.Less(t, i, len(skb.Members), "no bit field in a nameless struct of sk_buff")
		if found = hasBitField(skb.Members[i].Type, 2); found {
			return
		}
	}
}

// hasBitField reports whether a member of a struct, or one that lies in it, is a bit field.
func hasBitField(t *prog.BTFType, depth int) bool {
	for i := range t.Members {
		if t.Members[i].BitSize > 0 || depth > 0 && hasBitField(t.Members[i].Type, depth-1) {
			return true
		}
	}
	return false
}

func TestTracepoint(t *testing.T) {
	p := Tracepoint("sched_switch")
	require.Equal(t, prog.BTFFuncProto, p.Kind)
	require.Len(t, p.Params, 4)
	require.Equal(t, "task_struct", p.Params[1].Type.Elem.Name)
	require.Empty(t, p.Params[1].Decl)
	require.Equal(t, []string{nullable}, Tracepoint("kfree_skb").Params[3].Decl)
	require.Nil(t, Tracepoint("nothing"))

	v := kernelBTF()
	id := v.ids[v.find(tracePrefix+"sched_switch", kindTypedef)]
	name, ok := TracepointID(id)
	require.True(t, ok)
	require.Equal(t, "sched_switch", name)
	for _, id := range []uint32{0, Struct("task_struct").ID, 1 << 31} {
		_, ok = TracepointID(id)
		require.False(t, ok)
		_, ok = IterID(id)
		require.False(t, ok)
		_, _, ok = FuncID(id)
		require.False(t, ok)
	}
}

func TestIter(t *testing.T) {
	ctx := Iter("task")
	require.Equal(t, "bpf_iter__task", ctx.Name)
	require.Equal(t, []uint32{0, 64}, []uint32{ctx.Members[0].BitOff, ctx.Members[1].BitOff})
	require.Nil(t, Iter("nothing"))
	v := kernelBTF()
	target, ok := IterID(v.ids[v.find("bpf_iter_task_vma", kindFunc)])
	require.True(t, ok)
	require.Equal(t, "task_vma", target)
	_, ok = IterID(v.ids[v.find("bpf_iter_task_new", kindFunc)])
	require.False(t, ok, "a kfunc")
}

func TestFunc(t *testing.T) {
	f := Func("bpf_lsm_file_open")
	require.Len(t, f.Params, 1)
	require.Equal(t, "file", f.Params[0].Type.Elem.Name)
	require.True(t, f.Return.Signed)
	require.Nil(t, Func("nothing"))

	runqueue, id, ok := Var("runqueues")
	require.True(t, ok)
	require.NotZero(t, id)
	require.Equal(t, "rq", runqueue.Name)
	_, _, ok = Var("nothing")
	require.False(t, ok)
}

func TestMemberTrust(t *testing.T) {
	for _, c := range []struct {
		name, member string
		trust        Trust
		orNull       bool
	}{
		{"task_struct", "group_leader", TrustRCU, false},
		{"task_struct", "mm", TrustNone, false},
		{"mm_struct", "exe_file", TrustRCU, true},
		{"file", "f_inode", TrustTrusted, false},
		{"dentry", "d_inode", TrustTrusted, true},
		{"nothing", "nothing", TrustNone, false},
	} {
		trust, orNull := MemberTrust(c.name, c.member)
		require.Equal(t, c.trust, trust, c)
		require.Equal(t, c.orNull, orNull, c)
	}
}

// The verifier asks for the structs of helpers' and kfuncs' prototypes, and of contexts.
func TestReachable(t *testing.T) {
	for _, name := range helperStructs() {
		require.NotNil(t, Struct(name), name)
	}
	for _, k := range Kfuncs() {
		for _, p := range append(k.Proto.Params, prog.BTFParam{Type: k.Proto.Return}) {
			if p.Type != nil && p.Type.Kind == prog.BTFPointer && p.Type.Elem.Kind == prog.BTFFwd {
				require.NotEqual(t, prog.BTFFwd, Resolve(p.Type.Elem).Kind, "%s: %s", k.Name, p.Type.Elem.Name)
			}
		}
	}
	for i := range contexts {
		for _, spans := range contexts[i].read {
			for _, s := range spans {
				require.True(t, s.field.Kind != BTF || Struct(s.field.Struct) != nil, s.field.Struct)
			}
		}
	}
	for v := range helper.VariantNames() {
		if c := Ctx(helper.Variant(v)); c != nil {
			require.NotEqual(t, Context{}.read, c.read, helper.Variant(v))
		}
	}
}

// Every type in the tables can be built, and every struct is as the kernel has it.
func TestAllTypes(t *testing.T) {
	v, err := openTypes(vmlinuxBTF)
	require.NoError(t, err)
	var spec *btf.Spec
	if _, sum := liveBTF(); sum == vmlinuxSum {
		spec, err = kernelTypes()
		require.NoError(t, err)
	}
	for i := 1; i < len(v.raw.at); i++ {
		typ := v.get(uint32(i))
		require.NotNil(t, typ, i)
		if spec != nil && (typ.Kind == prog.BTFStruct || typ.Kind == prog.BTFUnion) {
			sameMembers(t, spec, typ)
		}
	}
}

// sameMembers compares a struct or union with the kernel's of the same id.
func sameMembers(t *testing.T, spec *btf.Spec, have *prog.BTFType) {
	typ, err := spec.TypeByID(btf.TypeID(have.ID))
	require.NoError(t, err)
	var size uint32
	var members []btf.Member
	switch want := typ.(type) {
	case *btf.Struct:
		size, members = want.Size, want.Members
	case *btf.Union:
		size, members = want.Size, want.Members
	default:
		require.Fail(t, "no struct", have.Name)
	}
	require.Equal(t, size, have.Size, have.Name)
	require.Len(t, have.Members, len(members), have.Name)
	for i, m := range members {
		got := &have.Members[i]
		require.Equal(t, m.Name, got.Name, have.Name)
		require.Equal(t, uint32(m.Offset), got.BitOff, "%s.%s", have.Name, m.Name)
		require.Equal(t, uint32(m.BitfieldSize), got.BitSize, "%s.%s", have.Name, m.Name)
		bytes, err := btf.Sizeof(m.Type)
		require.NoError(t, err)
		require.Equal(t, uint32(bytes), got.Type.Size, "%s.%s", have.Name, m.Name)
		ptr, isPtr := btf.UnderlyingType(m.Type).(*btf.Pointer)
		require.Equal(t, isPtr, got.Type.Kind == prog.BTFPointer, "%s.%s", have.Name, m.Name)
		if target, ok := pointee(ptr).(*btf.Struct); ok && target.Name != "" {
			require.Equal(t, target.Name, got.Type.Elem.Name, "%s.%s", have.Name, m.Name)
		}
	}
}

func pointee(p *btf.Pointer) btf.Type {
	if p == nil {
		return nil
	}
	return btf.UnderlyingType(p.Target)
}

// small is BTF with most kinds of type: what a fuzzer starts from.
func small(t testing.TB) []byte {
	t.Helper()
	int32s := []uint32{
		1, uint32(kindInt) << 24, 4, 1<<24 | 32, // 1: int
		0, uint32(kindPtr) << 24, 3, // 2: int or struct pointer
		5, uint32(kindStruct)<<24 | 2, 16, 9, 1, 0, 11, 2, 64, // 3: struct
		0, uint32(kindArray) << 24, 0, 1, 1, 4, // 4
		0, uint32(kindFuncProto)<<24 | 1, 1, 9, 2, // 5
		13, uint32(kindTypedef) << 24, 5, // 6
		0, uint32(kindPtr) << 24, 6, // 7
		9, uint32(kindFunc) << 24, 5, // 8
	}
	var types []byte
	for _, w := range int32s {
		types = binary.LittleEndian.AppendUint32(types, w)
	}
	strings := []byte("\x00int\x00foo\x00a\x00b\x00btf_trace_x\x00")
	data := binary.LittleEndian.AppendUint16(nil, btfMagic)
	data = append(data, 1, 0)
	for _, w := range []int{btfHeaderSize, 0, len(types), len(types), len(strings)} {
		data = binary.LittleEndian.AppendUint32(data, uint32(w))
	}
	data = append(append(data, types...), strings...)
	return append(data, 3, 1, 1, 1, 1, 1, 1, 1)
}

func TestReadTypes(t *testing.T) {
	v, err := readTypes(small(t))
	require.NoError(t, err)
	foo := v.get(v.find("foo", kindStruct))
	require.Equal(t, uint32(5), foo.ID)
	require.Equal(t, "foo", foo.Members[1].Type.Elem.Name)
	require.True(t, foo.Members[0].Type.Signed)

	whole := small(t)
	for n := range whole { // cut off anywhere, it is refused
		_, err := readTypes(whole[:n])
		require.ErrorIs(t, err, errBTF, n)
	}
	_, err = openTypes([]byte("no deflate"))
	require.ErrorIs(t, err, errBTF)
}

// A struct that lies in itself is no type.
func TestCircle(t *testing.T) {
	data := small(t)
	member := btfHeaderSize + 4*(4+3+3+1) // the type of the first member of foo
	binary.LittleEndian.PutUint32(data[member:], 3)
	v, err := readTypes(data)
	require.NoError(t, err)
	require.Nil(t, v.get(3))
	require.NotNil(t, v.get(1))
}

// FuzzTypes shows that broken BTF is an error or gives types that end.
func FuzzTypes(f *testing.F) {
	f.Add(small(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := readTypes(data)
		if err != nil {
			require.Nil(t, v)
			return
		}
		for i := range len(v.raw.at) + 1 {
			if typ := v.get(uint32(i)); typ != nil && typ.Kind == prog.BTFFuncProto {
				newArgContext(argsKey{fexitKey, typ.Name}, typ)
			}
			v.nameOf(uint32(i), kindFunc, iterPrefix)
		}
		v.member("foo/b")
		v.tracepoint("x")
	})
}
