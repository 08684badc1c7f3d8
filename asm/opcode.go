package asm

import "fmt"

// Register is one of the eleven registers of a program.
type Register uint8

// The registers and their roles in calls (RFC 9669, section 2.1).
const (
	R0  Register = iota // return value
	R1                  // first argument; the context at entry
	R2                  // second argument
	R3                  // third argument
	R4                  // fourth argument
	R5                  // fifth argument
	R6                  // callee saved
	R7                  // callee saved
	R8                  // callee saved
	R9                  // callee saved
	R10                 // frame pointer, read only
	RFP = R10

	// NumRegisters is how many registers a program has.
	NumRegisters = 11
)

// String returns the register as "r0" to "r10".
func (r Register) String() string {
	if int(r) < len(registerNames) {
		return registerNames[r]
	}
	return fmt.Sprintf("r%d", uint8(r))
}

var registerNames = [NumRegisters]string{"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10"}

// Opcode is the first byte of an instruction (RFC 9669, section 3).
type Opcode uint8

// Class is the lowest three bits of an opcode (RFC 9669, section 3.1).
type Class uint8

// The instruction classes.
const (
	ClassLD    Class = 0x00
	ClassLDX   Class = 0x01
	ClassST    Class = 0x02
	ClassSTX   Class = 0x03
	ClassALU   Class = 0x04
	ClassJMP   Class = 0x05
	ClassJMP32 Class = 0x06
	ClassALU64 Class = 0x07
)

// Class returns the class of op.
func (op Opcode) Class() Class { return Class(op & 0x07) }

// Source says where the second operand of an arithmetic or jump instruction is.
type Source uint8

// The two operand sources.
const (
	ImmSource Source = 0x00 // the imm field (K)
	RegSource Source = 0x08 // the src register (X)
)

// Size is the width of a memory access.
type Size uint8

// The access widths, as they stand in load and store opcodes.
const (
	Word  Size = 0x00 // 4 bytes
	Half  Size = 0x08 // 2 bytes
	Byte  Size = 0x10 // 1 byte
	DWord Size = 0x18 // 8 bytes
)

// Bytes returns the width in bytes: 1, 2, 4 or 8.
func (s Size) Bytes() int { return [4]int{4, 2, 1, 8}[s>>3&3] }

// String returns the width as C-like text has it: "u8" to "u64".
func (s Size) String() string { return [4]string{"u32", "u16", "u8", "u64"}[s>>3&3] }

// Mode is how a load or store finds its operand (RFC 9669, section 5).
type Mode uint8

// The modes of loads and stores.
const (
	ImmMode    Mode = 0x00 // 64-bit immediate
	AbsMode    Mode = 0x20 // packet byte at a constant, as in classic BPF
	IndMode    Mode = 0x40 // packet byte at a register plus a constant
	MemMode    Mode = 0x60 // memory
	MemSXMode  Mode = 0x80 // memory, sign-extended to 64 bits
	AtomicMode Mode = 0xc0 // atomic read-modify-write, load-acquire, store-release
)

// ALUOp is an arithmetic operation of two operands. The high byte is the
// offset field that tells signed division and modulo from unsigned.
type ALUOp uint16

// The arithmetic operations (RFC 9669, section 4.1).
const (
	Add  ALUOp = 0x00
	Sub  ALUOp = 0x10
	Mul  ALUOp = 0x20
	Div  ALUOp = 0x30
	Or   ALUOp = 0x40
	And  ALUOp = 0x50
	LSh  ALUOp = 0x60
	RSh  ALUOp = 0x70
	Mod  ALUOp = 0x90
	Xor  ALUOp = 0xa0
	Mov  ALUOp = 0xb0
	ArSh ALUOp = 0xc0
	SDiv ALUOp = 0x0130
	SMod ALUOp = 0x0190

	aluNeg = 0x80
	aluEnd = 0xd0
)

var aluNames = map[ALUOp]string{
	Add: "add", Sub: "sub", Mul: "mul", Div: "div", Or: "or", And: "and", LSh: "lsh", RSh: "rsh",
	Mod: "mod", Xor: "xor", Mov: "mov", ArSh: "arsh", SDiv: "sdiv", SMod: "smod",
}

