package jit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// target is a program that can be tail-called: any element of a table is.
type target struct{ program vm.Runner }

func (t target) Runner() vm.Runner { return t.program }

// table is a program array with one program.
type table struct{ program vm.Runner }

func (*table) Name() string                    { return "table" }
func (*table) Addr() uint64                    { return 0x7ab1e000 }
func (*table) Find(uintptr) (mem.Region, bool) { return mem.Region{}, false }
func (t *table) Target(uint32) any             { return target{t.program} }

// verified compiles a program that may tail-call what is in t.
func verified(t *testing.T, text string, list ...vm.Map) *jit.Code {
	t.Helper()
	p := enginetest.Parse(t, text)
	p.Type, p.License = prog.XDP, "GPL"
	env := verifier.Env{NumCPU: 1}
	for range list {
		p.Maps = append(p.Maps, &table{})
		env.Maps = append(env.Maps, &verifier.Map{Name: "table", Type: maps.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	}
	proof, err := verifier.Verify(p, &env)
	require.NoError(t, err)
	return compile(t, p, jit.Env{Proof: proof, Maps: list, Helper: helper.Bodies})
}

// readsStack returns the or of what is in two frames, which it has not written.
const readsStack = `
	r6 = *(u64 *)(r10 - 8)
	r7 = *(u64 *)(r10 - 200)
	r6 |= r7
	call f
	r0 |= r6
	exit
f:
	r0 = *(u64 *)(r10 - 8)
	r1 = *(u64 *)(r10 - 200)
	r0 |= r1
	exit`

// TestStackOfOthers has programs read stack that they have not written, after others have left something
// there: a program that leaves the memory alone that it need not clear for itself, and functions.
func TestStackOfOthers(t *testing.T) {
	const dirty = "*(u64 *)(r10 - 8) = 1\n*(u64 *)(r10 - 200) = 2\n"
	writers := map[string]string{
		"one frame":  dirty + "r0 = 0\nexit",
		"two frames": dirty + "call f\nexit\nf:\n" + dirty + "r0 = 0\nexit",
	}
	reader := enginetest.Parse(t, readsStack)
	steps, err := interp.Compile(reader, interp.Env{})
	require.NoError(t, err)
	readers := map[string]vm.Runner{"interpreted": steps, "compiled": compile(t, reader, jit.Env{}), "verified": verified(t, readsStack)}
	for name, text := range writers {
		for kind, reads := range readers {
			r := enginetest.NewRig(t) // whose stack nobody has used
			r.CPU.SetCtx(nil, r.Memory.Addr(), 64)
			_, err := verified(t, text).Run(r.CPU)
			require.NoError(t, err)
			r0, err := reads.Run(r.CPU)
			require.NoError(t, err)
			require.Zero(t, r0, "%s, then %s", name, kind)
		}
	}
}

// TestStackOfTailCall has a program that does not use its stack, or writes it first, tail-call one that
// reads stack which it has not written, after others have left something there.
func TestStackOfTailCall(t *testing.T) {
	const call = "r2 = map[idx:0]\nr3 = 0\ncall bpf_tail_call\nr0 = 1\nexit"
	for name, text := range map[string]string{
		"no stack": call,
		"stack":    "*(u64 *)(r10 - 16) = 3\n" + call,
	} {
		array := &table{verified(t, readsStack)}
		caller := verified(t, text, array)
		writer := verified(t, `
			*(u64 *)(r10 - 8) = 1
			*(u64 *)(r10 - 200) = 2
			call f
			exit
		f:
			*(u64 *)(r10 - 8) = 1
			*(u64 *)(r10 - 200) = 2
			r0 = 0
			exit`)
		r := enginetest.NewRig(t)
		r.CPU.SetCtx(nil, r.Memory.Addr(), 64)
		for range 3 {
			_, err := writer.Run(r.CPU)
			require.NoError(t, err)
			r0, err := caller.Run(r.CPU)
			require.NoError(t, err)
			require.Zero(t, r0, name)
		}
	}
}

// TestStackOfBatch has each run of a batch use vector registers, by which the stack is cleared for the next.
func TestStackOfBatch(t *testing.T) {
	code := verified(t, "r0 = 7\nr1 = 5\nr1 = atomic_fetch_or((u64 *)(r10 - 16), r1)\nr0 = *(u64 *)(r10 - 8)\nr0 |= r1\nexit")
	r := enginetest.NewRig(t)
	batchOfZeros(t, r, code, 3)
}

// TestStackOfProbe has a helper read stack at an address that is a number to the verifier.
func TestStackOfProbe(t *testing.T) {
	code := verified(t, `
		r1 = r10
		r1 += -8
		r2 = 8
		r3 = r10
		r3 += -16
		call bpf_probe_read_kernel
		r0 = *(u64 *)(r10 - 8)
		exit`)
	writer := verified(t, "*(u64 *)(r10 - 16) = 5\nr0 = 0\nexit")
	r := enginetest.NewRig(t)
	r.CPU.SetCtx(nil, r.Memory.Addr(), 64)
	for range 3 {
		_, err := writer.Run(r.CPU)
		require.NoError(t, err)
		r0, err := code.Run(r.CPU)
		require.NoError(t, err)
		require.Zero(t, r0)
	}
}

// TestGuessedStack has a program without a stack of its own access it all the same, at an address that is in
// its context: each run finds zeroes there, and what it has written itself.
func TestGuessedStack(t *testing.T) {
	r := enginetest.NewRig(t)
	p := enginetest.Parse(t, `
		r2 = *(u64 *)(r1 + 0)
		r0 = *(u64 *)(r2 + 0)
		*(u64 *)(r2 + 0) = 5
		r3 = *(u64 *)(r1 + 8)
		r4 = *(u64 *)(r3 + 0)
		r5 = *(u64 *)(r2 + 0)
		r0 += r5
		exit`)
	code := compile(t, p, jit.Env{})
	addr := r.CPU.FramePointer(0) - 64
	mem.Store(r.Memory.Bytes()[0:8], addr)
	mem.Store(r.Memory.Bytes()[8:16], uint64(r.Memory.Addr())+16)
	r.CPU.SetCtx(nil, r.Memory.Addr(), 64)
	for range 3 {
		r0, err := code.Run(r.CPU)
		require.NoError(t, err)
		require.Equal(t, uint64(5), r0)
	}
}
