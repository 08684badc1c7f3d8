package domain

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/isa"
)

// pairs calls f with pairs of numbers below n: all, or a sample of about count.
func pairs(n, count int, f func(i, j int)) {
	if *deep {
		count = n * n
	}
	step := max(1, n*n/count)
	r := newRand(uint64(n))
	for k := 0; k < n*n; k += 1 + r.IntN(2*step-1) {
		f(k/n, k%n)
	}
}

// TestALUPrecision tries the operations on pairs of all scalars of width 4: no
// result is missing. It reports how often the result is the best one that there is.
func TestALUPrecision(t *testing.T) {
	all := allScalars()
	sets := make([]uint16, len(all))
	for i := range all {
		sets[i] = set(&all[i])
	}
	for _, wide := range []bool{true, false} {
		for _, op := range aluOps {
			t.Run(fmt.Sprintf("%v wide=%v", op, wide), func(t *testing.T) {
				t.Parallel()
				concrete := tableALU(op, wide)
				var exact, exactLinux, total int
				pairs(len(all), 10_000, func(i, j int) {
					want := image(concrete, sets[i], sets[j])
					linux := aluOf[w4](Linux, op, wide, &all[i], &all[j])
					got := aluOf[w4](Tight, op, wide, &all[i], &all[j])
					if want&^set(&got) != 0 || want&^set(&linux) != 0 || !linux.Includes(&got) {
						require.Fail(t, "ALU", "%v %v %v: want %016b, Tight %v, Linux %v", all[i], op, all[j], want, got, linux)
					}
					total++
					b := bestScalar(want)
					if got == b {
						exact++
					}
					if linux == b {
						exactLinux++
					}
				})
				t.Logf("%v wide=%v: best of %d results: Tight %.1f%%, Linux %.1f%%", op, wide, total, percent(exact, total), percent(exactLinux, total))
			})
		}
	}
}

// TestALUWide tries them at random on 64 bits and on 8.
func TestALUWide(t *testing.T) {
	testALUAtRandom[w64](t)
	testALUAtRandom[w8](t)
}

func testALUAtRandom[W width](t *testing.T) {
	r := newRand(2)
	n := bitsOf[W]()
	for range randomTries() / 2 {
		op, wide := aluOps[r.IntN(len(aluOps))], r.IntN(2) == 0
		rules := bothRules[r.IntN(2)]
		a, x := randomScalar[W](r, rules)
		b, y := randomScalar[W](r, rules)
		if r.IntN(4) == 0 {
			y = trunc(y, 3)
			b = constant[W](y)
		}
		linux, got := aluOf[W](Linux, op, wide, &a, &b), aluOf[W](Tight, op, wide, &a, &b)
		for _, x := range corners[W](&a, x) {
			for _, y := range corners[W](&b, y) {
				want := computeALU(op, wide, x, y, n)
				if !contains[W](&got, want) || !contains[W](&linux, want) || !linux.Includes(&got) {
					require.Fail(t, "ALU", "%d bits: %v %v (wide %v) %v: %#x %#x is %#x; Tight %v, Linux %v", n, a, op, wide, b, x, y, want, got, linux)
				}
			}
		}
	}
}

// unaries are the operations with one operand, at 64 bits.
var unaries = map[string]struct {
	abstract func(Rules, Scalar) Scalar
	concrete func(uint64) uint64
}{
	"neg":        {func(r Rules, x Scalar) Scalar { return r.Neg(true, x) }, func(x uint64) uint64 { return isa.Neg(true, x) }},
	"neg32":      {func(r Rules, x Scalar) Scalar { return r.Neg(false, x) }, func(x uint64) uint64 { return isa.Neg(false, x) }},
	"truncate8":  {func(r Rules, x Scalar) Scalar { return r.Truncate(x, 8) }, func(x uint64) uint64 { return isa.Truncate(x, 8) }},
	"truncate16": {func(r Rules, x Scalar) Scalar { return r.Truncate(x, 16) }, func(x uint64) uint64 { return isa.Truncate(x, 16) }},
	"truncate32": {func(r Rules, x Scalar) Scalar { return r.Truncate(x, 32) }, func(x uint64) uint64 { return isa.Truncate(x, 32) }},
	"truncate64": {func(r Rules, x Scalar) Scalar { return r.Truncate(x, 64) }, func(x uint64) uint64 { return x }},
	"movsx8":     {func(r Rules, x Scalar) Scalar { return r.MovSX(true, x, 8) }, func(x uint64) uint64 { return isa.MovSX(true, x, 8) }},
	"movsx16":    {func(r Rules, x Scalar) Scalar { return r.MovSX(true, x, 16) }, func(x uint64) uint64 { return isa.MovSX(true, x, 16) }},
	"movsx32":    {func(r Rules, x Scalar) Scalar { return r.MovSX(true, x, 32) }, func(x uint64) uint64 { return isa.MovSX(true, x, 32) }},
	"movsx8w":    {func(r Rules, x Scalar) Scalar { return r.MovSX(false, x, 8) }, func(x uint64) uint64 { return isa.MovSX(false, x, 8) }},
	"movsx16w":   {func(r Rules, x Scalar) Scalar { return r.MovSX(false, x, 16) }, func(x uint64) uint64 { return isa.MovSX(false, x, 16) }},
	"bswap16":    {func(r Rules, x Scalar) Scalar { return r.BSwap(x, 16) }, func(x uint64) uint64 { return isa.BSwap(x, 16) }},
	"bswap32":    {func(r Rules, x Scalar) Scalar { return r.BSwap(x, 32) }, func(x uint64) uint64 { return isa.BSwap(x, 32) }},
	"bswap64":    {func(r Rules, x Scalar) Scalar { return r.BSwap(x, 64) }, func(x uint64) uint64 { return isa.BSwap(x, 64) }},
}

