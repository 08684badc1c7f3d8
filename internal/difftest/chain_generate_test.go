package difftest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// chainMaps are the maps of programs that tail-call one another, by name.
var chainMaps = []struct {
	Name string
	Map  Map
}{
	{"progs", Map{Type: uint32(maps.ProgramArray), KeySize: 4, ValueSize: 4, MaxEntries: chainTargets}},
	{"array", Map{Type: uint32(maps.Array), KeySize: 4, ValueSize: 24, MaxEntries: 3}},
	{"hash", Map{Type: uint32(maps.Hash), KeySize: 8, ValueSize: 24, MaxEntries: 16}},
	{"ring", Map{Type: uint32(maps.RingBuf), MaxEntries: 4096}},
	{"queue", Map{Type: uint32(maps.Queue), ValueSize: 8, MaxEntries: 4}},
}

// chainTargets is how many elements the array of programs has; the last ones are empty.
const chainTargets = 6

// Where a function of these programs has what, below r10. A pointer that functions pass on is one to a
// buffer, behind which the context is, for callbacks, which are given nothing else.
const (
	chainCtx    = -8
	chainBuffer = -40 // 32 bytes
	chainKey    = -48
	chainValue  = -72 // 24 bytes
)

// chainGenerator makes programs that tail-call one another, from any depth of functions and callbacks, and
// whose functions hand pointers to their stack on, down to helpers. They read stack that they have
// not written. What they compute does not depend on addresses.
type chainGenerator struct {
	generator
	level    int // of the function at hand: how many calls lie above it
	ctx, ptr asm.Register
	nums     []asm.Register // hold numbers
	loops    bool           // there may be callbacks
	quiet    bool           // no pointer to the stack leaves a function
	alone    bool           // nothing but the entry: what can run in batches
	byLevel  [4][]string    // functions that can be called
}

// generateChained makes the program of a seed.
func generateChained(seed uint64, typ prog.Type) *Generated {
	g := &chainGenerator{generator: generator{r: rand.New(rand.NewPCG(seed, 0xc4a1)), typ: typ}}
	g.loops, g.quiet = g.chance(50), g.chance(30)
	g.left = 3 + g.r.IntN(14)
	g.body("entry", "int entry(ctx *)", false)
	g.funcs[0].Global = true
	for len(g.later) > 0 {
		next := g.later[0]
		g.later = g.later[1:]
		next()
	}
	return &Generated{Type: typ, Insns: g.out, Funcs: g.funcs}
}

// generateAlone is generateChained for programs without functions, tail calls, records and loops of may_goto, of
// type XDP: such run in batches.
func generateAlone(seed uint64) *Generated {
	g := &chainGenerator{generator: generator{r: rand.New(rand.NewPCG(seed, 0xa10e)), typ: prog.XDP}, alone: true}
	g.quiet = g.chance(30)
	g.left = 3 + g.r.IntN(20)
	g.body("entry", "int entry(ctx *)", false)
	g.funcs[0].Global = true
	return &Generated{Type: g.typ, Insns: g.out, Funcs: g.funcs}
}

// chainCase makes a case of such a program.
func chainCase(g *Generated, id string) (*Case, error) {
	c := &Case{ID: id, ProgType: uint32(g.Type), License: "GPL"}
	var names []string
	for _, m := range chainMaps {
		c.Maps, names = append(c.Maps, m.Map), append(names, m.Name)
	}
	if err := c.assemble(g.Insns, names); err != nil {
		return nil, err
	}
	symbols, err := g.Insns.Symbols()
	if err != nil {
		return nil, err
	}
	var decls []decl
	var starts []int
	for _, f := range g.Funcs {
		linkage := "static "
		if f.Global {
			linkage = "global "
		}
		d, err := parseDecl(linkage + f.Decl)
		if err != nil {
			return nil, err
		}
		decls, starts = append(decls, d), append(starts, symbols[f.Label])
	}
	return c, c.declare(decls, starts)
}

