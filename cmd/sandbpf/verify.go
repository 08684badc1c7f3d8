package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/loader"
	"github.com/sandbpf/sandbpf/verifier"
)

var verifyCommand = &command{
	name:  "verify",
	args:  "OBJECT... [OPTIONS]",
	short: "say whether Linux would run the programs of objects, and why not",
	long: `Verifies every program of object files as Linux 6.18 does, and shows for each the
verdict, how long it took, how many instructions were explored and how many
states were kept. A refusal comes with its reason: what is wrong, in which line
of the source, what is known of the register concerned and where from. A program whose
section says no type of Linux is unknown, which is not accepted (exit code 4).

No kernel is asked and nothing is run. Programs may be of any type of Linux. CO-RE
relocations are resolved against the types of Linux 6.18 on x86-64.

Examples:

  $ sandbpf verify firewall.o
  $ sandbpf verify *.o --json | jq '.[] | select(.verdict == "refused").code'
  $ sandbpf verify firewall.o --program parse --log
`,
	setup: setupVerify,
}

// verifyFlags are the options of the command.
type verifyFlags struct {
	object       *objectFlags
	program      *string
	json         *bool
	log          *bool
	unprivileged *bool
}

func setupVerify(fs *flag.FlagSet) func(*env, []string) error {
	f := &verifyFlags{
		object:       newObjectFlags(fs),
		program:      fs.String("program", "", "verify only the program of this `NAME`"),
		json:         fs.Bool("json", false, "write JSON"),
		log:          fs.Bool("log", false, "show every instruction that is explored, as in Linux's log at level 2"),
		unprivileged: fs.Bool("cap-bpf", false, "as loaded with CAP_BPF and CAP_NET_ADMIN only: kernel addresses must not leak"),
	}
	f.object.options = []loader.Option{loader.WithLinuxTypes()}
	return f.run
}

// verdictView is what there is to say about a program.
type verdictView struct {
	Object    string        `json:"object"`
	Program   string        `json:"program"`
	Type      string        `json:"type"`
	Verdict   string        `json:"verdict"`        // "accepted", "refused", or "unknown" if Linux has no such type
	Code      verifier.Code `json:"code,omitempty"` // none if the instructions make no program
	Reason    string        `json:"reason,omitempty"`
	Insn      *int          `json:"insn,omitempty"`
	Line      string        `json:"line,omitempty"`
	Register  string        `json:"register,omitempty"`
	Known     string        `json:"known,omitempty"`
	Hint      string        `json:"hint,omitempty"`
	Micros    int64         `json:"time_us"`
	Processed int           `json:"processed"`
	States    int           `json:"states"`
	Peak      int           `json:"peak_states"`
	Stack     []int         `json:"stack,omitempty"` // bytes, by function
	Log       string        `json:"log,omitempty"`

	err error
}

func (f *verifyFlags) run(e *env, objects []string) error {
	if len(objects) == 0 {
		return usageErrorf("give an object; \"-\" is standard input")
	}
	views := []*verdictView{}
	var failed error // reported already; the other objects are verified
	for _, name := range objects {
		list, err := f.verify(e, name)
		if err != nil && len(objects) == 1 {
			return err
		}
		if err != nil {
			fmt.Fprintf(e.stderr, "sandbpf: %v\n", err)
			failed = errors.Join(failed, errReported, err)
		}
		views = append(views, list...)
	}
	if *f.json {
		if err := e.writeJSON(views); err != nil {
			return err
		}
	} else {
		writeVerdicts(e, views)
	}
	for _, v := range views {
		switch v.Verdict {
		case "refused":
			return errReported
		case "unknown":
			failed = errors.Join(failed, errReported, v.err)
		}
	}
	return failed
}

