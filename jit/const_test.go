package jit

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/interp"
)

// TestConstants multiplies and divides by constants, in registers that such code uses itself
// and in others.
func TestConstants(t *testing.T) {
	r := enginetest.NewRig(t)
	regs := []int{0, 1, 3, 4, 6}
	for _, k := range []int64{0, 1, 2, 3, 5, 7, 9, 10, 15, 16, 17, 24, 27, 31, 33, 45, 80, 127, 1000, 1000000000, 65535, 65536, 1<<31 - 2, -1, -2, -7, -1000, -1024, -1 << 31} {
		text := ""
		for i, dst := range regs {
			src := regs[(i+1)%len(regs)]
			for _, op := range []string{"*", "/", "%", "s/", "s%"} {
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
				// By way of memory, of which the compiler is not to know what it holds.
				begin += fmt.Sprintf("r%d = %s ll\n*(u64 *)(r10 - 8) = r%d\nr%d = *(u64 *)(r10 - 8)\nr%d += %d\n", r, start, r, r, r, i*i)
			}
			end := "r0 ^= r5\nr0 ^= r1\nr0 ^= r3\nr0 ^= r4\nr0 ^= r6\nexit"
			p := enginetest.Parse(t, begin+text+end)
			steps, err := interp.Compile(p, interp.Env{})
			require.NoError(t, err)
			require.Equal(t, r.Outcome(steps), r.Outcome(compile(t, p, Env{Without: lower.PassForward})), "constant %d", k)
		}
	}
}