// body writes a function. Its context is in r1, or behind what r2 points to in a callback; a number and
// a buffer are in r2 and r3, or r1 and r2.
func (g *chainGenerator) body(label, decl string, callback bool) {
	g.funcs = append(g.funcs, GeneratedFunc{Label: label, Decl: decl})
	g.mark(label)
	g.exit = g.label()
	saved := []asm.Register{asm.R6, asm.R7, asm.R8, asm.R9}
	g.r.Shuffle(4, func(i, j int) { saved[i], saved[j] = saved[j], saved[i] })
	g.ctx, g.ptr, g.nums = saved[0], saved[1], saved[2:]
	switch {
	case g.level == 0:
		g.emit(asm.Mov.Reg(g.ctx, asm.R1), asm.Mov.Imm(g.nums[0], g.imm()), asm.Mov.Imm(g.nums[1], g.imm()))
		if !g.quiet {
			g.point(g.ptr, chainBuffer)
		}
	case callback:
		g.emit(asm.Mov.Reg(g.ptr, asm.R2), asm.Mov.Reg(g.nums[0], asm.R1), asm.LoadMem(g.ctx, asm.R2, chainCtx-chainBuffer, asm.DWord),
			asm.Mov.Imm(g.nums[1], g.imm()))
	default:
		g.emit(asm.Mov.Reg(g.ctx, asm.R1), asm.Mov.Reg(g.nums[0], asm.R2), asm.Mov.Reg(g.nums[1], asm.R2))
		if !g.quiet {
			g.emit(asm.Mov.Reg(g.ptr, asm.R3))
		}
	}
	if g.loops && !g.quiet {
		g.emit(asm.StoreMem(asm.R10, chainCtx, g.ctx, asm.DWord))
	}
	for g.left > 0 {
		g.step()
	}
	g.mark(g.exit)
	g.emit(asm.Mov.Reg(asm.R0, g.nums[0]))
	if len(g.nums) > 1 {
		g.emit(asm.Xor.Reg(asm.R0, g.nums[1]))
	}
	if callback {
		g.emit(asm.And.Imm(asm.R0, 1))
	}
	g.emit(asm.Return())
}

// step writes one of the things that these functions are made of.
func (g *chainGenerator) step() {
	g.left--
	steps := []struct {
		weight int
		write  func()
	}{
		{6, g.burst}, {4, g.storeStack}, {4, g.loadStack}, {3, g.atomicStack}, {5, g.callFunction}, {3, g.callLeaf}, {5, g.tailCall},
		{3, g.loopSome}, {2, g.mayGotoSome}, {3, g.loopCallback}, {2, g.eachElement}, {3, g.update}, {3, g.find}, {2, g.output},
		{2, g.loadPacket}, {2, g.probe}, {2, g.parse}, {2, g.reserve}, {2, g.pushPop}, {3, g.readPacket},
		{2, g.loadAbsolute}, {2, g.movePacket}, {3, g.branchSome}, {1, g.leave},
	}
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	n := g.r.IntN(total)
	for _, s := range steps {
		if n -= s.weight; n < 0 {
			s.write()
			return
		}
	}
}

func (g *chainGenerator) num() asm.Register { return g.nums[g.r.IntN(len(g.nums))] }

// mix makes a number depend on r0.
func (g *chainGenerator) mix() {
	if g.chance(80) {
		g.emit(pick(&g.generator, asm.Xor, asm.Add, asm.Sub).Reg(g.num(), asm.R0))
	}
}

// point makes r the address of the function's stack at off.
func (g *chainGenerator) point(r asm.Register, off int32) {
	g.emit(asm.Mov.Reg(r, asm.R10), asm.Add.Imm(r, off))
}

// bytesFor makes r the address of up to 24 bytes, of this function's stack or of one above.
func (g *chainGenerator) bytesFor(r asm.Register) {
	if g.quiet || g.chance(50) {
		g.point(r, pick[int32](&g.generator, chainBuffer, chainValue))
		return
	}
	g.emit(asm.Mov.Reg(r, g.ptr))
	if g.chance(50) {
		g.emit(asm.Add.Imm(r, 8))
	}
}

var chainALU = []asm.ALUOp{asm.Add, asm.Sub, asm.Mul, asm.Or, asm.And, asm.Xor, asm.LSh, asm.RSh, asm.ArSh, asm.LSh, asm.RSh, asm.ArSh,
	asm.Mov, asm.Div, asm.Mod, asm.SDiv, asm.SMod}

// compute writes an operation on numbers.
func (g *chainGenerator) compute(dst asm.Register, sources []asm.Register) {
	op := pick(&g.generator, chainALU...)
	src := sources[g.r.IntN(len(sources))]
	imm := g.imm()
	switch op {
	case asm.LSh, asm.RSh, asm.ArSh:
		imm = g.r.Int32N(32)
	case asm.Div, asm.Mod, asm.SDiv, asm.SMod:
		imm |= 1
	}
	g.emit(pick(&g.generator, op.Imm(dst, imm), op.Reg(dst, src), op.Reg(dst, src), op.Imm32(dst, imm), op.Reg32(dst, src)))
}

