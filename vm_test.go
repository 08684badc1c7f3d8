package sandbpf

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/maps"
)

func newVM(t testing.TB, options ...Option) *VM {
	t.Helper()
	v, err := New(options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, v.Close()) })
	return v
}

func parse(t testing.TB, text string) asm.Instructions {
	t.Helper()
	insns, err := asm.Parse(text)
	require.NoError(t, err)
	return insns
}

// program loads a program of a type from text.
func program(t testing.TB, v *VM, typ ProgramType, text string, named map[string]*maps.Map) *Program {
	t.Helper()
	p, err := v.LoadProgram(&ProgramSpec{Name: "test", Type: typ, License: "GPL", Instructions: parse(t, text)}, named)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

var packet = make([]byte, 60)

func TestTest(t *testing.T) {
	v := newVM(t)
	p := program(t, v, XDP, `r2 = *(u32 *)(r1 + 0)
		r1 = *(u32 *)(r1 + 4)
		r3 = r2
		r3 += 1
		r0 = 0
		if r3 > r1 goto out
		*(u8 *)(r2 + 0) = 7
		r0 = 1
		out: exit`, nil)
	ret, out, err := p.Test(packet)
	require.NoError(t, err)
	require.Equal(t, uint32(hooks.XDPDrop), ret)
	require.Equal(t, append([]byte{7}, packet[1:]...), out)
	require.Equal(t, make([]byte, 60), packet, "the input is not changed")
	require.Equal(t, hooks.Stats{Runs: 1, Instructions: 9}, p.Stats())
	_, _, err = p.Test(packet[:13])
	require.ErrorIs(t, err, ErrInput)
	require.ErrorContains(t, err, "13 bytes")
}

func TestMemoryProgram(t *testing.T) {
	p := program(t, newVM(t), Unspec, `r0 = r2
		if r2 == 0 goto out
		*(u8 *)(r1 + 1) = 9
		out: exit`, nil)
	ret, out, err := p.Test([]byte{1, 2, 3})
	require.NoError(t, err)
	require.Equal(t, uint32(3), ret)
	require.Equal(t, []byte{1, 9, 3}, out)
	ret, out, err = p.Test(nil)
	require.NoError(t, err)
	require.Equal(t, uint32(0), ret)
	require.Empty(t, out)
	_, _, err = p.Test([]byte{1})
	require.ErrorIs(t, err, ErrAccess)
}

// TestLoadRefuses loads what is not there or not allowed, which no verifier is needed for.
func TestLoadRefuses(t *testing.T) {
	v := newVM(t, WithoutVerifier())
	for _, c := range []struct {
		name string
		spec ProgramSpec
		want error
		text string
	}{
		{"unknown helper", ProgramSpec{Type: XDP, Instructions: parse(t, "r0 = 0\ncall 9999\nexit")}, ErrUnknownHelper,
			"program test: instruction 1: call of helper#9999: unknown helper"},
		{"helper of another type", ProgramSpec{Type: XDP, Instructions: parse(t, "call bpf_skb_load_bytes\nexit")}, ErrNotAllowed,
			"program test: instruction 0: call of bpf_skb_load_bytes: helper not allowed: not for programs of xdp"},
		{"licence", ProgramSpec{Type: XDP, License: "MIT", Instructions: parse(t, "call bpf_trace_printk\nexit")}, ErrNotAllowed,
			`only for programs with a GPL-compatible licence, this one has "MIT"`},
		{"helper without a body", ProgramSpec{Type: XDP, Instructions: parse(t, "call bpf_sk_lookup_tcp\nexit")}, ErrNotSupported,
			"call of bpf_sk_lookup_tcp"},
		{"type", ProgramSpec{Type: 14, Instructions: parse(t, "exit")}, ErrNotSupported, "sk_skb"},
		{"hook", ProgramSpec{Type: Custom, AttachTo: "nowhere", Instructions: parse(t, "exit")}, ErrUnknownHook, "nowhere"},
		{"section", ProgramSpec{Section: "nowhere", Instructions: parse(t, "exit")}, ErrUnknownHook, "nowhere"},
		{"section almost of Linux", ProgramSpec{Section: "xdp_foo", Instructions: parse(t, "exit")}, ErrUnknownHook,
			`no hook for section "xdp_foo", attach target ""; near to it is section "xdp"`},
		{"map", ProgramSpec{Type: XDP, Instructions: asm.Instructions{asm.LoadMapPtr(asm.R1, "m"), asm.Return()}}, ErrInvalidProgram,
			`map "m"`},
		{"kernel function", ProgramSpec{Type: XDP, Instructions: asm.Instructions{asm.CallKfunc("bpf_rdonly_cast"), asm.Return()}},
			ErrNotSupported, "call of bpf_rdonly_cast"},
		{"nothing", ProgramSpec{Type: XDP}, ErrInvalidProgram, "no instructions"},
	} {
		c.spec.Name = "test"
		c.spec.Lines = []Line{{Slot: 0, File: "test.c", Number: 7, Text: "call();"}}
		p, err := v.LoadProgram(&c.spec, nil)
		require.ErrorIs(t, err, c.want, c.name)
		require.ErrorContains(t, err, c.text, c.name)
		require.Nil(t, p, c.name)
	}
	_, err := v.LoadProgram(&ProgramSpec{Name: "test", Type: XDP, Instructions: parse(t, "call 9999\nexit"),
		Lines: []Line{{Slot: 0, File: "test.c", Number: 7, Text: "call();"}}}, nil)
	require.EqualError(t, err, "program test: instruction 0: call of helper#9999: unknown helper (test.c:7: call();)")
}

// TestNilArguments: what is missing is named.
func TestNilArguments(t *testing.T) {
	v := newVM(t)
	load := func(spec *CollectionSpec, options ...CollectionOption) error {
		coll, err := v.LoadCollection(spec, options...)
		require.Nil(t, coll)
		return err
	}
	array := maps.Spec{Type: maps.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	programs, err := v.NewMap(&array)
	require.NoError(t, err)
	defer programs.Close()
	_, program := v.LoadProgram(nil, nil)
	_, verified := v.VerifyProgram(nil, nil)
	_, hook := New(WithHook(nil))
	_, spec := v.NewMap(nil)
	for _, c := range []struct {
		err  error
		want string
	}{
		{program, "nil ProgramSpec"},
		{verified, "nil ProgramSpec"},
		{hook, "nil hook"},
		{spec, "nil Spec"},
		{load(nil), "nil CollectionSpec"},
		{load(&CollectionSpec{Programs: map[string]*ProgramSpec{"p": nil}}), "program p: nil ProgramSpec"},
		{load(&CollectionSpec{Maps: map[string]*maps.Spec{"m": nil}}), "map m: nil Spec"},
		{load(&CollectionSpec{Variables: map[string]*VariableSpec{"v": nil}}), "variable v: nil VariableSpec"},
		{load(&CollectionSpec{Maps: map[string]*maps.Spec{"m": &array}}, WithMaps(map[string]*maps.Map{"m": nil})), "map m to use: nil Map"},
		{programs.Put(uint32(0), (*Program)(nil)), "invalid argument"},
	} {
		require.ErrorContains(t, c.err, c.want)
	}
}

func TestOptions(t *testing.T) {
	for text, option := range map[string]Option{
		"0 virtual CPUs": WithCPUs(0), "nil clock": WithClock(nil), "0 instructions": WithLimit(0), "no engine": WithEngine(99),
	} {
		_, err := New(option)
		require.ErrorContains(t, err, text)
	}
	_, err := New(WithCPUs(1 << 20))
	require.ErrorContains(t, err, "must be 1 to")
	h, err := hooks.New[struct{ N uint8 }]("twice")
	require.NoError(t, err)
	_, err = New(WithHook(h), WithHook(h))
	require.ErrorContains(t, err, "two hooks named twice")

	v := newVM(t, WithCPUs(3), WithClock(func() uint64 { return 42 }), WithSeed(5), WithLimit(1000), WithStats())
	require.Equal(t, 3, v.NumCPU())
	clock := program(t, v, XDP, "call bpf_ktime_get_ns\nexit", nil)
	ret, _, err := clock.Test(packet)
	require.NoError(t, err)
	require.Equal(t, uint32(42), ret)
	require.Positive(t, clock.Stats().Time)
	loop := program(t, v, XDP, "r0 = 0\nagain: r0 += 1\nif r0 != 2000 goto again\nexit", nil)
	_, _, err = loop.Test(packet)
	require.ErrorIs(t, err, ErrBudget)
	random := program(t, v, XDP, "call bpf_get_prandom_u32\nexit", nil)
	first, _, err := random.Test(packet)
	require.NoError(t, err)
	again, _, err := program(t, newVM(t, WithSeed(5)), XDP, "call bpf_get_prandom_u32\nexit", nil).Test(packet)
	require.NoError(t, err)
	require.Equal(t, first, again)
}

func TestSanitizer(t *testing.T) {
	v := newVM(t, WithSanitizer(), WithoutVerifier())
	_, _, err := program(t, v, XDP, "r0 = *(u64 *)(r10 - 8)\nexit", nil).Test(packet)
	require.ErrorIs(t, err, ErrUninit)
	_, _, err = program(t, v, XDP, "r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 1)\nexit", nil).Test(packet)
	require.ErrorIs(t, err, ErrUnchecked)
	ret, _, err := program(t, newVM(t, WithSanitizer()), XDP, `r2 = *(u32 *)(r1 + 0)
		r3 = *(u32 *)(r1 + 4)
		r4 = r2
		r4 += 2
		r0 = 0
		if r4 > r3 goto out
		r0 = *(u8 *)(r2 + 1)
		out: exit`, nil).Test([]byte("abcdefghijklmnop"))
	require.NoError(t, err)
	require.Equal(t, uint32('b'), ret)
}

func TestCancel(t *testing.T) {
	p := program(t, newVM(t, WithoutVerifier()), XDP, "again: r0 = 0\ngoto again\nexit", nil)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	err := p.Run(ctx, &hooks.TestRun{Data: packet})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestClose(t *testing.T) {
	v, err := New()
	require.NoError(t, err)
	p, err := v.LoadProgram(&ProgramSpec{Name: "p", Type: XDP, Instructions: parse(t, "r0 = 2\nexit")}, nil)
	require.NoError(t, err)
	require.NoError(t, v.Close())
	require.NoError(t, v.Close())
	_, _, err = p.Test(packet)
	require.NoError(t, err, "programs outlive Close")
	_, err = v.LoadProgram(&ProgramSpec{Name: "p", Type: XDP, Instructions: parse(t, "r0 = 2\nexit")}, nil)
	require.ErrorIs(t, err, os.ErrClosed)
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	_, _, err = p.Test(packet)
	require.ErrorIs(t, err, os.ErrClosed)
	require.Eventually(t, func() bool {
		cpu, err := v.Acquire()
		if err == nil {
			cpu.Release()
		}
		return err != nil
	}, 5*time.Second, time.Millisecond, "the machine closes behind the last program")
}

func TestRunDoesNotAllocate(t *testing.T) {
	v := newVM(t)
	p := program(t, v, XDP, "r0 = 1\nexit", nil)
	run := hooks.TestRun{Data: packet}
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := p.Run(ctx, &run); err != nil || run.Ret != 1 {
			t.Fatal(err, run.Ret)
		}
	}))
	cpu, err := v.Acquire()
	require.NoError(t, err)
	defer cpu.Release()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := p.RunOn(ctx, cpu, &run); err != nil || run.Ret != 1 {
			t.Fatal(err, run.Ret)
		}
	}))
}

// TestCPUs has more goroutines than CPUs, and some that hold theirs.
func TestCPUs(t *testing.T) {
	v := newVM(t, WithCPUs(2))
	p := program(t, v, XDP, "call bpf_get_smp_processor_id\nexit", nil)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 200 {
				if i > 0 {
					if ret, _, err := p.Test(packet); err != nil || ret > 1 {
						t.Error(ret, err)
					}
					continue
				}
				cpu, err := v.Acquire()
				if err != nil {
					t.Error(err)
					return
				}
				run := hooks.TestRun{Data: packet}
				if err := p.RunOn(context.Background(), cpu, &run); err != nil || int(run.Ret) != cpu.ID() {
					t.Error(run.Ret, err)
				}
				cpu.Release()
			}
		})
	}
	wg.Wait()
	require.Equal(t, uint64(1600), p.Stats().Runs)
}
