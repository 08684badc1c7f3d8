package lower

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestDuplicate repeats the end of a trip behind each case, in copies only.
func TestDuplicate(t *testing.T) {
	p := build(t, "r0 = 1; r2 = 0; l: if r0 == 5 goto a; if r0 == 6 goto b; r0 *= 3; goto e; b: r0 += 2; goto e; a: r0 += 1; e: r2 += 1; if r2 != 50 goto l; exit", Env{})
	Unroll(p)
	p.liveness()
	before := strings.Split(p.text(), "\n")
	Duplicate(p)
	text := strings.Split(p.text(), "\n")
	duplicated := map[int]string{
		4: "r0 = r0 * 3; hop 9; r2 = r2 + 1; if r2 jeq 50 goto 15",
		5: "r0 = r0 + 2; hop 9; r2 = r2 + 1; if r2 jeq 50 goto 15",
	}
	for i := range text {
		if want, ok := duplicated[i]; ok {
			require.True(t, p.Blocks[i].Joined)
			require.Equal(t, want, text[i])
			continue
		}
		require.Equal(t, before[i], text[i])
	}
}
