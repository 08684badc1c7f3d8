package lower

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// TestCounterOf finds what counts the trips of loops, and sees where nothing does.
func TestCounterOf(t *testing.T) {
	for _, c := range []struct {
		name, loop string
		want       Counter // no steps: not counted
	}{
		{"up", "r2 += 1; if r2 != 40 goto l", Counter{Reg: 2, Limit: None, LimitAt: 40, Wide: true, Cond: asm.JNE, Step: 1}},
		{"down", "r2 += -8; if r2 != r3 goto l", Counter{Reg: 2, Limit: 3, Wide: true, Cond: asm.JNE, Step: -8}},
		{"a jump at the end", "r2 += 4; if r2 == 40 goto out; goto l", Counter{Reg: 2, Limit: None, LimitAt: 40, Wide: true, Cond: asm.JNE, Step: 4}},
		{"32 bits", "w2 += 1; if w2 != -40 goto l", Counter{Reg: 2, Limit: None, LimitAt: -40, Cond: asm.JNE, Step: 1}},
		{"lower half of 64", "r2 += 1; if w2 != 40 goto l", Counter{Reg: 2, Limit: None, LimitAt: 40, Cond: asm.JNE, Step: 1}},
		{"by way of a copy", "r4 = r2; r4 += 2; r2 = r4; if r4 != 40 goto l", Counter{Reg: 2, Limit: None, LimitAt: 40, Wide: true, Cond: asm.JNE, Step: 2}},
		{"in two steps", "r2 += 1; r0 += r2; r2 += 3; if r2 != 40 goto l", Counter{Reg: 2, Limit: None, LimitAt: 40, Wide: true, Cond: asm.JNE, Step: 4}},
		{"no power of two", "r2 += 24; if r2 != 48 goto l", Counter{Reg: 2, Limit: None, LimitAt: 48, Wide: true, Cond: asm.JNE, Step: 24}},
		{"less", "r2 += 3; if r2 < 40 goto l", Counter{Reg: 2, Limit: None, LimitAt: 40, Wide: true, Cond: asm.JLT, Step: 3}},
		{"less, signed", "w2 += 1; if w2 s< w3 goto l", Counter{Reg: 2, Limit: 3, Cond: asm.JSLT, Step: 1}},
		{"the other way round", "r2 += 1; if r3 > r2 goto l", Counter{Reg: 2, Limit: 3, Wide: true, Cond: asm.JLT, Step: 1}},
		{"until it is not more", "r2 += -2; if r2 > 4 goto l", Counter{Reg: 2, Limit: None, LimitAt: 4, Wide: true, Cond: asm.JGT, Step: -2}},
		{"more, signed", "r2 += -2; if r2 s> 4 goto l", Counter{Reg: 2, Limit: None, LimitAt: 4, Wide: true, Cond: asm.JSGT, Step: -2}},
		{"some blocks", "if r0 == r2 goto a; r0 += r2; a: r2 += 1; if r2 != 40 goto l", Counter{Reg: 2, Limit: None, LimitAt: 40, Wide: true, Cond: asm.JNE, Step: 1}},
		{"the head counts", "r2 += 1; if r0 == r2 goto a; r0 += r2; a: if r2 != 40 goto l", Counter{Reg: 2, Limit: None, LimitAt: 40, Wide: true, Cond: asm.JNE, Step: 1}},
		{"the head counts too", "r2 += 1; if r0 == r2 goto a; r0 += r2; a: r2 += 3; if r2 != 40 goto l",
			Counter{Reg: 2, Limit: None, LimitAt: 40, Wide: true, Cond: asm.JNE, Step: 4}},
		{"on one way", "if r0 == r2 goto a; r2 += r0; a: r2 += 1; if r2 != 40 goto l", Counter{}},
		{"on one way a constant", "if r0 == r2 goto a; r2 += 2; a: r2 += 1; if r2 != 40 goto l", Counter{}},
		{"the limit on one way", "if r0 == r2 goto a; r3 += 2; a: r2 += 1; if r2 != r3 goto l", Counter{}},
		{"two ways back", "r2 += 1; if r2 == 7 goto l; r0 += r2; if r2 != 40 goto l", Counter{}},
		{"less and less", "r2 += -1; if r2 < 40 goto l", Counter{}},
		{"not more", "r2 += 1; if r2 <= 40 goto l", Counter{}},
		{"no step", "r0 += 1; if r2 != 40 goto l", Counter{}},
		{"too large a step", "r2 += 65536; if r2 != 655360 goto l", Counter{}},
		{"too large a limit", "r2 += 1; if r2 != 0x40000001 goto l", Counter{}},
		{"multiplied", "r2 *= 2; if r2 != 4096 goto l", Counter{}},
		{"64 bits compared of 32", "w2 += 1; if r2 != 40 goto l", Counter{}},
		{"the limit changes", "r3 += 1; r2 += 2; if r2 != r3 goto l", Counter{}},
		{"another is compared", "r4 = r2; r4 += 1; r2 += 2; if r4 != 40 goto l", Counter{}},
		{"while equal", "r2 += 1; if r2 == 40 goto l", Counter{}},
		{"a bit", "r2 += 1; if r2 & 64 goto l", Counter{}},
	} {
		p := build(t, "r0 = 0; r2 = 0; r3 = 40; l: "+c.loop+"; out: exit", Env{})
		loops := p.innermostLoops()
		require.Len(t, loops, 1, c.name)
		require.Equal(t, c.want.Step != 0, loops[0].counted, c.name)
		if c.want.Step != 0 {
			c.want.Copies = maxCopies
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
	require.Equal(t, "guard 24 goto 4, counter 1", text[1])
	require.Equal(t, []Counter{{Reg: 3, Limit: None, LimitAt: 64, Wide: true, Cond: asm.JNE, Step: 2, Copies: 4}}, p.Counters)
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
