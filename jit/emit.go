package jit

import (
	"encoding/binary"
	"slices"
	"sync"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// The registers of a program are as follows. RSP and RBP stay as Go has them.
//
//	r0  r1  r2  r3  r4  r5 | r6  r7  r8  r9 | r10
//	RAX RDI RSI RDX RCX R8 | RBX R9  R14 R15| R13
//
// R12 counts down the instructions of the slice; R10 and R11 are scratch, and so are the
// vector registers. Nothing of them outlives an instruction of the program.
var registers = [asm.NumRegisters + 1]amd64.Reg{amd64.RAX, amd64.RDI, amd64.RSI, amd64.RDX, amd64.RCX, amd64.R8,
	amd64.RBX, amd64.R9, amd64.R14, amd64.R15, amd64.R13, scratch}

const (
	scratch  = amd64.R10
	scratch2 = amd64.R11
	counter  = amd64.R12
)

// What the stub has on the stack: see enter_amd64.s.
var (
	onStackMachine = amd64.At(amd64.RSP, 8)
	onStackWindows = amd64.At(amd64.RSP, 16)
	onStackLowest  = amd64.At(amd64.RSP, 24)
	onStackCPU     = amd64.At(amd64.RSP, 32)
)

// onStackArg is where r1 to r4, by i from 0, are kept while a leaf runs.
func onStackArg(i int) amd64.Mem { return amd64.At(amd64.RSP, int32(40+8*i)) }

// emitter makes the machine code of a program, block by block.
//
// Instructions are counted by place, not one by one: R12 is what the slice has left but for
// pending, the number of instructions since it was brought up to date, which is
// known at each place. At the beginning of a block pending is the same on all ways that lead
// there; a way on which it differs adjusts R12. Where a jump goes backwards or a function
// begins, pending is the number of instructions in front of it in the program, so that R12 becomes
// negative when the interpreter's budget does.
type emitter struct {
	amd64.Assembler
	p    *lower.Program
	code *Code

	labels  []amd64.Label // by block
	returns []amd64.Label // by function: behind its call, if there is only one
	pending int32
	base    int32   // pending less the place in the program
	entry   []int32 // by block: pending at its beginning, if known
	known   []bool
	polls   []int32 // by block: the exit that looks at the budget there, 0 if there is none yet
	block   int32   // that is being made
	exits   []exit
	resumes []resume // by exit
	stubs   []stub
	null    nullCheck
	places  []byte // see Code.places
	at      place  // the last of them
}

// emitters keep their memory for the next program.
var emitters = sync.Pool{New: func() any { return new(emitter) }}

// resume is where an exit goes on, as labels.
type resume struct {
	resume, behind amd64.Label
}

// stub is code behind all blocks. It leaves by an exit, or adjusts the counter and goes to a
// block, if checked only as long as some of the slice is left.
type stub struct {
	label   amd64.Label
	exit    int32 // 0: none
	args    int   // how many arguments a leaf has changed that the exit needs
	checked bool
	count   int32
	block   int32
	null    bool // result has to be made zero
	result  amd64.Reg
}

const noLabel = amd64.Label(-1)

// emit makes the machine code of p.
func emit(p *lower.Program, code *Code) (err error) {
	e := emitters.Get().(*emitter)
	defer emitters.Put(e)
	e.begin(p, code)
	e.program()
	e.p, e.code = nil, nil
	if code.pages, err = mem.NewCode(e.Code); err != nil {
		return err
	}
	code.base, code.size = code.pages.Addr(), len(e.Code)
	return nil
}

// begin makes e ready for p.
func (e *emitter) begin(p *lower.Program, code *Code) {
	n := len(p.Blocks)
	e.p, e.code, e.pending, e.base = p, code, 0, 0
	e.Reset()
	e.Expect(2*n, 8*len(p.P.Insns)+256)
	e.labels, e.entry = slices.Grow(e.labels[:0], n)[:n], slices.Grow(e.entry[:0], n)[:n]
	e.known, e.polls = slices.Grow(e.known[:0], n)[:n], slices.Grow(e.polls[:0], n)[:n]
	clear(e.known)
	clear(e.polls)
	e.exits, e.resumes, e.stubs, e.places = e.exits[:0], e.resumes[:0], e.stubs[:0], e.places[:0]
	e.at = place{}
}

// program makes all blocks.
func (e *emitter) program() {
	p := e.p
	e.addExit(exit{kind: exitDone}, noLabel, noLabel)
	e.fix(0)
	for i := range p.Blocks {
		e.labels[i] = e.NewLabel()
		e.fixBlock(int32(i))
	}
	e.fixCopies()
	e.findReturns()
	for i := range p.Blocks {
		if !p.Blocks[i].Dead {
			e.makeBlock(int32(i))
		}
	}
	e.makeStubs()
	done := e.NewLabel()
	e.Place(done)
	e.leave(0)
	e.Link()
	e.finish(done)
}

// fixBlock fixes a block that begins a loop or function, and what it jumps to if the jump looks at the budget.
func (e *emitter) fixBlock(i int32) {
	b := &e.p.Blocks[i]
	if (b.LoopHead || b.Called) && !b.Fast {
		e.fix(i)
	}
	e.block = i
	if in := b.Last(); in != nil && in.Jumps() && !b.Dead && e.checked(in.Slot, in.Target) {
		e.fix(in.Target)
	}
}

// fixCopies fixes the heads of copies, where R12 is negative if it is not enough for a trip, and what
// is in front of them: as the first way there has it.
func (e *emitter) fixCopies() {
	for i := range e.p.Blocks {
		b := &e.p.Blocks[i]
		if !b.Guard || b.Dead {
			continue
		}
		first, head := int32(i+1), b.Next
		pending := e.indexOf(head) - int32(b.Last().Imm)
		e.entry[head], e.known[head] = pending, true
		for at := head; first != head; at++ {
			b := &e.p.Blocks[at]
			if e.known[at] {
				pending = e.entry[at]
			}
			pending += e.p.Length(b)
			in := b.Last()
			if b.Next == first || in != nil && in.Jumps() && in.Target == first {
				e.entry[first], e.known[first] = pending, true
				break
			}
			if in != nil && in.Op == lower.Jump && in.Target > at && e.p.Blocks[in.Target].Fast && !e.known[in.Target] {
				e.entry[in.Target], e.known[in.Target] = pending, true // what jump would make it
			}
			if b.Next != at+1 {
				break
			}
		}
	}
}

// makeStubs makes what is seldom executed.
func (e *emitter) makeStubs() {
	e.begins(-1)
	for _, s := range e.stubs {
		e.Place(s.label)
		switch {
		case s.exit != 0:
			for i := range s.args {
				e.Load(8, false, registers[asm.R1+asm.Register(i)], onStackArg(i))
			}
			e.leave(s.exit)
		case s.checked:
			e.backTo(s.count, s.block)
		default:
			if s.null {
				e.RR(amd64.Xor, amd64.W32, s.result, s.result)
			}
			e.count(s.count)
			e.Jmp(e.labels[s.block])
		}
	}
}

// finish turns labels into offsets.
func (e *emitter) finish(done amd64.Label) {
	code := e.code
	code.places = slices.Clone(e.places)
	code.done = int32(e.Offset(done))
	for i, r := range e.resumes {
		if r.resume != noLabel {
			e.exits[i].resume = int32(e.Offset(r.resume))
		}
		if r.behind != noLabel {
			e.exits[i].behind = int32(e.Offset(r.behind))
		}
	}
	code.exits = slices.Clone(e.exits)
	for i := range e.p.Funcs {
		f := &e.p.Funcs[i]
		if !f.Callback {
			continue
		}
		if code.entries == nil {
			code.entries = make(map[int]callback)
		}
		code.entries[int(e.p.Blocks[f.Block].Start)] = callback{
			offset: int32(e.Offset(e.labels[f.Block])), depth: int32(f.Depth), index: e.indexOf(f.Block)}
	}
}

// addExit returns the number of a new exit.
func (e *emitter) addExit(x exit, again, behind amd64.Label) int32 {
	e.exits = append(e.exits, x)
	e.resumes = append(e.resumes, resume{again, behind})
	return int32(len(e.exits) - 1)
}

// begins notes that the code of the instruction at slot begins here.
func (e *emitter) begins(slot int32) {
	now := place{slot, int32(len(e.Code))}
	if s, o := uint32(now.slot-e.at.slot), uint32(now.offset-e.at.offset); s < farPlace && o < 1<<5 {
		e.places = append(e.places, byte(o<<3|s))
	} else {
		e.places = append(e.places, farPlace)
		e.places = binary.AppendVarint(e.places, int64(int32(s)))
		e.places = binary.AppendUvarint(e.places, uint64(o))
	}
	e.at = now
}

// leave leaves native code.
func (e *emitter) leave(exit int32) {
	if exit == 0 {
		e.RR(amd64.Xor, amd64.W32, scratch2, scratch2)
	} else {
		e.MovImm(scratch2, uint64(exit))
	}
	e.Ret()
}

// indexOf returns how many instructions of the program come before a block.
func (e *emitter) indexOf(block int32) int32 { return e.p.Index[e.p.Blocks[block].Start] }

// fix makes pending at the beginning of a block its place in the program.
func (e *emitter) fix(block int32) { e.entry[block], e.known[block] = e.indexOf(block), true }

const loopAlign = 32

func (e *emitter) makeBlock(i int32) {
	b := &e.p.Blocks[i]
	e.p.Operands(b)
	e.block = i
	if b.Align {
		e.Align(loopAlign)
	}
	e.Place(e.labels[i])
	if !e.known[i] { // nothing jumps here that has been made yet, nor falls through
		e.fix(i)
	}
	e.base = e.entry[i] - e.p.Index[b.Start]
	last := b.Start
	for j := range b.Ins {
		in := &b.Ins[j]
		last = in.Slot
		e.pending = e.base + e.p.Index[last]
		e.begins(last)
		if in.Op == lower.Lookup && e.checksNull(in, b.Ins[j+1:]) {
			e.lookupOrJump(in, &b.Ins[j+1])
			break
		}
		e.instruction(in)
	}
	if in := b.Last(); in != nil && (in.Ends() || in.Op == lower.Repeat) {
		return
	}
	if b.Next < 0 {
		e.leave(e.addExit(exit{kind: exitFault, slot: last, done: e.pending}, noLabel, noLabel))
		return
	}
	if in := b.Last(); in == nil || in.Op != lower.Call {
		e.pending = e.base + e.p.Index[b.End]
	} else {
		e.pending = 0
	}
	if !e.follows(b.Next) && e.repeats(b.Next) {
		return
	}
	e.settle(b.Next)
	if !e.follows(b.Next) {
		e.Jmp(e.labels[b.Next])
	}
}

// follows reports whether a block is made next.
func (e *emitter) follows(block int32) bool {
	for i := e.block + 1; i < block; i++ {
		if !e.p.Blocks[i].Dead {
			return false
		}
	}
	return block > e.block
}

// settle adjusts the counter to what a block expects that comes next, for all ways from here.
func (e *emitter) settle(block int32) {
	if !e.known[block] {
		e.entry[block], e.known[block] = e.pending, true
	}
	e.count(e.pending - e.entry[block])
	e.base += e.entry[block] - e.pending
}

// count takes n instructions off the slice.
func (e *emitter) count(n int32) {
	if n != 0 {
		e.RI(amd64.Sub, amd64.W64, counter, n)
	}
}

// countWithFlags is count that always sets the flags.
func (e *emitter) countWithFlags(n int32) {
	if n == 0 {
		e.Test(amd64.W64, counter, counter)
	} else {
		e.RI(amd64.Sub, amd64.W64, counter, n)
	}
}

func (e *emitter) pollExit(block int32) int32 {
	if e.polls[block] == 0 {
		b := &e.p.Blocks[block]
		e.polls[block] = e.addExit(exit{kind: exitPoll, slot: b.Start, done: e.entry[block]}, e.labels[block], noLabel)
	}
	return e.polls[block]
}

// reg returns the machine's register.
func reg(r lower.Reg) amd64.Reg { return registers[r] }

func width(wide bool) amd64.Width { return amd64.Width(wide) }

// mem returns the memory operand of an access.
func (e *emitter) mem(in *lower.Ins) amd64.Mem { return e.memAt(in.A, in) }

// memAt is mem for an operand at another base than A.
func (e *emitter) memAt(base lower.Reg, in *lower.Ins) amd64.Mem {
	m := amd64.Mem{Base: reg(base), Index: amd64.NoReg, Disp: in.Disp}
	if in.Index != lower.None {
		m.Index, m.Scale = reg(in.Index), in.Scale
	}
	return m
}

func (e *emitter) instruction(in *lower.Ins) {
	if e.code.env.Blind {
		in = e.blind(in)
	}
	if in.Op >= lower.Mov && in.Op <= lower.Exchange { // most
		e.arithmetic(in)
		return
	}
	switch in.Op {
	case lower.Nop:
	case lower.Load, lower.Store, lower.LoadCtx:
		e.access(in)
	case lower.Lookup:
		e.lookup(in)
	case lower.CPUID:
		e.Load(8, false, scratch2, onStackCPU)
		e.Load(8, false, reg(in.Dst), amd64.At(scratch2, cpuID))
	case lower.Random:
		e.random(reg(in.Dst))
	case lower.Atomic, lower.LoadAcquire, lower.StoreRelease:
		e.atomic(in)
	case lower.Jump:
		e.jump(in)
	case lower.Goto:
		e.pending++
		e.jumpTo(in.Slot, in.Target)
	case lower.MayGoto:
		e.mayGoto(in)
	case lower.Guard:
		e.guard(in)
	case lower.Repeat:
		e.repeats(e.block)
	case lower.Call:
		e.call(in)
	case lower.Enter:
		e.enter(in)
	case lower.Leave, lower.Hop:
		e.pending++
		e.base = e.pending - e.p.Index[in.Imm]
	case lower.Helper:
		e.helper(in)
	case lower.LoadPacket:
		e.packet(in)
	case lower.Exit:
		e.pending++
		e.exit()
	case lower.Fault:
		e.leave(e.addExit(exit{kind: exitFault, slot: in.Slot, done: e.pending}, noLabel, noLabel))
	}
}
