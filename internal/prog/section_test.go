package prog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSections has what libbpf 1.1 says of section names (libbpf_prog_type_by_name), and which
// names are near to those that it does not know.
func TestSections(t *testing.T) {
	for _, section := range []string{"xdp", "?xdp", "xdp.frags", "xdp/devmap", "tc", "classifier", "action", "socket", "syscall",
		"kprobe", "kprobe/x", "kprobe.multi/x", "tp/a/b", "lsm.s/x", "struct_ops/x", "cgroup/dev", "cgroup_skb/ingress"} {
		require.True(t, SectionSaysType(section), section)
	}
	for section, near := range map[string]string{
		"xdpfoo": "xdp", "xdp/foo": "xdp", "?xdp_prog": "xdp", "xdp/devmap/x": "xdp/devmap", "xdp.frag": "xdp",
		"tcx": "tc", "tc/foo": "tc", "netkit": "netkit/primary", "classifier/x": "classifier", "socket1": "socket", "socket/1": "socket",
		"syscallx": "syscall", "sk_lookup/x": "sk_lookup", "perf_event/x": "perf_event", "kprobex": "kprobe", "kprob/x": "kprobe",
		"cgroup/conect4": "cgroup/connect4", "http_request": "", "XDP": "", "": "",
	} {
		require.False(t, SectionSaysType(section), section)
		require.Equal(t, near, NearSection(section), section)
	}
	require.Empty(t, NearSection("kprobe/x"), "it says a type")
}
