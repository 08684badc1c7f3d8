package bench

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/loader"
)

const (
	rounds      = 7 // of which the median counts
	sampleNanos = 1e5
)

// folders are those of testdata/bench with programs.
var folders = []string{"", "holdout", "fresh", "kernels"}

// subject is a program of the suite with what each engine makes of it.
type subject struct {
	name    string
	spec    *sandbpf.ProgramSpec
	program *sandbpf.Program // interpreted
	jit     *sandbpf.Program // nil: there is no native code here
	checked *sandbpf.Program // native code with every access checked
	plain   *plain           // nil: the program needs what the yardstick does not have
	linux   *kernel.Loaded   // nil: there is no kernel to ask
	file    string           // the object
	packet  []byte
}

func packet(t testing.TB) []byte {
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "bench", "packet.bin"))
	require.NoError(t, err)
	return b
}

// golden returns what Linux has computed, by folder and name of the program.
func golden(t testing.TB) (recorded map[string]uint32) {
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "bench", "golden.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &recorded))
	return recorded
}

// subjects loads the programs of a folder, in the order of their names.
func subjects(t testing.TB, folder string) []*subject {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "bench", folder, "*.o"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	interp := newVM(t, sandbpf.Interpreter)
	var native, checked *sandbpf.VM
	if jit.Available() == nil {
		native, checked = newVM(t, sandbpf.JIT), newVM(t, sandbpf.JIT, sandbpf.WithoutVerifier())
	}
	var list []*subject
	for _, file := range files {
		spec, err := loader.LoadSpec(file)
		require.NoError(t, err)
		coll := load(t, interp, spec)
		for _, name := range coll.Programs() {
			s := &subject{name: name, spec: spec.Programs[name], program: coll.Program(name), packet: packet(t), file: file}
			if native != nil {
				s.checked = load(t, checked, spec).Program(name)
				s.jit = load(t, native, spec).Program(name)
			}
			if len(spec.Maps) == 0 {
				s.plain = yardstick(t, spec.Programs[name].Instructions)
				s.plain.packet = s.packet
			}
			s.linux = loadLinux(t, file)[name]
			list = append(list, s)
		}
	}
	return list
}

func newVM(t testing.TB, e sandbpf.Engine, options ...sandbpf.Option) *sandbpf.VM {
	vm, err := sandbpf.New(append(options, sandbpf.WithCPUs(1), sandbpf.WithEngine(e))...)
	require.NoError(t, err)
	t.Cleanup(func() { vm.Close() })
	return vm
}

func load(t testing.TB, vm *sandbpf.VM, spec *sandbpf.CollectionSpec) *sandbpf.Collection {
	coll, err := vm.LoadCollection(spec)
	require.NoError(t, err)
	t.Cleanup(func() { coll.Close() })
	return coll
}

func yardstick(t testing.TB, insns asm.Instructions) *plain {
	insns, err := insns.Resolve()
	require.NoError(t, err)
	p := &prog.Program{}
	for _, ins := range insns {
		p.Insns = append(p.Insns, ins)
		if ins.Slots() == 2 {
			p.Insns = append(p.Insns, asm.Instruction{})
		}
	}
	return newPlain(p)
}

// loadLinux gives the programs of an object to the kernel, if there is one.
func loadLinux(t testing.TB, file string) map[string]*kernel.Loaded {
	if kernel.Available() != nil {
		return nil
	}
	spec, err := ebpf.LoadCollectionSpec(file)
	require.NoError(t, err)
	coll, err := kernel.LoadSpec(spec)
	require.NoError(t, err)
	t.Cleanup(func() { coll.Close() })
	return coll.Programs
}

// hostOrder is the byte order of this machine, as ebpf knows it.
func hostOrder() binary.ByteOrder {
	if isa.BigEndian {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// time runs a program n times and returns the time of one, and how many
// instructions that is.
func (s *subject) time(t testing.TB, p hooks.Program, n int) (ns, insns float64) {
	before := p.Executable().Stats()
	run := hooks.TestRun{Data: s.packet, Repeat: n}
	require.NoError(t, hooks.Test(context.Background(), p, &run))
	after := p.Executable().Stats()
	return float64(run.Duration.Nanoseconds()), float64(after.Instructions-before.Instructions) / float64(n)
}

// fastest returns the least of what several short measurements return: on a machine
// that others use, one of them goes undisturbed.
func fastest(measure func() float64) float64 {
	least := measure()
	for range 24 {
		least = min(least, measure())
	}
	return least
}

func (s *subject) yardstick(t testing.TB, n int) float64 {
	began := time.Now()
	for range n {
		if _, err := s.plain.run(); err != nil {
			t.Fatal(err)
		}
	}
	return float64(time.Since(began).Nanoseconds()) / float64(n)
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func geomean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(v)))
}

