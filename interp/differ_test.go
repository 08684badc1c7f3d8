package interp

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
)

// compareEngines runs a random program on both engines.
func compareEngines(t testing.TB, r *enginetest.Rig, seed uint64, n int) (finished bool) {
	g := enginetest.NewGenerator(seed)
	p := g.Program(n)
	code, err := Compile(p, Env{})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	slow, err := Compile(p, Env{Observe: func(int, *Registers) {}})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	r.CPU.Limit = 5000
	want := r.Outcome(slow)
	for range 2 { // the second run finds the windows that the first has learned
		if got := r.Outcome(code); got != want {
			t.Fatalf("seed %d: the loop differs from single steps:\n got %+v\nwant %+v\n%v", seed, got, want, g.Out)
		}
	}
	return want.Fault == ""
}

// TestLoopEqualsSteps runs random programs through the loop and by single
// steps: same result, memory, instructions and fault.
func TestLoopEqualsSteps(t *testing.T) {
	r := enginetest.NewRig(t)
	n := uint64(20000)
	if testing.Short() {
		n = 2000
	}
	finished := 0
	for seed := range n {
		if compareEngines(t, r, seed, 20+int(seed%120)) {
			finished++
		}
	}
	require.Greater(t, finished, int(n/4), "most programs must run to their end for the comparison to mean something")
	t.Logf("%d of %d programs ran to their end", finished, n)
}

func FuzzLoopEqualsSteps(f *testing.F) {
	f.Add(uint64(1), 40)
	f.Add(uint64(77), 300)
	f.Fuzz(func(t *testing.T, seed uint64, n int) {
		compareEngines(t, enginetest.NewRig(t), seed, 12+(n&1023))
	})
}
