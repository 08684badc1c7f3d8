package lower

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestReassociate shortens chains of what nobody else reads.
func TestReassociate(t *testing.T) {
	for _, c := range []struct{ name, prog, want string }{
		{"sum", "r2 *= 3; r0 += r2; r3 *= 3; r0 += r3; exit", "r2 = r2 * 3; r3 = r3 * 3; r2 = r2 + r3; r0 = r0 + r2; exit"},
		{"of 32 bits", "r2 *= 3; w0 += w2; r3 *= 3; w0 += w3; exit", "r2 = r2 * 3; r3 = r3 * 3; w2 = r2 + r3; w0 = r0 + r2; exit"},
		{"xor", "r2 *= 3; r0 ^= r2; r3 *= 3; r0 ^= r3; exit", "r2 = r2 * 3; r3 = r3 * 3; r2 = r2 ^ r3; r0 = r0 ^ r2; exit"},
		{"read in between", "r2 *= 3; r0 ^= r2; r3 = r0; r3 *= 3; r0 ^= r3; exit", "r2 = r2 * 3; r0 = r0 ^ r2; r3 = r0 * 3; r0 = r0 ^ r3; exit"},
		{"mixed", "r2 *= 3; r0 += r2; r3 *= 3; r0 ^= r3; exit", "r2 = r2 * 3; r0 = r0 + r2; r3 = r3 * 3; r0 = r0 ^ r3; exit"},
		{"kept elsewhere", "r2 *= 3; r0 += r2; r5 = r0; r3 *= 3; r5 += r3; *(u64 *)(r10 - 8) = r5; exit",
			"r2 = r2 * 3; r0 = r0 + r2; r3 = r3 * 3; r5 = r0 + r3; u64[r10-8] = r5; exit"},
	} {
		p := build(t, "r0 = r1; r3 = r1; call 5; "+c.prog, Env{})
		p.Blocks[1].Joined = true
		optimiseBlocks(p)
		require.Equal(t, c.want, p.Blocks[1].text(), c.name)
	}
}
