package linux

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// call is an instruction that calls the kfunc with an id.
func call(id uint32) []byte { return insn(0x85, 0, 2, 0, int32(id)) } // src BPF_PSEUDO_KFUNC_CALL

// mayCall asks whether programs of the sort may call a kfunc, whatever else is wrong.
func (s sort) mayCall(t testing.TB, id uint32) bool {
	log, _ := s.ask(t, call(id))
	return !strings.Contains(log, " is not allowed\n")
}

// standIns are variants with the kfuncs of others, since a kernel need not permit them:
// kfuncs are registered for types, and what some of them check is whether it is an
// iterator.
var standIns = map[string]string{
	"tracing/iter:bpf_map_elem": "tracing/iter:bpf_map",
	"tracing/fentry":            "tracing/tp_btf:sys_enter",
	"lsm":                       "tracing/tp_btf:sys_enter",
}

// lsmOnly are those of fs/bpf_fs_kfuncs.c, which LSM programs may call and no others.
var lsmOnly = []string{
	"bpf_get_dentry_xattr", "bpf_get_file_xattr", "bpf_get_task_exe_file", "bpf_path_d_path", "bpf_put_file",
	"bpf_remove_dentry_xattr", "bpf_set_dentry_xattr",
}

// allowed asks who may call a kfunc.
func allowed(t testing.TB, sorts map[helper.Variant]sort, name string, id uint32) (set helper.Variants) {
	everyone := true
	for v, s := range sorts {
		if s.mayCall(t, id) {
			set |= 1 << v
		} else {
			everyone = false
		}
	}
	for name, stand := range standIns {
		v := variantOf(t, name)
		if _, ok := sorts[v]; !ok && set.Has(variantOf(t, stand)) {
			set |= 1 << v
		}
	}
	if slices.Contains(lsmOnly, name) {
		set |= 1 << variantOf(t, "lsm")
	}
	if everyone {
		set |= 1 << variantOf(t, "lirc_mode2")
	}
	return set
}

// kfuncIDs are the kfuncs of a kernel: the functions with the tag bpf_kfunc.
func kfuncIDs(t testing.TB, spec *btf.Spec) map[string]uint32 {
	ids := map[string]uint32{}
	for typ, err := range spec.All() {
		require.NoError(t, err)
		if f, ok := typ.(*btf.Func); ok && slices.Contains(f.Tags, "bpf_kfunc") {
			id, err := spec.TypeID(f)
			require.NoError(t, err)
			ids[f.Name] = uint32(id)
		}
	}
	return ids
}

// liveKfuncIDs are the ids that kfuncs have in the running kernel, by name.
var liveKfuncIDs map[string]uint32

// callKfunc calls a kfunc of the running kernel, which may have other types than that of the tables.
func callKfunc(t testing.TB, k *Kfunc) []byte {
	t.Helper()
	if liveKfuncIDs == nil {
		liveKfuncIDs = kfuncIDs(t, needKernel(t))
	}
	id, ok := liveKfuncIDs[k.Name]
	if !ok {
		t.Skipf("a kernel without %s", k.Name)
	}
	return call(id)
}

// setText returns a set in the words of kfuncs.txt.
func setText(set helper.Variants) string {
	names := helper.VariantNames()
	if set == 1<<len(names)-1 {
		return "all"
	}
	whole := map[string]bool{} // types all of whose variants are in the set
	for i, name := range names {
		typ, _, _ := strings.Cut(name, "/")
		if have, seen := whole[typ]; !seen || have {
			whole[typ] = set.Has(helper.Variant(i))
		}
	}
	var words []string
	for i, name := range names {
		typ, _, _ := strings.Cut(name, "/")
		if whole[typ] {
			name = typ
		}
		if set.Has(helper.Variant(i)) && !slices.Contains(words, name) {
			words = append(words, name)
		}
	}
	if words == nil {
		return "none"
	}
	return strings.Join(words, " ")
}

