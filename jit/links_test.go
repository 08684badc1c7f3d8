package jit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/jit"
)

// TestLinksOfOthers runs programs in turns on one CPU, whose links they share: each finds in them what
// another has left, here what would crash whoever returns there.
func TestLinksOfOthers(t *testing.T) {
	const target = "r6 = 5\ncall f\nr0 += r6\nexit\nf:\nr6 = 7\nr0 = r6\nexit"
	programs := map[string]string{
		"the entry calls itself": "again:\nr3 += 1\nif r3 == 5 goto out\ncall again\nr0 += r3\nexit\nout:\nr0 = 1\nexit",
		"functions share blocks": "call f\nr6 = r0\ncall g\nr0 += r6\nexit\nf:\nr0 = 10\ngoto tail\ng:\nr0 = 20\ntail:\nr0 += 3\nexit",
		"called once, and twice": "r6 = 3\ncall f\nr0 += r6\nexit\nf:\nr6 = 4\nr1 = 1\ncall g\nr7 = r0\nr1 = 2\ncall g\nr0 += r7\nr0 += r6\nexit\ng:\nr6 = r1\nr7 = 9\nr0 = r6\nr0 <<= 8\nexit",
		"a function's tail call": "r6 = 100\ncall f\nr0 += r6\nexit\nf:\nr6 = 200\nr2 = map[idx:0]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit",
		"the entry's tail call":  "r6 = 1\nr2 = map[idx:0]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit",
		"loops in each frame":    "r6 = 0\nagain:\nr6 += 1\nmay_goto +1\nif r6 < 5 goto again\ncall f\nr0 += r6\nexit\nf:\nr0 = 0\nmore:\nr0 += 1\nmay_goto +1\nif r0 < 3 goto more\nexit",
	}
	r := enginetest.NewRig(t)
	interpreted, compiled := map[string]vm.Runner{}, map[string]vm.Runner{}
	for name, text := range programs {
		p := enginetest.Parse(t, text)
		inner := enginetest.Parse(t, target)
		steps, err := interp.Compile(inner, interp.Env{})
		require.NoError(t, err)
		interpreted[name], err = interp.Compile(p, interp.Env{Maps: []vm.Map{&table{steps}}, Helper: helper.Bodies})
		require.NoError(t, err)
		compiled[name] = compile(t, p, jit.Env{Maps: []vm.Map{&table{compile(t, inner, jit.Env{})}}, Helper: helper.Bodies})
	}
	dirty := func() {
		for frame := range prog.MaxFrames {
			const bad = 0x5a5a5a5a5a5a5a5a
			// Return address, r6 to r9, and how many loops are left. What comes behind belongs to the CPU.
			*(*[6]uint64)(r.CPU.Link(frame)) = [...]uint64{bad, bad, bad, bad, bad, 0}
		}
	}
	for _, limit := range []uint64{1 << 20, 3, 8, 12} {
		r.CPU.Limit = limit
		for range 2 {
			for name := range programs { // in another order each time
				dirty()
				require.Equal(t, r.Outcome(interpreted[name]), r.Outcome(compiled[name]), "%s, %d instructions", name, limit)
			}
		}
	}
}
