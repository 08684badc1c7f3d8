package jit

import (
	"flag"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/interp"
)

var (
	programs  = flag.Int("programs", 0, "how many programs to generate; 0: a few")
	firstSeed = flag.Uint64("seed", 0, "the seed of the first of them")
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
	env := Env{Blind: seed%4 == 3}
	if seed%8 == 5 { // any passes left out
		env.Without = lower.Pass(seed * 0x9e3779b1 >> 12)
	}
	code, err := Compile(p, env)
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
	switch {
	case *programs > 0:
		n = uint64(*programs)
	case testing.Short():
		n = 2000
	}
	finished := 0
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		if compareEngines(t, r, seed, 20+int(seed%120)) {
			finished++
		}
	}
	require.Greater(t, finished, int(n/4), "most programs must run to their end for the comparison to mean something")
	t.Logf("%d of %d programs ran to their end", finished, n)
}

func FuzzCodeEqualsSteps(f *testing.F) {
	f.Add(uint64(144126), 20+144126%120-12) // a fault near the stack, which the program does not use
	f.Add(uint64(181304), 20+181304%120-12) // a jump that looks at the budget, to where another has led before
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
