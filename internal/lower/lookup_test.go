package lower

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// TestLookups makes lookups arithmetic where the key is known to be one of the array.
func TestLookups(t *testing.T) {
	cells := mem.Cells{Base: 0x1000, Stride: 8, Len: 4}
	env := Env{Cells: func(addr uint64) (mem.Cells, bool) { return cells, true }}
	const call = "*(u32 *)(r10 - 4) = r1; r2 = r10; r2 += -4; r1 = 0x777 ll; call bpf_map_lookup_elem; "
	for _, c := range []struct{ name, prog, want string }{
		{"constant", "w1 = 3; " + call + "r0 = *(u64 *)(r0 + 0); exit", "u32[r10-4] = 3; r0 = 4120; r0 = u64[r0]?; exit\n"},
		{"none", "w1 = 4; " + call + "exit", "u32[r10-4] = 4; r0 = 0; exit\n"},
		{"masked", "r1 &= 3; " + call + "exit", "r1 = r1 & 3; u32[r10-4] = r1; r1 = r1 << 3; r0 = r1 + 4096; exit\n"},
		{"any", "r1 += 5; " + call + "exit", "r1 = r1 + 5; u32[r10-4] = r1; w0 = r1; r0 = lookup 0 r0; exit\n"},
		{"not kept", call + "exit", "u32[r10-4] = r1; r0 = lookup 0 u0[r10-4]; exit\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.prog, env)
			optimiseBlocks(p)
			require.Equal(t, c.want, p.text())
		})
	}
}
