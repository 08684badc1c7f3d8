package interp

import (
	"context"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// engines returns p decoded for the loop and for the stepper.
func engines(t testing.TB, p *prog.Program, env Env) map[string]*Code {
	t.Helper()
	fast, err := Compile(p, env)
	require.NoError(t, err)
	env.Observe = func(int, *Registers) {}
	slow, err := Compile(p, env)
	require.NoError(t, err)
	return map[string]*Code{"loop": fast, "steps": slow}
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name, prog, want string
		is               error
	}{
		{"behind the memory", "r0 = *(u32 *)(r1 + 13)\nexit",
			"test: instruction 0: access outside the memory that the program was given: read of 4 bytes at ctx+13, allowed: rw in [0, 16)", vm.ErrAccess},
		{"before the memory", "r0 = 1\n*(u8 *)(r1 - 1) = r0\nexit",
			"test: instruction 1: access outside the memory that the program was given: write of 1 bytes at ctx-1, allowed: rw in [0, 16)", vm.ErrAccess},
		{"null", "r0 = 0\nr0 = *(u64 *)(r0 + 0)\nexit",
			"test: instruction 1: access outside the memory that the program was given: read of 8 bytes at 0x0, which is in no region", vm.ErrAccess},
		{"below the stack", "r2 = r10\nr3 = r1\nr2 += r3\nr2 -= r3\nr0 = *(u64 *)(r2 - 516)\nexit",
			"test: instruction 4: access outside the memory that the program was given: read of 8 bytes at stack-516, allowed: rw in [-512, 0)", vm.ErrAccess},
		{"above the stack", "r0 = *(u64 *)(r10 - 4)\nexit",
			"test: instruction 0: access outside the memory that the program was given: read of 8 bytes at stack-4, allowed: rw in [-512, 0)", vm.ErrAccess},
		{"misaligned atomic", "r2 = 1\nlock *(u64 *)(r1 + 4) += r2\nexit",
			"test: instruction 1: misaligned atomic access: write of 8 bytes at ctx+4, allowed: rw in [0, 16)", vm.ErrMisaligned},
		{"frames", "f:\ncall f\nexit", "test: instruction 0: calls nested too deeply: at most 8 frames", vm.ErrCallDepth},
		{"endless", "l:\nr0 += 1\ngoto l\nexit", "test: instruction 0: instruction budget used up: 1000 instructions", vm.ErrBudget},
		{"popped frame", "call f\nr0 = *(u8 *)(r0 - 1)\nexit\nf:\nr0 = r10\nexit",
			"test: instruction 1: access outside the memory that the program was given: read of 1 bytes at stack-513, allowed: rw in [-512, 0)", vm.ErrAccess},
	} {
		for engine, code := range engines(t, enginetest.Parse(t, c.prog), Env{}) {
			t.Run(c.name+"/"+engine, func(t *testing.T) {
				r := enginetest.NewRig(t)
				r.CPU.Limit = 1000
				_, _, err := r.Run(code, make([]byte, 16))
				require.EqualError(t, err, c.want)
				require.ErrorIs(t, err, c.is)
			})
		}
	}
}

func TestSanitise(t *testing.T) {
	for _, c := range []struct {
		name, prog, want string
	}{
		{"stack never written", "*(u32 *)(r10 - 8) = 1\nr0 = *(u64 *)(r10 - 8)\nexit",
			"test: instruction 1: read of stack bytes that were never written: read of 4 bytes at stack-4, allowed: rw in [-512, 0)"},
		{"stack of an earlier call", "call f\ncall g\nexit\nf:\n*(u64 *)(r10 - 8) = 1\nexit\ng:\nr0 = *(u64 *)(r10 - 8)\nexit",
			"test: instruction 5: read of stack bytes that were never written: read of 8 bytes at stack-8, allowed: rw in [-512, 0)"},
		{"atomic operation on stack never written", "r0 = 1\nlock *(u64 *)(r10 - 8) += r0\nexit",
			"test: instruction 1: read of stack bytes that were never written: read of 8 bytes at stack-8, allowed: rw in [-512, 0)"},
		{"atomic operation on written stack", "r0 = 1\n*(u64 *)(r10 - 8) = r0\nlock *(u64 *)(r10 - 8) += r0\nexit", ""},
		{"written stack", "*(u64 *)(r10 - 8) = 1\nr0 = *(u32 *)(r10 - 8)\nexit", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, err := Compile(enginetest.Parse(t, c.prog), Env{Sanitize: true})
			require.NoError(t, err)
			_, _, err = enginetest.NewRig(t).Run(code, nil)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.EqualError(t, err, c.want)
		})
	}
}

