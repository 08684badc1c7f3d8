package amd64

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// Assembler collects machine code. The zero value is ready for use.
type Assembler struct {
	Code   []byte
	labels []int32 // where each label is, -1 while it is not known
	fixups []fixup
}

const (
	rexW      = 8
	opSizeFix = 0x66
	repPrefix = 0xf3
	twoByte   = 0x0f
)

// put appends the lowest n bytes of v, lowest first. N is at most 8.
func (a *Assembler) put(v uint64, n int) {
	at := len(a.Code)
	if cap(a.Code)-at < 8 {
		a.grow()
	}
	binary.LittleEndian.PutUint64(a.Code[at:at+8], v)
	a.Code = a.Code[:at+n]
}

// grow makes room for more code.
func (a *Assembler) grow() { a.Code = slices.Grow(a.Code, 256) }

func (a *Assembler) byte(b byte) { a.put(uint64(b), 1) }

func (a *Assembler) imm32(v int32) { a.put(uint64(uint32(v)), 4) }

// high returns the bit of a register number that goes into a REX prefix.
func high(r Reg) byte { return byte(r) >> 3 & 1 }

// start returns REX prefix and opcode of one or, below 0x0f00, two bytes, as put takes them.
func start(rex byte, op uint16) (v uint64, n int) {
	v, n = uint64(op), 1
	if op>>8 != 0 {
		v, n = uint64(op>>8|op<<8), 2
	}
	prefix := 0 // without a branch: every other instruction has one
	if rex != 0 {
		prefix = 1
	}
	return v<<(8*prefix) | uint64(0x40|rex&0xf)&-uint64(prefix), n + prefix
}

func (a *Assembler) opcode(rex byte, op uint16) { a.put(start(rex, op)) }

func (w Width) rex() byte {
	if w {
		return rexW
	}
	return 0
}

// forceREX makes SPL, BPL, SIL and DIL reachable, which without a REX prefix are AH to BH.
const forceREX = 0x40

func byteREX(r Reg) byte {
	if r >= RSP && r <= RDI {
		return forceREX
	}
	return 0
}

// rr encodes op with reg in the reg field and rm in the r/m field.
func (a *Assembler) rr(rex byte, op uint16, reg, rm Reg) { a.put(registers(rex, op, reg, rm)) }

// registers is what rr encodes, as put takes it.
func registers(rex byte, op uint16, reg, rm Reg) (v uint64, n int) {
	v, n = start(rex|high(reg)<<2|high(rm), op)
	return v | uint64(0xc0|byte(reg)&7<<3|byte(rm)&7)<<(8*n), n + 1
}

// rr8 is rr with an immediate of one byte.
func (a *Assembler) rr8(rex byte, op uint16, reg, rm Reg, imm byte) {
	v, n := registers(rex, op, reg, rm)
	a.put(v|uint64(imm)<<(8*n), n+1)
}

// rr32 is rr with an immediate of four bytes, for an op of one.
func (a *Assembler) rr32(rex byte, op uint8, reg, rm Reg, imm int32) {
	v, n := registers(rex, uint16(op), reg, rm)
	a.put(v|uint64(uint32(imm))<<(8*n), n+4)
}

// rm encodes op with reg in the reg field and m in the r/m field.
func (a *Assembler) rm(rex byte, op uint16, reg Reg, m Mem) {
	v, n := start(rex|m.rex(reg), op)
	a.operand(v, n, reg, m)
}

// rex returns the bits of a REX prefix for the registers of an instruction.
func (m Mem) rex(reg Reg) byte {
	rex := high(reg)<<2 | high(m.Base)
	if m.Index != NoReg {
		rex |= high(m.Index) << 1
	}
	return rex
}

// operand encodes ModRM, SIB and displacement behind the n bytes of v. RSP and R12 as base
// need a SIB byte; RBP and R13 have no form without displacement.
func (a *Assembler) operand(v uint64, n int, reg Reg, m Mem) {
	mod := byte(0x80)
	switch {
	case m.Disp == 0 && m.Base&7 != RBP:
		mod = 0
	case m.Disp == int32(int8(m.Disp)):
		mod = 0x40
	}
	field := mod | byte(reg)&7<<3
	switch {
	case m.Index != NoReg:
		sib := scaleBits(m.Scale) | byte(m.Index)&7<<3 | byte(m.Base)&7
		v, n = v|uint64(uint16(field|4)|uint16(sib)<<8)<<(8*n), n+2
	case m.Base&7 == RSP:
		v, n = v|uint64(uint16(field|4)|0x2400)<<(8*n), n+2
	default:
		v, n = v|uint64(field|byte(m.Base)&7)<<(8*n), n+1
	}
	if mod == 0x40 {
		v, n = v|uint64(byte(m.Disp))<<(8*n), n+1
	}
	a.put(v, n)
	if mod == 0x80 {
		a.imm32(m.Disp)
	}
}