func TestUnaryWide(t *testing.T) {
	for name, op := range unaries {
		r := newRand(3)
		for range randomTries() / 4 {
			x, v := randomScalar[w64](r, bothRules[r.IntN(2)])
			linux, got := op.abstract(Linux, x), op.abstract(Tight, x)
			for _, v := range corners[w64](&x, v) {
				want := op.concrete(v)
				if !got.Contains(want) || !linux.Contains(want) || !linux.Includes(&got) {
					require.Fail(t, name, "%v: %#x is %#x; Tight %v, Linux %v", x, v, want, got, linux)
				}
			}
		}
	}
}

// TestUnary tries them on all scalars of width 4.
func TestUnary(t *testing.T) {
	type unary struct {
		abstract func(Rules, *Scalar) Scalar
		concrete func(uint64) uint64
	}
	ops := map[string]unary{
		"neg":       {func(r Rules, x *Scalar) Scalar { return neg[w4](r, true, x) }, func(x uint64) uint64 { return -x & 15 }},
		"neg low":   {func(r Rules, x *Scalar) Scalar { return neg[w4](r, false, x) }, func(x uint64) uint64 { return -x & 3 }},
		"movsx low": {func(r Rules, x *Scalar) Scalar { return movSX[w4](r, false, x, 1) }, func(x uint64) uint64 { return -(x & 1) & 3 }},
	}
	for n := uint(1); n <= 2; n++ {
		ops[fmt.Sprint("truncate ", n)] = unary{func(r Rules, x *Scalar) Scalar { return truncate[w4](r, x, n) }, func(x uint64) uint64 { return trunc(x, n) }}
		ops[fmt.Sprint("movsx ", n)] = unary{func(r Rules, x *Scalar) Scalar { return movSX[w4](r, true, x, n) }, func(x uint64) uint64 { return trunc(uint64(sext(x, n)), 4) }}
	}
	for name, op := range ops {
		concrete := table(func(x, _ uint64) uint64 { return op.concrete(x) })
		for _, x := range allScalars() {
			want := image(concrete, set(&x), 1)
			got, linux := op.abstract(Tight, &x), op.abstract(Linux, &x)
			if want&^set(&got) != 0 || want&^set(&linux) != 0 || !linux.Includes(&got) {
				require.Fail(t, name, "%v: want %016b, Tight %v, Linux %v", x, want, got, linux)
			}
		}
	}
}

// TestUnknownOp shows that nothing follows from an operation that does not exist.
func TestUnknownOp(t *testing.T) {
	for _, r := range bothRules {
		require.Equal(t, Unknown(), r.ALU(asm.ALUOp(0x80), true, Const(1), Const(2)))
		for _, op := range []asm.JumpOp{0x00, 0xe0} {
			a, b := Const(1), Const(3)
			for _, taken := range []bool{true, false} {
				require.True(t, r.Refine(op, true, taken, &a, &b))
			}
			require.Equal(t, Const(1), a)
			require.Equal(t, Const(3), b)
			known, _ := r.Decide(op, true, &a, &b)
			require.False(t, known)
		}
	}
}

// aluOf is aluTo with a result of its own.
func aluOf[W width](r Rules, op asm.ALUOp, wide bool, dst, src *Scalar) Scalar {
	s := *dst
	aluTo[W](r, op, wide, &s, src)
	return s
}
