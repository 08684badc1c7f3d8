package jit_test

import (
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/loader"
	"github.com/sandbpf/sandbpf/verifier"
)

// proved is a program with its proof.
type proved struct {
	p     *prog.Program
	proof *verifier.Proof
}

func (p *proved) env() jit.Env {
	return jit.Env{NumCPU: 1, Inline: true, Proof: p.proof, Layout: hooks.XDP.Layout}
}

// suite returns the programs of the benchmarks that are one function without maps.
func suite(t testing.TB) (list []proved) {
	for _, folder := range []string{"", "holdout"} {
		files, err := filepath.Glob(filepath.Join("..", "testdata", "bench", folder, "*.o"))
		require.NoError(t, err)
		for _, file := range files {
			spec, err := loader.LoadSpec(file)
			require.NoError(t, err)
			for _, ps := range spec.Programs {
				called := slices.ContainsFunc(ps.Instructions, func(ins asm.Instruction) bool { return ins.Kind() == asm.KindCallLocal })
				if len(spec.Maps) != 0 || called {
					continue
				}
				p := enginetest.Program(t, ps.Instructions)
				p.Type = ps.Type
				proof, err := verifier.Verify(p, &verifier.Env{NumCPU: 1})
				require.NoError(t, err)
				list = append(list, proved{p, proof})
			}
		}
	}
	require.NotEmpty(t, list)
	return list
}

// chain returns a program of at least n instructions, those of the programs in list one
// behind the other, again and again, with what is proved of each.
func chain(list []proved, n int) proved {
	const ctx = -prog.StackSize // where r1 is kept
	whole := proved{&prog.Program{Name: "chain", Type: prog.XDP}, &verifier.Proof{}}
	add := func(proof verifier.InsnProof, ins asm.Instruction) {
		whole.p.Insns = append(whole.p.Insns, ins)
		whole.proof.Insns = append(whole.proof.Insns, proof)
	}
	seen := verifier.InsnProof{Seen: true}
	spill := verifier.InsnProof{Seen: true, Access: verifier.Access{Memory: verifier.MemStack, Proved: true}}
	add(spill, asm.StoreMem(asm.R10, ctx, asm.R1, asm.DWord))
	for i := 0; len(whole.p.Insns) < n; i++ {
		from := &list[i%len(list)]
		add(spill, asm.LoadMem(asm.R1, asm.R10, ctx, asm.DWord))
		for slot, ins := range from.p.Insns {
			if ins.Kind() == asm.KindExit {
				ins = asm.Goto("")
				ins.Off = int16(len(from.p.Insns) - 1 - slot)
			}
			add(from.proof.Insns[slot], ins)
		}
	}
	add(seen, asm.Mov.Imm(asm.R0, 0))
	add(seen, asm.Return())
	return whole
}

// count returns how many instructions p has.
func (p *proved) count() (n int) {
	for slot := 0; slot < len(p.p.Insns); slot += p.p.Insns[slot].Slots() {
		n++
	}
	return n
}

// compiled compiles a program and frees it again.
func compiled(t testing.TB, p *prog.Program, env jit.Env) {
	code, err := jit.Compile(p, env)
	require.NoError(t, err)
	require.NoError(t, code.Close())
}

// BenchmarkCompile reports what compiling costs for each instruction: of programs that clang
// has made, with their proofs, and of random ones whose accesses are all checked.
func BenchmarkCompile(b *testing.B) {
	if err := jit.Available(); err != nil {
		b.Skip(err)
	}
	list := suite(b)
	run := func(name string, n int, program func(n int) (proved, jit.Env)) {
		b.Run(name+"/"+strconv.Itoa(n), func(b *testing.B) {
			p, env := program(n)
			n := p.count()
			b.ReportAllocs()
			for b.Loop() {
				compiled(b, p.p, env)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/insn")
		})
	}
	for _, n := range []int{100, 1000, 20000, 100000} {
		run("proved", n, func(n int) (proved, jit.Env) {
			p := chain(list, n)
			return p, p.env()
		})
	}
	for _, n := range []int{2, 100, 1000, 20000, 100000} {
		run("checked", n, func(n int) (proved, jit.Env) {
			if n == 2 {
				return proved{p: enginetest.Parse(b, "r0 = 0\nexit")}, jit.Env{}
			}
			return proved{p: enginetest.NewGenerator(1).Program(n)}, jit.Env{}
		})
	}
}
