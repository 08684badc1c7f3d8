package interp

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// generator makes programs that run for a while: arithmetic of every kind,
// memory accesses that mostly hit, jumps, loops, calls.
type generator struct {
	r   *rand.Rand
	out asm.Instructions
}

// reg returns any register but r10, and seldom r6, through which memory is reached.
func (g *generator) reg() asm.Register {
	r := asm.Register(g.r.IntN(10))
	if r == asm.R6 && g.r.IntN(20) != 0 {
		return asm.R0
	}
	return r
}

var edges = []int32{0, 1, -1, 2, 7, 8, 16, 31, 32, 33, 48, 63, 64, 255, 0xffff, 1 << 30, -1 << 31, 1<<31 - 1}

func (g *generator) imm() int32 {
	if g.r.IntN(3) == 0 {
		return int32(g.r.Uint32())
	}
	return edges[g.r.IntN(len(edges))]
}

var generatedALU = []asm.ALUOp{asm.Add, asm.Sub, asm.Mul, asm.Div, asm.Or, asm.And, asm.LSh, asm.RSh, asm.Mod, asm.Xor,
	asm.Mov, asm.ArSh, asm.SDiv, asm.SMod, asm.Mov, asm.Add, asm.LSh, asm.RSh, asm.Or}

var generatedSizes = []asm.Size{asm.Byte, asm.Half, asm.Word, asm.DWord}

func (g *generator) arithmetic() {
	op := generatedALU[g.r.IntN(len(generatedALU))]
	switch g.r.IntN(9) {
	case 0, 1:
		g.out = append(g.out, op.Reg(g.reg(), g.reg()))
	case 2, 3:
		g.out = append(g.out, op.Imm(g.reg(), g.imm()))
	case 4:
		g.out = append(g.out, op.Reg32(g.reg(), g.reg()))
	case 5:
		g.out = append(g.out, op.Imm32(g.reg(), g.imm()))
	case 6:
		g.out = append(g.out, []asm.Instruction{asm.Neg(g.reg()), asm.Neg32(g.reg()), asm.LoadImm(g.reg(), int64(g.r.Uint64())),
			asm.SX8.Mov(g.reg(), g.reg()), asm.SX16.Mov(g.reg(), g.reg()), asm.SX32.Mov(g.reg(), g.reg()),
			asm.SX8.Mov32(g.reg(), g.reg()), asm.SX16.Mov32(g.reg(), g.reg())}[g.r.IntN(8)])
	case 7:
		bits := []asm.SwapBits{asm.Bits16, asm.Bits32, asm.Bits64}[g.r.IntN(3)]
		g.out = append(g.out, []asm.Instruction{asm.ToLE(g.reg(), bits), asm.ToBE(g.reg(), bits), asm.BSwap(g.reg(), bits)}[g.r.IntN(3)])
	case 8: // the idioms that the decoder knows
		a, b, k := g.reg(), g.reg(), int32(g.r.IntN(64))
		g.out = append(g.out, asm.Mov.Reg(a, b))
		switch g.r.IntN(4) {
		case 0:
			g.out = append(g.out, asm.LSh.Imm(a, k), asm.RSh.Imm(b, 64-k), asm.Or.Reg(a, b))
		case 1:
			g.out = append(g.out, asm.LSh.Imm32(a, k&31), asm.RSh.Imm32(b, 32-k&31), asm.Xor.Reg32(a, b))
		case 2:
			g.out = append(g.out, asm.LSh.Imm(a, 32), asm.RSh.Imm(a, 32))
		case 3:
			g.out = append(g.out, asm.LSh.Imm(a, 48), asm.ArSh.Imm(a, 48))
		}
	}
}

// access loads or stores through r10 or a pointer made from it or from r6,
// which holds the address of the run's memory.
func (g *generator) access() {
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
		g.out = append(g.out, asm.Mov.Reg(through, base))
		if g.r.IntN(2) == 0 {
			k := int32(g.r.IntN(32))
			g.out = append(g.out, asm.Add.Imm(through, k))
			off -= int16(k)
		} else {
			index := asm.Register(g.r.IntN(5))
			g.out = append(g.out, asm.And.Imm(index, 7), asm.Add.Reg(through, index))
		}
		base = through
	}
	size := generatedSizes[g.r.IntN(4)]
	switch g.r.IntN(6) {
	case 0, 1:
		g.out = append(g.out, asm.LoadMem(g.reg(), base, off, size))
	case 2, 3:
		g.out = append(g.out, asm.StoreMem(base, off, g.reg(), size))
	case 4:
		g.out = append(g.out, asm.StoreImm(base, off, g.imm(), size))
	case 5:
		switch g.r.IntN(4) {
		case 0:
			g.out = append(g.out, []asm.SignedSize{asm.SX8, asm.SX16, asm.SX32}[g.r.IntN(3)].Load(g.reg(), base, off))
		case 1:
			ops := []asm.AtomicOp{asm.AtomicAdd, asm.AtomicOr, asm.AtomicAnd, asm.AtomicXor, asm.AtomicFetchAdd, asm.AtomicFetchOr,
				asm.AtomicFetchAnd, asm.AtomicFetchXor, asm.AtomicXchg, asm.AtomicCmpXchg}
			op := ops[g.r.IntN(len(ops))]
			g.out = append(g.out, []asm.Instruction{op.Mem32(base, off&^3, g.reg()), op.Mem64(base, off&^7, g.reg())}[g.r.IntN(2)])
		case 2:
			g.out = append(g.out, asm.LoadAcquire(g.reg(), base, off&^7, size))
		case 3:
			g.out = append(g.out, asm.StoreRelease(base, off&^7, g.reg(), size))
		}
	}
}

