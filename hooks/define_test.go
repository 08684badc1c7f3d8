package hooks_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/verifier"
)

func newVM(t testing.TB, options ...sandbpf.Option) *sandbpf.VM {
	t.Helper()
	v, err := sandbpf.New(options...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, v.Close()) })
	return v
}

// load loads a program for a hook until the end of the test.
func load(t testing.TB, v *sandbpf.VM, hook *hooks.Type, insns ...asm.Instruction) *sandbpf.Program {
	t.Helper()
	p, err := v.LoadProgram(&sandbpf.ProgramSpec{Name: "test", Type: hook.Prog, AttachTo: hook.Name,
		License: "GPL", Instructions: insns}, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// unverified is a VM that loads what the verifier would refuse.
func unverified(t testing.TB, options ...sandbpf.Option) *sandbpf.VM {
	return newVM(t, append(options, sandbpf.WithoutVerifier())...)
}

// refused loads a program for a hook, which must be refused, and returns why.
func refused(t testing.TB, v *sandbpf.VM, hook *hooks.Type, insns ...asm.Instruction) *verifier.Error {
	t.Helper()
	_, err := v.LoadProgram(&sandbpf.ProgramSpec{Name: "test", Type: hook.Prog, AttachTo: hook.Name,
		License: "GPL", Instructions: insns}, nil)
	var why *verifier.Error
	require.ErrorAs(t, err, &why)
	return why
}

// returning is a program that returns a number.
func returning(n int32) []asm.Instruction {
	return []asm.Instruction{asm.Mov.Imm(asm.R0, n), asm.Return()}
}

type address struct {
	Family uint16
	Port   uint16 `bpf:"port,rw"`
	IP     [4]byte
}

type request struct {
	Secure   bool
	Method   uint32
	From     address
	Path     hooks.Bytes
	Body     []byte   `bpf:"rw"`
	Verdicts [3]int64 `bpf:"rw"`
	Cached   bool     `bpf:"rw"`
	Score    int16    `bpf:"the_score,rw"`
	Secret   string   `bpf:"-"`
}

func TestCustomContext(t *testing.T) {
	h, err := hooks.New[request]("custom_context")
	require.NoError(t, err)
	type field struct {
		name      string
		off, size int
		writable  bool
	}
	var got []field
	for _, f := range h.Type().Layout.Fields {
		got = append(got, field{f.Name, f.Off, f.Size, f.Writable})
	}
	require.Equal(t, []field{
		{"secure", 0, 1, false}, {"method", 4, 4, false},
		{"from.family", 8, 2, false}, {"from.port", 10, 2, true}, {"from.ip", 12, 4, false},
		{"path", 16, 8, false}, {"path_end", 24, 8, false},
		{"body", 32, 8, false}, {"body_end", 40, 8, false},
		{"verdicts", 48, 24, true}, {"cached", 72, 1, true}, {"the_score", 74, 2, true},
	}, got)
	require.Equal(t, 80, h.Type().Layout.Size)
}

// TestFireCopies has a program read every field and write every field that it may.
func TestFireCopies(t *testing.T) {
	h, err := hooks.New[request]("copies")
	require.NoError(t, err)
	v := newVM(t, sandbpf.WithHook(h))
	r := func(off int16, size asm.Size, at int32) []asm.Instruction { // r6 += field << at
		return []asm.Instruction{asm.LoadMem(asm.R2, asm.R1, off, size), asm.LSh.Imm(asm.R2, at), asm.Add.Reg(asm.R6, asm.R2)}
	}
	insns := []asm.Instruction{asm.Mov.Imm(asm.R6, 0)}
	insns = append(insns, r(0, asm.Byte, 0)...)
	insns = append(insns, r(4, asm.Word, 8)...)
	insns = append(insns, r(10, asm.Half, 16)...)
	insns = append(insns, r(15, asm.Byte, 32)...)
	within := func(n int32) []asm.Instruction { // leaves unless r3 points to n bytes and more in front of r4
		return []asm.Instruction{asm.Mov.Reg(asm.R5, asm.R3), asm.Add.Imm(asm.R5, n), asm.JGT.Reg(asm.R5, asm.R4, "out")}
	}
	insns = append(insns, asm.LoadMem(asm.R3, asm.R1, 16, asm.DWord), asm.LoadMem(asm.R4, asm.R1, 24, asm.DWord))
	insns = append(append(insns, within(2)...),
		asm.LoadMem(asm.R2, asm.R3, 1, asm.Byte), // path[1]
		asm.LSh.Imm(asm.R2, 40), asm.Add.Reg(asm.R6, asm.R2),
		asm.Sub.Reg(asm.R4, asm.R3), // len(path)
		asm.LSh.Imm(asm.R4, 48), asm.Add.Reg(asm.R6, asm.R4),
		asm.LoadMem(asm.R3, asm.R1, 32, asm.DWord), asm.LoadMem(asm.R4, asm.R1, 40, asm.DWord))
	insns = append(append(insns, within(1)...),
		asm.StoreImm(asm.R3, 0, 'B', asm.Byte),  // body[0]
		asm.StoreImm(asm.R1, 56, -5, asm.DWord), // verdicts[1]
		asm.StoreImm(asm.R1, 72, 7, asm.Byte),   // cached, no bool that Go knows
		asm.StoreImm(asm.R1, 74, -300, asm.Half),
		asm.StoreImm(asm.R1, 10, 443, asm.Half),
		asm.Mov.Reg(asm.R0, asm.R6).WithSymbol("out"), asm.Return())
	p := load(t, v, h.Type(), insns...)
	link, err := h.Attach(p)
	require.NoError(t, err)
	defer link.Detach()

	ev := request{Secure: true, Method: 2, From: address{Family: 10, Port: 80, IP: [4]byte{1, 2, 3, 4}},
		Path: []byte("/x"), Body: []byte("body"), Secret: "none of yours"}
	ret, err := h.Fire(&ev)
	require.NoError(t, err)
	require.Equal(t, uint64(1|2<<8|80<<16|4<<32|'x'<<40|2<<48), ret)
	require.Equal(t, request{Secure: true, Method: 2, From: address{Family: 10, Port: 443, IP: [4]byte{1, 2, 3, 4}},
		Path: []byte("/x"), Body: []byte("Body"), Verdicts: [3]int64{0, -5, 0}, Cached: true, Score: -300,
		Secret: "none of yours"}, ev)
}

// TestFireCopiesWhole does the same with structs that are contexts as they are: one that programs may
// write, and one that they may not, in turns.
func TestFireCopiesWhole(t *testing.T) {
	type counts struct {
		Sum  uint64 `bpf:"rw"`
		N    uint32 `bpf:"rw"`
		Last int32  `bpf:"rw"`
	}
	type pair struct{ A, B uint64 }
	writes, err := hooks.New[counts]("counts")
	require.NoError(t, err)
	reads, err := hooks.New[pair]("pairs")
	require.NoError(t, err)
	v := newVM(t, sandbpf.WithHook(writes), sandbpf.WithHook(reads))
	attach := func(point interface {
		Attach(hooks.Program, ...hooks.AttachOption) (*hooks.Link, error)
	}, typ *hooks.Type, text string) {
		insns, err := asm.Parse(text)
		require.NoError(t, err)
		_, err = point.Attach(load(t, v, typ, insns...))
		require.NoError(t, err)
	}
	attach(writes, writes.Type(), "r2 = *(u64 *)(r1 + 0)\nw3 = *(u32 *)(r1 + 8)\nr2 += r3\n*(u64 *)(r1 + 0) = r2\n*(u32 *)(r1 + 12) = w3\nr0 = 0\nexit")
	attach(reads, reads.Type(), "r0 = *(u64 *)(r1 + 0)\nr2 = *(u64 *)(r1 + 8)\nr0 -= r2\nexit")
	for i := range uint32(3) {
		ev := counts{Sum: 1 << 40, N: i, Last: -1}
		ret, err := writes.Fire(&ev)
		require.NoError(t, err)
		require.Zero(t, ret)
		require.Equal(t, counts{1<<40 + uint64(i), i, int32(i)}, ev)
		of := pair{1 << 50, uint64(i)}
		ret, err = reads.Fire(&of)
		require.NoError(t, err)
		require.Equal(t, 1<<50-uint64(i), ret)
		require.Equal(t, pair{1 << 50, uint64(i)}, of)
	}
}

// TestFirePanics has the clock panic in a run. Who recovers, as net/http does, can go on as if nothing had been.
func TestFirePanics(t *testing.T) {
	broken := false
	h, err := hooks.New[struct{ A uint64 }]("panics")
	require.NoError(t, err)
	v := newVM(t, sandbpf.WithHook(h), sandbpf.WithCPUs(1), sandbpf.WithClock(func() uint64 {
		if broken {
			panic("no time")
		}
		return 7
	}))
	_, err = h.Attach(load(t, v, h.Type(), asm.FnKtimeGetNs.Call(), asm.Return()))
	require.NoError(t, err)
	var ev struct{ A uint64 }
	fire := func() {
		ret, err := h.Fire(&ev)
		require.NoError(t, err)
		require.Equal(t, uint64(7), ret)
	}
	fire()
	broken = true
	require.PanicsWithValue(t, "no time", fire)
	broken = false
	fire()
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = h.Fire(&ev) }))
}

