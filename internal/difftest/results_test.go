package difftest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// kernelProgram is a program that the kernel has accepted, with maps that nobody else uses.
type kernelProgram interface {
	// fill makes map i hold these elements and no others.
	fill(i int, elems []element) error
	// run is a test run.
	run(packet []byte) (ret uint32, out []byte, err error)
	// contents adds what map i holds, as outcome.contents does of ours.
	contents(o *outcome, name string, i int) error
}

// A trial is a program that both verifiers accept, or ours at least, and what it runs on.
type trial struct {
	c     *Case
	s     *Subject
	proof *verifier.Proof
	seed  uint64 // of packets and maps

	packets [][]byte
	maps    []mapContents // that it uses, before the first run
	out     outcome       // of the runs here
}

// mapContents is what the map of that index holds.
type mapContents struct {
	index int
	elems []element
}

type element struct{ key, value []byte }

// results compares what programs compute: in the interpreter, as machine code, and in the kernel.
// Each program starts with maps and packets that only its seed decides; but clocks and random
// numbers differ, and memory lies elsewhere. A program that comes out differently is left out
// only if there is a reason besides: single steps see it read stack that it has not written, or
// come out differently among themselves in other surroundings; or, unless such programs are
// known to be none, it asks for the time or random numbers and differs from the kernel only, or
// the verifier lets it see addresses, and the kernel's look different from
// all of ours; or it is of the few that Linux's verifier makes a mistake about.
type results struct {
	loop, native *engineRunner
	steps        [4]*engineRunner // whose memory lies here and there
	comparable   bool             // programs are those of GenerateComparable
	linux        outcome
	counts       resultCounts
}

type resultCounts struct {
	compared   int // on both engines and in the kernel
	unsuited   int // of a type, or with functions, that there are not here
	endless    int // that run longer than a test run here may
	unwritten  int // that read stack which they have not written
	dependent  int // that compute something else where addresses, time and random numbers are others
	telling    int // that differ, and that the verifier lets see addresses
	fetching   int // that differ in Linux only, and fetch from the stack
	difference int
}

func (c *resultCounts) add(o *resultCounts) {
	c.compared += o.compared
	c.unsuited += o.unsuited
	c.endless += o.endless
	c.unwritten += o.unwritten
	c.dependent += o.dependent
	c.telling += o.telling
	c.fetching += o.fetching
	c.difference += o.difference
}

func (c *resultCounts) String() string {
	return fmt.Sprintf("results of %d programs compared: %d differ, and %d more that see addresses, %d that fetch from the stack; not of %d that cannot run here, "+
		"%d that run too long, %d that read unwritten stack, %d that depend on addresses, time or random numbers", c.compared, c.difference, c.telling,
		c.fetching, c.unsuited, c.endless, c.unwritten, c.dependent)
}

// newResults returns one for programs of GenerateComparable or, if not comparable, for others.
func newResults(t testing.TB, comparable bool) *results {
	r := &results{loop: newEngineRunner(t, false), native: newEngineRunner(t, jit.Available() == nil), comparable: comparable}
	r.loop.keepRings, r.native.keepRings = comparable, comparable
	for i := range r.steps {
		r.steps[i] = newEngineRunner(t, false)
		r.steps[i].sanitize = true
	}
	return r
}

// compare runs a program everywhere and returns who differs in what, "" if nobody does.
func (r *results) compare(t *trial, k kernelProgram) (string, error) {
	ok, differs, err := r.here(t)
	if !ok {
		return differs, err
	}
	return r.there(t, k)
}

