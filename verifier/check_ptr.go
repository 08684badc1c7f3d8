package verifier

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/verifier/domain"
)

// pointerALU computes with one or two pointers (adjust_reg_min_max_vals).
func (v *verifier) pointerALU(in *insn, dst, src *reg) error {
	op := in.info.ALU
	if dst.kind == ptrArena || src.kind == ptrArena {
		*dst = reg{kind: ptrArena, Scalar: domain.Unknown()} // any address will do
		return nil
	}
	byReg := in.info.Source == asm.RegSource
	switch {
	case dst.isPointer() && src.isPointer():
		if op == asm.Sub && v.leaks {
			*dst = unknownReg()
			return nil
		}
		return v.failReg(in.Dst, CodePtrArith, errnoEACCES, "%s pointer %s pointer is not allowed", in.Dst, aluSign(op))
	case dst.isPointer():
		if byReg {
			if err := v.markPrecise(in.Src); err != nil {
				return err
			}
		}
		return v.movePointer(in, dst, *dst, *src, in.Dst, in.Src)
	}
	// A number and a pointer: the result is the pointer if that is what addition gives.
	if err := v.markPrecise(in.Dst); err != nil {
		return err
	}
	return v.movePointer(in, dst, *src, *dst, in.Src, in.Dst)
}

func aluSign(op asm.ALUOp) string {
	switch op {
	case asm.Add:
		return "+="
	case asm.Sub:
		return "-="
	case asm.And:
		return "&="
	case asm.Or:
		return "|="
	case asm.Xor:
		return "^="
	}
	return op.String()
}

// movePointer adds a number to a pointer, or subtracts it (adjust_ptr_min_max_vals). ptrReg and
// numReg are the registers that they were in.
func (v *verifier) movePointer(in *insn, dst *reg, ptr, num reg, ptrReg, numReg asm.Register) error {
	op := in.info.ALU
	if contradicts(&num.Scalar) {
		*dst = unknownReg()
		return nil
	}
	if !in.info.Wide {
		if op == asm.Sub && v.leaks {
			*dst = unknownReg()
			return nil
		}
		return v.failReg(ptrReg, CodePtrArith, errnoEACCES, "32-bit arithmetic on a pointer is not allowed")
	}
	if ptr.has(orNull) {
		e := v.failReg(ptrReg, CodePtrNull, errnoEACCES, "arithmetic on %s, which may be null", kindName(&ptr))
		return e
	}
	if ptr.kind == ptrMem && ptr.has(untrusted) {
		*dst = ptr
		return nil
	}
	if err := v.movable(in, &ptr, &num, ptrReg); err != nil {
		return err
	}
	if err := v.saneOffset(&num, &ptr, numReg); err != nil {
		return err
	}
	if err := v.saneOffset(&ptr, &ptr, ptrReg); err != nil {
		return err
	}
	*dst = ptr
	if dst.isPacket() && !movesUp(op, &num) {
		dst.size = max(dst.size, 0) // from at or beyond the end it may go anywhere; Linux forgets that
	}
	switch op {
	case asm.Add:
		v.addOffset(dst, &ptr, &num)
	case asm.Sub:
		if in.Dst == numReg && in.Dst != ptrReg {
			return v.failReg(ptrReg, CodePtrArith, errnoEACCES, "a pointer cannot be subtracted from a number")
		}
		if ptr.kind == ptrStack {
			return v.failReg(ptrReg, CodePtrArith, errnoEACCES, "subtraction from a stack pointer is not allowed; add a negative number")
		}
		v.subOffset(dst, &ptr, &num)
	case asm.And, asm.Or, asm.Xor:
		return v.failReg(ptrReg, CodePtrArith, errnoEACCES, "bitwise operator %s on a pointer is not allowed", aluSign(op))
	default:
		return v.failReg(ptrReg, CodePtrArith, errnoEACCES, "arithmetic on a pointer with %s is not allowed", op)
	}
	if err := v.saneOffset(dst, dst, in.Dst); err != nil {
		return err
	}
	if dst.Scalar != ptr.Scalar {
		dst.U32, dst.S32 = domainUnknown.U32, domainUnknown.S32
		dst.Scalar, _ = domain.Linux.Sync(dst.Scalar)
	}
	if !v.leaks {
		return v.checkSpeculative(in, dst, &ptr, &num, in.Dst == ptrReg)
	}
	return nil
}

var domainUnknown = domain.Unknown()

// movesUp reports whether a constant takes a pointer to no lower address.
func movesUp(op asm.ALUOp, num *reg) bool {
	n := int64(num.Tnum.Value)
	return num.Tnum.IsConst() && (op == asm.Add && n >= 0 || op == asm.Sub && n <= 0)
}

// contradicts reports whether the bounds of a number leave none.
func contradicts(s *domain.Scalar) bool {
	if s.Tnum.IsConst() {
		return uint64(s.S64.Min) != s.Tnum.Value || uint64(s.S64.Max) != s.Tnum.Value || s.U64.Min != s.Tnum.Value || s.U64.Max != s.Tnum.Value
	}
	return s.S64.Empty() || s.U64.Empty()
}