// TestFireRefuses has programs do what they may not. They are refused; loaded all the same, they are stopped.
func TestFireRefuses(t *testing.T) {
	h, err := hooks.New[request]("refuses")
	require.NoError(t, err)
	strict, loose := newVM(t, sandbpf.WithHook(h)), unverified(t, sandbpf.WithHook(h))
	for _, c := range []struct {
		name  string
		insns []asm.Instruction
		code  verifier.Code
		want  error
		text  string
	}{
		{"write of a field that is read-only",
			[]asm.Instruction{asm.StoreImm(asm.R1, 4, 1, asm.Word), asm.Return()}, verifier.CodeCtxAccess, sandbpf.ErrPermission, "method"},
		{"write of a slice that is read-only",
			[]asm.Instruction{asm.LoadMem(asm.R3, asm.R1, 16, asm.DWord), asm.StoreImm(asm.R3, 0, 1, asm.Byte), asm.Return()},
			verifier.CodeReadOnly, sandbpf.ErrPermission, "path"},
		{"read behind a slice",
			[]asm.Instruction{asm.LoadMem(asm.R3, asm.R1, 24, asm.DWord), asm.LoadMem(asm.R0, asm.R3, 0, asm.Byte), asm.Return()},
			verifier.CodeBadDeref, sandbpf.ErrAccess, "path"},
		{"read behind the context",
			[]asm.Instruction{asm.LoadMem(asm.R0, asm.R1, 80, asm.Byte), asm.Return()}, verifier.CodeCtxAccess, sandbpf.ErrAccess, "ctx"},
		{"write of a pointer",
			[]asm.Instruction{asm.StoreImm(asm.R1, 16, 0, asm.DWord), asm.Return()}, verifier.CodeCtxAccess, sandbpf.ErrPermission, "path"},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.code, refused(t, strict, h.Type(), c.insns...).Code)
			link, err := h.Attach(load(t, loose, h.Type(), c.insns...))
			require.NoError(t, err)
			defer link.Detach()
			ev := request{Path: []byte("/path"), Verdicts: [3]int64{1, 2, 3}}
			_, err = h.Fire(&ev)
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.text)
			var fault *sandbpf.Fault
			require.ErrorAs(t, err, &fault)
			require.Equal(t, "test", fault.Prog)
			require.Equal(t, request{Path: []byte("/path"), Verdicts: [3]int64{1, 2, 3}}, ev)
		})
	}
}

