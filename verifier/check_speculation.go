package verifier

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// Without CAP_PERFMON, what a processor does by speculation must not reach memory that the program
// may not read. Linux masks what is added to pointers to the bounds that the verifier has found, which
// asks that there be one such bound for an instruction. Nothing is masked here, but what Linux cannot
// mask it refuses, and so do we.

// masking is how Linux masks what an instruction adds to a pointer (bpf_insn_aux_data.alu_state and
// alu_limit).
type masking struct {
	number   bool // it adds numbers: no masking
	negative bool
	constant bool
	dstIsPtr bool
	limit    uint32
}

// checkSpeculative is what Linux asks of pointer arithmetic where speculative execution could carry
// it out of bounds (sanitize_ptr_alu, sanitize_check_bounds).
func (v *verifier) checkSpeculative(in *insn, dst, ptr, num *reg, dstIsPtr bool) error {
	masks := v.masks(in) && !v.cur.spec // a speculative path finds the mask as it is
	var mask masking
	left := false
	if masks {
		if !num.isConst() && (num.S64.Min < 0) != (num.S64.Max < 0) {
			return v.failReg(in.Dst, CodePtrUnbounded, errnoEACCES, "a number that may be negative or positive, added to a pointer without CAP_PERFMON")
		}
		negative := num.S64.Min < 0
		left = negative == (in.info.ALU == asm.Add)
		limit, err := v.maskLimit(in, ptr, left)
		if err != nil {
			return err
		}
		mask = masking{negative: negative, constant: num.isConst(), dstIsPtr: dstIsPtr, limit: limit}
		v.limitsMatter = v.limitsMatter || !mask.constant
	}
	if v.masks(in) && !num.isConst() {
		s, err := v.push(v.insnIdx+1, v.insnIdx, errnoENOMEM) // where masking makes it 0
		if err != nil {
			return err
		}
		s.spec = true
		s.cur().regs[in.Dst] = *ptr
	}
	switch dst.kind {
	case ptrStack:
		if !dst.Tnum.IsConst() {
			return v.failReg(in.Dst, CodeStackVarOff, errnoEACCES, "variable stack offset without CAP_PERFMON")
		}
		if off := int64(dst.off) + int64(dst.Tnum.Value); off < -prog.StackSize || off >= 0 {
			return v.failReg(in.Dst, CodePtrBounds, errnoEACCES, "stack pointer out of range without CAP_PERFMON")
		}
	case ptrMapValue:
		m := v.maps[dst.m]
		err := v.inRegion(dst, in.Dst, 0, 1, int64(m.ValueSize), CodeMapBounds)
		if err != nil || overlapped(m.fields, int64(dst.off)+dst.S64.Min, int64(dst.off)+int64(dst.U64.Max)+1) != nil {
			return v.failReg(in.Dst, CodeMapBounds, errnoEACCES, "pointer arithmetic of it goes out of range, prohibited without CAP_PERFMON")
		}
	}
	if !masks {
		return nil
	}
	limit, err := v.maskLimit(in, dst, left)
	if err != nil {
		return err
	}
	mask.limit = max(mask.limit, limit) - min(mask.limit, limit)
	return v.setMasking(in, mask)
}

// masks reports whether Linux masks in's operand.
func (v *verifier) masks(in *insn) bool {
	return !v.leaks && in.info.Source == asm.RegSource && in.mark&markBarrier == 0
}

// maskLimit returns how far a pointer may be moved (retrieve_ptr_limit).
func (v *verifier) maskLimit(in *insn, ptr *reg, left bool) (uint32, error) {
	var limit, most uint32
	switch ptr.kind {
	case ptrStack:
		limit, most = uint32(-(int64(ptr.Tnum.Value) + int64(ptr.off))), prog.StackSize
		if left {
			most++
		}
	case ptrMapValue:
		limit, most = uint32(ptr.U64.Max), v.maps[ptr.m].ValueSize
		if left {
			limit = uint32(ptr.S64.Min)
		}
		limit += uint32(ptr.off)
	default:
		return 0, v.failReg(in.Dst, CodePtrArith, errnoEACCES, "arithmetic on a pointer to %s with a number, without CAP_PERFMON", kindName(ptr))
	}
	if limit >= most {
		return 0, v.failReg(in.Dst, CodePtrArith, errnoEACCES, "arithmetic beyond the bounds of a pointer to %s, without CAP_PERFMON", kindName(ptr))
	}
	return limit, nil
}

// setMasking notes how an instruction is masked: all paths must agree (update_alu_sanitation_state).
func (v *verifier) setMasking(in *insn, mask masking) error {
	if v.maskings == nil {
		v.maskings = make(map[int]masking)
	}
	if was, ok := v.maskings[v.insnIdx]; ok && was != mask {
		return v.failReg(in.Dst, CodePtrArith, errnoEACCES, "%s: other pointers, bounds or numbers come here on other paths, without CAP_PERFMON", aluSign(in.info.ALU))
	}
	v.maskings[v.insnIdx] = mask
	return nil
}
