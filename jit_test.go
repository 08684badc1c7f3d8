package sandbpf

import (
	"testing"

	"github.com/stretchr/testify/require"

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
		v := newVM(t, WithEngine(engine), WithCPUs(1))
		progs, err := v.NewMap(&maps.Spec{Name: "progs", Type: maps.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2})
		require.NoError(t, err)
		named := map[string]*maps.Map{"progs": progs}
		caller := program(t, v, XDP, "call f\nr0 += 1\nexit\nf:\nr2 = map[progs]\nr3 = 0\ncall bpf_tail_call\nr0 = 100\nexit", named)
		v.engine = JIT + Interpreter - engine
		target := program(t, v, XDP, "r6 = 7\nr0 = 41\nexit", named)
		require.NotEqual(t, caller.Engine(), target.Engine())
		require.NoError(t, progs.Put(uint32(0), target))
		ret, _, err := caller.Test(packet)
		require.NoError(t, err)
		require.Equal(t, uint32(42), ret)
		require.Equal(t, uint64(4+3+2), caller.Stats().Instructions)
		require.NoError(t, progs.Close())
	}
}
