package jit

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// BenchmarkHelper is an exit to a Go helper and back.
func BenchmarkHelper(b *testing.B) {
	body := func(*vm.CPU, *[5]uint64) (uint64, error) { return 7, nil }
	p := enginetest.Parse(b, "r6 = 1000\nagain:\ncall 5\nr6 -= 1\nif r6 != 0 goto again\nexit")
	code := compile(b, p, Env{Helper: func(asm.BuiltinFunc) vm.Helper { return body }})
	r := enginetest.NewRig(b)
	for b.Loop() {
		if _, err := code.Run(r.CPU); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/call")
}

func TestRunDoesNotAllocate(t *testing.T) {
	p := enginetest.Parse(t, "call f\nr2 = *(u64 *)(r1 + 0)\nlock *(u64 *)(r1 + 8) += r2\nexit\nf:\nr0 = 1\nexit")
	code := compile(t, p, Env{})
	r := enginetest.NewRig(t)
	r.CPU.SetCtx(nil, r.Memory.Addr(), 16)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := code.Run(r.CPU); err != nil {
			t.Fatal(err)
		}
	}))
}
