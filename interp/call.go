package interp

import (
	"errors"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// helper calls a helper.
func (m *machine) helper() error {
	op := m.last()
	h := m.code.helpers[op.x]
	if h == nil {
		return m.tailCall()
	}
	r0, err := h(m.cpu, (*[5]uint64)(m.slots[asm.R1:asm.R6]))
	if err != nil {
		return m.fault(err)
	}
	m.slots[asm.R0] = r0
	return nil
}

// call runs a callback of the program for a helper. The registers of the
// program are as before when it returns.
func (m *machine) call(fn uint64, args *[5]uint64) (uint64, error) {
	slot, ok := vm.FuncSlot(fn)
	pc, known := m.code.callbacks[slot]
	if !ok || !known {
		return 0, &vm.Fault{Err: vm.ErrHelper, Detail: "not a function of the program"}
	}
	if m.fp == m.fpMax {
		return 0, &vm.Fault{Err: vm.ErrCallDepth}
	}
	saved := [asm.NumRegisters]uint64(m.slots[:asm.NumRegisters])
	savedPC, savedMin := m.pc, m.fpMin
	copy(m.slots[asm.R1:], args[:])

	// A frame as opCall makes it, that returns to the operation which leaves the loop.
	index := int64(m.code.index[m.slot()]) + 1
	f := &m.frames[m.fp/frameSize]
	*f = frame{ret: uintptr((len(m.code.ops) - 1) * opSize), retIndex: index, mayGoto: f.mayGoto,
		r6: saved[asm.R6], r7: saved[asm.R7], r8: saved[asm.R8], r9: saved[asm.R9]}
	m.fp += frameSize
	m.frames[m.fp/frameSize].mayGoto = mayGotoLimit
	m.slots[asm.R10] -= stackSize
	m.frame -= stackSize
	m.cpu.PushFrame(int(m.fp / frameSize))
	m.left -= index - int64(m.code.index[slot])
	m.pc = pc

	var err error
	if m.left < 0 {
		err = m.poll()
	}
	if err == nil {
		err = m.execute()
	}
	if err != nil { // that of the run's context has no place yet, and would be counted again as the helper's
		err, _ = vm.PlaceFault(err, m.code.p, slot)
	}
	r0 := m.slots[asm.R0]
	copy(m.slots[:], saved[:])
	m.pc, m.fpMin = savedPC, savedMin
	return r0, err
}

// tailCall replaces the program by another, unless there is none: then it goes on.
func (m *machine) tailCall() error {
	next, err := m.cpu.TailTarget(m.slots[asm.R2], m.slots[asm.R3])
	if err != nil {
		return m.fault(err)
	}
	if next == nil {
		return nil
	}
	frame := int(m.fp / frameSize)
	if m.fp == m.fpMin {
		m.kept.Free() // nothing of it is needed any more: a program may tail-call itself
	}
	// The instructions up to the call are done; the target counts from its own first.
	m.left -= int64(m.code.index[m.slot()]) + 1
	m.cpu.Done = m.budget.Executed(m.left)
	r0, err := next.Continue(m.cpu, frame, m.slots[asm.R1])
	m.left = m.budget.Resume(m.cpu.Done, m.cpu.Limit)
	m.cpu.Prog, m.cpu.Maps, m.cpu.Call = m.code.p, m.code.env.Maps, m.callback
	if err != nil {
		return err
	}
	m.slots[asm.R0] = r0
	return m.returnNow()
}

// returnNow leaves the current function, whose instructions are accounted for.
func (m *machine) returnNow() error {
	if m.fp == m.fpMin {
		return errDone
	}
	m.cpu.PopFrame(int(m.fp / frameSize))
	m.fp -= frameSize
	f := &m.frames[m.fp/frameSize]
	m.slots[6], m.slots[7], m.slots[8], m.slots[9] = f.r6, f.r7, f.r8, f.r9
	m.slots[10] += stackSize
	m.frame += stackSize
	m.left += f.retIndex
	m.pc = f.ret
	return nil
}

// errDone says that the entry function has returned.
var errDone = errors.New("done")

// packet does LD_ABS and LD_IND: r0 is a big-endian number of the packet. One
// that lies outside ends the program with result 0.
func (m *machine) packet() error {
	ins := m.code.p.Insns[m.slot()]
	info, _ := ins.Info()
	off := int64(ins.ImmLo())
	if info.Kind == asm.KindLoadInd {
		off = int64(int32(uint32(off) + uint32(m.slots[ins.Src])))
	}
	v, ok := m.cpu.PacketNumber(off, info.Size.Bytes())
	m.slots[asm.R0] = v
	if ok {
		return nil
	}
	m.left -= int64(m.code.index[m.slot()]) + 1
	return m.returnNow()
}
