package lower

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLea(t *testing.T) {
	for _, c := range []struct{ name, prog, want string }{
		{"shift and addition", "r0 = r1; r0 <<= 2; r0 += r2; exit", "r0 = r2 + r1*4; exit"},
		{"on 32 bits", "w0 = w1; w0 <<= 3; w0 += w2; exit", "w0 = r2 + r1*8; exit"},
		{"digit of a number", "r1 *= 10; r1 += r2; r0 = r1; exit", "r1 = r1 * 5; r0 = r2 + r1*2; exit"},
		{"two factors", "r1 *= 45; r0 = r1; exit", "r0 = r1 * 45; exit"},
		{"factor and shift", "w1 *= 72; w0 = w1; exit", "w1 = r1 * 9; w0 = r1 << 3; exit"},
		{"too far", "r0 = r1; r0 <<= 4; r0 += r2; exit", "r1 = r1 << 4; r0 = r1 + r2; exit"},
		{"shift that is needed", "r0 = r1; r0 <<= 2; r2 += r0; r0 ^= r2; exit", "r1 = r1 << 2; r2 = r2 + r1; r0 = r1 ^ r2; exit"},
		{"other width", "w0 = w1; w0 <<= 2; r0 += r2; exit", "w1 = r1 << 2; r0 = r1 + r2; exit"},
		{"other product", "r1 *= 11; r0 = r1; exit", "r0 = r1 * 11; exit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.prog, Env{})
			optimiseBlocks(p)
			require.Equal(t, c.want, p.text())
		})
	}
}

// TestLeaAgain takes apart what a block has that is optimised once more.
func TestLeaAgain(t *testing.T) {
	p := build(t, "r0 = r1; r0 <<= 2; r0 += r2; exit", Env{})
	optimiseBlocks(p)
	want := p.text()
	p.Blocks[0].Joined = true
	optimiseJoined(p)
	require.Equal(t, want, p.text())
}
