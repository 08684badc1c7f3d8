package interp

import (
	"runtime"
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// Run executes the program on c, whose context, packet and limits its owner has
// set, and returns r0. It does not allocate once the program has run on c
// before. An error is a [*vm.Fault], or what c.Context says when it is done.
func (code *Code) Run(c *vm.CPU) (uint64, error) {
	c.Begin()
	if !hasLoop || code.env.Sanitize || code.env.Observe != nil {
		return code.runSteps(c)
	}
	m := code.lease(c)
	m.left = m.budget.Begin(c.Limit)
	m.begin(0)
	m.slots[asm.R1], m.slots[asm.R2] = c.CtxAddr(), c.EntryR2
	return m.finish()
}

// Continue implements [vm.Runner].
func (code *Code) Continue(c *vm.CPU, frame int, ctx uint64) (uint64, error) {
	if c.Done > c.Limit {
		return 0, c.OverBudget(code.p, 0)
	}
	m := code.lease(c)
	m.left = m.budget.Resume(c.Done, c.Limit)
	m.begin(frame)
	m.slots[asm.R1] = ctx
	return m.finish()
}

// finish runs the program from where m is.
func (m *machine) finish() (uint64, error) {
	err := m.execute()
	m.cpu.Done = m.budget.Executed(m.left)
	m.kept.Free()
	return m.slots[asm.R0], err
}

// lease returns the machine of the program on c.
func (code *Code) lease(c *vm.CPU) *machine {
	if k := code.machines.Idle(c); k != nil {
		return &k.M
	}
	k := code.machines.New(c)
	m := &k.M
	*m = machine{
		stride: uintptr(opSize), stack: c.Stack(), cpu: c, code: code, kept: k,
		windows: make([]*vm.Window, code.windows), own: make([]vm.Window, code.windows),
	}
	for i := range m.windows {
		m.windows[i] = &m.own[i] // which admits nothing yet
	}
	copy(m.slots[firstConst:], code.consts)
	m.callback = m.call
	return m
}

// begin makes m ready to run from the entry, in the CPU's frame of that number.
func (m *machine) begin(frame int) {
	c := m.cpu
	c.Prog, c.Maps, c.Call = m.code.p, m.code.env.Maps, m.callback
	c.PushFrame(frame)
	clear(m.slots[:asm.NumRegisters])
	m.slots[asm.R10] = c.FramePointer(frame)
	m.pc = 0
	m.fp = uintptr(frame) * frameSize
	m.fpMin, m.fpMax = m.fp, (prog.MaxFrames-1)*frameSize
	m.frame = uintptr(prog.MaxFrames-frame) * stackSize
	m.frames[frame].mayGoto = mayGotoLimit
}

// execute runs the loop until the function that it was begun for returns.
func (m *machine) execute() error {
	for {
		exit := loop(m, m.code.base(), 0, unsafe.Pointer(unsafe.SliceData(m.windows)))
		runtime.KeepAlive(m.code)
		switch exit {
		case exitDone:
			m.left -= m.last().w
			return nil
		case exitHost:
			return nil
		case exitBudget:
			if err := m.poll(); err != nil {
				return err
			}
		default:
			switch err := m.leave(exit); err {
			case nil:
			case errDone:
				return nil
			default:
				return err
			}
		}
	}
}

// leave does what the loop left to its caller.
func (m *machine) leave(exit exitCode) error {
	switch exit {
	case exitMiss, exitMiss2:
		return m.miss(exit == exitMiss2)
	case exitHelper:
		return m.helper()
	case exitAtomic:
		return m.atomic()
	case exitPacket:
		return m.packet()
	case exitDepth:
		return m.fault(vm.TooDeep())
	}
	return m.fault(vm.Unsupported(m.code.p.Insns[m.slot()]))
}

// last returns the operation that the loop executed last.
func (m *machine) last() *operation { return m.code.opAt(m.pc - uintptr(opSize)) }

// slot returns where that operation comes from.
func (m *machine) slot() int { return int(m.code.origins[int(m.pc)/opSize-1].slot) }

// poll starts a new slice at a jump, unless the run must end.
func (m *machine) poll() error {
	left, more, err := m.budget.Next(m.cpu, m.left)
	m.left = left
	if more {
		return nil
	}
	slot := m.code.blockAt(m.pc)
	m.left -= int64(m.code.index[slot])
	if err != nil {
		return err
	}
	return m.cpu.OverBudget(m.code.p, slot)
}

// fault completes f, which the operation executed last has caused.
func (m *machine) fault(err error) error { return m.faultAt(err, m.slot()) }

func (m *machine) faultAt(err error, slot int) error {
	f, first := vm.PlaceFault(err, m.code.p, slot)
	if first {
		m.left -= int64(m.code.index[slot])
	}
	return f
}
