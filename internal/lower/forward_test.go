package lower

import (
	"strings"
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

// TestForwardParts has parts of a number in the frame, which need no register up to where it is complete.
func TestForwardParts(t *testing.T) {
	const low = "r3 = *(u8 *)(r10 - 40); r4 = *(u8 *)(r10 - 39); r4 <<= 8; r4 |= r3; *(u64 *)(r10 - 8) = r4; "
	const rest = "r3 = *(u16 *)(r10 - 38); r3 <<= 16; r4 = *(u64 *)(r10 - 8); r3 |= r4; "
	p := build(t, low+strings.Repeat("r2 *= r2; ", maxKept+1)+rest+"r0 = r3; r0 += r2; exit", Env{})
	optimiseBlocks(p)
	require.Contains(t, p.text(), "; r3 = u32[r10-40]; ", "from far")
	require.NotContains(t, p.text(), "u64[r10-8]; ")

	// Where the number is complete, all registers hold what is read behind, if r1 and r2 are not loaded again.
	all := "r0 = r1; r3 = r1; r4 = r1; r5 = r1; r6 = r1; r7 = r1; r8 = r1; r9 = r1; if r1 == 0 goto next; next: "
	all += "r1 *= r1; r2 *= r1; *(u64 *)(r10 - 16) = r1; *(u64 *)(r10 - 24) = r2; "
	all += strings.NewReplacer("r3", "r1", "r4", "r2").Replace(low + rest)
	all += "r0 *= r1; r2 = *(u64 *)(r10 - 16); r0 ^= r2; r2 = *(u64 *)(r10 - 24); r0 += r2; "
	p = build(t, all+"r0 *= r3; r0 ^= r4; r0 += r5; r0 ^= r6; r0 *= r7; r0 ^= r8; r0 += r9; exit", Env{})
	optimiseBlocks(p)
	require.Contains(t, p.Blocks[1].text(), " = u32[r10-40]; ", "without a register to spare")
	require.Contains(t, p.Blocks[1].text(), " = u64[r10-16]; ")
}