// String returns the operation's mnemonic, "add" to "smod".
func (op ALUOp) String() string {
	if s, ok := aluNames[op]; ok {
		return s
	}
	return fmt.Sprintf("alu(%#x)", uint16(op))
}

// JumpOp is the condition of a conditional jump.
type JumpOp uint8

// The conditions (RFC 9669, section 4.3). S stands for signed.
const (
	JEq  JumpOp = 0x10
	JGT  JumpOp = 0x20
	JGE  JumpOp = 0x30
	JSet JumpOp = 0x40 // dst & src is not zero
	JNE  JumpOp = 0x50
	JSGT JumpOp = 0x60
	JSGE JumpOp = 0x70
	JLT  JumpOp = 0xa0
	JLE  JumpOp = 0xb0
	JSLT JumpOp = 0xc0
	JSLE JumpOp = 0xd0

	jumpJA    = 0x00
	jumpCall  = 0x80
	jumpExit  = 0x90
	jumpJCond = 0xe0
)

var jumpNames = map[JumpOp]string{
	JEq: "jeq", JGT: "jgt", JGE: "jge", JSet: "jset", JNE: "jne", JSGT: "jsgt", JSGE: "jsge",
	JLT: "jlt", JLE: "jle", JSLT: "jslt", JSLE: "jsle",
}

// String returns the condition's mnemonic, "jeq" to "jsle".
func (op JumpOp) String() string {
	if s, ok := jumpNames[op]; ok {
		return s
	}
	return fmt.Sprintf("jump(%#x)", uint8(op))
}

// AtomicOp is the operation of an atomic instruction, as its imm field has it
// (RFC 9669, section 5.3; load-acquire and store-release: Linux 6.15).
type AtomicOp int32

// The atomic operations. The fetching ones return the old value in src
// (compare-and-exchange: in r0).
const (
	AtomicAdd      AtomicOp = 0x00
	AtomicOr       AtomicOp = 0x40
	AtomicAnd      AtomicOp = 0x50
	AtomicXor      AtomicOp = 0xa0
	AtomicFetchAdd AtomicOp = 0x01
	AtomicFetchOr  AtomicOp = 0x41
	AtomicFetchAnd AtomicOp = 0x51
	AtomicFetchXor AtomicOp = 0xa1
	AtomicXchg     AtomicOp = 0xe1
	AtomicCmpXchg  AtomicOp = 0xf1

	atomicLoadAcquire  AtomicOp = 0x100
	atomicStoreRelease AtomicOp = 0x110
)

var atomicNames = map[AtomicOp]string{
	AtomicAdd: "add", AtomicOr: "or", AtomicAnd: "and", AtomicXor: "xor",
	AtomicFetchAdd: "fetch_add", AtomicFetchOr: "fetch_or", AtomicFetchAnd: "fetch_and", AtomicFetchXor: "fetch_xor",
	AtomicXchg: "xchg", AtomicCmpXchg: "cmpxchg",
	atomicLoadAcquire: "load_acquire", atomicStoreRelease: "store_release",
}

// Fetch reports whether the operation returns the value that was in memory.
func (op AtomicOp) Fetch() bool { return op&1 != 0 }

// String returns the operation's name, "add" to "store_release".
func (op AtomicOp) String() string {
	if s, ok := atomicNames[op]; ok {
		return s
	}
	return fmt.Sprintf("atomic(%#x)", int32(op))
}

// Pseudo is the src field of a 64-bit immediate load: what its imm stands for
// (RFC 9669, section 5.4, and enum bpf_pseudo in the UAPI).
type Pseudo = Register

// The kinds of 64-bit immediate.
const (
	PseudoNone        Pseudo = 0 // a plain number
	PseudoMapFD       Pseudo = 1 // imm: a map's file descriptor
	PseudoMapValue    Pseudo = 2 // imm: a map's file descriptor, next imm: offset into its first value
	PseudoBTFID       Pseudo = 3 // imm: BTF id of a kernel variable
	PseudoFunc        Pseudo = 4 // imm: offset in slots to a subprogram
	PseudoMapIdx      Pseudo = 5 // as PseudoMapFD, imm: index into a table of maps
	PseudoMapIdxValue Pseudo = 6 // as PseudoMapValue, imm: index into a table of maps
)

// The src field of a call: what its imm stands for.
const (
	callHelper Register = 0
	callLocal  Register = 1
	callKfunc  Register = 2
)