// movable refuses pointers of kinds that do not move, or not so.
func (v *verifier) movable(in *insn, ptr, num *reg, r asm.Register) error {
	switch ptr.kind {
	case ptrFlowKeys:
		if num.Tnum.IsConst() {
			return nil
		}
	case ptrMap:
		if num.Tnum.IsConst() && num.Tnum.Value == 0 && in.info.ALU == asm.Add {
			return nil
		}
	case ptrPacketEnd, ptrSocket, ptrSockCommon, ptrTCPSock, ptrXDPSock:
	default:
		return nil
	}
	return v.failReg(r, CodePtrArith, errnoEACCES, "arithmetic on a pointer to %s is not allowed", kindName(ptr))
}

// saneOffset is check_reg_sane_offset for a number that is added to ptr, or for a pointer.
func (v *verifier) saneOffset(r, ptr *reg, at asm.Register) error {
	val, smin := int64(r.Tnum.Value), r.S64.Min
	isConst, far := r.Tnum.IsConst(), int64(r.off) >= maxOffset || int64(r.off) <= -maxOffset
	switch {
	case isConst && (val >= maxOffset || val <= -maxOffset):
		return v.failReg(at, CodePtrBounds, errnoEINVAL, "math between a pointer to %s and %d is not allowed", kindName(ptr), val)
	case far && r.isPointer():
		return v.failReg(at, CodePtrBounds, errnoEINVAL, "pointer to %s with an offset of %d is not allowed", kindName(ptr), r.off)
	case far: // which is nothing bad, but Linux keeps both distances in one place
		return v.failReg(at, CodePtrBounds, errnoEINVAL, "math between a pointer to %s and a number that is %d more than its copy is not allowed",
			kindName(ptr), r.off)
	case smin == -1<<63:
		return v.failReg(at, CodePtrUnbounded, errnoEINVAL, "math between a pointer to %s and a number without a lower bound is not allowed", kindName(ptr))
	case smin >= maxOffset || smin <= -maxOffset:
		return v.failReg(at, CodePtrBounds, errnoEINVAL, "value %d makes the pointer to %s be out of bounds", smin, kindName(ptr))
	}
	return nil
}

// addOffset makes dst ptr + num.
func (v *verifier) addOffset(dst, ptr, num *reg) {
	if num.Tnum.IsConst() {
		if sum := int64(ptr.off) + int64(num.Tnum.Value); sum == int64(int32(sum)) {
			dst.off = int32(sum)
			return
		}
	}
	dst.S64 = addSigned(ptr.S64, num.S64)
	dst.U64 = addUnsigned(ptr.U64, num.U64)
	dst.Tnum = ptr.Tnum.Add(num.Tnum)
	if ptr.isPacket() {
		dst.id, dst.size = v.nextID(), 0
	}
}

// subOffset makes dst ptr - num.
func (v *verifier) subOffset(dst, ptr, num *reg) {
	if num.Tnum.IsConst() {
		if diff := int64(ptr.off) - int64(num.Tnum.Value); diff == int64(int32(diff)) {
			dst.off = int32(diff)
			return
		}
	}
	dst.S64 = subSigned(ptr.S64, num.S64)
	dst.U64 = subUnsigned(ptr.U64, num.U64)
	dst.Tnum = ptr.Tnum.Sub(num.Tnum)
	if ptr.isPacket() {
		dst.id = v.nextID()
		if num.S64.Min < 0 { // it may move up, beyond what was compared
			dst.size = 0
		}
	}
}

// The bounds of sums and differences, all numbers if one end overflows.

func addSigned(a, b domain.Bounds[int64]) domain.Bounds[int64] {
	lo, hi := a.Min+b.Min, a.Max+b.Max
	if overflows(a.Min, b.Min, lo) || overflows(a.Max, b.Max, hi) {
		return domainUnknown.S64
	}
	return domain.Bounds[int64]{Min: lo, Max: hi}
}

func subSigned(a, b domain.Bounds[int64]) domain.Bounds[int64] {
	lo, hi := a.Min-b.Max, a.Max-b.Min
	if overflows(lo, b.Max, a.Min) || overflows(hi, b.Min, a.Max) {
		return domainUnknown.S64
	}
	return domain.Bounds[int64]{Min: lo, Max: hi}
}

// overflows reports whether x + y is not sum.
func overflows(x, y, sum int64) bool { return (x^sum)&(y^sum) < 0 }

func addUnsigned(a, b domain.Bounds[uint64]) domain.Bounds[uint64] {
	lo, c1 := bits.Add64(a.Min, b.Min, 0)
	hi, c2 := bits.Add64(a.Max, b.Max, 0)
	if c1|c2 != 0 {
		return domainUnknown.U64
	}
	return domain.Bounds[uint64]{Min: lo, Max: hi}
}

func subUnsigned(a, b domain.Bounds[uint64]) domain.Bounds[uint64] {
	if a.Min < b.Max {
		return domainUnknown.U64
	}
	return domain.Bounds[uint64]{Min: a.Min - b.Max, Max: a.Max - b.Min}
}
