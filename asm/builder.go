package asm

// The builder: one function or method an instruction, named as in cilium/ebpf
// where it has one. What an instruction cannot have, its function does not take.

func (op ALUOp) build(class Class, source Source, dst, src Register, imm int32) Instruction {
	return Instruction{Op: Opcode(op) | Opcode(class) | Opcode(source), Dst: dst, Src: src, Off: int16(op >> 8), Imm: int64(imm)}
}

// Imm returns dst op= value, on 64 bits. The value is sign-extended.
func (op ALUOp) Imm(dst Register, value int32) Instruction {
	return op.build(ClassALU64, ImmSource, dst, 0, value)
}

// Reg returns dst op= src, on 64 bits.
func (op ALUOp) Reg(dst, src Register) Instruction {
	return op.build(ClassALU64, RegSource, dst, src, 0)
}

// Imm32 returns dst op= value on the lower 32 bits; the upper ones become zero.
func (op ALUOp) Imm32(dst Register, value int32) Instruction {
	return op.build(ClassALU, ImmSource, dst, 0, value)
}

// Reg32 returns dst op= src on the lower 32 bits; the upper ones become zero.
func (op ALUOp) Reg32(dst, src Register) Instruction {
	return op.build(ClassALU, RegSource, dst, src, 0)
}

// Neg returns dst = -dst.
func Neg(dst Register) Instruction { return Instruction{Op: aluNeg | Opcode(ClassALU64), Dst: dst} }

// Neg32 returns dst = -dst on the lower 32 bits; the upper ones become zero.
func Neg32(dst Register) Instruction { return Instruction{Op: aluNeg | Opcode(ClassALU), Dst: dst} }

// SignedSize is the width that a sign-extending move or load reads.
type SignedSize uint8

// The widths that can be sign-extended.
const (
	SX8  SignedSize = 8
	SX16 SignedSize = 16
	SX32 SignedSize = 32
)

// Mov returns dst = src, the low bits of it sign-extended to 64.
func (s SignedSize) Mov(dst, src Register) Instruction {
	ins := Mov.Reg(dst, src)
	ins.Off = int16(s)
	return ins
}

// Mov32 returns dst = src, the low bits of it sign-extended to 32; the upper
// half becomes zero. For SX32 that is a plain 32-bit move.
func (s SignedSize) Mov32(dst, src Register) Instruction {
	ins := Mov.Reg32(dst, src)
	if s != SX32 {
		ins.Off = int16(s)
	}
	return ins
}

// Load returns dst = *(src + off), sign-extended to 64 bits.
func (s SignedSize) Load(dst, src Register, off int16) Instruction {
	size := map[SignedSize]Size{SX8: Byte, SX16: Half, SX32: Word}[s]
	return Instruction{Op: Opcode(ClassLDX) | Opcode(MemSXMode) | Opcode(size), Dst: dst, Src: src, Off: off}
}

// SwapBits is the width that a byte-order conversion works on; the bits above
// it become zero.
type SwapBits uint8

// The widths that can be converted.
const (
	Bits16 SwapBits = 16
	Bits32 SwapBits = 32
	Bits64 SwapBits = 64
)

// ToLE returns dst = the low bits of dst in little-endian order.
func ToLE(dst Register, bits SwapBits) Instruction {
	return Instruction{Op: aluEnd | Opcode(ClassALU), Dst: dst, Imm: int64(bits)}
}

// ToBE returns dst = the low bits of dst in big-endian order.
func ToBE(dst Register, bits SwapBits) Instruction {
	return Instruction{Op: aluEnd | Opcode(ClassALU) | Opcode(RegSource), Dst: dst, Imm: int64(bits)}
}

// BSwap returns dst = the low bits of dst in reverse byte order.
func BSwap(dst Register, bits SwapBits) Instruction {
	return Instruction{Op: aluEnd | Opcode(ClassALU64), Dst: dst, Imm: int64(bits)}
}

// AddrSpaceCastUser returns dst = src, a kernel arena pointer made a user one.
func AddrSpaceCastUser(dst, src Register) Instruction {
	return Instruction{Op: Opcode(Mov) | Opcode(ClassALU64) | Opcode(RegSource), Dst: dst, Src: src, Off: 1, Imm: 1 << 16}
}

// AddrSpaceCastKernel returns dst = src, a user arena pointer made a kernel one.
func AddrSpaceCastKernel(dst, src Register) Instruction {
	return Instruction{Op: Opcode(Mov) | Opcode(ClassALU64) | Opcode(RegSource), Dst: dst, Src: src, Off: 1, Imm: 1}
}

func loadImm64(dst Register, kind Pseudo, imm int64) Instruction {
	return Instruction{Op: opLoadImm64, Dst: dst, Src: kind, Imm: imm}
}

// LoadImm returns dst = value, in two slots.
func LoadImm(dst Register, value int64) Instruction { return loadImm64(dst, PseudoNone, value) }

// LoadMapPtr returns dst = the map of that name.
func LoadMapPtr(dst Register, name string) Instruction {
	return loadImm64(dst, PseudoMapFD, 0).WithReference(name)
}

// LoadMapValue returns dst = the address of the byte at off in the first value
// of the map of that name.
func LoadMapValue(dst Register, name string, off uint32) Instruction {
	return loadImm64(dst, PseudoMapValue, int64(off)<<32).WithReference(name)
}