func TestReturns(t *testing.T) {
	h, err := hooks.New[struct{ N uint32 }]("returns", hooks.Returns(-1, 1))
	require.NoError(t, err)
	strict, v := newVM(t, sandbpf.WithHook(h)), unverified(t, sandbpf.WithHook(h))
	for n, want := range map[int32]error{-2: hooks.ErrReturn, -1: nil, 0: nil, 1: nil, 2: hooks.ErrReturn} {
		link, err := h.Attach(load(t, v, h.Type(), returning(n)...))
		require.NoError(t, err)
		ret, err := h.Fire(&struct{ N uint32 }{})
		require.ErrorIs(t, err, want, n)
		if want == nil {
			require.Equal(t, int64(n), int64(ret))
			load(t, strict, h.Type(), returning(n)...)
		} else {
			require.Equal(t, verifier.CodeReturn, refused(t, strict, h.Type(), returning(n)...).Code)
		}
		require.NoError(t, link.Detach())
	}
}

func TestNewRefuses(t *testing.T) {
	type deep struct {
		A struct {
			B struct {
				C struct {
					D struct {
						E struct {
							F struct{ G struct{ H struct{ I uint8 } } }
						}
					}
				}
			}
		}
	}
	for want, make := range map[string]func() error{
		"an identifier of C": func() error { _, err := hooks.New[request]("http request"); return err },
		"it is no struct":    func() error { _, err := hooks.New[int32]("x"); return err },
		"it is empty":        func() error { _, err := hooks.New[struct{}]("x"); return err },
		"another size on other platforms": func() error {
			_, err := hooks.New[struct{ N int }]("x")
			return err
		},
		"*uint8 is not a number": func() error { _, err := hooks.New[struct{ P *uint8 }]("x"); return err },
		"string is not a number": func() error { _, err := hooks.New[struct{ S string }]("x"); return err },
		"is not exported":        func() error { _, err := hooks.New[struct{ n uint8 }]("x"); return err },
		"neither rw nor a name": func() error {
			_, err := hooks.New[struct {
				N uint8 `bpf:"read write"`
			}]("x")
			return err
		},
		`"wr" is no option`: func() error {
			_, err := hooks.New[struct {
				N uint8 `bpf:"n,wr"`
			}]("x")
			return err
		},
		`"union" is no name in C`: func() error { _, err := hooks.New[struct{ Union uint8 }]("x"); return err },
		"the name path_end is taken": func() error {
			_, err := hooks.New[struct {
				Path    []byte
				PathEnd uint8
			}]("x")
			return err
		},
		"array of 0 elements": func() error { _, err := hooks.New[struct{ A [0]uint8 }]("x"); return err },
		"more than 4096 bytes": func() error {
			_, err := hooks.New[struct {
				A [4000]uint8
				B [97]uint8
			}]("x")
			return err
		},
		"array of 1048576":             func() error { _, err := hooks.New[struct{ A [1 << 20]uint8 }]("x"); return err },
		"nested more than 8 deep":      func() error { _, err := hooks.New[deep]("x"); return err },
		"the range is empty":           func() error { _, err := hooks.New[request]("x", hooks.Returns(2, 1)); return err },
		"lets the next program decide": func() error { _, err := hooks.New[request]("x", hooks.Returns(1, 2)); return err },
		"is no func":                   func() error { _, err := hooks.New[request]("x", hooks.Helper("f", 1)); return err },
		"take 6 registers": func() error {
			_, err := hooks.New[request]("x", hooks.Helper("f", func(a, b, c []byte) {}))
			return err
		},
		"parameter 1: int is not": func() error { _, err := hooks.New[request]("x", hooks.Helper("f", func(int) {})); return err },
		"fixed number":            func() error { _, err := hooks.New[request]("x", hooks.Helper("f", func(...uint64) {})); return err },
		"result float64": func() error {
			_, err := hooks.New[request]("x", hooks.Helper("f", func() float64 { return 0 }))
			return err
		},
		"hook xdp: the name is taken": func() error { _, err := hooks.New[request]("xdp"); return err },
		"the name is taken": func() error {
			_, err := hooks.New[request]("x", hooks.Helper("f", func() {}), hooks.Helper("f", func() {}))
			return err
		},
	} {
		require.ErrorContains(t, make(), want)
	}
}

