package jit

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/interp"
)

// TestInlinedCalls ends runs at every instruction around calls of a small function, in front of
// which others come and behind which it may not fit into the stack any more.
func TestInlinedCalls(t *testing.T) {
	for _, text := range []string{
		"r6 = 5\nagain: r1 = r6\ncall f\nr1 = r0\ncall f\nr6 -= 1\nif r6 != 0 goto again\nexit\nf: r0 = r1\nr0 *= 7\nexit",
		"r6 = 3\ngoto begin\nf: r1 *= 3\nr0 = r1\nexit\nbegin: r1 = r6\ncall f\nif r0 > 100 goto out\nr6 += r0\ngoto begin\nout: r0 ^= r1\nexit",
		"r1 = 1\ncall deep\nexit\ndeep: r1 += 1\ncall f\nr1 = r0\nif r1 > 9 goto out\ncall deep\nout: exit\nf: r0 = r1\nr0 += 0\nexit",
		"r1 = 1\ncall deep\nexit\ndeep: r1 += 1\nif r1 > 8 goto out\ncall deep\nout: call f\nexit\nf: r0 = r1\nr0 += 0\nexit",
	} {
		p := enginetest.Parse(t, text)
		steps, err := interp.Compile(p, interp.Env{Observe: func(int, *interp.Registers) {}})
		require.NoError(t, err)
		code, r := compile(t, p, Env{}), enginetest.NewRig(t)
		for limit := range uint64(120) {
			r.CPU.Limit = limit
			require.Equal(t, r.Outcome(steps), r.Outcome(code), "%d instructions of\n%s", limit, text)
		}
	}
}
