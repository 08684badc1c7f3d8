package difftest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// chainTarget is a program in an array of programs.
type chainTarget struct {
	id   uint32
	code vm.Runner
}

func (t *chainTarget) ProgramID() uint32               { return t.id }
func (t *chainTarget) TailWord() uint64                { return uint64(t.id) }
func (t *chainTarget) JoinArray(maps.ProgramRef) error { return nil }
func (t *chainTarget) Runner() vm.Runner               { return t.code }

// chained is a program that is verified.
type chained struct {
	c     *Case
	s     *Subject
	proof *verifier.Proof
}

// chainsOf returns up to four programs of one type that tail-call one another.
func chainsOf(t testing.TB, seed uint64) (list []chained) {
	typ := []prog.Type{prog.XDP, prog.SchedCLS, prog.SocketFilter}[seed%3]
	for i := range 1 + seed/3%4 {
		if p, ok := verified(t, generateChained(seed<<2+i, typ), fmt.Sprintf("seed-%d-%d", seed, i)); ok {
			list = append(list, p)
		}
	}
	return list
}

// verified returns a generated program with its proof, if the verifier accepts it.
func verified(t testing.TB, g *Generated, id string) (p chained, ok bool) {
	c, err := chainCase(g, id)
	require.NoError(t, err, id)
	s, err := c.Subject()
	require.NoError(t, err, id)
	s.Patience = maxExplored
	o := s.Verify(verifyLimit)
	require.Empty(t, o.Crash, id)
	return chained{c, s, o.Proof}, o.Proof != nil
}

// chainEngine compiles a program in one of the ways in which programs can be compiled.
type chainEngine func(p *prog.Program, env jit.Env, r *rand.Rand) (vm.Runner, error)

func chainInterpreted(p *prog.Program, env jit.Env, _ *rand.Rand) (vm.Runner, error) {
	return interp.Compile(p, interp.Env{Maps: env.Maps, Helper: env.Helper, NumCPU: 1})
}

func chainNative(p *prog.Program, env jit.Env, _ *rand.Rand) (vm.Runner, error) {
	return jit.Compile(p, env)
}

// chainPasses leaves out any passes.
func chainPasses(p *prog.Program, env jit.Env, r *rand.Rand) (vm.Runner, error) {
	env.Without = lower.Pass(r.Uint64())
	if r.IntN(2) == 0 {
		env.Without = 1 << r.IntN(32)
	}
	return jit.Compile(p, env)
}

// chainUnproved knows nothing of the program, or calls all helpers, or hides constants.
func chainUnproved(p *prog.Program, env jit.Env, r *rand.Rand) (vm.Runner, error) {
	switch r.IntN(3) {
	case 0:
		env.Proof = nil
	case 1:
		env.Inline = false
	default:
		env.Blind = true
	}
	return jit.Compile(p, env)
}

// chainMixed has programs of different engines call one another.
func chainMixed(p *prog.Program, env jit.Env, r *rand.Rand) (vm.Runner, error) {
	return []chainEngine{chainInterpreted, chainNative, chainUnproved}[r.IntN(3)](p, env, r)
}

// chainRunner runs programs that tail-call one another, on one machine.
type chainRunner struct {
	*runner
	engine chainEngine
	out    outcome
	run    hooks.TestRun // reused
}

// outcome runs all programs of a seed in many ways, and leaves what can be seen of it in out. It reports
// false if the engine finds fault with one.
func (e *chainRunner) outcome(list []chained, seed uint64) bool {
	e.source.Seed(seed, 3)
	e.machine.CPU(0).Rand, e.now = seed|1, 0
	e.out.reset()
	r := rand.New(rand.NewPCG(seed, 9))
	var programs []named
	var array *maps.Map
	defer func() {
		for i := range uint32(chainTargets) {
			if array != nil {
				require.NoError(e.t, array.Put(i, &chainTarget{id: 1}))
				require.NoError(e.t, array.Delete(i))
			}
		}
		for _, p := range programs {
			if code, ok := p.x.Engine.(io.Closer); ok {
				require.NoError(e.t, code.Close())
			}
		}
	}()
	for i := range list {
		p, maps := e.link(list[i].c, list[i].s)
		code, err := e.engine(p, jit.Env{Maps: maps, Helper: helper.Bodies, NumCPU: 1, Inline: true, Proof: list[i].proof,
			Layout: hooks.ByType(p.Type).Layout}, r)
		if bad := (*prog.Error)(nil); errors.As(err, &bad) {
			return false
		}
		require.NoError(e.t, err)
		programs = append(programs, e.executable(p, maps, code))
	}
	array = e.mapOf(&chainMaps[0].Map)
	for i, p := range programs {
		require.NoError(e.t, array.Put(uint32(i), &chainTarget{uint32(i) + 1, p.x.Engine.(vm.Runner)}))
	}
	for i, p := range programs {
		e.ways(p, seed+uint64(i))
	}
	for i := range chainMaps {
		if i > 0 {
			e.out.contents(e.t, chainMaps[i].Name, e.mapOf(&chainMaps[i].Map))
		}
	}
	return true
}

