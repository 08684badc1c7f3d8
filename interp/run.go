package interp

import (
	"runtime"
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// slice is how many instructions pass between two looks at the run's context.
const slice = 1 << 16

// Run executes the program on c, whose context, packet and limits its owner has
// set, and returns r0. It does not allocate once the program has run on c
// before. An error is a [*vm.Fault], or what c.Context says when it is done.
func (code *Code) Run(c *vm.CPU) (uint64, error) {
	c.Begin()
	if !hasLoop || code.env.Sanitize || code.env.Observe != nil {
		return code.runSteps(c)
	}
	m := code.lease(c)
	m.account(0)
	m.refill()
	m.begin(0)
	m.slots[asm.R1], m.slots[asm.R2] = c.CtxAddr(), c.EntryR2
	err := m.execute()
	c.Done = m.executed()
	m.busy = false
	return m.slots[asm.R0], err
}

// lease returns the machine of the program on c.
func (code *Code) lease(c *vm.CPU) *machine {
	if c.ID < len(code.machines) {
		if m := code.machines[c.ID]; m != nil && m.cpu == c && !m.busy {
			m.busy = true
			return m
		}
	}
	m := code.newMachine(c)
	m.busy = true
	if c.ID < len(code.machines) && (code.machines[c.ID] == nil || !code.machines[c.ID].busy) {
		code.machines[c.ID] = m
	}
	return m
}

func (code *Code) newMachine(c *vm.CPU) *machine {
	m := &machine{
		stride: uintptr(opSize), stack: c.Stack(), cpu: c, code: code,
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

// executed returns how many instructions the machine has executed, as long as
// it has done all of what its slices gave but m.left.
func (m *machine) executed() uint64 { return m.given - uint64(m.left) }

// account makes n the number of instructions that the run has executed.
func (m *machine) account(n uint64) {
	m.given = min(n, m.cpu.Limit)
	m.left, m.rest = int64(m.given-n), m.cpu.Limit-m.given
}

// refill starts a new slice. It reports false if there is none.
func (m *machine) refill() bool {
	n := min(m.rest, slice)
	m.rest -= n
	m.given += n
	m.left += int64(n)
	return n > 0
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
			if err := m.budget(); err != nil {
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

// budget starts a new slice at a jump, unless the run must end.
func (m *machine) budget() error {
	if ctx := m.cpu.Context; ctx != nil {
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for m.left < 0 {
		if !m.refill() {
			slot := m.code.blockAt(m.pc)
			m.left -= int64(m.code.index[slot])
			return m.cpu.OverBudget(m.code.p, slot)
		}
	}
	return nil
}

// fault completes f, which the operation executed last has caused.
func (m *machine) fault(err error) error { return m.faultAt(err, m.slot()) }

func (m *machine) faultAt(err error, slot int) error {
	f, ok := err.(*vm.Fault)
	if !ok {
		f = &vm.Fault{Err: vm.ErrHelper, Detail: err.Error(), Cause: err}
	}
	if f.Placed { // by a callback that a helper ran
		return f
	}
	m.left -= int64(m.code.index[slot])
	f.Prog, f.Slot, f.Line, f.Placed = m.code.p.Name, slot, m.code.p.LineAt(slot), true
	return f
}
