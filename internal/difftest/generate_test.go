package difftest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/verifier"
)

var (
	generated = flag.Int("programs", 0, "how many programs to generate; 0: a few")
	firstSeed = flag.Uint64("seed", 1, "the seed of the first of them")
	dumpDir   = flag.String("dump", "", "folder for programs of which the verifiers disagree")
)

// seeds is how many programs a test generates, if not told by -programs.
func seeds(few int) uint64 {
	if *generated > 0 {
		return uint64(*generated)
	}
	if testing.Short() {
		return uint64(few / 10)
	}
	return uint64(few)
}

// TestGenerate makes sure that programs are reproducible and that they have every
// instruction that there is, but for what no program can have by chance.
func TestGenerate(t *testing.T) {
	used := make(map[asm.Info]bool)
	for seed := range seeds(3000) {
		g := Generate(seed)
		again := Generate(seed)
		require.Equal(t, g.Insns.String(), again.Insns.String())
		for _, ins := range g.Insns {
			if info, err := ins.Info(); err == nil {
				used[*info] = true
			}
		}
		_, err := g.Case(fmt.Sprint(seed))
		require.NoError(t, err, "seed %d", seed)
	}
	var missing []string
	for _, info := range asm.Table() {
		if !used[info] {
			missing = append(missing, fmt.Sprintf("%#02x (kind %d)", uint8(info.Opcode), info.Kind))
		}
	}
	sort.Strings(missing)
	t.Logf("%d of %d kinds of instruction; without %s", len(used), len(asm.Table()), strings.Join(missing, ", "))
	require.Greater(t, len(used), len(asm.Table())*9/10)
}

// defect is what Linux says of programs that its verifier makes a mistake about: see
// testdata/cases/calls.txt, "callback that never runs, and another function", whose mistake comes to
// light in the JIT.
const defect = "verifier bug: "

// endlessPrograms: of as many programs that our verifier explores longer than maxExplored,
// Linux is asked of one. Most of the time would go into these few.
const endlessPrograms = 512

// live counts what both verifiers say of generated programs.
type live struct {
	mu      sync.Mutex
	summary *summary
	rows    []*row // for a report
	dump    string
	defects int // programs that Linux finds a mistake of its own at
	results resultCounts
	skipped int // endless programs that Linux was not asked of
}

// compare asks both of a program.
func (l *live) compare(t *testing.T, k *kernelRuns, r *results, seed uint64) {
	c, err := Generate(seed).Case("seed-" + strconv.FormatUint(seed, 10))
	require.NoError(t, err)
	if typ := prog.Type(c.ProgType); seed%4 == 0 && typ != prog.Kprobe && typ != prog.Tracepoint {
		c.Privilege = verifier.CapBPF // which does not suffice for those
	}
	s, err := c.Subject()
	require.NoError(t, err)
	if seed%endlessPrograms != 0 {
		s.Patience = maxExplored
	}
	o := s.Verify(verifyLimit)
	if o.Abandoned {
		l.count(&l.skipped)
		return
	}
	asked, err := k.ask(c, func(k kernelProgram) error {
		if !o.Accepted() {
			return nil
		}
		differs, err := r.compare(&trial{c: c, s: s, proof: o.Proof, seed: seed}, k)
		if differs != "" {
			t.Errorf("results differ, seed %d:\n%s%+v", seed, differs, Generate(seed).Insns)
		}
		return err
	})
	require.NoError(t, err, "seed %d", seed)
	if o.Err != nil && o.Err.Code == verifier.CodeInternalError {
		t.Errorf("seed %d: %v; Linux: %s", seed, o.Err, asked.Reason)
	}
	if strings.HasPrefix(asked.Reason, defect) {
		l.count(&l.defects)
		return
	}
	answer := newRow(asked, o)
	l.add(answer)
	// That we need fewer instructions to come to a verdict than Linux allows is no fault.
	if kind := answer.kind(); kind == "crash" || kind == "extra accept" &&
		!agrees(answer.LinuxReason, verifier.CodeTooComplex) && !agrees(answer.LinuxReason, verifier.CodeTooManyJumps) {
		t.Errorf("%s, seed %d: %s %s; Linux: %s", kind, seed, answer.Code, answer.Reason, answer.LinuxReason)
	}
	if !answer.sameReason() && l.dump != "" {
		l.write(t, seed, c, answer)
	}
}

func (l *live) count(n *int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*n++
}

func (l *live) add(r *row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.summary.add(r)
	if *reportFile != "" {
		l.rows = append(l.rows, r)
	}
}

// write leaves a file with the program, both reasons and Linux's log.
func (l *live) write(t *testing.T, seed uint64, c *Case, r *row) {
	logged, err := askKernelAt(c, logAll)
	require.NoError(t, err)
	text := fmt.Sprintf("%s, seed %d, %v, privilege %d\nours:  %s %s\nlinux: %s\n\n%v\n\n%s", r.kind(), seed, Generate(seed).Type, c.Privilege,
		r.Code, r.Reason, r.LinuxReason, Generate(seed).Insns, logged.Log)
	name := fmt.Sprintf("%s-%d.txt", strings.ReplaceAll(r.kind(), " ", "-"), seed)
	require.NoError(t, os.WriteFile(filepath.Join(l.dump, name), []byte(text), 0o644))
}

// TestFuzzLive asks the running kernel and our verifier of generated programs, and compares
// what those compute that both accept. Programs of which they disagree go to the folder
// -dump, for people to look at.
func TestFuzzLive(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	l := &live{dump: *dumpDir, summary: newSummary()}
	n := seeds(1000)
	enginetest.Sweep(t, *firstSeed, n, func(t *testing.T) func(uint64) {
		k, r := newKernelRuns(t, false), newResults(t, false)
		t.Cleanup(func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.results.add(&r.counts)
		})
		return func(seed uint64) { l.compare(t, k, r, seed) }
	})
	if *reportFile != "" {
		writeReport(t, *reportFile, l.rows)
	}
	s := l.summary
	t.Logf("%d programs, %d of them endless and not asked for, %d at which Linux finds a mistake of its own\n%s\n%s", n, l.skipped, l.defects, s, s.details())
	t.Log(l.results.String())
	require.Greater(t, l.results.compared, int(n)/10)
	require.Greater(t, s.share("agree-accept")+s.share("false reject"), 0.5, "too few programs that Linux accepts")
	require.Less(t, l.skipped, int(n)/10)
	require.Empty(t, s.unmapped)
	require.LessOrEqual(t, s.share("false reject"), 0.01)
}
