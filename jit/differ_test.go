package jit

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/interp"
)

// compile compiles p or skips the test.
func compile(t testing.TB, p *prog.Program, env Env) *Code {
	t.Helper()
	if err := Available(); err != nil {
		t.Skip(err)
	}
	code, err := Compile(p, env)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, code.Close()) })
	return code
}

// compareEngines runs a random program as machine code and in the interpreter: same
// result, memory, instructions and fault.
func compareEngines(t testing.TB, r *enginetest.Rig, seed uint64, n int) (finished bool) {
	g := enginetest.NewGenerator(seed)
	p := g.Program(n)
	code, err := Compile(p, Env{})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	defer code.Close()
	want, err := interp.Compile(p, interp.Env{Observe: func(int, *interp.Registers) {}})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	r.CPU.Limit = 5000
	expected := r.Outcome(want)
	for range 2 { // the second run finds the windows that the first has learned
		if got := r.Outcome(code); got != expected {
			t.Fatalf("seed %d: machine code differs from single steps:\n got %+v\nwant %+v\n%v", seed, got, expected, g.Out)
		}
	}
	return expected.Fault == ""
}

func TestCodeEqualsSteps(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	r := enginetest.NewRig(t)
	n := uint64(10000)
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

func FuzzCodeEqualsSteps(f *testing.F) {
	f.Add(uint64(1), 40)
	f.Add(uint64(77), 300)
	f.Add(uint64(125611), 19)  // a fault that is told by the distance to the stack, which nothing else uses
	f.Add(uint64(123033), 161) // functions share blocks, which one of them reaches by jumps that look at nothing
	f.Fuzz(func(t *testing.T, seed uint64, n int) {
		if err := Available(); err != nil {
			t.Skip(err)
		}
		compareEngines(t, enginetest.NewRig(t), seed, 12+(n&1023))
	})
}