// here runs a program on both engines. It reports false if there is nothing to compare with
// the kernel: the program is left out, or the engines differ.
func (r *results) here(t *trial) (ok bool, differs string, err error) {
	n := &r.counts
	if hooks.ByType(t.s.Prog.Type) == nil || len(t.s.Prog.Kfuncs) > 0 {
		n.unsuited++
		return false, "", nil
	}
	switch ok, err = r.loop.try(t, ^t.seed, t.remember); {
	case errors.Is(err, vm.ErrBudget):
		n.endless++
		return false, "", nil
	case err != nil:
		return false, "", err
	case !ok:
		n.unsuited++
		return false, "", nil
	}
	t.out.copy(&r.loop.out)
	others := t.seed
	if !r.comparable { // clocks and random numbers are the same, or many programs would differ
		others = ^t.seed
	}
	if ok, err = r.native.try(t, others, nil); ok && err == nil && r.native.out.equal(&t.out) {
		return true, "", nil
	}
	return false, r.judge(t, t.out.difference(&r.native.out, "machine code")), nil
}

// there runs a program in the kernel on what it has had here.
func (r *results) there(t *trial, k kernelProgram) (string, error) {
	out := &r.linux
	out.reset()
	for _, m := range t.maps {
		if err := k.fill(m.index, m.elems); err != nil {
			return "", err
		}
	}
	for _, packet := range t.packets {
		ret, data, err := k.run(packet)
		if err != nil {
			return "", err
		}
		out.number("r0", uint64(ret))
		out.add("packet", data)
	}
	for _, m := range t.maps {
		if err := k.contents(out, mapName(m.index).Name(), m.index); err != nil {
			return "", err
		}
	}
	switch {
	case out.equal(&t.out):
		r.counts.compared++
	case fetchesFromStack(t):
		r.counts.fetching++
	case !r.comparable && takesChances(t.s.Prog):
		r.counts.dependent++
	default:
		return r.judge(t, t.out.difference(out, "Linux")), nil
	}
	return "", nil
}

// fetchesFromStack reports whether an atomic instruction of the program fetches a number from the
// stack. Linux does not know how precise such a number has to be, and may remove code that runs:
// see what testdata/parity.txt says of an atomic exchange.
func fetchesFromStack(t *trial) bool {
	for i, ins := range t.s.Prog.Insns {
		if ins.Kind() == asm.KindAtomic && asm.AtomicOp(ins.Imm).Fetch() && t.proof.Insns[i].Access.Memory == verifier.MemStack {
			return true
		}
	}
	return false
}

// takesChances reports whether a program asks for the time or random numbers, which are not the
// kernel's: it may come out differently though no other surroundings that are tried show it.
func takesChances(p *prog.Program) bool {
	return slices.ContainsFunc(p.Insns, func(ins asm.Instruction) bool {
		if ins.Kind() != asm.KindCallHelper {
			return false
		}
		switch asm.BuiltinFunc(ins.Imm) {
		case asm.FnKtimeGetNs, asm.FnKtimeGetBootNs, asm.FnGetPrandomU32:
			return true
		}
		return false
	})
}

// judge counts a program of which not all make the same, as the text says. It returns the text,
// or "" if there is an excuse.
func (r *results) judge(t *trial, text string) string {
	switch excuse := r.steady(t); {
	case errors.Is(excuse, vm.ErrUninit):
		r.counts.unwritten++
	case excuse != nil:
		r.counts.dependent++
	case !r.comparable && seesAddresses(t.s):
		r.counts.telling++
	default:
		r.counts.difference++
		return text
	}
	if *generated == 1 {
		r.loop.t.Logf("excused:\n%s%+v", text, t.s.Prog.Insns)
	}
	return ""
}

// errDepends says that a program depends on its surroundings.
var errDepends = errors.New("single steps come out differently in other surroundings")

// steady returns nil if single steps make the same of a program in all surroundings. It tries
// some: there may be few numbers that the program makes of time or random ones.
func (r *results) steady(t *trial) error {
	again := *t
	again.packets = nil
	var first outcome
	for i := range uint64(16) {
		e := r.steps[i%uint64(len(r.steps))]
		e.closeMaps()
		switch _, err := e.try(&again, i, nil); {
		case errors.Is(err, vm.ErrUninit):
			return err
		case i == 0:
			first.copy(&e.out)
		case !e.out.equal(&first):
			return errDepends
		}
	}
	return nil
}

