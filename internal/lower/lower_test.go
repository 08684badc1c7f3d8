package lower

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/verifier"
)

// build brings text into blocks.
func build(t testing.TB, text string, env Env) *Program {
	t.Helper()
	insns, err := asm.Parse(strings.ReplaceAll(text, "; ", "\n"))
	require.NoError(t, err)
	insns, err = insns.Resolve()
	require.NoError(t, err)
	p := &prog.Program{Name: "test"}
	for _, ins := range insns {
		p.Insns = append(p.Insns, ins)
		if ins.Slots() == 2 {
			p.Insns = append(p.Insns, asm.Instruction{})
		}
	}
	if env.Immediate == nil {
		env.Immediate = func(slot int) (uint64, error) { return uint64(p.Insns[slot].Imm), nil }
	}
	if env.HasHelper == nil {
		env.HasHelper = func(asm.BuiltinFunc) bool { return true }
	}
	low, err := Build(p, env)
	require.NoError(t, err)
	return low
}

// TestOptimise shows what each rule makes of a block.
func TestOptimise(t *testing.T) {
	for _, c := range []struct{ name, prog, want string }{
		{"copy", "r3 = r1; r3 += r2; r0 = r3; exit", "r0 = r1 + r2; exit"},
		{"constant", "r0 = 5; r0 *= 7; r0 ^= 1; exit", "r0 = 34; exit"},
		{"division by zero", "r0 = 5; r3 = 0; r0 /= r3; exit", "r0 = 0; exit"},
		{"dead", "r3 = r1; r3 *= 9; r0 = 1; exit", "r0 = 1; exit"},
		{"sum", "r3 = r1; r3 += 4; r3 += 8; r0 = r3; exit", "r0 = r1 + 12; exit"},
		{"displacement", "r3 = r1; r3 += 4; r0 = *(u32 *)(r3 + 8); exit", "r0 = u32[r1+12]?; exit"},
		{"index", "r3 = r2; r3 <<= 3; r4 = r1; r4 += r3; r0 = *(u64 *)(r4 + 8); exit", "r0 = u64[r1+r2*8+8]?; exit"},
		{"index on the stack", "r4 = r10; r4 += -64; r4 += r2; r0 = *(u8 *)(r4 + 1); exit", "r0 = u8[r10+r2*1-63]?; exit"},
		{"zero-extension by shifts", "r0 = r1; r0 <<= 32; r0 >>= 32; exit", "w0 = r1; exit"},
		{"zero-extension of a narrow value", "r3 = *(u32 *)(r10 - 8); w0 = w3; exit", "r0 = u32[r10-8]; exit"},
		{"zero-extension of what may be a pointer", "r3 = *(u32 *)(r1 + 0); w0 = w3; exit", "r1 = u32[r1]?; w0 = r1; exit"},
		{"sign-extension by shifts", "r0 = r1; r0 <<= 48; r0 s>>= 48; exit", "r0 = sext16 r1; exit"},
		{"masked count", "r3 = r2; r3 &= 63; r0 = r1; r0 <<= r3; exit", "r0 = r1 << r2; exit"},
		{"masked count on 32 bits", "w3 = w2; w3 &= 31; w0 = w1; w0 s>>= w3; exit", "w0 = r1 s>> r2; exit"},
		{"count masked too much", "r0 = r1; r2 &= 31; r0 <<= r2; exit", "r4 = r2 & 31; r0 = r1 << r4; exit"},
		{"extended count", "r0 = r1; w3 = w2; r0 >>= r3; exit", "r0 = r1 >> r2; exit"},
		{"sign-extension on 32 bits", "w0 = w1; w0 <<= 24; w0 s>>= 24; exit", "w0 = sext8 r1; exit"},
		{"zero-extension on 32 bits", "w0 = w1; w0 <<= 16; w0 >>= 16; exit", "r0 = zext16 r1; exit"},
		{"no extension", "w0 = w1; w0 <<= 20; w0 s>>= 20; exit", "w1 = r1 << 20; w0 = r1 s>> 20; exit"},
		{"rotation", "r3 = r1; r3 <<= 13; r0 = r1; r0 >>= 51; r0 |= r3; exit", "r0 = r1 rol 13; exit"},
		{"rotation in place", "r0 = r1; r0 <<= 13; r1 >>= 51; r0 |= r1; exit", "r0 = r1 rol 13; exit"},
		{"rotation of 32 bits", "w0 = w1; w3 = w1; w0 <<= 5; w3 >>= 27; w0 |= w3; exit", "w0 = r1 rol 5; exit"},
		{"no rotation", "r3 = r1; r3 <<= 13; r0 = r1; r0 >>= 50; r0 |= r3; exit", "r3 = r1 << 13; r1 = r1 >> 50; r0 = r1 | r3; exit"},
		{"rotated product", "w2 = w1; w2 *= 0x16a88000; w1 *= 0xcc9e2d51; w1 >>= 17; w1 |= w2; w0 = w1; exit", "w1 = r1 * -862048943; w0 = r1 rol 15; exit"},
		{"other product", "w2 = w1; w2 *= 0x16a98000; w1 *= 0xcc9e2d51; w1 >>= 17; w1 |= w2; w0 = w1; exit",
			"w2 = r1 * 380207104; w1 = r1 * -862048943; r1 = r1 >> 17; r0 = r1 | r2; exit"},
		{"power of two", "r0 = r1; r0 *= 8; r2 /= 16; r0 += r2; exit", "r2 = r2 >> 4; r0 = r2 + r1*8; exit"},
		{"modulo", "r0 = r1; r0 %= 64; exit", "r0 = r1 & 63; exit"},
		{"signed by a power of two", "r0 = r1; r0 s/= 64; exit", "r0 = r1 s/ 64; exit"},
		{"signed, not negative", "w1 >>= 1; w1 s/= 4; r2 >>= 1; r2 s%= 8; r0 = r1; r0 += r2; exit", "w1 = r1 >> 1; r1 = r1 >> 2; r2 = r2 >> 1; r2 = r2 & 7; r0 = r1 + r2; exit"},
		{"signed, perhaps negative", "w0 = w1; w0 s/= 4; exit", "w0 = r1 s/ 4; exit"},
		{"signed by one", "r1 s/= 1; r2 s%= -1; r0 = r1; r0 += r2; exit", "r0 = r1; exit"},
		{"signed by -1", "w1 s/= -1; r0 = r1; exit", "w0 = -r1; exit"},
		{"large constant, once", "r3 = 0x123456789a ll; r1 += r3; r2 ^= r3; r0 = r1; r0 *= r2; exit",
			"r0 = 78187493530; r1 = r1 + r0; r2 = r2 ^ r0; r0 = r1 * r2; exit"},
		{"store", "r3 = 7; *(u32 *)(r10 - 8) = r3; r0 = 0; exit", "u32[r10-8] = 7; r0 = 0; exit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.prog, Env{})
			optimiseBlocks(p)
			require.Equal(t, c.want, p.text())
		})
	}
}