// LoadFunc returns dst = the address of the subprogram with that label.
func LoadFunc(dst Register, label string) Instruction {
	return loadImm64(dst, PseudoFunc, 0).WithReference(label)
}

// LoadMem returns dst = *(src + off), zero-extended.
func LoadMem(dst, src Register, off int16, size Size) Instruction {
	return Instruction{Op: Opcode(ClassLDX) | Opcode(MemMode) | Opcode(size), Dst: dst, Src: src, Off: off}
}

// StoreMem returns *(dst + off) = src.
func StoreMem(dst Register, off int16, src Register, size Size) Instruction {
	return Instruction{Op: Opcode(ClassSTX) | Opcode(MemMode) | Opcode(size), Dst: dst, Src: src, Off: off}
}

// StoreImm returns *(dst + off) = value, sign-extended to the size.
func StoreImm(dst Register, off int16, value int32, size Size) Instruction {
	return Instruction{Op: Opcode(ClassST) | Opcode(MemMode) | Opcode(size), Dst: dst, Off: off, Imm: int64(value)}
}

// PacketSize is the width of a packet load.
type PacketSize uint8

// The widths of packet loads.
const (
	PacketByte = PacketSize(Byte)
	PacketHalf = PacketSize(Half)
	PacketWord = PacketSize(Word)
)

// LoadAbs returns r0 = the packet's big-endian number at off.
func LoadAbs(off int32, size PacketSize) Instruction {
	return Instruction{Op: Opcode(ClassLD) | Opcode(AbsMode) | Opcode(size), Imm: int64(off)}
}

// LoadInd returns r0 = the packet's big-endian number at src + off.
func LoadInd(src Register, off int32, size PacketSize) Instruction {
	return Instruction{Op: Opcode(ClassLD) | Opcode(IndMode) | Opcode(size), Src: src, Imm: int64(off)}
}

func (op AtomicOp) build(dst Register, off int16, src Register, size Size) Instruction {
	return Instruction{Op: Opcode(ClassSTX) | Opcode(AtomicMode) | Opcode(size), Dst: dst, Src: src, Off: off, Imm: int64(op)}
}

// Mem64 returns *(u64 *)(dst + off) op= src, atomically.
func (op AtomicOp) Mem64(dst Register, off int16, src Register) Instruction {
	return op.build(dst, off, src, DWord)
}

// Mem32 returns *(u32 *)(dst + off) op= src, atomically.
func (op AtomicOp) Mem32(dst Register, off int16, src Register) Instruction {
	return op.build(dst, off, src, Word)
}

// LoadAcquire returns dst = *(src + off), with acquire ordering.
func LoadAcquire(dst, src Register, off int16, size Size) Instruction {
	return atomicLoadAcquire.build(dst, off, src, size)
}

// StoreRelease returns *(dst + off) = src, with release ordering.
func StoreRelease(dst Register, off int16, src Register, size Size) Instruction {
	return atomicStoreRelease.build(dst, off, src, size)
}

func (op JumpOp) build(class Class, source Source, dst, src Register, imm int32, label string) Instruction {
	ins := Instruction{Op: Opcode(op) | Opcode(class) | Opcode(source), Dst: dst, Src: src, Imm: int64(imm)}
	return ins.WithReference(label)
}

// Imm returns if dst op value goto label, on 64 bits. The value is sign-extended.
func (op JumpOp) Imm(dst Register, value int32, label string) Instruction {
	return op.build(ClassJMP, ImmSource, dst, 0, value, label)
}

// Reg returns if dst op src goto label, on 64 bits.
func (op JumpOp) Reg(dst, src Register, label string) Instruction {
	return op.build(ClassJMP, RegSource, dst, src, 0, label)
}

// Imm32 returns if dst op value goto label, on the lower 32 bits.
func (op JumpOp) Imm32(dst Register, value int32, label string) Instruction {
	return op.build(ClassJMP32, ImmSource, dst, 0, value, label)
}

// Reg32 returns if dst op src goto label, on the lower 32 bits.
func (op JumpOp) Reg32(dst, src Register, label string) Instruction {
	return op.build(ClassJMP32, RegSource, dst, src, 0, label)
}

// Goto returns goto label, which must be within 32,767 slots.
func Goto(label string) Instruction {
	return Instruction{Op: jumpJA | Opcode(ClassJMP)}.WithReference(label)
}

// GotoLong returns gotol label, which may be any distance away.
func GotoLong(label string) Instruction {
	return Instruction{Op: jumpJA | Opcode(ClassJMP32)}.WithReference(label)
}

// MayGoto returns may_goto label: a jump that the runtime takes when the
// program has looped long enough.
func MayGoto(label string) Instruction {
	return Instruction{Op: jumpJCond | Opcode(ClassJMP)}.WithReference(label)
}

// Call returns a call of the helper.
func (fn BuiltinFunc) Call() Instruction {
	return Instruction{Op: jumpCall | Opcode(ClassJMP), Imm: int64(fn)}
}

// CallLocal returns a call of the subprogram with that label.
func CallLocal(label string) Instruction {
	return Instruction{Op: jumpCall | Opcode(ClassJMP), Src: callLocal}.WithReference(label)
}

// CallKfunc returns a call of the kernel function of that name.
func CallKfunc(name string) Instruction {
	return Instruction{Op: jumpCall | Opcode(ClassJMP), Src: callKfunc}.WithReference(name)
}

// Return returns exit: the frame's result is in r0.
func Return() Instruction { return Instruction{Op: jumpExit | Opcode(ClassJMP)} }
