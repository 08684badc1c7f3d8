package difftest

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/verifier"
)

const defaultCorpus = "../../../shared/verdicts"

var (
	corpusDir  = flag.String("corpus", "", "folder of .jsonl files to verify")
	reportFile = flag.String("report", "", "file for a JSON line per program")
	askLive    = flag.Bool("kernel", false, "ask the running kernel again for verdicts and times")
)

const (
	verifyRuns  = 5               // of which the fastest counts
	liveRuns    = 3               // the same of the kernel's
	verifyLimit = 3 * time.Minute // far more than a million instructions take, on a busy machine too
)

// row is a line of the report.
type row struct {
	ID             string        `json:"id"`
	Verdict        string        `json:"verdict"`
	Code           verifier.Code `json:"code"`
	Reason         string        `json:"reason"`
	Linux          string        `json:"linux"`
	LinuxReason    string        `json:"linux_reason"`
	Micros         float64       `json:"us"`
	LinuxMicros    float64       `json:"linux_us"`
	Processed      int           `json:"processed"`
	LinuxProcessed int           `json:"linux_processed"`

	stage string
}

func newRow(c *Case, o *Outcome) *row {
	r := &row{
		ID: c.ID, Verdict: o.Verdict(), Reason: o.Crash, Micros: o.Micros, Processed: o.processed(),
		Linux: c.Verdict, LinuxReason: c.Reason, LinuxMicros: float64(c.Stats.Micros), LinuxProcessed: c.Stats.Processed,
		stage: c.Stage,
	}
	if o.Err != nil {
		r.Code, r.Reason = o.Err.Code, o.Err.Error()
	}
	return r
}

// kind is which group of the summary the program is in.
func (r *row) kind() string {
	switch {
	case r.Verdict == "crash":
		return "crash"
	case r.Verdict == r.Linux:
		return "agree-" + r.Linux
	case r.Linux == "accept":
		return "false reject"
	}
	return "extra accept"
}

// summary counts what the rows say.
type summary struct {
	counts              map[string]int    // by kind
	kinds               map[string][]*row // those that people want to see: of agreements, only those for other reasons
	reasons, sameReason int               // of the refusals that agree, and that Linux gave a reason for
	timed               int
	ours, linux         float64 // microseconds, over all timed programs
	logRatio            float64 // sum of the logarithms of ours/linux
	unmapped            []string
}

func newSummary() *summary {
	return &summary{counts: make(map[string]int), kinds: make(map[string][]*row)}
}

func summarise(rows []*row) *summary {
	s := newSummary()
	for _, r := range rows {
		s.add(r)
	}
	return s
}

// sameReason reports whether both verifiers say the same, for the same reason.
func (r *row) sameReason() bool {
	return r.Verdict == r.Linux && (r.Linux == "accept" || r.LinuxReason == "" || agrees(r.LinuxReason, r.Code))
}

func (s *summary) add(r *row) {
	s.counts[r.kind()]++
	if !r.sameReason() {
		s.kinds[r.kind()] = append(s.kinds[r.kind()], r)
	}
	if r.LinuxReason != "" && r.Linux == "reject" {
		if Codes(r.LinuxReason) == nil {
			s.unmapped = append(s.unmapped, r.LinuxReason)
		}
		if r.Verdict == "reject" {
			s.reasons++
			if r.sameReason() {
				s.sameReason++
			}
		}
	}
	if r.Micros > 0 && r.LinuxMicros > 0 {
		s.timed++
		s.ours += r.Micros
		s.linux += r.LinuxMicros
		s.logRatio += math.Log(r.Micros / r.LinuxMicros)
	}
}

// share is how many of all rows are of a kind, from 0 to 1.
func (s *summary) share(kind string) float64 {
	n := 0
	for _, count := range s.counts {
		n += count
	}
	return float64(s.counts[kind]) / float64(max(n, 1))
}

func (s *summary) String() string {
	var b strings.Builder
	for _, kind := range []string{"agree-accept", "agree-reject", "false reject", "extra accept", "crash"} {
		fmt.Fprintf(&b, "%-14s %5d  %5.1f %%\n", kind, s.counts[kind], 100*s.share(kind))
	}
	fmt.Fprintf(&b, "%-14s %5d of %d  %.1f %%\n", "reason agrees", s.sameReason, s.reasons, 100*float64(s.sameReason)/float64(max(s.reasons, 1)))
	fmt.Fprintf(&b, "time ratio     geomean %.3f, sum %.3f (%.0f of %.0f us) over %d programs",
		math.Exp(s.logRatio/float64(max(s.timed, 1))), s.ours/max(s.linux, 1), s.ours, s.linux, s.timed)
	return b.String()
}

