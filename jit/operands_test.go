package jit

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/interp"
)

// TestOperandsInMemory compares operations with what has just been loaded, and such whose result goes back,
// with single steps: of all sizes, with registers and constants, and with operands and results in the same registers.
func TestOperandsInMemory(t *testing.T) {
	r := enginetest.NewRig(t)
	for _, op := range []string{"+=", "-=", "*=", "&=", "|=", "^="} {
		for _, size := range []string{"u8", "u16", "u32", "u64"} {
			for _, class := range []string{"r", "w"} {
				for _, body := range []string{
					"r1 = *(%[1]s *)(r10 - 16)\n%[2]s1 %[3]s %[2]s2\n*(%[1]s *)(r10 - 16) = r1",
					"r1 = *(%[1]s *)(r10 - 16)\n%[2]s1 %[3]s -77\n*(%[1]s *)(r10 - 16) = r1",
					"r1 = *(%[1]s *)(r10 - 16)\n%[2]s1 %[3]s 0x12345678\n*(%[1]s *)(r10 - 16) = r1",
					"r1 = *(%[1]s *)(r10 - 16)\nr3 = r2\n%[2]s3 %[3]s %[2]s1\n*(%[1]s *)(r10 - 16) = r3",
					"r1 = *(%[1]s *)(r10 - 16)\n%[2]s2 %[3]s %[2]s1",
					"r1 = *(%[1]s *)(r10 - 16)\nr3 = r2\n%[2]s3 %[3]s %[2]s1\nr4 += r3",
					"r1 = *(%[1]s *)(r10 - 16)\n%[2]s1 %[3]s %[2]s2\nr4 ^= r1",
					"r1 = *(%[1]s *)(r10 - 16)\nr3 = *(%[1]s *)(r10 - 24)\n%[2]s1 %[3]s %[2]s3\n*(%[1]s *)(r10 - 16) = r1",
				} {
					text := "r1 = 0xfedcba9876543210 ll\n*(u64 *)(r10 - 16) = r1\nr2 = 0x8899aabbccddeeff ll\n*(u64 *)(r10 - 24) = r2\nr4 = 5\nr1 = 0\nif r4 == 7 goto +0\n" +
						fmt.Sprintf(body, size, class, op) +
						"\nif r4 == 7 goto +0\nr0 = *(u64 *)(r10 - 16)\nr0 *= 31\nr1 = *(u64 *)(r10 - 24)\nr0 += r1\nr0 ^= r2\nr0 *= 31\nr0 += r4\nexit"
					p := enginetest.Parse(t, text)
					steps, err := interp.Compile(p, interp.Env{})
					require.NoError(t, err)
					want := r.Outcome(steps)
					require.Equal(t, want, r.Outcome(compile(t, p, Env{})), text)
					require.Equal(t, want, r.Outcome(compile(t, p, Env{Blind: true})), text)
					require.Equal(t, want, r.Outcome(compile(t, p, Env{Without: lower.PassOperands})), text)
				}
			}
		}
	}
}

// TestOperandsBehindShifts has a shift, whose count needs r4's register, between what reads r4 and the store
// that the operation becomes part of.
func TestOperandsBehindShifts(t *testing.T) {
	r := enginetest.NewRig(t)
	p := enginetest.Parse(t, `
		r1 = 0xfedcba9876543210 ll
		*(u64 *)(r10 - 16) = r1
		r2 = 0x8899aabbccddeeff ll
		r4 = r2
		r4 *= 7
		if r1 == 7 goto +0
		r3 = *(u64 *)(r10 - 16)
		r3 ^= r4
		r1 <<= r2
		*(u64 *)(r10 - 16) = r3
		if r1 == 7 goto +0
		r0 = *(u64 *)(r10 - 16)
		r0 += r1
		exit`)
	steps, err := interp.Compile(p, interp.Env{})
	require.NoError(t, err)
	require.Equal(t, r.Outcome(steps), r.Outcome(compile(t, p, Env{})))
}
