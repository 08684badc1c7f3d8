package lower

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBits has operations that change nothing, as is seen from the bits that may be set.
func TestBits(t *testing.T) {
	for _, c := range []struct{ name, prog, want string }{
		{"or that adds to an index", "w2 &= 48; w2 |= 5; r2 <<= 3; r3 = r1; r3 += r2; r0 = *(u64 *)(r3 + 8); exit",
			"r2 = r2 & 48; r0 = u64[r1+r2*8+48]?; exit"},
		{"addition to an index", "r4 = r2; r4 += -2; r4 <<= 1; r3 = r1; r3 += r4; r0 = *(u8 *)(r3 + 0); exit", "r0 = u8[r1+r2*2-4]?; exit"},
		{"or that adds to a base", "r1 <<= 4; r1 |= 3; r0 = *(u8 *)(r1 + 1); exit", "r1 = r1 << 4; r0 = u8[r1+4]?; exit"},
		{"or that does not", "r1 <<= 4; r1 |= 19; r0 = *(u8 *)(r1 + 1); exit", "r1 = r1 << 4; r1 = r1 | 19; r0 = u8[r1+1]?; exit"},
		{"mask of a byte", "r2 = *(u8 *)(r1 + 0); r2 >>= 2; r2 &= 63; r0 = r2; exit", "r1 = u8[r1]?; r0 = r1 >> 2; exit"},
		{"mask that is needed", "r2 = *(u8 *)(r1 + 0); r2 >>= 2; r2 &= 31; r0 = r2; exit", "r1 = u8[r1]?; r1 = r1 >> 2; r0 = r1 & 31; exit"},
		{"extension of a sum", "r2 = *(u8 *)(r1 + 0); r3 = *(u8 *)(r1 + 1); r2 += r3; r2 <<= 48; r2 >>= 48; r0 = r2; exit",
			"r2 = u8[r1]?; r1 = u8[r1+1]?; r0 = r2 + r1; exit"},
		{"extension of a product", "r2 = *(u8 *)(r1 + 0); r3 = *(u16 *)(r1 + 1); r2 *= r3; r0 = (s32)r2; exit",
			"r2 = u8[r1]?; r1 = u16[r1+1]?; r0 = r2 * r1; exit"},
		{"division", "r3 = *(u32 *)(r10 - 8); r4 = *(u32 *)(r10 - 4); r3 /= r4; r0 = r3; r0 %= 10; exit",
			"r3 = u32[r10-8]; r4 = u32[r10-4]; w3 = r3 / r4; w0 = r3 % 10; exit"},
		{"division that needs all", "r1 /= 10; r0 = r1; exit", "r0 = r1 / 10; exit"},
		{"sign extension that is needed", "r2 = *(u32 *)(r1 + 0); r0 = (s32)r2; exit", "r1 = u32[r1]?; r0 = sext32 r1; exit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.prog, Env{})
			optimiseBlocks(p)
			require.Equal(t, c.want, p.text())
		})
	}
}

func TestLowest(t *testing.T) {
	optimised := func(text string) string {
		p := build(t, text, Env{})
		optimiseBlocks(p)
		return p.text()
	}
	require.Equal(t, "r0 = r1 + -1; r0 = r1 & r0; exit", optimised("r2 = r1; r2 = -r2; r2 &= r1; r0 = r1; r0 ^= r2; exit"))
	require.Equal(t, "w0 = r1 + -1; r0 = r1 & r0; exit", optimised("w2 = w1; w2 = -w2; w2 &= w1; w0 = w1; w0 -= w2; exit"))
	require.Contains(t, optimised("r3 = r1; r3 = -r3; r3 &= r2; r0 = r1; r0 ^= r3; exit"), "^")
	require.Contains(t, optimised("r2 = -r2; r2 &= r1; r0 = r1; r0 ^= r2; exit"), "^")
	require.Contains(t, optimised("r2 = r1; r2 = -r2; r2 &= r1; r0 = r2; r0 -= r1; exit"), "r2 - r1")
}