// scaleBits returns the field of a SIB byte for a scale of 1, 2, 4 or 8, or 0 where it does not matter.
func scaleBits(scale uint8) byte { return byte(bits.TrailingZeros8(scale)) << 6 }

// RR is op dst, src.
func (a *Assembler) RR(op ALU, w Width, dst, src Reg) { a.rr(w.rex(), uint16(op)<<3|1, src, dst) }

// RI is op dst, imm, sign-extended.
func (a *Assembler) RI(op ALU, w Width, dst Reg, imm int32) {
	switch {
	case imm == int32(int8(imm)):
		a.rr8(w.rex(), 0x83, Reg(op), dst, byte(imm))
	case dst == RAX:
		a.opcode(w.rex(), uint16(op)<<3|5)
		a.imm32(imm)
	default:
		a.rr32(w.rex(), 0x81, Reg(op), dst, imm)
	}
}

// RM is op dst, [m].
func (a *Assembler) RM(op ALU, w Width, dst Reg, m Mem) { a.rm(w.rex(), uint16(op)<<3|3, dst, m) }

// MR is op [m], src on size bytes (1, 2, 4 or 8).
func (a *Assembler) MR(op ALU, size int, m Mem, src Reg) {
	switch size {
	case 1:
		a.rm(byteREX(src), uint16(op)<<3, src, m)
		return
	case 2:
		a.byte(opSizeFix)
	}
	a.rm(Width(size == 8).rex(), uint16(op)<<3|1, src, m)
}

// MI is op [m], imm on size bytes (1, 2, 4 or 8): with the lowest bytes of imm, sign-extended.
func (a *Assembler) MI(op ALU, size int, m Mem, imm int32) {
	n, short := min(size, 4), imm == int32(int8(imm))
	code := uint16(0x81)
	switch {
	case size == 1:
		code = 0x80
	case short:
		code, n = 0x83, 1
	}
	if size == 2 {
		a.byte(opSizeFix)
	}
	a.rm(Width(size == 8).rex(), code, Reg(op), m)
	a.put(uint64(uint32(imm))&(1<<(8*n)-1), n)
}

// Mov is mov dst, src.
func (a *Assembler) Mov(w Width, dst, src Reg) { a.rr(w.rex(), 0x89, src, dst) }

// MovImm makes dst hold v, in as few bytes as possible. It leaves the flags alone.
func (a *Assembler) MovImm(dst Reg, v uint64) {
	switch {
	case v>>32 == 0:
		code, n := start(high(dst), uint16(0xb8|byte(dst)&7))
		a.put(code|v<<(8*n), n+4)
	case int64(v) == int64(int32(v)):
		a.rr32(rexW, 0xc7, 0, dst, int32(v))
	default:
		a.opcode(rexW|high(dst), uint16(0xb8|byte(dst)&7))
		a.put(v, 8)
	}
}

// Load reads size bytes (1, 2, 4 or 8), extended to 64 bits with zeros or the sign.
func (a *Assembler) Load(size int, signed bool, dst Reg, m Mem) {
	switch size {
	case 1:
		a.rm(extendREX(signed), extendOp(0x0fb6, signed), dst, m)
	case 2:
		a.rm(extendREX(signed), extendOp(0x0fb7, signed), dst, m)
	case 4:
		if signed {
			a.rm(rexW, 0x63, dst, m)
			return
		}
		a.rm(0, 0x8b, dst, m)
	default:
		a.rm(rexW, 0x8b, dst, m)
	}
}

// extendOp turns the opcode of movzx into that of movsx.
func extendOp(op uint16, signed bool) uint16 {
	if signed {
		op += 8
	}
	return op
}

func extendREX(signed bool) byte { return Width(signed).rex() }

// Store writes the low size bytes (1, 2, 4 or 8) of src.
func (a *Assembler) Store(size int, m Mem, src Reg) {
	switch size {
	case 1:
		a.rm(byteREX(src), 0x88, src, m)
	case 2:
		a.byte(opSizeFix)
		a.rm(0, 0x89, src, m)
	case 4:
		a.rm(0, 0x89, src, m)
	default:
		a.rm(rexW, 0x89, src, m)
	}
}

