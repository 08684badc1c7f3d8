package lower

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOperands(t *testing.T) {
	for _, c := range []struct{ name, prog, want string }{
		{"loaded", "r0 = r1; r2 = *(u64 *)(r10 - 8); r0 -= r2; exit", "r0 = r1 - u64[r10-8]; exit"},
		{"half", "w0 = w1; r2 = *(u32 *)(r10 - 8); w0 *= w2; exit", "w0 = r1 * u32[r10-8]; exit"},
		{"half of 64 bits", "r0 = r1; r2 = *(u32 *)(r10 - 8); r0 += r2; exit", "r2 = u32[r10-8]; r0 = r1 + r2; exit"},
		{"read again", "r0 = r1; r2 = *(u64 *)(r10 - 8); r0 += r2; r0 *= r2; exit", "r2 = u64[r10-8]; r1 = r1 + r2; r0 = r1 * r2; exit"},
		{"stored between", "r0 = r1; r2 = *(u64 *)(r10 - 8); *(u8 *)(r10 - 4) = 1; r0 += r2; exit", "r2 = u64[r10-8]; u8[r10-4] = 1; r0 = r1 + r2; exit"},
		{"counted", "r0 = *(u64 *)(r10 - 8); r0 += 1; *(u64 *)(r10 - 8) = r0; r0 = 0; exit", "u64[r10-8] += 1; r0 = 0; exit"},
		{"summed", "r0 = *(u16 *)(r10 - 8); r0 += r1; *(u16 *)(r10 - 8) = r0; r0 = 0; exit", "u16[r10-8] += r1; r0 = 0; exit"},
		{"turned round", "r0 = *(u64 *)(r10 - 8); r1 -= r0; *(u64 *)(r10 - 8) = r1; r0 = 0; exit", "r1 = r1 - u64[r10-8]; u64[r10-8] = r1; r0 = 0; exit"},
		{"bits", "r0 = *(u8 *)(r10 - 8); r0 |= 0x40; *(u8 *)(r10 - 8) = r0; r0 = 0; exit", "u8[r10-8] |= 64; r0 = 0; exit"},
		{"upper half", "r0 = *(u64 *)(r10 - 8); w0 ^= w1; *(u64 *)(r10 - 8) = r0; r0 = 0; exit", "r0 = u64[r10-8]; w0 = r0 ^ r1; u64[r10-8] = r0; r0 = 0; exit"},
		{"elsewhere", "r0 = *(u64 *)(r10 - 8); r0 += 1; *(u64 *)(r10 - 16) = r0; r0 = 0; exit", "r0 = u64[r10-8]; r0 = r0 + 1; u64[r10-16] = r0; r0 = 0; exit"},
		{"part", "r0 = *(u64 *)(r10 - 8); r0 += 1; *(u32 *)(r10 - 8) = r0; r0 = 0; exit", "r0 = u64[r10-8]; r0 = r0 + 1; u32[r10-8] = r0; r0 = 0; exit"},
		{"looked at", "r0 = *(u64 *)(r10 - 8); r0 += 1; *(u64 *)(r10 - 8) = r0; exit", "r0 = u64[r10-8]; r0 = r0 + 1; u64[r10-8] = r0; exit"},
		{"of memory, too", "r0 = *(u64 *)(r10 - 8); r1 = *(u64 *)(r10 - 16); r0 += r1; *(u64 *)(r10 - 8) = r0; r0 = 0; exit",
			"r0 = u64[r10-8]; r0 = r0 + u64[r10-16]; u64[r10-8] = r0; r0 = 0; exit"},
		{"lea", "r0 = r1; r2 = *(u64 *)(r10 - 8); r0 += r2; exit", "r2 = u64[r10-8]; r0 = r1 + r2; exit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, c.prog, Env{})
			optimiseBlocks(p)
			allOperands(p)
			require.Equal(t, c.want, withoutNops(p))
		})
	}
}

