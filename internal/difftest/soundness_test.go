package difftest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/verifier"
)

const (
	runsOfProgram = 3
	maxObserved   = 1000 // states of a program that are worth comparing with
	maxExplored   = 1    // at the first sign of progress, a program is not worth it
)

// soundness counts what was run.
type soundness struct {
	*runner
	programs, accepted, withoutPerfmon, observed, executed int
}

// check verifies a generated program and, if it is accepted, runs it.
func (s *soundness) check(seed uint64) {
	c, err := GenerateRunnable(seed).Case(fmt.Sprintf("seed-%d", seed))
	require.NoError(s.t, err)
	s.checkCase(c, seed)
}

func (s *soundness) checkCase(c *Case, seed uint64) {
	s.programs++
	for _, privilege := range []verifier.Privilege{verifier.Root, verifier.CapBPF} {
		c.Privilege = privilege
		subject, err := c.Subject()
		require.NoError(s.t, err)
		subject.Patience = maxExplored
		o := subject.Verify(verifyLimit)
		require.Empty(s.t, o.Crash, "seed %d", seed)
		if !o.Accepted() {
			return
		}
		if privilege == verifier.Root {
			s.accepted++
			s.contain(c, seed, o.Proof)
			if seed%3 != 0 { // what speculation may do takes long to walk
				return
			}
			continue
		}
		s.withoutPerfmon++
		s.execute(c, seed, o.Proof, nil)
	}
}

func (s *soundness) execute(c *Case, seed uint64, proof *verifier.Proof, observe func(slot int, regs *interp.Registers)) {
	p, ok := s.program(c, proof, observe)
	if !ok {
		return
	}
	for range runsOfProgram {
		err := s.run(p, c.Privilege)
		require.NoError(s.t, err, "seed %d, privilege %d\n%+v", seed, c.Privilege, GenerateRunnable(seed).Insns)
	}
}

// contain runs the program and has some state of each instruction that is executed contain
// the numbers in the registers. It needs the states of all paths: programs of which there
// are too many are only run.
func (s *soundness) contain(c *Case, seed uint64, proof *verifier.Proof) {
	states, ok := observations(s.t, c)
	if !ok {
		s.execute(c, seed, proof, nil)
		return
	}
	s.observed++
	s.execute(c, seed, proof, func(slot int, regs *interp.Registers) {
		s.executed++
		for _, o := range states[slot] {
			if contains(o, regs) {
				return
			}
		}
		require.Fail(s.t, "no state contains the registers", "seed %d, instruction %d\n%s\n%+v", seed, slot,
			describeStates(states[slot], regs), GenerateRunnable(seed).Insns)
	})
}

// observations returns the states of all paths by instruction, false if there are too many.
func observations(t testing.TB, c *Case) (map[int][]*verifier.Observation, bool) {
	subject, err := c.Subject()
	require.NoError(t, err)
	states := make(map[int][]*verifier.Observation)
	n := 0
	subject.Env.EveryPath = true
	subject.Env.Observe = func(o *verifier.Observation) {
		if n++; n > maxObserved {
			panic(abandoned{})
		}
		kept := *o
		states[o.Insn] = append(states[o.Insn], &kept)
	}
	return states, subject.verify().Accepted()
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
	s := &soundness{runner: newRunner(t, *firstSeed)}
	n := seeds(2000)
	for seed := *firstSeed; seed < *firstSeed+n; seed++ {
		s.check(seed)
	}
	t.Logf("%d programs: %d accepted, %d of them without CAP_PERFMON too; %d with all states, which %d executed instructions were compared with",
		s.programs, s.accepted, s.withoutPerfmon, s.observed, s.executed)
	require.Greater(t, s.accepted, s.programs/2)
	require.Greater(t, s.withoutPerfmon, s.programs/40)
	require.Greater(t, s.observed, s.programs/4)
}

// TestHarmless runs the programs of testdata/cases/cve.txt that are accepted.
func TestHarmless(t *testing.T) {
	r := newRunner(t, 1)
	for _, c := range textCases(t) {
		if !strings.HasPrefix(c.ID, "cve/") || !c.Accepted() {
			continue
		}
		require.NotNil(t, hooks.ByType(prog.Type(c.ProgType)), c.ID)
		o := c.Verify(1, verifyLimit)
		require.True(t, o.Accepted(), c.ID)
		p, ok := r.program(c.Case, o.Proof, nil)
		if !ok {
			continue // what it would do is dead
		}
		for range 20 {
			require.NoError(t, r.run(p, c.Privilege), c.ID)
		}
	}
}
