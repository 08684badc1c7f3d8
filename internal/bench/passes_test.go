package bench

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/jit"
)

// variant is a program compiled in another way.
type variant struct{ x *hooks.Executable }

func (v variant) Name() string                  { return v.x.Name() }
func (v variant) Executable() *hooks.Executable { return v.x }

// without compiles the program without some passes, and returns how many bytes of machine
// code that makes for each instruction.
func (s *subject) without(t testing.TB, passes lower.Pass) (variant, float64) {
	code, err := s.jit.Runner().(*jit.Code).Without(passes)
	require.NoError(t, err)
	cfg := s.jit.Executable().Config
	cfg.Engine, cfg.Free = code, func() {
		if err := code.Close(); err != nil {
			t.Error(err)
		}
	}
	x := hooks.NewExecutable(cfg)
	t.Cleanup(x.Release)
	return variant{x}, float64(code.Size()) / float64(len(s.spec.Instructions))
}

// TestPassesAgree has the programs compute the same without each of the passes.
func TestPassesAgree(t *testing.T) {
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	for _, folder := range folders {
		for _, s := range subjects(t, folder) {
			want := hooks.TestRun{Data: s.packet}
			require.NoError(t, hooks.Test(context.Background(), s.program, &want), s.name)
			for pass, name := range lower.Passes() {
				v, _ := s.without(t, pass)
				got := hooks.TestRun{Data: s.packet}
				require.NoError(t, hooks.Test(context.Background(), v, &got), "%s without %s", s.name, name)
				require.Equal(t, want.Ret, got.Ret, "%s without %s", s.name, name)
				require.Equal(t, s.program.Stats().Instructions, v.x.Stats().Instructions, "%s without %s", s.name, name)
			}
		}
	}
}

// passRow is what the programs of a folder become with some passes left out.
type passRow struct {
	name     string
	pass     lower.Pass
	ratios   [][]float64 // of the times to those with all passes, by folder
	size     []float64   // bytes for each instruction
	most     float64     // the largest ratio, and
	mostName string      // whose it is
}

// BenchmarkPasses prints what each pass gives: what the programs take without it, with all passes
// being 1.
func BenchmarkPasses(b *testing.B) {
	if b.N > 1 { // it times itself
		return
	}
	if err := jit.Available(); err != nil {
		b.Skip(err)
	}
	rows := []*passRow{{name: "none"}}
	for pass, name := range lower.Passes() {
		rows = append(rows, &passRow{name: name, pass: pass})
	}
	rows = append(rows, &passRow{name: "all", pass: ^lower.Pass(0)})
	for _, r := range rows {
		r.ratios = make([][]float64, len(folders))
	}
	for i, folder := range folders {
		for _, s := range subjects(b, folder) {
			s.measurePasses(b, rows, i)
		}
	}
	var out strings.Builder
	fmt.Fprintf(&out, "\n%-12s", "without")
	for _, folder := range folders {
		fmt.Fprintf(&out, " %8s", cmp.Or(folder, "suite"))
	}
	fmt.Fprintf(&out, " %8s   %s\n", "B/insn", "most")
	for _, r := range rows {
		fmt.Fprintf(&out, "%-12s", r.name)
		for i := range folders {
			fmt.Fprintf(&out, " %8.3f", geomean(r.ratios[i]))
		}
		fmt.Fprintf(&out, " %8.1f   %s %.2f\n", geomean(r.size), r.mostName, r.most)
	}
	fmt.Print(out.String())
}

// measurePasses times a program of a folder in the forms that the rows are about, in turns.
func (s *subject) measurePasses(b *testing.B, rows []*passRow, folder int) {
	ns, _ := s.time(b, s.jit, 3)
	n := max(1, int(sampleNanos/ns))
	empty := s.empty(b).checked
	variants := make([]variant, len(rows))
	for i, r := range rows {
		v, size := s.without(b, r.pass)
		variants[i], r.size = v, append(r.size, size)
	}
	ratios := make([][]float64, len(rows))
	for range rounds {
		off := fastest(func() float64 { ns, _ := s.time(b, empty, n); return ns })
		all := 0.0
		for i, v := range variants {
			ns := fastest(func() float64 { ns, _ := s.time(b, v, n); return ns }) - off
			if i == 0 {
				all = ns
			}
			ratios[i] = append(ratios[i], ns/all)
		}
	}
	for i, r := range rows {
		ratio := median(ratios[i])
		r.ratios[folder] = append(r.ratios[folder], ratio)
		if ratio > r.most {
			r.most, r.mostName = ratio, s.name
		}
	}
}
