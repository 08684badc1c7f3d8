package lower

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// countBits is a program that counts the bits of r1 with masks and shift.
func countBits(w string, m1, m2, m4, h uint64, shift int) string {
	mask := func(op string, k uint64) string {
		if w == "w" {
			return fmt.Sprintf("%s %d", op, int32(k))
		}
		return fmt.Sprintf("%s r5", op)
	}
	load := func(k uint64) string {
		if w == "w" {
			return ""
		}
		return fmt.Sprintf("r5 = %#x ll; ", k)
	}
	return strings.ReplaceAll(load(m1)+"$2 = $1; $2 >>= 1; "+mask("$2 &=", m1)+"; $1 -= $2; "+
		load(m2)+"$2 = $1; "+mask("$2 &=", m2)+"; $1 >>= 2; "+mask("$1 &=", m2)+"; $2 += $1; "+
		load(m4)+"$1 = $2; $1 >>= 4; $2 += $1; "+mask("$2 &=", m4)+"; "+
		load(h)+mask("$2 *=", h)+fmt.Sprintf("; $2 >>= %d; r0 = r2; exit", shift), "$", w)
}

func TestPopcount(t *testing.T) {
	const m1, m2, m4, h = 0x5555555555555555, 0x3333333333333333, 0x0f0f0f0f0f0f0f0f, 0x0101010101010101
	optimised := func(text string, have bool) string {
		p := build(t, "r1 = *(u64 *)(r1 + 0); "+text, Env{Popcount: have})
		optimiseBlocks(p)
		return p.text()
	}
	require.Equal(t, "r1 = u64[r1]?; r0 = popcount r1; exit", optimised(countBits("r", m1, m2, m4, h, 56), true))
	require.Equal(t, "r1 = u64[r1]?; w0 = popcount r1; exit", optimised(countBits("w", m1, m2, m4, h, 24), true))
	require.NotContains(t, optimised(countBits("r", m1, m2, m4, h, 56), false), "popcount")
	for i, text := range []string{
		countBits("r", m1+1, m2, m4, h, 56), countBits("r", m1, m2-1, m4, h, 56), countBits("r", m1, m2, m4*2, h, 56),
		countBits("r", m1, m2, m4, h<<1, 56), countBits("r", m1, m2, m4, h, 55), countBits("r", m1, m2, m4, h, 24),
		strings.Replace(countBits("r", m1, m2, m4, h, 56), "r1 -= r2", "r1 += r2", 1),
		strings.Replace(countBits("r", m1, m2, m4, h, 56), "r1 >>= 2", "r1 >>= 3", 1),
	} {
		require.NotContains(t, optimised(text, true), "popcount", i)
	}
}
