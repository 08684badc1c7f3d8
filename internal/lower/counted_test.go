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
		{"set by the head", "r2 = r0; if r0 == r3 goto a; r0 += r2; a: r2 += 1; if r2 != 40 goto l", Counter{}},
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
			if c.want.Copies = maxCopies; loops[0].test == 0 && c.want.Limit == None {
				c.want.Copies *= 2
			}
			require.Equal(t, c.want, loops[0].count, c.name)
		}
	}
}

// TestJoined makes one block of the copies, in which the counter is added to once and a
// sum too.
func TestJoined(t *testing.T) {
	p := build(t, "r0 = 0; r3 = 0; l: r4 = r1; r4 += r3; r4 = *(u16 *)(r4 + 0); r0 += r4; r3 += 2; if r3 != r2 goto l; exit", Env{})
	optimiseBlocks(p)
	unroll(p)
	optimiseJoined(p)
	text := strings.Split(p.text(), "\n")
	require.Equal(t, "guard 24 goto 4, counter 1", text[1])
	require.Equal(t, []Counter{{Reg: 3, Limit: 2, Wide: true, Cond: asm.JNE, Step: 2, Copies: 4}}, p.Counters)
	require.Equal(t, "r4 = u16[r1+r3*1]?; hop 2; "+
		"r5 = u16[r1+r3*1+2]?; r4 = r4 + r5; hop 2; "+
		"r5 = u16[r1+r3*1+4]?; r4 = r4 + r5; hop 2; "+
		"r5 = u16[r1+r3*1+6]?; r4 = r4 + r5; r0 = r0 + r4; r3 = r3 + 8; if r3 jeq r2 goto 5", text[2])
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

// TestTrips has one block of the end of each trip and the head of the next. What trips add to registers is added where
// somebody looks at them: behind the last, and on a way out.
func TestTrips(t *testing.T) {
	p := build(t, "r0 = 0; r3 = 0; r5 = 9; l: r4 = r1; r4 += r3; r4 = *(u8 *)(r4 + 0); if r4 > r2 goto out; r0 ^= r3; if r4 < 9 goto m; r0 += r4; "+
		"m: r5 += 3; r3 += 2; if r3 != 640 goto l; r0 = 1; out: r0 += r3; exit", Env{})
	Run(p)
	require.Equal(t, `r0 = 0; r3 = 0; r5 = 9
guard 40 goto 19, counter 1
r4 = u8[r1+r3*1]?; if r4 jgt r2 goto 24
r0 = r0 ^ r3; if r4 jlt 9 goto 5
r0 = r0 + r4
hop 3; r4 = u8[r1+r3*1+2]?; if r4 jgt r2 goto 16
r6 = r3 + 2; r0 = r0 ^ r6; if r4 jlt 9 goto 8
r0 = r0 + r4
hop 3; r4 = u8[r1+r3*1+4]?; if r4 jgt r2 goto 17
r6 = r3 + 4; r0 = r0 ^ r6; if r4 jlt 9 goto 11
r0 = r0 + r4
hop 3; r4 = u8[r1+r3*1+6]?; if r4 jgt r2 goto 18
r6 = r3 + 6; r0 = r0 ^ r6; if r4 jlt 9 goto 14
r0 = r0 + r4
r5 = r5 + 12; r3 = r3 + 8; if r3 jeq 640 goto 23
repeat 40 goto 2
r3 = r3 + 2
r3 = r3 + 4
r3 = r3 + 6
r4 = u8[r1+r3*1]?; if r4 jgt r2 goto 24
r0 = r0 ^ r3; if r4 jlt 9 goto 22
r0 = r0 + r4
r5 = r5 + 3; r3 = r3 + 2; if r3 jne 640 goto 1
r0 = 1
r0 = r0 + r3; exit`, p.text())
}

// TestSeldom has what is only done where two numbers are equal behind the loop, and what is computed for that alone.
func TestSeldom(t *testing.T) {
	p := build(t, "r0 = 0; r3 = 0; l: r4 = r1; r4 += r3; r6 = *(u8 *)(r4 + 0); if r6 != r2 goto m; r6 = *(u8 *)(r4 + 1); r0 += r6; "+
		"m: r3 += 1; if r3 != 640 goto l; exit", Env{})
	Run(p)
	require.Equal(t, `r0 = 0; r3 = 0
guard 32 goto 12, counter 1
nop; r6 = u8[r1+r3*1]?; if r6 jeq r2 goto 8
nop; hop 2; nop; r6 = u8[r1+r3*1+1]?; if r6 jeq r2 goto 9
nop; hop 2; nop; r6 = u8[r1+r3*1+2]?; if r6 jeq r2 goto 10
nop; hop 2; nop; r6 = u8[r1+r3*1+3]?; if r6 jeq r2 goto 11
r3 = r3 + 4; if r3 jeq 640 goto 15
repeat 32 goto 2
r4 = u8[r1+r3*1+1]?; r0 = r0 + r4
r4 = u8[r1+r3*1+2]?; r0 = r0 + r4
r4 = u8[r1+r3*1+3]?; r0 = r0 + r4
r4 = u8[r1+r3*1+4]?; r0 = r0 + r4
r4 = r1 + r3; r6 = u8[r1+r3*1]?; if r6 jne r2 goto 14
r4 = u8[r4+1]?; r0 = r0 + r4
r3 = r3 + 1; if r3 jne 640 goto 1
exit`, p.text())
}

// TestGoesOn has what a loop goes on with in line, be it where numbers are equal.
func TestGoesOn(t *testing.T) {
	p := build(t, "r0 = 0; r3 = 0; l: r4 = r1; r4 += r3; r6 = *(u8 *)(r4 + 0); if r6 != r2 goto out; r0 += r6; if r0 > 9 goto m; r0 ^= 3; "+
		"m: r3 += 1; if r3 != 640 goto l; out: exit", Env{})
	Run(p)
	require.Contains(t, p.text(), `r6 = u8[r1+r3*1]?; if r6 jne r2 goto 20
r0 = r0 + r6; if r0 jgt 9 goto 5
r0 = r0 ^ 3
hop 2; r6 = u8[r1+r3*1+1]?; if r6 jne r2 goto 20`)
}
