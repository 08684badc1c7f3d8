package asm

import "strconv"

// String returns ins as llvm-objdump prints it: see [Objdump].
func (ins Instruction) String() string { return ins.Text(Objdump) }

// Text returns ins in the given dialect, on one line. A name that ins refers to
// (see [Instruction.Reference]) is written instead of the number. What is no
// instruction is "<unknown>", as llvm-objdump has it. Reserved fields are not
// shown: see [Instruction.Validate]. A dialect that there is not is as Objdump.
func (ins Instruction) Text(d Dialect) string {
	return string(ins.appendText(nil, d))
}

func (ins Instruction) appendText(b []byte, d Dialect) []byte {
	if d >= numDialects {
		d = Objdump
	}
	row, err := ins.Info()
	if err != nil {
		return append(b, "<unknown>"...)
	}
	for _, p := range d.syntax().pick(row, d, ins).parts {
		if p.field == fieldNone {
			b = append(b, p.text...)
			continue
		}
		b = appendField(b, d, p.field, ins)
	}
	return b
}

func appendField(b []byte, d Dialect, f field, ins Instruction) []byte {
	switch f {
	case fieldDst:
		return appendRegister(b, d, 'r', ins.Dst)
	case fieldSrc:
		return appendRegister(b, d, 'r', ins.Src)
	case fieldDst32:
		return appendRegister(b, d, 'w', ins.Dst)
	case fieldSrc32:
		return appendRegister(b, d, 'w', ins.Src)
	case fieldR0:
		return appendRegister(b, d, 'r', R0)
	case fieldW0:
		return appendRegister(b, d, 'w', R0)
	case fieldName, fieldLabel:
		return append(b, ins.Reference()...)
	case fieldJump, fieldCallee, fieldHelper:
		return appendTarget(b, d, f, ins)
	}
	return appendNumberField(b, d, f, ins)
}

func appendRegister(b []byte, d Dialect, prefix byte, r Register) []byte {
	if d == Mnemonic {
		b = append(b, '%')
	}
	return strconv.AppendUint(append(b, prefix), uint64(r), 10)
}

func appendNumberField(b []byte, d Dialect, f field, ins Instruction) []byte {
	decimal := d == Kernel || d == Mnemonic
	switch f {
	case fieldImm:
		if decimal {
			return strconv.AppendInt(b, int64(ins.ImmLo()), 10)
		}
		return appendHex(b, int64(ins.ImmLo()))
	case fieldImmNum:
		return strconv.AppendInt(b, int64(ins.ImmLo()), 10)
	case fieldImmHex:
		return appendHex(b, int64(uint32(ins.Imm)))
	case fieldImm64:
		if decimal {
			return strconv.AppendUint(append(b, "0x"...), uint64(ins.Imm), 16)
		}
		return appendHex(b, ins.Imm)
	case fieldImmRel:
		return appendSigned(b, int64(ins.ImmLo()))
	case fieldHi:
		return appendSigned(b, int64(uint32(ins.ImmHi())))
	case fieldHiNum:
		return strconv.AppendInt(b, int64(ins.ImmHi()), 10)
	case fieldOffNum:
		return strconv.AppendInt(b, int64(ins.Off), 10)
	case fieldImmOff:
		if d == Kernel {
			return strconv.AppendInt(append(b, "+ "...), int64(ins.ImmLo()), 10)
		}
		return appendOffset(b, int64(ins.ImmLo()))
	default: // fieldOff
		if decimal {
			return appendSigned(b, int64(ins.Off))
		}
		return appendOffset(b, int64(ins.Off))
	}
}

// appendTarget writes where a jump or call goes.
func appendTarget(b []byte, d Dialect, f field, ins Instruction) []byte {
	if f == fieldHelper {
		return appendHelper(b, d, BuiltinFunc(ins.ImmLo()))
	}
	if ref := ins.Reference(); ref != "" {
		return append(b, ref...)
	}
	distance, _ := ins.JumpOffset()
	if d == Objdump && f == fieldCallee {
		return appendHex(b, int64(distance))
	}
	if d == Kernel || f == fieldCallee {
		b = append(b, "pc"...)
	}
	if d == Kernel || d == Mnemonic {
		return appendSigned(b, int64(distance))
	}
	if distance >= 0 {
		b = append(b, '+')
	}
	return appendHex(b, int64(distance))
}

func appendHelper(b []byte, d Dialect, fn BuiltinFunc) []byte {
	name := fn.known()
	switch {
	case d == Kernel:
		switch {
		case fn == 0:
			name = "bpf_unspec"
		case name == "":
			name = "unknown"
		default:
			name = "bpf_" + name
		}
		return strconv.AppendInt(append(append(b, name...), '#'), int64(fn), 10)
	case d == Exact && name != "":
		return append(append(b, "bpf_"...), name...)
	case d == Mnemonic:
		return strconv.AppendInt(b, int64(fn), 10)
	}
	return appendHex(b, int64(fn))
}

// appendHex writes n as "0x1f" or "-0x1f".
func appendHex(b []byte, n int64) []byte {
	magnitude := uint64(n)
	if n < 0 {
		b, magnitude = append(b, '-'), -magnitude
	}
	return strconv.AppendUint(append(b, "0x"...), magnitude, 16)
}

// appendSigned writes n as "+31" or "-31".
func appendSigned(b []byte, n int64) []byte {
	if n >= 0 {
		b = append(b, '+')
	}
	return strconv.AppendInt(b, n, 10)
}

// appendOffset writes n as "+ 0x1f" or "- 0x1f".
func appendOffset(b []byte, n int64) []byte {
	if n < 0 {
		return appendHex(append(b, "- "...), -n)
	}
	return appendHex(append(b, "+ "...), n)
}
