package verifier

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// ErrRefused is what every [*Error] is.
var ErrRefused = errors.New("program refused")

// Error says why a program was refused.
type Error struct {
	Code   Code
	Errno  int    // what bpf(2) would return: EACCES is 13, EINVAL 22, E2BIG 7, EPERM 1, ...
	Reason string // one line, in plain words

	Prog string
	Insn int       // slot of the instruction, -1 if it is about the whole program
	Text string    // the instruction
	Line prog.Line // its source line, zero if not known

	Reg    string   // the register or stack slot concerned: "r1", "fp-8"; "" if none
	Known  string   // what is known of it, in the notation of the kernel's log
	Origin []Origin // where that comes from, the latest first
	Hint   string   // what usually cures it, "" if nothing usual does

	Path  []Step // how the instruction is reached, from the start
	Log   string // the verifier's log, if it was asked for
	Stats Stats
}

// Origin is an instruction that made a value what it is.
type Origin struct {
	Insn int
	Text string // the instruction
	Line prog.Line
	What string // what it did: "r1 = r0 + r2: bounds unknown"
}

// Step is an instruction on the way to the one refused, at which the path could have
// gone another way.
type Step struct {
	Insn  int
	Text  string
	Line  prog.Line
	Taken bool     // the jump was taken
	Known []string // the registers concerned: "r1=scalar(umax=7)"
}

// Error returns one line.
func (e *Error) Error() string {
	var b strings.Builder
	if e.Prog != "" {
		fmt.Fprintf(&b, "program %s: ", e.Prog)
	}
	if e.Insn >= 0 {
		fmt.Fprintf(&b, "instruction %d: ", e.Insn)
	}
	b.WriteString(e.Reason)
	if e.Line.Number != 0 {
		fmt.Fprintf(&b, " (%s)", e.Line)
	}
	return b.String()
}

// Is reports whether target is [ErrRefused].
func (e *Error) Is(target error) bool { return target == ErrRefused }

// Format writes one line, or the whole story with %+v.
func (e *Error) Format(f fmt.State, verb rune) {
	if verb == 'v' && f.Flag('+') {
		io.WriteString(f, e.story())
		return
	}
	fmt.Fprintf(f, fmt.FormatString(f, verb), e.Error())
}

// maxRepeated is how many steps of a path a round of a loop may have for its rounds to be told in one.
const maxRepeated = 16

// repeated returns how many steps a path begins with that it goes again and again, and how often: one
// step and once if it does not.
func repeated(path []Step) (steps, rounds int) {
	for steps := 1; steps <= maxRepeated && 2*steps <= len(path); steps++ {
		end := steps
		for end < len(path) && path[end].Insn == path[end-steps].Insn && path[end].Taken == path[end-steps].Taken {
			end++
		}
		if rounds := end / steps; rounds > 1 {
			return steps, rounds
		}
	}
	return 1, 1
}

// write writes the step as a line.
func (s *Step) write(b *strings.Builder) {
	way := "falls through"
	if s.Taken {
		way = "jumps"
	}
	fmt.Fprintf(b, "    %d: %s  %s", s.Insn, s.Text, way)
	if len(s.Known) > 0 {
		fmt.Fprintf(b, "  %s", strings.Join(s.Known, " "))
	}
	if s.Line.Number != 0 {
		fmt.Fprintf(b, "  (%s)", s.Line)
	}
	b.WriteByte('\n')
}

// story tells how the program comes to where it is refused.
func (e *Error) story() string {
	var b strings.Builder
	b.WriteString(e.Error())
	fmt.Fprintf(&b, "\n  code: %s\n", e.Code)
	if e.Text != "" {
		fmt.Fprintf(&b, "  at:   %d: %s\n", e.Insn, e.Text)
	}
	if e.Reg != "" {
		fmt.Fprintf(&b, "  %s = %s\n", e.Reg, e.Known)
	}
	for _, o := range e.Origin {
		fmt.Fprintf(&b, "    from %d: %s  %s", o.Insn, o.Text, o.What)
		if o.Line.Number != 0 {
			fmt.Fprintf(&b, "  (%s)", o.Line)
		}
		b.WriteByte('\n')
	}
	if len(e.Path) > 0 {
		b.WriteString("  path:\n")
	}
	for path := e.Path; len(path) > 0; {
		steps, rounds := repeated(path)
		if rounds > 1 {
			fmt.Fprintf(&b, "    %d times, of which this is the last:\n", rounds)
		}
		for i := steps * (rounds - 1); i < steps*rounds; i++ {
			path[i].write(&b)
		}
		path = path[steps*rounds:]
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "  hint: %s\n", e.Hint)
	}
	if e.Log != "" {
		b.WriteString(e.Log)
	}
	return b.String()
}
