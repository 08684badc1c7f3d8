package asm

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// SlotSize is the size in bytes of an instruction slot. A 64-bit immediate
// load takes two slots, every other instruction one. Jump offsets, call
// offsets and instruction numbers count slots.
const SlotSize = 8

const opLoadImm64 = Opcode(ClassLD) | Opcode(ImmMode) | Opcode(DWord)

// Instruction is one instruction. The zero value is no instruction.
type Instruction struct {
	Op  Opcode
	Dst Register
	Src Register
	Off int16
	// Imm is the imm field, sign-extended. A 64-bit immediate load has here the
	// imm of its first slot in the lower half and that of the second in the upper.
	Imm int64

	meta *metadata
}

// metadata is what an instruction carries beside its bytes.
type metadata struct {
	symbol    string
	reference string
}

// WithSymbol returns ins with a label: a name that jumps, calls and function
// pointers of the same Instructions can refer to.
func (ins Instruction) WithSymbol(name string) Instruction {
	return ins.withMeta(metadata{symbol: name, reference: ins.Reference()})
}

// Symbol returns the label of ins, "" if it has none.
func (ins Instruction) Symbol() string {
	if ins.meta == nil {
		return ""
	}
	return ins.meta.symbol
}

// WithReference returns ins with the name of what it refers to: the label of a
// jump or call, the name of a map, a function or a variable.
func (ins Instruction) WithReference(name string) Instruction {
	return ins.withMeta(metadata{symbol: ins.Symbol(), reference: name})
}

// Reference returns the name that ins refers to, "" if it has none.
func (ins Instruction) Reference() string {
	if ins.meta == nil {
		return ""
	}
	return ins.meta.reference
}

// withMeta keeps instructions without names comparable with ==.
func (ins Instruction) withMeta(m metadata) Instruction {
	ins.meta = nil
	if m != (metadata{}) {
		ins.meta = &m
	}
	return ins
}

// Slots returns how many slots ins takes: 2 for a 64-bit immediate load, else 1.
func (ins Instruction) Slots() int {
	if ins.Op == opLoadImm64 {
		return 2
	}
	return 1
}

// ImmLo returns the imm field of the first slot.
func (ins Instruction) ImmLo() int32 { return int32(ins.Imm) }

// ImmHi returns the imm field of the second slot of a 64-bit immediate load.
func (ins Instruction) ImmHi() int32 { return int32(ins.Imm >> 32) }

// JumpOffset returns the distance in slots, from the slot behind ins, of a jump,
// a local call or a function pointer, and whether ins is one of these.
func (ins Instruction) JumpOffset() (int32, bool) {
	switch ins.Kind() {
	case KindJump, KindMayGoto:
		return int32(ins.Off), true
	case KindGoto:
		if ins.Op.Class() == ClassJMP32 {
			return ins.ImmLo(), true
		}
		return int32(ins.Off), true
	case KindCallLocal:
		return ins.ImmLo(), true
	case KindLoadImm64:
		// Counted from the first slot's successor, as in a call.
		return ins.ImmLo(), ins.Src == PseudoFunc
	}
	return 0, false
}

// ErrInvalidInstruction is what every [InstructionError] is.
var ErrInvalidInstruction = errors.New("invalid instruction")

// InstructionError says what is wrong with an instruction.
type InstructionError struct {
	Slot   int // the instruction's slot, 0 where it stands alone
	Ins    Instruction
	Field  string // "opcode", "dst", "src", "off", "imm" or "next_imm"
	Value  int64  // what the field holds
	Reason string
}

func (e *InstructionError) Error() string {
	return fmt.Sprintf("instruction %d: %s: %s is %#x", e.Slot, e.Reason, e.Field, e.Value)
}

// Is reports whether target is [ErrInvalidInstruction].
func (e *InstructionError) Is(target error) bool { return target == ErrInvalidInstruction }

// Validate checks that ins is an instruction of the table, that its registers
// exist and that its reserved fields are zero (RFC 9669, section 3: unused
// fields shall be cleared). The error is an [*InstructionError].
func (ins Instruction) Validate() error {
	_, err := ins.Check()
	return err
}

// Check is [Instruction.Info] and [Instruction.Validate] in one.
func (ins *Instruction) Check() (*Info, error) {
	if c := &common[ins.Op]; ins.pack()&c.mask == c.want && ins.Dst < NumRegisters && ins.Src < NumRegisters && ins.Imm == int64(int32(ins.Imm)) {
		return c.info, nil
	}
	return ins.check()
}

// check is Check for what is not as common.
func (ins *Instruction) check() (*Info, error) {
	in, err := ins.row()
	if err != nil {
		return in, err
	}
	imm, nextImm := ins.imms()
	var set Fields // those that are not zero
	if ins.Dst != 0 {
		set |= FieldDst
	}
	if ins.Src != 0 {
		set |= FieldSrc
	}
	if ins.Off != 0 {
		set |= FieldOff
	}
	if imm != 0 {
		set |= FieldImm
	}
	if nextImm != 0 {
		set |= FieldNextImm
	}
	if set&^(in.Uses|in.fixed) == 0 && ins.Dst < NumRegisters && ins.Src < NumRegisters && imm == int64(int32(imm)) {
		return in, nil
	}
	return in, ins.invalid(in)
}

// imms returns the imm fields of both slots.
func (ins *Instruction) imms() (imm, nextImm int64) {
	if ins.Op == opLoadImm64 {
		return int64(int32(ins.Imm)), ins.Imm >> 32
	}
	return ins.Imm, 0
}