// compiled returns the forms of the program that are native code.
func (s *subject) compiled() []hooks.Program {
	if s.jit == nil {
		return nil
	}
	return []hooks.Program{s.checked, s.jit}
}

// TestSuiteAgrees holds the engines' results against each other and against what
// Linux has computed.
func TestSuiteAgrees(t *testing.T) {
	recorded := golden(t)
	for _, folder := range folders {
		for _, s := range subjects(t, folder) {
			run := hooks.TestRun{Data: s.packet}
			require.NoError(t, hooks.Test(context.Background(), s.program, &run), s.name)
			want, ok := recorded[path.Join(folder, s.name)]
			require.True(t, ok, s.name)
			require.Equal(t, want, uint32(run.Ret), s.name)
			for _, p := range s.compiled() {
				native := hooks.TestRun{Data: s.packet}
				require.NoError(t, hooks.Test(context.Background(), p, &native), s.name)
				require.Equal(t, run.Ret, native.Ret, s.name)
				require.Equal(t, run.DataOut, native.DataOut, s.name)
				require.Equal(t, s.program.Stats().Instructions, p.Executable().Stats().Instructions, s.name)
			}
			if s.plain != nil {
				// The yardstick changes the packet in place, which others must not see.
				s.plain.packet = bytes.Clone(s.packet)
				want, err := s.plain.run()
				require.NoError(t, err, s.name)
				require.Equal(t, uint32(want), uint32(run.Ret), s.name)
				require.Equal(t, s.plain.packet, run.DataOut, s.name)
				require.Equal(t, s.plain.done, s.program.Stats().Instructions, s.name)
			}
			if s.linux != nil {
				got, err := s.linux.Run(s.packet, nil, 1)
				require.NoError(t, err)
				require.Equal(t, got.Ret, uint32(run.Ret), s.name)
			}
		}
	}
}

// BenchmarkSuite times every program on every engine, in turns, and prints the
// medians. Ratios of one run mean something; nanoseconds of a busy machine do not.
func BenchmarkSuite(b *testing.B) { suite(b, "") }

// BenchmarkHoldout is BenchmarkSuite for programs of other kinds, which those who
// tuned have looked at.
func BenchmarkHoldout(b *testing.B) { suite(b, "holdout") }

// BenchmarkFresh is BenchmarkSuite for programs of yet other kinds, which were written
// without knowing the passes or any time, and have been read since.
func BenchmarkFresh(b *testing.B) { suite(b, "fresh") }

// BenchmarkKernels is BenchmarkSuite for programs of the suite's kind, which were written
// without knowing the passes or any time. Who tunes does not read them.
func BenchmarkKernels(b *testing.B) { suite(b, "kernels") }

// The bars for the ratio to Linux: of the geomean by folder, and of each program.
var (
	suiteBar = map[string]float64{"": 0.75, "holdout": 0.78, "fresh": 0.78, "kernels": 0.78}
	eachBar  = 1.1
)

func suite(b *testing.B, folder string) {
	if b.N > 1 { // it times itself
		return
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-14s %8s %11s %8s %11s %7s %11s %11s %8s %8s %11s %8s %8s %7s\n", "program", "insns", "interp ns", "ns/insn",
		"plain ns", "ratio", "checked ns", "jit ns", "ns/insn", "B/insn", "linux ns", "ns/insn", "B/insn", "ratio")
	var perInsn, toPlain, toLinux []float64
	var losers []*subject
	for _, s := range subjects(b, folder) {
		m := s.measure(b)
		perInsn = append(perInsn, m.interp/m.insns)
		fmt.Fprintf(&out, "%-14s %8.0f %11.0f %8.2f", s.name, m.insns, m.interp, m.interp/m.insns)
		column(&out, "%11.0f", m.plain, "%7.2f", m.interp/m.plain)
		column(&out, "%11.0f", m.checked)
		column(&out, "%11.0f", m.jit, "%8.3f", m.jit/m.insns, "%8.1f", s.codeSize())
		column(&out, "%11.0f", m.linux, "%8.3f", m.linux/m.insns, "%8.1f", s.codeSizeOnLinux(b))
		column(&out, "%7.2f", m.jit/m.linux)
		out.WriteString("\n")
		if m.plain != 0 {
			toPlain = append(toPlain, m.interp/m.plain)
		}
		if m.jit != 0 && m.linux != 0 {
			toLinux = append(toLinux, m.jit/m.linux)
			if m.jit > m.linux {
				losers = append(losers, s)
			}
		}
	}
	if len(toLinux) > 0 {
		fmt.Fprintf(&out, "bars: jit/linux at most %.2f in the geomean, %.2f each; it is %.2f and %.2f\n",
			suiteBar[folder], eachBar, geomean(toLinux), slices.Max(toLinux))
	}
	fmt.Fprintf(&out, "geomean interp/plain: %.3f\n", geomean(toPlain))
	fmt.Fprintf(&out, "geomean interp ns/insn: %.3f\n", geomean(perInsn))
	if len(toLinux) > 0 {
		fmt.Fprintf(&out, "geomean jit/linux: %.3f\n", geomean(toLinux))
	}
	fmt.Print(out.String())
	writeLosers(b, losers)
	b.ReportMetric(geomean(perInsn), "ns/insn")
}

