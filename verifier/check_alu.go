package verifier

import (
	"errors"
	"fmt"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/verifier/domain"
)

// trimPlace returns what an error of package asm says without the instruction's number, which it
// does not know.
func trimPlace(err error) string {
	var bad *asm.InstructionError
	if errors.As(err, &bad) {
		return fmt.Sprintf("%s: %s is %#x", bad.Reason, bad.Field, bad.Value)
	}
	return err.Error()
}

// readReg returns a register of the current frame that an instruction reads.
func (v *verifier) readReg(r asm.Register) (*reg, error) {
	x := &v.cur.cur().regs[r]
	if x.kind == notInit {
		return nil, v.failReg(r, CodeUninitialized, errnoEACCES, "%s was not written before it is read", r)
	}
	return x, nil
}

// writeReg returns a register that an instruction writes.
func (v *verifier) writeReg(r asm.Register) (*reg, error) {
	if r == asm.R10 {
		return nil, v.failReg(r, CodeFramePointer, errnoEACCES, "the frame pointer r10 is read-only")
	}
	return &v.cur.cur().regs[r], nil
}

// operands returns the registers of an arithmetic instruction.
func (v *verifier) operands(in *insn) (dst, src *reg, err error) {
	if in.info.Source == asm.RegSource {
		if src, err = v.readReg(in.Src); err != nil {
			return nil, nil, err
		}
	}
	if in.info.ALU != asm.Mov {
		if _, err = v.readReg(in.Dst); err != nil {
			return nil, nil, err
		}
	}
	if dst, err = v.writeReg(in.Dst); err != nil {
		return nil, nil, err
	}
	if src == nil {
		src = v.immediate(uint64(in.Imm))
	}
	return dst, src, nil
}

// checkALU executes an arithmetic instruction of two operands.
func (v *verifier) checkALU(in *insn) error {
	dst, src, err := v.operands(in)
	if err != nil {
		return err
	}
	info := in.info
	if info.ALU == asm.Mov {
		return v.move(in, dst, src)
	}
	if info.Source == asm.ImmSource {
		switch info.ALU {
		case asm.Div, asm.Mod, asm.SDiv, asm.SMod:
			if in.Imm == 0 {
				return v.fail(CodeDivZero, errnoEINVAL, "division by zero")
			}
		case asm.LSh, asm.RSh, asm.ArSh:
			bits := int64(32)
			if info.Wide {
				bits = 64
			}
			if in.Imm < 0 || in.Imm >= bits {
				return v.fail(CodeShift, errnoEINVAL, "shift by %d, of a number of %d bits", in.Imm, bits)
			}
		}
	}
	if dst.isPointer() || src.isPointer() {
		return v.pointerALU(in, dst, src)
	}
	return v.scalarALU(in, dst, src)
}

// scalarALU computes with two numbers.
func (v *verifier) scalarALU(in *insn, dst, src *reg) error {
	info := in.info
	if (info.ALU == asm.Add || info.ALU == asm.Sub) && v.masks(in) {
		if err := v.setMasking(in, masking{number: true}); err != nil {
			return err
		}
	}
	v.linkDelta(in, dst, src)
	keep, off, id := dst.link, dst.off, dst.id
	dst.precise = dst.precise && src.precise
	if info.ALU == asm.And || info.ALU == asm.Or {
		if err := v.fork(in, dst, src); err != nil {
			return err
		}
	}
	domain.Linux.ALUTo(info.ALU, info.Wide, &dst.Scalar, &src.Scalar)
	dst.id, dst.off, dst.link = id, off, keep
	return nil
}

// fork goes on with two states where Linux does.
func (v *verifier) fork(in *insn, dst, src *reg) error {
	zero, ones, ok := domain.Linux.Forks(in.info.ALU, &dst.Scalar, &src.Scalar)
	if !ok {
		return nil
	}
	s, err := v.push(v.insnIdx, v.insnIdx, errnoENOMEM)
	if err != nil {
		return err
	}
	r := &s.cur().regs[in.Dst]
	r.Scalar = zero
	r.unlink()
	dst.Scalar = ones
	return nil
}

// linkDelta keeps dst linked to what it was copied from if a constant is added to it, and unlinks it
// otherwise (adjust_reg_min_max_vals).
func (v *verifier) linkDelta(in *insn, dst, src *reg) {
	info := in.info
	add := info.ALU == asm.Add || info.ALU == asm.Sub
	same := info.Source == asm.RegSource && in.Dst == in.Src
	if !add || dst.id == 0 || !src.isConst() || same {
		dst.unlink()
		return
	}
	delta := int64(src.Tnum.Value)
	if !info.Wide {
		delta = int64(int32(delta))
	}
	if info.ALU == asm.Sub {
		if delta == -1<<31 {
			dst.unlink()
			return
		}
		delta = -delta
	}
	if dst.link != 0 || delta != int64(int32(delta)) || !info.Wide && dst.U64.Max > 1<<32-1 {
		dst.unlink()
		return
	}
	dst.off, dst.link = int32(delta), linkAdd64
	if !info.Wide {
		dst.link = linkAdd32
	}
}

