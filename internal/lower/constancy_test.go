package lower

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestConstancy shows what blocks know of constants in registers: here, the one that the
// last line of the program is in.
func TestConstancy(t *testing.T) {
	for _, c := range []struct{ name, prog, want string }{
		{"in a loop", "r3 = 7; w4 = -1; again: r1 += r3; r1 ^= r4; r2 -= 1; if r2 != 0 goto again; r0 = r1; exit",
			"r1 = r1 + 7; r1 = r1 ^ r4; r2 = r2 + -1; if r2 jne 0 goto 1"},
		{"too large for an instruction", "r3 = 0x123456789a ll; r4 = 9; again: r1 ^= r3; r0 = 0x123456789a ll; r1 *= r0; r2 -= r4; if r2 != 0 goto again; r0 = r1; exit",
			"r1 = r1 ^ r3; r1 = r1 * r3; r2 = r2 + -9; if r2 jne 0 goto 1"},
		{"the same on both ways", "r0 = 0; r3 = 7; if r1 == 0 goto again; r3 = 7; again: r0 += r3; r2 -= 1; if r2 != 0 goto again; exit",
			"r0 = r0 + 7; r2 = r2 + -1; if r2 jne 0 goto 2"},
		{"not the same", "r0 = 0; r3 = 7; if r1 == 0 goto again; r3 = 8; again: r0 += r3; r2 -= 1; if r2 != 0 goto again; exit",
			"r0 = r0 + r3; r2 = r2 + -1; if r2 jne 0 goto 2"},
		{"that changes", "r0 = 0; r3 = 7; again: r0 += r3; r3 += 1; r2 -= 1; if r2 != 0 goto again; exit",
			"r0 = r0 + r3; r3 = r3 + 1; r2 = r2 + -1; if r2 jne 0 goto 1"},
		{"behind a call", "r3 = 7; r6 = 8; r7 = r2; again: call 5; r0 += r6; r0 += r3; r7 -= 1; if r7 != 0 goto again; exit",
			"r0 = r0 + 8; r0 = r0 + r3; r7 = r7 + -1; if r7 jne 0 goto 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.prog, Env{})
			optimiseBlocks(p)
			require.Contains(t, p.text(), c.want)
		})
	}
}

// TestConstancyOfUnread: a register that nobody looks at need not hold what the
// program says.
func TestConstancyOfUnread(t *testing.T) {
	p := build(t, "r3 = 0x123456789a ll; r1 ^= r3; again: r4 = 0x123456789a ll; r1 ^= r4; r2 -= 1; if r2 != 0 goto again; r0 = r1; exit", Env{})
	optimiseBlocks(p)
	require.Contains(t, p.text(), "r0 = 78187493530; r1 = r1 ^ r0; r2 = r2 + -1")
}
