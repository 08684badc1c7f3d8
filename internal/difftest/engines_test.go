package difftest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// engineRunner runs accepted programs on one engine, each with maps of its own.
type engineRunner struct {
	*runner
	native bool
}

func newEngineRunner(t testing.TB, native bool) *engineRunner {
	return &engineRunner{newRunner(t, 1), native}
}

// compile returns the program and what frees it, false if the engine finds fault with it.
func (e *engineRunner) compile(c *Case, proof *verifier.Proof) (named, func(), bool) {
	p, list := e.link(c)
	var engine hooks.Engine
	free := func() {}
	var err error
	if e.native {
		var code *jit.Code
		code, err = jit.Compile(p, jit.Env{Maps: list, Helper: helper.Bodies, NumCPU: 1, Inline: true, Proof: proof,
			Layout: hooks.ByType(p.Type).Layout})
		if err == nil {
			engine, free = code, func() { require.NoError(e.t, code.Close()) }
		}
	} else {
		engine, err = interp.Compile(p, interp.Env{Maps: list, Helper: helper.Bodies, NumCPU: 1})
	}
	if bad := (*prog.Error)(nil); errors.As(err, &bad) {
		return named{}, free, false
	}
	require.NoError(e.t, err, c.ID)
	return e.executable(p, list, engine), free, true
}

// outcome runs a case a few times and returns all that can be seen of it, as lines.
func (e *engineRunner) outcome(c *Case, proof *verifier.Proof, seed uint64) []string {
	defer e.closeMaps()
	e.r = rand.New(rand.NewPCG(seed, 3))
	e.machine.CPU(0).Rand, e.now = seed|1, 0
	p, free, ok := e.compile(c, proof)
	defer free()
	if !ok {
		return nil
	}
	var lines []string
	for range runsOfProgram {
		data := e.bytes(60 + e.r.IntN(80))
		run := hooks.TestRun{Data: data}
		err := hooks.Test(context.Background(), p, &run)
		if err != nil {
			run.Ret = 0 // which means nothing
		}
		lines = append(lines, fmt.Sprintf("%#x %x %x after %d: %s", run.Ret, run.DataOut, run.ContextOut, p.x.Stats().Instructions, errorKind(err)))
	}
	for i, m := range p.x.Prog.Maps {
		lines = append(lines, contents(e.t, fmt.Sprint("map ", i), m.(*maps.Map))...)
	}
	return lines
}

// errorKind is an error without addresses.
func errorKind(err error) string {
	var f *vm.Fault
	if errors.As(err, &f) {
		return fmt.Sprint(f.Err, " at ", f.Slot)
	}
	return fmt.Sprint(err)
}

// contents returns what a map holds, in an order that does not depend on its seed.
func contents(t testing.TB, name string, m *maps.Map) (lines []string) {
	switch m.Type() {
	case maps.RingBuf:
		c, err := maps.NewRingConsumer(m)
		require.NoError(t, err)
		defer c.Close()
		for {
			b, ok := c.Next(nil)
			if !ok {
				return append(lines, fmt.Sprint(name, " holds ", c.Available()))
			}
			lines = append(lines, fmt.Sprintf("%s: %x", name, b))
		}
	case maps.Queue:
		b := make([]byte, m.ValueSize())
		for m.PopProg(b) == 0 {
			lines = append(lines, fmt.Sprintf("%s: %x", name, b))
		}
		return lines
	}
	next, err := m.NextKeyBytes(nil)
	for ; err == nil && next != nil; next, err = m.NextKeyBytes(next) {
		value, err := m.LookupBytes(next)
		require.NoError(t, err)
		lines = append(lines, fmt.Sprintf("%s: %x: %x", name, next, value))
	}
	slices.Sort(lines)
	return lines
}

// TestEnginesAgree runs generated programs that the verifier accepts as proved machine code
// and in the interpreter: same results, packets, instructions, errors and contents of maps.
// Programs of which the interpreter itself makes something else in other memory tell of
// addresses, and are counted apart.
func TestEnginesAgree(t *testing.T) {
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	steps, native := newEngineRunner(t, false), newEngineRunner(t, true)
	var others [4]*engineRunner // whose memory lies elsewhere
	for i := range others {
		others[i] = newEngineRunner(t, false)
	}
	n := seeds(2000)
	ran, leaks := 0, 0
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		c, err := GenerateRunnable(seed).Case(fmt.Sprintf("seed-%d", seed))
		require.NoError(t, err)
		subject, err := c.Subject()
		require.NoError(t, err)
		subject.Patience = maxExplored
		o := subject.Verify(verifyLimit)
		require.Empty(t, o.Crash, "seed %d", seed)
		if !o.Accepted() {
			continue
		}
		want := steps.outcome(c, o.Proof, seed)
		if want == nil {
			continue
		}
		ran++
		got := native.outcome(c, o.Proof, seed)
		if slices.Equal(got, want) {
			continue
		}
		if slices.ContainsFunc(others[:], func(e *engineRunner) bool { return !slices.Equal(e.outcome(c, o.Proof, seed), want) }) {
			leaks++
			continue
		}
		require.Equal(t, want, got, "seed %d\n%+v", seed, GenerateRunnable(seed).Insns)
	}
	t.Logf("%d programs: %d ran on both engines; %d told of addresses", n, ran, leaks)
	require.Greater(t, ran, int(n/2))
	require.LessOrEqual(t, leaks, ran/4)
}
