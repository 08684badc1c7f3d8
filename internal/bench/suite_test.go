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
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/loader"
)

const (
	rounds     = 7 // of which the median counts
	roundNanos = 4e6
)

// subject is a program of the suite with what each engine makes of it.
type subject struct {
	name    string
	program *sandbpf.Program
	plain   *plain         // nil: the program needs what the yardstick does not have
	linux   *kernel.Loaded // nil: there is no kernel to ask
	packet  []byte
}

func packet(t testing.TB) []byte {
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "bench", "packet.bin"))
	require.NoError(t, err)
	return b
}

// subjects loads the programs of a folder, in the order of their names.
func subjects(t testing.TB, folder string) []*subject {
	files, err := filepath.Glob(filepath.Join("..", "..", "testdata", "bench", folder, "*.o"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	vm, err := sandbpf.New(sandbpf.WithCPUs(1))
	require.NoError(t, err)
	t.Cleanup(func() { vm.Close() })
	var list []*subject
	for _, file := range files {
		spec, err := loader.LoadSpec(file)
		require.NoError(t, err)
		coll, err := vm.LoadCollection(spec)
		require.NoError(t, err)
		t.Cleanup(func() { coll.Close() })
		for _, name := range coll.Programs() {
			s := &subject{name: name, program: coll.Program(name), packet: packet(t)}
			if len(spec.Maps) == 0 {
				s.plain = yardstick(t, spec.Programs[name].Instructions)
				s.plain.packet = s.packet
			}
			s.linux = loadLinux(t, file, name)
			list = append(list, s)
		}
	}
	return list
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

// loadLinux gives a program without maps to the kernel, if there is one.
func loadLinux(t testing.TB, file, name string) *kernel.Loaded {
	if kernel.Available() != nil {
		return nil
	}
	spec, err := ebpf.LoadCollectionSpec(file)
	require.NoError(t, err)
	if len(spec.Maps) != 0 {
		return nil
	}
	var b bytes.Buffer
	require.NoError(t, spec.Programs[name].Instructions.Marshal(&b, binary.NativeEndian))
	l, err := kernel.Load(kernel.Prog{Type: ebpf.XDP, Insns: b.Bytes()})
	require.NoError(t, err)
	require.True(t, l.Accepted(), l.Log)
	t.Cleanup(func() { l.Close() })
	return l
}

// interp runs the program n times and returns the time of one, and how many
// instructions that is.
func (s *subject) interp(t testing.TB, n int) (ns, insns float64) {
	before := s.program.Stats()
	run := hooks.TestRun{Data: s.packet, Repeat: n}
	require.NoError(t, hooks.Test(context.Background(), s.program, &run))
	after := s.program.Stats()
	return float64(run.Duration.Nanoseconds()), float64(after.Instructions-before.Instructions) / float64(n)
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

// TestSuiteAgrees holds the engines' results against each other and against what
// Linux has computed.
func TestSuiteAgrees(t *testing.T) {
	var recorded map[string]uint32
	b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "bench", "golden.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &recorded))
	for _, folder := range []string{"", "holdout"} {
		for _, s := range subjects(t, folder) {
			run := hooks.TestRun{Data: s.packet}
			require.NoError(t, hooks.Test(context.Background(), s.program, &run), s.name)
			want, ok := recorded[path.Join(folder, s.name)]
			require.True(t, ok, s.name)
			require.Equal(t, want, uint32(run.Ret), s.name)
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

// BenchmarkHoldout is BenchmarkSuite for programs of other kinds, which nothing
// was tuned to.
func BenchmarkHoldout(b *testing.B) { suite(b, "holdout") }

func suite(b *testing.B, folder string) {
	if b.N > 1 { // it times itself
		return
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-14s %8s %12s %9s %12s %9s %7s %12s %9s\n", "program", "insns", "interp ns", "ns/insn",
		"plain ns", "ns/insn", "ratio", "linux ns", "ns/insn")
	var perInsn, ratios []float64
	for _, s := range subjects(b, folder) {
		first, insns := s.interp(b, 3)
		n := max(1, int(roundNanos/first))
		var interp, plain, linux []float64
		for range rounds {
			ns, _ := s.interp(b, n)
			interp = append(interp, ns)
			if s.plain != nil {
				plain = append(plain, s.yardstick(b, max(1, n/2)))
			}
			if s.linux != nil {
				res, err := s.linux.Run(s.packet, nil, n)
				require.NoError(b, err)
				linux = append(linux, float64(res.Duration.Nanoseconds()))
			}
		}
		ns := median(interp)
		perInsn = append(perInsn, ns/insns)
		fmt.Fprintf(&out, "%-14s %8.0f %12.0f %9.2f", s.name, insns, ns, ns/insns)
		if plain == nil {
			fmt.Fprintf(&out, " %12s %9s %7s", "-", "-", "-")
		} else {
			ratios = append(ratios, ns/median(plain))
			fmt.Fprintf(&out, " %12.0f %9.2f %7.2f", median(plain), median(plain)/insns, ns/median(plain))
		}
		if linux == nil {
			fmt.Fprintf(&out, " %12s %9s\n", "-", "-")
		} else {
			fmt.Fprintf(&out, " %12.0f %9.2f\n", median(linux), median(linux)/insns)
		}
	}
	fmt.Fprintf(&out, "geomean interp/plain: %.3f\n", geomean(ratios))
	fmt.Fprintf(&out, "geomean interp ns/insn: %.3f\n", geomean(perInsn))
	fmt.Print(out.String())
	b.ReportMetric(geomean(perInsn), "ns/insn")
}