// burst computes with all registers that hold numbers, r0 to r5 among them.
func (g *chainGenerator) burst() {
	regs := append([]asm.Register{0, 1, 2, 3, 4, 5}, g.nums...)
	for r := asm.R0; r <= asm.R5; r++ {
		switch g.r.IntN(4) {
		case 0:
			g.emit(asm.LoadImm(r, int64(g.r.Uint64())>>g.r.IntN(64)))
		case 1:
			g.emit(asm.LoadMem(r, asm.R10, chainBuffer+int16(8*g.r.IntN(4)), asm.DWord))
		default:
			g.emit(asm.Mov.Reg(r, g.num()))
		}
	}
	for range 2 + g.r.IntN(10) {
		if g.chance(15) {
			skip := g.label()
			g.emit(g.condition(regs[g.r.IntN(len(regs))], skip))
			g.compute(regs[g.r.IntN(len(regs))], regs)
			g.compute(regs[g.r.IntN(len(regs))], regs)
			g.mark(skip)
		}
		g.compute(regs[g.r.IntN(len(regs))], regs)
	}
	for range 1 + g.r.IntN(4) {
		g.emit(asm.Xor.Reg(g.num(), asm.Register(g.r.IntN(6))))
	}
}

func (g *chainGenerator) condition(r asm.Register, label string) asm.Instruction {
	op := pick(&g.generator, asm.JEq, asm.JNE, asm.JGT, asm.JLE, asm.JSGT, asm.JSLE, asm.JSet)
	return pick(&g.generator, op.Imm(r, g.imm(), label), op.Imm32(r, g.imm(), label), op.Reg(r, g.num(), label))
}

// stackPlace returns a place for a number: a base and an offset.
func (g *chainGenerator) stackPlace() (asm.Register, int16) {
	if g.quiet || g.chance(60) {
		return asm.R10, chainValue + int16(8*g.r.IntN(8))
	}
	return g.ptr, int16(8 * g.r.IntN(4))
}

func (g *chainGenerator) storeStack() {
	base, off := g.stackPlace()
	size := pick(&g.generator, asm.DWord, asm.DWord, asm.Word, asm.Half, asm.Byte)
	g.emit(pick(&g.generator, asm.StoreMem(base, off, g.num(), size), asm.StoreImm(base, off, g.imm(), size)))
}

func (g *chainGenerator) loadStack() {
	base, off := g.stackPlace()
	size := pick(&g.generator, asm.DWord, asm.DWord, asm.Word, asm.Half, asm.Byte)
	g.emit(asm.LoadMem(asm.R0, base, off, size))
	g.mix()
}

func (g *chainGenerator) atomicStack() {
	base, off := g.stackPlace()
	op := pick(&g.generator, asm.AtomicAdd, asm.AtomicXor, asm.AtomicFetchAdd, asm.AtomicFetchOr, asm.AtomicXchg, asm.AtomicCmpXchg)
	g.emit(asm.Mov.Reg(asm.R0, g.num()), asm.Mov.Reg(asm.R1, g.num()))
	g.emit(pick(&g.generator, op.Mem64(base, off, asm.R1), op.Mem32(base, off, asm.R1)))
	g.mix()
	g.emit(asm.Xor.Reg(g.num(), asm.R1))
}

// callFunction calls a function with the context, a number, and a buffer of this frame or one above.
func (g *chainGenerator) callFunction() {
	level := g.level + 1
	if g.alone || level > 3 {
		return
	}
	label, again := "", false
	if list := g.byLevel[level]; len(list) > 0 && g.chance(40) {
		label, again = list[g.r.IntN(len(list))], true
	} else {
		label = fmt.Sprint("function", len(g.funcs)+len(g.later))
		g.byLevel[level] = append(list, label)
	}
	g.emit(asm.Mov.Reg(asm.R1, g.ctx), asm.Mov.Reg(asm.R2, g.num()))
	decl := "int " + label + "(ctx *, u64)"
	if !g.quiet {
		decl = "int " + label + "(ctx *, u64, void *)"
		if g.chance(50) {
			g.emit(asm.Mov.Reg(asm.R3, g.ptr))
		} else {
			g.point(asm.R3, chainBuffer)
		}
	}
	g.emit(asm.CallLocal(label))
	g.mix()
	if !again {
		g.write(label, decl, level, false)
	}
}

