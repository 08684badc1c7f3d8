package domain

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var bothRules = []Rules{Linux, Tight}

// rawScalars calls f with scalars of width 4 whose parts know nothing of each other:
// all, or every step-th.
func rawScalars(step int, f func(Scalar)) {
	whole, low := rawBounds(4), rawBounds(2)
	i := 0
	tnums(4, func(t Tnum) {
		for _, u := range whole {
			for _, v := range whole {
				for _, u32 := range low {
					for _, v32 := range low {
						if i++; i%step != 0 {
							continue
						}
						s := Scalar{Tnum: t, U64: u, S64: signed{int64(v.Min) - 8, int64(v.Max) - 8}}
						s.setLowUnsigned(u32)
						s.setLowSigned(signed{int64(v32.Min) - 2, int64(v32.Max) - 2})
						f(s)
					}
				}
			}
		}
	})
}

// rawBounds returns all bounds of n bits that are not empty.
func rawBounds(n uint) (all []unsigned) {
	for lo := range uint64(1) << n {
		for hi := lo; hi < 1<<n; hi++ {
			all = append(all, unsigned{lo, hi})
		}
	}
	return all
}

// TestSyncPrecision shows that Sync loses no number, says of a scalar that it is empty
// if it is and only then, and has nothing to add when asked again. It reports how often
// the result is the best form that there is.
func TestSyncPrecision(t *testing.T) {
	step := 397 // a prime, so that all parts vary
	if *deep {
		step = 1
	}
	var nonEmpty, empty, found, exact, exactLinux int
	rawScalars(step, func(raw Scalar) {
		want := set(&raw)
		s, linux := raw, raw
		ok := tighten[w4](&s)
		linuxSync[w4](&linux)
		if want == 0 {
			if !ok {
				found++
			}
			empty++
			return
		}
		nonEmpty++
		again := s
		if !ok || set(&s) != want || !tighten[w4](&again) || again != s {
			require.Fail(t, "sync", "%v is %016b, synced %v is %016b, ok %v; again %v", raw, want, s, set(&s), ok, again)
		}
		// Linux may give up a bound: __reg_deduce_mixed_bounds overwrites them.
		if want&^set(&linux) != 0 || !linux.Includes(&s) {
			require.Fail(t, "Linux's sync", "%v is %016b, synced %v is %016b; tight %v", raw, want, linux, set(&linux), s)
		}
		b := bestScalar(want)
		if s == b {
			exact++
		}
		if linux == b {
			exactLinux++
		}
	})
	require.Equal(t, empty, found, "scalars that are empty")
	t.Logf("%d scalars: best form reached by Tight %.2f%%, by Linux %.2f%%; %d empty ones, all found",
		nonEmpty, percent(exact, nonEmpty), percent(exactLinux, nonEmpty), empty)
}

func percent(part, of int) float64 { return 100 * float64(part) / float64(max(of, 1)) }

// TestSyncWide does so at random on 64 bits and on 8.
func TestSyncWide(t *testing.T) {
	testSyncAtRandom[w64](t)
	testSyncAtRandom[w8](t)
}

func testSyncAtRandom[W width](t *testing.T) {
	r := newRand(1)
	for range randomTries() {
		// Two scalars around the same number, laid over each other.
		a, v := randomScalar[W](r, Linux)
		raw := a
		if b, w := randomScalar[W](r, Linux); contains[W](&b, v) {
			raw = a.intersect(&b)
		} else if contains[W](&a, w) {
			raw, v = a.intersect(&b), w
		}
		s, linux := raw, raw
		ok := tighten[W](&s)
		linuxSync[W](&linux)
		again := s
		if !ok || !contains[W](&s, v) || !tighten[W](&again) || again != s {
			require.Fail(t, "sync", "%v has %#x, synced %v, ok %v; again %v", raw, v, s, ok, again)
		}
		if !contains[W](&linux, v) || !linux.Includes(&s) {
			require.Fail(t, "Linux's sync", "%v has %#x, synced %v; tight %v", raw, v, linux, s)
		}
	}
}

func randomTries() int {
	if *deep {
		return 10_000_000
	}
	return 50_000
}
