package sandbpf

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
)

func TestEngine(t *testing.T) {
	want := JIT
	if jit.Available() != nil {
		want = Interpreter
		_, err := New(WithEngine(JIT))
		require.ErrorIs(t, err, jit.ErrUnavailable)
	}
	for _, c := range []struct {
		options []Option
		want    Engine
	}{{nil, want}, {[]Option{WithEngine(want)}, want}, {[]Option{WithEngine(Interpreter)}, Interpreter},
		{[]Option{WithEngine(want), WithSanitizer()}, Interpreter}} {
		v := newVM(t, c.options...)
		require.Equal(t, c.want, v.Engine())
		require.Equal(t, c.want, program(t, v, XDP, "r0 = 1\nexit", nil).Engine())
	}
	require.Equal(t, "jit", JIT.String())
}

// TestTailCallAcrossEngines lets a compiled program tail-call an interpreted one, and
// the other way round, as programs do that there was no executable memory for.
func TestTailCallAcrossEngines(t *testing.T) {
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	for _, engine := range []Engine{JIT, Interpreter} {
		v := newVM(t, WithEngine(engine), WithCPUs(1), WithoutVerifier()) // the function has no type
		progs, err := v.NewMap(&maps.Spec{Name: "progs", Type: maps.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2})
		require.NoError(t, err)
		named := map[string]*maps.Map{"progs": progs}
		caller := program(t, v, XDP, "r6 = 1\nr7 = 2\nr8 = 4\nr9 = 8\n"+
			"call f\nr0 += r6\nr0 += r7\nr0 += r8\nr0 += r9\nexit\n"+
			"f:\nr2 = map[progs]\nr3 = 0\nr8 = 0\ncall bpf_tail_call\nr0 = 100\nexit", named)
		v.engine = JIT + Interpreter - engine
		target := program(t, v, XDP, "r6 = 7\nr9 = 7\nr0 = 41\nexit", named)
		require.NotEqual(t, caller.Engine(), target.Engine())
		require.NoError(t, progs.Put(uint32(0), target))
		ret, _, err := caller.Test(packet)
		require.NoError(t, err)
		require.Equal(t, uint32(41+15), ret)
		require.Equal(t, uint64(9+5+3+1), caller.Stats().Instructions)
		require.NoError(t, progs.Close())
	}
}

// TestReplaceAndRun replaces a program again and again while it runs, so that code is
// made, run and freed all the time: each run sees one program or the other.
func TestReplaceAndRun(t *testing.T) {
	h, err := hooks.New[struct{ N uint64 }]("replaced")
	require.NoError(t, err)
	v := newVM(t, WithCPUs(2), WithHook(h))
	load := func(n int) *Program {
		p, err := v.LoadProgram(&ProgramSpec{Name: "replaced", Type: Custom, AttachTo: "replaced",
			Instructions: parse(t, fmt.Sprintf("r0 = *(u64 *)(r1 + 0)\nr2 = 0\nl:\nr2 += 1\nif r2 != 50 goto l\nr0 *= %d\nexit", n))}, nil)
		require.NoError(t, err)
		return p
	}
	first := load(2)
	link, err := h.Attach(first)
	require.NoError(t, err)
	require.NoError(t, first.Close())
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for !done.Load() {
				got, err := h.Fire(&struct{ N uint64 }{21})
				if err != nil || got != 42 && got != 63 {
					t.Errorf("got %d, %v", got, err)
					return
				}
			}
		})
	}
	for i := range rounds {
		p := load(2 + i%2)
		require.NoError(t, link.Replace(p))
		require.NoError(t, p.Close())
	}
	done.Store(true)
	wg.Wait()
	require.NoError(t, link.Detach())
}

// TestLowHalfOfPointer looks at one half of what four bytes of a context stand for, on every engine.
func TestLowHalfOfPointer(t *testing.T) {
	const text = "r8 = *(u32 *)(r1 + 0)\nr0 = 2\nif w8 > -8 goto out\nr0 = 1\nw7 = w8\nr7 >>= 32\nif r7 == 0 goto out\nr0 = 3\nout:\nexit"
	for _, options := range [][]Option{{}, {WithEngine(Interpreter)}, {WithSanitizer()}} {
		for _, more := range [][]Option{{}, {WithoutVerifier()}} {
			ret, _, err := program(t, newVM(t, append(more, options...)...), XDP, text, nil).Test(packet)
			require.NoError(t, err)
			require.Equal(t, uint32(1), ret, "of %d options", len(options)+len(more))
		}
	}
}
