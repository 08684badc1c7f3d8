package lower

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestCounterOf finds what counts the trips of loops, and sees where nothing does.
func TestCounterOf(t *testing.T) {
	for _, c := range []struct {
		name, loop string
		want       counter // no steps: not counted
	}{
		{"up", "r2 += 1; if r2 != 40 goto l", counter{2, 1, None, 40}},
		{"down", "r2 += -8; if r2 != r3 goto l", counter{2, 8, 3, 0}},
		{"a jump at the end", "r2 += 4; if r2 == 40 goto out; goto l", counter{2, 4, None, 40}},
		{"32 bits", "w2 += 1; if w2 != 40 goto l", counter{2, 1, None, 40}},
		{"lower half of 64", "r2 += 1; if w2 != 40 goto l", counter{2, 1, None, 40}},
		{"by way of a copy", "r4 = r2; r4 += 2; r2 = r4; if r4 != 40 goto l", counter{2, 2, None, 40}},
		{"in two steps", "r2 += 1; r0 += r2; r2 += 3; if r2 != 40 goto l", counter{2, 4, None, 40}},
		{"no power of two", "r2 += 3; if r2 != 40 goto l", counter{}},
		{"no step", "r0 += 1; if r2 != 40 goto l", counter{}},
		{"too large a step", "r2 += 64; if r2 != 6400 goto l", counter{}},
		{"multiplied", "r2 *= 2; if r2 != 4096 goto l", counter{}},
		{"64 bits compared of 32", "w2 += 1; if r2 != 40 goto l", counter{}},
		{"the limit changes", "r3 += 1; r2 += 2; if r2 != r3 goto l", counter{}},
		{"another is compared", "r4 = r2; r4 += 1; r2 += 2; if r4 != 40 goto l", counter{}},
		{"while equal", "r2 += 1; if r2 == 40 goto l", counter{}},
		{"less", "r2 += 1; if r2 < 40 goto l", counter{}},
	} {
		p := build(t, "r0 = 0; r2 = 0; r3 = 40; l: "+c.loop+"; out: exit", Env{})
		loops := p.innermostLoops()
		require.Len(t, loops, 1, c.name)
		require.Equal(t, c.want.step != 0, loops[0].counted, c.name)
		if c.want.step != 0 {
			require.Equal(t, c.want, loops[0].count, c.name)
		}
	}
}

// TestJoined makes one block of the copies, in which the counter is added to once and a
// sum too.
func TestJoined(t *testing.T) {
	p := build(t, "r0 = 0; r3 = 0; l: r4 = r1; r4 += r3; r4 = *(u16 *)(r4 + 0); r0 += r4; r3 += 2; if r3 != 64 goto l; exit", Env{})
	optimiseBlocks(p)
	unroll(p)
	optimiseJoined(p)
	text := strings.Split(p.text(), "\n")
	require.Equal(t, "guard 24 goto 4, if r3 - 64 is no multiple of 8", text[1])
	require.Equal(t, "r4 = u16[r1+r3*1]?; hop 2; "+
		"r2 = u16[r1+r3*1+2]?; r4 = r4 + r2; hop 2; "+
		"r2 = u16[r1+r3*1+4]?; r4 = r4 + r2; hop 2; "+
		"r2 = u16[r1+r3*1+6]?; r4 = r4 + r2; r0 = r0 + r4; r3 = r3 + 8; if r3 jeq 64 goto 5", text[2])
	require.Equal(t, "repeat 24 goto 2", text[3])
}

// TestJoinedWithJump has the jump to the head behind the copies.
func TestJoinedWithJump(t *testing.T) {
	p := build(t, "r0 = 0; l: r0 += r1; r1 += 1; if r1 == 64 goto out; goto l; out: exit", Env{})
	optimiseBlocks(p)
	unroll(p)
	optimiseJoined(p)
	text := strings.Split(p.text(), "\n")
	require.Contains(t, text[2], "hop 4; hop 1; ", "both jumps are counted")
	require.Equal(t, "goto 4", text[3])
	require.Contains(t, text[4], "repeat")
}
