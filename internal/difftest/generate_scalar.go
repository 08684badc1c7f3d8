package difftest

import (
	"math"
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
)

// edge32 are numbers at which arithmetic and comparisons change.
var edge32 = []int32{0, 1, -1, 2, 7, 8, 15, 16, 31, 32, 63, 64, 255, 256, -8, -16, 1 << 16, math.MaxInt32, math.MinInt32, math.MaxInt32 - 1, math.MinInt32 + 1}

func (g *generator) imm() int32 {
	switch g.r.IntN(4) {
	case 0:
		return int32(g.r.Uint32())
	case 1:
		return int32(g.r.IntN(64))
	}
	return pick(g, edge32...)
}

// constant makes a register a constant.
func (g *generator) constant(r asm.Register) {
	v := int64(g.imm())
	switch g.r.IntN(4) {
	case 0:
		v = pick(g, v<<32|int64(g.r.Uint32()), math.MaxInt64, math.MinInt64, 1<<32, 1<<31, 1<<32-1, -v)
		g.emit(asm.LoadImm(r, v))
	case 1:
		v = int64(uint32(v))
		g.emit(asm.Mov.Imm32(r, int32(v)))
	default:
		g.emit(asm.Mov.Imm(r, int32(v)))
	}
	g.set(r, number(uint64(v)))
}

// newNumber makes a register a number: a constant, or one that only the run knows.
func (g *generator) newNumber() {
	switch g.r.IntN(3) {
	case 0:
		g.constant(g.free(true))
	case 1:
		g.emit(asm.FnGetPrandomU32.Call())
		g.settle()
	default:
		g.contextLoad()
	}
}

var (
	aluOps   = []asm.ALUOp{asm.Add, asm.Sub, asm.Mul, asm.Or, asm.And, asm.Xor, asm.Mov, asm.Div, asm.Mod, asm.SDiv, asm.SMod}
	shiftOps = []asm.ALUOp{asm.LSh, asm.RSh, asm.ArSh}
)

// arithmetic changes a number.
func (g *generator) arithmetic() {
	dst := g.writableNumber()
	if g.locked[dst] {
		return // by mistake
	}
	switch g.r.IntN(10) {
	case 0, 1, 2:
		g.immediate(dst)
	case 3, 4:
		src := g.number()
		op := pick(g, aluOps...)
		g.emit(pick(g, op.Reg, op.Reg32)(dst, src))
		g.set(dst, unbounded)
	case 5:
		g.shift(dst)
	case 6:
		g.mask(dst)
	case 7:
		g.emit(pick(g, asm.Neg(dst), asm.Neg32(dst), asm.BSwap(dst, pick(g, asm.Bits16, asm.Bits32, asm.Bits64)),
			asm.ToBE(dst, pick(g, asm.Bits16, asm.Bits32, asm.Bits64)), asm.ToLE(dst, pick(g, asm.Bits16, asm.Bits32, asm.Bits64))))
		g.set(dst, unbounded)
	case 8:
		src := g.number()
		g.emit(pick(g, asm.SX8.Mov(dst, src), asm.SX16.Mov(dst, src), asm.SX32.Mov(dst, src), asm.SX8.Mov32(dst, src), asm.SX16.Mov32(dst, src)))
		g.set(dst, unbounded)
	default:
		src := g.number()
		g.emit(pick(g, asm.Mov.Reg, asm.Mov.Reg32)(dst, src))
		g.set(dst, g.regs[src])
	}
}

func (g *generator) immediate(dst asm.Register) {
	op, imm := pick(g, aluOps...), g.imm()
	switch op {
	case asm.Div, asm.Mod, asm.SDiv, asm.SMod:
		if imm == 0 && !g.mistake() {
			imm = 3
		}
	}
	g.emit(pick(g, op.Imm, op.Imm32)(dst, imm))
	g.set(dst, unbounded)
}

