package amd64

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/arch/x86/x86asm"
)

// disassemble returns the Intel syntax of all instructions in code.
func disassemble(t *testing.T, code []byte) string {
	t.Helper()
	var lines []string
	for len(code) > 0 {
		inst, err := x86asm.Decode(code, 64)
		require.NoError(t, err, "% x", code)
		lines = append(lines, x86asm.IntelSyntax(inst, 0, nil))
		code = code[inst.Len:]
	}
	return strings.Join(lines, "; ")
}

// TestEncoding pairs what is emitted with its bytes and what x/arch reads in them.
func TestEncoding(t *testing.T) {
	full := Mem{Base: RBX, Index: R9, Scale: 4, Disp: 0x1234}
	for _, c := range []struct {
		emit  func(a *Assembler)
		bytes string
		text  string
	}{
		{func(a *Assembler) { a.RR(Add, W64, RAX, R15) }, "4c01f8", "add rax, r15"},
		{func(a *Assembler) { a.RR(Xor, W32, R8, RDI) }, "4131f8", "xor r8d, edi"},
		{func(a *Assembler) { a.RR(Cmp, W64, R13, R12) }, "4d39e5", "cmp r13, r12"},
		{func(a *Assembler) { a.RI(Sub, W64, R12, 7) }, "4983ec07", "sub r12, 0x7"},
		{func(a *Assembler) { a.RI(And, W32, RAX, 0x1000) }, "2500100000", "and eax, 0x1000"},
		{func(a *Assembler) { a.RI(Or, W64, RBX, -1<<31) }, "4881cb00000080", "or rbx, -0x80000000"},
		{func(a *Assembler) { a.RM(Sub, W64, R10, At(R11, 0)) }, "4d2b13", "sub r10, qword ptr [r11]"},
		{func(a *Assembler) { a.RM(Cmp, W32, R10, At(R11, 8)) }, "453b5308", "cmp r10d, dword ptr [r11+0x8]"},
		{func(a *Assembler) { a.MR(Add, 8, At(RSP, 8), RCX) }, "48014c2408", "add qword ptr [rsp+0x8], rcx"},
		{func(a *Assembler) { a.MI(Sub, 8, At(R12, 16), 1) }, "49836c241001", "sub qword ptr [r12+0x10], 0x1"},
		{func(a *Assembler) { a.MI(Cmp, 4, At(R13, 0), 1000) }, "41817d00e8030000", "cmp dword ptr [r13], 0x3e8"},
		{func(a *Assembler) { a.MR(Add, 1, At(RAX, 0), RSI) }, "400030", "add byte ptr [rax], sil"},
		{func(a *Assembler) { a.MR(Or, 2, At(R13, 8), R9) }, "6645094d08", "or word ptr [r13+0x8], r9w"},
		{func(a *Assembler) { a.MR(Xor, 4, full, RDX) }, "4231948b34120000", "xor dword ptr [rbx+4*r9+0x1234], edx"},
		{func(a *Assembler) { a.MR(Sub, 8, At(R13, -8), RBX) }, "49295df8", "sub qword ptr [r13-0x8], rbx"},
		{func(a *Assembler) { a.MI(And, 1, At(R8, 1), 0xf0) }, "41806001f0", "and byte ptr [r8+0x1], 0xf0"},
		{func(a *Assembler) { a.MI(Add, 2, At(RDI, 2), -1) }, "66834702ff", "add word ptr [rdi+0x2], -0x1"},
		{func(a *Assembler) { a.MI(Or, 2, At(RDI, 2), 0x1234) }, "66814f023412", "or word ptr [rdi+0x2], 0x1234"},
		{func(a *Assembler) { a.MI(Add, 4, full, 1) }, "4283848b3412000001", "add dword ptr [rbx+4*r9+0x1234], 0x1"},
		{func(a *Assembler) { a.MI(Xor, 8, At(R13, -8), 1000) }, "498175f8e8030000", "xor qword ptr [r13-0x8], 0x3e8"},
		{func(a *Assembler) { a.Mov(W64, R13, RSP) }, "4989e5", "mov r13, rsp"},
		{func(a *Assembler) { a.Mov(W32, RDX, RCX) }, "89ca", "mov edx, ecx"},
		{func(a *Assembler) { a.MovImm(R9, 5) }, "41b905000000", "mov r9d, 0x5"},
		{func(a *Assembler) { a.MovImm(RAX, 0xffffffff) }, "b8ffffffff", "mov eax, -0x1"},
		{func(a *Assembler) { a.MovImm(RSI, 1<<64-2) }, "48c7c6feffffff", "mov rsi, -0x2"},
		{func(a *Assembler) { a.MovImm(R14, 0x123456789abc) }, "49bebc9a785634120000", "mov r14, 0x123456789abc"},
		{func(a *Assembler) { a.Load(1, false, RDI, At(R13, -4)) }, "410fb67dfc", "movzx edi, byte ptr [r13-0x4]"},
		{func(a *Assembler) { a.Load(2, false, R8, full) }, "460fb7848b34120000", "movzx r8d, word ptr [rbx+4*r9+0x1234]"},
		{func(a *Assembler) { a.Load(4, false, RAX, At(RBP, 0)) }, "8b4500", "mov eax, dword ptr [rbp]"},
		{func(a *Assembler) { a.Load(8, false, R15, At(R12, 0)) }, "4d8b3c24", "mov r15, qword ptr [r12]"},
		{func(a *Assembler) { a.Load(1, true, RDX, At(RDI, 1)) }, "480fbe5701", "movsx rdx, byte ptr [rdi+0x1]"},
		{func(a *Assembler) { a.Load(2, true, RDX, At(RDI, 1)) }, "480fbf5701", "movsx rdx, word ptr [rdi+0x1]"},
		{func(a *Assembler) { a.Load(4, true, RDX, At(RDI, 1)) }, "48635701", "movsxd rdx, dword ptr [rdi+0x1]"},
		{func(a *Assembler) { a.Store(1, At(RAX, 0), RSI) }, "408830", "mov byte ptr [rax], sil"},
		{func(a *Assembler) { a.Store(1, At(RAX, 0), RBX) }, "8818", "mov byte ptr [rax], bl"},
		{func(a *Assembler) { a.Store(2, At(R10, -128), R11) }, "6645895a80", "mov word ptr [r10-0x80], r11w"},
		{func(a *Assembler) { a.Store(4, At(RDI, 128), RAX) }, "898780000000", "mov dword ptr [rdi+0x80], eax"},
		{func(a *Assembler) { a.Store(8, full, RDX) }, "4a89948b34120000", "mov qword ptr [rbx+4*r9+0x1234], rdx"},
		{func(a *Assembler) { a.StoreImm(1, At(RDI, 0), -1) }, "c607ff", "mov byte ptr [rdi], 0xff"},
		{func(a *Assembler) { a.StoreImm(2, At(RDI, 0), 0x1234) }, "66c7073412", "mov word ptr [rdi], 0x1234"},
		{func(a *Assembler) { a.StoreImm(4, At(R8, 0), 7) }, "41c70007000000", "mov dword ptr [r8], 0x7"},
		{func(a *Assembler) { a.StoreImm(8, At(R8, 0), -2) }, "49c700feffffff", "mov qword ptr [r8], -0x2"},
		{func(a *Assembler) { a.Popcnt(W64, R8, RAX) }, "f34c0fb8c0", "popcnt r8, rax"},
		{func(a *Assembler) { a.Popcnt(W32, RCX, R15) }, "f3410fb8cf", "popcnt ecx, r15d"},
		{func(a *Assembler) { a.Extend(1, false, W32, RAX, RDI) }, "400fb6c7", "movzx eax, dil"},
		{func(a *Assembler) { a.Extend(1, true, W64, R9, RAX) }, "4c0fbec8", "movsx r9, al"},
		{func(a *Assembler) { a.Extend(2, true, W32, RAX, R9) }, "410fbfc1", "movsx eax, r9w"},
		{func(a *Assembler) { a.Extend(4, true, W64, RAX, R9) }, "4963c1", "movsxd rax, r9d"},
		{func(a *Assembler) { a.Lea(W64, RAX, full) }, "4a8d848b34120000", "lea rax, ptr [rbx+4*r9+0x1234]"},
		{func(a *Assembler) { a.Lea(W32, R10, At(RSP, 4)) }, "448d542404", "lea r10d, ptr [rsp+0x4]"},
		{func(a *Assembler) { a.LeaScaled(W64, RAX, R9, 8, 1) }, "4a8d04cd01000000", "lea rax, ptr [8*r9+0x1]"},
		{func(a *Assembler) { a.Test(W64, RAX, R9) }, "4c85c8", "test rax, r9"},
		{func(a *Assembler) { a.TestImm(W32, RAX, 16) }, "a910000000", "test eax, 0x10"},
		{func(a *Assembler) { a.TestImm(W64, R9, 16) }, "49f7c110000000", "test r9, 0x10"},
		{func(a *Assembler) { a.ShiftImm(Shl, W64, R9, 13) }, "49c1e10d", "shl r9, 0xd"},
		{func(a *Assembler) { a.ShiftImm(Rol, W32, RAX, 1) }, "d1c0", "rol eax, 0x1"},
		{func(a *Assembler) { a.ShiftCL(Sar, W64, R10) }, "49d3fa", "sar r10, cl"},
		{func(a *Assembler) { a.Unary(Div, W64, R11) }, "49f7f3", "div r11"},
		{func(a *Assembler) { a.Unary(IDiv, W32, R11) }, "41f7fb", "idiv r11d"},
		{func(a *Assembler) { a.Unary(Neg, W32, RAX) }, "f7d8", "neg eax"},
		{func(a *Assembler) { a.Unary(Not, W64, RAX) }, "48f7d0", "not rax"},
		{func(a *Assembler) { a.Unary(Mul, W64, R11) }, "49f7e3", "mul r11"},
		{func(a *Assembler) { a.Unary(IMulWide, W64, RSI) }, "48f7ee", "imul rsi"},
		{func(a *Assembler) { a.SignExtendRAX(W32); a.SignExtendRAX(W64) }, "994899", "cdq; cqo"},
		{func(a *Assembler) { a.IMul(W64, RAX, R9) }, "490fafc1", "imul rax, r9"},
		{func(a *Assembler) { a.IMulMem(W64, RAX, At(RDI, 8)) }, "480faf4708", "imul rax, qword ptr [rdi+0x8]"},
		{func(a *Assembler) { a.IMulImm(W64, RAX, R9, 3) }, "496bc103", "imul rax, r9, 0x3"},
		{func(a *Assembler) { a.IMulImm(W32, R9, RAX, 0x10001) }, "4469c801000100", "imul r9d, eax, 0x10001"},
		{func(a *Assembler) { a.BSwap(W64, R9) }, "490fc9", "bswap r9"},
		{func(a *Assembler) { a.BSwap(W32, RAX) }, "0fc8", "bswap eax"},
		{func(a *Assembler) { a.Swap16(R9) }, "6641c1c908", "ror r9w, 0x8"},
		{func(a *Assembler) { a.CMov(NE, W64, RAX, R9) }, "490f45c1", "cmovnz rax, r9"},
		{func(a *Assembler) { a.LockMR(Add, W64, At(RDI, 8), RAX) }, "f048014708", "lock add qword ptr [rdi+0x8], rax"},
		{func(a *Assembler) { a.LockXAdd(W32, At(RDI, 0), R9) }, "f0440fc10f", "lock xadd dword ptr [rdi], r9d"},
		{func(a *Assembler) { a.LockCmpXchg(W64, At(R11, 0), R10) }, "f04d0fb113", "lock cmpxchg qword ptr [r11], r10"},
		{func(a *Assembler) { a.Xchg(W64, At(RDI, 0), RAX) }, "488707", "xchg qword ptr [rdi], rax"},
		{func(a *Assembler) { a.MovToX(0, R9); a.MovFromX(RAX, 1) }, "66490f6ec166480f7ec8", "movq xmm0, r9; movq rax, xmm1"},
		{func(a *Assembler) { a.ZeroX(0); a.StoreX(At(R10, 8), 0) }, "0f57c0410f114208",
			"xorps xmm0, xmm0; movups xmmword ptr [r10+0x8], xmm0"},
		{func(a *Assembler) { a.JmpMem(At(R11, 8)) }, "41ff6308", "jmp qword ptr [r11+0x8]"},
		{func(a *Assembler) { a.CallReg(R11) }, "41ffd3", "call r11"},
		{func(a *Assembler) { a.Ret() }, "c3", "ret"},
	} {
		var a Assembler
		c.emit(&a)
		require.Equal(t, c.text, disassemble(t, a.Code))
		require.Equal(t, c.bytes, hex.EncodeToString(a.Code), c.text)
	}
}

