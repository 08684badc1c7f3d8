package prog

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSections has names that say a type, and which of these are near to those that do not.
func TestSections(t *testing.T) {
	for _, section := range []string{"xdp", "?xdp", "xdp.frags", "xdp/devmap", "xdp/foo", "tc", "tc/foo", "socket/1", "classifier", "action", "socket", "syscall",
		"kprobe", "kprobe/x", "kprobe.multi/x", "tp/a/b", "lsm.s/x", "struct_ops/x", "cgroup/dev", "cgroup_skb/ingress"} {
		require.True(t, SectionSaysType(section), section)
	}
	for section, near := range map[string]string{
		"xdpfoo": "xdp", "?xdp_prog": "xdp", "xdp.frag": "xdp",
		"tcx": "tc", "tcx/foo": "tc", "netkit": "netkit/primary", "socket1": "socket",
		"syscallx": "syscall", "kprobex": "kprobe", "kprob/x": "kprobe",
		"cgroup/conect4": "cgroup/connect4", "http_request": "", "XDP": "", "": "",
	} {
		require.False(t, SectionSaysType(section), section)
		require.Equal(t, near, nearSection(section), section)
	}
	require.Empty(t, NearSection("kprobe/x"), "it says a type")
	require.Equal(t, `; near to it is section "xdp"`, NearSection("xdpfoo"))
}
