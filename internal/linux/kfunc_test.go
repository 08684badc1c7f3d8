package linux

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/prog"
)

func TestKfuncByName(t *testing.T) {
	require.NotEmpty(t, Kfuncs())
	require.True(t, slices.IsSortedFunc(Kfuncs(), func(a, b Kfunc) int { return strings.Compare(a.Name, b.Name) }))
	for i := range Kfuncs() {
		k := &Kfuncs()[i]
		byName, ok := KfuncByName(k.Name)
		require.True(t, ok)
		require.Same(t, k, byName)
		byID, ok := KfuncByID(k.ID)
		require.True(t, ok)
		require.Same(t, k, byID)
		require.NotNil(t, k.Proto, k.Name)
		require.Equal(t, prog.BTFFuncProto, k.Proto.Kind, k.Name)
	}
	_, ok := KfuncByName("bpf_nothing")
	require.False(t, ok)
	_, ok = KfuncByID(0)
	require.False(t, ok)
}

func TestKfuncPrototypes(t *testing.T) {
	slice, _ := KfuncByName("bpf_dynptr_slice")
	names := []string{}
	for _, p := range slice.Proto.Params {
		names = append(names, p.Name)
	}
	require.Equal(t, []string{"p", "offset", "buffer__opt", "buffer__szk"}, names)
	require.Equal(t, "bpf_dynptr", slice.Proto.Params[0].Type.Elem.Name)
	require.Equal(t, prog.BTFVoid, slice.Proto.Params[2].Type.Elem.Kind)
	require.Equal(t, prog.BTFPointer, slice.Proto.Return.Kind)

	throw, _ := KfuncByName("bpf_throw")
	require.Nil(t, throw.Proto.Return)
	require.Equal(t, uint32(8), throw.Proto.Params[0].Type.Size)

	acquire, _ := KfuncByName("bpf_task_acquire")
	require.Equal(t, KfAcquire|KfRCU|KfRetNull, acquire.Flags)
	require.Equal(t, "task_struct", acquire.Proto.Return.Elem.Name)
	require.True(t, acquire.Allowed.Has(variantOf(t, "sched_cls")))
	require.False(t, acquire.Allowed.Has(variantOf(t, "lwt_in")))
}

func TestFromRecorded(t *testing.T) {
	for i := range kfuncs {
		id, ok := FromRecorded(kfuncs[i].recorded)
		require.True(t, ok)
		require.Equal(t, kfuncs[i].ID, id)
	}
	for recorded, name := range map[uint32]string{64245: "bpf_iter_task", 64526: "bpf_lsm_bpf"} {
		id, ok := FromRecorded(recorded)
		require.True(t, ok, name)
		got, _, ok := FuncID(id)
		require.True(t, ok, name)
		require.Equal(t, name, got)
	}
	for _, id := range []uint32{0, 1, 50_000, 100_000, 1 << 31} {
		_, ok := FromRecorded(id)
		require.False(t, ok, id)
	}
}

// What flags say of a function fits its prototype: a reference and a null that may be
// returned are pointers, an iterator is the first argument, and functions that go together
// are registered together.
func TestKfuncFlags(t *testing.T) {
	isPtr := func(p *prog.BTFType) bool { return p != nil && p.Kind == prog.BTFPointer }
	for _, k := range Kfuncs() {
		returnsPtr := isPtr(k.Proto.Return)
		if k.Flags&(KfAcquire|KfRetNull|KfArenaRet) != 0 && !strings.HasPrefix(k.Name, "bpf_res_spin_lock") {
			require.True(t, returnsPtr, k.Name)
		}
		if k.Flags&(KfRelease|KfTrustedArgs|KfRCU) != 0 {
			require.True(t, slices.ContainsFunc(k.Proto.Params, func(p prog.BTFParam) bool { return isPtr(p.Type) }), k.Name)
		}
		for suffix, flag := range map[string]KfuncFlags{"_new": KfIterNew, "_next": KfIterNext, "_destroy": KfIterDestroy} {
			base, ok := strings.CutSuffix(k.Name, suffix)
			ok = ok && strings.HasPrefix(base, "bpf_iter_")
			require.Equal(t, ok, k.Flags&flag != 0, k.Name)
			if !ok {
				continue
			}
			require.Equal(t, base, k.Proto.Params[0].Type.Elem.Name, k.Name)
			require.Equal(t, flag == KfIterNext, k.Flags&KfRetNull != 0, k.Name)
			next, _ := KfuncByName(base + "_next")
			require.Equal(t, next.Allowed, k.Allowed, k.Name)
			require.Equal(t, next.Flags&KfSleepable, k.Flags&KfSleepable, k.Name)
		}
		for i, flag := range []KfuncFlags{KfArenaArg1, KfArenaArg2} {
			require.Equal(t, i < len(k.Proto.Params) && inArena(k.Proto.Params[i].Type), k.Flags&flag != 0, k.Name)
		}
		require.Equal(t, inArena(k.Proto.Return), k.Flags&KfArenaRet != 0, k.Name)
		if strings.HasSuffix(k.Name, "_release") || strings.Contains(k.Name, "_drop_impl") {
			require.NotZero(t, k.Flags&KfRelease, k.Name)
		}
	}
}

// inArena reports whether t is a pointer into an arena by its type tag.
func inArena(t *prog.BTFType) bool { return t != nil && slices.Contains(t.Tags, "address_space(1)") }

// The table says what the probes in ../shared found.
func TestSharedKfuncs(t *testing.T) {
	var probes struct {
		Variants []string
		Kfuncs   map[string]struct {
			ID      uint32 `json:"btf_id"`
			Allowed []string
		}
	}
	shared(t, "kfuncs.json", &probes)
	require.Len(t, Kfuncs(), len(probes.Kfuncs))
	for name, probe := range probes.Kfuncs {
		k, ok := KfuncByName(name)
		require.True(t, ok, name)
		require.Equal(t, probe.ID, k.recorded, name)
		for _, v := range probes.Variants {
			require.Equal(t, slices.Contains(probe.Allowed, v), k.Allowed.Has(variantOf(t, v)), "%s in %s", name, v)
		}
	}
}

// All tables may be asked by several goroutines at once.
func TestConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, name := range []string{"task_struct", "sk_buff", "sock"} {
				if Struct(name) == nil || Tracepoint("sched_switch") == nil {
					t.Error("no types")
				}
			}
			KfuncByName("bpf_task_acquire")
			CtxOf(variantOf(t, "tracing/tp_btf:sys_enter"), attachTPBTF, "kfree_skb").Access(0, 8, false)
		})
	}
	wg.Wait()
}
