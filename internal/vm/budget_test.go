package vm

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/prog"
)

func TestBudget(t *testing.T) {
	var b Budget
	c := new(CPU)
	require.Equal(t, int64(10), b.Begin(10))
	require.Equal(t, uint64(7), b.Executed(3))
	left, more, err := b.Next(c, -1)
	require.Equal(t, []any{int64(-1), false, error(nil)}, []any{left, more, err})
	require.Equal(t, uint64(11), b.Executed(left))

	// What is used up at once may take several slices.
	require.Equal(t, int64(Slice), b.Begin(4*Slice))
	left, more, err = b.Next(c, -Slice-1)
	require.Equal(t, []any{int64(Slice - 1), true, error(nil)}, []any{left, more, err})
	require.Equal(t, uint64(2*Slice+1), b.Executed(left))

	require.Zero(t, b.Resume(30, 100))
	require.Equal(t, uint64(30), b.Executed(0))
	left, more, _ = b.Next(c, -1)
	require.Equal(t, []any{int64(69), true}, []any{left, more})
	require.Equal(t, int64(-5), b.Resume(105, 100))

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Context = ctx
	left, more, err = b.Next(c, -1)
	require.Equal(t, []any{int64(-1), false, context.Canceled}, []any{left, more, err})
}

func TestMachines(t *testing.T) {
	l := NewMachines[int](2)
	cpus := []*CPU{{ID: 0}, {ID: 1}, {ID: 2}}
	require.Nil(t, l.Idle(cpus[1]))
	require.True(t, l.Keeps(cpus[1]))
	k := l.New(cpus[1])
	require.False(t, l.Keeps(cpus[1]))
	require.Same(t, k, l.At(cpus[1]))
	require.Nil(t, l.Idle(cpus[1]), "it is busy")
	inner := l.New(cpus[1])
	inner.Free()
	k.Free()
	require.Same(t, k, l.Idle(cpus[1]), "the first one is kept")
	require.Nil(t, l.Idle(cpus[0]))
	k.Free()
	require.Nil(t, l.Idle(&CPU{ID: 1}), "of another machine")

	require.Same(t, k, l.Idle(cpus[1]))
	require.Nil(t, l.Idle(cpus[1]))
	cpus[1].Panicked()
	require.True(t, l.Keeps(cpus[1]))
	require.Same(t, k, l.Idle(cpus[1]))

	require.False(t, l.Keeps(cpus[2]))
	l.New(cpus[2]).Free()
	require.Nil(t, l.Idle(cpus[2]), "nothing is kept of CPUs beyond")
}

func TestPlaceFault(t *testing.T) {
	p, cause := &prog.Program{Name: "p"}, errors.New("cause")
	f, first := PlaceFault(cause, p, 3)
	require.True(t, first)
	require.ErrorIs(t, f, ErrHelper)
	require.ErrorIs(t, f, cause)
	require.Equal(t, []any{"p", 3, true}, []any{f.Prog, f.Slot, f.Placed})
	again, first := PlaceFault(f, p, 9)
	require.False(t, first)
	require.Equal(t, 3, again.Slot)
}