func (g *generator) shift(dst asm.Register) {
	op, n := pick(g, shiftOps...), int32(g.r.IntN(32))
	switch {
	case g.chance(20):
		src := g.number()
		g.emit(pick(g, op.Reg, op.Reg32)(dst, src))
	case g.chance(40):
		g.emit(op.Imm32(dst, n))
	default:
		if g.mistake() {
			n += 64
		}
		g.emit(op.Imm(dst, n*2))
	}
	g.set(dst, unbounded)
}

// mask bounds a number, so that it can become an offset.
func (g *generator) mask(dst asm.Register) {
	switch mask := int32(1)<<g.r.IntN(6) - 1; g.r.IntN(4) {
	case 0:
		g.emit(asm.And.Imm32(dst, mask))
		g.set(dst, number(uint64(mask)))
	case 1:
		shift := int32(58 + g.r.IntN(5))
		g.emit(asm.RSh.Imm(dst, shift))
		g.set(dst, number(1<<(64-shift)-1))
	default:
		mask = pick(g, mask, mask<<2, mask&^1)
		g.emit(asm.And.Imm(dst, mask))
		g.set(dst, number(uint64(mask)))
	}
}

var allJumps = []asm.JumpOp{asm.JEq, asm.JNE, asm.JGT, asm.JGE, asm.JLT, asm.JLE, asm.JSGT, asm.JSGE, asm.JSLT, asm.JSLE, asm.JSet}

// bound leaves the function unless a number is small.
func (g *generator) bound() {
	r := g.number()
	limit := int32(g.r.IntN(64))
	if g.noExit > 0 && !g.mistake() {
		return
	}
	switch g.r.IntN(4) {
	case 0:
		g.emit(asm.JGE.Imm(r, limit+1, g.exit))
	case 1: // signed, from both sides
		g.emit(asm.JSGT.Imm(r, limit, g.exit), asm.JSLT.Imm(r, 0, g.exit))
	case 2: // the lower half says nothing of the upper
		g.emit(asm.Mov.Reg32(r, r), asm.JGT.Imm32(r, limit, g.exit))
		if g.locked[r] {
			return
		}
	default:
		g.emit(asm.JGT.Imm(r, limit, g.exit))
	}
	g.regs[r] = number(min(g.regs[r].max, uint64(limit)))
}

// branch takes one of two ways, or none.
func (g *generator) branch() {
	if g.nested > 3 {
		return
	}
	g.nested++
	defer func() { g.nested-- }()
	other, end := g.label(), g.label()
	r, op := g.number(), pick(g, allJumps...)
	switch g.r.IntN(4) {
	case 0:
		g.emit(op.Imm32(r, g.imm(), other))
	case 1:
		src := g.number()
		g.emit(pick(g, op.Reg, op.Reg32)(r, src, other))
	default:
		g.emit(op.Imm(r, g.imm(), other))
	}
	before := g.state
	g.body(4)
	if g.chance(50) {
		g.mark(other)
		g.join(&before)
		return
	}
	g.emit(pick(g, asm.Goto(end), asm.GotoLong(end)))
	after := g.state
	g.state = before
	g.mark(other)
	g.body(4)
	g.mark(end)
	g.join(&after)
}

// link copies a number, compares one of the two, and uses the other.
func (g *generator) link() {
	src := g.number()
	dst := g.free(true)
	if dst == src || g.noExit > 0 {
		return
	}
	g.copy(dst, src)
	if g.chance(50) {
		delta := int32(g.r.IntN(16) - 8)
		g.emit(pick(g, asm.Add.Imm, asm.Add.Imm32)(dst, delta))
		g.set(dst, unbounded)
	}
	limit := g.r.IntN(40)
	g.emit(asm.JGT.Imm(src, int32(limit), g.exit))
	g.regs[src] = number(uint64(limit))
	if g.regs[dst].max == math.MaxUint64 && g.chance(30) {
		g.mask(dst)
	}
}

// powerAbove returns the largest mask 2^n-1 that is at most n, at least 0.
func powerAbove(n int) int32 {
	if n <= 0 {
		return 0
	}
	return int32(1)<<(bits.Len(uint(n+1))-1) - 1
}
