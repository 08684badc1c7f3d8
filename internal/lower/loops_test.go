package lower

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestInnermostLoops finds loops by the flow, whatever the order of their blocks is.
func TestInnermostLoops(t *testing.T) {
	for _, c := range []struct {
		name, prog string
		want       [][]int32
	}{
		{"one block", "r0 = 0; l: r0 += r1; if r0 < r2 goto l; exit", [][]int32{{1}}},
		{"entered in the middle", "r0 = 0; goto mid; l: r2 += 1; if r2 == 9 goto out; mid: r0 += r2; if r0 != 5 goto l; r0 *= 3; goto l; out: exit",
			[][]int32{{2, 3, 1}}},
		{"innermost", "r0 = 0; o: r3 = 0; i: r3 += 1; if r3 != 8 goto i; r0 += 1; if r0 != 9 goto o; exit", [][]int32{{2}}},
		{"two", "r0 = 0; a: r0 += 1; if r0 != 8 goto a; b: r0 += 1; if r0 != 16 goto b; exit", [][]int32{{1}, {2}}},
		{"two entries", "r0 = 0; if r1 == 0 goto b; a: r0 += 1; b: r0 += 2; if r0 < 50 goto a; exit", nil},
		{"a call", "l: call f; if r0 != 0 goto l; exit; f: r0 = 1; if r1 == 0 goto e; r0 = 2; e: exit", nil},
		{"an inlined call", "r6 = 9; l: r1 = r6; call f; r6 -= 1; if r6 != 0 goto l; exit; f: r0 = r1; r0 += 1; exit", [][]int32{{1}}},
		{"at the entry", "l: r1 += 1; if r1 < r2 goto l; r0 = 0; exit", nil},
		{"a branch", "r0 = 0; l: if r0 == 5 goto a; r0 += 2; goto e; a: r0 += 1; e: r1 -= 1; if r1 != 0 goto l; exit",
			[][]int32{{1, 2, 3, 4}}},
	} {
		var got [][]int32
		for _, l := range build(t, c.prog, Env{}).innermostLoops() {
			got = append(got, l.blocks)
		}
		require.Equal(t, c.want, got, c.name)
	}
}

// TestNeed has as much left for the copies as any way through them takes, and as the
// blocks in front of the head in the program make less of.
func TestNeed(t *testing.T) {
	loops := build(t, "r0 = 0; goto mid; l: r2 += 1; if r2 == 9 goto out; mid: r0 += r2; if r0 != 5 goto l; r0 *= 3; goto l; out: exit", Env{}).innermostLoops()
	require.Equal(t, int64(maxCopies*6+2), loops[0].need)
	p := build(t, "goto main; f: r0 = r1; r0 += 1; exit; main: r6 = 9; l: r1 = r6; call f; r6 -= 1; if r6 != 0 goto l; exit", Env{})
	loop := p.innermostLoops()[0]
	require.Equal(t, int32(4+3), p.Length(&p.Blocks[loop.head()]), "with the function")
	require.Equal(t, int64(maxCopies*7+4), loop.need, "which begins four instructions in front of the head")
}

// TestManyLoops keeps the time bounded that programs take whose every block is in many loops.
func TestManyLoops(t *testing.T) {
	const n = 3000
	text := "r0 = 0\n" + strings.Repeat("l%: r0 += 1\n", n) + strings.Repeat("if r0 != 7 goto l%\n", n) + "exit"
	for i := range 2 * n {
		at := i % n
		if i >= n {
			at = 2*n - 1 - i // the inner loops end first
		}
		text = strings.Replace(text, "%", strconv.Itoa(at), 1)
	}
	require.Len(t, build(t, text, Env{}).innermostLoops(), 1)
}

// TestTail has what all ways through a loop end with in front of its head, where each jumps back
// to once.
func TestTail(t *testing.T) {
	text := "r0 = 1; r2 = 0; l: if r0 == 5 goto a; if r0 == 6 goto b; r0 *= 3; " + strings.Repeat("r0 ^= r2; ", 80) + "goto e; b: r0 += 2; goto e; a: r0 += 1; e: r2 += 1; if r2 != 50 goto l; exit"
	p := build(t, text, Env{})
	require.Equal(t, int32(1), p.innermostLoops()[0].tail)
	unroll(p)
	align(p)
	require.Equal(t, `r0 = 1; r2 = 0
guard 89 goto 9
r2 = r2 + 1; if r2 jeq 50 goto 15
repeat 89 goto 4
if r0 jeq 5 goto 8
if r0 jeq 6 goto 7
r0 = r0 * 3; `+strings.Repeat("r0 = r0 ^ r2; ", 80)+`goto 2
`, strings.Join(strings.SplitAfter(p.text(), "\n")[:7], ""))
	require.Equal(t, int32(4), p.Blocks[1].Next)
	require.Equal(t, int32(2), p.Blocks[8].Next)
	require.True(t, p.Blocks[2].Align, "where jumps go")
	require.False(t, p.Blocks[4].Align, "what follows has no padding in front")
}

// TestAllCopies bounds how long a program becomes that consists of loops.
func TestAllCopies(t *testing.T) {
	const n = 3000
	text := "r0 = 0\n"
	for i := range n {
		text += strings.ReplaceAll("r2 = 0; l%: r0 ^= r2; r2 += 1; if r2 != 40 goto l%; ", "%", strconv.Itoa(i))
	}
	p := build(t, text+"exit", Env{})
	copied := 0
	for _, l := range p.innermostLoops() {
		copied += int(l.copies) * len(p.Blocks[l.head()].Ins)
	}
	require.LessOrEqual(t, copied, maxAllCopies+len(p.Index)/4)
	require.Greater(t, copied, maxAllCopies)
}