const kfuncsHead = `# The kfuncs of Linux 6.18, by who may call them. A line of sorts of program comes before those
# that all of these may call: variants of package helper, or types for all of theirs. A kfunc
# is its name, the id of the function in the kernel's BTF, after a slash that in the BTF of the
# build that recorded the verdicts in ../shared, and the flags that it is registered with. "go generate" makes zz_kfuncs.go of this file.
#
# Who may call them, and ids, are what a kernel has answered: "go test -update" asks it again.
# The kernel does not tell the flags; they are those of BTF_ID_FLAGS in its sources and are to
# be changed here. Tests confirm what can be seen of them. In the kernel that was asked, all
# kfuncs with pointers have trusted_args, but for those with rcu. "vmlinux" is the SHA-256
# sum of the kernel's BTF.
`

var flagNames = []string{
	"acquire", "release", "ret_null", "trusted_args", "sleepable", "destructive", "rcu", "rcu_protected", "iter_new",
	"iter_next", "iter_destroy", "fastcall", "arena_ret", "arena_arg1", "arena_arg2",
}

func (f KfuncFlags) words() (words []string) {
	for i, name := range flagNames {
		if f>>i&1 != 0 {
			words = append(words, name)
		}
	}
	return words
}

// TestKfuncsKernel compares who may call kfuncs with what the kernel says: of each
// twentieth, of all with -long; -update writes kfuncs.txt.
func TestKfuncsKernel(t *testing.T) {
	spec := needKernel(t)
	sorts := variantSorts(t, spec)
	ids := kfuncIDs(t, spec)
	groups := map[string][]string{}
	for i, name := range slices.Sorted(maps.Keys(ids)) {
		if !*update && !*long && i%20 != 0 {
			continue
		}
		set := allowed(t, sorts, name, ids[name])
		k, known := KfuncByName(name)
		if *update {
			line := fmt.Sprintf("  %s %d/0", name, ids[name])
			if known {
				line = strings.Join(append([]string{fmt.Sprintf("  %s %d/%d", name, ids[name], k.recorded)}, k.Flags.words()...), " ")
			}
			groups[setText(set)] = append(groups[setText(set)], line)
			continue
		}
		require.True(t, known, name)
		require.Equal(t, setText(k.Allowed), setText(set), name)
	}
	if !*update {
		return
	}
	_, sum := liveBTF()
	out := kfuncsHead + "\nvmlinux " + sum + "\n"
	for _, set := range slices.Sorted(maps.Keys(groups)) {
		out += "\n" + set + "\n" + strings.Join(groups[set], "\n") + "\n"
	}
	require.NoError(t, os.WriteFile("kfuncs.txt", []byte(out), 0o644))
}

// The ids and prototypes are those of the kernel that the tables are from.
func TestKfuncIDsKernel(t *testing.T) {
	spec, err := kernelTypes()
	if err != nil {
		t.Skip(err)
	}
	needTables(t)
	ids := kfuncIDs(t, spec)
	require.Len(t, Kfuncs(), len(ids))
	for _, k := range Kfuncs() {
		require.Equal(t, ids[k.Name], k.ID, k.Name)
		var f *btf.Func
		require.NoError(t, spec.TypeByName(k.Name, &f))
		require.Equal(t, slices.Contains(f.Tags, "bpf_fastcall"), k.Flags&KfFastCall != 0, k.Name)
		params := f.Type.(*btf.FuncProto).Params
		require.Len(t, k.Proto.Params, len(params), k.Name)
		for i, p := range params {
			require.Equal(t, p.Name, k.Proto.Params[i].Name, k.Name)
			ptr, isPtr := btf.UnderlyingType(p.Type).(*btf.Pointer)
			require.Equal(t, isPtr, k.Proto.Params[i].Type.Kind == prog.BTFPointer, k.Name)
			if !isPtr {
				continue
			}
			if s, ok := btf.UnderlyingType(ptr.Target).(*btf.Struct); ok {
				require.Equal(t, s.Name, k.Proto.Params[i].Type.Elem.Name, k.Name)
			}
		}
	}
}