// TestOperandsElsewhere has accesses that are proved, of which others may write to the memory, and registers as
// they are written down here.
func TestOperandsElsewhere(t *testing.T) {
	for _, c := range []struct{ name, prog, want string }{
		{"loaded", "r3 = *(u64 *)(r2 + 8); r0 ^= r3; exit", "r0 = r0 ^ u64[r2+8]; exit"},
		{"base is the result", "r3 = *(u64 *)(r0 + 8); r0 ^= r3; exit", "r0 = r0 ^ u64[r0+8]; exit"},
		{"base is what is loaded", "r3 = *(u64 *)(r3 + 8); r0 ^= r3; exit", "r0 = r0 ^ u64[r3+8]; exit"},
		{"base is another by then", "r3 = *(u64 *)(r2 + 8); r2 = 0; r0 ^= r3; r0 += r2; exit", "r3 = u64[r2+8]; r2 = 0; r0 = r0 ^ r3; r0 = r0 + r2; exit"},
		{"in their order", "r3 = *(u64 *)(r2 + 8); r4 = *(u64 *)(r2 + 16); r0 ^= r3; r0 ^= r4; exit", "r0 = r0 ^ u64[r2+8]; r0 = r0 ^ u64[r2+16]; exit"},
		{"loaded between", "r3 = *(u64 *)(r2 + 8); r4 = *(u64 *)(r2 + 16); r0 ^= r4; r0 ^= r3; exit",
			"r3 = u64[r2+8]; r0 = r0 ^ u64[r2+16]; r0 = r0 ^ r3; exit"},
		{"stored to between", "r3 = *(u64 *)(r2 + 8); r4 = *(u64 *)(r2 + 16); r4 += 1; *(u64 *)(r2 + 16) = r4; r0 ^= r3; exit",
			"r3 = u64[r2+8]; u64[r2+16] += 1; r0 = r0 ^ r3; exit"},
		{"result is another by then", "r3 = *(u64 *)(r2 + 8); r0 ^= r3; r0 = 0; exit", "r0 = r0 ^ u64[r2+8]; r0 = 0; exit"},
		{"added to", "r3 = *(u64 *)(r2 + 8); r3 += r4; *(u64 *)(r2 + 8) = r3; exit", "u64[r2+8] += r4; exit"},
		{"base of the store is another", "r3 = *(u64 *)(r2 + 8); r2 = r1; r3 += 1; *(u64 *)(r2 + 8) = r3; exit",
			"r3 = u64[r2+8]; r2 = r1; r3 = r3 + 1; u64[r2+8] = r3; exit"},
		{"what is added is another by then", "r3 = *(u64 *)(r2 + 8); r3 += r4; r4 = r1; *(u64 *)(r2 + 8) = r3; r0 = r4; exit",
			"r3 = u64[r2+8]; r3 = r3 + r4; r4 = r1; u64[r2+8] = r3; r0 = r4; exit"},
		{"what is added is loaded first", "r4 = *(u64 *)(r2 + 16); r3 = *(u64 *)(r2 + 8); r3 += r4; *(u64 *)(r2 + 8) = r3; exit",
			"r4 = u64[r2+16]; u64[r2+8] += r4; exit"},
		{"what is added is loaded last", "r3 = *(u64 *)(r2 + 8); r4 = *(u64 *)(r2 + 16); r3 += r4; *(u64 *)(r2 + 8) = r3; exit",
			"r3 = u64[r2+8]; r3 = r3 + u64[r2+16]; u64[r2+8] = r3; exit"},
		{"another size", "r3 = *(u32 *)(r2 + 8); r3 += r4; *(u64 *)(r2 + 8) = r3; exit", "r3 = u32[r2+8]; r3 = r3 + r4; u64[r2+8] = r3; exit"},
		{"twice itself", "r3 = *(u64 *)(r2 + 8); r3 += r3; *(u64 *)(r2 + 8) = r3; exit", "r3 = u64[r2+8]; r3 = r3 + r3; u64[r2+8] = r3; exit"},
		{"stored between", "r3 = *(u64 *)(r2 + 8); *(u64 *)(r1 + 8) = r4; r0 ^= r3; exit", "r3 = u64[r2+8]; u64[r1+8] = r4; r0 = r0 ^ r3; exit"},
		{"its own address", "r2 = *(u64 *)(r2 + 8); r2 += r4; *(u64 *)(r2 + 8) = r2; exit", "r2 = u64[r2+8]; r2 = r2 + r4; u64[r2+8] = r2; exit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			const begin = "r0 = r1; r3 = r1; r4 = r1; "
			p := build(t, begin+c.prog, Env{})
			for i := range p.Blocks[0].Ins {
				p.Blocks[0].Ins[i].Check = false
			}
			allOperands(p)
			require.Equal(t, begin+c.want, withoutNops(p))
		})
	}
}

