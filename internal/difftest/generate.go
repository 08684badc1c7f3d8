package difftest

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// A Generated is a program that [Generate] has made.
type Generated struct {
	Type  prog.Type
	Insns asm.Instructions // with labels, and maps by name
	Funcs []GeneratedFunc  // the entry first
	Maps  []GeneratedMap
}

// GeneratedFunc is a function of a generated program.
type GeneratedFunc struct {
	Label  string
	Decl   string // its prototype in C, for BTF
	Global bool
	// NeedsBTF says that Linux only takes the function if func_info has it.
	NeedsBTF bool
}

// A GeneratedMap is a map of generated programs.
type GeneratedMap struct {
	Name string
	Map  Map
}

// GeneratedMaps are the maps that all generated programs have.
var GeneratedMaps = []GeneratedMap{
	{"array", Map{Type: uint32(maps.Array), KeySize: 4, ValueSize: 48, MaxEntries: 4}},
	{"single", Map{Type: uint32(maps.Array), KeySize: 4, ValueSize: 64, MaxEntries: 1}},
	{"hash", Map{Type: uint32(maps.Hash), KeySize: 8, ValueSize: 24, MaxEntries: 16}},
	{"lru", Map{Type: uint32(maps.LRUHash), KeySize: 4, ValueSize: 16, MaxEntries: 16}},
	{"percpu", Map{Type: uint32(maps.PerCPUArray), KeySize: 4, ValueSize: 16, MaxEntries: 2}},
	{"ring", Map{Type: uint32(maps.RingBuf), MaxEntries: 4096}},
	{"queue", Map{Type: uint32(maps.Queue), ValueSize: 8, MaxEntries: 4}},
	{"percpuhash", Map{Type: uint32(maps.PerCPUHash), KeySize: 8, ValueSize: 16, MaxEntries: 8}},
	{"lpm", Map{Type: uint32(maps.LPMTrie), KeySize: 8, ValueSize: 8, MaxEntries: 8, Flags: uint32(maps.FlagNoPrealloc)}},
}

// Generate makes a program of a seed: mostly one that Linux accepts, of maps, helpers,
// packets, spills, loops, subprograms and 32-bit arithmetic. One in three is made with
// mistakes. The same seed makes the same program.
func Generate(seed uint64) *Generated { return generate(seed, generator{}) }

// GenerateRunnable is Generate for programs that the engines here can run: of types that
// have a hook, without kernel functions.
func GenerateRunnable(seed uint64) *Generated { return generate(seed, generator{runnable: true}) }

// GenerateComparable is GenerateRunnable for programs whose results are compared with Linux's.
// They store many of the numbers that they compute, so that those are seen. They avoid what
// engines cannot agree on: in place of time and random numbers they go on with what a map
// holds, they write a ring buffer's record before they do anything else with it, and they are
// made without mistakes, which make numbers of pointers or of stack that is not written.
func GenerateComparable(seed uint64) *Generated {
	return generate(seed, generator{runnable: true, comparable: true})
}

// traceMap is where comparable programs store numbers.
var traceMap = GeneratedMap{"trace", Map{Type: uint32(maps.Array), KeySize: 4, ValueSize: 8 * traceSlots, MaxEntries: 1}}

const traceSlots = 64

// generate makes a program of a seed by a generator of which only the kind is set.
func generate(seed uint64, g generator) *Generated {
	g.r = rand.New(rand.NewPCG(seed, 0x5eed))
	if g.r.IntN(3) == 0 && !g.comparable {
		g.wrong = 0.005 + 0.05*g.r.Float64()
	}
	types := generatedTypes
	if g.runnable {
		types = types[:runnableTypes]
	}
	g.typ = pick(&g, types...)
	g.program()
	p := &Generated{Type: g.typ, Insns: g.out, Funcs: g.funcs, Maps: GeneratedMaps}
	if g.comparable {
		p.Maps = append(slices.Clip(p.Maps), traceMap)
	}
	return p
}

// runnableTypes is how many of generatedTypes, from the start, have a hook here.
const runnableTypes = 8

// generatedTypes are the types of generated programs; the more often, the more frequent.
var generatedTypes = []prog.Type{
	prog.XDP, prog.XDP, prog.XDP, prog.SchedCLS, prog.SchedCLS, prog.SchedCLS, prog.SocketFilter, prog.SocketFilter,
	prog.CGroupSKB, prog.Kprobe, prog.Tracepoint, prog.LWTXmit, prog.SkSKB,
}

// valueKind is what a register or stack slot holds, as far as the generator keeps count.
type valueKind uint8

const (
	nothing valueKind = iota
	scalar
	ctxPointer
	frame     // pointer to the stack of this function
	memory    // map value, ring-buffer record, memory of the caller
	packet    // pointer into the packet
	packetEnd // its end
)