// write leaves a function for later.
func (g *chainGenerator) write(label, decl string, level int, callback bool) {
	g.later = append(g.later, func() {
		g.level, g.left = level, 1+g.r.IntN(7)
		g.body(label, decl, callback)
	})
}

// callLeaf calls a function that has numbers only, and writes some of r6 to r9.
func (g *chainGenerator) callLeaf() {
	if g.alone || g.level > 3 {
		return
	}
	label := fmt.Sprint("leaf", len(g.funcs)+len(g.later))
	g.emit(asm.Mov.Reg(asm.R1, g.num()), asm.Mov.Reg(asm.R2, g.num()), asm.CallLocal(label))
	g.mix()
	g.later = append(g.later, func() {
		g.funcs = append(g.funcs, GeneratedFunc{Label: label, Decl: "int " + label + "(u64, u64)"})
		g.mark(label)
		g.emit(asm.Mov.Reg(asm.R0, asm.R1))
		regs := []asm.Register{asm.R0, asm.R1, asm.R2}
		for r := asm.R6; r <= asm.R9; r++ {
			if g.chance(30) {
				g.emit(asm.Mov.Reg(r, asm.R2))
				regs = append(regs, r)
			}
		}
		for range 1 + g.r.IntN(8) {
			g.compute(regs[g.r.IntN(len(regs))], regs)
		}
		if g.chance(20) {
			g.emit(asm.StoreMem(asm.R10, -16, asm.R0, asm.DWord), asm.LoadMem(asm.R0, asm.R10, -14, asm.Half))
		}
		g.emit(asm.Xor.Reg(asm.R0, regs[len(regs)-1]), asm.Return())
	})
}

func (g *chainGenerator) tailCall() {
	if g.alone {
		return
	}
	g.emit(asm.Mov.Reg(asm.R1, g.ctx), asm.LoadMapPtr(asm.R2, "progs"))
	if g.chance(60) {
		g.emit(asm.Mov.Imm(asm.R3, g.r.Int32N(chainTargets+1)))
	} else {
		g.emit(asm.Mov.Reg(asm.R3, g.num()), asm.And.Imm(asm.R3, 7))
	}
	g.emit(asm.FnTailCall.Call())
}

// some writes a few steps in a row, which do not write the register kept.
func (g *chainGenerator) some(kept asm.Register) {
	nums := g.nums
	g.nums = slices.DeleteFunc(slices.Clone(nums), func(r asm.Register) bool { return r == kept })
	g.nested++
	for range 1 + g.r.IntN(3) {
		if g.left > 0 {
			g.step()
		}
	}
	g.nested--
	g.nums = nums
}

func (g *chainGenerator) loopSome() {
	if len(g.nums) < 2 || g.nested > 1 {
		return
	}
	counter, head := g.num(), g.label()
	g.emit(asm.Mov.Imm(counter, 0))
	g.mark(head)
	g.emit(asm.Add.Imm(counter, 1))
	g.some(counter)
	trips := 2 + g.r.Int32N(4)
	g.emit(pick(&g.generator, asm.JLT.Imm(counter, trips, head), asm.JNE.Imm(counter, trips, head)))
}

func (g *chainGenerator) mayGotoSome() {
	if g.alone || len(g.nums) < 2 || g.nested > 0 {
		return
	}
	counter, head, end := g.num(), g.label(), g.label()
	g.emit(asm.Mov.Imm(counter, 0))
	g.mark(head)
	g.emit(asm.MayGoto(end), asm.Add.Imm(counter, 1))
	g.some(counter)
	g.emit(asm.JGT.Imm(counter, 2+g.r.Int32N(3), end), asm.Goto(head))
	g.mark(end)
}

func (g *chainGenerator) branchSome() {
	other, end := g.label(), g.label()
	g.emit(g.condition(g.num(), other))
	g.some(asm.R10)
	if g.chance(50) {
		g.emit(asm.Goto(end))
		g.mark(other)
		g.some(asm.R10)
		g.mark(end)
		return
	}
	g.mark(other)
}

// callbackArgs brings a new function and a buffer into r2 and r3.
func (g *chainGenerator) callbackArgs() (label string) {
	label = fmt.Sprint("callback", len(g.funcs)+len(g.later))
	g.emit(asm.LoadFunc(asm.R2, label), asm.Mov.Imm(asm.R4, 0))
	if g.chance(50) {
		g.emit(asm.Mov.Reg(asm.R3, g.ptr))
	} else {
		g.point(asm.R3, chainBuffer)
	}
	return label
}

