package difftest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/verifier"
)

const (
	runsOfProgram = 3
	maxObserved   = 1000    // states of a program that are worth comparing with
	maxExplored   = 1 << 14 // instructions; the few programs that take more would take most of the time
)

// soundness counts what was run.
type soundness struct {
	*runner
	mu                                                     sync.Mutex // of a total
	programs, accepted, withoutPerfmon, observed, executed int
}

// newSoundness returns one whose counts are added to total when the test is over.
func newSoundness(t testing.TB, total *soundness) *soundness {
	s := &soundness{runner: newRunner(t, 1)}
	t.Cleanup(func() {
		total.mu.Lock()
		defer total.mu.Unlock()
		total.programs += s.programs
		total.accepted += s.accepted
		total.withoutPerfmon += s.withoutPerfmon
		total.observed += s.observed
		total.executed += s.executed
	})
	return s
}

func (s *soundness) String() string {
	return fmt.Sprintf("%d programs: %d accepted, %d of them without CAP_PERFMON too; %d with all states, which %d executed instructions were compared with",
		s.programs, s.accepted, s.withoutPerfmon, s.observed, s.executed)
}

// check verifies a generated program and, if it is accepted, runs it.
func (s *soundness) check(seed uint64) {
	c, err := GenerateRunnable(seed).Case("seed-" + strconv.FormatUint(seed, 10))
	require.NoError(s.t, err)
	s.source.Seed(seed, 3)
	s.checkCase(c, seed)
}

func (s *soundness) checkCase(c *Case, seed uint64) {
	s.programs++
	subject, err := c.Subject()
	require.NoError(s.t, err)
	for _, privilege := range []verifier.Privilege{verifier.Root, verifier.CapBPF} {
		c.Privilege, subject.Env.Privilege = privilege, privilege
		subject.Patience = maxExplored
		o := subject.Verify(verifyLimit)
		require.Empty(s.t, o.Crash, "seed %d", seed)
		if !o.Accepted() {
			return
		}
		if privilege == verifier.Root {
			s.accepted++
			s.contain(c, subject, seed, o.Proof)
			if seed%3 != 0 { // what speculation may do takes long to walk
				return
			}
			continue
		}
		s.withoutPerfmon++
		s.execute(c, subject, seed, o.Proof, nil)
	}
}

func (s *soundness) execute(c *Case, subject *Subject, seed uint64, proof *verifier.Proof, observe func(slot int, regs *interp.Registers)) {
	p, ok := s.program(c, subject, proof, observe)
	if !ok {
		return
	}
	for range runsOfProgram {
		err := s.run(p, c.Privilege)
		require.NoError(s.t, err, "seed %d, privilege %d", seed, c.Privilege)
	}
}

// contain runs the program and has some state of each instruction that is executed contain
// the numbers in the registers. It needs the states of all paths: programs of which there
// are too many are only run.
func (s *soundness) contain(c *Case, subject *Subject, seed uint64, proof *verifier.Proof) {
	states, ok := observations(subject, false)
	if !ok {
		s.execute(c, subject, seed, proof, nil)
		return
	}
	s.observed++
	s.execute(c, subject, seed, proof, func(slot int, regs *interp.Registers) {
		s.executed++
		for _, o := range states[slot] {
			if contains(o, regs) {
				return
			}
		}
		states, _ = observations(subject, true)
		require.Fail(s.t, "no state contains the registers", "seed %d, instruction %d\n%s\n%+v", seed, slot,
			describeStates(states[slot], regs), subject.Prog.Insns)
	})
}

// observations returns the states of all paths by instruction, false if there are too many.
func observations(subject *Subject, described bool) (map[int][]*verifier.Observation, bool) {
	states := make(map[int][]*verifier.Observation)
	n := 0
	env := *subject.Env
	env.EveryPath, env.Undescribed, env.Progress = true, !described, nil
	env.Observe = func(o *verifier.Observation) {
		if n++; n > maxObserved {
			panic(abandoned{})
		}
		kept := *o
		states[o.Insn] = append(states[o.Insn], &kept)
	}
	every := *subject
	every.Env, every.Patience = &env, 0
	return states, every.verify().Accepted()
}

// contains reports whether all registers that hold numbers hold some of the state.
func contains(o *verifier.Observation, regs *interp.Registers) bool {
	for r := range o.Regs {
		if o.Regs[r].Known && !o.Regs[r].Contains(regs[r]) {
			return false
		}
	}
	return true
}

func describeStates(states []*verifier.Observation, regs *interp.Registers) string {
	var b strings.Builder
	fmt.Fprintf(&b, "registers %#x\n", *regs)
	for _, o := range states {
		for r := range o.Regs {
			if o.Regs[r].Text != "" {
				fmt.Fprintf(&b, "%v=%s ", asm.Register(r), o.Regs[r].Text)
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// TestSoundness runs generated programs that the verifier accepts: no access faults, no
// byte is read that was never written without CAP_PERFMON, and the verifier's states
// contain what registers hold.
func TestSoundness(t *testing.T) {
	n := seeds(2000)
	var total soundness
	enginetest.Sweep(t, *firstSeed, n, func(t *testing.T) func(uint64) { return newSoundness(t, &total).check })
	t.Log(total.String())
	require.Greater(t, total.accepted, int(n)/2)
	require.Greater(t, total.withoutPerfmon, int(n)/40)
	require.Greater(t, total.observed, int(n)/4)
}

// TestHarmless runs the programs of testdata/cases/cve.txt that are accepted.
func TestHarmless(t *testing.T) {
	r := newRunner(t, 1)
	for _, c := range textCases(t) {
		if !strings.HasPrefix(c.ID, "cve/") || !c.Accepted() {
			continue
		}
		require.NotNil(t, hooks.ByType(prog.Type(c.ProgType)), c.ID)
		s, err := c.Subject()
		require.NoError(t, err)
		o := s.Verify(verifyLimit)
		require.True(t, o.Accepted(), c.ID)
		p, ok := r.program(c.Case, s, o.Proof, nil)
		if !ok {
			continue // what it would do is dead
		}
		for range 20 {
			require.NoError(t, r.run(p, c.Privilege), c.ID)
		}
	}
}
