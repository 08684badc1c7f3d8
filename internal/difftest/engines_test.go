package difftest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/enginetest"
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
	native, sanitize bool
	keepRings        bool          // ring buffers last longer than a program
	run              hooks.TestRun // reused
	out              outcome       // of the program that ran last
}

func newEngineRunner(t testing.TB, native bool) *engineRunner {
	return &engineRunner{runner: newRunner(t, 1), native: native}
}

// compile returns the program and what frees it, false if the engine finds fault with it.
func (e *engineRunner) compile(c *Case, s *Subject, proof *verifier.Proof) (named, func(), bool) {
	p, list := e.link(c, s)
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
		engine, err = interp.Compile(p, interp.Env{Maps: list, Helper: helper.Bodies, NumCPU: 1, Sanitize: e.sanitize})
	}
	if bad := (*prog.Error)(nil); errors.As(err, &bad) {
		return named{}, free, false
	}
	require.NoError(e.t, err, c.ID)
	return e.executable(p, list, engine), free, true
}

// outcome runs a case a few times and leaves all that can be seen of it in e.out. It
// reports false if the engine finds fault with the program.
func (e *engineRunner) outcome(c *Case, s *Subject, proof *verifier.Proof, seed uint64) bool {
	e.source.Seed(seed, 3)
	e.machine.CPU(0).Rand, e.now = seed|1, 0
	p, free, ok := e.compile(c, s, proof)
	defer free()
	if !ok {
		return false
	}
	e.out.reset()
	for range runsOfProgram {
		data := e.bytes(60 + e.r.IntN(80))
		run := &e.run
		run.Data = data
		err := hooks.Test(context.Background(), p, run)
		if err != nil { // what a run would return means nothing
			run.Ret, run.DataOut = 0, run.DataOut[:0]
			e.out.add("error", []byte(errorKind(err)))
		}
		e.out.number("r0", run.Ret)
		e.out.add("packet", run.DataOut)
		e.out.number("instructions", p.x.Stats().Instructions)
	}
	for i, m := range p.x.Prog.Maps {
		if m, ok := m.(*maps.Map); ok {
			e.out.contents(e.t, "map "+strconv.Itoa(i), m)
		}
	}
	return true
}

// errorKind is an error without addresses.
func errorKind(err error) string {
	var f *vm.Fault
	if errors.As(err, &f) {
		return fmt.Sprint(f.Err, " at ", f.Slot)
	}
	return fmt.Sprint(err)
}

// enginePair compares a program's runs on both engines.
type enginePair struct {
	steps, native *engineRunner
	others        [4]*engineRunner // interpreters whose memory lies elsewhere
	ran, leaks    int
	since         uint64 // seed of the first program that has seen the maps at hand
}

// sharingMaps is how many programs find what those before have left in the maps: most of
// the time would go into making new ones.
const sharingMaps = 16

func newEnginePair(t testing.TB) *enginePair {
	p := &enginePair{steps: newEngineRunner(t, false), native: newEngineRunner(t, true)}
	for i := range p.others {
		p.others[i] = newEngineRunner(t, false)
	}
	return p
}

// acceptedCase returns the case of a program of a seed, with a proof if it is accepted.
func acceptedCase(t testing.TB, g *Generated, seed uint64) (*Case, *Subject, *verifier.Proof) {
	c, err := g.Case("seed-" + strconv.FormatUint(seed, 10))
	require.NoError(t, err)
	s, err := c.Subject()
	require.NoError(t, err)
	s.Patience = maxExplored
	o := s.Verify(verifyLimit)
	require.Empty(t, o.Crash, "seed %d", seed)
	return c, s, o.Proof
}

func (p *enginePair) check(t *testing.T, seed uint64) {
	if seed%sharingMaps == 0 || p.ran == 0 {
		p.renewMaps(seed)
	}
	c, s, proof := acceptedCase(t, GenerateRunnable(seed), seed)
	if proof == nil || !p.steps.outcome(c, s, proof, seed) {
		return
	}
	p.ran++
	ok := p.native.outcome(c, s, proof, seed)
	if ok && p.native.out.equal(&p.steps.out) {
		return
	}
	if p.tellsAddresses(t, seed) {
		p.leaks++
		p.renewMaps(seed + 1)
		return
	}
	require.True(t, ok, "seed %d: the interpreter runs it only\n%+v", seed, s.Prog.Insns)
	require.Equal(t, p.steps.out.lines(), p.native.out.lines(), "seed %d\n%+v", seed, s.Prog.Insns)
}

func (p *enginePair) renewMaps(since uint64) {
	p.since = since
	p.steps.closeMaps()
	p.native.closeMaps()
}

// tellsAddresses reports whether the interpreter, in other memory, makes something else of
// the program or of one before it that has seen the same maps.
func (p *enginePair) tellsAddresses(t *testing.T, seed uint64) bool {
	for _, e := range p.others {
		e.closeMaps()
		for before := p.since; before <= seed; before++ {
			if c, s, proof := acceptedCase(t, GenerateRunnable(before), before); proof != nil {
				e.outcome(c, s, proof, before)
			}
		}
		if !e.out.equal(&p.steps.out) {
			return true
		}
	}
	return false
}

// TestEnginesAgree runs generated programs that the verifier accepts as proved machine code
// and in the interpreter: same results, packets, instructions, errors and contents of maps.
// Programs of which the interpreter itself makes something else in other memory tell of
// addresses, and are counted apart.
func TestEnginesAgree(t *testing.T) {
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	n := seeds(2000)
	var mu sync.Mutex
	ran, leaks := 0, 0
	enginetest.Sweep(t, *firstSeed, n, func(t *testing.T) func(uint64) {
		p := newEnginePair(t)
		t.Cleanup(func() {
			mu.Lock()
			defer mu.Unlock()
			ran, leaks = ran+p.ran, leaks+p.leaks
		})
		return func(seed uint64) { p.check(t, seed) }
	})
	t.Logf("%d programs: %d ran on both engines; %d told of addresses", n, ran, leaks)
	require.Greater(t, ran, int(n/2))
	require.LessOrEqual(t, leaks, ran/50)
}
