package linux

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/prog"
)

func TestAttachTarget(t *testing.T) {
	v := kernelBTF()
	funcID := func(name string) uint32 { return v.ids[v.find(name, kindFunc)] }
	for _, c := range []struct {
		variant string
		attach  prog.AttachType
		id      uint32
		want    string
	}{
		{"tracing/tp_btf:sys_enter", attachTPBTF, v.ids[v.find("btf_trace_sched_switch", kindTypedef)], "sched_switch"},
		{"tracing/iter:task", attachIter, funcID("bpf_iter_tcp"), "tcp"},
		{"tracing/fentry", attachFexit, funcID("vfs_read"), "vfs_read"},
		{"lsm", 27, funcID("bpf_lsm_file_open"), "file_open"},
		{"struct_ops", 2, Struct("bpf_dummy_ops").ID, "bpf_dummy_ops/test_sleepable"},
		{"struct_ops", 0, Struct("tcp_congestion_ops").ID, "tcp_congestion_ops/ssthresh"},
	} {
		variant := variantOf(t, c.variant)
		target, ok := AttachTarget(variant, c.attach, c.id)
		require.True(t, ok, c.want)
		require.Equal(t, c.want, target)
		require.NotNil(t, CtxOf(variant, c.attach, target), c.want)
		for _, id := range []uint32{0, v.ids[1], 1 << 31} {
			_, ok = AttachTarget(variant, c.attach, id)
			require.False(t, ok, c.want)
		}
	}
	_, ok := AttachTarget(variantOf(t, "struct_ops"), 1<<31, Struct("bpf_dummy_ops").ID)
	require.False(t, ok)
	_, ok = AttachTarget(variantOf(t, "struct_ops"), 1, Struct("task_struct").ID)
	require.False(t, ok)
	_, ok = AttachTarget(variantOf(t, "xdp"), 0, funcID("vfs_read"))
	require.False(t, ok)
}

// Arguments by value take as many slots as they need.
func TestStructArgument(t *testing.T) {
	i32 := &prog.BTFType{Kind: prog.BTFInt, Size: 4}
	wide := &prog.BTFType{Kind: prog.BTFStruct, Size: 12}
	c := newArgContext(argsKey{fexitKey, "f"}, &prog.BTFType{
		Kind: prog.BTFFuncProto, Params: []prog.BTFParam{{Type: wide}, {Type: i32}}, Return: i32,
	})
	for off, ok := range map[int]bool{0: true, 8: true, 16: true, 24: true, 32: false} {
		_, wide := c.Access(off, 8, false)
		_, narrow := c.Access(off, 4, false)
		require.Equal(t, []bool{ok, ok}, []bool{wide, narrow}, off)
	}
	huge := &prog.BTFType{Kind: prog.BTFStruct, Size: 1 << 31}
	c = newArgContext(argsKey{fentryKey, "f"}, &prog.BTFType{Kind: prog.BTFFuncProto, Params: []prog.BTFParam{{Type: huge}}})
	_, ok := c.Access(0, 8, false)
	require.False(t, ok)
}
