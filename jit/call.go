package jit

import (
	"errors"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// errReturned says that the function that Go entered has returned.
var errReturned = errors.New("returned")

// helper calls a helper.
func (m *machine) helper(e *exit) error {
	h := m.code.helpers[e.index]
	if h == nil {
		return m.tailCall(e)
	}
	var r0 uint64
	var err error
	if m.code.entries == nil {
		r0, err = h(m.cpu, (*[5]uint64)(m.regs[asm.R1:asm.R6]))
	} else {
		r0, err = m.withCallbacks(h, e)
	}
	if err != nil {
		return m.fault(err, e)
	}
	m.regs[asm.R0] = r0
	return nil
}

// withCallbacks calls a helper that may call the program: the instructions up to the
// helper, and its call, are accounted for meanwhile.
func (m *machine) withCallbacks(h vm.Helper, e *exit) (uint64, error) {
	m.left -= int64(e.done) + 1
	r0, err := h(m.cpu, (*[5]uint64)(m.regs[asm.R1:asm.R6]))
	if f, ok := err.(*vm.Fault); !ok || !f.Placed {
		m.left += int64(e.done) + 1
	}
	return r0, err
}

// call runs a callback of the program for a helper. The registers of the
// program are as before when it returns.
func (m *machine) call(fn uint64, args *[5]uint64) (uint64, error) {
	slot, ok := vm.FuncSlot(fn)
	entry, known := m.code.entries[slot]
	if !ok || !known {
		return 0, &vm.Fault{Err: vm.ErrHelper, Detail: "not a function of the program"}
	}
	depth := m.depth() + 1
	if depth == prog.MaxFrames {
		return 0, &vm.Fault{Err: vm.ErrCallDepth}
	}
	saved, pc := m.regs, m.pc
	copy(m.regs[asm.R1:], args[:])
	m.regs[asm.R10] -= prog.StackSize
	m.enters(depth)
	m.cpu.PushFrame(depth)
	m.cpu.EnterFrame(min(depth+int(entry.depth), prog.MaxFrames) - 1)
	m.left += int64(entry.index)
	m.pc = m.code.base + uintptr(entry.offset)
	err := m.checked(slot, entry.index)
	if err == nil {
		enter(m)
		err = m.serve()
	}
	if err != nil { // that of the run's context has no place yet, and would be counted again as the helper's
		err, _ = vm.PlaceFault(err, m.code.p, slot)
	}
	r0 := m.result
	m.cpu.PopFrame(depth)
	m.regs, m.pc = saved, pc
	return r0, err
}

// checked looks at the budget before a function at slot is entered, in front of which there
// are index instructions.
func (m *machine) checked(slot int, index int32) error {
	if m.left >= 0 {
		return nil
	}
	return m.poll(&exit{slot: int32(slot), done: index})
}

// tailCall replaces the program by another, unless there is none: then it goes on.
func (m *machine) tailCall(e *exit) error {
	next, err := m.cpu.TailTarget(m.regs[asm.R2], m.regs[asm.R3])
	if err != nil {
		return m.fault(err, e)
	}
	if next == nil {
		return nil
	}
	frame := m.depth()
	if frame == m.bottom {
		m.kept.Free() // nothing of it is needed any more: a program may tail-call itself
	}
	ret := m.link(frame).ret // the target has the frame, and so its link
	// The instructions up to the call are done; the target counts from its own first.
	m.left -= int64(e.done) + 1
	m.cpu.Done = m.budget.Executed(m.left)
	r0, err := next.Continue(m.cpu, frame, m.regs[asm.R1])
	m.left = m.budget.Resume(m.cpu.Done, m.cpu.Limit)
	m.attach()
	if err != nil {
		return err
	}
	m.regs[asm.R0], m.result = r0, r0
	if ret == m.code.base+uintptr(m.code.done) {
		return errReturned
	}
	m.cpu.PopFrame(frame)
	m.regs[asm.R10] += prog.StackSize
	m.pc = ret
	return nil
}

// packet does LD_ABS and LD_IND: r0 is a big-endian number of the packet. One
// that lies outside ends the program with result 0.
func (m *machine) packet(e *exit) error {
	off := int64(e.imm)
	if e.reg >= 0 {
		off = int64(int32(uint32(off) + uint32(m.regs[e.reg])))
	}
	v, ok := m.cpu.PacketNumber(off, int(e.size))
	m.regs[asm.R0] = v
	if !ok {
		m.pc = m.code.base + uintptr(e.behind)
	}
	return nil
}

// miss finds the window for an access that the window of the instruction did not
// admit, and lets the code try again.
func (m *machine) miss(e *exit) error {
	w := m.list[e.index]
	addr := m.addr + uint64(uintptr(w.Base))
	if m.cpu.InCtx(addr) && !m.cpu.CtxPlain(e.write) && !e.atomic {
		return m.context(e, addr)
	}
	if m.code.noStack { // the CPU has not been told of its frame
		m.cpu.PushFrame(m.bottom)
	}
	perm := mem.Perm(0)
	if e.read {
		perm |= mem.Read
	}
	if e.write {
		perm |= mem.Write
	}
	w, err := m.cpu.Window(addr, int(e.size), perm, &m.own[e.index])
	if err != nil {
		return m.fault(err, e)
	}
	m.list[e.index] = w
	return nil
}

// context does an access to a context that is more than memory.
func (m *machine) context(e *exit, addr uint64) error {
	size := int(e.size)
	m.pc = m.code.base + uintptr(e.behind)
	if e.write {
		v := uint64(int64(e.imm))
		if e.reg >= 0 {
			v = m.regs[e.reg]
		}
		if err := m.cpu.StoreCtx(addr, size, v); err != nil {
			return m.fault(err, e)
		}
		return nil
	}
	v, err := m.cpu.LoadCtx(addr, size)
	if err != nil {
		return m.fault(err, e)
	}
	if shift := 64 - 8*size; e.signed {
		v = uint64(int64(v<<shift) >> shift)
	}
	m.regs[e.reg] = v
	return nil
}

// misaligned is the fault of an atomic access whose address is no multiple of its size.
func (m *machine) misaligned(e *exit) error {
	region, _ := m.cpu.Find(uintptr(m.addr))
	return m.fault(&vm.Fault{Err: vm.ErrMisaligned, Addr: m.addr, Size: int(e.size), Write: e.write, Region: region}, e)
}
