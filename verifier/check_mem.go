package verifier

import (
	"fmt"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/verifier/domain"
)

// access is a load or store of an instruction.
type access struct {
	r      asm.Register // the address
	off    int          // the instruction's offset
	size   int          // bytes
	write  bool
	value  int  // register that is loaded or stored, -1: none
	signed bool // the loaded value's sign is extended
	atomic bool
	strict bool // aligned whatever the program's flags are
	imm    bool // an immediate is stored
}

// checkLoad executes dst = *(src + off), by a load-acquire too.
func (v *verifier) checkLoad(in *insn) error {
	if _, err := v.readReg(in.Src); err != nil {
		return err
	}
	if _, err := v.writeReg(in.Dst); err != nil {
		return err
	}
	return v.checkLoadStore(in, access{r: in.Src, value: int(in.Dst), signed: in.info.Signed})
}

// checkStoreReg executes *(dst + off) = src, by a store-release too.
func (v *verifier) checkStoreReg(in *insn) error {
	if _, err := v.readReg(in.Src); err != nil {
		return err
	}
	if _, err := v.readReg(in.Dst); err != nil {
		return err
	}
	return v.checkLoadStore(in, access{r: in.Dst, write: true, value: int(in.Src)})
}

// checkStoreImm executes *(dst + off) = imm.
func (v *verifier) checkStoreImm(in *insn) error {
	if _, err := v.readReg(in.Dst); err != nil {
		return err
	}
	return v.checkLoadStore(in, access{r: in.Dst, write: true, value: -1, imm: true})
}

// checkLoadStore executes the access of a load or store. Of a load-acquire or store-release, Linux looks last
// at whether the memory is one for atomic operations.
func (v *verifier) checkLoadStore(in *insn, a access) error {
	a.off, a.size = int(in.Off), in.info.Size.Bytes()
	a.atomic = in.kind == asm.KindLoadAcquire || in.kind == asm.KindStoreRelease
	a.strict = a.atomic
	base := v.cur.cur().regs[a.r] // which the access may write
	if err := v.checkAccess(&a); err != nil {
		return err
	}
	if err := v.samePointer(&base, a.r, !a.write); err != nil || !a.atomic {
		return err
	}
	return v.atomicTarget(a.r, &base)
}

// samePointer refuses an instruction that must be compiled in one way for one kind of pointer, and in
// another way for another one (save_aux_ptr_type).
func (v *verifier) samePointer(r *reg, at asm.Register, load bool) error {
	x := &v.aux[v.insnIdx]
	switch {
	case x.ptr == notInit:
		x.ptr, x.ptrFlags = r.kind, r.flags
	case x.ptr == r.kind && x.ptrFlags == r.flags || !special(x.ptr) && !special(r.kind):
	case load && mayFault(x.ptr, x.ptrFlags) && mayFault(r.kind, r.flags):
		x.ptr, x.ptrFlags = ptrBTF, untrusted
	default:
		return v.failReg(at, CodeSameInsn, errnoEINVAL, "the same instruction is used with pointers to %s and to %s", kindNames[x.ptr], kindName(r))
	}
	return nil
}

// special reports whether accesses through a kind of pointer are rewritten
// (reg_type_mismatch_ok).
func special(k kind) bool {
	switch k {
	case ptrCtx, ptrSocket, ptrSockCommon, ptrTCPSock, ptrXDPSock, ptrBTF, ptrArena:
		return true
	}
	return false
}

// mayFault reports whether loads through a pointer are made such that they may fault, or can be.
func mayFault(k kind, f flag) bool {
	switch k {
	case ptrBTF:
		return true
	case ptrMem:
		return f&(untrusted|rdonly) == untrusted|rdonly
	}
	return false
}