// ways runs a program, then stops it at every instruction that it gets to, or at many of them, then
// has its context done after some slices.
func (e *chainRunner) ways(p named, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 11))
	data := e.bytes(60 + r.IntN(80))
	for range 2 {
		e.once(context.Background(), p, data, chainLimit)
	}
	most := p.x.Stats().Instructions / 2
	if most < 200 {
		for limit := range most {
			e.once(context.Background(), p, data, limit+1)
		}
	} else {
		for range 60 {
			e.once(context.Background(), p, data, 1+r.Uint64N(most))
		}
	}
	if most > vm.Slice/2 {
		for looks := range 3 {
			e.once(&patience{Context: context.Background(), looks: looks}, p, data, chainLimit)
		}
	}
}

// chainLimit is how many instructions a run may take: more than some slices.
const chainLimit = 4*vm.Slice + 17

func (e *chainRunner) once(ctx context.Context, p named, data []byte, limit uint64) {
	p.x.Limit = limit
	before := p.x.Stats().Instructions
	run := &e.run
	run.Data = data
	err := hooks.Test(ctx, p, run)
	if err != nil {
		run.Ret, run.DataOut = 0, run.DataOut[:0]
		e.out.add("error", []byte(chainError(err)))
	}
	e.out.number(fmt.Sprint("r0 of ", limit), run.Ret)
	e.out.add("packet", run.DataOut)
	e.out.number("instructions", p.x.Stats().Instructions-before)
}

// chainError is an error without addresses.
func chainError(err error) string {
	var f *vm.Fault
	if errors.As(err, &f) {
		return fmt.Sprint(f.Err, " at ", f.Slot, ": ", f.Detail)
	}
	return err.Error()
}

// patience is a context that is done after some looks at it.
type patience struct {
	context.Context
	looks int
}

func (p *patience) Done() <-chan struct{} { return make(chan struct{}) }

func (p *patience) Err() error {
	if p.looks--; p.looks < 0 {
		return context.Canceled
	}
	return nil
}

// TestChainsAgree runs programs that tail-call one another as machine code, compiled in several ways, and in the
// interpreter: same results, packets, instructions, errors, places of errors, and contents of maps,
// whatever the limit.
func TestChainsAgree(t *testing.T) {
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	engines := []struct {
		name string
		chainEngine
	}{{"native", chainNative}, {"without passes", chainPasses}, {"unproved", chainUnproved}, {"mixed", chainMixed}}
	n := seeds(300)
	var ran, called atomic.Uint64
	enginetest.Sweep(t, *firstSeed, n, func(t *testing.T) func(uint64) {
		steps := &chainRunner{runner: newRunner(t, 1), engine: chainInterpreted}
		others := make([]*chainRunner, len(engines))
		for i := range engines {
			others[i] = &chainRunner{runner: newRunner(t, 1), engine: engines[i].chainEngine}
		}
		made := uint64(0)
		return func(seed uint64) {
			if made++; made%sharingMaps == 0 || t.Failed() {
				steps.closeMaps()
				for _, e := range others {
					e.closeMaps()
				}
			}
			list := chainsOf(t, seed)
			if len(list) == 0 || !steps.outcome(list, seed) {
				return
			}
			ran.Add(uint64(len(list)))
			called.Add(uint64(steps.machine.CPU(0).TailCalls))
			for i, e := range others {
				require.True(t, e.outcome(list, seed), "seed %d: the interpreter runs it only", seed)
				e.out.requireEqual(t, &steps.out, "seed %d, %s: %s", seed, engines[i].name, chainSizes(list))
			}
		}
	})
	t.Logf("%d programs of %d seeds ran on all engines, with %d tail calls in their last runs alone", ran.Load(), n, called.Load())
	require.Greater(t, ran.Load(), n)
	require.Greater(t, called.Load(), n/4)
}

// chainSizes is how many instructions each program has: the smallest failure is looked at first.
func chainSizes(list []chained) (sizes string) {
	for _, p := range list {
		sizes += fmt.Sprint(len(p.s.Prog.Insns), " ")
	}
	return sizes
}

// requireEqual ends the test at the first thing that is not as in want.
func (o *outcome) requireEqual(t testing.TB, want *outcome, format string, args ...any) {
	t.Helper()
	if o.equal(want) {
		return
	}
	got, wanted := o.lines(), want.lines()
	for i := range min(len(got), len(wanted)) {
		require.Equal(t, wanted[i], got[i], append([]any{format + "line %d"}, append(args, i)...)...)
	}
	require.Equal(t, len(wanted), len(got))
}