func TestSanitisePacket(t *testing.T) {
	layout := &prog.CtxLayout{Name: "xdp_md", Size: 8, Fields: []prog.CtxField{
		{Name: "data", Size: 4, Kind: prog.PacketData}, {Name: "data_end", Off: 4, Size: 4, Kind: prog.PacketEnd, Ptr: 1}}}
	run := func(text string) error {
		r := enginetest.NewRig(t)
		packet, err := mem.New(64)
		require.NoError(t, err)
		defer packet.Close()
		code, err := Compile(enginetest.Parse(t, text), Env{Sanitize: true})
		require.NoError(t, err)
		r.CPU.SetCtx(layout, r.Memory.Addr(), 8)
		r.CPU.SetPacket(packet.Addr(), packet.Addr(), packet.Addr()+64)
		r.CPU.Ptrs = [8]uint64{uint64(packet.Addr()), uint64(packet.Addr()) + 64}
		_, err = code.Run(r.CPU)
		return err
	}
	const load = "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\n"
	require.ErrorIs(t, run(load+"r0 = *(u8 *)(r2 + 0)\nexit"), vm.ErrUnchecked)
	const check = load + "r4 = r2\nr4 += 14\nif r4 > r3 goto out\n"
	require.NoError(t, run(check+"r0 = *(u8 *)(r2 + 13)\nout:\nexit"))
	require.EqualError(t, run(check+"r0 = *(u16 *)(r2 + 13)\nout:\nexit"),
		"test: instruction 5: read of packet bytes that were never compared with data_end: read of 2 bytes at packet+13, allowed: rw in [0, 64)")
	for _, jump := range []string{"if r4 >= r3", "if r3 <= r4"} { // the byte at r4 is there behind them
		check := load + "r4 = r2\nr4 += 14\n" + jump + " goto out\n"
		require.NoError(t, run(check+"r0 = *(u16 *)(r2 + 13)\nout:\nexit"), jump)
		require.ErrorIs(t, run(check+"r0 = *(u16 *)(r2 + 14)\nout:\nexit"), vm.ErrUnchecked, jump)
	}
}

// TestCancel ends endless programs from outside, whatever they do meanwhile.
func TestCancel(t *testing.T) {
	for name, text := range map[string]string{
		"loop":  "l:\nr0 = 1\nr0 += 1\ngoto l\nexit",
		"calls": "l:\ncall f\ngoto l\nexit\nf:\nr0 = 0\nexit",
	} {
		for engine, code := range engines(t, enginetest.Parse(t, text), Env{}) {
			t.Run(name+"/"+engine, func(t *testing.T) {
				r := enginetest.NewRig(t)
				r.CPU.Limit = math.MaxUint64
				ctx, cancel := context.WithCancel(context.Background())
				r.CPU.Context = ctx
				time.AfterFunc(10*time.Millisecond, cancel)
				_, _, err := r.Run(code, nil)
				require.ErrorIs(t, err, context.Canceled)
				require.NotZero(t, r.CPU.Done)
			})
		}
	}
}

// TestBudget runs a loop of six instructions a round, one instruction into the
// program, under every budget. Both ways of execution stop at the same instruction.
func TestBudget(t *testing.T) {
	p := enginetest.Parse(t, "r1 = 0\nl:\nr0 = 0\nr2 = 1\nr3 = 2\nr4 = 3\nr1 += 1\nif r1 != 50 goto l\nexit")
	const round, whole = 6, 1 + 50*6 + 1
	r := enginetest.NewRig(t)
	code := engines(t, p, Env{})
	for limit := range uint64(whole) {
		r.CPU.Limit = limit
		want := r.Outcome(code["steps"])
		require.Equal(t, want, r.Outcome(code["loop"]), "budget %d", limit)
		// The last jump is taken a round and the exit before the end.
		if limit >= whole-round-1-1 {
			require.Empty(t, want.Fault)
			require.Equal(t, uint64(whole), want.Done)
			continue
		}
		require.Contains(t, want.Fault, vm.ErrBudget.Error())
		require.Greater(t, want.Done, limit)
		require.LessOrEqual(t, want.Done, limit+1+round)
	}
}

func TestRunDoesNotAllocate(t *testing.T) {
	if !hasLoop {
		t.Skip("built without the loop: single steps allocate")
	}
	code := engines(t, enginetest.Parse(t, "call f\nr2 = *(u64 *)(r1 + 0)\nlock *(u64 *)(r1 + 8) += r2\nexit\nf:\nr0 = 1\nexit"), Env{})["loop"]
	r := enginetest.NewRig(t)
	data := make([]byte, 16)
	r.CPU.SetCtx(nil, r.Memory.Addr(), len(data))
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := code.Run(r.CPU); err != nil {
			t.Fatal(err)
		}
	}))
}

// BenchmarkCompile reports what decoding costs for each instruction.
func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{50, 1000, 20000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			g := enginetest.NewGenerator(1)
			p := g.Program(n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Compile(p, Env{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(g.Out)), "ns/insn")
		})
	}
}