// TestMovesAtTheEnd lets registers change places in ways that no single order of moves does.
func TestMovesAtTheEnd(t *testing.T) {
	p := build(t, "r0 = 0; r3 = r1; r1 = r2; r2 = r3; call bpf_ktime_get_ns; exit", Env{})
	optimiseBlocks(p)
	require.Contains(t, p.text(), "r1 <-> r2")
}

// TestOperandOfAJump keeps what only the jump at the end looks at, which the moves in front of it overwrite.
func TestOperandOfAJump(t *testing.T) {
	p := build(t, "r3 = r2; r2 += 3; r0 = r2; if r3 < 9 goto out; r0 ^= r2; out: exit", Env{})
	optimiseBlocks(p)
	require.Equal(t, "r0 = r2 + 3; r1 = r2; r2 = r0; if r1 jlt 9 goto 2", p.Blocks[0].text())
}

// TestSize holds what is copied and walked most to half a cache line.
func TestSize(t *testing.T) {
	require.EqualValues(t, 32, unsafe.Sizeof(Ins{}))
	require.EqualValues(t, 32, unsafe.Sizeof(info{}))
}

// TestUnroll shows guard, copies and the loop as it was.
func TestUnroll(t *testing.T) {
	p := build(t, "r0 = 0; again: r0 += r1; r0 *= 3; if r0 < r2 goto again; exit", Env{})
	optimiseBlocks(p)
	unroll(p)
	want := `r0 = 0
guard 12 goto 7
r0 = r0 + r1; r0 = r0 * 3; if r0 jge r2 goto 8
r0 = r0 + r1; r0 = r0 * 3; if r0 jge r2 goto 8
r0 = r0 + r1; r0 = r0 * 3; if r0 jge r2 goto 8
r0 = r0 + r1; r0 = r0 * 3; if r0 jge r2 goto 8
repeat 12 goto 2
r0 = r0 + r1; r0 = r0 * 3; if r0 jlt r2 goto 1
exit`
	require.Equal(t, want, p.text())
}

