// Package amd64 encodes the amd64 instructions that compiled programs are made of.
//
// An [Assembler] appends one instruction for each call of a method; operands come in
// the order of Intel's manuals, destination first. It knows no VEX encodings, so that the
// code runs on every amd64 machine and golang.org/x/arch reads all of it back: the
// tests pair each instruction with its bytes and that disassembly.
package amd64

// Reg is a general-purpose register, by hardware number.
type Reg uint8

// The registers.
const (
	RAX Reg = iota
	RCX
	RDX
	RBX
	RSP
	RBP
	RSI
	RDI
	R8
	R9
	R10
	R11
	R12
	R13
	R14
	R15

	NoReg Reg = 0xff // no index
)

// XReg is one of the vector registers, which serve to keep general ones for a moment.
type XReg uint8

// Mem is a memory operand: Base + Index*Scale + Disp.
type Mem struct {
	Base  Reg
	Index Reg // NoReg: none; never RSP
	Scale uint8
	Disp  int32
}

// At is the memory at base + disp.
func At(base Reg, disp int32) Mem { return Mem{Base: base, Index: NoReg, Disp: disp} }

// Width is the size of an operation's operands.
type Width bool

// The widths. A 32-bit operation clears the upper half of its destination.
const (
	W32 Width = false
	W64 Width = true
)

// ALU is an arithmetic operation of the first group, by its number in opcodes.
type ALU uint8

// The arithmetic operations that have all operand forms.
const (
	Add ALU = 0
	Or  ALU = 1
	And ALU = 4
	Sub ALU = 5
	Xor ALU = 6
	Cmp ALU = 7
)

// Shift is a shift or rotation, by its number in opcodes.
type Shift uint8

// The shifts.
const (
	Rol Shift = 0
	Ror Shift = 1
	Shl Shift = 4
	Shr Shift = 5
	Sar Shift = 7
)

// Unary is an operation of one register, by its number in opcodes. Mul, IMulWide, Div
// and IDiv have RDX:RAX as the other operand.
type Unary uint8

// The unary operations.
const (
	Not      Unary = 2
	Neg      Unary = 3
	Mul      Unary = 4
	IMulWide Unary = 5 // the whole product, of which IMul has half
	Div      Unary = 6
	IDiv     Unary = 7
)

// Cond is a condition of flags, by its number in opcodes.
type Cond uint8

// The conditions.
const (
	O  Cond = 0x0 // overflow
	B  Cond = 0x2 // below, unsigned
	AE Cond = 0x3
	E  Cond = 0x4
	NE Cond = 0x5
	BE Cond = 0x6
	A  Cond = 0x7 // above, unsigned
	S  Cond = 0x8 // negative
	NS Cond = 0x9
	L  Cond = 0xc // less, signed
	GE Cond = 0xd
	LE Cond = 0xe
	G  Cond = 0xf
)

// Not returns the opposite condition.
func (c Cond) Not() Cond { return c ^ 1 }