// checkAccess checks a load or store and does what it does to the registers and the stack
// (check_mem_access).
func (v *verifier) checkAccess(a *access) error {
	r := &v.cur.cur().regs[a.r]
	if err := v.checkAligned(a, r); err != nil {
		return err
	}
	off := a.off + int(r.off)
	if a.write && a.value >= 0 && r.kind != ptrStack && r.kind != scalar && !v.leaks && v.cur.cur().regs[a.value].isPointer() {
		return v.failReg(asm.Register(a.value), CodePtrLeak, errnoEACCES, "%s leaks an address into %s", asm.Register(a.value), kindName(r))
	}
	if a.write && r.kind != ptrStack {
		v.wroteSlots(0)
	}
	switch r.kind {
	case ptrMapKey:
		if a.write {
			return v.failReg(a.r, CodeReadOnly, errnoEACCES, "write to a map's key")
		}
		if err := v.inRegion(r, a.r, a.off, a.size, int64(v.maps[r.m].KeySize), CodeMapBounds); err != nil {
			return err
		}
		v.note(MemMapKey, true, r, off)
		v.loaded(a)
	case ptrMapValue:
		return v.accessMapValue(a, r, off)
	case ptrMem:
		return v.accessMem(a, r, off)
	case ptrCtx:
		return v.accessCtx(a, r, off)
	case ptrStack:
		return v.accessStack(a, r, off)
	case ptrPacket, ptrPacketMeta:
		return v.accessPacket(a, r, off)
	case ptrFlowKeys:
		if err := v.constOffset(r, a.r); err != nil {
			return err
		}
		if off < 0 || off+a.size > flowKeysSize {
			return v.failReg(a.r, CodeMemBounds, errnoEACCES, "invalid access to flow keys: offset %d, size %d", off, a.size)
		}
		v.note(MemFlowKeys, true, r, off)
		v.loaded(a)
	case ptrSocket, ptrSockCommon, ptrTCPSock, ptrXDPSock:
		return v.accessSock(a, r, off)
	case ptrTPBuffer:
		if err := v.inBuffer(a, r); err != nil {
			return err
		}
		v.loaded(a)
	case ptrBTF:
		return v.accessBTF(a, r, off)
	case ptrMap:
		return v.accessMapStruct(a, r, off)
	case ptrBuf:
		if r.has(rdonly) && a.write {
			return v.failReg(a.r, CodeReadOnly, errnoEACCES, "write to a read-only buffer")
		}
		if r.has(orNull) {
			return v.invalidAccess(a.r, r)
		}
		if err := v.inBuffer(a, r); err != nil {
			return err
		}
		v.loaded(a)
	case ptrArena:
		v.note(MemArena, false, r, off)
		v.loaded(a)
	default:
		return v.invalidAccess(a.r, r)
	}
	return nil
}

const flowKeysSize = 56 // sizeof(struct bpf_flow_keys)

// invalidAccess refuses an access through what is no pointer to be dereferenced.
func (v *verifier) invalidAccess(at asm.Register, r *reg) error {
	switch {
	case r.kind == scalar:
		return v.failReg(at, CodeScalarDeref, errnoEACCES, "%s is a number, not a pointer", at)
	case r.has(orNull):
		return v.failReg(at, CodeNullDeref, errnoEACCES, "%s may be null: it was not compared with null", at)
	}
	return v.failReg(at, CodeBadDeref, errnoEACCES, "memory cannot be accessed through a pointer to %s", kindName(r))
}

// loaded gives a loaded register the value of size bytes of which nothing is known.
func (v *verifier) loaded(a *access) {
	if a.write || a.value < 0 {
		return
	}
	v.cur.cur().regs[a.value] = loadedReg(a.size, a.signed)
}

func loadedReg(size int, signed bool) reg {
	r := unknownReg()
	r.Scalar = loadedScalar(r.Scalar, size, signed)
	return r
}

// loadedScalar is what a load of size bytes makes of a number.
func loadedScalar(s domain.Scalar, size int, signed bool) domain.Scalar {
	switch {
	case size == 8:
		return s
	case s == domainUnknown:
		return loadedUnknown[sizeIndex(size)][btoi(signed)]
	case signed:
		return domain.Linux.MovSX(true, s, uint(size)*8)
	}
	return domain.Linux.Truncate(s, uint(size)*8)
}

// loadedUnknown has the results for numbers of which nothing is known.
var loadedUnknown = func() (t [4][2]domain.Scalar) {
	for i := range 3 {
		t[i][0] = domain.Linux.Truncate(domain.Unknown(), 8<<i)
		t[i][1] = domain.Linux.MovSX(true, domain.Unknown(), 8<<i)
	}
	return t
}()

