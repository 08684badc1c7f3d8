package difftest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/verifier"
)

const maxWalked = 3000 // instructions of a walk without pruning that is worth it

// everyPath verifies a program without comparing states. It reports false if there are too many
// paths to tell.
func everyPath(t testing.TB, c *Case) (o *Outcome, told bool) {
	s, err := c.Subject()
	require.NoError(t, err)
	n := 0
	s.Env.EveryPath = true
	s.Env.Observe = func(*verifier.Observation) {
		if n++; n > maxWalked {
			panic(abandoned{})
		}
	}
	o = s.verify()
	return o, n <= maxWalked
}

// TestPruning walks all paths of programs that are accepted with most of them left out: none of
// those that were left out may go wrong.
func TestPruning(t *testing.T) {
	var list []*Case
	for _, c := range textCases(t) {
		list = append(list, c.Case)
	}
	r := newRunner(t, *firstSeed)
	n := seeds(200)
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		for _, changes := range []int{0, 1 + r.r.IntN(2)} {
			c, err := Generate(seed).Case(fmt.Sprintf("seed %d, %d changes", seed, changes))
			require.NoError(t, err)
			mutate(c.Insns, r.bytes(4*changes))
			list = append(list, c)
		}
	}
	compared := 0
	for _, c := range list {
		s, err := c.Subject()
		require.NoError(t, err)
		s.Patience = maxExplored
		if !s.Verify(verifyLimit).Accepted() {
			continue
		}
		if o, told := everyPath(t, c); told && !spoilsDead(c, o) {
			require.NoError(t, errorOf(o), c.ID)
			compared++
		}
	}
	t.Logf("%d of %d programs", compared, len(list))
	require.Greater(t, compared, len(list)/5)
}

// spoilsDead reports whether a program is refused for a store over a part of a pointer that is read no more:
// without CAP_PERFMON that hides addresses, and tells no states apart.
func spoilsDead(c *Case, o *Outcome) bool {
	return c.Privilege == verifier.CapBPF && o.Err != nil && o.Err.Code == verifier.CodeStackSpill &&
		strings.HasPrefix(o.Err.Reason, "store over a part")
}

// errorOf returns why a program is refused, nil if it is not.
func errorOf(o *Outcome) error {
	if o.Err == nil {
		return nil
	}
	return o.Err
}
