package verifier

import "github.com/sandbpf/sandbpf/asm"

// observe shows the state before the instruction at hand.
func (v *verifier) observe() {
	f := v.cur.cur()
	o := Observation{Insn: v.insnIdx, Frame: v.cur.top()}
	for r := range asm.NumRegisters {
		o.Regs[r] = v.observed(&f.regs[r])
	}
	if n := len(f.slots); n > 0 {
		o.Slots = make([]ObservedReg, 0, n)
	}
	for i := range f.slots {
		s := &f.slots[i]
		switch {
		case s.spilledWhole():
			o.Slots = append(o.Slots, v.observed(&s.reg))
		case v.env.Undescribed:
			o.Slots = append(o.Slots, ObservedReg{})
		default:
			o.Slots = append(o.Slots, ObservedReg{Text: v.describeSlot(s)})
		}
	}
	v.env.Observe(&o)
}

func (v *verifier) observed(r *reg) ObservedReg {
	var o ObservedReg
	if !v.env.Undescribed {
		o.Text = v.describe(r)
	}
	if r.kind == scalar {
		s := r.Scalar
		o.Known, o.Contains = true, func(x uint64) bool { return s.Contains(x) }
		return o
	}
	o.Memory = memories[r.kind]
	if o.Memory != MemNone {
		o.Min, o.Max = int64(r.off)+r.S64.Min, int64(r.off)+r.S64.Max
	}
	return o
}

// memories are the kinds of memory that pointers point to.
var memories = [...]Memory{
	ptrCtx: MemCtx, ptrMapValue: MemMapValue, ptrMapKey: MemMapKey, ptrStack: MemStack, ptrPacketMeta: MemPacket, ptrPacket: MemPacket,
	ptrFlowKeys: MemFlowKeys, ptrSocket: MemSocket, ptrSockCommon: MemSocket, ptrTCPSock: MemSocket, ptrXDPSock: MemSocket,
	ptrTPBuffer: MemBuffer, ptrBTF: MemBTF, ptrMem: MemSized, ptrArena: MemArena, ptrBuf: MemBuffer, slotIRQ: MemNone,
}
