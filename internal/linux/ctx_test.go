package linux

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/helper"
)

// variantOf returns a variant by its name.
func variantOf(t testing.TB, name string) helper.Variant {
	t.Helper()
	i := slices.Index(helper.VariantNames(), name)
	require.GreaterOrEqual(t, i, 0, name)
	return helper.Variant(i)
}

func TestCtx(t *testing.T) {
	for _, c := range []struct {
		variant   string
		off, size int
		write     bool
		want      Field
		ok        bool
	}{
		{"xdp", 0, 4, false, Field{Kind: Packet}, true},
		{"xdp", 0, 8, false, Field{}, false},
		{"xdp", 4, 4, false, Field{Kind: PacketEnd}, true},
		{"xdp", 12, 4, false, Field{}, true},
		{"xdp", 12, 4, true, Field{}, false},
		{"xdp", 20, 4, false, Field{}, false},
		{"sched_cls", 140, 4, false, Field{Kind: PacketMeta}, true},
		{"sched_cls", 48, 8, true, Field{}, true},
		{"sched_cls", 52, 8, true, Field{}, false},
		{"sched_cls", 180, 1, false, Field{}, true},
		{"sched_cls", 181, 1, false, Field{}, false},
		{"sched_cls", 168, 8, false, Field{Kind: SockCommon, OrNull: true}, true},
		{"raw_tracepoint_writable", 0, 8, false, Field{Kind: TPBuffer}, true},
		{"netfilter", 8, 8, false, Field{Kind: BTF, Trusted: true, Struct: "sk_buff"}, true},
		{"tracing/iter:bpf_map_elem", 16, 8, false, Field{Kind: Buffer, OrNull: true, Rdonly: true}, true},
		{"flow_dissector", 144, 8, false, Field{Kind: FlowKeys}, true},
		{"syscall", 32760, 8, true, Field{}, true},
		{"tracepoint", 8184, 8, false, Field{}, true},
		{"tracepoint", 8192, 8, false, Field{}, false},
		{"kprobe", -8, 8, false, Field{}, false},
		{"kprobe", 0, 3, false, Field{}, false},
		{"kprobe", 0, 0, false, Field{}, false},
		{"kprobe", 0, 16, false, Field{}, false},
		{"kprobe", 0, -8, false, Field{}, false},
		{"kprobe", 2, 4, false, Field{}, false},
	} {
		f, ok := Ctx(variantOf(t, c.variant)).Access(c.off, c.size, c.write)
		require.Equal(t, c.ok, ok, "%+v", c)
		require.Equal(t, c.want, f, "%+v", c)
	}
	require.Nil(t, Ctx(255))
	require.Nil(t, Ctx(variantOf(t, "struct_ops")), "by member only")
}

func TestCtxOf(t *testing.T) {
	xdp, iter, tp := variantOf(t, "xdp"), variantOf(t, "tracing/iter:task"), variantOf(t, "tracing/tp_btf:sys_enter")
	require.Same(t, Ctx(xdp), CtxOf(xdp, 37, ""))
	_, ok := CtxOf(xdp, attachXDPDevmap, "").Access(20, 4, false)
	require.True(t, ok, "egress_ifindex")
	require.Same(t, Ctx(iter), CtxOf(iter, attachIter, "task"))
	require.Nil(t, CtxOf(iter, attachIter, "nothing"))
	require.Nil(t, CtxOf(tp, attachTPBTF, "nothing"))

	ptr := func(c *Context, off int) Field {
		require.NotNil(t, c)
		f, ok := c.Access(off, 8, false)
		require.True(t, ok)
		_, narrow := c.Access(off, 4, false)
		require.False(t, narrow)
		return f
	}
	require.Equal(t, Field{Kind: BTF, OrNull: true, Struct: "bpf_link"}, ptr(CtxOf(iter, attachIter, "bpf_link"), 8))
	require.Equal(t, Field{Kind: BTF, Trusted: true, OrNull: true, Struct: "sock"}, ptr(CtxOf(tp, attachTPBTF, "kfree_skb"), 24))
	require.Equal(t, Field{Kind: BTF, Struct: "file"}, ptr(CtxOf(variantOf(t, "tracing/fentry"), attachFentry, "vfs_read"), 0))
	require.Equal(t, Field{Kind: BTF, Trusted: true, Struct: "file"}, ptr(CtxOf(variantOf(t, "lsm"), 27, "file_open"), 0))
	ops := variantOf(t, "struct_ops")
	require.Equal(t, Field{Kind: BTF, Trusted: true, Struct: "tcp_sock"}, ptr(CtxOf(ops, 0, "tcp_congestion_ops/ssthresh"), 0))
	for _, path := range []string{"tcp_congestion_ops/name", "tcp_congestion_ops/", "nothing/ssthresh", ""} {
		require.Nil(t, CtxOf(ops, 0, path), path)
	}

	fentry := CtxOf(variantOf(t, "tracing/fentry"), attachFentry, "vfs_read")
	_, ok = fentry.Access(32, 8, false)
	require.False(t, ok)
	f, ok := CtxOf(variantOf(t, "tracing/fentry"), attachFexit, "vfs_read").Access(32, 4, false)
	require.True(t, ok, "the result")
	require.Equal(t, Field{}, f)
}

