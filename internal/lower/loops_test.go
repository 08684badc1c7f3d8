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