// details lists the programs that differ, with both reasons.
func (s *summary) details() string {
	var b strings.Builder
	line := func(what string, r *row) {
		fmt.Fprintf(&b, "%s %s\n  ours:  %s %s\n  linux: %s\n", what, r.ID, r.Code, r.Reason, r.LinuxReason)
	}
	for _, kind := range []string{"crash", "false reject", "extra accept"} {
		for _, r := range s.kinds[kind] {
			line(kind, r)
		}
	}
	for _, r := range s.kinds["agree-reject"] {
		line("other reason", r)
	}
	for _, message := range s.unmapped {
		fmt.Fprintf(&b, "message without a code: %s\n", message)
	}
	return b.String()
}

func writeReport(t *testing.T, name string, rows []*row) {
	f, err := os.Create(name)
	require.NoError(t, err)
	enc := json.NewEncoder(f)
	for _, r := range rows {
		require.NoError(t, enc.Encode(r))
	}
	require.NoError(t, f.Close())
}

// TestCorpus verifies the programs of a folder and compares with what Linux said. Of a
// folder given by -corpus, only crashes fail the test; the recorded one has to be met.
func TestCorpus(t *testing.T) {
	dir := *corpusDir
	if dir == "" {
		if dir = defaultCorpus; !exists(dir) {
			t.Skip("no recorded verdicts beside the module")
		}
	}
	cases, err := ReadCorpus(dir)
	require.NoError(t, err)
	require.NotEmpty(t, cases, "no .jsonl files in %s", dir)
	if *askLive {
		if err := kernel.Available(); err != nil {
			t.Skip(err)
		}
	}
	rows := make([]*row, 0, len(cases))
	for _, c := range cases {
		if *askLive {
			c = askAgain(t, c)
		}
		rows = append(rows, newRow(c, c.Verify(verifyRuns, verifyLimit)))
	}
	if *reportFile != "" {
		writeReport(t, *reportFile, rows)
	}
	s := summarise(rows)
	t.Logf("%d programs\n%s\n%s", len(rows), s, s.details())
	require.Empty(t, s.kinds["crash"])
	if *corpusDir != "" {
		return
	}
	require.Empty(t, s.unmapped)
	require.LessOrEqual(t, s.share("false reject"), 0.01)
	require.LessOrEqual(t, s.share("extra accept"), 0.01)
	require.GreaterOrEqual(t, float64(s.sameReason), 0.9*float64(s.reasons))
	allowed := parity(t)
	for _, r := range s.kinds["extra accept"] {
		require.Contains(t, allowed, r.ID, "accepted, and Linux says: %s", r.LinuxReason)
	}
}

// askAgain returns the case with what the running kernel says of it. Where bpf(2) refused
// before the verifier, the record stands.
func askAgain(t *testing.T, c *Case) *Case {
	if c.Stage == "before" {
		return c
	}
	var best *Case
	for range liveRuns {
		again, err := askKernel(c)
		require.NoError(t, err, c.ID)
		if best == nil || again.Stats.Micros < best.Stats.Micros {
			best = again
		}
	}
	return best
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// parity reads testdata/parity.txt: the programs whose verdict differs on purpose, by id,
// and why.
func parity(t *testing.T) map[string]string {
	text, err := os.ReadFile("testdata/parity.txt")
	require.NoError(t, err)
	list := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		id, why, ok := strings.Cut(line, ":")
		require.True(t, ok && strings.TrimSpace(why) != "", "no argument: %s", line)
		require.NotContains(t, list, id)
		list[id] = strings.TrimSpace(why)
	}
	return list
}

// TestSummary has a program of each kind.
func TestSummary(t *testing.T) {
	const message = "div by zero"
	s := summarise([]*row{
		{Verdict: "accept", Linux: "accept", Micros: 1, LinuxMicros: 4},
		{Verdict: "reject", Linux: "reject", Code: verifier.CodeDivZero, LinuxReason: message, Micros: 4, LinuxMicros: 4},
		{Verdict: "reject", Linux: "reject", Code: verifier.CodeShift, LinuxReason: message},
		{Verdict: "accept", Linux: "reject", LinuxReason: "no such message"},
		{Verdict: "reject", Linux: "accept", Code: verifier.CodeShift},
		{Verdict: "crash", Linux: "accept"},
	})
	for kind, n := range map[string]int{"agree-accept": 1, "agree-reject": 2, "extra accept": 1, "false reject": 1, "crash": 1} {
		require.Equal(t, n, s.counts[kind], kind)
	}
	require.Equal(t, [2]int{2, 1}, [2]int{s.reasons, s.sameReason})
	require.Equal(t, []string{"no such message"}, s.unmapped)
	require.Contains(t, s.String(), "geomean 0.500, sum 0.625 (5 of 8 us) over 2 programs")
	require.Equal(t, 4, strings.Count(s.details(), "ours:"), s.details())
	require.True(t, slices.Contains(strings.Split(s.details(), "\n"), "message without a code: no such message"))
}