// seesAddresses reports whether the program makes numbers of pointers, as far as the verifier
// refuses that to those without CAP_PERFMON.
func seesAddresses(s *Subject) bool {
	env := *s.Env
	env.Privilege, env.Progress = verifier.CapBPF, nil
	again := *s
	again.Env = &env
	o := again.verify()
	return o.Err != nil && slices.Contains(addressCodes, o.Err.Code)
}

var addressCodes = []verifier.Code{verifier.CodePtrArith, verifier.CodePtrCompare, verifier.CodePtrLeak, verifier.CodeStackSpill}

// remember notes what the program's maps hold.
func (t *trial) remember(p *prog.Program) (err error) {
	t.maps = nil
	for i, m := range p.Maps {
		m, ok := m.(*maps.Map)
		if !ok {
			continue
		}
		contents := mapContents{index: i}
		if m.KeySize() > 0 {
			if contents.elems, err = elements(m); err != nil {
				return err
			}
		}
		t.maps = append(t.maps, contents)
	}
	return nil
}

// elements returns what a map with keys holds.
func elements(m *maps.Map) (list []element, err error) {
	key, err := m.NextKeyBytes(nil)
	for ; err == nil && key != nil; key, err = m.NextKeyBytes(key) {
		value, err := m.LookupBytes(key)
		if err != nil {
			return nil, err
		}
		list = append(list, element{key, value})
	}
	return list, err
}

// try runs a trial, of which only the seed decides what maps hold and packets are, and the
// surroundings where time and random numbers begin. Unlike outcome, it does not count
// instructions. Ready, which may be nil, is called before the first run. It reports false if
// the engine finds fault with the program.
func (e *engineRunner) try(t *trial, surroundings uint64, ready func(p *prog.Program) error) (bool, error) {
	e.source.Seed(t.seed, 3)
	other := rand.NewPCG(surroundings, 5)
	e.machine.CPU(0).Rand, e.now = other.Uint64()|1, other.Uint64()>>14
	e.emptyMaps()
	e.out.reset()
	p, free, ok := e.compile(t.c, t.s, t.proof)
	defer free()
	if !ok {
		return false, nil
	}
	ran := p.x.Prog
	if ready != nil {
		if err := ready(ran); err != nil {
			return false, err
		}
	}
	t.packets = t.packets[:0]
	for range runsOfProgram {
		e.run.Data = e.bytes(60 + e.r.IntN(80))
		t.packets = append(t.packets, e.run.Data)
		if err := hooks.Test(context.Background(), p, &e.run); err != nil {
			e.out.add("error", []byte(errorKind(err)))
			return false, err
		}
		e.out.number("r0", e.run.Ret)
		e.out.add("packet", e.run.DataOut)
	}
	for i, m := range ran.Maps {
		if m, ok := m.(*maps.Map); ok {
			e.out.contents(e.t, mapName(i).Name(), m)
		}
	}
	return true, nil
}

// emptyMaps leaves nothing in the maps but the elements of arrays. A new ring buffer takes the
// place of an old one unless programs do not find what records before held.
func (e *engineRunner) emptyMaps() {
	for kind, m := range e.maps {
		switch m.Type() {
		case maps.RingBuf:
			if !e.keepRings || !drain(e.t, m) {
				require.NoError(e.t, m.Close())
				delete(e.maps, kind)
			}
		case maps.Queue:
			for b := make([]byte, m.ValueSize()); m.PopProg(b) == 0; {
			}
		case maps.Array, maps.PerCPUArray: // mapOf writes all elements
		default:
			elems, err := elements(m)
			require.NoError(e.t, err)
			for _, elem := range elems {
				require.NoError(e.t, m.Delete(elem.key))
			}
		}
	}
}

// drain takes the records out of a ring buffer. It reports false if a run has left one that is
// not finished.
func drain(t testing.TB, ring *maps.Map) bool {
	c, err := maps.NewRingConsumer(ring)
	require.NoError(t, err)
	defer c.Close()
	for {
		if _, ok := c.Next(nil); !ok {
			return c.Available() == 0
		}
	}
}