// TestAlign aligns the heads of innermost loops, and what is repeated of them.
func TestAlign(t *testing.T) {
	aligned := func(text string) (heads []int) {
		p := build(t, text, Env{})
		unroll(p)
		align(p)
		for i := range p.Blocks {
			if p.Blocks[i].Align {
				heads = append(heads, i)
			}
		}
		return heads
	}
	require.Equal(t, []int{2}, aligned("r0 = 0; again: r0 += r1; if r0 < r2 goto again; exit"), "the copies")
	const call = "call 5; "
	require.Equal(t, []int{2}, aligned("r6 = r1; outer: r7 = 9; inner: "+call+"r7 -= 1; if r7 != 0 goto inner; r6 -= 1; if r6 != 0 goto outer; exit"))
	require.Equal(t, []int{2}, aligned("r6 = r1; goto test; far: r6 += 2; near: r6 += 1; test: "+call+"if r0 == 1 goto near; if r0 == 2 goto far; exit"),
		"two heads of one loop")
}

// TestNotUnrolled has loops that are left alone.
func TestNotUnrolled(t *testing.T) {
	for name, text := range map[string]string{
		"calls":        "r6 = 9; again: call bpf_ktime_get_ns; r6 -= 1; if r6 != 0 goto again; exit",
		"at the entry": "again: r1 += 1; if r1 < r2 goto again; r0 = 0; exit",
		"too long":     "r0 = 0; again: " + strings.Repeat("r0 *= 3; r0 += r1; ", 90) + "if r0 < r2 goto again; exit",
	} {
		p := build(t, text, Env{})
		before := len(p.Blocks)
		unroll(p)
		require.Equal(t, before, len(p.Blocks), name)
	}
}

// TestProof leaves out what the proof has shown not to be needed.
func TestProof(t *testing.T) {
	text := "r3 = *(u32 *)(r1 + 4); if r3 == 0 goto out; r0 = *(u8 *)(r2 + 0); exit; out: r0 = 1; exit"
	proof := &verifier.Proof{Insns: make([]verifier.InsnProof, 6)}
	for i := range proof.Insns {
		proof.Insns[i].Seen = i < 4
	}
	proof.Insns[0].Access = verifier.Access{Memory: verifier.MemCtx, Proved: true, Const: true, Off: 4}
	proof.Insns[1].Falls = true
	proof.Insns[2].Access = verifier.Access{Memory: verifier.MemPacket, Proved: true}
	layout := &prog.CtxLayout{Size: 8, Fields: []prog.CtxField{{Name: "data", Size: 4, Kind: prog.PacketData}, {Name: "len", Off: 4, Size: 4}}}
	p := build(t, text, Env{Proof: proof, Layout: layout})
	require.Equal(t, "r3 = u32[r1+4]; nop\nr0 = u8[r2]; exit\n", p.text())
	proof.Insns[0].Access.Off = 0
	proof.Insns[0].Access.Proved = true
	p = build(t, strings.Replace(text, "r1 + 4", "r1 + 0", 1), Env{Proof: proof, Layout: layout})
	require.Equal(t, LoadCtx, p.Blocks[0].Ins[0].Op, "a pointer field stands for what the CPU has")
}

// TestLookup finds arrays whose values need no call to be found.
func TestLookup(t *testing.T) {
	cells := mem.Cells{Base: 0x1000, Stride: 8, Len: 4}
	env := Env{Cells: func(addr uint64) (mem.Cells, bool) { return cells, addr == 0x777 }}
	for text, want := range map[string]string{
		"*(u32 *)(r10 - 4) = 1; r2 = r10; r2 += -4; r1 = 0x777 ll; call bpf_map_lookup_elem; exit": "lookup",
		"*(u32 *)(r10 - 4) = 1; r2 = r10; r2 += -4; r1 = 0x778 ll; call bpf_map_lookup_elem; exit": "helper",
		"r1 = 0x777 ll; call bpf_map_lookup_elem; exit":                                            "helper", // r2 is not known
		"r2 = r10; r2 += -2; r1 = 0x777 ll; call bpf_map_lookup_elem; exit":                        "helper", // the key ends behind the frame
	} {
		require.Contains(t, build(t, text, env).text(), want, text)
	}
}

