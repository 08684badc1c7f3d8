package jit

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// BenchmarkEmpty is a run that does nothing on a CPU that the caller holds, or leases for
// the run.
func BenchmarkEmpty(b *testing.B) {
	code := compile(b, enginetest.Parse(b, "r0 = 0\nexit"), Env{})
	r := enginetest.NewRig(b)
	r.CPU.SetCtx(nil, r.Memory.Addr(), 64)
	b.Run("held", func(b *testing.B) {
		for b.Loop() {
			if _, err := code.Run(r.CPU); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("leased", func(b *testing.B) {
		m := r.CPU.M
		for b.Loop() {
			c := m.Acquire()
			if _, err := code.Run(c); err != nil {
				b.Fatal(err)
			}
			m.Release(c)
		}
	})
}

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
