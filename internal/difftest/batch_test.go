package difftest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit"
)

// batchFrames is how many packets a program is given at once: more than run without a look at what else
// there is to do.
const batchFrames = 40

// batches runs a program on many frames at once, with all its instructions and with fewer, and leaves what can be
// seen of it in out. It reports false if the engine finds fault with the program.
func (e *chainRunner) batches(p chained, seed uint64, frames []*hooks.XDPFrame) (batched, ok bool) {
	e.source.Seed(seed, 3)
	e.machine.CPU(0).Rand, e.now = seed|1, 0
	e.out.reset()
	linked, list := e.link(p.c, p.s)
	code, err := e.engine(linked, jit.Env{Maps: list, Helper: helper.Bodies, NumCPU: 1, Inline: true, Proof: p.proof,
		Layout: hooks.XDP.Layout}, rand.New(rand.NewPCG(seed, 9)))
	if bad := (*prog.Error)(nil); errors.As(err, &bad) {
		return false, false
	}
	require.NoError(e.t, err)
	if c, ok := code.(io.Closer); ok {
		defer func() { require.NoError(e.t, c.Close()) }()
	}
	if b, ok := code.(vm.Batcher); ok {
		batched = b.Batch(e.machine.CPU(0))
	}
	program := e.executable(linked, list, code)
	point := hooks.NewXDP("eth0")
	link, err := point.Attach(program)
	require.NoError(e.t, err)
	for _, limit := range []uint64{runLimit, 1 + seed%60, runLimit} {
		program.x.Limit = limit
		for i, f := range frames {
			n := copy(f.Buffer(), e.bytes(60+e.r.IntN(80)))
			require.NoError(e.t, f.SetLen(n))
			f.SetDevice(uint32(i), 0)
		}
		_ = point.FireFrames(frames) // what each frame has of it
		for i, f := range frames {
			if err := f.Err(); err != nil {
				e.out.add("error", []byte(chainError(err)))
			} else {
				e.out.number(fmt.Sprint("action of frame ", i), uint64(f.Action()))
			}
			e.out.add("packet", f.Packet())
		}
		e.out.number("instructions", program.x.Stats().Instructions)
	}
	require.NoError(e.t, link.Detach())
	for i := range chainMaps {
		if i > 0 {
			e.out.contents(e.t, chainMaps[i].Name, e.mapOf(&chainMaps[i].Map))
		}
	}
	return batched, true
}

// TestBatchesAgree gives many packets at once to programs that run in batches, which leave native code in the
// middle of some, and to the interpreter, which runs them one by one.
func TestBatchesAgree(t *testing.T) {
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	n := seeds(300)
	var ran, batched atomic.Uint64
	enginetest.Sweep(t, *firstSeed, n, func(t *testing.T) func(uint64) {
		steps := &chainRunner{runner: newRunner(t, 1), engine: chainInterpreted}
		native := &chainRunner{runner: newRunner(t, 1), engine: chainNative}
		frames := make([]*hooks.XDPFrame, batchFrames)
		for i := range frames {
			f, err := hooks.NewXDPFrame()
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, f.Close()) })
			frames[i] = f
		}
		return func(seed uint64) {
			if seed%sharingMaps == 0 {
				steps.closeMaps()
				native.closeMaps()
			}
			p, ok := verified(t, generateAlone(seed), fmt.Sprint("seed-", seed))
			if !ok {
				return
			}
			if _, ok = steps.batches(p, seed, frames); !ok {
				return
			}
			inBatch, ok := native.batches(p, seed, frames)
			require.True(t, ok, "seed %d: the interpreter runs it only", seed)
			native.out.requireEqual(t, &steps.out, "seed %d, %d instructions", seed, len(p.s.Prog.Insns))
			ran.Add(1)
			if inBatch {
				batched.Add(1)
			}
		}
	})
	t.Logf("%d programs of %d seeds ran on both engines, %d in batches", ran.Load(), n, batched.Load())
	require.Greater(t, batched.Load(), n/2)
}
