package linux

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// kptrMap creates an array of one value, a kptr to a struct, nil if the kernel refuses it.
func kptrMap(structName string) *ebpf.Map {
	i32 := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	to := &btf.Struct{Name: structName, Size: 4, Members: []btf.Member{{Name: "x", Type: i32}}} // found by name
	value := &btf.Struct{Name: "value", Size: 8, Members: []btf.Member{
		{Name: "p", Type: &btf.Pointer{Target: &btf.TypeTag{Value: "kptr", Type: to}}},
	}}
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Key: i32, Value: value})
	if err != nil {
		return nil
	}
	return m
}

// Of the structs that kfuncs take or return, maps hold references to those of the table.
func TestRefKptrKernel(t *testing.T) {
	needKernel(t)
	names := map[string]bool{}
	for _, k := range Kfuncs() {
		for _, p := range append(k.Proto.Params, prog.BTFParam{Type: k.Proto.Return}) {
			if p.Type == nil || p.Type.Kind != prog.BTFPointer {
				continue
			}
			if s := Resolve(p.Type.Elem); s.Kind == prog.BTFStruct { // what is no struct of the kernel, is the program's
				names[s.Name] = true
			}
		}
	}
	s := sort{name: "sched_cls", typ: prog.SchedCLS}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		m := kptrMap(name)
		_, rcu, ok := RefKptr(name)
		require.Equal(t, ok, m != nil, name)
		if m == nil {
			continue
		}
		log, _ := s.ask(t, insn(0x18, 1, 2, 0, int32(m.FD())), insn(0, 0, 0, 0, 0), insn(0x79, 2, 1, 0, 0))
		require.NoError(t, m.Close())
		require.Equal(t, rcu, strings.Contains(log, fmt.Sprintf("R2=rcu_ptr_or_null_%s(", name)), "%s: %s", name, log)
		require.Equal(t, !rcu, strings.Contains(log, fmt.Sprintf("R2=untrusted_ptr_or_null_%s(", name)), "%s: %s", name, log)
	}
	for i := range refKptrs {
		require.True(t, names[refKptrs[i].name], refKptrs[i].name)
	}
}

func TestRefKptr(t *testing.T) {
	for i := range refKptrs {
		release, _, ok := RefKptr(refKptrs[i].name)
		require.True(t, ok)
		k, ok := KfuncByName(release)
		require.True(t, ok, release)
		require.NotZero(t, k.Flags&KfRelease, release)
	}
	_, _, ok := RefKptr("file")
	require.False(t, ok)
}