func TestJumps(t *testing.T) {
	var a Assembler
	back, ahead := a.NewLabel(), a.NewLabel()
	require.Equal(t, -1, a.Offset(ahead))
	a.Place(back)
	a.Jcc(E, ahead)
	a.Jmp(ahead)
	a.LeaLabel(R10, ahead)
	a.Jcc(NS, back)
	a.Jmp(back)
	s := a.JccShort(B)
	u := a.JmpShort()
	a.Land(s)
	a.Ret()
	a.Land(u)
	a.Place(ahead)
	a.Link()
	require.Equal(t, "jz .+0x15; jmp .+0x10; lea r10, ptr [rip+0x9]; jns .-0x14; jmp .-0x16; jb .+0x2; jmp .+0x1; ret", disassemble(t, a.Code))
	require.Equal(t, len(a.Code), a.Offset(ahead))
	require.Panics(t, func() {
		s := a.JmpShort()
		a.Code = append(a.Code, make([]byte, 128)...)
		a.Land(s)
	})
	a.Reset()
	require.Empty(t, a.Code)
}

// TestMemoryOperands reads every combination of base, index, scale and size of
// displacement back.
func TestMemoryOperands(t *testing.T) {
	for base := RAX; base <= R15; base++ {
		for index := RAX; index <= R15+1; index++ {
			if index == RSP {
				continue
			}
			for _, disp := range []int32{0, 1, -128, 127, 128, -1 << 31} {
				for _, scale := range []uint8{1, 2, 4, 8} {
					m := Mem{Base: base, Index: index, Scale: scale, Disp: disp}
					if index > R15 {
						m.Index = NoReg
					}
					var a Assembler
					a.Load(8, false, RAX, m)
					inst, err := x86asm.Decode(a.Code, 64)
					require.NoError(t, err)
					require.Equal(t, len(a.Code), inst.Len)
					got := inst.Args[1].(x86asm.Mem)
					got.Disp = int64(int32(got.Disp)) // which it does not sign-extend
					want := x86asm.Mem{Base: x86asm.RAX + x86asm.Reg(base), Disp: int64(disp)}
					if m.Index != NoReg {
						want.Index, want.Scale = x86asm.RAX+x86asm.Reg(index), scale
					} else {
						got.Scale = 0 // of no meaning
					}
					require.Equal(t, want, got, "%+v", m)
				}
			}
		}
	}
}

func TestAlign(t *testing.T) {
	for at := range 64 {
		a := Assembler{Code: make([]byte, at)}
		a.Align(32)
		require.Zero(t, len(a.Code)%32)
		require.Less(t, len(a.Code)-at, 32)
		if at < len(a.Code) {
			for _, op := range strings.Split(disassemble(t, a.Code[at:]), "; ") {
				require.Regexp(t, "^(nop|data16 nop|xchg ax, ax)", op)
			}
		}
	}
}

func TestConditions(t *testing.T) {
	for c, name := range map[Cond]string{O: "jo", B: "jb", AE: "jnb", E: "jz", NE: "jnz", BE: "jbe", A: "jnbe", S: "js",
		NS: "jns", L: "jl", GE: "jnl", LE: "jle", G: "jnle"} {
		var a Assembler
		l := a.NewLabel()
		a.Jcc(c, l)
		a.Place(l)
		a.Link()
		require.Equal(t, name+" .+0x0", disassemble(t, a.Code))
		require.Equal(t, c, c.Not().Not())
	}
}