func TestDefine(t *testing.T) {
	h := hooks.Define[request]("defined_hook")
	require.Same(t, h.Type(), hooks.BySection("defined_hook"))
	require.Same(t, h.Type(), hooks.BySection("defined_hook/first"))
	require.Nil(t, hooks.BySection("defined_hooks"))
	require.Same(t, hooks.SchedCLS, hooks.BySection("tcx/egress"))
	require.Nil(t, hooks.BySection("tcx/foo"))
	require.Same(t, hooks.XDP, hooks.BySection("xdp/foo"))
	require.Nil(t, hooks.BySection("xdpfoo"))
	require.PanicsWithError(t, "hook defined_hook: the name is taken", func() { hooks.Define[request]("defined_hook") })
	require.PanicsWithError(t, "hook xdp: the name is taken", func() { hooks.Define[request]("xdp") })
}

// TestHelpers calls helpers of each kind of signature from a program.
func TestHelpers(t *testing.T) {
	type event struct{ Text []byte }
	var log []string
	boom := errors.New("boom")
	h, err := hooks.New[event]("helpers",
		hooks.Helper("sum", func(a, b, c, d, e uint64) uint64 { return a + b + c + d + e }),
		hooks.Helper("note", func(text []byte) { log = append(log, string(text)) }),
		hooks.Helper("narrow", func(a int8, b uint16, c bool) int32 {
			if c {
				return -int32(a) - int32(b)
			}
			return 0
		}),
		hooks.Helper("fill", func(b hooks.Buffer, v uint8) uint32 {
			for i := range b {
				b[i] = v
			}
			return uint32(len(b))
		}),
		hooks.Helper("length", func(s string) uint64 { log = append(log, s); return uint64(len(s)) }),
		hooks.Helper("fail", func() error { return boom }),
		hooks.Helper("panics", func() { panic("oh") }),
	)
	require.NoError(t, err)
	v := newVM(t, sandbpf.WithHook(h))
	call := func(n asm.BuiltinFunc) asm.Instruction { return (hooks.FirstCustomHelper + n).Call() }
	run := func(insns ...asm.Instruction) (uint64, error) {
		link, err := h.Attach(load(t, v, h.Type(), insns...))
		require.NoError(t, err)
		defer link.Detach()
		return h.Fire(&event{Text: []byte("hello")})
	}
	text := []asm.Instruction{ // r1 and r2: the text
		asm.LoadMem(asm.R2, asm.R1, 8, asm.DWord), asm.LoadMem(asm.R1, asm.R1, 0, asm.DWord), asm.Sub.Reg(asm.R2, asm.R1)}

	ret, err := run(asm.Mov.Imm(asm.R1, 1), asm.Mov.Imm(asm.R2, 2), asm.Mov.Imm(asm.R3, 3), asm.Mov.Imm(asm.R4, 4),
		asm.Mov.Imm(asm.R5, 5), call(0), asm.Return())
	require.NoError(t, err)
	require.Equal(t, uint64(15), ret)

	_, err = run(append(append([]asm.Instruction{}, text...), call(1), asm.Mov.Imm(asm.R0, 0), asm.Return())...)
	require.NoError(t, err)
	require.Equal(t, []string{"hello"}, log)

	_, err = run(append(append([]asm.Instruction{}, text...), asm.Add.Imm(asm.R2, 1), call(1), asm.Mov.Imm(asm.R0, 0), asm.Return())...)
	require.ErrorIs(t, err, sandbpf.ErrAccess)

	ret, err = run(asm.LoadImm(asm.R1, 0x1ff), asm.LoadImm(asm.R2, 0xffff0002), asm.Mov.Imm(asm.R3, 1), call(2), asm.Return())
	require.NoError(t, err)
	require.Equal(t, int64(1-2), int64(ret))

	ret, err = run(asm.Mov.Reg(asm.R1, asm.R10), asm.Add.Imm(asm.R1, -8), asm.Mov.Imm(asm.R2, 8), asm.Mov.Imm(asm.R3, 3),
		call(3), asm.LoadMem(asm.R1, asm.R10, -8, asm.DWord), asm.Add.Reg(asm.R0, asm.R1), asm.Return())
	require.NoError(t, err)
	require.Equal(t, uint64(0x0303030303030303+8), ret)

	log = nil
	ret, err = run(asm.LoadImm(asm.R2, 0x6968), asm.StoreMem(asm.R10, -8, asm.R2, asm.DWord), // "hi" on a little-endian machine
		asm.Mov.Reg(asm.R1, asm.R10), asm.Add.Imm(asm.R1, -8), call(4), asm.Return())
	require.NoError(t, err)
	require.Len(t, log, 1)
	require.Equal(t, uint64(len(log[0])), ret)

	_, err = run(call(5), asm.Mov.Imm(asm.R0, 0), asm.Return())
	require.ErrorIs(t, err, sandbpf.ErrHelper)
	require.ErrorIs(t, err, boom)
	require.ErrorContains(t, err, "call of a helper failed: fail: boom")
	_, err = run(call(6), asm.Mov.Imm(asm.R0, 0), asm.Return())
	require.ErrorIs(t, err, sandbpf.ErrHelper)
	require.ErrorContains(t, err, "panics panicked: oh")
}

