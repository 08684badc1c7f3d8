package enginetest

import (
	"fmt"
	"iter"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"testing"
	"time"
)

const (
	sweepBlock    = 2000   // seeds that share what a check keeps between them
	sweepReport   = 10_000 // seeds between two lines of progress
	sweepFindings = 20     // blocks that may fail before the rest is not worth the time
)

// Sweep checks n seeds from first on, on all CPUs. It takes them in blocks: each is a
// subtest, named by its first seed, for which block returns the check. A check that fails
// ends its block, which alone shows the failure again (-seed, -programs); the others go on.
// With -v it tells how far it is.
func Sweep(t *testing.T, first, n uint64, block func(t *testing.T) (check func(seed uint64))) {
	t.Helper()
	SweepBlocks(t, first, n, func(t *testing.T, seeds iter.Seq[uint64]) {
		check := block(t)
		for seed := range seeds {
			check(seed)
		}
	})
}

// SweepBlocks is Sweep for a check that does not take each seed for itself.
func SweepBlocks(t *testing.T, first, n uint64, block func(t *testing.T, seeds iter.Seq[uint64])) {
	t.Helper()
	// The heap is small and programs are many: without this, the collector never rests.
	defer debug.SetGCPercent(debug.SetGCPercent(300))
	workers := uint64(runtime.GOMAXPROCS(0))
	size := max(1, min(sweepBlock, (n+workers-1)/workers))
	s := sweep{t: t, n: n, began: time.Now()}
	t.Run("seeds", func(t *testing.T) {
		for off := uint64(0); off < n; off += size {
			from, to := first+off, first+min(off+size, n)
			t.Run(fmt.Sprint(from), func(t *testing.T) {
				t.Parallel()
				s.block(t, from, to, block)
			})
		}
	})
}

// sweep counts the seeds that are done.
type sweep struct {
	t              *testing.T
	n              uint64
	began          time.Time
	done, findings atomic.Uint64
}

func (s *sweep) block(t *testing.T, from, to uint64, block func(t *testing.T, seeds iter.Seq[uint64])) {
	if s.findings.Load() >= sweepFindings {
		t.Skip("enough has been found")
	}
	seed := from
	defer func() {
		if t.Failed() {
			t.Logf("to see it again: -seed %d -programs %d", from, min(seed+1, to)-from)
			s.findings.Add(1)
		}
		s.report(seed - from)
	}()
	block(t, func(yield func(uint64) bool) {
		for seed < to && yield(seed) {
			seed++
		}
	})
}

// report adds n seeds and tells of them.
func (s *sweep) report(n uint64) {
	done := s.done.Add(n)
	if !testing.Verbose() || (done-n)/sweepReport == done/sweepReport && done < s.n {
		return
	}
	spent := time.Since(s.began)
	s.t.Logf("%d of %d programs in %v, %.0f a second; %d findings", done, s.n, spent.Round(time.Second), float64(done)/spent.Seconds(), s.findings.Load())
}
