package helper

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/prog"
)

func TestGet(t *testing.T) {
	require.Len(t, All(), numHelpers)
	for i := range All() {
		p := &All()[i]
		got, ok := Get(p.ID)
		require.True(t, ok)
		require.Same(t, p, got)
		byName, ok := ByName("bpf_" + p.Name)
		require.True(t, ok)
		require.Same(t, p, byName)
		require.Equal(t, "bpf_"+p.Name, p.String())
	}
	for _, id := range []asm.BuiltinFunc{-1, 0, numHelpers + 1, 1 << 30} {
		_, ok := Get(id)
		require.False(t, ok)
		require.Nil(t, Bodies(id))
	}
	_, ok := ByName("bpf_nothing")
	require.False(t, ok)
}

// A size follows the memory that it is the size of, a constant size its record.
func TestArgsPair(t *testing.T) {
	for _, p := range All() {
		require.LessOrEqual(t, len(p.Args), 5, p.Name)
		for i, a := range p.Args {
			next := ArgAny
			if i+1 < len(p.Args) {
				next = p.Args[i+1].Kind
			}
			sized := next == ArgSize || next == ArgSize0
			require.Equal(t, a.Kind == ArgMem && a.Fixed == 0, sized, "%s, argument %d", p.Name, i+1)
			require.Equal(t, a.Alt == nil, a.AltIn == 0, p.Name)
		}
	}
}

func TestAllowed(t *testing.T) {
	allowed := func(name string, typ prog.Type, attach prog.AttachType, target string) bool {
		p, ok := ByName(name)
		require.True(t, ok)
		return p.Allowed(typ, attach, target)
	}
	require.True(t, allowed("xdp_adjust_head", prog.XDP, 0, ""))
	require.True(t, allowed("xdp_adjust_head", prog.XDP, 37, ""), "any attach type of a type that has one set")
	require.False(t, allowed("xdp_adjust_head", prog.SchedCLS, 0, ""))
	require.True(t, allowed("bind", prog.CGroupSockAddr, 10, ""))
	require.False(t, allowed("bind", prog.CGroupSockAddr, 8, ""))
	require.True(t, allowed("seq_printf", prog.Tracing, 28, "task"))
	require.False(t, allowed("seq_printf", prog.Tracing, 23, "sys_enter"))
	require.True(t, allowed("get_func_arg", prog.Tracing, 25, "vfs_read"))
	require.False(t, allowed("map_lookup_elem", prog.Custom, 0, ""), "custom hooks have their own list")
	require.False(t, allowed("map_lookup_elem", prog.Unspec, 0, ""))
}

// The table says what the probes of Linux 6.18 in ../shared found.
func TestSharedTable(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "linux", "helpers.json"))
	if err != nil {
		t.Skip(err)
	}
	var shared struct {
		Variants []string
		Helpers  []struct {
			ID          asm.BuiltinFunc
			Name        string
			ProgTypes   []string `json:"prog_types"`
			GPLOnly     bool     `json:"gpl_only"`
			Args        []string
			MightSleep  bool `json:"might_sleep"`
			Invalidates bool `json:"invalidates_pkt"`
		}
	}
	require.NoError(t, json.Unmarshal(text, &shared))
	index := map[string]Variant{}
	for i := range variants {
		index[variants[i].name] = Variant(i)
	}
	for _, h := range shared.Helpers {
		p, ok := Get(h.ID)
		require.True(t, ok)
		require.Equal(t, h.Name, p.String())
		require.Len(t, p.Args, len(h.Args), h.Name)
		require.Equal(t, h.MightSleep, p.Sleeps, h.Name)
		require.Equal(t, h.Invalidates, p.MovesPacket, h.Name)
		if len(h.ProgTypes) > 0 { // unknown for helpers that the kernel had not
			require.Equal(t, h.GPLOnly, p.GPL, h.Name)
		}
		in := map[string]bool{}
		for _, v := range h.ProgTypes {
			in[v] = true
		}
		if h.ID == asm.FnOverrideReturn || h.ID == asm.FnProbeWriteUser {
			continue // depends on how the kernel was configured
		}
		for _, v := range shared.Variants {
			name := v
			if asked := mislabelled[v]; asked != "" {
				name = asked
			}
			require.Contains(t, index, name)
			require.Equal(t, in[v], p.Availability.Has(index[name]), "%s in %s", h.Name, name)
		}
	}
}

// mislabelled are variants of the probes in ../shared by the name of the attach type before
// the one that they were loaded with.
var mislabelled = map[string]string{
	"cgroup_sock_addr/connect_unix":     "cgroup_sock_addr/sendmsg_unix",
	"cgroup_sock_addr/sendmsg_unix":     "cgroup_sock_addr/recvmsg_unix",
	"cgroup_sock_addr/recvmsg_unix":     "cgroup_sock_addr/getpeername_unix",
	"cgroup_sock_addr/getpeername_unix": "cgroup_sock_addr/getsockname_unix",
}

// The kernel refuses a helper for a program type where the table does.
func TestAvailabilityKernel(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	for _, v := range []struct {
		typ    prog.Type
		attach prog.AttachType
	}{{prog.SocketFilter, 0}, {prog.SchedCLS, 0}, {prog.XDP, 0}, {prog.Kprobe, 0}, {prog.CGroupSKB, 1}, {prog.LWTXmit, 0}} {
		t.Run(v.typ.String(), func(t *testing.T) {
			for _, p := range All() {
				if p.ID == asm.FnOverrideReturn || p.ID == asm.FnProbeWriteUser {
					continue // depends on how the kernel was configured
				}
				var c code
				c.insn(0x85, 0, 0, 0, int32(p.ID))
				c.insn(0xbf, 0, 9, 0, 0) // r9 was never set: refused at the latest here
				c.insn(0x95, 0, 0, 0, 0)
				l, err := kernel.Load(kernel.Prog{
					Type: ebpf.ProgramType(v.typ), AttachType: ebpf.AttachType(v.attach), Insns: c, LogLevel: 1,
				})
				require.NoError(t, err)
				require.False(t, l.Accepted())
				refused := strings.Contains(l.Log, "program of this type cannot use helper")
				require.Equal(t, !p.Allowed(v.typ, v.attach, ""), refused, "%s: %s", p.Name, l.Log)
			}
		})
	}
}

func TestSupported(t *testing.T) {
	list := Supported()
	names := map[string]bool{}
	for _, p := range list {
		names[p.Name] = true
	}
	for _, name := range []string{"tail_call", "map_lookup_elem", "xdp_adjust_head", "skb_store_bytes", "ringbuf_reserve", "snprintf"} {
		require.True(t, names[name], name)
	}
	require.False(t, names["sk_lookup_tcp"])
	require.Equal(t, len(bodyIDs())+1, len(list), "all bodies and the tail call")
}

// bodyIDs are the helpers with a body.
func bodyIDs() (ids []asm.BuiltinFunc) {
	for id, body := range bodies {
		if body != nil {
			ids = append(ids, asm.BuiltinFunc(id))
		}
	}
	return ids
}
