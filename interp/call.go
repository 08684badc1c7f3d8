package interp

import (
	"encoding/binary"
	"errors"
	"unsafe"

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
	pc, ok := m.code.blockPC(int(uint32(fn)))
	if !ok || fn&^(1<<32-1) != funcBase {
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
	m.left -= index - int64(m.code.index[int(uint32(fn))])
	m.pc = pc

	err := m.execute()
	r0 := m.slots[asm.R0]
	copy(m.slots[:], saved[:])
	m.pc, m.fpMin = savedPC, savedMin
	return r0, err
}

// maxTailCalls is how many tail calls a run may make (MAX_TAIL_CALL_CNT).
const maxTailCalls = 33

// ProgArray is a map of programs, the target of tail calls.
type ProgArray interface {
	vm.Map
	// Target returns what the map holds at index, nil if nothing.
	Target(index uint32) any
}

// Target is what can be tail-called: an entry of a [ProgArray].
type Target interface{ Interpreted() *Code }

// tailCall replaces the program by another, unless there is none: then it goes on.
func (m *machine) tailCall() error {
	code, err := tailTarget(m.cpu, m.slots[asm.R2], m.slots[asm.R3])
	if err != nil {
		return m.fault(err)
	}
	if code == nil {
		return nil
	}
	frame := int(m.fp / frameSize)
	if m.fp == m.fpMin {
		m.busy = false // nothing of it is needed any more: a program may tail-call itself
	}
	next := code.lease(m.cpu)
	// The instructions up to the call are done; the target counts from its own first.
	m.left -= int64(m.code.index[m.slot()]) + 1
	next.given, next.left, next.rest = m.given, m.left, m.rest
	ctx := m.slots[asm.R1]
	next.begin(frame)
	next.slots[asm.R1] = ctx
	err = next.execute()
	next.busy = false
	m.given, m.left, m.rest = next.given, next.left, next.rest
	m.cpu.Prog, m.cpu.Maps, m.cpu.Call = m.code.p, m.code.env.Maps, m.callback
	if err != nil {
		return err
	}
	m.slots[asm.R0] = next.slots[asm.R0]
	return m.returnNow()
}

// tailTarget returns the program at an index of the program array that r2
// stands for, nil if the tail call falls through. It counts the call.
func tailTarget(c *vm.CPU, r2, index uint64) (*Code, error) {
	array, ok := c.MapAt(r2).(ProgArray)
	if !ok {
		return nil, &vm.Fault{Err: vm.ErrHelper, Detail: "tail_call: r2 is no program array"}
	}
	target, ok := array.Target(uint32(index)).(Target)
	if !ok || c.TailCalls >= maxTailCalls {
		return nil, nil
	}
	code := target.Interpreted()
	if code != nil {
		c.TailCalls++
	}
	return code, nil
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
// that lies outside ends the program with result 0 (RFC 9669, section 5.5, and
// bpf_convert_filter's fallback in Linux).
func (m *machine) packet() error {
	ins := m.code.p.Insns[m.slot()]
	info, _ := ins.Info()
	off := int64(ins.ImmLo())
	if info.Kind == asm.KindLoadInd {
		off = int64(int32(uint32(off) + uint32(m.slots[ins.Src])))
	}
	v, ok := loadPacket(m.cpu, off, info.Size.Bytes())
	m.slots[asm.R0] = v
	if ok {
		return nil
	}
	m.left -= int64(m.code.index[m.slot()]) + 1
	return m.returnNow()
}

// Negative offsets of packet loads count from a header (SKF_NET_OFF, SKF_LL_OFF).
const (
	networkOffset = -0x100000
	linkOffset    = -0x200000
)

func loadPacket(c *vm.CPU, off int64, size int) (uint64, bool) {
	switch {
	case off >= 0:
	case off >= networkOffset:
		off += -networkOffset + c.NetworkOffset
	case off >= linkOffset:
		off += -linkOffset + c.LinkOffset
	default:
		return 0, false
	}
	r := c.Packet.Region()
	if off < min(c.LinkOffset, 0) || off+int64(size) > int64(r.Len) {
		return 0, false
	}
	b := unsafe.Slice((*byte)(unsafe.Add(c.Packet.Base, off)), size)
	switch size {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), true
	}
	return uint64(binary.BigEndian.Uint32(b)), true
}
