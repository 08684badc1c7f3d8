package difftest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// runner runs cases in the checked interpreter.
type runner struct {
	t       testing.TB
	source  *rand.PCG
	r       *rand.Rand // of source
	machine *vm.Machine
	now     uint64                // nanoseconds
	maps    map[mapKind]*maps.Map // by what they were made of
}

// mapKind is what the maps here are made of.
type mapKind struct{ typ, keySize, valueSize, maxEntries, flags uint32 }

// runLimit is how many instructions a run may take.
const runLimit = 20_000

func newRunner(t testing.TB, seed uint64) *runner {
	source := rand.NewPCG(seed, 3)
	r := &runner{t: t, source: source, r: rand.New(source), maps: make(map[mapKind]*maps.Map)}
	m, err := vm.NewMachine(vm.Options{NumCPU: 1, Seed: seed + 1, Clock: func() uint64 {
		r.now += 1000
		return r.now
	}})
	require.NoError(t, err)
	r.machine = m
	t.Cleanup(func() {
		r.closeMaps()
		require.NoError(t, r.machine.Close())
	})
	return r
}

func (r *runner) closeMaps() {
	for _, m := range r.maps {
		require.NoError(r.t, m.Close())
	}
	clear(r.maps)
}

// mapOf returns a map, with random elements in it.
func (r *runner) mapOf(m *Map) *maps.Map {
	kind := mapKind{m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags}
	live := r.maps[kind]
	if live == nil {
		spec := &maps.Spec{Name: fmt.Sprint("map", len(r.maps)), Type: maps.Type(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize,
			MaxEntries: m.MaxEntries, Flags: m.Flags}
		switch spec.Type {
		case maps.Hash, maps.PerCPUHash, maps.LRUHash: // bpf_for_each_map_elem meets elements in the order of their hash
			spec.Flags |= maps.FlagZeroSeed
		}
		var err error
		live, err = maps.NewWithOptions(spec, maps.Options{NumCPU: 1, Retire: r.machine.Retire})
		require.NoError(r.t, err)
		r.maps[kind] = live
	}
	switch live.Type() {
	case maps.Array, maps.PerCPUArray, maps.Hash, maps.PerCPUHash, maps.LRUHash, maps.LPMTrie:
		for i := range min(m.MaxEntries, 4) {
			k := make([]byte, m.KeySize)
			k[0] = byte(i)
			var value any = r.bytes(int(m.ValueSize))
			if live.Type().PerCPU() {
				value = []any{value}
			}
			err := live.Put(k, value)
			if !errors.Is(err, maps.E2BIG) && !errors.Is(err, maps.ENOSPC) { // full of what programs put there
				require.NoError(r.t, err)
			}
		}
	}
	return live
}

// bytes returns random bytes, many of them edges.
func (r *runner) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		switch r.r.IntN(4) {
		case 0:
			b[i] = byte(r.r.Uint32())
		case 1:
			b[i] = byte(r.r.IntN(9))
		case 2:
			b[i] = 0xff
		}
	}
	return b
}

// named makes an executable a hooks.Program.
type named struct{ x *hooks.Executable }

func (n named) Name() string                  { return n.x.Name() }
func (n named) Executable() *hooks.Executable { return n.x }

// link returns the program of a case with maps of the runner's, nil where it refers to none.
func (r *runner) link(c *Case, s *Subject) (*prog.Program, []vm.Map) {
	p := *s.Prog
	if p.Funcs == nil {
		for i, start := range funcStarts(p.Insns) {
			p.Funcs = append(p.Funcs, prog.Func{Start: start, End: len(p.Insns)})
			if i > 0 {
				p.Funcs[i-1].End = start
			}
		}
	}
	require.NoError(r.t, p.Check())
	list := make([]vm.Map, len(c.Maps))
	p.Maps = slices.Clone(p.Maps)
	for i := 0; i < len(p.Insns); i += p.Insns[i].Slots() {
		ins := &p.Insns[i]
		if ins.Slots() != 2 || ins.Src != asm.PseudoMapIdx && ins.Src != asm.PseudoMapIdxValue {
			continue
		}
		n := ins.ImmLo()
		if uint(n) >= uint(len(list)) {
			require.Fail(r.t, "a map that is not there", c.ID)
		}
		if list[n] == nil {
			m := r.mapOf(&c.Maps[n])
			p.Maps[n], list[n] = m, m
		}
	}
	return &p, list
}

// executable makes what an engine has compiled a program.
func (r *runner) executable(p *prog.Program, list []vm.Map, engine hooks.Engine) named {
	hook := hooks.ByType(p.Type)
	require.NotNil(r.t, hook, p.Type)
	return named{hooks.NewExecutable(hooks.Config{Prog: p, Hook: hook, Engine: engine, Machine: r.machine, Maps: list, Host: &hooks.Host{},
		Limit: runLimit, Abandon: helper.Abandon})}
}

// program compiles a case that the verifier has accepted. Observe may be nil. It reports
// false if the engine finds fault with an instruction that the verifier knows to be dead.
func (r *runner) program(c *Case, s *Subject, proof *verifier.Proof, observe func(slot int, regs *interp.Registers)) (named, bool) {
	p, list := r.link(c, s)
	code, err := interp.Compile(p, interp.Env{Maps: list, Helper: helper.Bodies, NumCPU: 1, Sanitize: true, Observe: observe})
	var bad *prog.Error
	if errors.As(err, &bad) {
		if c.Privilege != verifier.Root { // dead code is walked as a CPU would by speculation
			return named{}, false
		}
		require.False(r.t, proof.Insns[bad.Slot].Seen, "%s: %v", c.ID, err)
		return named{}, false
	}
	require.NoError(r.t, err, c.ID)
	return r.executable(p, list, code), true
}

// noBody reports whether a run ended at a helper that only Linux has.
func noBody(err error) bool {
	var fault *vm.Fault
	return errors.Is(err, vm.ErrInstruction) && errors.As(err, &fault) && strings.HasPrefix(fault.Detail, "helper ")
}

// run runs a program on a random packet. It returns what must not happen to a program that
// the verifier has accepted, nil if nothing did.
func (r *runner) run(p named, privilege verifier.Privilege) error {
	data := r.bytes(14 + r.r.IntN(120))
	if len(data) < 54 {
		copy(data[12:], []byte{0x88, 0xb5}) // no IP: a header would be cut, which a test run refuses
	}
	err := hooks.Test(context.Background(), p, &hooks.TestRun{Data: data})
	switch {
	case errors.Is(err, vm.ErrBudget): // a loop of may_goto; Linux lets it run for a while
		return nil
	case noBody(err):
		return nil
	case errors.Is(err, vm.ErrUninit) && privilege == verifier.Root: // which may read any stack
		return nil
	}
	return err
}
