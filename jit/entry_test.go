package jit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/verifier"
)

func compile(t testing.TB, p *prog.Program, env jit.Env) *jit.Code {
	t.Helper()
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	code, err := jit.Compile(p, env)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, code.Close()) })
	return code
}

// TestRegistersAtEntry runs a program that is not verified and reads registers which only another
// path writes: they are zero, and not what Go has left in them.
func TestRegistersAtEntry(t *testing.T) {
	p := enginetest.Parse(t, `
		if r1 != 0 goto read
		r0 = 1
		r3 = 1
		r4 = 1
		r5 = 1
		r6 = 1
		r7 = 1
		r8 = 1
		r9 = 1
	read:
		r0 |= r3
		r0 |= r4
		r0 |= r5
		r0 |= r6
		r0 |= r7
		r0 |= r8
		r0 |= r9
		exit`)
	code := compile(t, p, jit.Env{})
	steps, err := interp.Compile(p, interp.Env{})
	require.NoError(t, err)
	r := enginetest.NewRig(t)
	r.CPU.SetCtx(nil, r.Memory.Addr(), 64)
	for range 3 {
		want, err := steps.Run(r.CPU)
		require.NoError(t, err)
		require.Zero(t, want)
		got, err := code.Run(r.CPU)
		require.NoError(t, err)
		require.Zero(t, got)
	}
}

// callsHelper is a verified program that calls a helper before it writes r2 to r5, and the
// arguments that the helper is given.
func callsHelper(t *testing.T) (p *prog.Program, code *jit.Code, given *[][5]uint64) {
	p = enginetest.Parse(t, "call bpf_ktime_get_ns\nr0 = 2\nexit")
	p.Type, p.License = prog.XDP, "GPL"
	proof, err := verifier.Verify(p, &verifier.Env{NumCPU: 1})
	require.NoError(t, err)
	given = new([][5]uint64)
	body := func(_ *vm.CPU, args *[5]uint64) (uint64, error) {
		*given = append(*given, *args)
		return ^uint64(0), nil
	}
	code = compile(t, p, jit.Env{Proof: proof, NumCPU: 1, Helper: func(asm.BuiltinFunc) vm.Helper { return body }})
	return p, code, given
}

// TestHelperSeesNoHost makes sure that a helper, which is given r1 to r5 whatever its prototype, finds
// zero where the program has written nothing.
func TestHelperSeesNoHost(t *testing.T) {
	_, code, given := callsHelper(t)
	r := enginetest.NewRig(t)
	r.CPU.SetCtx(nil, r.Memory.Addr(), 64)
	for range 3 {
		_, err := code.Run(r.CPU)
		require.NoError(t, err)
	}
	ctx := [5]uint64{uint64(r.Memory.Addr())}
	require.Equal(t, [][5]uint64{ctx, ctx, ctx}, *given)
}

// attachable makes an executable a program that can be attached.
type attachable struct{ x *hooks.Executable }

func (a attachable) Name() string                  { return a.x.Name() }
func (a attachable) Executable() *hooks.Executable { return a.x }

// TestHelperOfBatchSeesNoHost is TestHelperSeesNoHost for frames that are run in a batch.
func TestHelperOfBatchSeesNoHost(t *testing.T) {
	p, code, given := callsHelper(t)
	m, err := vm.NewMachine(vm.Options{NumCPU: 1, Seed: 1})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	require.True(t, code.Batch(m.CPU(0)))

	point := hooks.NewXDP("test")
	link, err := point.Attach(attachable{hooks.NewExecutable(hooks.Config{Prog: p, Hook: hooks.XDP, Engine: code, Machine: m, Limit: 100})})
	require.NoError(t, err)
	defer link.Detach()
	var frames []*hooks.XDPFrame
	for range 3 {
		f, err := hooks.NewXDPFrame()
		require.NoError(t, err)
		defer f.Close()
		require.NoError(t, f.SetLen(64))
		frames = append(frames, f)
	}
	require.NoError(t, point.FireFrames(frames))
	require.Len(t, *given, len(frames))
	for i, args := range *given {
		require.NotZero(t, args[0], "the context")
		require.Zero(t, [4]uint64(args[1:]), "r2 to r5 of frame %d", i)
		require.Equal(t, hooks.XDPPass, frames[i].Action())
	}
}

// TestStackAtEntry has a verified program read stack before it writes it, which holds zeros and not
// what the run before has left, beside stack that it writes first and that need not be cleared.
func TestStackAtEntry(t *testing.T) {
	p := enginetest.Parse(t, `
		*(u64 *)(r10 - 8) = 1
		r0 = *(u64 *)(r10 - 8)
		r2 = *(u64 *)(r10 - 24)
		r3 = *(u8 *)(r10 - 37)
		r2 |= r3
		if r2 != 0 goto out
		r0 = 0
		*(u64 *)(r10 - 16) = -1
		*(u64 *)(r10 - 24) = -1
		*(u64 *)(r10 - 40) = -1
	out:
		exit`)
	p.Type = prog.XDP
	proof, err := verifier.Verify(p, &verifier.Env{NumCPU: 1})
	require.NoError(t, err)
	require.Equal(t, ^uint64(1<<2|1<<4), proof.Funcs[0].Unread)
	code := compile(t, p, jit.Env{Proof: proof})
	r := enginetest.NewRig(t)
	r.CPU.SetCtx(nil, r.Memory.Addr(), 64)
	for range 3 {
		r0, err := code.Run(r.CPU)
		require.NoError(t, err)
		require.Zero(t, r0)
	}
	require.Equal(t, uint64(11*40), batchOfZeros(t, r, code, 40))
}

// batchOfZeros has n runs in a batch return 0 each, and returns how many instructions that took.
func batchOfZeros(t *testing.T, r *enginetest.Rig, code *jit.Code, n int) (insns uint64) {
	t.Helper()
	runs := make([]*vm.PacketRun, n)
	for i := range runs {
		runs[i] = &vm.PacketRun{Ctx: uint64(r.Memory.Addr()), Ret: 9}
	}
	require.True(t, code.Batch(r.CPU))
	done, insns, left := code.RunBatch(r.CPU, runs)
	require.Equal(t, n, done)
	require.False(t, left)
	for i, run := range runs {
		require.Zero(t, run.Ret, "run %d", i)
	}
	return insns
}

// BenchmarkEmpty is a run that does nothing, of a program that is verified, on a CPU that the
// caller holds, or leases for the run.
func BenchmarkEmpty(b *testing.B) {
	p := enginetest.Parse(b, "r0 = 0\nexit")
	p.Type = prog.XDP
	proof, err := verifier.Verify(p, &verifier.Env{NumCPU: 1})
	require.NoError(b, err)
	code := compile(b, p, jit.Env{Proof: proof})
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
