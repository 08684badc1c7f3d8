package linux

import (
	"bytes"
	"compress/flate"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/helper"
)

// vmlinuxFile is where the kernel has its BTF.
const vmlinuxFile = "/sys/kernel/btf/vmlinux"

// liveBTF returns the kernel's BTF, pruned, and the sum of all of it.
var liveBTF = sync.OnceValues(func() (pruned []byte, sum string) {
	data, err := os.ReadFile(vmlinuxFile)
	if err != nil {
		return nil, ""
	}
	raw, _, err := parseBTF(data)
	if err != nil {
		return nil, ""
	}
	return prune(raw), fmt.Sprintf("%x", sha256.Sum256(data))
})

// needTables skips a test where the kernel is another than that of the tables: of the same version, it may
// have been configured in another way.
func needTables(t testing.TB) {
	t.Helper()
	if _, sum := liveBTF(); sum != vmlinuxSum {
		t.Skip("another kernel than that of the tables")
	}
}

// liveTypes are the kernel's types, skipped where it has none.
func liveTypes(t testing.TB) *vmlinux {
	t.Helper()
	data, _ := liveBTF()
	if data == nil {
		t.Skip("no " + vmlinuxFile)
	}
	v, err := readTypes(data)
	require.NoError(t, err)
	return v
}

// How many pointers to structs are followed from the sorts of root. Further steps add
// little: the structs that matter are reached.
const (
	fromArgs    = 3 // of kfuncs, tracepoints and LSM hooks
	fromStructs = 4
	fromVars    = 1
	fromTraced  = 0 // functions that may be traced
)

// rootStructs are structs that programs get pointers to in other ways than as arguments.
var rootStructs = []string{
	"bpf_ctx_convert", // the contexts and what they are in the kernel, for bpf_cast_to_kern_ctx
	"task_struct", "sk_buff", "sock", "tcp_sock", "udp6_sock", "unix_sock", "mptcp_sock", "socket", "file", "inode", "cgroup",
	"bpf_array", "bpf_htab", "lpm_trie", "bpf_ringbuf_map", "bpf_stack_map", "bpf_dtab", "bpf_cpu_map", "xsk_map",
	"bpf_queue_stack", "bpf_local_storage_map", "bpf_shtab", "bpf_stab", "reuseport_array", "bpf_bloom_filter", "bpf_arena",
	"bpf_struct_ops_map", "bpf_offloaded_map", "bpf_cgroup_storage_map", "pt_regs", "bpf_prog", "net_device", "nf_conn",
	"bpf_dynptr", "bpf_timer", "bpf_wq", "bpf_task_work", "bpf_spin_lock", "bpf_res_spin_lock", "bpf_list_head",
	"bpf_list_node", "bpf_rb_root", "bpf_rb_node", "bpf_refcount", "bpf_cpumask",
}

// opsStructs are those that struct_ops programs implement.
var opsStructs = []string{"tcp_congestion_ops", "bpf_dummy_ops"}

// tracedPrefixes choose the functions that programs like to trace, by how their names begin.
var tracedPrefixes = strings.Fields(`vfs_ tcp_ udp_ inet_ ip_ ip6_ icmp_ security_ do_ ksys_ __x64_sys_ sock_
	skb_ kfree_skb consume_skb netif_ __netif_ napi_ dev_queue __dev_queue xdp_ nf_ file_ filp_ folio_ blk_ ext4_ mutex_
	kmem_cache_ try_to_wake_up wake_up_ rcu_ cgroup_ exit_ d_path dentry_`)

// prune returns what the tables keep of the kernel's BTF.
func prune(raw *rawBTF) []byte {
	p := newPruner(raw)
	structs := slices.Concat(rootStructs, helperStructs())
	for i := 1; i < len(raw.at); i++ {
		id := uint32(i)
		r := raw.record(id)
		name := raw.text(r.name)
		switch {
		case r.kind == kindDeclTag && name == "bpf_kfunc":
			p.add(r.arg, fromArgs)
		case r.kind == kindTypedef && strings.HasPrefix(name, tracePrefix):
			p.steps[id] = fromArgs // target would leave out the typedef
			p.add(r.arg, fromArgs)
		case r.kind == kindFunc && (strings.HasPrefix(name, "bpf_lsm_") || strings.HasPrefix(name, iterPrefix)):
			p.add(id, fromArgs)
		case r.kind == kindFunc && slices.ContainsFunc(tracedPrefixes, func(s string) bool { return strings.HasPrefix(name, s) }):
			p.add(id, fromTraced)
		case r.kind == kindVar:
			p.add(id, fromVars)
		case r.kind != kindStruct && r.kind != kindUnion:
		case slices.Contains(opsStructs, name):
			p.protos[id] = true
			p.add(id, fromStructs)
		case slices.Contains(structs, name), strings.Contains(name, "__safe_"), strings.HasPrefix(name, "bpf_iter__"):
			p.add(id, fromStructs)
		}
	}
	return p.encode()
}

// helperStructs are the structs in the prototypes of helpers.
func helperStructs() (names []string) {
	for _, p := range helper.All() {
		names = append(names, p.Ret.Struct)
		for _, a := range p.Args {
			names = append(names, a.Struct)
		}
	}
	return slices.DeleteFunc(names, func(s string) bool { return s == "" })
}

const (
	typesFile   = "vmlinux.btf.z"
	largestFile = 400 << 10
)

// TestTypesUpdate compares vmlinux.btf.z with the kernel's BTF, or writes it.
func TestTypesUpdate(t *testing.T) {
	data, sum := liveBTF()
	if data == nil {
		t.Skip("no " + vmlinuxFile)
	}
	if *update {
		var z bytes.Buffer
		w, err := flate.NewWriter(&z, flate.BestCompression)
		require.NoError(t, err)
		_, err = w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.Less(t, z.Len(), largestFile)
		require.NoError(t, os.WriteFile(typesFile, z.Bytes(), 0o644))
		return
	}
	if sum != "" {
		t.Skip("another kernel than that of the tables")
	}
	have, err := openTypes(vmlinuxBTF)
	require.NoError(t, err)
	want, err := readTypes(data)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want.raw.types, have.raw.types), "go test -update in internal/linux")
	require.True(t, want.raw.strings == have.raw.strings)
	require.Equal(t, want.ids, have.ids)
}
