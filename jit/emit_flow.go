package jit

import (
	"slices"
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// conditions are what cmp leaves in the flags for each jump, of JSet and its opposite what test does.
var conditions = map[asm.JumpOp]amd64.Cond{
	asm.JEq: amd64.E, asm.JNE: amd64.NE, asm.JGT: amd64.A, asm.JGE: amd64.AE, asm.JLT: amd64.B, asm.JLE: amd64.BE,
	asm.JSGT: amd64.G, asm.JSGE: amd64.GE, asm.JSLT: amd64.L, asm.JSLE: amd64.LE, asm.JSet: amd64.NE, lower.NotSet: amd64.E,
}

// conditionOf is conditions by the number of the jump.
var conditionOf = func() (t [256]amd64.Cond) {
	for op, c := range conditions {
		t[op] = c
	}
	return t
}()

// checked reports whether a jump from slot to a block has to look at the budget: one that
// goes back, and any in a function that may have come back from another without doing so.
func (e *emitter) checked(slot, target int32) bool {
	from, to := &e.p.Blocks[e.block], &e.p.Blocks[target]
	if from.Fast && to.Fast {
		return false
	}
	return to.Start <= slot || from.Func < 0 || e.p.Funcs[from.Func].Calls
}

// jump is a conditional jump.
func (e *emitter) jump(in *lower.Ins) {
	e.pending++
	if e.checked(in.Slot, in.Target) {
		cond := e.compare(in)
		n := e.pending - e.entry[in.Target]
		if !e.closes(in.Target) {
			s := stub{label: e.NewLabel(), checked: true, count: n, block: in.Target}
			e.stubs = append(e.stubs, s)
			e.Jcc(cond, s.label)
			return
		}
		skip := e.JccShort(cond.Not())
		e.backTo(n, in.Target)
		e.Land(skip)
		return
	}
	target := e.labels[in.Target]
	s := stub{block: in.Target}
	if n := e.pending - e.entry[in.Target]; e.known[in.Target] && n != 0 && e.leaves(in.Target) {
		s.count = n
	} else {
		// Both ways are adjusted, in front of the comparison, which needs the flags.
		e.settle(in.Target)
	}
	s.null = in.Cond == asm.JEq && e.null.length != 0 && e.p.LiveAt(in.Target).Has(in.A)
	if s.count != 0 || s.null {
		s.result = reg(in.A)
		target = e.NewLabel()
		s.label = target
		e.stubs = append(e.stubs, s)
	}
	e.Jcc(e.compare(in), target)
}

// leaves reports whether a jump from the current block to another leaves the copies of a loop.
func (e *emitter) leaves(target int32) bool {
	return e.p.Blocks[e.block].Fast && !e.p.Blocks[target].Fast
}

// closes reports whether a jump from the current block to another is likely to be taken: it
// ends a loop. Others that go backwards go on with the loop early, or leave it.
func (e *emitter) closes(target int32) bool {
	to := &e.p.Blocks[target]
	return to.Back == e.block && to.Last() != nil && to.Last().Op != lower.Exit
}

// guard decides whether the copies of a loop are run. There, R12 is what the slice has left beyond
// what they take.
func (e *emitter) guard(in *lower.Ins) {
	if in.Disp != 0 {
		e.last(&e.p.Counters[in.Disp-1], in.Target, true)
	}
	fast := e.entry[e.p.Blocks[e.block].Next]
	e.countWithFlags(e.pending - fast)
	e.base += fast - e.pending
	s := stub{label: e.NewLabel(), count: fast - e.entry[in.Target], block: in.Target}
	e.stubs = append(e.stubs, s)
	e.Jcc(amd64.S, s.label)
}

// last goes to the loop as it was if a copy other than the last may be the last trip. What enters the loop knows nothing yet;
// what comes back has been told by the last copy that there is another trip.
func (e *emitter) last(c *lower.Counter, loop int32, enters bool) {
	s := stub{label: e.NewLabel(), count: e.pending - e.entry[loop], block: loop}
	e.stubs = append(e.stubs, s)
	w, r := width(c.Wide), reg(c.Reg)
	step := max(c.Step, -c.Step)
	if c.Aligned() {
		rest := step*c.Copies - 1
		if c.Limit != lower.None || c.LimitAt&rest != 0 {
			e.beyond(c, amd64.W32, 0)
			r = scratch
		}
		e.TestImm(amd64.W32, r, rest)
		e.Jcc(amd64.NE, s.label)
		return
	}
	if enters && c.Cond != asm.JNE {
		if c.Limit == lower.None {
			e.RI(amd64.Cmp, w, r, c.LimitAt)
		} else {
			e.RR(amd64.Cmp, w, r, reg(c.Limit))
		}
		e.Jcc(conditionOf[c.Cond].Not(), s.label)
	}
	// The trips that must not be the last begin with distances from the limit that are not 0, and less than all
	// steps: those are made the numbers from 0 on.
	all := step * (c.Copies - 1)
	if c.Step > 0 {
		e.beyond(c, w, all)
	} else {
		e.beyond(c, w, -1)
	}
	e.RI(amd64.Cmp, w, scratch, all)
	e.Jcc(amd64.B, s.label)
}

// beyond computes how far a counter is beyond its limit, and so much more.
func (e *emitter) beyond(c *lower.Counter, w amd64.Width, more int32) {
	if c.Limit == lower.None {
		e.Lea(w, scratch, amd64.At(reg(c.Reg), more-c.LimitAt))
		return
	}
	e.Mov(w, scratch, reg(c.Reg))
	e.RR(amd64.Sub, w, scratch, reg(c.Limit))
	if more != 0 {
		e.RI(amd64.Add, w, scratch, more)
	}
}

// backTo takes n instructions off the slice and goes to a block if some are left.
func (e *emitter) backTo(n, target int32) {
	e.countWithFlags(n)
	e.Jcc(amd64.NS, e.labels[target])
	e.leave(e.pollExit(target))
}

// jumpTo goes to a block, with what is pending taken into account.
func (e *emitter) jumpTo(slot, target int32) {
	if e.checked(slot, target) {
		e.backTo(e.pending-e.entry[target], target)
		return
	}
	if !e.follows(target) && e.repeats(target) {
		return
	}
	e.settle(target)
	if !e.follows(target) {
		e.Jmp(e.labels[target])
	}
}

// repeats goes on with the copies of a loop, if a block decides that and nothing else.
func (e *emitter) repeats(block int32) bool {
	in := e.p.Blocks[block].Last()
	if in == nil || in.Op != lower.Repeat {
		return false
	}
	slow, fast := e.p.Blocks[block].Next, in.Target
	if in.Disp != 0 {
		e.last(&e.p.Counters[in.Disp-1], slow, false)
	}
	e.countWithFlags(e.pending - e.entry[fast])
	s := stub{label: e.NewLabel(), count: e.entry[fast] - e.entry[slow], block: slow}
	e.stubs = append(e.stubs, s)
	if e.follows(fast) {
		e.Jcc(amd64.S, s.label)
	} else {
		e.Jcc(amd64.NS, e.labels[fast])
		e.Jmp(s.label)
	}
	return true
}

// compare sets the flags and returns the condition on which to jump.
func (e *emitter) compare(in *lower.Ins) amd64.Cond {
	w, a := width(in.Wide), reg(in.A)
	cond, bits := conditionOf[in.Cond], in.Cond == asm.JSet || in.Cond == lower.NotSet
	switch {
	case e.null.length != 0:
		e.RI(amd64.Cmp, amd64.W32, e.null.key, e.null.length)
		if in.Cond == asm.JNE {
			return amd64.B
		}
		return amd64.AE
	case bits && in.B != lower.None:
		e.Test(w, a, reg(in.B))
	case bits && (w == amd64.W32 || fits(in.Imm)):
		e.TestImm(w, a, int32(in.Imm))
	case bits:
		e.MovImm(scratch, uint64(in.Imm))
		e.Test(w, a, scratch)
	case in.B != lower.None:
		e.RR(amd64.Cmp, w, a, reg(in.B))
	case in.Imm == 0:
		e.Test(w, a, a)
	case w == amd64.W32 || fits(in.Imm):
		e.RI(amd64.Cmp, w, a, int32(in.Imm))
	default:
		e.MovImm(scratch, uint64(in.Imm))
		e.RR(amd64.Cmp, w, a, scratch)
	}
	return cond
}

// fits reports whether an instruction can have v as an immediate.
func fits(v int64) bool { return v == int64(int32(v)) }

// mayGoto jumps if the frame's loops are used up, and else counts one.
func (e *emitter) mayGoto(in *lower.Ins) {
	loops := linkAt(0, linkLoops)
	e.MI(amd64.Cmp, 8, loops, 0)
	more := e.NewLabel()
	e.Jcc(amd64.NE, more)
	pending := e.pending
	e.pending++
	if e.checked(in.Slot, in.Target) {
		e.backTo(e.pending-e.entry[in.Target], in.Target)
	} else {
		if !e.known[in.Target] {
			e.entry[in.Target], e.known[in.Target] = e.pending, true
		}
		e.count(e.pending - e.entry[in.Target])
		e.Jmp(e.labels[in.Target])
	}
	e.Place(more)
	e.MI(amd64.Sub, 8, loops, 1)
	e.pending = pending + 1
}

// windowLimits are where a window has what PushFrame and PopFrame write.
const (
	windowBase   = int32(unsafe.Offsetof(vm.Window{}.Base))
	windowReads  = int32(unsafe.Offsetof(vm.Window{}.RLim))
	windowWrites = int32(unsafe.Offsetof(vm.Window{}.WLim))
)

// call calls a function of the program.
//
// Return addresses are kept in links, not on the stack, so that RSP stays.
func (e *emitter) call(in *lower.Ins) {
	f := &e.p.Funcs[e.p.FuncOf[in.Target]]
	ret := e.NewLabel()
	e.checkDepth(in)
	if one := e.returns[e.p.FuncOf[in.Target]]; one != noLabel {
		ret = one
	} else {
		e.LeaLabel(scratch, ret)
		e.Store(8, linkAt(1, linkRet), scratch)
	}
	saved := e.saved(f)
	e.each(saved, func(r lower.Reg, m amd64.Mem) { e.Store(8, m, reg(r)) })
	if e.p.MayGoto {
		e.StoreImm(8, linkAt(1, linkLoops), vm.MayGotoLimit)
	}
	if e.exposed(f) {
		e.Load(8, false, scratch, linkAt(1, linkWindow))
		for i, limits := range vm.StackLimits() {
			e.MovImm(scratch2, limits)
			e.Store(8, amd64.At(scratch, windowReads+8*int32(i)), scratch2)
			e.Store(8, amd64.At(scratch, windowWrites+8*int32(i)), scratch2)
		}
		e.StoreImm(8, amd64.At(scratch, vm.WindowLen), prog.StackSize)
	}
	if !e.frameless(f) {
		e.RI(amd64.Sub, amd64.W64, reg(lower.Reg(asm.R10)), prog.StackSize)
	}
	e.pending++
	e.backTo(e.pending-e.entry[in.Target], in.Target)
	e.Place(ret)
	e.pending = 0
	e.each(saved, func(r lower.Reg, m amd64.Mem) { e.Load(8, false, reg(r), m) })
}

// findReturns gives the functions that are called in one place only a label there, where they go when they return. What
// a tail call is made in may go on without them.
func (e *emitter) findReturns() {
	p := e.p
	e.returns = slices.Grow(e.returns[:0], len(p.Funcs))[:len(p.Funcs)]
	for i := range e.returns {
		e.returns[i] = noLabel
	}
	if len(p.Funcs) == 1 || p.Shared || slices.Contains(p.Helpers, asm.FnTailCall) {
		return
	}
	calls := make([]int32, len(p.Funcs))
	for i := range p.Blocks {
		if b := &p.Blocks[i]; !b.Dead && b.Last() != nil && b.Last().Op == lower.Call {
			calls[p.FuncOf[b.Last().Target]]++
		}
	}
	for i, n := range calls {
		if n == 1 && !p.Funcs[i].Callback && p.Funcs[i].Block != 0 {
			e.returns[i] = e.NewLabel()
		}
	}
}

// checkDepth leaves if there is no frame for the function that in calls.
func (e *emitter) checkDepth(in *lower.Ins) {
	deep := e.NewLabel()
	e.RM(amd64.Cmp, amd64.W64, reg(lower.Reg(asm.R10)), onStackLowest)
	e.Jcc(amd64.E, deep)
	e.stubs = append(e.stubs, stub{label: deep, exit: e.addExit(exit{kind: exitDepth, slot: in.Slot, done: e.pending}, noLabel, noLabel)})
}

// enter is the call of a function whose instructions follow: what the call looks at.
func (e *emitter) enter(in *lower.Ins) {
	e.checkDepth(in)
	slot := int32(in.Imm)
	done := e.p.Index[slot]
	if e.p.Blocks[e.block].Fast {
		e.base = e.pending + 1 - done
		return
	}
	poll, begin := e.NewLabel(), e.NewLabel()
	e.countWithFlags(e.pending + 1 - done)
	e.Jcc(amd64.S, poll)
	e.Place(begin)
	e.stubs = append(e.stubs, stub{label: poll, exit: e.addExit(exit{kind: exitPoll, slot: slot, done: done}, begin, noLabel)})
	e.base = 0
}

// saved returns the registers that the call of fn at the end of the block must keep: those of r6 to r9
// that fn writes and somebody reads behind the call.
func (e *emitter) saved(fn *lower.Func) lower.Regs {
	set := lower.SavedRegs
	if !e.p.Shared {
		set = fn.Saved
	}
	return set & e.p.LiveBehind(e.block)
}

// each calls f for each register of a set of r6 to r9, with where the link of the function that is called keeps it.
func (e *emitter) each(set lower.Regs, f func(r lower.Reg, m amd64.Mem)) {
	for r := lower.Reg(asm.R6); r <= lower.Reg(asm.R9); r++ {
		if set.Has(r) {
			f(r, linkAt(1, linkSaved+8*uintptr(r-lower.Reg(asm.R6))))
		}
	}
}

// exposed reports whether the frame of a function is a region while it runs. If frames are hidden,
// they become regions when native code is left, see machine.showFrames.
func (e *emitter) exposed(fn *lower.Func) bool { return fn.Exposed && !e.code.hidden }

// frameless reports whether a function runs in the frame of its caller. The link is that of a frame of its own.
func (e *emitter) frameless(fn *lower.Func) bool { return fn != nil && fn.Frameless && !e.p.Shared }

// function returns the function that the current block belongs to, nil if there are
// several.
func (e *emitter) function() *lower.Func {
	if fn := e.p.Blocks[e.block].Func; fn >= 0 && !e.p.Shared {
		return &e.p.Funcs[fn]
	}
	return nil
}

// exit returns from the function. What is pending is taken off, so that it is nothing
// where the function has been called.
func (e *emitter) exit() {
	fn := e.function()
	e.count(e.pending)
	if fn != nil && fn.Block == 0 && !e.p.Blocks[0].Called {
		e.leave(0)
		return
	}
	if fn == nil || e.exposed(fn) {
		e.Load(8, false, scratch, linkAt(0, linkWindow))
		e.ZeroX(0)
		e.StoreX(amd64.At(scratch, windowReads), 0)
		e.StoreX(amd64.At(scratch, windowWrites), 0)
		e.StoreImm(8, amd64.At(scratch, vm.WindowLen), 0)
	}
	if !e.frameless(fn) {
		e.RI(amd64.Add, amd64.W64, reg(lower.Reg(asm.R10)), prog.StackSize)
	}
	if fn != nil {
		if one := e.returns[e.p.Blocks[e.block].Func]; one != noLabel {
			e.Jmp(one)
			return
		}
	}
	e.JmpMem(linkAt(1, linkRet))
}

// packet is LD_ABS or LD_IND, which Go does. If the packet is too short, the function
// returns.
func (e *emitter) packet(in *lower.Ins) {
	after, short := e.NewLabel(), e.NewLabel()
	e.leave(e.addExit(exit{kind: exitPacket, slot: in.Slot, done: e.pending, size: in.Size, reg: int8(in.B), imm: int32(in.Imm)}, after, short))
	pending := e.pending
	e.Place(short)
	e.pending++
	e.exit()
	e.pending = pending
	e.Place(after)
}