func TestFireDoesNotAllocate(t *testing.T) {
	h, err := hooks.New[request]("no_allocation", hooks.Helper("count", func(b []byte, n uint64) uint64 { return n + uint64(len(b)) }))
	require.NoError(t, err)
	v := newVM(t, sandbpf.WithHook(h))
	link, err := h.Attach(load(t, v, h.Type(), asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R1, asm.R6, 16, asm.DWord), asm.LoadMem(asm.R2, asm.R6, 24, asm.DWord), asm.Sub.Reg(asm.R2, asm.R1),
		asm.Mov.Imm(asm.R3, 1), hooks.FirstCustomHelper.Call(), asm.Return()))
	require.NoError(t, err)
	defer link.Detach()
	path := []byte("/index.html")
	fire := func() {
		if ret, err := h.Fire(&request{Method: 1, Path: path}); ret != 12 || err != nil {
			t.Fatal(ret, err)
		}
	}
	require.Zero(t, testing.AllocsPerRun(100, fire))
	cpu, err := v.Acquire()
	require.NoError(t, err)
	defer cpu.Release()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if ret, err := h.FireOn(cpu, &request{Method: 1, Path: path}); ret != 12 || err != nil {
			t.Fatal(ret, err)
		}
	}))
}

type small struct{ A, B uint32 }

