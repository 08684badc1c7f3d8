package verifier

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// accessCtx is for the context: each program type has its own (is_valid_access).
func (v *verifier) accessCtx(a *access, r *reg, off int) error {
	if err := v.ctxOffset(r, a.r); err != nil {
		return err
	}
	f, aux, ok := v.ctxField(off, a.size, a.write)
	if ok && a.signed && f.Kind != linux.Number {
		ok = false
	}
	if !ok {
		return v.noField(a, off)
	}
	v.note(MemCtx, true, r, off)
	if a.write || a.value < 0 {
		return nil
	}
	if f.Kind == linux.Number {
		v.loaded(a)
		return nil
	}
	v.cur.cur().regs[a.value] = v.ctxPointer(&f, aux)
	return nil
}

// noField refuses an access to the context at an offset.
func (v *verifier) noField(a *access, off int) error {
	verb, what := "read of", "have no such field"
	if a.write {
		verb = "write to"
		if _, _, readable := v.ctxField(off, a.size, false); readable {
			what = "may only read that"
		}
	}
	e := v.failReg(a.r, CodeCtxAccess, errnoEACCES, "%s %d bytes at offset %d of the context: programs of type %v %s", verb, a.size, off, v.p.Type, what)
	if a.write {
		e.Hint = "write a field that programs of this type may write, as it is declared: its own offset and size"
	}
	return e
}

// ctxOffset refuses a context pointer that was moved (check_ptr_off_reg).
func (v *verifier) ctxOffset(r *reg, at asm.Register) error {
	switch {
	case r.off < 0:
		return v.failReg(at, CodeCtxModified, errnoEACCES, "the context pointer has a negative offset of %d", r.off)
	case r.off != 0:
		return v.failReg(at, CodeCtxModified, errnoEACCES, "the context pointer was moved by %d", r.off)
	case !r.Tnum.IsConst() || r.Tnum.Value != 0:
		return v.failReg(at, CodeVarOff, errnoEACCES, "the context pointer was moved by a variable number")
	}
	return nil
}

const (
	maxSyscallCtx = 1<<16 - 1 // U16_MAX
	maxTraceSize  = 8192      // PERF_MAX_TRACE_SIZE
)

// ctxField returns what a field of the context holds. Aux tells packets apart where a context has
// several.
func (v *verifier) ctxField(off, size int, write bool) (f linux.Field, aux uint32, ok bool) {
	switch {
	case v.p.Type == prog.Custom:
		return v.customField(off, size, write)
	case off < 0 || off%size != 0:
		return f, 0, false
	case v.p.Type == prog.Syscall:
		return f, 0, off < maxSyscallCtx
	case v.p.Type == prog.Tracepoint:
		return f, 0, !write && off >= 8 && off < maxTraceSize
	case v.ctx == nil:
		return f, 0, false
	}
	f, ok = v.ctx.Access(off, size, write)
	return f, 0, ok
}

// customField is ctxField for a hook of a Go program.
func (v *verifier) customField(off, size int, write bool) (f linux.Field, aux uint32, ok bool) {
	l := v.env.Ctx
	if l == nil || off < 0 || off+size > l.Size || off%size != 0 {
		return f, 0, false
	}
	c := l.Field(off)
	if c == nil || off+size > c.Off+c.Size {
		return f, 0, false
	}
	sizes := c.Reads
	if write {
		sizes = c.Writes
	}
	if int(sizes)&size == 0 || c.Kind != prog.Scalar && (off != c.Off || size != c.Size) {
		return f, 0, false
	}
	switch c.Kind {
	case prog.PacketData:
		f.Kind, f.Rdonly, aux = linux.Packet, !c.WritableData, uint32(c.Ptr)+1
	case prog.PacketEnd:
		f.Kind, aux = linux.PacketEnd, uint32(c.Ptr)
	case prog.PacketMeta:
		f.Kind = linux.PacketMeta
	}
	return f, aux, true
}

// ctxKinds are the kinds of the pointers that fields of contexts hold.
var ctxKinds = [...]kind{
	linux.Packet: ptrPacket, linux.PacketEnd: ptrPacketEnd, linux.PacketMeta: ptrPacketMeta,
	linux.SockCommon: ptrSockCommon, linux.Socket: ptrSocket, linux.TCPSock: ptrTCPSock, linux.XDPSock: ptrXDPSock,
	linux.FlowKeys: ptrFlowKeys, linux.TPBuffer: ptrTPBuffer, linux.Buffer: ptrBuf, linux.BTF: ptrBTF,
}

// ctxPointer is what a load of a pointer from the context gives.
func (v *verifier) ctxPointer(f *linux.Field, aux uint32) reg {
	r := pointer(ctxKinds[f.Kind], 0)
	switch f.Kind {
	case linux.Packet, linux.PacketEnd:
		r.aux = aux
	case linux.BTF:
		r.aux = v.typeID(kernelStruct(f.Struct))
		if f.Trusted {
			r.flags |= trusted
		}
	}
	if f.Rdonly {
		r.flags |= rdonly
	}
	if f.OrNull {
		r.flags |= orNull
		r.id = v.nextID()
	}
	return r
}

// checkPacketLoad executes a load of classic BPF, LD_ABS or LD_IND (check_ld_abs).
func (v *verifier) checkPacketLoad(in *insn) error {
	switch v.p.Type {
	case prog.SocketFilter, prog.SchedCLS, prog.SchedACT:
	default:
		return v.fail(CodePacketAccess, errnoEINVAL, "packet loads (LD_ABS, LD_IND) are not for programs of type %v", v.p.Type)
	}
	if _, err := v.readReg(asm.R6); err != nil {
		return err
	}
	if err := v.noResources("a packet load"); err != nil {
		return err
	}
	f := v.cur.cur()
	if r := &f.regs[asm.R6]; r.kind != ptrCtx {
		return v.failReg(asm.R6, CodeArgType, errnoEINVAL, "r6 must be the context at a packet load")
	}
	if in.kind == asm.KindLoadInd {
		if _, err := v.readReg(in.Src); err != nil {
			return err
		}
	}
	if err := v.ctxOffset(&f.regs[asm.R6], asm.R6); err != nil {
		return err
	}
	for r := asm.R0; r <= asm.R5; r++ {
		f.regs[r] = reg{}
	}
	f.regs[asm.R0] = unknownReg()
	return nil
}
