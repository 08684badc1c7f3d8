package lower

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestForward(t *testing.T) {
	for _, c := range []struct{ name, prog, want string }{
		{"stored", "*(u64 *)(r10 - 8) = r1; r0 = *(u64 *)(r10 - 8); exit", "u64[r10-8] = r1; r0 = r1; exit"},
		{"lower half", "*(u64 *)(r10 - 8) = r1; r0 = *(u32 *)(r10 - 8); exit", "u64[r10-8] = r1; w0 = r1; exit"},
		{"byte", "*(u32 *)(r10 - 8) = r1; r0 = *(u8 *)(r10 - 8); exit", "u32[r10-8] = r1; r0 = zext8 r1; exit"},
		{"constant", "*(u16 *)(r10 - 8) = -1; r0 = *(u16 *)(r10 - 8); exit", "u16[r10-8] = -1; r0 = 65535; exit"},
		{"loaded", "r3 = *(u64 *)(r10 - 8); r0 = *(u64 *)(r10 - 8); r0 += r3; exit", "r3 = u64[r10-8]; r0 = r3 + r3; exit"},
		{"stored without proof", "r3 = r10; r3 += -16; *(u64 *)(r3 + 8) = r1; r0 = *(u64 *)(r10 - 8); exit", "u64[r10-8]? = r1; r0 = u64[r10-8]; exit"},
		{"stored beside", "*(u64 *)(r10 - 8) = r1; *(u64 *)(r10 - 16) = r2; r0 = *(u64 *)(r10 - 8); exit",
			"u64[r10-8] = r1; u64[r10-16] = r2; r0 = r1; exit"},
		{"stored over", "*(u64 *)(r10 - 8) = r1; *(u8 *)(r10 - 1) = r2; r0 = *(u64 *)(r10 - 8); exit",
			"u64[r10-8] = r1; u8[r10-1] = r2; r0 = u64[r10-8]; exit"},
		{"stored anywhere", "*(u64 *)(r10 - 8) = r1; *(u8 *)(r2 + 0) = 0; r0 = *(u64 *)(r10 - 8); exit",
			"u64[r10-8] = r1; u8[r2]? = 0; r0 = u64[r10-8]; exit"},
		{"too short", "*(u32 *)(r10 - 8) = r1; r0 = *(u64 *)(r10 - 8); exit", "u32[r10-8] = r1; r0 = u64[r10-8]; exit"},
		{"signed", "*(u64 *)(r10 - 8) = r1; r0 = *(s8 *)(r10 - 8); exit", "u64[r10-8] = r1; r0 = u8[r10-8]?; exit"},
		{"not kept", "*(u64 *)(r10 - 8) = r1; r1 = r2; r0 = *(u64 *)(r10 - 8); r0 += r1; exit", "u64[r10-8] = r1; r0 = u64[r10-8]; r0 = r0 + r2; exit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.prog, Env{})
			optimiseBlocks(p)
			require.Equal(t, c.want, p.text())
		})
	}
}
