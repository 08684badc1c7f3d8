package verifier

import (
	"github.com/sandbpf/sandbpf/verifier/domain"
)

// kind says what a register or stack slot holds (enum bpf_reg_type).
type kind uint8

const (
	notInit kind = iota
	scalar
	ptrCtx
	ptrMap // the map itself, CONST_PTR_TO_MAP
	ptrMapValue
	ptrMapKey
	ptrStack
	ptrPacketMeta
	ptrPacket
	ptrPacketEnd
	ptrFlowKeys
	ptrSocket
	ptrSockCommon
	ptrTCPSock
	ptrTPBuffer
	ptrXDPSock
	ptrBTF // kernel structure or allocated object
	ptrMem
	ptrArena
	ptrBuf
	ptrFunc
	ptrDynptr // CONST_PTR_TO_DYNPTR: a dynptr that the kernel holds

	// Of stack slots only: what the program holds there by the kernel's leave.
	slotDynptr
	slotIter
	slotIRQ
)

// flag is a property of a pointer (enum bpf_type_flag).
type flag uint16

const (
	orNull flag = 1 << iota
	rdonly
	ringbufMem
	user
	percpu
	untrusted
	trusted
	alloc // made by bpf_obj_new
	inRCU // valid within the RCU read section
	nonOwn
)

// Marks of a packet pointer in place of a range, after a comparison with data_end.
const (
	atEnd     = -1 // at or beyond the end
	beyondEnd = -2 // beyond the end
)

// How a scalar is linked to others of the same id.
const (
	linkAdd64 uint8 = 1 + iota // it is the base plus off
	linkAdd32                  // the same on 32 bits
)

// reg is the abstract value of a register or of a stack slot. It holds no Go pointers:
// states are copied and compared a lot.
type reg struct {
	kind  kind
	link  uint8 // scalar: how off is meant; 0: the number itself
	flags flag
	// precise says of a number in a kept state that some continuation needs it exactly; in the
	// current state, that whatever it was made of since the last kept state is marked in there.
	precise bool
	frame   uint8 // ptrStack: the frame; ptrMapKey: the callback's; slotDynptr: 1 if it is the lower slot; slotIter: its state
	m       int16 // maps: index in verifier.maps
	off     int32 // pointer: constant part of the offset; scalar: distance from the link's base
	id      uint32
	ref     uint32 // the acquired reference that the pointer belongs to

	// size: of a packet pointer, the bytes from off 0 on that may be accessed, atEnd or
	// beyondEnd; of memory, its length; of an iterator, the depth.
	size int32
	// aux: of a BTF pointer or iterator, the index in verifier.types; of ptrFunc, the function; of a map
	// value, the map's uid; of a dynptr, its kind; of an IRQ flag, its class.
	aux    uint32
	dynptr uint32 // of memory in a dynptr: the dynptr's id

	domain.Scalar // of a pointer: the variable part of the offset
}

func unknownReg() reg { return anyScalar }

var anyScalar = reg{kind: scalar, Scalar: domain.Unknown()}

func constReg(v uint64) reg { return reg{kind: scalar, precise: true, Scalar: domain.Const(v)} }

// immediate returns the operand that an instruction holds itself, until the next one.
func (v *verifier) immediate(c uint64) *reg {
	r := &v.immReg
	r.kind, r.precise = scalar, true
	r.unlink()
	r.SetConst(c)
	return r
}

// zeroOffset is the variable part of a pointer that has none.
var zeroOffset = domain.Const(0)

// pointer returns a pointer with no offset.
func pointer(k kind, f flag) reg { return reg{kind: k, flags: f, Scalar: zeroOffset} }

// isPointer reports whether r holds a pointer of any kind.
func (r *reg) isPointer() bool { return r.kind > scalar }

func (r *reg) has(f flag) bool { return r.flags&f != 0 }

// isNull reports whether r is the number 0.
func (r *reg) isNull() bool { return r.kind == scalar && r.Tnum.Mask == 0 && r.Tnum.Value == 0 }

// isConst reports whether r is one number.
func (r *reg) isConst() bool { return r.kind == scalar && r.Tnum.Mask == 0 }

// isPacket reports whether r points into the packet or its metadata.
func (r *reg) isPacket() bool { return r.kind == ptrPacket || r.kind == ptrPacketMeta }

func (r *reg) isPacketAny() bool { return r.isPacket() || r.kind == ptrPacketEnd }

// isSock reports whether r is a socket of any kind.
func (r *reg) isSock() bool {
	switch r.kind {
	case ptrSocket, ptrSockCommon, ptrTCPSock, ptrXDPSock:
		return true
	}
	return false
}

// memSize returns how long the memory is that r points to. What a program asks for has up to 32 bits.
func (r *reg) memSize() int64 { return int64(uint32(r.size)) }

// unlink makes r independent of the scalars that it is linked to.
func (r *reg) unlink() { r.id, r.off, r.link = 0, 0, 0 }

// isTrusted reports whether a kernel function that asks for a trusted pointer takes r
// (is_trusted_reg).
func (r *reg) isTrusted() bool {
	const unsafe = ^(alloc | trusted)
	switch {
	case r.ref != 0:
		return true
	case r.kind == ptrSocket, r.kind == ptrSockCommon, r.kind == ptrTCPSock, r.kind == ptrMap:
		return r.flags&unsafe == 0
	}
	return r.flags&(alloc|trusted) != 0 && r.flags&unsafe == 0
}

// slotKind says what a byte of the stack holds (enum bpf_stack_slot_type).
type slotKind uint8

const (
	byteInvalid slotKind = iota // nothing was written
	byteSpill
	byteMisc
	byteZero
	byteDynptr
	byteIter
	byteIRQ
)

// slot is eight bytes of the stack. bytes[0] is the one with the lowest address; a
// register spilled with n bytes takes bytes[0] to bytes[n-1].
type slot struct {
	bytes [8]slotKind
	reg   reg // of byteSpill, byteDynptr, byteIter and byteIRQ
}

var (
	allInvalid [8]slotKind
	allMisc    = [8]slotKind{byteMisc, byteMisc, byteMisc, byteMisc, byteMisc, byteMisc, byteMisc, byteMisc}
	allSpill   = [8]slotKind{byteSpill, byteSpill, byteSpill, byteSpill, byteSpill, byteSpill, byteSpill, byteSpill}
)

// spilled reports whether s holds a register, whole or the low bytes of it.
func (s *slot) spilled() bool { return s.bytes[0] == byteSpill }

// spilledScalar reports whether s holds the low bytes of a number.
func (s *slot) spilledScalar() bool { return s.spilled() && s.reg.kind == scalar }

// spilledWhole reports whether s holds all eight bytes of a register.
func (s *slot) spilledWhole() bool { return s.bytes == allSpill }

// scrub makes byte b of a slot that loses its register what is left of it (scrub_spilled_slot).
func scrub(b slotKind) slotKind {
	if b == byteInvalid {
		return b
	}
	return byteMisc
}

// loseReg makes the bytes of a spilled register, or of an iterator or interrupt flags, data of which
// nothing is known.
func (s *slot) loseReg() {
	if b := s.bytes[0]; b != byteSpill && b < byteDynptr {
		return
	}
	for i, b := range s.bytes {
		if b == byteSpill || b >= byteDynptr {
			s.bytes[i] = byteMisc
		}
	}
	s.reg = reg{}
}
