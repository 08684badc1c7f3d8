package jit

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// exitKind says why native code was left.
type exitKind uint8

const (
	exitDone   exitKind = iota // the function returned that Go has entered
	exitPoll                   // the slice is used up
	exitMiss                   // the window of an access does not admit it
	exitAlign                  // an atomic access is misaligned
	exitHelper                 // a helper is called
	exitWake                   // a leaf has given a record back that a reader waits for
	exitPacket                 // LD_ABS or LD_IND
	exitDepth                  // too many frames
	exitFault                  // an instruction that nothing can execute
)

// exit is a place at which native code is left.
type exit struct {
	kind   exitKind
	size   uint8
	signed bool
	write  bool // of an access
	read   bool
	atomic bool
	reg    int8  // what a load writes or a store reads, none if negative
	slot   int32 // the instruction
	done   int32 // instructions executed that are not taken off the slice yet
	resume int32 // offset in the code: where to try again, or go on
	behind int32 // of a miss: where the access is done
	index  int32 // of a window or helper
	imm    int32 // what a store writes that reads no register
}

// Run implements [vm.Runner]. It does not allocate once the program has run on c before.
func (code *Code) Run(c *vm.CPU) (uint64, error) {
	k := code.machines.Idle(c)
	if k == nil {
		k = code.newMachine(c)
	}
	m := &k.M
	if m.used || code.needs != needsArguments {
		code.ready(c, m)
	}
	m.left = m.budget.Begin(c.Limit)
	m.regs[asm.R1], m.regs[asm.R2] = c.CtxAddr(), c.EntryR2
	if code.needs >= needsFrame {
		start(m)
	} else {
		enter(m)
	}
	if m.exit == uint64(exitDone) && m.record.addr == 0 { // as most runs end
		c.Done = m.budget.Executed(m.left)
		k.Free()
		return m.result, nil
	}
	return m.finish()
}

// finish goes on with a run until it is over, and gives the machine back.
func (m *machine) finish() (uint64, error) {
	var err error
	if m.exit != uint64(exitDone) {
		err = m.serveRun()
	}
	return m.end(err)
}

// end ends a run, or the part of one that Continue has done.
func (m *machine) end(err error) (uint64, error) {
	if m.record.addr != 0 {
		m.attach()
		m.adopt()
	}
	m.cpu.Done = m.budget.Executed(m.left)
	m.kept.Free()
	return m.result, err
}

// attach tells the CPU which program it runs.
func (m *machine) attach() {
	m.cpu.Prog, m.cpu.Maps, m.cpu.Call = m.code.p, m.code.env.Maps, m.callback
}

// Continue implements [vm.Runner].
func (code *Code) Continue(c *vm.CPU, frame int, ctx uint64) (uint64, error) {
	if c.Done > c.Limit {
		return 0, c.OverBudget(code.p, 0)
	}
	k := code.machines.Idle(c)
	if k == nil {
		k = code.newMachine(c)
	}
	m := &k.M
	m.left = m.budget.Resume(c.Done, c.Limit)
	m.begin(frame)
	m.regs[asm.R1] = ctx
	enter(m)
	return m.end(m.serve())
}

// begin makes m ready to enter the code at its beginning, in the CPU's frame of that number.
func (m *machine) begin(frame int) {
	m.attach()
	m.openStack(frame)
	m.registers(frame)
}

// openStack makes the CPU's frame of that number, which the entry function runs in, a region.
func (m *machine) openStack(frame int) {
	m.cpu.PushFrame(frame)
	m.cpu.EnterFrame(min(frame+m.code.depth, len(m.cpu.Frames)) - 1)
}

// registers sets them as they are at the beginning of a program in a frame, but for its
// arguments.
func (m *machine) registers(frame int) {
	m.regs = [asm.NumRegisters]uint64{asm.R10: m.cpu.FramePointer(frame)}
	m.pc, m.bottom, m.used = m.code.base, frame, false
	m.enters(frame)
}

// enters prepares the link of a frame, in which a function runs that Go enters.
func (m *machine) enters(frame int) {
	l := m.link(frame)
	l.ret, l.mayGoto = m.code.base+uintptr(m.code.done), vm.MayGotoLimit
}

// serve does what native code was left for and enters it again, until the function returns.
func (m *machine) serve() error {
	m.used = true
	for m.exit != uint64(exitDone) {
		if m.record.addr != 0 {
			m.adopt()
		}
		e := &m.code.exits[m.exit]
		m.pc = m.code.base + uintptr(e.resume)
		switch err := m.leave(e); err {
		case nil:
		case errReturned:
			return nil
		default:
			return err
		}
		enter(m)
	}
	return nil
}

// showFrames makes the frames regions in which functions run, for helpers that look up what they
// are passed.
func (m *machine) showFrames() {
	for frame := m.bottom + 1; frame <= m.depth(); frame++ {
		m.cpu.PushFrame(frame)
	}
}

func (m *machine) leave(e *exit) error {
	switch e.kind {
	case exitPoll:
		return m.poll(e)
	case exitMiss:
		return m.miss(e)
	case exitAlign:
		return m.misaligned(e)
	case exitHelper:
		if m.code.hidden {
			m.showFrames()
		}
		return m.helper(e)
	case exitWake:
		m.wake()
		return nil
	case exitPacket:
		return m.packet(e)
	case exitDepth:
		return m.fault(vm.TooDeep(), e)
	}
	return m.fault(vm.Unsupported(m.code.p.Insns[e.slot]), e)
}

// poll starts a new slice, unless the run must end.
func (m *machine) poll(e *exit) error {
	left, more, err := m.budget.Next(m.cpu, m.left)
	m.left = left
	if more {
		return nil
	}
	m.left -= int64(e.done)
	if err != nil {
		return err
	}
	return m.cpu.OverBudget(m.code.p, int(e.slot))
}

// fault completes what has stopped the program at e.
func (m *machine) fault(err error, e *exit) error {
	f, first := vm.PlaceFault(err, m.code.p, int(e.slot))
	if first {
		m.left -= int64(e.done)
	}
	return f
}