func sizeIndex(size int) int {
	switch size {
	case 1:
		return 0
	case 2:
		return 1
	case 4:
		return 2
	}
	return 3
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// checkAligned is check_ptr_alignment.
func (v *verifier) checkAligned(a *access, r *reg) error {
	strict, extra := v.strict || a.strict, 0
	switch r.kind {
	case ptrPacket, ptrPacketMeta:
		extra = 2 // NET_IP_ALIGN: where the packet lies in its memory
	case ptrStack:
		strict = true
	case ptrArena, scalar, notInit:
		return nil
	}
	if !strict || a.size == 1 {
		return nil
	}
	if r.Tnum.Add(domain.TnumConst(uint64(int64(r.off) + int64(a.off) + int64(extra)))).Aligned(uint64(a.size)) {
		return nil
	}
	return v.failReg(a.r, CodeMisaligned, errnoEACCES, "misaligned access: offset %d%+d of %s, size %d", r.off, a.off, kindName(r), a.size)
}

// inRegion refuses an access that may be outside of size bytes from the pointer's start
// (check_mem_region_access).
func (v *verifier) inRegion(r *reg, at asm.Register, insnOff, n int, size int64, code Code) error {
	off := int64(insnOff) + int64(r.off)
	lo, hi := r.S64.Min, r.U64.Max
	if lo < 0 && (lo == -1<<63 || off+lo != int64(int32(off+lo)) || lo+off < 0) {
		return v.failReg(at, code, errnoEACCES, "%s may be negative: it needs a comparison with 0, or an unsigned number", at)
	}
	if lo+off < 0 || lo+off+int64(n) > size {
		return v.failReg(at, code, errnoEACCES, "%s is outside of the allowed memory: offset %d, size %d, of %d bytes", at, lo+off, n, size)
	}
	if hi >= maxOffset {
		return v.failReg(at, code, errnoEACCES, "%s is unbounded: it needs an upper bound before it is used", at)
	}
	if int64(hi)+off+int64(n) > size {
		return v.failReg(at, code, errnoEACCES, "%s may be outside of the allowed memory: offset up to %d, size %d, of %d bytes", at, int64(hi)+off, n, size)
	}
	return nil
}

// constOffset refuses a variable offset.
func (v *verifier) constOffset(r *reg, at asm.Register) error {
	if r.Scalar == zeroOffset || r.Tnum.IsConst() && r.Tnum.Value == 0 {
		return nil
	}
	return v.failReg(at, CodeVarOff, errnoEACCES, "variable offset into %s is not allowed", kindName(r))
}

// accessMem is for memory of a known size.
func (v *verifier) accessMem(a *access, r *reg, off int) error {
	loose := r.has(rdonly) && r.has(untrusted)
	switch {
	case r.has(orNull):
		return v.invalidAccess(a.r, r)
	case r.has(rdonly) && a.write:
		return v.failReg(a.r, CodeReadOnly, errnoEACCES, "write to read-only memory")
	case loose:
		v.note(MemUntrusted, false, r, off)
	default:
		if err := v.inRegion(r, a.r, a.off, a.size, r.memSize(), CodeMemBounds); err != nil {
			return err
		}
		v.note(MemSized, !r.has(percpu|user), r, off)
	}
	v.loaded(a)
	return nil
}

// inBuffer is for buffers whose size is known when the program is attached.
func (v *verifier) inBuffer(a *access, r *reg) error {
	if a.off+int(r.off) < 0 || int(r.off) < 0 {
		return v.failReg(a.r, CodeMemBounds, errnoEACCES, "negative offset %d into %s", a.off+int(r.off), kindName(r))
	}
	if err := v.constOffset(r, a.r); err != nil {
		return err
	}
	v.note(MemBuffer, false, r, a.off+int(r.off))
	return nil
}

// accessMapValue is for values of maps.
func (v *verifier) accessMapValue(a *access, r *reg, off int) error {
	m := v.maps[r.m]
	if r.has(orNull) {
		return v.invalidAccess(a.r, r)
	}
	if a.write && !m.writable() || !a.write && !m.readable() {
		verb := "read from"
		if a.write {
			verb = "write into"
		}
		return v.failReg(a.r, CodeReadOnly, errnoEACCES, "%s map %s is not allowed to programs", verb, m.Name)
	}
	if err := v.inRegion(r, a.r, a.off, a.size, int64(m.ValueSize), CodeMapBounds); err != nil {
		return err
	}
	field, err := v.specialField(a, r, m)
	if err != nil {
		return err
	}
	v.note(MemMapValue, true, r, off)
	switch {
	case field != nil:
		return v.accessKptr(a, r, field)
	case a.write || a.value < 0:
		return nil
	}
	if c, ok := m.constant(r, a, off); ok {
		v.cur.cur().regs[a.value] = constReg(c)
		return nil
	}
	v.loaded(a)
	return nil
}

// accessPacket is for the packet and its metadata.
func (v *verifier) accessPacket(a *access, r *reg, off int) error {
	switch {
	case a.write && !v.writesPkt:
		return v.failReg(a.r, CodePacketAccess, errnoEACCES, "programs of this type cannot write into the packet")
	case !v.seesPacket:
		return v.failReg(a.r, CodePacketAccess, errnoEACCES, "programs of this type cannot access the packet")
	case a.write && r.has(rdonly): // a slice of a hook of a Go program
		return v.failReg(a.r, CodeReadOnly, errnoEACCES, "write to bytes that are read-only to programs of this hook")
	}
	if err := v.inPacket(r, a.r, a.off, a.size, false); err != nil {
		return err
	}
	v.note(MemPacket, true, r, off)
	v.loaded(a)
	return nil
}

// inPacket is check_packet_access: only what was compared with the end may be accessed.
func (v *verifier) inPacket(r *reg, at asm.Register, insnOff, n int, zeroOK bool) error {
	off := int64(insnOff) + int64(r.off)
	switch {
	case r.S64.Min < 0:
		return v.failReg(at, CodePacketBounds, errnoEACCES, "%s may be negative: packet offsets need an unsigned number", at)
	case r.size < 0:
		return v.failReg(at, CodePacketBounds, errnoEINVAL, "%s is outside of %s: it lies at or beyond its end", at, v.packetName())
	case off < 0 || off+int64(n) > int64(r.size) || n == 0 && !zeroOK:
		e := v.failReg(at, CodePacketBounds, errnoEACCES, "%s is outside of %s: offset %d, size %d, of %d bytes that were compared with its end",
			at, v.packetName(), off, n, r.size)
		if r.U64.Max > maxPacketOffset || off >= 0 && r.U64.Max+uint64(off)+uint64(n) > maxPacketOffset { // see extendPacket
			e.Hint = fmt.Sprintf("bound the number that is added to the pointer: if the access may end more than %d bytes behind it, comparing with the end counts for nothing", maxPacketOffset)
		}
		return e
	}
	return nil
}

// packetName is what packet pointers point into: programs at hooks of a Go program have byte slices.
func (v *verifier) packetName() string {
	if v.p.Type == prog.Custom {
		return "the slice"
	}
	return "the packet"
}

// packetAccess says whether programs of a type may read and write packets directly
// (may_access_direct_pkt_data).
func packetAccess(t prog.Type, attach prog.AttachType) (read, write bool) {
	switch t {
	case prog.SchedCLS, prog.SchedACT, prog.XDP, prog.LWTXmit, prog.SkSKB, prog.SkMsg, prog.CGroupSockopt:
		return true, true
	case prog.LWTIn, prog.LWTOut, prog.LWTSeg6Local, prog.SkReuseport, prog.FlowDissector, prog.CGroupSKB, prog.SockOps:
		return true, false
	case prog.Custom:
		return true, true
	}
	return false, false
}

// accessSock is for sockets.
func (v *verifier) accessSock(a *access, r *reg, off int) error {
	switch {
	case r.has(orNull):
		return v.invalidAccess(a.r, r)
	case a.write:
		return v.failReg(a.r, CodeSockAccess, errnoEACCES, "sockets are read-only")
	}
	if r.S64.Min < 0 {
		return v.failReg(a.r, CodeSockAccess, errnoEACCES, "%s may be negative", a.r)
	}
	if !r.Tnum.IsConst() || !linux.SockAccess(sockKind(r.kind), off, a.size) {
		return v.failReg(a.r, CodeSockAccess, errnoEACCES, "invalid access to %s: offset %d, size %d", kindName(r), off, a.size)
	}
	v.note(MemSocket, false, r, off)
	v.loaded(a)
	return nil
}

func sockKind(k kind) linux.Kind {
	switch k {
	case ptrSocket:
		return linux.Socket
	case ptrTCPSock:
		return linux.TCPSock
	case ptrXDPSock:
		return linux.XDPSock
	}
	return linux.SockCommon
}