// invalid says which field of ins, which is of a row, is not as it must be.
func (ins *Instruction) invalid(in *Info) error {
	known := in.Uses | in.fixed
	imm, nextImm := ins.imms()
	for _, f := range []struct {
		field Fields
		name  string
		value int64
		max   int64
	}{
		{FieldDst, "dst", int64(ins.Dst), NumRegisters - 1},
		{FieldSrc, "src", int64(ins.Src), NumRegisters - 1},
		{FieldOff, "off", int64(ins.Off), 1<<15 - 1},
		{FieldImm, "imm", imm, 1<<63 - 1},
		{FieldNextImm, "next_imm", nextImm, 1<<63 - 1},
	} {
		switch {
		case known&f.field == 0 && f.value != 0:
			return &InstructionError{Ins: *ins, Field: f.name, Value: f.value, Reason: "reserved field is not zero"}
		case f.value > f.max:
			return &InstructionError{Ins: *ins, Field: f.name, Value: f.value, Reason: "no such register"}
		}
	}
	return &InstructionError{Ins: *ins, Field: "imm", Value: ins.Imm, Reason: "does not fit in 32 bits"}
}

// Instructions is a list of instructions, a program or a part of one.
type Instructions []Instruction

// Slots returns how many slots the list takes.
func (insns Instructions) Slots() int {
	n := 0
	for _, ins := range insns {
		n += ins.Slots()
	}
	return n
}

// Validate checks every instruction; see [Instruction.Validate].
func (insns Instructions) Validate() error {
	slot := 0
	for _, ins := range insns {
		if err := atSlot(ins.Validate(), slot); err != nil {
			return err
		}
		slot += ins.Slots()
	}
	return nil
}

func atSlot(err error, slot int) error {
	var bad *InstructionError
	if errors.As(err, &bad) {
		bad.Slot = slot
	}
	return err
}

// Decode reads instructions as they lie in memory or in an object file, in the
// byte order that they were compiled for. It accepts unknown opcodes and used
// reserved fields, which [Instructions.Validate] refuses, so that a caller can
// show them. It refuses what it could not give back: a length that is no
// multiple of [SlotSize] and a 64-bit immediate load whose second slot is
// missing or holds more than imm.
func Decode(b []byte, order binary.ByteOrder) (Instructions, error) {
	if len(b)%SlotSize != 0 {
		return nil, fmt.Errorf("%w: %d bytes are no multiple of %d", ErrInvalidInstruction, len(b), SlotSize)
	}
	insns := make(Instructions, 0, len(b)/SlotSize)
	for slot := 0; slot*SlotSize < len(b); slot++ {
		ins := decodeSlot(b[slot*SlotSize:], order)
		if ins.Slots() == 2 {
			next := b[(slot+1)*SlotSize:]
			if len(next) == 0 {
				return nil, &InstructionError{Slot: slot, Ins: ins, Field: "opcode", Value: int64(ins.Op),
					Reason: "64-bit immediate load without its second slot"}
			}
			second := decodeSlot(next, order)
			if second.Op != 0 || second.Dst != 0 || second.Src != 0 || second.Off != 0 {
				return nil, &InstructionError{Slot: slot + 1, Ins: second, Field: "opcode", Value: int64(second.Op),
					Reason: "second slot of a 64-bit immediate load holds more than imm"}
			}
			ins.Imm = second.Imm<<32 | int64(uint32(ins.Imm))
			slot++
		}
		insns = append(insns, ins)
	}
	return insns, nil
}

func decodeSlot(b []byte, order binary.ByteOrder) Instruction {
	ins := Instruction{
		Op:  Opcode(b[0]),
		Off: int16(order.Uint16(b[2:])),
		Imm: int64(int32(order.Uint32(b[4:]))),
	}
	// The register fields are bit fields: their order follows the byte order.
	ins.Dst, ins.Src = Register(b[1]&0xf), Register(b[1]>>4)
	if isBig(order) {
		ins.Dst, ins.Src = ins.Src, ins.Dst
	}
	return ins
}

func isBig(order binary.ByteOrder) bool { return order.Uint16([]byte{0, 1}) == 1 }

// AppendBinary appends the instruction's one or two slots to b. It writes the
// fields as they are: see [Instructions.Encode] for labels and checks.
func (ins Instruction) AppendBinary(b []byte, order binary.ByteOrder) []byte {
	b = appendSlot(b, order, ins.Op, ins.Dst, ins.Src, ins.Off, ins.ImmLo())
	if ins.Slots() == 2 {
		b = appendSlot(b, order, 0, 0, 0, 0, ins.ImmHi())
	}
	return b
}

func appendSlot(b []byte, order binary.ByteOrder, op Opcode, dst, src Register, off int16, imm int32) []byte {
	regs := uint8(dst)&0xf | uint8(src)<<4
	if isBig(order) {
		regs = uint8(src)&0xf | uint8(dst)<<4
	}
	var slot [SlotSize]byte
	slot[0], slot[1] = uint8(op), regs
	order.PutUint16(slot[2:], uint16(off))
	order.PutUint32(slot[4:], uint32(imm))
	return append(b, slot[:]...)
}

// Encode resolves labels, validates every instruction and returns the bytes in
// the given order. A reference to a map or a variable is an error: what maps
// there are is for a loader to say.
func (insns Instructions) Encode(order binary.ByteOrder) ([]byte, error) {
	resolved, err := insns.Resolve()
	if err != nil {
		return nil, err
	}
	b := make([]byte, 0, resolved.Slots()*SlotSize)
	slot := 0
	for _, ins := range resolved {
		if err := atSlot(ins.Validate(), slot); err != nil {
			return nil, err
		}
		if ref := ins.Reference(); ref != "" {
			return nil, &ReferenceError{Slot: slot, Name: ref, Reason: "a name that only a loader can resolve"}
		}
		b = ins.AppendBinary(b, order)
		slot += ins.Slots()
	}
	return b, nil
}
