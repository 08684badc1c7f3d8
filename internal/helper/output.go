package helper

import (
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// Flags of bpf_perf_event_output.
const (
	perfIndexMask = 1<<32 - 1         // BPF_F_INDEX_MASK
	perfCtxMask   = (1<<20 - 1) << 32 // BPF_F_CTXLEN_MASK: bytes of the packet to append
)

// perfEventOutput sends a sample of data and, for packets, as many of their
// first bytes as the upper half of the flags says.
func perfEventOutput(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, err := mapArg(c, args[1])
	if err != nil {
		return 0, err
	}
	if args[0] != c.CtxAddr() {
		return 0, refuse("%#x is not the context", args[0])
	}
	data, err := memOrNull(c, args[3], args[4], mem.Read)
	if err != nil {
		return 0, err
	}
	flags := args[2]
	e, isPacket := c.Event.(*Event)
	known := uint64(perfIndexMask)
	if isPacket {
		known |= perfCtxMask
	}
	if flags&^known != 0 {
		return errno(maps.EINVAL), nil
	}
	var packet []byte
	if isPacket {
		n := int(flags & perfCtxMask >> 32)
		if n > e.Packet.Len() {
			return errno(maps.EFAULT), nil
		}
		packet = e.Packet.Bytes()[:n]
	}
	return errno(m.PerfOutputProg(c.ID, flags&perfIndexMask, data, packet)), nil
}

func ringbufOutput(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, err := mapArg(c, args[0])
	if err != nil {
		return 0, err
	}
	data, err := memOrNull(c, args[1], args[2], mem.Read)
	if err != nil {
		return 0, err
	}
	return errno(m.RingOutputProg(data, args[3])), nil
}

func ringbufReserve(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, err := mapArg(c, args[0])
	if err != nil || args[2] != 0 {
		return 0, err
	}
	addr, e := m.ReserveProg(args[1])
	if e != 0 {
		return 0, nil
	}
	c.AddRecord(mem.Region{Addr: addr, Len: uintptr(args[1]), Kind: mem.KindRecord, Perm: mem.ReadWrite, Name: m.Name()}, m)
	return uint64(addr), nil
}

// takeRecord ends the program's use of a record.
func takeRecord(c *vm.CPU, addr uint64) (*maps.Map, error) {
	owner, _ := c.TakeRecord(addr)
	if m, ok := owner.(*maps.Map); ok {
		return m, nil
	}
	return nil, refuse("%#x is no reserved record", addr)
}

func ringbufSubmit(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, err := takeRecord(c, args[0])
	if err != nil {
		return 0, err
	}
	m.SubmitProg(uintptr(args[0]), args[1])
	return 0, nil
}

func ringbufDiscard(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, err := takeRecord(c, args[0])
	if err != nil {
		return 0, err
	}
	m.DiscardProg(uintptr(args[0]), args[1])
	return 0, nil
}

// Abandon discards a record that a run has not given back, so that those behind
// it can be read: for vm.CPU.End.
func Abandon(owner any, r mem.Region) {
	if m, ok := owner.(*maps.Map); ok {
		m.DiscardProg(r.Addr, 0)
	}
}

func ringbufQuery(c *vm.CPU, args *[5]uint64) (uint64, error) {
	m, err := mapArg(c, args[0])
	if err != nil {
		return 0, err
	}
	return m.QueryProg(args[1]), nil
}
