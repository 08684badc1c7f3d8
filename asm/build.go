package asm

import "math"

// build makes the instruction that a form and its operands stand for.
func (p *parser) build(f *form, operands []operand) (Instruction, error) {
	row := f.row
	ins := Instruction{Op: row.Opcode, Src: row.src, Off: row.off, Imm: int64(row.imm)}
	var seen Fields
	i := 0
	for _, part := range f.parts {
		if part.field == fieldNone {
			continue
		}
		o := operands[i]
		i++
		var err error
		switch part.field {
		case fieldDst, fieldDst32:
			err = p.setRegister(&ins.Dst, o, seen&FieldDst != 0)
			seen |= FieldDst
		case fieldSrc, fieldSrc32:
			err = p.setRegister(&ins.Src, o, seen&FieldSrc != 0)
			seen |= FieldSrc
		case fieldR0, fieldW0:
			if o.reg != R0 {
				err = p.unexpected(o.token, `"`+o.token.text[:len(o.token.text)-1]+`0"`)
			}
		case fieldName:
			ins = ins.WithReference(o.token.text)
		case fieldLabel:
			p.use(o.token, false)
		case fieldJump:
			err = p.setJump(&ins, o)
		case fieldHelper, fieldCallee:
			ins, err = p.call(o)
		default:
			err = p.setNumber(&ins, part.field, o)
		}
		if err != nil {
			return ins, err
		}
	}
	return ins, nil
}

// setRegister sets a register field, or checks it where the text has it twice.
func (p *parser) setRegister(r *Register, o operand, again bool) error {
	if again && *r != o.reg {
		return p.unexpected(o.token, "the same register as before: "+r.String())
	}
	*r = o.reg
	return nil
}

// use notes that the instruction being read refers to a label.
func (p *parser) use(t token, call bool) {
	p.uses = append(p.uses, labelUse{token: t, line: p.line, insn: len(p.insns), call: call})
}

func (p *parser) setNumber(ins *Instruction, f field, o operand) error {
	switch f {
	case fieldImm64:
		v, ok := o.num.value(64)
		if !ok {
			return p.unexpected(o.token, "a number in 64 bits")
		}
		ins.Imm = v
		return nil
	case fieldOff, fieldOffNum:
		v, ok := o.num.value(16)
		if !ok {
			return p.unexpected(o.token, "an offset from -32768 to 32767")
		}
		ins.Off = int16(v)
		return nil
	case fieldHi:
		if o.num.negative || o.num.magnitude > math.MaxUint32 {
			return p.unexpected(o.token, "an offset from 0 to 4294967295")
		}
		ins.Imm |= int64(o.num.magnitude << 32)
		return nil
	}
	v, ok := o.num.value(32)
	if !ok {
		return p.unexpected(o.token, "a number from -2147483648 to 2147483647, or hex digits in 32 bits")
	}
	switch {
	case f == fieldHiNum:
		ins.Imm |= v << 32
	case ins.Op == opLoadImm64:
		ins.Imm |= int64(uint32(v))
	default:
		ins.Imm = v
	}
	return nil
}

// setJump sets the distance of a jump or call, or notes its label.
func (p *parser) setJump(ins *Instruction, o operand) error {
	if !o.relative {
		p.use(o.token, false)
		return nil
	}
	bits := 16
	if ins.Op.Class() == ClassJMP32 && ins.Kind() == KindGoto || ins.Kind() == KindCallLocal {
		bits = 32
	}
	v, ok := o.num.value(bits)
	if !ok && bits == 16 {
		return p.unexpected(o.token, "a distance from -32768 to 32767")
	}
	if !ok {
		return p.unexpected(o.token, "a distance in 32 bits")
	}
	*ins, _ = ins.withJumpOffset(int(v))
	return nil
}

// call reads what a call is of: "1", "name", "name#1" or "pc+4".
func (p *parser) call(o operand) (Instruction, error) {
	num, ok := o.num.value(32)
	if o.token.kind == tokenNumbered {
		num, ok = o.token.num.value(32)
	}
	switch {
	case !ok:
		return Instruction{}, p.unexpected(o.token, "a number in 32 bits")
	case o.relative:
		return Instruction{Op: jumpCall | Opcode(ClassJMP), Src: callLocal, Imm: num}, nil
	case o.token.kind == tokenNumber:
		return BuiltinFunc(num).Call(), nil
	case o.token.kind == tokenWord:
		p.use(o.token, true)
		return CallLocal(""), nil
	case o.token.text == "unknown", o.token.text == "bpf_unspec": // numbers without a helper
		return BuiltinFunc(num).Call(), nil
	}
	// bpftool's number of a helper that is loaded is an address, not its number.
	if fn, helper := HelperByName(o.token.text); helper {
		return fn.Call(), nil
	}
	call := CallKfunc(o.token.text)
	call.Imm = num
	return call, nil
}
