package difftest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// kernelProgram is a program that the kernel has accepted, with maps that nobody else uses.
type kernelProgram interface {
	// fill makes map i hold what ours does.
	fill(i int, ours *maps.Map) error
	// run is a test run.
	run(packet []byte) (ret uint32, out []byte, err error)
	// contents adds what map i holds, as outcome.contents does of ours.
	contents(o *outcome, name string, i int) error
}

// results compares what programs that both verifiers accept compute: as machine code here,
// step by step here, and in the kernel.
type results struct {
	native, steps *engineRunner
	linux         outcome
	counts        resultCounts
}

type resultCounts struct {
	compared   int
	unsuited   int // of a type, or with functions, that there are not here
	endless    int // that run longer than a test run here may
	unwritten  int // that read stack which they have not written
	dependent  int // that compute something else where addresses, time and random numbers are others
	telling    int // that differ, and that the verifier lets see addresses
	difference int
}

func (c *resultCounts) add(o *resultCounts) {
	c.compared += o.compared
	c.unsuited += o.unsuited
	c.endless += o.endless
	c.unwritten += o.unwritten
	c.dependent += o.dependent
	c.telling += o.telling
	c.difference += o.difference
}

func (c *resultCounts) String() string {
	return fmt.Sprintf("results of %d programs compared: %d differ, and %d more that see addresses; not of %d that cannot run here, %d that run too long, "+
		"%d that read unwritten stack, %d that depend on addresses, time or random numbers", c.compared, c.difference, c.telling, c.unsuited, c.endless,
		c.unwritten, c.dependent)
}

func newResults(t testing.TB) *results {
	r := &results{native: newEngineRunner(t, jit.Available() == nil), steps: newEngineRunner(t, false)}
	r.steps.sanitize = true
	return r
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

// compare runs a program everywhere and returns how the kernel differs, "" if it does not.
func (r *results) compare(c *Case, s *Subject, proof *verifier.Proof, seed uint64, k kernelProgram) (string, error) {
	n := &r.counts
	if hooks.ByType(s.Prog.Type) == nil || len(s.Prog.Kfuncs) > 0 {
		n.unsuited++
		return "", nil
	}
	if seed%sharingMaps == 0 {
		r.renewMaps()
	}
	defer r.dropRings()
	var filled error
	ok, err := r.steps.results(c, s, proof, seed, ^seed, nil)
	if ok {
		ok, err = r.native.results(c, s, proof, seed, seed, func(p *prog.Program) {
			for i, m := range p.Maps {
				if m, ok := m.(*maps.Map); ok && filled == nil {
					filled = k.fill(i, m)
				}
			}
		})
	}
	switch {
	case filled != nil:
		return "", filled
	case errors.Is(err, vm.ErrBudget):
		n.endless++
	case errors.Is(err, vm.ErrUninit):
		n.unwritten++
	case err != nil:
		return "", err
	case !ok:
		n.unsuited++
	case !r.native.out.equal(&r.steps.out):
		n.dependent++
	default:
		n.compared++
		differs, err := r.onLinux(k)
		switch {
		case differs == "" || err != nil:
			return "", err
		case r.depends(c, s, proof, seed):
			n.dependent++
		case seesAddresses(s):
			n.telling++
		default:
			n.difference++
			return differs, nil
		}
		n.compared--
	}
	r.renewMaps() // which are not the same any more
	return "", nil
}

// depends is a closer look at whether a program computes something else in other surroundings:
// there may be few numbers that it makes of time or random ones.
func (r *results) depends(c *Case, s *Subject, proof *verifier.Proof, seed uint64) bool {
	for i := range uint64(16) {
		r.renewMaps()
		here, _ := r.native.results(c, s, proof, seed, 2*i, nil)
		there, _ := r.steps.results(c, s, proof, seed, 2*i+1, nil)
		if here != there || !r.native.out.equal(&r.steps.out) {
			return true
		}
	}
	return false
}

// dropRings is for ring buffers what kernelRuns.dropRings is.
func (r *results) dropRings() {
	for _, e := range []*engineRunner{r.native, r.steps} {
		for kind, m := range e.maps {
			if m.Type() == maps.RingBuf {
				require.NoError(e.t, m.Close())
				delete(e.maps, kind)
			}
		}
	}
}

func (r *results) renewMaps() {
	r.native.closeMaps()
	r.steps.closeMaps()
}

// onLinux runs the program in the kernel on the packets that it has had here, and returns in
// what the outcomes differ.
func (r *results) onLinux(k kernelProgram) (string, error) {
	out := &r.linux
	out.reset()
	for _, packet := range r.native.packets {
		ret, data, err := k.run(packet)
		if err != nil {
			return "", err
		}
		out.number("r0", uint64(ret))
		out.add("packet", data)
	}
	for i, m := range r.native.ran.Maps {
		if _, ok := m.(*maps.Map); !ok {
			continue
		}
		if err := k.contents(out, "map "+strconv.Itoa(i), i); err != nil {
			return "", err
		}
	}
	if out.equal(&r.native.out) {
		return "", nil
	}
	var text string
	ours, linux := r.native.out.lines(), out.lines()
	for i := range max(len(ours), len(linux)) {
		a, b := "-", "-"
		if i < len(ours) {
			a = ours[i]
		}
		if i < len(linux) {
			b = linux[i]
		}
		if a != b {
			text += fmt.Sprintf("ours:  %s\nlinux: %s\n", a, b)
		}
	}
	return text, nil
}

// results is outcome for a comparison with the kernel: without counts of instructions, and
// with time and random numbers that begin somewhere. Ready is called before the first run.
// It reports false if the engine finds fault with the program.
func (e *engineRunner) results(c *Case, s *Subject, proof *verifier.Proof, seed, surroundings uint64, ready func(p *prog.Program)) (bool, error) {
	e.source.Seed(seed, 3)
	other := rand.NewPCG(surroundings, 5)
	e.machine.CPU(0).Rand, e.now = other.Uint64()|1, other.Uint64()>>14
	p, free, ok := e.compile(c, s, proof)
	defer free()
	if !ok {
		return false, nil
	}
	e.ran, e.packets = p.x.Prog, e.packets[:0]
	if ready != nil {
		ready(e.ran)
	}
	e.out.reset()
	for range runsOfProgram {
		e.run.Data = e.bytes(60 + e.r.IntN(80))
		e.packets = append(e.packets, e.run.Data)
		if err := hooks.Test(context.Background(), p, &e.run); err != nil {
			return false, err
		}
		e.out.number("r0", e.run.Ret)
		e.out.add("packet", e.run.DataOut)
	}
	for i, m := range e.ran.Maps {
		if m, ok := m.(*maps.Map); ok {
			e.out.contents(e.t, "map "+strconv.Itoa(i), m)
		}
	}
	return true, nil
}
