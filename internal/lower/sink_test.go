package lower

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestSink shows where what only one way needs is computed.
func TestSink(t *testing.T) {
	for _, c := range []struct{ name, prog, want string }{
		{"behind the jump", "r3 = r1; r3 += r2; r0 = 0; if r1 == 0 goto out; r0 = r3; out: exit",
			"r0 = 0; if r1 jeq 0 goto 2\nr0 = r1 + r2\nexit"},
		{"where it jumps to", "r3 = r1; r3 += r2; r0 = 0; if r1 == 0 goto other; exit; other: r0 = r3; exit",
			"if r1 jeq 0 goto 2\nr0 = 0; exit\nr0 = r1 + r2; exit"},
		{"further down", "r3 = r1; r3 += r2; r0 = 0; if r1 == 0 goto out; if r2 == 0 goto out; r0 = r3; out: exit",
			"r0 = 0; if r1 jeq 0 goto 3\nif r2 jeq 0 goto 3\nr0 = r1 + r2\nexit"},
		{"on both", "r3 = r1; r3 += r2; r0 = 0; if r1 == 0 goto out; r0 = r3; out: r0 += r3; exit",
			"r3 = r1 + r2; r0 = 0; if r1 jeq 0 goto 2\nr0 = r3\nr0 = r0 + r3; exit"},
		{"that the jump reads", "r3 = r1; r3 += r2; r0 = 0; if r3 == 0 goto out; r0 = r3; out: exit",
			"r3 = r1 + r2; r0 = 0; if r3 jeq 0 goto 2\nr0 = r3\nexit"},
		{"of what changes", "r3 = r1; r3 += r2; r1 = r2; r0 = 0; if r1 == 0 goto out; r0 = r3; out: r0 += r1; exit",
			"r3 = r1 + r2; r0 = 0; r1 = r2; if r2 jeq 0 goto 2\nr0 = r3\nr0 = r0 + r1; exit"},
		{"where others come from, too", "r3 = r1; r3 += r2; r0 = 0; if r1 == 0 goto out; again: r0 += r3; r2 -= 1; if r2 != 0 goto again; out: exit",
			"r3 = r1 + r2; r0 = 0; if r1 jeq 0 goto 2\nr0 = r0 + r3; r2 = r2 + -1; if r2 jne 0 goto 1\nexit"},
		{"on the way back", "r0 = 0; again: r0 += r2; r3 = r0; r1 -= 1; if r1 == 0 goto out; r0 = r3; goto again; out: exit",
			"r0 = 0\nr0 = r0 + r2; r1 = r1 + -1; r3 = r0; if r1 jeq 0 goto 3\nr0 = r3; goto 1\nexit"},
		{"of memory", "r3 = *(u64 *)(r1 + 0); r0 = 0; if r1 == 0 goto out; r0 = r3; out: exit",
			"r3 = u64[r1]?; r0 = 0; if r1 jeq 0 goto 2\nr0 = r3\nexit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.prog, Env{})
			optimiseBlocks(p)
			require.Equal(t, c.want, p.text())
		})
	}
}
