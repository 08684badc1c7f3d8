package bench

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/verifier"
)

// event is the context of the programs that are called.
type event struct{ Number uint64 }

// calls is how often the program calls that is about a helper.
const calls = 1000

// inARow is how many runs are timed together, so that what calls them weighs little.
const inARow = 16

// BenchmarkCalls prints what it costs to go into a program and out of it.
func BenchmarkCalls(b *testing.B) {
	if b.N > 1 { // it times itself
		return
	}
	if err := jit.Available(); err != nil {
		b.Skip(err)
	}
	hook, err := hooks.New[event]("bench_calls", hooks.Helper("twice", func(n uint64) uint64 { return 2 * n }))
	require.NoError(b, err)
	v := newVM(b, sandbpf.JIT, sandbpf.WithHook(hook))
	cpu, err := v.Acquire()
	require.NoError(b, err)
	b.Cleanup(cpu.Release)
	leasing := newVM(b, sandbpf.JIT, sandbpf.WithHook(hook))
	const empty = "r0 = 0\nexit"
	loop := func(body string) string {
		return fmt.Sprintf("r6 = %d\nagain:\nr1 = r6\n%s\nr6 -= 1\nif r6 != 0 goto again\nr0 = 0\nexit", calls, body)
	}
	held := func() { _, err = hook.FireOn(cpu, &event{1}) }
	leased := func() { _, err = hook.Fire(&event{1}) }
	fmt.Printf("\n%-28s %8s %6s\n", "call", "ns", "bar")
	for _, row := range []struct {
		name, text string
		vm         *sandbpf.VM
		fire       func()
		bar        float64
		off        string // a program whose time is taken off
		n          float64
	}{
		{"event, empty, CPU held", empty, v, held, 8, "", 1},
		{"event, empty, CPU leased", empty, leasing, leased, 20, "", 1},
		{"helper in Go and back", loop(fmt.Sprintf("call %d", hooks.FirstCustomHelper)), v, held, 15, loop("r0 = r1"), calls},
	} {
		ns := timeOf(b, hook, row.vm, row.text, row.fire)
		if row.off != "" {
			ns -= timeOf(b, hook, row.vm, row.off, row.fire)
		}
		require.NoError(b, err)
		fmt.Printf("%-28s %8.1f %6.0f\n", row.name, ns/row.n, row.bar)
	}
	p := enginetest.Parse(b, empty)
	p.Type = prog.XDP
	proof, err := verifier.Verify(p, nil)
	require.NoError(b, err)
	code, err := jit.Compile(p, jit.Env{Proof: proof})
	require.NoError(b, err)
	b.Cleanup(func() { code.Close() })
	c := enginetest.NewRig(b).CPU
	fmt.Printf("%-28s %8.1f %6.0f\n", "machine code alone, held", repeated(func() {
		for range inARow {
			_, err = code.Run(c)
		}
	})/inARow, 8.0)
	fmt.Printf("%-28s %8.1f %6.0f\n", "machine code alone, leased", repeated(func() {
		for range inARow {
			c := c.M.Acquire()
			_, err = code.Run(c)
			c.M.Release(c)
		}
	})/inARow, 20.0)
	require.NoError(b, err)
}

// timeOf attaches a program and returns what an event takes.
func timeOf(b *testing.B, hook *hooks.Hook[event], v *sandbpf.VM, text string, fire func()) float64 {
	insns, err := asm.Parse(text)
	require.NoError(b, err)
	p, err := v.LoadProgram(&sandbpf.ProgramSpec{Name: "empty", Section: hook.Type().Name, Instructions: insns}, nil)
	require.NoError(b, err)
	link, err := hook.Attach(p)
	require.NoError(b, err)
	require.Zero(b, testing.AllocsPerRun(10, fire))
	ns := repeated(fire)
	require.NoError(b, link.Detach())
	require.NoError(b, p.Close())
	return ns
}

// repeated returns how long f takes, called again and again, in nanoseconds.
func repeated(f func()) float64 {
	began := time.Now()
	f()
	n := max(10, int(sampleNanos/max(time.Since(began).Nanoseconds(), 20)))
	var ns []float64
	for range rounds {
		ns = append(ns, fastest(func() float64 {
			began := time.Now()
			for range n {
				f()
			}
			return float64(time.Since(began).Nanoseconds()) / float64(n)
		}))
	}
	return median(ns)
}

// BenchmarkCompile prints what compiling takes: programs of any size, with every access
// checked, and those of the suite, proved.
func BenchmarkCompile(b *testing.B) {
	if b.N > 1 { // it times itself
		return
	}
	if err := jit.Available(); err != nil {
		b.Skip(err)
	}
	fmt.Printf("\n%-14s %10s %10s %10s   bar: 20 µs, 150 ns/insn beyond\n", "compile", "insns", "µs", "ns/insn")
	nothing := enginetest.Parse(b, "r0 = 0\nexit")
	compile := func(p *prog.Program) func() (*jit.Code, error) {
		return func() (*jit.Code, error) { return jit.Compile(p, jit.Env{}) }
	}
	fixed := compileTime(b, compile(nothing))
	row := func(name string, insns int, ns float64) {
		fmt.Printf("%-14s %10d %10.1f %10.1f\n", name, insns, ns/1e3, (ns-fixed)/float64(insns))
	}
	row("nothing", len(nothing.Insns), fixed)
	for _, copies := range []int{1, 10, 100, 1000} {
		p := chain(enginetest.NewGenerator(1).Program(100), copies)
		row("generated", len(p.Insns), compileTime(b, compile(p)))
	}
	insns, sum := 0, 0.0
	for _, folder := range []string{"", "holdout"} {
		for _, s := range subjects(b, folder) {
			code := s.jit.Runner().(*jit.Code)
			insns += len(s.spec.Instructions)
			sum += compileTime(b, func() (*jit.Code, error) { return code.Without(0) }) - fixed
		}
	}
	row("suite, all", insns, sum+fixed)
}

// chain returns a program of so many copies of p, each of which may be skipped.
func chain(p *prog.Program, copies int) *prog.Program {
	long := &prog.Program{Name: p.Name}
	skip := asm.JEq.Imm(asm.R1, 0, "")
	skip.Off = int16(len(p.Insns))
	for range copies {
		long.Insns = append(append(long.Insns, skip), p.Insns...)
	}
	long.Insns = append(long.Insns, p.Insns[len(p.Insns)-1])
	return long
}

// compileTime returns how long it takes to compile a program, in nanoseconds: the least of some.
func compileTime(b *testing.B, compile func() (*jit.Code, error)) float64 {
	least := math.Inf(1)
	began := time.Now()
	for n := 0; n < rounds || time.Since(began) < 20*time.Millisecond; n++ {
		began := time.Now()
		code, err := compile()
		least = min(least, float64(time.Since(began).Nanoseconds()))
		require.NoError(b, err)
		require.NoError(b, code.Close())
	}
	return least
}
