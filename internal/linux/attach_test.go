package linux

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// Every variant can be loaded with its own attach type.
func TestValidAttach(t *testing.T) {
	for v := range helper.VariantNames() {
		typ, attach, _ := helper.Variant(v).Sort()
		require.True(t, ValidAttach(typ, attach), helper.Variant(v))
	}
	require.True(t, ValidAttach(prog.XDP, 1000))
	require.False(t, ValidAttach(prog.CGroupSockAddr, 0))
	require.False(t, ValidAttach(prog.Syscall, 1))
}

func TestMaySleep(t *testing.T) {
	for _, name := range []string{"kprobe", "syscall", "tracing/fentry", "tracing/iter:task", "struct_ops", "lsm"} {
		require.True(t, MaySleep(variantOf(t, name)), name)
	}
	for _, name := range []string{"xdp", "sched_cls", "tracing/tp_btf:sys_enter", "raw_tracepoint"} {
		require.False(t, MaySleep(variantOf(t, name)), name)
	}
}
