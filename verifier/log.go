package verifier

import (
	"bytes"
	"fmt"
	"io"

	"github.com/sandbpf/sandbpf/asm"
)

// logger writes what a verification does, in the form of the kernel's log. Level 1 is the path to
// the end only, so its lines are kept until it is known that they are not.
type logger struct {
	v    *verifier
	on   bool
	path bool // level 1
	w    io.Writer
	kept bytes.Buffer
	line int // source line printed last
	// marks are the lengths of kept when ways were put off, by their place in pending.
	marks []int
}

func (l *logger) begin(v *verifier) {
	l.v, l.on = v, v.env.Log != nil && v.env.LogLevel&3 != 0
	l.w, l.path = v.env.Log, v.env.LogLevel&2 == 0
	l.line = -1
	l.kept.Reset()
	l.marks = l.marks[:0]
}

func (l *logger) printf(format string, args ...any) {
	if l.path {
		fmt.Fprintf(&l.kept, format, args...)
		return
	}
	fmt.Fprintf(l.w, format, args...)
}

// function begins a function that is verified on its own.
func (l *logger) function(fn int) {
	if !l.on {
		return
	}
	v := l.v
	if fn > 0 {
		l.printf("Validating %s() func#%d...\n", v.funcs[fn].name, fn)
	}
	l.printf("%d:%s\n", v.insnIdx, v.describeState(0))
}

// before prints an instruction.
func (l *logger) before(slot int) {
	if l.on { // small enough to be inlined where every instruction passes
		l.printInsn(slot)
	}
}

func (l *logger) printInsn(slot int) {
	v := l.v
	l.remember()
	if line := v.p.LineAt(slot); line.Number != 0 && line.Number != l.line {
		l.printf("; %s @ %s:%d\n", line.Text, line.File, line.Number)
		l.line = line.Number
	}
	in := &v.insns[slot]
	l.printf("%d: (%02x) %s\n", slot, uint8(in.Op), in.Text(asm.Kernel))
}

// remember notes where the log stood for ways that are put off since.
func (l *logger) remember() {
	for len(l.marks) < len(l.v.pending) {
		l.marks = append(l.marks, l.kept.Len())
	}
}

// after prints the state behind an instruction.
func (l *logger) after(slot int) {
	if l.on && l.v.cur != nil {
		l.printState(slot)
	}
}

func (l *logger) printState(slot int) {
	l.remember()
	if in := &l.v.insns[slot]; in.kind != asm.KindGoto && in.kind != asm.KindExit {
		l.printf("%d:%s\n", slot, l.v.describeState(l.v.cur.top()))
	}
}

// from begins a way that was put off.
func (l *logger) from(prev, slot int) {
	if !l.on {
		return
	}
	if n := len(l.v.pending); n < len(l.marks) {
		if l.path {
			l.kept.Truncate(l.marks[n])
		}
		l.marks = l.marks[:n]
	}
	spec := ""
	if l.v.cur.spec {
		spec = " (speculative execution)"
	}
	l.printf("\nfrom %d to %d%s:%s\n", prev, slot, spec, l.v.describeState(l.v.cur.top()))
}

// safe ends a way that needs not be walked.
func (l *logger) safe(prev, slot int) {
	if !l.on {
		return
	}
	if prev >= 0 && prev+1 != slot {
		l.printf("from %d to %d: safe\n", prev, slot)
	} else {
		l.printf("%d: safe\n", slot)
	}
}

// enter and leave are calls of functions.
func (l *logger) enter() {
	if l.on {
		v := l.v
		l.printf("caller:\n%s\ncallee:\n%s\n", v.describeState(v.cur.top()-1), v.describeState(v.cur.top()))
	}
}

func (l *logger) leave(to int) {
	if l.on {
		l.printf("to caller at %d:\n%s\n", to, l.v.describeState(l.v.cur.top()))
	}
}

// end writes what is kept, and the figures.
func (l *logger) end(err error) {
	v := l.v
	if v.env.Log == nil || v.env.LogLevel == 0 {
		return
	}
	if l.path && l.on {
		l.kept.WriteTo(l.w)
	}
	if err != nil {
		fmt.Fprintf(v.env.Log, "%v\n", err)
	}
	if v.env.LogLevel&4 != 0 {
		fmt.Fprintf(v.env.Log, "verification time %d usec\nstack depth ", v.stats.Micros)
		for i, d := range v.stats.StackDepth {
			if i > 0 {
				fmt.Fprint(v.env.Log, "+")
			}
			fmt.Fprint(v.env.Log, d)
		}
		fmt.Fprintln(v.env.Log)
	}
	fmt.Fprintf(v.env.Log, "processed %d insns (limit %d) max_states_per_insn %d total_states %d peak_states %d mark_read 0\n",
		v.stats.Processed, maxProcessed, v.stats.MaxStates, v.stats.TotalStates, v.stats.PeakStates)
}