// TestFunctions finds what calls have to keep, and how deep they nest.
func TestFunctions(t *testing.T) {
	p := build(t, "r6 = 1; call f; exit; f: r7 = r10; r7 += -8; *(u64 *)(r7 + 0) = 0; call g; r0 = r7; exit; g: r0 = 0; exit", Env{})
	require.Len(t, p.Funcs, 3)
	require.Equal(t, []int{3, 2, 1}, []int{p.Funcs[0].Depth, p.Funcs[1].Depth, p.Funcs[2].Depth})
	require.Equal(t, []bool{false, true, false}, []bool{p.Funcs[0].Exposed, p.Funcs[1].Exposed, p.Funcs[2].Exposed})
	require.Equal(t, Regs(1<<7), p.Funcs[1].Saved)
	require.Equal(t, []bool{false, false, true}, []bool{p.Funcs[0].Frameless, p.Funcs[1].Frameless, p.Funcs[2].Frameless})
	require.False(t, p.Shared)
	require.True(t, build(t, "call f; f: r0 = 1; exit", Env{}).Shared, "the entry falls into the function")
	require.Equal(t, prog.MaxFrames, build(t, "call f; exit; f: call f; exit", Env{}).Funcs[1].Depth)
}

// TestInlineCalls repeats small functions where they are called, and leaves others alone.
func TestInlineCalls(t *testing.T) {
	p := build(t, "r1 = 3; call f; r1 = r0; call f; exit; f: r0 = r1; r0 += 1; exit", Env{})
	optimiseBlocks(p)
	require.True(t, p.Blocks[p.Funcs[1].Block].Dead, "nobody calls it any more")
	require.Equal(t, "enter 5; leave 2; enter 5; leave 4; r0 = 5; r1 = 4; exit", p.Blocks[0].text())
	for name, text := range map[string]string{
		"stack":  "*(u64 *)(r10 - 8) = 0; r0 = 1; exit",
		"saved":  "r6 = 1; r0 = 1; exit",
		"checks": "r0 = *(u8 *)(r1 + 0); exit",
		"loops":  "r0 = 1; if r1 == 0 goto f; exit",
		"calls":  "call 5; exit",
	} {
		require.Equal(t, Call, build(t, "r1 = 3; call f; exit; f: "+text, Env{}).Blocks[0].Last().Op, name)
	}
}

// TestManyFunctions keeps the time bounded that functions take which share their blocks: each
// of these falls into the next.
func TestManyFunctions(t *testing.T) {
	const n = 3000
	var b asm.Instructions
	for i := range n {
		b = append(b, asm.CallLocal(""))
		b[i].Imm = n - 1
	}
	for range n {
		b = append(b, asm.JEq.Imm(asm.R1, 0, ""))
	}
	b = append(b, asm.Mov.Imm(asm.R0, 0), asm.Return())
	p := &prog.Program{Insns: b}
	began := time.Now()
	low, err := Build(p, Env{})
	require.NoError(t, err)
	require.True(t, low.Shared)
	require.Less(t, time.Since(began), 5*time.Second)
}

// TestTailCallInFunction keeps what a caller finds when the target of a tail call returns, though the
// function itself never does.
func TestTailCallInFunction(t *testing.T) {
	p := build(t, "call f; exit; f: call bpf_tail_call; again: r1 += 1; goto again", Env{})
	optimiseBlocks(p)
	require.Equal(t, SavedRegs, p.Blocks[2].LiveIn&SavedRegs)
}

// TestArguments has registers live at a call only if the function reads them, and where they are given.
func TestArguments(t *testing.T) {
	const text = "r6 = r1; r2 = 2; r3 = 3; if r1 == 0 goto c; r1 = 4; c: r1 = 1; call f; r0 += r6; exit; f: r0 = r1; if r1 == 0 goto e; r0 *= r3; e: exit"
	proof := &verifier.Proof{Insns: make([]verifier.InsnProof, 13)}
	for i := range proof.Insns {
		proof.Insns[i] = verifier.InsnProof{Seen: true, Taken: true, Falls: true}
	}
	p := build(t, text, Env{Proof: proof})
	optimiseBlocks(p)
	require.Equal(t, "r3 = 3; r6 = r1; if r1 jeq 0 goto 2\n\nr1 = 1; call 4", strings.Join(strings.Split(p.text(), "\n")[:3], "\n"))
	p = build(t, text, Env{})
	optimiseBlocks(p)
	require.Equal(t, "r2 = 2; r3 = 3; r6 = r1; if r1 jeq 0 goto 2", p.Blocks[0].text(), "that is not verified")
}
