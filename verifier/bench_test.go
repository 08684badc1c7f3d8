package verifier

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// program assembles text into a socket filter.
func program(tb testing.TB, text string) *prog.Program {
	insns, err := asm.Parse(text)
	require.NoError(tb, err)
	insns, err = insns.Resolve()
	require.NoError(tb, err)
	p := &prog.Program{Name: "prog", Type: prog.SocketFilter, License: "GPL"}
	for _, ins := range insns {
		p.Insns = append(p.Insns, ins)
		if ins.Slots() == 2 {
			p.Insns = append(p.Insns, asm.Instruction{})
		}
	}
	return p
}

// BenchmarkSmall is what a program of a few instructions costs.
func BenchmarkSmall(b *testing.B) {
	p := program(b, "r6 = r1\nr0 = *(u32 *)(r6 + 0)\nif r0 > 100 goto +1\nr0 = 1\n*(u64 *)(r10 - 8) = r0\nr0 = *(u64 *)(r10 - 8)\nexit\n")
	b.ReportAllocs()
	for b.Loop() {
		_, err := Verify(p, nil)
		require.NoError(b, err)
	}
}

// branchy returns a program of about n instructions, with branches whose both ways come together
// again: one in every so many that there are not more than Linux can put off.
func branchy(n int) string {
	var b strings.Builder
	b.WriteString("r6 = r1\nr7 = 0\n")
	block := max(10, n/8000+1)
	for i := 0; i < n/block; i++ {
		fmt.Fprintf(&b, "r0 = *(u32 *)(r6 + %d)\nr2 = r0\nr2 &= 255\nif r0 > %d goto +2\nr2 += 1\nr7 += r2\n", 4*(i%10), i)
		for j := 6; j < block-1; j++ {
			b.WriteString([...]string{"r3 = r2\n", "r3 <<= 3\n", "r7 ^= r3\n", "r4 = r7\n", "r4 &= 1023\n", "r5 = r4\n"}[j%6])
		}
		fmt.Fprintf(&b, "*(u64 *)(r10 - %d) = r7\n", 8+8*(i%16))
	}
	b.WriteString("r0 = r7\nexit\n")
	return b.String()
}

// counting returns a loop of n turns.
func counting(n int) string {
	return fmt.Sprintf("r6 = 0\nr7 = 0\nr7 += r6\nr6 += 1\nif r6 < %d goto -3\nr0 = r7\nexit\n", n)
}

// BenchmarkLarge shows how time and memory grow with the length of a program, or with the turns of a
// loop, beside Linux, if it is there to be asked.
func BenchmarkLarge(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000, 600_000} {
		b.Run(fmt.Sprintf("branchy/%d", n), func(b *testing.B) { besideLinux(b, program(b, branchy(n))) })
	}
	for _, n := range []int{1000, 10_000, 300_000} {
		b.Run(fmt.Sprintf("loop/%d", n), func(b *testing.B) { besideLinux(b, program(b, counting(n))) })
	}
}

// besideLinux reports the time per explored instruction, the memory allocated, and how long Linux takes
// in comparison.
func besideLinux(b *testing.B, p *prog.Program) {
	var processed int
	b.ReportAllocs()
	for b.Loop() {
		proof, err := Verify(p, nil)
		require.NoError(b, err)
		processed = proof.Stats.Processed
	}
	each := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(each/float64(processed), "ns/insn")
	if kernel.Available() != nil {
		return
	}
	raw, err := asm.Instructions(compact(p.Insns)).Encode(binary.NativeEndian)
	require.NoError(b, err)
	loaded, err := kernel.Load(kernel.Prog{Type: ebpf.SocketFilter, Insns: raw, LogLevel: 4})
	require.NoError(b, err)
	defer loaded.Close()
	require.True(b, loaded.Accepted(), loaded.Log)
	require.Equal(b, loaded.Stats.Insns, processed)
	b.ReportMetric(each/float64(loaded.Stats.Time.Nanoseconds()), "of-linux")
}

// compact leaves out the second slots.
func compact(slots []asm.Instruction) (insns []asm.Instruction) {
	for i := 0; i < len(slots); i += slots[i].Slots() {
		insns = append(insns, slots[i])
	}
	return insns
}

// BenchmarkRefusal is what a refusal with its story costs.
func BenchmarkRefusal(b *testing.B) {
	p := program(b, "r6 = r1\nr0 = *(u32 *)(r6 + 0)\nif r0 > 100 goto +1\nr0 = 1\nr7 = r0\nr8 = r7\nr0 = *(u64 *)(r8 + 0)\nexit\n")
	b.ReportAllocs()
	for b.Loop() {
		_, err := Verify(p, nil)
		require.Error(b, err)
	}
}
