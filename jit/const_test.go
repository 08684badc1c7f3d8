package jit

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/interp"
)

// quotient computes n / d as divideConst does.
func (r reciprocal) quotient(n uint64) uint64 {
	n >>= r.before
	h, _ := bits.Mul64(n, r.factor)
	if r.wide {
		h += (n - h) >> 1
	}
	return h >> r.shift
}

// TestReciprocal divides, by constants of all lengths, numbers around multiples of them.
func TestReciprocal(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var wide, plain, before int
	for range 20000 {
		d := rng.Uint64()>>rng.IntN(62) | uint64(rng.IntN(2))
		if d < 3 || d&(d-1) == 0 {
			continue
		}
		r := reciprocalOf(d, false)
		switch {
		case r.wide:
			wide++
		case r.before != 0:
			before++
		default:
			plain++
		}
		for range 20 {
			n := rng.Uint64() >> rng.IntN(64)
			for _, n := range [...]uint64{n, n / d * d, n/d*d - 1, 1<<64 - 1, 1<<64 - 1 - n%d, (1<<64-1)/d*d - 1} {
				require.Equal(t, n/d, r.quotient(n), "%d / %d", n, d)
				if d>>32 == 0 {
					n := uint64(uint32(n))
					require.Equal(t, n/d, reciprocalOf(d, true).quotient(n), "%d / %d", n, d)
				}
			}
		}
	}
	require.NotZero(t, wide)
	require.NotZero(t, plain)
	require.NotZero(t, before)
}

// TestConstants multiplies and divides by constants, in registers that such code uses itself
// and in others.
func TestConstants(t *testing.T) {
	r := enginetest.NewRig(t)
	regs := []int{0, 1, 3, 4, 6}
	for _, k := range []int64{3, 5, 7, 9, 10, 15, 17, 31, 33, 127, 1000, 1000000000, 65535, 65537, 1<<31 - 2, -1, -2, -7, -1 << 31} {
		text := ""
		for i, dst := range regs {
			src := regs[(i+1)%len(regs)]
			for _, op := range []string{"*", "/", "%"} {
				for _, w := range []string{"r", "w"} {
					text += fmt.Sprintf("r7 *= 1664525\nr7 += 1013904223\nr%d ^= r7\nr%d = r%d\n", src, dst, src)
					text += fmt.Sprintf("%s%d %s= %d\nr5 *= 1000003\nr5 ^= r%d\n", w, dst, op, k, dst)
					text += fmt.Sprintf("%s%d %s= %d\nr5 *= 1000003\nr5 ^= r%d\nr%d ^= r7\n", w, src, op, k+1, src, src)
				}
			}
		}
		for _, start := range []string{"0xfedcba9876543210", "0x7fffffff", "-1"} {
			begin := "r5 = 1\n"
			for i, r := range append([]int{7}, regs...) {
				// By way of memory, or the optimiser knows the values.
				begin += fmt.Sprintf("r%d = %s ll\n*(u64 *)(r10 - 8) = r%d\nr%d = *(u64 *)(r10 - 8)\nr%d += %d\n", r, start, r, r, r, i*i)
			}
			end := "r0 ^= r5\nr0 ^= r1\nr0 ^= r3\nr0 ^= r4\nr0 ^= r6\nexit"
			p := enginetest.Parse(t, begin+text+end)
			steps, err := interp.Compile(p, interp.Env{})
			require.NoError(t, err)
			require.Equal(t, r.Outcome(steps), r.Outcome(compile(t, p, Env{})), "constant %d", k)
		}
	}
}