func (g *chainGenerator) loopCallback() {
	if !g.loops || g.quiet || g.level > 2 || g.nested > 1 {
		return
	}
	label := g.callbackArgs()
	trips := g.r.Int32N(5)
	if g.level == 0 && g.nested == 0 && g.chance(4) {
		trips = 20_000 // some slices of instructions
	}
	g.emit(asm.Mov.Imm(asm.R1, trips), asm.FnLoop.Call())
	g.mix()
	g.write(label, "int "+label+"(u64, void *)", g.level+1, true)
}

// eachElement walks over an array, with a callback that returns at once what it makes of the value.
func (g *chainGenerator) eachElement() {
	if !g.loops || g.quiet || g.level > 2 {
		return
	}
	label := g.callbackArgs()
	g.emit(asm.LoadMapPtr(asm.R1, "array"), asm.FnForEachMapElem.Call())
	g.mix()
	g.later = append(g.later, func() {
		g.funcs = append(g.funcs, GeneratedFunc{Label: label, Decl: "int " + label + "(void *, void *, void *, void *)"})
		g.mark(label)
		g.emit(asm.LoadMem(asm.R0, asm.R3, 8, asm.DWord), asm.LoadMem(asm.R6, asm.R2, 0, asm.Word), asm.Add.Reg(asm.R0, asm.R6),
			asm.StoreMem(asm.R4, 8, asm.R0, asm.DWord), asm.AtomicAdd.Mem64(asm.R3, 0, asm.R6), asm.StoreMem(asm.R10, -8, asm.R0, asm.Word),
			asm.RSh.Imm(asm.R0, 3), asm.And.Imm(asm.R0, 1), asm.Return())
	})
}

// key makes r2 the address of eight bytes, often of a small number.
func (g *chainGenerator) key() {
	if g.chance(50) {
		g.bytesFor(asm.R2)
		return
	}
	g.emit(asm.StoreImm(asm.R10, chainKey, g.r.Int32N(4), asm.DWord))
	g.point(asm.R2, chainKey)
}

// keyed returns a map with elements.
func (g *chainGenerator) keyed() string { return pick(&g.generator, "array", "hash") }

func (g *chainGenerator) update() {
	g.key()
	g.bytesFor(asm.R3)
	g.emit(asm.LoadMapPtr(asm.R1, g.keyed()), asm.Mov.Imm(asm.R4, g.r.Int32N(3)), asm.FnMapUpdateElem.Call())
	g.mix()
}

func (g *chainGenerator) find() {
	g.key()
	if g.chance(20) {
		g.emit(asm.LoadMapPtr(asm.R1, "hash"), asm.FnMapDeleteElem.Call())
		g.mix()
		return
	}
	none := g.label()
	g.emit(asm.LoadMapPtr(asm.R1, g.keyed()), asm.FnMapLookupElem.Call(), asm.JEq.Imm(asm.R0, 0, none),
		asm.StoreMem(asm.R0, 16, g.num(), asm.DWord), asm.LoadMem(asm.R0, asm.R0, int16(8*g.r.IntN(2)), asm.DWord))
	g.emit(asm.Xor.Reg(g.num(), asm.R0))
	g.mark(none)
}

func (g *chainGenerator) output() {
	g.bytesFor(asm.R2)
	g.emit(asm.LoadMapPtr(asm.R1, "ring"), asm.Mov.Imm(asm.R3, 1+g.r.Int32N(24)), asm.Mov.Imm(asm.R4, 0), asm.FnRingbufOutput.Call())
	g.mix()
}

// loadPacket has a helper write bytes of the packet to the stack.
func (g *chainGenerator) loadPacket() {
	if g.typ == prog.XDP {
		return
	}
	g.bytesFor(asm.R3)
	g.emit(asm.Mov.Reg(asm.R1, g.ctx), asm.Mov.Imm(asm.R2, g.r.Int32N(90)), asm.Mov.Imm(asm.R4, 1+g.r.Int32N(24)), asm.FnSkbLoadBytes.Call())
	g.mix()
}

// probe has a helper copy from one place of the stack to another.
func (g *chainGenerator) probe() {
	g.bytesFor(asm.R1)
	g.bytesFor(asm.R3)
	if g.chance(20) {
		g.emit(asm.Mov.Imm(asm.R3, 7))
	}
	g.emit(asm.Mov.Imm(asm.R2, 1+g.r.Int32N(24)), asm.FnProbeReadKernel.Call())
	g.mix()
}