// BenchmarkFire fires events at a program that returns 0.
func BenchmarkFire(b *testing.B) {
	h, err := hooks.New[small]("small")
	require.NoError(b, err)
	wide, err := hooks.New[request]("wide")
	require.NoError(b, err)
	v := newVM(b, sandbpf.WithHook(h), sandbpf.WithHook(wide))
	link, err := h.Attach(load(b, v, h.Type(), returning(0)...))
	require.NoError(b, err)
	defer link.Detach()
	wideLink, err := wide.Attach(load(b, v, wide.Type(), returning(0)...))
	require.NoError(b, err)
	defer wideLink.Detach()
	b.Run("leased", func(b *testing.B) {
		for b.Loop() {
			h.Fire(&small{A: 1})
		}
	})
	b.Run("held", func(b *testing.B) {
		cpu, err := v.Acquire()
		require.NoError(b, err)
		defer cpu.Release()
		for b.Loop() {
			h.FireOn(cpu, &small{A: 1})
		}
	})
	b.Run("slices", func(b *testing.B) {
		ev := request{Path: []byte("/index.html"), Body: make([]byte, 100)}
		for b.Loop() {
			wide.Fire(&ev)
		}
	})
	b.Run("none", func(b *testing.B) {
		idle, err := hooks.New[small]("idle")
		require.NoError(b, err)
		for b.Loop() {
			idle.Fire(&small{A: 1})
		}
	})
	b.Run("xdp", func(b *testing.B) {
		point := hooks.NewXDP("bench")
		link, err := point.Attach(load(b, v, hooks.XDP, returning(1)...))
		require.NoError(b, err)
		defer link.Detach()
		ev, res := hooks.XDPEvent{Packet: make([]byte, 64)}, hooks.XDPResult{}
		for b.Loop() {
			point.Fire(&ev, &res)
		}
	})
	b.Run("tc", func(b *testing.B) {
		point := hooks.NewTC("bench")
		link, err := point.Attach(load(b, v, hooks.SchedCLS, returning(1)...))
		require.NoError(b, err)
		defer link.Detach()
		ev, res := hooks.SKBEvent{Packet: make([]byte, 64)}, hooks.SKBResult{}
		for b.Loop() {
			point.Fire(&ev, &res)
		}
	})
}
