package jit

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
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

// TestOperandsAgree runs programs that load, compute, shift and store in a few slots of the frame, in a loop or not, with
// branches, as machine code and in single steps.
func TestOperandsAgree(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	r := enginetest.NewRig(t)
	for seed := *firstSeed; seed < *firstSeed+uint64(cmp.Or(*programs, 2000)); seed++ {
		text := operandProgram(rand.New(rand.NewPCG(seed, 0)))
		p := enginetest.Parse(t, text)
		steps, err := interp.Compile(p, interp.Env{Observe: func(int, *interp.Registers) {}})
		require.NoError(t, err)
		code, err := Compile(p, Env{})
		require.NoError(t, err)
		require.Equal(t, r.Outcome(steps), r.Outcome(code), "seed %d:\n%s", seed, text)
		require.NoError(t, code.Close())
	}
}

// operandProgram returns a program over a few registers and four slots of eight bytes.
func operandProgram(rng *rand.Rand) string {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	registers, loop := 5+rng.IntN(5), rng.IntN(2) == 0
	reg := func() string { return fmt.Sprint(rng.IntN(registers)) }
	slot := func() string {
		return fmt.Sprintf("*(%s *)(r10 - %d)", pick("u8", "u16", "u32", "u32", "u64", "u64"), 8*(1+rng.IntN(4)))
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	for r := range registers {
		line("r%d = %#x ll", r, rng.Uint64())
	}
	for i := range 4 {
		line("*(u64 *)(r10 - %d) = r%s", 8*(1+i), reg())
	}
	line("r9 = %d\nif r9 == 0 goto +0\nagain:", 1+rng.IntN(9))
	for range 4 + rng.IntN(30) {
		class, at := pick("r", "w"), slot()
		switch rng.IntN(8) {
		case 0, 1:
			line("r%s = %s", reg(), at)
		case 2:
			line("%s = r%s", at, reg())
		case 3:
			line("%s%s %s %s%s", class, reg(), pick("+=", "-=", "*=", "&=", "|=", "^=", "=", "<<=", ">>=", "s>>=", "/="), class, reg())
		case 4:
			line("%s%s %s %d", class, reg(), pick("+=", "-=", "*=", "&=", "|=", "^="), int32(rng.Uint32()>>rng.IntN(32)))
		case 5, 6: // what is wanted, with something between at times
			v, between := reg(), ""
			for range rng.IntN(3) {
				between += fmt.Sprintf("r%s %s r%s\n", reg(), pick("=", "<<=", ">>=", "+="), reg())
			}
			line("r%s = %s\n%s%s %s %s%s\n%s%s = r%s", v, at, class, v, pick("+=", "-=", "&=", "|=", "^="), class, reg(), between, at, v)
		case 7:
			line("if r%s %s r%s goto +1\nr%s = r%s", reg(), pick("==", "<", "s>"), reg(), reg(), reg())
		}
	}
	if loop {
		line("r9 -= 1\nif r9 != 0 goto again")
	} else {
		line("if r9 == 0 goto +0")
	}
	line("r0 = r%s", reg())
	for i := range 4 {
		line("r1 = *(u64 *)(r10 - %d)\nr0 *= 31\nr0 += r1", 8*(1+i))
	}
	return b.String() + "exit"
}