// verify verifies the programs of an object, or the one that was asked for.
func (f *verifyFlags) verify(e *env, object string) ([]*verdictView, error) {
	spec, err := f.object.open(e, object)
	if err != nil {
		return nil, err
	}
	names := programNames(spec)
	if *f.program != "" {
		p, err := pickProgram(spec, *f.program)
		if err != nil {
			return nil, err
		}
		names = []string{p.Name}
	}
	if len(names) == 0 {
		return nil, inputErrorf("%s: no program in the object", object)
	}
	var views []*verdictView
	for _, name := range names {
		views = append(views, f.verifyProgram(e, object, spec, name))
	}
	return views, nil
}

func (f *verifyFlags) verifyProgram(e *env, object string, spec *sandbpf.CollectionSpec, name string) *verdictView {
	v := &verdictView{Object: object, Program: name, Type: typeName(spec.Programs[name].Type), Verdict: "accepted"}
	var log bytes.Buffer
	progress := newProgress(e, name)
	proof, err := spec.Verify(name, func(env *verifier.Env) {
		env.Progress = progress.show
		if *f.log {
			env.Log, env.LogLevel = &log, 2
		}
		if *f.unprivileged {
			env.Privilege = verifier.CapBPF
		}
	})
	progress.clear()
	v.Log = log.String()
	if err == nil {
		v.count(proof.Stats)
		return v
	}
	v.Verdict, v.Reason, v.err = "refused", why(err), err
	if errors.Is(err, sandbpf.ErrUnknownHook) {
		v.Verdict = "unknown"
	}
	var invalid *sandbpf.ProgramError
	if errors.As(err, &invalid) {
		v.Reason, v.Insn, v.Line = invalid.Reason, &invalid.Slot, invalid.Line.String()
	}
	var refused *verifier.Error
	if errors.As(err, &refused) {
		v.count(refused.Stats)
		v.Code, v.Reason, v.Register, v.Known, v.Hint = refused.Code, refused.Reason, refused.Reg, refused.Known, refused.Hint
		if v.Line = refused.Line.String(); refused.Insn >= 0 {
			v.Insn = &refused.Insn
		}
	}
	return v
}

func (v *verdictView) count(s verifier.Stats) {
	v.Micros, v.Processed, v.States, v.Peak, v.Stack = s.Micros, s.Processed, s.TotalStates, s.PeakStates, s.StackDepth
}

// writeVerdicts writes a table of all programs, then what there is to say about those
// that were refused.
func writeVerdicts(e *env, views []*verdictView) {
	if len(views) == 0 {
		return // what is wrong with each object has been said
	}
	rows := [][]string{{"program", "type", "verdict", "\tinsns", "\tstates", "time"}}
	several := false
	for _, v := range views {
		several = several || v.Object != views[0].Object
	}
	for _, v := range views {
		program := v.Program
		if several {
			program = v.Object + " " + program
		}
		rows = append(rows, []string{program, v.Type, v.Verdict, fmt.Sprintf("\t%d", v.Processed), fmt.Sprintf("\t%d", v.States),
			fmt.Sprintf("%d us", v.Micros)})
	}
	writeTable(e.stdout, "", rows)
	for _, v := range views {
		if v.Log != "" {
			fmt.Fprintf(e.stdout, "\nlog of %s\n%s", v.Program, v.Log)
		}
		if v.err != nil {
			story := strings.TrimRight(fmt.Sprintf("%+v", v.err), "\n")
			if several {
				story = v.Object + ": " + story
			}
			fmt.Fprintf(e.stdout, "\n%s\n", story)
		}
	}
}

// progressAfter is how long a verification takes before a line tells of it.
const progressAfter = time.Second

// progress is a line on a terminal that tells how far a verification is.
type progress struct {
	env     *env
	program string
	next    time.Time
	shown   bool
}

func newProgress(e *env, program string) *progress {
	return &progress{env: e, program: program, next: time.Now().Add(progressAfter)}
}

func (p *progress) show(processed int) {
	if now := time.Now(); p.env.terminal && now.After(p.next) {
		p.next, p.shown = now.Add(progressAfter/5), true
		fmt.Fprintf(p.env.stderr, "\r%s: %d instructions explored\x1b[K", p.program, processed)
	}
}

// clear takes the line away.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(p.env.stderr, "\r\x1b[K")
	}
}
