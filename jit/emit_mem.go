package jit

import (
	"math/bits"
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// access is a load or a store.
func (e *emitter) access(in *lower.Ins) {
	if in.Op == lower.LoadCtx {
		e.Load(8, false, scratch2, onStackCPU)
		e.Load(8, false, reg(in.Dst), amd64.At(scratch2, int32(unsafe.Offsetof(vm.CPU{}.Ptrs)+8*uintptr(in.Imm))))
		return
	}
	behind := noLabel
	if in.Check {
		x := exit{size: in.Size, signed: in.Signed, read: in.Op == lower.Load, write: in.Op == lower.Store,
			reg: int8(in.Dst), imm: int32(in.Imm)}
		if in.Op == lower.Store {
			x.reg = int8(in.B)
		}
		behind = e.NewLabel()
		e.check(in, x, behind)
	}
	m := e.mem(in)
	switch {
	case in.Op == lower.Load:
		e.Load(int(in.Size), in.Signed, reg(in.Dst), m)
	case in.B != lower.None:
		e.Store(int(in.Size), m, reg(in.B))
	case e.code.env.Blind:
		e.hide(uint64(in.Imm))
		e.Store(int(in.Size), m, scratch)
	case in.Size < 8 || fits(in.Imm):
		e.StoreImm(int(in.Size), m, int32(in.Imm))
	default:
		e.MovImm(scratch, uint64(in.Imm))
		e.Store(8, m, scratch)
	}
	if behind != noLabel {
		e.Place(behind)
	}
}

// check compares the address of an access with the window that the access has used
// before, and leaves if that does not admit it, with the offset into the window in scratch.
func (e *emitter) check(in *lower.Ins, x exit, behind amd64.Label) {
	x.kind, x.slot, x.done, x.index = exitMiss, in.Slot, e.pending, int32(e.code.windows)
	e.code.windows++
	again := e.NewLabel()
	e.Place(again)
	e.address(in)
	e.Load(8, false, scratch2, onStackWindows)
	e.Load(8, false, scratch2, amd64.At(scratch2, 8*x.index))
	e.RM(amd64.Sub, amd64.W64, scratch, amd64.At(scratch2, windowBase))
	missed := e.NewLabel()
	log := 4 * int32(bits.TrailingZeros8(in.Size))
	if x.read && x.write {
		e.MovToX(0, scratch2)
		e.Load(4, false, scratch2, amd64.At(scratch2, windowReads+log))
		e.RR(amd64.Cmp, amd64.W64, scratch, scratch2)
		e.MovFromX(scratch2, 0)
		e.Jcc(amd64.AE, missed)
	}
	limits := windowReads
	if x.write {
		limits = windowWrites
	}
	e.Load(4, false, scratch2, amd64.At(scratch2, limits+log))
	e.RR(amd64.Cmp, amd64.W64, scratch, scratch2)
	e.Jcc(amd64.AE, missed)
	e.stubs = append(e.stubs, stub{label: missed, exit: e.addExit(x, again, behind)})
}

// address brings the address of an access into scratch.
func (e *emitter) address(in *lower.Ins) {
	if in.Index == lower.None && in.Disp == 0 {
		e.Mov(amd64.W64, scratch, reg(in.A))
	} else {
		e.Lea(amd64.W64, scratch, e.mem(in))
	}
}

// atomic is an atomic operation.
func (e *emitter) atomic(in *lower.Ins) {
	if in.Check {
		x := exit{size: in.Size, atomic: true, reg: -1, read: in.Op != lower.StoreRelease, write: in.Op != lower.LoadAcquire}
		e.check(in, x, noLabel)
		e.aligned(in, x)
	}
	m, w := e.mem(in), width(in.Wide)
	switch in.Op {
	case lower.LoadAcquire:
		e.Load(int(in.Size), false, reg(in.Dst), m)
		return
	case lower.StoreRelease:
		e.Store(int(in.Size), m, reg(in.B))
		return
	}
	src := reg(in.B)
	switch asm.AtomicOp(in.Imm) {
	case asm.AtomicAdd:
		e.LockMR(amd64.Add, w, m, src)
	case asm.AtomicOr:
		e.LockMR(amd64.Or, w, m, src)
	case asm.AtomicAnd:
		e.LockMR(amd64.And, w, m, src)
	case asm.AtomicXor:
		e.LockMR(amd64.Xor, w, m, src)
	case asm.AtomicFetchAdd:
		e.LockXAdd(w, m, src)
	case asm.AtomicXchg:
		e.Xchg(w, m, src)
	case asm.AtomicCmpXchg:
		e.LockCmpXchg(w, m, src)
		if w == amd64.W32 {
			e.Mov(w, amd64.RAX, amd64.RAX)
		}
	case asm.AtomicFetchOr:
		e.fetch(amd64.Or, w, m, src)
	case asm.AtomicFetchAnd:
		e.fetch(amd64.And, w, m, src)
	case asm.AtomicFetchXor:
		e.fetch(amd64.Xor, w, m, src)
	}
}

// aligned leaves if the address of an atomic access is no multiple of its size.
func (e *emitter) aligned(in *lower.Ins, x exit) {
	if in.Size == 1 {
		return
	}
	e.address(in)
	e.TestImm(amd64.W32, scratch, int32(in.Size)-1)
	bad := e.NewLabel()
	e.Jcc(amd64.NE, bad)
	x.kind, x.slot, x.done = exitAlign, in.Slot, e.pending
	e.stubs = append(e.stubs, stub{label: bad, exit: e.addExit(x, noLabel, noLabel)})
}

// fetch is an operation that has no instruction which also returns what was there.
func (e *emitter) fetch(op amd64.ALU, w amd64.Width, m amd64.Mem, src amd64.Reg) {
	e.Lea(amd64.W64, scratch2, m)
	e.MovToX(0, amd64.RAX)
	operand := src
	if src == amd64.RAX { // which is needed for what was there
		e.MovToX(1, amd64.RDX)
		e.Mov(amd64.W64, amd64.RDX, amd64.RAX)
		operand = amd64.RDX
	}
	size := 4
	if w {
		size = 8
	}
	e.Load(size, false, amd64.RAX, amd64.At(scratch2, 0))
	again := e.NewLabel()
	e.Place(again)
	e.Mov(amd64.W64, scratch, amd64.RAX)
	e.RR(op, w, scratch, operand)
	e.LockCmpXchg(w, amd64.At(scratch2, 0), scratch)
	e.Jcc(amd64.NE, again)
	e.Mov(w, scratch, amd64.RAX)
	e.MovFromX(amd64.RAX, 0)
	if src == amd64.RAX {
		e.MovFromX(amd64.RDX, 1)
	}
	e.Mov(amd64.W64, src, scratch)
}