var generatedJumps = []asm.JumpOp{asm.JEq, asm.JGT, asm.JGE, asm.JSet, asm.JNE, asm.JSGT, asm.JSGE, asm.JLT, asm.JLE, asm.JSLT, asm.JSLE}

// jump adds a jump to anywhere in n instructions: the offset is settled later.
func (g *generator) jump() {
	op := generatedJumps[g.r.IntN(len(generatedJumps))]
	g.out = append(g.out, []asm.Instruction{
		op.Imm(g.reg(), g.imm(), ""), op.Reg(g.reg(), g.reg(), ""), op.Imm32(g.reg(), g.imm(), ""),
		op.Reg32(g.reg(), g.reg(), ""), asm.Goto(""), asm.MayGoto(""), asm.CallLocal(""), asm.GotoLong("")}[min(g.r.IntN(20), 7)%8])
}

func (g *generator) program(n int) *prog.Program {
	g.out = asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1)}
	for r := asm.R0; r < asm.R10; r++ {
		if r != asm.R6 && r != asm.R1 {
			g.out = append(g.out, asm.LoadImm(r, int64(g.r.Uint64())))
		}
	}
	for len(g.out) < n {
		switch k := g.r.IntN(20); {
		case k < 11:
			g.arithmetic()
		case k < 18:
			g.access()
		default:
			g.jump()
		}
		if g.r.IntN(60) == 0 {
			g.out = append(g.out, asm.Return())
		}
	}
	g.out = append(g.out, asm.Return())
	g.aim()
	p := &prog.Program{Name: "random"}
	for _, ins := range g.out {
		p.Insns = append(p.Insns, ins)
		if ins.Slots() == 2 {
			p.Insns = append(p.Insns, asm.Instruction{})
		}
	}
	return p
}

// aim gives every jump a target: mostly forwards, sometimes a loop.
func (g *generator) aim() {
	slots := make([]int, len(g.out))
	slot := 0
	for i, ins := range g.out {
		slots[i] = slot
		slot += ins.Slots()
	}
	for i := range g.out {
		ins := &g.out[i]
		if _, ok := ins.JumpOffset(); !ok {
			continue
		}
		to := i + 1 + g.r.IntN(len(g.out)-i-1)
		if g.r.IntN(4) == 0 {
			to = 10 + g.r.IntN(len(g.out)-10)
		} else {
			to = min(to, i+1+g.r.IntN(8))
		}
		off := slots[to] - slots[i] - 1
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

// outcome is all that a run leaves.
type outcome struct {
	r0     uint64
	memory [64]byte
	done   uint64
	fault  string
	slot   int
}

func (r *rig) outcome(code *Code) (o outcome) {
	var data [64]byte
	for i := range data {
		data[i] = byte(i * 7)
	}
	r0, after, err := r.run(code, data[:])
	o.memory, o.done = [64]byte(after), r.cpu.Done
	if err == nil {
		o.r0 = r0
		return o
	}
	var f *vm.Fault
	if errors.As(err, &f) {
		o.slot = f.Slot
	}
	o.fault = err.Error()
	return o
}

// compareEngines runs a random program on both engines.
func compareEngines(t testing.TB, r *rig, seed uint64, n int) (finished bool) {
	g := generator{r: rand.New(rand.NewPCG(seed, 1))}
	p := g.program(n)
	code, err := Compile(p, Env{})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	slow, err := Compile(p, Env{Observe: func(int, *Registers) {}})
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	r.cpu.Limit = 5000
	want := r.outcome(slow)
	for range 2 { // the second run finds the windows that the first has learned
		if got := r.outcome(code); got != want {
			t.Fatalf("seed %d: the loop differs from single steps:\n got %+v\nwant %+v\n%v", seed, got, want, g.out)
		}
	}
	return want.fault == ""
}

// TestLoopEqualsSteps runs random programs through the loop and by single
// steps: same result, memory, instructions and fault.
func TestLoopEqualsSteps(t *testing.T) {
	r := newRig(t)
	n := uint64(20000)
	if testing.Short() {
		n = 2000
	}
	finished := 0
	for seed := range n {
		if compareEngines(t, r, seed, 20+int(seed%120)) {
			finished++
		}
	}
	require.Greater(t, finished, int(n/4), "most programs must run to their end for the comparison to mean something")
	t.Logf("%d of %d programs ran to their end", finished, n)
}

func FuzzLoopEqualsSteps(f *testing.F) {
	f.Add(uint64(1), 40)
	f.Add(uint64(77), 300)
	f.Fuzz(func(t *testing.T, seed uint64, n int) {
		compareEngines(t, newRig(t), seed, 12+(n&1023))
	})
}