// TestOperandsOfThree has operations whose result is in a register of its own, as programs themselves have none.
func TestOperandsOfThree(t *testing.T) {
	load := Ins{Op: Load, Wide: true, Size: 8, Dst: 3, A: 2, B: None, Index: None, Disp: 8}
	store := Ins{Op: Store, Wide: true, Size: 8, Dst: None, A: 2, B: 5, Index: None, Disp: 8}
	exit := Ins{Op: Exit, Dst: None, A: None, B: None, Index: None}
	shift := Ins{Op: LSh, Wide: true, Scale: 1, Dst: 0, A: 0, B: 1, Index: None} // which changes r4
	op := func(op Op, dst, a, b Reg) Ins { return Ins{Op: op, Wide: true, Dst: dst, A: a, B: b, Index: None} }
	changed := func(in Ins, change func(*Ins)) Ins {
		change(&in)
		return in
	}
	for _, c := range []struct {
		name string
		ins  []Ins
		want string
	}{
		{"copied", []Ins{load, op(Xor, 0, 1, 3)}, "r0 = r1 ^ u64[r2+8]"},
		{"over the base", []Ins{load, op(Xor, 2, 1, 3), op(Mov, 0, None, 2)}, "r3 = u64[r2+8]; r2 = r1 ^ r3; r0 = r2"},
		{"over the index", []Ins{changed(load, func(in *Ins) { in.Index, in.Scale = 4, 2 }), op(Xor, 4, 1, 3), op(Mov, 0, None, 4)},
			"r3 = u64[r2+r4*2+8]; r4 = r1 ^ r3; r0 = r4"},
		{"base exchanged", []Ins{load, {Op: Exchange, Wide: true, Dst: 5, A: None, B: 2, Index: None}, op(Xor, 0, 0, 3)}, "r3 = u64[r2+8]; r5 <-> r2; r0 = r0 ^ r3"},
		{"of what has been loaded", []Ins{load, op(Or, 5, 3, 1), store}, "u64[r2+8] |= r1"},
		{"of what is read again", []Ins{load, op(Or, 5, 3, 1), store, op(Mov, 0, None, 3)}, "r3 = u64[r2+8]; r5 = r3 | r1; u64[r2+8] = r5; r0 = r3"},
		{"of the base", []Ins{changed(load, func(in *Ins) { in.Dst = 2 }), op(Or, 5, 2, 1), store}, "r2 = u64[r2+8]; r5 = r2 | r1; u64[r2+8] = r5"},
		{"at its own address", []Ins{load, op(Or, 5, 3, 1), changed(store, func(in *Ins) { in.Index, in.Scale = 5, 1 })},
			"r3 = u64[r2+8]; r5 = r3 | r1; u64[r2+r5*1+8] = r5"},
		{"of twice the same", []Ins{load, op(Add, 0, 3, 3)}, "r3 = u64[r2+8]; r0 = r3 + r3"},
		{"of twice the same, less", []Ins{load, op(Sub, 0, 3, 3)}, "r3 = u64[r2+8]; r0 = r3 - r3"},
		{"what is added is in the way of a shift", []Ins{load, op(Or, 5, 3, 4), shift, store}, "r3 = u64[r2+8]; r5 = r3 | r4; r0 = r0 << r1; u64[r2+8] = r5"},
		{"the base is in the way of a shift", []Ins{changed(load, func(in *Ins) { in.A = 4 }), shift, op(Xor, 0, 0, 3)},
			"r3 = u64[r4+8]; r0 = r0 << r1; r0 = r0 ^ r3"},
		{"at another index", []Ins{load, op(Or, 5, 3, 1), changed(store, func(in *Ins) { in.Index, in.Scale = 4, 1 })},
			"r3 = u64[r2+8]; r5 = r3 | r1; u64[r2+r4*1+8] = r5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := build(t, "r0 = 0; exit", Env{})
			p.Blocks[0].Ins = append(c.ins, exit)
			allOperands(p)
			require.Equal(t, c.want+"; exit", withoutNops(p))
		})
	}
}

// allOperands is Operands for all blocks.
func allOperands(p *Program) {
	for i := range p.Blocks {
		p.Operands(&p.Blocks[i])
	}
}

// withoutNops returns the text of a program of one block, without what does nothing.
func withoutNops(p *Program) string {
	b := &p.Blocks[0]
	b.Ins = slices.DeleteFunc(b.Ins, func(in Ins) bool { return in.Op == Nop })
	return b.text()
}