// parse has a helper write a number to the stack, if there is one.
func (g *chainGenerator) parse() {
	if g.chance(60) {
		g.emit(asm.StoreImm(asm.R10, chainBuffer, 0x2037312d, asm.Word)) // "-17 "
	}
	g.point(asm.R1, chainBuffer)
	g.bytesFor(asm.R4)
	g.emit(asm.Mov.Imm(asm.R2, 8), asm.Mov.Imm(asm.R3, 0), asm.FnStrtol.Call())
	g.mix()
}

// reserve writes a record, which is held while a helper runs.
func (g *chainGenerator) reserve() {
	if g.alone || len(g.nums) < 2 {
		return
	}
	record, none := g.nums[0], g.label()
	g.emit(asm.LoadMapPtr(asm.R1, "ring"), asm.Mov.Imm(asm.R2, 16), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call(),
		asm.Mov.Reg(record, asm.R0), asm.JEq.Imm(record, 0, none), asm.StoreMem(record, 0, g.nums[1], asm.DWord))
	if g.chance(50) {
		g.emit(asm.FnGetPrandomU32.Call())
	}
	g.emit(asm.StoreMem(record, 8, asm.R0, asm.Word))
	if g.out[len(g.out)-2].Kind() != asm.KindCallHelper { // r0 is the record's address
		g.out[len(g.out)-1] = asm.StoreImm(record, 8, 5, asm.Word)
	}
	g.emit(asm.Mov.Reg(asm.R1, record), asm.Mov.Imm(asm.R2, 0), pick(&g.generator, asm.FnRingbufSubmit, asm.FnRingbufDiscard).Call())
	g.mark(none)
	g.emit(asm.Mov.Imm(record, g.imm()))
}

func (g *chainGenerator) pushPop() {
	g.emit(asm.LoadMapPtr(asm.R1, "queue"))
	g.bytesFor(asm.R2)
	g.emit(asm.Mov.Imm(asm.R3, 0), pick(&g.generator, asm.FnMapPushElem, asm.FnMapPopElem, asm.FnMapPeekElem).Call())
	g.mix()
}

// readPacket reads the packet behind a comparison.
func (g *chainGenerator) readPacket() {
	data, end := int16(76), int16(80)
	switch g.typ {
	case prog.XDP:
		data, end = 0, 4
	case prog.SocketFilter:
		return
	}
	short := g.label()
	g.emit(asm.LoadMem(asm.R2, g.ctx, data, asm.Word), asm.LoadMem(asm.R3, g.ctx, end, asm.Word), asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 70+g.r.Int32N(40)), asm.JGT.Reg(asm.R4, asm.R3, short),
		asm.LoadMem(asm.R0, asm.R2, int16(g.r.IntN(60)), pick(&g.generator, asm.DWord, asm.Word, asm.Half, asm.Byte)), asm.Xor.Reg(g.num(), asm.R0))
	g.mark(short)
}

// loadAbsolute reads the packet by an instruction that ends the function if it is too short.
func (g *chainGenerator) loadAbsolute() {
	if g.typ == prog.XDP || g.ctx != asm.R6 {
		return
	}
	size := pick(&g.generator, asm.PacketWord, asm.PacketHalf, asm.PacketByte)
	if g.chance(50) {
		g.emit(asm.LoadAbs(g.r.Int32N(90), size))
	} else {
		g.emit(asm.Mov.Reg(asm.R1, g.num()), asm.And.Imm(asm.R1, 31), asm.LoadInd(asm.R1, g.r.Int32N(60), size))
	}
	g.mix()
}

// movePacket makes the packet begin or end elsewhere.
func (g *chainGenerator) movePacket() {
	g.emit(asm.Mov.Reg(asm.R1, g.ctx))
	switch g.typ {
	case prog.XDP:
		g.emit(asm.Mov.Imm(asm.R2, 4*(g.r.Int32N(5)-2)), pick(&g.generator, asm.FnXdpAdjustHead, asm.FnXdpAdjustTail).Call())
	case prog.SchedCLS:
		g.emit(asm.Mov.Imm(asm.R2, g.r.Int32N(80)), asm.FnSkbPullData.Call())
	default:
		return
	}
	g.mix()
}

// leave returns early.
func (g *chainGenerator) leave() { g.emit(g.condition(g.num(), g.exit)) }
