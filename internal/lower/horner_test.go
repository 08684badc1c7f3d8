package lower

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHorner computes what two copies of a loop add to a hash before the hash is multiplied.
func TestHorner(t *testing.T) {
	const load = "r2 = *(u32 *)(r10 - 4); r3 = *(u32 *)(r10 - 8); "
	for _, c := range []struct{ name, prog, want string }{
		{"any factor", "r0 *= 7; r0 += r2; r0 *= 11; r0 += r3", "r2 = r2 * 11; r2 = r2 + r3; r0 = r0 * 77; r0 = r0 + r2"},
		{"of 32 bits", "w0 *= 7; w0 += w2; w0 *= 11; w0 += w3", "w2 = r2 * 11; w2 = r2 + r3; w0 = r0 * 77; w0 = r0 + r2"},
		{"factor of a lea", "r0 *= 3; r0 += r2; r0 *= 9; r0 += r3", "r2 = r2 * 9; r2 = r2 + r3; r0 = r0 * 27; r0 = r0 + r2"},
		{"less one", "r0 *= 31; r0 += r2; r0 *= 31; r0 += r3", "r3 = r3 - r2; r2 = r2 << 5; r3 = r3 + r2; r0 = r0 * 961; r0 = r0 + r3"},
		{"more one", "r0 *= 33; r0 += r2; r0 *= 33; r0 += r3", "r3 = r3 + r2; r2 = r2 << 5; r3 = r3 + r2; r0 = r0 * 1089; r0 = r0 + r3"},
		{"read in between", "r0 *= 7; r0 += r2; r3 ^= r0; r0 *= 7; r0 += r3", "r0 = r0 * 7; r0 = r0 + r2; r3 = r3 ^ r0; r0 = r0 * 7; r0 = r0 + r3"},
		{"read later", "r0 *= 7; r0 += r2; r4 = r0; r0 *= 7; r0 += r3; *(u64 *)(r10 - 16) = r4",
			"r0 = r0 * 7; r1 = r0 + r2; r0 = r1 * 7; r0 = r0 + r3; u64[r10-16] = r1"},
		{"widths", "r0 *= 7; r0 += r2; w0 *= 7; w0 += w3", "r0 = r0 * 7; r0 = r0 + r2; w0 = r0 * 7; w0 = r0 + r3"},
	} {
		p := build(t, "r0 = 1; call 5; "+load+c.prog+"; exit", Env{})
		p.Blocks[1].Joined = true
		optimiseBlocks(p)
		require.Equal(t, "r2 = u32[r10-4]; r3 = u32[r10-8]; "+c.want+"; exit", p.Blocks[1].text(), c.name)
	}
}