// StoreImm writes the low size bytes (1, 2, 4 or 8) of imm, sign-extended.
func (a *Assembler) StoreImm(size int, m Mem, imm int32) {
	switch size {
	case 1:
		a.rm(0, 0xc6, 0, m)
		a.byte(byte(imm))
	case 2:
		a.byte(opSizeFix)
		a.rm(0, 0xc7, 0, m)
		a.put(uint64(uint16(imm)), 2)
	case 4:
		a.rm(0, 0xc7, 0, m)
		a.imm32(imm)
	default:
		a.rm(rexW, 0xc7, 0, m)
		a.imm32(imm)
	}
}

// Extend is movzx or movsx of the low size bytes (1, 2 or, signed only, 4) of src.
func (a *Assembler) Extend(size int, signed bool, w Width, dst, src Reg) {
	switch size {
	case 1:
		a.rr(w.rex()|byteREX(src), extendOp(0x0fb6, signed), dst, src)
	case 2:
		a.rr(w.rex(), extendOp(0x0fb7, signed), dst, src)
	default:
		a.rr(w.rex(), 0x63, dst, src)
	}
}

// Lea is lea dst, [m].
func (a *Assembler) Lea(w Width, dst Reg, m Mem) { a.rm(w.rex(), 0x8d, dst, m) }

// LeaScaled is lea dst, [index*scale + disp].
func (a *Assembler) LeaScaled(w Width, dst, index Reg, scale uint8, disp int32) {
	a.opcode(w.rex()|high(dst)<<2|high(index)<<1, 0x8d)
	a.byte(byte(dst)&7<<3 | 4)
	a.byte(scaleBits(scale) | byte(index)&7<<3 | 5)
	a.imm32(disp)
}

// Test is test x, y.
func (a *Assembler) Test(w Width, x, y Reg) { a.rr(w.rex(), 0x85, y, x) }

// TestImm is test x, imm, sign-extended.
func (a *Assembler) TestImm(w Width, x Reg, imm int32) {
	if x == RAX {
		a.opcode(w.rex(), 0xa9)
		a.imm32(imm)
		return
	}
	a.rr32(w.rex(), 0xf7, 0, x, imm)
}

// ShiftImm is op dst, count.
func (a *Assembler) ShiftImm(op Shift, w Width, dst Reg, count uint8) {
	if count == 1 {
		a.rr(w.rex(), 0xd1, Reg(op), dst)
		return
	}
	a.rr8(w.rex(), 0xc1, Reg(op), dst, count)
}

// ShiftCL is op dst, cl.
func (a *Assembler) ShiftCL(op Shift, w Width, dst Reg) { a.rr(w.rex(), 0xd3, Reg(op), dst) }

// Unary is op r.
func (a *Assembler) Unary(op Unary, w Width, r Reg) { a.rr(w.rex(), 0xf7, Reg(op), r) }

// SignExtendRAX is cdq or cqo: RDX becomes the sign of RAX.
func (a *Assembler) SignExtendRAX(w Width) { a.opcode(w.rex(), 0x99) }

// IMul is imul dst, src.
func (a *Assembler) IMul(w Width, dst, src Reg) { a.rr(w.rex(), 0x0faf, dst, src) }

// IMulMem is imul dst, [m].
func (a *Assembler) IMulMem(w Width, dst Reg, m Mem) { a.rm(w.rex(), 0x0faf, dst, m) }

// IMulImm is imul dst, src, imm.
func (a *Assembler) IMulImm(w Width, dst, src Reg, imm int32) {
	if imm == int32(int8(imm)) {
		a.rr8(w.rex(), 0x6b, dst, src, byte(imm))
		return
	}
	a.rr32(w.rex(), 0x69, dst, src, imm)
}

// Popcnt is popcnt dst, src. It needs POPCNT.
func (a *Assembler) Popcnt(w Width, dst, src Reg) {
	a.byte(repPrefix)
	a.rr(w.rex(), 0x0fb8, dst, src)
}

// BSwap reverses the bytes of r.
func (a *Assembler) BSwap(w Width, r Reg) {
	a.opcode(w.rex()|high(r), 0x0fc8|uint16(r)&7)
}

// Swap16 reverses the low two bytes of r and leaves the others.
func (a *Assembler) Swap16(r Reg) {
	a.byte(opSizeFix)
	a.rr8(0, 0xc1, Reg(Ror), r, 8)
}

// CMov is cmov dst, src.
func (a *Assembler) CMov(c Cond, w Width, dst, src Reg) { a.rr(w.rex(), 0x0f40|uint16(c), dst, src) }