// What is derived from types is what was asked.
func TestDerived(t *testing.T) {
	for _, name := range []string{"sys_enter", "sched_switch"} {
		asked := Ctx(variantOf(t, "tracing/tp_btf:"+name))
		derived := argContext(argsKey{tracePrefix, name})
		for off := range 64 {
			for _, size := range []int{1, 2, 4, 8} {
				f, ok := asked.Access(off, size, false)
				g, same := derived.Access(off, size, false)
				require.Equal(t, ok, same, "%s: %d bytes at %d", name, size, off)
				require.Equal(t, f, g, "%s: %d bytes at %d", name, size, off)
			}
		}
	}
}

func TestSockAccess(t *testing.T) {
	require.True(t, SockAccess(SockCommon, 4, 4))
	require.False(t, SockAccess(SockCommon, 8, 4), "type is of full sockets only")
	require.True(t, SockAccess(Socket, 8, 4))
	require.True(t, SockAccess(TCPSock, 80, 8))
	require.False(t, SockAccess(TCPSock, 84, 4))
	require.True(t, SockAccess(XDPSock, 0, 4))
	require.False(t, SockAccess(XDPSock, 4, 4))
	require.False(t, SockAccess(Packet, 0, 4))
}

// shared reads a file of what Linux 6.18 has answered, or skips where there is none.
func shared(t testing.TB, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "linux", name))
	if err != nil {
		t.Skip(err)
	}
	require.NoError(t, json.Unmarshal(text, into))
}

// The table says what the 53,760 probes in ../shared found, which were whole programs.
func TestSharedContexts(t *testing.T) {
	var probes struct {
		Variants []struct{ Label string }
		Types    []string
		Rows     [][]int // variant, offset, size, write, accepted, errno, type
	}
	shared(t, "ctx-access.json", &probes)
	require.NotEmpty(t, probes.Rows)
	for _, row := range probes.Rows {
		name := probes.Variants[row[0]].Label
		off, size, write := row[1], row[2], row[3] != 0
		f, ok := Ctx(variantOf(t, name)).Access(off, size, write)
		require.Equal(t, row[4] != 0, ok, "%s: %d bytes at %d, write %v", name, size, off, write)
		if typ, _, _ := strings.Cut(probes.Types[row[6]], "("); ok && !write {
			require.Equal(t, typ, f.text(), "%s: %d bytes at %d", name, size, off)
		}
	}
}

// text is a field in the notation of the kernel's log.
func (f Field) text() string {
	text := map[Kind]string{
		Number: "scalar", Packet: "pkt", PacketEnd: "pkt_end", PacketMeta: "pkt_meta", SockCommon: "sock_common",
		Socket: "sock", FlowKeys: "flow_keys", TPBuffer: "tp_buffer", BTF: "ptr", Buffer: "buf",
	}[f.Kind]
	if f.Trusted {
		text = "trusted_" + text
	}
	if f.Rdonly {
		text = "rdonly_" + text
	}
	if f.OrNull {
		text += "_or_null"
	}
	if f.Kind == BTF {
		text += "_" + f.Struct
	}
	return text
}
