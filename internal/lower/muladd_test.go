package lower

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMulAdd(t *testing.T) {
	for _, c := range []struct{ name, prog, want string }{
		{"less one", "w0 = w1; w0 *= 31; w0 += w2; exit", "w2 = r2 - r1; w1 = r1 << 5; w0 = r2 + r1; exit"},
		{"in place", "r0 = 0; r0 = *(u64 *)(r1 + 0); r1 *= 31; r0 += r1; exit", "r0 = u64[r1]?; r0 = r0 - r1; r1 = r1 << 5; r0 = r0 + r1; exit"},
		{"more one", "r0 = r2; r1 *= 33; r0 += r1; exit", "r2 = r2 + r1; r1 = r1 << 5; r0 = r2 + r1; exit"},
		{"one lea", "r0 = r2; r1 *= 9; r0 += r1; exit", "r1 = r1 * 9; r0 = r2 + r1; exit"},
		{"other factor", "r0 = r2; r1 *= 35; r0 += r1; exit", "r1 = r1 * 35; r0 = r2 + r1; exit"},
		{"other width", "w0 = w2; r1 *= 31; w0 += w1; exit", "r1 = r1 * 31; w0 = r2 + r1; exit"},
		{"constant", "r1 *= 31; r1 += 7; r0 = r1; exit", "r1 = r1 * 31; r0 = r1 + 7; exit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.prog, Env{})
			optimiseBlocks(p)
			require.Equal(t, c.want, p.text())
		})
	}
}
