package difftest

import (
	"encoding/binary"
	"fmt"
	"iter"
	gomaps "maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/verifier"
)

// maxBundle is how many programs share a load. With many more, there could be more functions
// than Linux takes, which are 256.
const maxBundle = 48

// agreement compares the results of many programs with those in the kernel.
type agreement struct {
	t      *testing.T
	kernel *kernelRuns
	*results
	waiting map[prog.Type][]bundled
	answers map[uint64]uint64 // hashes of what came out in the kernel, by seed
	counts  agreementCounts
}

// bundled is a program that has run here, and waits for others to be loaded with.
type bundled struct {
	*Generated
	*trial
}

type agreementCounts struct {
	results        resultCounts
	refused        int // programs that our verifier does not accept
	foreign        int // that Linux does not accept
	loads, bundles int // programs given to the kernel, and those that were accepted
}

func (c *agreementCounts) add(o *agreementCounts) {
	c.results.add(&o.results)
	c.refused += o.refused
	c.foreign += o.foreign
	c.loads += o.loads
	c.bundles += o.bundles
}

func (c *agreementCounts) String() string {
	return fmt.Sprintf("%v, nor of %d that our verifier does not accept and %d that Linux does not; %d loads, %d of them accepted", &c.results,
		c.refused, c.foreign, c.loads, c.bundles)
}

func newAgreement(t *testing.T) *agreement {
	return &agreement{t: t, kernel: newKernelRuns(t, true), results: newResults(t, true), waiting: make(map[prog.Type][]bundled),
		answers: make(map[uint64]uint64)}
}

// compareAll compares the results of the programs of seeds.
func (a *agreement) compareAll(seeds iter.Seq[uint64]) {
	for seed := range seeds {
		a.add(seed)
	}
	for _, list := range a.waiting {
		a.load(list)
	}
	a.counts.results = a.results.counts
}

// add runs a program here; if there is a result to compare, the kernel does so later.
func (a *agreement) add(seed uint64) {
	g := GenerateComparable(seed)
	c, s, proof := acceptedCase(a.t, g, seed)
	if proof == nil {
		a.counts.refused++
		return
	}
	p := bundled{g, &trial{c: c, s: s, proof: proof, seed: seed}}
	ok, differs, err := a.here(p.trial)
	require.NoError(a.t, err, "seed %d", seed)
	a.report(p, differs)
	if !ok {
		return
	}
	if deadCallback(s, proof) {
		a.load([]bundled{p})
		return
	}
	list := append(a.waiting[g.Type], p)
	if len(list) == maxBundle {
		a.load(list)
		list = nil
	}
	a.waiting[g.Type] = list
}

func (a *agreement) report(p bundled, differs string) {
	if differs != "" {
		a.t.Errorf("results differ; to see it again: -programs 1 -seed %d\n%s%+v", p.seed, differs, p.Insns)
	}
}

// load runs programs of one type in the kernel. If it does not take them together, as for the
// depth of its stack, it gets fewer at a time.
func (a *agreement) load(list []bundled) {
	if len(list) == 0 {
		return
	}
	var programs []*Generated
	for _, p := range list {
		programs = append(programs, p.Generated)
	}
	c, err := bundle(programs).Case("bundle")
	require.NoError(a.t, err)
	a.counts.loads++
	answer, err := a.kernel.ask(c, func(k kernelProgram) error {
		a.counts.bundles++
		return a.runAll(list, k, len(c.Maps)-1)
	})
	require.NoError(a.t, err)
	switch n := len(list); {
	case answer.Accepted():
	case n > 1:
		a.load(list[:n/2])
		a.load(list[n/2:])
	default:
		a.counts.foreign++
		if !a.excused(list[0].trial, answer) {
			a.t.Errorf("Linux refuses the program of seed %d: %s", list[0].seed, answer.Reason)
		}
	}
}

// excused reports whether we may accept what Linux has refused. A number that is fetched from the stack it
// takes for imprecise, and forgets at a callback's second turn.
func (a *agreement) excused(t *trial, answer *Case) bool {
	return fetchesFromStack(t) || strings.HasPrefix(answer.Reason, defect) || agrees(answer.Reason, verifier.CodeTooComplex) ||
		agrees(answer.Reason, verifier.CodeTooManyJumps)
}

