package jit

import (
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/leaf"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/jit/amd64"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// Operations on maps are done by package leaf, without leaving native code, where the
// proof says which map it is and that key and value may be accessed. A leaf changes r1 to
// r5, which a verified program does not read behind a call. If it declines, Go does the
// call, with the arguments that were kept on the stack.
//
// A ring-buffer record that a leaf has reserved is in machine.record until a leaf gives it
// back. There is place for one. Whenever native code is left before, by whatever exit, the
// CPU is told of the record, as if Go had reserved it: from there on helpers and
// windows find it, Go gives it back, and so does the end of the run, be it as early as it may.

// record is a reserved record: its address (0: there is none), its length in bytes, and the
// address of its map.
type record struct{ addr, len, owner uint64 }

const (
	recordAddr  = int32(unsafe.Offsetof(machine{}.record) + unsafe.Offsetof(record{}.addr))
	recordLen   = int32(unsafe.Offsetof(machine{}.record) + unsafe.Offsetof(record{}.len))
	recordOwner = int32(unsafe.Offsetof(machine{}.record) + unsafe.Offsetof(record{}.owner))
)

// adopt makes the record that a leaf has reserved one of the CPU's.
func (m *machine) adopt() {
	r := m.record
	m.record.addr = 0
	owner := m.cpu.MapAt(r.owner)
	m.cpu.AddRecord(mem.Region{Addr: uintptr(r.addr), Len: uintptr(r.len), Kind: mem.KindRecord,
		Perm: mem.ReadWrite, Name: owner.Name()}, owner)
}

// wake wakes the reader that waits for the record which a leaf has given back.
func (m *machine) wake() {
	m.cpu.MapAt(m.record.owner).(*maps.Map).WakeProg()
	m.regs[asm.R0] = 0
}

// leafCall is the call of a helper that there is a leaf for.
type leafCall struct {
	op     leaf.Op
	entry  uintptr
	args   int  // of the helper
	perCPU bool // the leaf needs to know the CPU
	other  bool // ... which is the number in r3
}

// leafOps are the helpers that there are leaves for, and how many arguments they have.
var leafOps = map[asm.BuiltinFunc]leafCall{
	asm.FnMapLookupElem:       {op: leaf.Lookup, args: 2},
	asm.FnMapLookupPercpuElem: {op: leaf.Lookup, args: 3, other: true},
	asm.FnMapUpdateElem:       {op: leaf.Update, args: 4},
	asm.FnMapDeleteElem:       {op: leaf.Delete, args: 2},
	asm.FnRingbufReserve:      {op: leaf.Reserve, args: 3},
	asm.FnRingbufSubmit:       {op: leaf.Submit, args: 2},
	asm.FnRingbufDiscard:      {op: leaf.Discard, args: 2},
}

// leafCall returns the leaf for the call of a helper, if there is one.
func (e *emitter) leafCall(in *lower.Ins) (c leafCall, ok bool) {
	env := &e.code.env
	if env.Proof == nil || !env.Inline {
		return c, false
	}
	c, ok = leafOps[e.p.Helpers[in.Imm]]
	if !ok {
		return c, false
	}
	p := &env.Proof.Insns[in.Slot]
	var m *maps.Map
	switch {
	case c.op == leaf.Submit || c.op == leaf.Discard:
		m = e.anyRing() // whose leaf is that of every ring
	case int(p.Map) < 0 || int(p.Map) >= len(env.Maps):
	case p.Access.Memory == verifier.MemNone || p.Access.Proved: // key and value on the stack are not noted
		m, _ = env.Maps[p.Map].(*maps.Map)
	}
	if m == nil || c.other && !m.Type().PerCPU() {
		return c, false
	}
	c.perCPU = c.op != leaf.Lookup || m.Type().PerCPU()
	c.entry, ok = leaf.For(m, c.op)
	return c, ok
}

// anyRing returns a ring buffer of the program, nil if it has none.
func (e *emitter) anyRing() *maps.Map {
	for _, m := range e.code.env.Maps {
		if r, ok := m.(*maps.Map); ok && r.Type() == maps.RingBuf {
			return r
		}
	}
	return nil
}

// helper calls a helper: the leaf that there is for it or, if there is none or it
// declines, Go.
func (e *emitter) helper(in *lower.Ins) {
	after := e.NewLabel()
	goes := e.addExit(exit{kind: exitHelper, slot: in.Slot, done: e.pending, index: int32(in.Imm)}, after, noLabel)
	c, ok := e.leafCall(in)
	if !ok {
		e.leave(goes)
		e.Place(after)
		return
	}
	for i := range c.args {
		e.Store(8, onStackArg(i), registers[asm.R1+asm.Register(i)])
	}
	decline := e.NewLabel()
	e.stubs = append(e.stubs, stub{label: decline, exit: goes, args: c.args})
	switch c.op {
	case leaf.Reserve:
		e.reserve(&c, decline)
	case leaf.Submit, leaf.Discard:
		wake := e.NewLabel()
		e.stubs = append(e.stubs, stub{label: wake,
			exit: e.addExit(exit{kind: exitWake, slot: in.Slot, done: e.pending}, after, noLabel)})
		e.giveBack(&c, decline, wake)
	default:
		e.leafCPU(&c)
		e.callLeaf(&c, decline)
	}
	e.Place(after)
}

// leafCPU brings the number of the CPU where leaves expect it.
func (e *emitter) leafCPU(c *leafCall) {
	switch {
	case c.other:
		e.Mov(amd64.W32, amd64.R8, registers[asm.R3])
	case c.perCPU:
		e.Load(8, false, scratch2, onStackCPU)
		e.Load(8, false, amd64.R8, amd64.At(scratch2, cpuID))
	}
}

// callLeaf calls a leaf and goes to decline if it has done nothing.
func (e *emitter) callLeaf(c *leafCall, decline amd64.Label) {
	e.MovImm(scratch, uint64(c.entry))
	e.CallReg(scratch)
	e.RI(amd64.Cmp, amd64.W64, amd64.RAX, leaf.NotHandled)
	e.Jcc(amd64.E, decline)
}

// reserve is bpf_ringbuf_reserve, unless the place for a record is taken, or r3 has flags.
func (e *emitter) reserve(c *leafCall, decline amd64.Label) {
	e.Test(amd64.W64, registers[asm.R3], registers[asm.R3])
	e.Jcc(amd64.NE, decline)
	e.Load(8, false, scratch2, onStackMachine)
	e.MI(amd64.Cmp, 8, amd64.At(scratch2, recordAddr), 0)
	e.Jcc(amd64.NE, decline)
	e.callLeaf(c, decline)
	e.Load(8, false, scratch2, onStackMachine)
	for _, kept := range [...]struct {
		arg   int
		field int32
	}{{0, recordOwner}, {1, recordLen}} {
		e.Load(8, false, scratch, onStackArg(kept.arg))
		e.Store(8, amd64.At(scratch2, kept.field), scratch)
	}
	e.Store(8, amd64.At(scratch2, recordAddr), amd64.RAX)
}

// giveBack is bpf_ringbuf_submit or bpf_ringbuf_discard of the record that is in its place.
func (e *emitter) giveBack(c *leafCall, decline, wake amd64.Label) {
	e.Load(8, false, scratch2, onStackMachine)
	e.RM(amd64.Cmp, amd64.W64, amd64.RDI, amd64.At(scratch2, recordAddr))
	e.Jcc(amd64.NE, decline)
	e.Load(8, false, amd64.RDX, amd64.At(scratch2, recordOwner))
	e.callLeaf(c, decline)
	e.Load(8, false, scratch2, onStackMachine)
	e.StoreImm(8, amd64.At(scratch2, recordAddr), 0)
	e.Test(amd64.W64, amd64.RAX, amd64.RAX)
	e.Jcc(amd64.NE, wake)
}
