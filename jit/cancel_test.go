package jit_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/jit"
)

// looks is a context that is done after some looks at it.
type looks struct {
	context.Context
	left int
}

func (l *looks) Err() error {
	if l.left--; l.left < 0 {
		return context.Canceled
	}
	return nil
}

// TestCancelledCallback ends runs in a callback, after each of some slices: the instructions up to there
// are counted, and none twice.
func TestCancelledCallback(t *testing.T) {
	p := enginetest.Parse(t, `
		r6 = 1
		r7 = 2
		r1 = 1
		r2 = func[f]
		r3 = 0
		r4 = 0
		call bpf_loop
		exit
	f:
		r0 = 0
		r1 = 0
		r2 = 0
	again:
		r1 += 1
		if r1 != 200000 goto again
		exit`)
	steps, err := interp.Compile(p, interp.Env{Helper: helper.Bodies})
	require.NoError(t, err)
	code := compile(t, p, jit.Env{Helper: helper.Bodies})
	r := enginetest.NewRig(t)
	for n := range 3 {
		for _, runs := range []vm.Runner{steps, code} {
			r.CPU.Context = &looks{t.Context(), n}
			_, _, err := r.Run(runs, make([]byte, 64))
			require.ErrorIs(t, err, context.Canceled)
			// Seven instructions lead to the callback, three to its loop of two.
			require.Zero(t, (r.CPU.Done-7-3)%2, "%T after %d looks", runs, n)
			require.Greater(t, r.CPU.Done, uint64(n+1)*vm.Slice)
			require.LessOrEqual(t, r.CPU.Done, uint64(n+1)*vm.Slice+uint64(len(p.Insns)))
		}
	}
}