// deadCallback reports whether the program has a callback that never runs though its address is
// loaded. If there is another function beside it, Linux makes the mistake that is called defect above.
func deadCallback(s *Subject, proof *verifier.Proof) bool {
	for i, ins := range s.Prog.Insns {
		if ins.Slots() == 2 && ins.Src == asm.PseudoFunc && proof.Insns[i].Seen && !proof.Insns[i+1+int(ins.ImmLo())].Seen {
			return true
		}
	}
	return false
}

// runAll runs the programs of a bundle, of which selector is the index of that map.
func (a *agreement) runAll(list []bundled, k kernelProgram, selector int) error {
	for i, p := range list {
		number := element{make([]byte, 4), binary.NativeEndian.AppendUint32(nil, uint32(i))}
		if err := k.fill(selector, []element{number}); err != nil {
			return err
		}
		differs, err := a.there(p.trial, k)
		if err != nil {
			return fmt.Errorf("seed %d: %w", p.seed, err)
		}
		a.report(p, differs)
		a.answers[p.seed] = a.linux.hash()
	}
	return nil
}

// TestResultsAgree compares what generated programs compute: in the interpreter, as machine
// code and in the kernel, which is given many programs in one load. Same results, packets and
// contents of maps. See results for what is left out.
func TestResultsAgree(t *testing.T) {
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	n := seeds(1000)
	var mu sync.Mutex
	var total agreementCounts
	answers := make(map[uint64]uint64)
	enginetest.SweepBlocks(t, *firstSeed, n, func(t *testing.T, seeds iter.Seq[uint64]) {
		a := newAgreement(t)
		a.compareAll(seeds)
		mu.Lock()
		defer mu.Unlock()
		total.add(&a.counts)
		gomaps.Copy(answers, a.answers)
	})
	t.Logf("%d programs: %v", n, &total)
	if n >= 100 { // and not a few that somebody wants to see again
		r := &total.results
		require.Greater(t, r.compared, int(n)*4/5)
		require.LessOrEqual(t, r.dependent+r.unwritten+r.endless+r.unsuited+r.fetching, r.compared/1000)
	}
	if *update {
		writeResults(t, answers)
	}
}

// recordedResults has, of the programs of the first seeds, the hash of what Linux has computed.
const (
	recordedResults = "testdata/results.txt"
	recordedSeeds   = 300
)

func writeResults(t *testing.T, answers map[uint64]uint64) {
	text := "# What came out of programs of GenerateComparable in Linux: the seed, and a hash of the results.\n"
	for _, seed := range slices.Sorted(gomaps.Keys(answers)) {
		if seed <= recordedSeeds {
			text += fmt.Sprintf("%d %016x\n", seed, answers[seed])
		}
	}
	require.NoError(t, os.WriteFile(recordedResults, []byte(text), 0o644))
}

// TestResultsRecorded is TestResultsAgree against recorded results of Linux, on each engine that
// there is.
func TestResultsRecorded(t *testing.T) {
	if isa.BigEndian {
		t.Skip("packets and maps are those of a little-endian machine")
	}
	text, err := os.ReadFile(recordedResults)
	require.NoError(t, err)
	r := newResults(t, true)
	n := 0
	for line := range strings.Lines(string(text)) {
		var seed, want uint64
		if strings.HasPrefix(line, "#") {
			continue
		}
		_, err := fmt.Sscanf(line, "%d %x", &seed, &want)
		require.NoError(t, err, line)
		g := GenerateComparable(seed)
		c, s, proof := acceptedCase(t, g, seed)
		require.NotNil(t, proof, "seed %d", seed)
		p := &trial{c: c, s: s, proof: proof, seed: seed}
		ok, differs, err := r.here(p)
		require.NoError(t, err, "seed %d", seed)
		require.True(t, ok, "seed %d\n%s", seed, differs)
		require.Equal(t, want, p.out.hash(), "results of seed %d are not those of Linux\n%+v", seed, g.Insns)
		n++
	}
	require.Greater(t, n, 200)
}