// value is a register or stack slot.
type value struct {
	kind valueKind
	max  uint64 // scalar: it is at most this
	off  int    // pointer: where it points
	size int    // pointer: of the memory, or of the packet bytes that were compared
	id   int    // pointer that may be null: the same for all copies; 0: not null
	rec  bool   // memory: a record, which has to be given back
}

func number(max uint64) value { return value{kind: scalar, max: max} }

var unbounded = number(1<<64 - 1)

// frameSlots is how many eight-byte slots of a frame are used for spills; scratch for
// arguments of helpers lies below them.
const frameSlots = 6

// state is what the generator knows at a place of the program.
type state struct {
	regs  [asm.NumRegisters]value
	slots [frameSlots]value
}

// generator makes a program, function by function.
type generator struct {
	r     *rand.Rand
	typ   prog.Type
	wrong float64 // how likely a mistake is where one can be made

	runnable   bool // no kernel functions
	comparable bool // see GenerateComparable
	traced     int  // numbers that are stored

	out   asm.Instructions
	funcs []GeneratedFunc
	later []func() // functions that are called and not written yet
	calls int      // depth of calls of the function at hand

	state
	marks  []string // labels of the next instruction
	labels int
	ids    int
	locked [asm.NumRegisters]bool // not to be written to
	exit   string                 // label of the function's end
	noExit int                    // something is held that has to be given back first
	nested int
	left   int // statements that may still be written
}

// mistake reports whether to make one here.
func (g *generator) mistake() bool { return g.wrong > 0 && g.r.Float64() < g.wrong }

func (g *generator) chance(percent int) bool { return g.r.IntN(100) < percent }

func pick[T any](g *generator, list ...T) T { return list[g.r.IntN(len(list))] }

func (g *generator) label() string {
	g.labels++
	return fmt.Sprint("L", g.labels)
}

// emit appends instructions; the first gets the labels that wait for one.
func (g *generator) emit(list ...asm.Instruction) {
	for _, ins := range list {
		for len(g.marks) > 1 { // a label each
			g.out = append(g.out, asm.Instruction{Op: asm.Goto("").Op}.WithSymbol(g.marks[0]))
			g.marks = g.marks[1:]
		}
		if len(g.marks) == 1 {
			ins, g.marks = ins.WithSymbol(g.marks[0]), nil
		}
		g.out = append(g.out, ins)
	}
}

// mark puts a label before the next instruction.
func (g *generator) mark(label string) { g.marks = append(g.marks, label) }

// program writes the entry and all functions that it calls.
func (g *generator) program() {
	g.left = 5 + g.r.IntN(40)
	g.regs[asm.R1] = value{kind: ctxPointer}
	g.function("entry", 0)
	g.funcs = append([]GeneratedFunc{{Label: "entry", Decl: "int entry(ctx *)", Global: true}}, g.funcs...)
	for len(g.later) > 0 {
		next := g.later[0]
		g.later = g.later[1:]
		next()
	}
}

// function writes a function whose arguments are in the registers.
func (g *generator) function(label string, calls int) {
	start := len(g.out)
	g.mark(label)
	g.exit, g.calls, g.noExit, g.nested, g.locked = g.label(), calls, 0, 0, [asm.NumRegisters]bool{}
	g.regs[asm.R10] = value{kind: frame}
	g.locked[asm.R10] = true
	if g.regs[asm.R1].kind == ctxPointer {
		g.copy(asm.R6, asm.R1)
		g.locked[asm.R6] = true
	}
	g.statements()
	if g.regs[asm.R0].kind != scalar && !g.mistake() {
		g.emit(asm.Mov.Imm(asm.R0, int32(g.r.IntN(2))))
	}
	g.result()
	g.emit(asm.Return())
	if slices.ContainsFunc(g.out[start:], func(ins asm.Instruction) bool { return ins.Reference() == g.exit }) {
		g.mark(g.exit)
		g.emit(asm.Mov.Imm(asm.R0, int32(g.r.IntN(2))), asm.Return())
	}
}

// result makes r0 what programs of the type may return.
func (g *generator) result() {
	if g.typ == prog.CGroupSKB && !g.mistake() {
		g.emit(asm.And.Imm(asm.R0, 1))
	}
}

// begin starts another function, with no registers.
func (g *generator) begin() { g.state = state{} }

// forget makes the registers that a call overwrites nothing.
func (g *generator) forget() {
	for r := asm.R0; r <= asm.R5; r++ {
		g.regs[r] = value{}
	}
}

// set notes what a register holds now.
func (g *generator) set(r asm.Register, v value) { g.regs[r] = v }

func (g *generator) copy(dst, src asm.Register) {
	g.emit(asm.Mov.Reg(dst, src))
	g.set(dst, g.regs[src])
}

