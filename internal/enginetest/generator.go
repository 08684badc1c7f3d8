package enginetest

import (
	"math"
	"math/rand/v2"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// Generator makes programs that run for a while: arithmetic of every kind,
// memory accesses that mostly hit, jumps, loops, calls.
type Generator struct {
	r         *rand.Rand
	unwritten bool             // programs begin with registers that they have not written
	Out       asm.Instructions // the program made last
}

// NewGenerator returns a generator that makes the same programs for the same seed. One in four
// makes programs that do not write all registers first.
func NewGenerator(seed uint64) *Generator {
	return &Generator{r: rand.New(rand.NewPCG(seed, 1)), unwritten: seed/8%4 == 2}
}

// reg returns any register but r10, and seldom r6, through which memory is reached.
func (g *Generator) reg() asm.Register {
	r := asm.Register(g.r.IntN(10))
	if r == asm.R6 && g.r.IntN(20) != 0 {
		return asm.R0
	}
	return r
}

var edges = []int32{0, 1, -1, 2, 7, 8, 16, 31, 32, 33, 48, 63, 64, 255, 0xffff, 1 << 30, -1 << 31, 1<<31 - 1}

func (g *Generator) imm() int32 {
	if g.r.IntN(3) == 0 {
		return int32(g.r.Uint32())
	}
	return edges[g.r.IntN(len(edges))]
}

var generatedALU = []asm.ALUOp{asm.Add, asm.Sub, asm.Mul, asm.Div, asm.Or, asm.And, asm.LSh, asm.RSh, asm.Mod, asm.Xor,
	asm.Mov, asm.ArSh, asm.SDiv, asm.SMod, asm.Mov, asm.Add, asm.LSh, asm.RSh, asm.Or}

var generatedSizes = []asm.Size{asm.Byte, asm.Half, asm.Word, asm.DWord}

func (g *Generator) arithmetic() {
	op := generatedALU[g.r.IntN(len(generatedALU))]
	switch g.r.IntN(9) {
	case 0, 1:
		g.Out = append(g.Out, op.Reg(g.reg(), g.reg()))
	case 2, 3:
		g.Out = append(g.Out, op.Imm(g.reg(), g.imm()))
	case 4:
		g.Out = append(g.Out, op.Reg32(g.reg(), g.reg()))
	case 5:
		g.Out = append(g.Out, op.Imm32(g.reg(), g.imm()))
	case 6:
		g.Out = append(g.Out, []asm.Instruction{asm.Neg(g.reg()), asm.Neg32(g.reg()), asm.LoadImm(g.reg(), int64(g.r.Uint64())),
			asm.SX8.Mov(g.reg(), g.reg()), asm.SX16.Mov(g.reg(), g.reg()), asm.SX32.Mov(g.reg(), g.reg()),
			asm.SX8.Mov32(g.reg(), g.reg()), asm.SX16.Mov32(g.reg(), g.reg())}[g.r.IntN(8)])
	case 7:
		bits := []asm.SwapBits{asm.Bits16, asm.Bits32, asm.Bits64}[g.r.IntN(3)]
		g.Out = append(g.Out, []asm.Instruction{asm.ToLE(g.reg(), bits), asm.ToBE(g.reg(), bits), asm.BSwap(g.reg(), bits)}[g.r.IntN(3)])
	case 8: // the idioms that the decoder knows
		a, b, k := g.reg(), g.reg(), int32(g.r.IntN(64))
		g.Out = append(g.Out, asm.Mov.Reg(a, b))
		switch g.r.IntN(4) {
		case 0:
			g.Out = append(g.Out, asm.LSh.Imm(a, k), asm.RSh.Imm(b, 64-k), asm.Or.Reg(a, b))
		case 1:
			g.Out = append(g.Out, asm.LSh.Imm32(a, k&31), asm.RSh.Imm32(b, 32-k&31), asm.Xor.Reg32(a, b))
		case 2:
			g.Out = append(g.Out, asm.LSh.Imm(a, 32), asm.RSh.Imm(a, 32))
		case 3:
			g.Out = append(g.Out, asm.LSh.Imm(a, 48), asm.ArSh.Imm(a, 48))
		}
	}
}

// access loads or stores through r10 or a pointer made from it or from r6,
// which holds the address of the run's memory.
func (g *Generator) access() {
	base := asm.R10
	off := -int16(16 + g.r.IntN(490))
	if g.r.IntN(2) == 0 {
		base = asm.R6
		off = int16(g.r.IntN(56))
	}
	if g.r.IntN(40) == 0 { // a little, or more, outside
		off += int16(g.r.IntN(120)) - 60
	}
	if g.r.IntN(3) == 0 {
		through := asm.Register(7 + g.r.IntN(3))
		g.Out = append(g.Out, asm.Mov.Reg(through, base))
		if g.r.IntN(2) == 0 {
			k := int32(g.r.IntN(32))
			g.Out = append(g.Out, asm.Add.Imm(through, k))
			off -= int16(k)
		} else {
			index := asm.Register(g.r.IntN(5))
			g.Out = append(g.Out, asm.And.Imm(index, 7), asm.Add.Reg(through, index))
		}
		base = through
	}
	size := generatedSizes[g.r.IntN(4)]
	switch g.r.IntN(6) {
	case 0, 1:
		g.Out = append(g.Out, asm.LoadMem(g.reg(), base, off, size))
	case 2, 3:
		g.Out = append(g.Out, asm.StoreMem(base, off, g.reg(), size))
	case 4:
		g.Out = append(g.Out, asm.StoreImm(base, off, g.imm(), size))
	case 5:
		switch g.r.IntN(4) {
		case 0:
			g.Out = append(g.Out, []asm.SignedSize{asm.SX8, asm.SX16, asm.SX32}[g.r.IntN(3)].Load(g.reg(), base, off))
		case 1:
			ops := []asm.AtomicOp{asm.AtomicAdd, asm.AtomicOr, asm.AtomicAnd, asm.AtomicXor, asm.AtomicFetchAdd, asm.AtomicFetchOr,
				asm.AtomicFetchAnd, asm.AtomicFetchXor, asm.AtomicXchg, asm.AtomicCmpXchg}
			op := ops[g.r.IntN(len(ops))]
			g.Out = append(g.Out, []asm.Instruction{op.Mem32(base, off&^3, g.reg()), op.Mem64(base, off&^7, g.reg())}[g.r.IntN(2)])
		case 2:
			g.Out = append(g.Out, asm.LoadAcquire(g.reg(), base, off&^7, size))
		case 3:
			g.Out = append(g.Out, asm.StoreRelease(base, off&^7, g.reg(), size))
		}
	}
}

var generatedJumps = []asm.JumpOp{asm.JEq, asm.JGT, asm.JGE, asm.JSet, asm.JNE, asm.JSGT, asm.JSGE, asm.JLT, asm.JLE, asm.JSLT, asm.JSLE}

// jump adds a jump to anywhere in n instructions: the offset is settled later.
func (g *Generator) jump() {
	op := generatedJumps[g.r.IntN(len(generatedJumps))]
	g.Out = append(g.Out, []asm.Instruction{
		op.Imm(g.reg(), g.imm(), ""), op.Reg(g.reg(), g.reg(), ""), op.Imm32(g.reg(), g.imm(), ""),
		op.Reg32(g.reg(), g.reg(), ""), asm.Goto(""), asm.MayGoto(""), asm.CallLocal(""), asm.GotoLong("")}[min(g.r.IntN(20), 7)%8])
}

// begin writes the registers. Those that are to be zero at first are written on a way that is
// never taken: a program that reads what nothing writes is refused.
func (g *Generator) begin() {
	g.Out = asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	var later asm.Instructions
	for r := asm.R0; r < asm.R10; r++ {
		if r == asm.R6 || r == asm.R1 {
			continue
		}
		write := asm.LoadImm(r, int64(g.r.Uint64()))
		if g.unwritten && g.r.IntN(2) == 0 {
			later = append(later, write)
		} else {
			g.Out = append(g.Out, write)
		}
	}
	if len(later) > 0 {
		past := asm.JNE.Imm(asm.R1, 0, "")
		past.Off = int16(later.Slots())
		g.Out = append(append(g.Out, past), later...)
	}
}

// Program returns a program of about n instructions.
func (g *Generator) Program(n int) *prog.Program {
	g.begin()
	start := len(g.Out)
	for len(g.Out) < n {
		switch k := g.r.IntN(20); {
		case k < 11:
			g.arithmetic()
		case k < 18:
			g.access()
		default:
			g.jump()
		}
		if g.r.IntN(60) == 0 {
			g.Out = append(g.Out, asm.Return())
		}
	}
	g.Out = append(g.Out, asm.Return())
	g.aim(start)
	p := &prog.Program{Name: "random"}
	for _, ins := range g.Out {
		p.Insns = append(p.Insns, ins)
		if ins.Slots() == 2 {
			p.Insns = append(p.Insns, asm.Instruction{})
		}
	}
	return p
}

// aim gives every jump from start on a target: mostly forwards, sometimes a loop.
func (g *Generator) aim(start int) {
	slots := make([]int, len(g.Out))
	slot := 0
	for i, ins := range g.Out {
		slots[i] = slot
		slot += ins.Slots()
	}
	for i := start; i < len(g.Out); i++ {
		ins := &g.Out[i]
		if _, ok := ins.JumpOffset(); !ok {
			continue
		}
		to := i + 1 + g.r.IntN(len(g.Out)-i-1)
		if g.r.IntN(4) == 0 {
			to = 10 + g.r.IntN(len(g.Out)-10)
		} else {
			to = min(to, i+1+g.r.IntN(8))
		}
		off := slots[to] - slots[i] - 1
		if off < math.MinInt16 || off > math.MaxInt16 { // more than most jumps can go
			off = 0
		}
		switch ins.Kind() {
		case asm.KindCallLocal:
			ins.Imm = int64(off)
		case asm.KindGoto:
			if ins.Op.Class() == asm.ClassJMP32 {
				ins.Imm = int64(off)
				continue
			}
			ins.Off = int16(off)
		default:
			ins.Off = int16(off)
		}
	}
}
