package difftest

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/sandbpf/sandbpf/verifier"
)

// An Outcome is what our verifier says of a case.
type Outcome struct {
	Proof  *verifier.Proof // of an accepted program
	Err    *verifier.Error // of a refused one
	Micros float64         // time, the best of the runs
	// Crash is not empty if the verifier panicked, did not come back, or returned what is
	// neither a proof nor an error of its own.
	Crash string
	// Abandoned says that there is no verdict, since the program was more than
	// Subject.Patience asks for.
	Abandoned bool
}

// abandoned is what a verification panics with that is not worth its time.
type abandoned struct{}

// Accepted reports whether the program was accepted.
func (o *Outcome) Accepted() bool { return o.Proof != nil }

// Verdict is "accept", "reject" or "crash".
func (o *Outcome) Verdict() string {
	switch {
	case o.Crash != "":
		return "crash"
	case o.Proof != nil:
		return "accept"
	}
	return "reject"
}

// processed is how many instructions were explored.
func (o *Outcome) processed() int {
	switch {
	case o.Proof != nil:
		return o.Proof.Stats.Processed
	case o.Err != nil:
		return o.Err.Stats.Processed
	}
	return 0
}

// Verify verifies the case as often as runs says, each time for at most limit.
func (c *Case) Verify(runs int, limit time.Duration) *Outcome {
	s, err := c.Subject()
	if err != nil {
		return &Outcome{Crash: err.Error()}
	}
	best := s.Verify(limit)
	for i := 1; i < runs && best.Crash == ""; i++ {
		o := s.Verify(limit)
		if o.Micros > best.Micros {
			o.Micros = best.Micros
		}
		best = o
	}
	return best
}

// Verify verifies the subject once. If that takes longer than limit, it is a crash.
func (s *Subject) Verify(limit time.Duration) *Outcome {
	done := make(chan *Outcome, 1)
	go func() { done <- s.verify() }()
	select {
	case o := <-done:
		return o
	case <-time.After(limit):
		return &Outcome{Crash: fmt.Sprint("no verdict within ", limit)}
	}
}

func (s *Subject) verify() (o *Outcome) {
	o = new(Outcome)
	defer func() {
		switch r := recover(); r.(type) {
		case nil:
		case abandoned:
			o = &Outcome{Abandoned: true}
		default:
			o = &Outcome{Crash: fmt.Sprintf("panic: %v\n%s", r, debug.Stack())}
		}
	}()
	if s.early != nil {
		o.Err = s.early
		return o
	}
	if s.Patience > 0 {
		s.Env.Progress = func(processed int) {
			if processed >= s.Patience {
				panic(abandoned{})
			}
		}
	}
	start := time.Now()
	proof, err := verifier.Verify(s.Prog, s.Env)
	o.Micros = float64(time.Since(start).Nanoseconds()) / 1000
	if refused := (*verifier.Error)(nil); errors.As(err, &refused) {
		o.Err = refused
	} else if (err == nil) == (proof == nil) {
		o.Crash = fmt.Sprintf("proof %v, error %v", proof, err)
		return o
	}
	o.Proof = proof
	if late := s.late; late != nil && (o.Err == nil || !beforeFuncInfo[o.Err.Code]) {
		return &Outcome{Err: late, Micros: o.Micros}
	}
	return o
}

// beforeFuncInfo are the codes of what Linux checks before it compares func_info and
// line_info with the functions of the program.
var beforeFuncInfo = map[verifier.Code]bool{
	verifier.CodeEmpty: true, verifier.CodeCallTarget: true, verifier.CodeTooMany: true, verifier.CodeKfunc: true,
	verifier.CodeJumpRange: true, verifier.CodeFallthrough: true, verifier.CodePrivilege: true, verifier.CodeAttach: true,
}