// move copies a register or an immediate.
func (v *verifier) move(in *insn, dst, src *reg) error {
	if in.info.Source == asm.ImmSource {
		c := uint64(in.Imm)
		if !in.info.Wide {
			c = uint64(uint32(in.Imm))
		}
		*dst = constReg(c)
		return nil
	}
	if in.info.Wide {
		v.shareID(src)
		*dst = *src
		return nil
	}
	if src.isPointer() {
		if !v.leaks {
			return v.failReg(in.Src, CodePtrLeak, errnoEACCES, "copy of the lower half of a pointer")
		}
		*dst = unknownReg()
	} else {
		small := src.U64.Max <= 1<<32-1
		if small {
			v.shareID(src)
		}
		*dst = *src
		if !small {
			dst.unlink()
		}
	}
	domain.Linux.ALUTo(asm.Mov, false, &dst.Scalar, &dst.Scalar)
	return nil
}

// shareID gives a number that is copied an identity, so that what is learned of one copy is known of
// the others (assign_scalar_id_before_mov).
func (v *verifier) shareID(r *reg) {
	if r.kind != scalar {
		return
	}
	if r.link != 0 {
		r.unlink()
	}
	if r.id == 0 && r.Tnum.Mask != 0 {
		r.id = v.nextID()
	}
}

// checkNeg executes dst = -dst.
func (v *verifier) checkNeg(in *insn) error {
	dst, err := v.unary(in)
	if err != nil || dst == nil {
		return err
	}
	dst.unlink()
	dst.Scalar = domain.Linux.Neg(in.info.Wide, dst.Scalar)
	return nil
}

// checkSwap executes a conversion of the byte order.
func (v *verifier) checkSwap(in *insn) error {
	dst, err := v.unary(in)
	if err != nil || dst == nil {
		return err
	}
	n := uint(in.info.Bits)
	if in.kind == asm.KindToLE { // programs see a little-endian machine
		if n != 64 {
			dst.unlink()
			dst.Scalar = domain.Linux.Truncate(dst.Scalar, n)
		}
		return nil
	}
	dst.unlink()
	dst.Scalar = domain.Linux.BSwap(dst.Scalar, n)
	if n < 64 {
		dst.Scalar = domain.Linux.Truncate(dst.Scalar, n)
	}
	return nil
}

// unary returns the operand of an instruction with one. A pointer becomes an unknown number,
// and the register that is returned is nil.
func (v *verifier) unary(in *insn) (*reg, error) {
	if _, err := v.readReg(in.Dst); err != nil {
		return nil, err
	}
	dst, err := v.writeReg(in.Dst)
	if err != nil {
		return nil, err
	}
	if !dst.isPointer() {
		return dst, nil
	}
	if !v.leaks {
		return nil, v.failReg(in.Dst, CodePtrLeak, errnoEACCES, "%s: arithmetic on a pointer is not for programs without CAP_PERFMON", in.Dst)
	}
	*dst = unknownReg()
	return nil, nil
}

// checkMovSX executes a move that extends the sign.
func (v *verifier) checkMovSX(in *insn) error {
	src, err := v.readReg(in.Src)
	if err != nil {
		return err
	}
	dst, err := v.writeReg(in.Dst)
	if err != nil {
		return err
	}
	n := uint(in.info.Bits)
	if src.isPointer() {
		if !v.leaks {
			return v.failReg(in.Src, CodePtrLeak, errnoEACCES, "sign-extension of a part of a pointer")
		}
		*dst = unknownReg() // of which Linux forgets what the sign extension says
		if !in.info.Wide {
			dst.Scalar = domain.Linux.Truncate(dst.Scalar, 32)
		}
		return nil
	}
	same := src.U64.Max < 1<<(n-1)
	if same {
		v.shareID(src)
	}
	*dst = *src
	if !same {
		dst.unlink()
	}
	dst.Scalar = domain.Linux.MovSX(in.info.Wide, dst.Scalar, n)
	return nil
}

// checkCast executes a move between the address spaces of an arena.
func (v *verifier) checkCast(in *insn) error {
	src, err := v.readReg(in.Src)
	if err != nil {
		return err
	}
	dst, err := v.writeReg(in.Dst)
	if err != nil {
		return err
	}
	if !v.usesArena {
		return v.fail(CodeArena, errnoEINVAL, "addr_space_cast in a program without an arena")
	}
	if src.isPointer() && src.kind != ptrArena && !v.leaks {
		return v.failReg(in.Src, CodePtrLeak, errnoEACCES, "address of the kernel made one of user space")
	}
	r := unknownReg()
	if in.Imm == 1 { // address space 1 to 0: the kernel's view
		r = reg{kind: ptrArena, Scalar: domain.Unknown()}
	}
	*dst = r
	return nil
}