// codeSize returns how many bytes of machine code there are for each instruction.
func (s *subject) codeSize() float64 {
	if s.jit == nil {
		return 0
	}
	native, _ := s.jit.Native()
	return float64(len(native)) / float64(len(s.spec.Instructions))
}

// codeSizeOnLinux is codeSize for the kernel's code.
func (s *subject) codeSizeOnLinux(t testing.TB) float64 {
	if s.linux == nil {
		return 0
	}
	info, err := s.linux.Program().Info()
	require.NoError(t, err)
	size, err := info.JitedSize()
	require.NoError(t, err)
	return float64(size) / float64(len(s.spec.Instructions))
}

// column writes numbers, each after its format, or dashes for those that are not known.
func column(out *strings.Builder, pairs ...any) {
	for i := 0; i < len(pairs); i += 2 {
		format, v := pairs[i].(string), pairs[i+1].(float64)
		text := fmt.Sprintf(format, v)
		if v == 0 || math.IsInf(v, 0) || math.IsNaN(v) {
			text = strings.Repeat(" ", len(text)-1) + "-"
		}
		out.WriteString(" " + text)
	}
}

// times are the medians for one run of a program, in nanoseconds; 0 is not known.
type times struct{ insns, interp, plain, checked, jit, linux float64 }

// measure times every engine in turns. Of native code and Linux, what an empty program
// takes is taken off.
func (s *subject) measure(b *testing.B) (m times) {
	first, insns := s.time(b, s.program, 3)
	n := max(1, int(sampleNanos/first))
	fast := 10 * n
	empty := s.empty(b)
	time := func(p hooks.Program, n int) float64 {
		return fastest(func() float64 { ns, _ := s.time(b, p, n); return ns })
	}
	var interp, plain, checked, native, linux []float64
	for range rounds {
		interp = append(interp, time(s.program, n))
		if s.plain != nil {
			plain = append(plain, fastest(func() float64 { return s.yardstick(b, max(1, n/2)) }))
		}
		if s.jit != nil {
			off := time(empty.checked, fast)
			native = append(native, time(s.jit, fast)-off)
			checked = append(checked, time(s.checked, fast)-off)
		}
		if s.linux != nil {
			on := func(l *kernel.Loaded) float64 { return fastest(func() float64 { return s.onLinux(b, l, fast) }) }
			linux = append(linux, on(s.inLinux(b))-on(empty.linux))
		}
	}
	m.insns, m.interp = insns, median(interp)
	if plain != nil {
		m.plain = median(plain)
	}
	if native != nil {
		m.jit, m.checked = median(native), median(checked)
	}
	if linux != nil {
		m.linux = median(linux)
	}
	return m
}

// inLinux loads the program anew: where the kernel puts its code moves times by up to a half.
func (s *subject) inLinux(b *testing.B) *kernel.Loaded { return loadLinux(b, s.file)[s.name] }

func (s *subject) onLinux(b *testing.B, l *kernel.Loaded, n int) float64 {
	res, err := l.Run(s.packet, nil, n)
	require.NoError(b, err)
	return float64(res.Duration.Nanoseconds())
}

// empty returns the program that does nothing, for the engines that s has.
func (s *subject) empty(b *testing.B) *subject {
	nothing := asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}
	e := &subject{name: "empty"}
	if s.jit != nil {
		p, err := s.checked.VM().LoadProgram(&sandbpf.ProgramSpec{Name: "empty", Type: sandbpf.XDP, Instructions: nothing}, nil)
		require.NoError(b, err)
		b.Cleanup(func() { p.Close() })
		e.checked = p
	}
	if s.linux != nil {
		code, err := nothing.Encode(hostOrder())
		require.NoError(b, err)
		e.linux, err = kernel.Load(kernel.Prog{Type: ebpf.XDP, Insns: code})
		require.NoError(b, err)
		b.Cleanup(func() { e.linux.Close() })
	}
	return e
}