// some returns a register that holds what ok says, false if none does. By mistake, it is
// any.
func (g *generator) some(ok func(v value) bool) (asm.Register, bool) {
	if g.mistake() {
		return asm.Register(g.r.IntN(10)), true
	}
	var list []asm.Register
	for r := range g.regs {
		if ok(g.regs[r]) {
			list = append(list, asm.Register(r))
		}
	}
	if len(list) == 0 {
		return 0, false
	}
	return pick(g, list...), true
}

// free returns a register to write to, preferably one that survives calls if keep. It
// does not take a pointer that has to be given back.
func (g *generator) free(keep bool) asm.Register {
	for range 20 {
		r := asm.Register(g.r.IntN(10))
		if keep && g.chance(70) {
			r = asm.R6 + asm.Register(g.r.IntN(4))
		}
		if !g.locked[r] && !g.regs[r].rec {
			return r
		}
	}
	return asm.R0
}

// number returns a register with a number, which it makes if there is none.
func (g *generator) number() asm.Register {
	if r, ok := g.some(func(v value) bool { return v.kind == scalar }); ok && !g.chance(10) {
		return r
	}
	r := g.free(false)
	g.constant(r)
	return r
}

// writableNumber is number, and the register may be written to.
func (g *generator) writableNumber() asm.Register {
	r := g.number()
	if g.locked[r] {
		to := g.free(false)
		g.copy(to, r)
		return to
	}
	return r
}

// join makes the state that of two ways that come together.
func (g *generator) join(other *state) {
	for i := range g.regs {
		g.regs[i] = joined(g.regs[i], other.regs[i])
	}
	for i := range g.slots {
		g.slots[i] = joined(g.slots[i], other.slots[i])
	}
}

func joined(a, b value) value {
	if a.kind == scalar && b.kind == scalar {
		return number(max(a.max, b.max))
	}
	if a.kind == packet && b.kind == packet {
		a.size = min(a.size, b.size)
		b.size = a.size
	}
	if a != b {
		return value{}
	}
	return a
}

// statements writes statements as long as there may be any.
func (g *generator) statements() {
	for g.left > 0 {
		g.statement()
	}
}

// some statements for a body.
func (g *generator) body(n int) {
	for range 1 + g.r.IntN(n) {
		if g.left > 0 {
			g.statement()
		}
	}
}

// statement writes one of the statements that are possible here.
func (g *generator) statement() {
	g.left--
	total := 0
	for _, s := range statements {
		total += s.weight
	}
	n := g.r.IntN(total)
	for _, s := range statements {
		if n -= s.weight; n < 0 {
			s.write(g)
			break
		}
	}
	if g.comparable && g.chance(40) {
		g.trace()
	}
}

// trace stores a number where it can be seen after the run.
func (g *generator) trace() {
	src, ok := g.some(func(v value) bool { return v.kind == scalar })
	to := g.free(false)
	if !ok || to == src || g.locked[to] {
		return
	}
	off := int16(8 * (g.traced % traceSlots))
	g.traced++
	g.emit(asm.LoadMapValue(to, traceMap.Name, 0), pick(g, asm.StoreMem(to, off, src, asm.DWord), asm.AtomicAdd.Mem64(to, off, src)))
	g.set(to, value{})
}

// settle makes a result that differs from run to run a number of a map in comparable programs.
func (g *generator) settle() {
	if g.comparable {
		g.emit(asm.LoadMapValue(asm.R0, "single", uint32(g.r.IntN(57))), asm.LoadMem(asm.R0, asm.R0, 0, asm.DWord))
	}
	g.forget()
	g.set(asm.R0, unbounded)
}

// statements are what programs are made of.
var statements []struct {
	weight int
	write  func(*generator)
}

func init() { // they refer to one another
	type s = struct {
		weight int
		write  func(*generator)
	}
	statements = []s{
		{24, (*generator).arithmetic}, {6, (*generator).newNumber}, {8, (*generator).bound}, {10, (*generator).branch},
		{4, (*generator).link}, {3, (*generator).pointerMove}, {8, (*generator).spill}, {8, (*generator).fill},
		{4, (*generator).partialStack}, {2, (*generator).variableStack}, {8, (*generator).lookup}, {4, (*generator).directValue},
		{16, (*generator).access}, {5, (*generator).bytewise}, {5, (*generator).atomic}, {8, (*generator).packetCheck}, {4, (*generator).contextLoad},
		{3, (*generator).packetLoad}, {4, (*generator).simpleCall}, {3, (*generator).mapCall}, {3, (*generator).bufferCall},
		{3, (*generator).record}, {4, (*generator).loop}, {2, (*generator).mayGoto}, {2, (*generator).iterator},
		{2, (*generator).loopCall}, {5, (*generator).subprogram}, {1, (*generator).movePacket},
	}
}
