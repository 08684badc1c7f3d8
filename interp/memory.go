package interp

import (
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
)

const pointerSize = uint32(unsafe.Sizeof(uintptr(0)))

// miss finds the window for an access that the operation's window did not
// admit, and lets the loop try again. A pair is not tried again, since its first
// half may have been done: the loop goes on with its halves on their own.
func (m *machine) miss(second bool) error {
	at := int(m.pc)/opSize - 1
	if cold := m.code.origins[at].cold; cold >= 0 {
		if second {
			cold++
		}
		m.pc = uintptr(int(cold) * opSize)
		return nil
	}
	op := &m.code.ops[at]
	info := &opInfos[op.code]
	addr := m.slots[op.b] + uint64(op.x)
	if info.reads&readsC != 0 {
		addr += m.slots[op.c]
	}
	if m.cpu.InCtx(addr) && !m.cpu.CtxPlain(info.store) {
		return m.context(op, info, addr)
	}
	i := op.y / pointerSize
	perm := mem.Read
	if info.store {
		perm = mem.Write
	}
	w, err := m.cpu.Window(addr, int(info.size), perm, &m.own[i])
	if err != nil {
		return m.fault(err)
	}
	m.windows[i] = w
	m.pc -= uintptr(opSize)
	return nil
}

// context does an access to a context that is more than memory.
func (m *machine) context(op *operation, info *opInfo, addr uint64) error {
	size := int(info.size)
	if info.store {
		if err := m.cpu.StoreCtx(addr, size, m.slots[op.a]); err != nil {
			return m.fault(err)
		}
		return nil
	}
	v, err := m.cpu.LoadCtx(addr, size)
	if err != nil {
		return m.fault(err)
	}
	if info.signed {
		v = isa.SignExtend(v, uint8(8*size))
	}
	m.slots[op.a] = v
	return nil
}

// atomic does an atomic instruction.
func (m *machine) atomic() error {
	ins := m.code.p.Insns[m.slot()]
	if err := atomicAccess(m.cpu, ins, (*[asm.NumRegisters]uint64)(m.slots[:])); err != nil {
		return m.fault(err)
	}
	return nil
}

// atomicAccess does an atomic instruction on registers.
func atomicAccess(c *vm.CPU, ins asm.Instruction, r *[asm.NumRegisters]uint64) error {
	info, err := ins.Info()
	if err != nil {
		return err
	}
	base, perm := ins.Dst, mem.ReadWrite
	switch info.Kind {
	case asm.KindLoadAcquire:
		base, perm = ins.Src, mem.Read
	case asm.KindStoreRelease:
		perm = mem.Write
	}
	size := info.Size.Bytes()
	addr := r[base] + uint64(int64(ins.Off))
	b, err := c.Bytes(addr, size, perm)
	if err != nil {
		return err
	}
	if addr%uint64(size) != 0 {
		region, _ := c.Find(uintptr(addr))
		return &vm.Fault{Err: vm.ErrMisaligned, Addr: addr, Size: size, Write: perm&mem.Write != 0, Region: region}
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	switch info.Kind {
	case asm.KindLoadAcquire:
		r[ins.Dst] = mem.LoadAcquire(p, size)
	case asm.KindStoreRelease:
		mem.StoreRelease(p, size, r[ins.Src])
	default:
		update(info, p, ins.Src, r)
	}
	return nil
}

// update does an atomic read-modify-write at p.
func update(info *asm.Info, p unsafe.Pointer, src asm.Register, r *[asm.NumRegisters]uint64) {
	old := mem.Update(p, info.Size.Bytes(), func(old uint64) uint64 {
		return isa.Atomic(info.Atomic, info.Wide, old, r[src], r[asm.R0])
	})
	switch {
	case info.Atomic == asm.AtomicCmpXchg:
		r[asm.R0] = old
	case info.Atomic.Fetch():
		r[src] = old
	}
}
