package jit

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/arch/x86/x86asm"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// endless are programs that never end by themselves, each in a way of its own.
var endless = map[string]string{
	"goto":      "l:\ngoto l\nexit",
	"short":     "l:\nr0 += 1\nif r0 != 0 goto l\nexit",
	"two loops": "l:\nr2 = 10\nm:\nr2 -= 1\nif r2 != 0 goto m\ngoto l\nexit",
	"memory":    "l:\nr0 = *(u64 *)(r1 + 0)\nr0 += 1\n*(u64 *)(r1 + 0) = r0\ngoto l\nexit",
	"calls":     "r6 = 0\nl:\ncall f\nr6 += 1\nif r6 != 0 goto l\nexit\nf:\nr0 = 1\nexit",
}

// collect returns the time of the fastest of ten collections, which stop all goroutines.
func collect() time.Duration {
	fastest := time.Hour
	for range 10 {
		began := time.Now()
		runtime.GC()
		fastest = min(fastest, time.Since(began))
	}
	return fastest
}

// besideGo is what a collection takes while a loop in Go runs: on a machine that others
// use, the OS alone may take its time.
func besideGo() time.Duration {
	var stop atomic.Bool
	defer stop.Store(true)
	go func() {
		for !stop.Load() {
		}
	}()
	time.Sleep(5 * time.Millisecond)
	return collect()
}

// TestGarbageCollection runs the collector while native code runs that does not end.
func TestGarbageCollection(t *testing.T) {
	for name, text := range endless {
		t.Run(name, func(t *testing.T) {
			code := compile(t, enginetest.Parse(t, text), Env{})
			r := enginetest.NewRig(t)
			ctx, cancel := context.WithCancel(t.Context())
			r.CPU.Context, r.CPU.Limit = ctx, 1<<62
			beside := besideGo()
			ended := make(chan error)
			go func() {
				_, _, err := r.Run(code, make([]byte, 64))
				ended <- err
			}()
			time.Sleep(5 * time.Millisecond)
			native := collect()
			cancel()
			require.ErrorIs(t, <-ended, context.Canceled) // before the code is freed
			require.Less(t, native, 20*time.Millisecond+3*beside)
			t.Logf("a collection takes %v beside native code, %v beside a loop in Go", native, beside)
		})
	}
}

// TestBudgetOfEndless holds endless programs to their limit, exactly as the interpreter.
func TestBudgetOfEndless(t *testing.T) {
	for name, text := range endless {
		t.Run(name, func(t *testing.T) {
			code := compile(t, enginetest.Parse(t, text), Env{})
			r := enginetest.NewRig(t)
			for _, limit := range []uint64{1, 100, vm.Slice - 1, vm.Slice, vm.Slice + 1, 3*vm.Slice + 7} {
				r.CPU.Limit = limit
				_, _, err := r.Run(code, make([]byte, 64))
				require.ErrorIs(t, err, vm.ErrBudget)
				require.Greater(t, r.CPU.Done, limit)
				require.LessOrEqual(t, r.CPU.Done, limit+10)
			}
		})
	}
}

// TestCancelled ends a run whose context is done before it begins, at its first look.
func TestCancelled(t *testing.T) {
	code := compile(t, enginetest.Parse(t, endless["short"]), Env{})
	r := enginetest.NewRig(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	r.CPU.Context, r.CPU.Limit = ctx, 1<<62
	_, _, err := r.Run(code, make([]byte, 64))
	require.ErrorIs(t, err, context.Canceled)
	require.LessOrEqual(t, r.CPU.Done, uint64(vm.Slice+64))
}

// TestManyCPUs runs the same code on several CPUs at once, under a busy collector.
func TestManyCPUs(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	m, err := vm.NewMachine(vm.Options{NumCPU: 4})
	require.NoError(t, err)
	defer func() { require.NoError(t, m.Close()) }()
	p := enginetest.Parse(t, "r6 = 2000\nr0 = 0\nl:\ncall f\nr6 -= 1\nif r6 != 0 goto l\nexit\nf:\n*(u64 *)(r10 - 8) = r0\nr1 = r10\nr0 = *(u64 *)(r1 - 8)\nr0 += 3\nexit")
	code := compile(t, p, Env{NumCPU: 4})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				c := m.Acquire()
				r0, err := code.Run(c)
				m.Release(c)
				if r0 != 6000 || err != nil {
					t.Errorf("got %d, %v", r0, err)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	go func() {
		wg.Wait()
		close(stop)
	}()
	for {
		select {
		case <-stop:
			return
		default:
			runtime.GC()
		}
	}
}

// TestEverythingReadsBack disassembles the code of many programs from end to end.
func TestEverythingReadsBack(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	for seed := range uint64(300) {
		code := compile(t, enginetest.NewGenerator(seed).Program(200), Env{})
		native, places := code.Native()
		starts := make(map[int]bool)
		for at := 0; at < len(native); {
			starts[at] = true
			inst, err := x86asm.Decode(native[at:], 64)
			require.NoErrorf(t, err, "seed %d: % x", seed, native[at:min(at+15, len(native))])
			at += inst.Len
		}
		for at := range places {
			require.True(t, starts[at] || at == len(native), "seed %d: instructions begin where they are said to", seed)
		}
	}
}
