package loader

import (
	"fmt"
	"strings"

	ebpfasm "github.com/cilium/ebpf/asm"

	"github.com/sandbpf/sandbpf/asm"
)

// FromInstructions converts instructions as cilium/ebpf has them, with their labels
// and references. Comments, source lines and other metadata are not kept; see
// [FromCollectionSpec]. The error is an [*asm.InstructionError].
func FromInstructions(insns ebpfasm.Instructions) (asm.Instructions, error) {
	out := make(asm.Instructions, 0, len(insns))
	slot := 0
	for i := range insns {
		ins, err := fromInstruction(&insns[i])
		if err != nil {
			err.Slot = slot
			return nil, err
		}
		out = append(out, ins)
		slot += ins.Slots()
	}
	return out, nil
}

// atomicMask is what cilium/ebpf keeps of the imm of an atomic instruction.
const atomicMask = 0x1ff

// fromInstruction undoes what cilium/ebpf does when it decodes: it keeps in the upper
// bits of the opcode what the bytes have in off or imm.
func fromInstruction(in *ebpfasm.Instruction) (asm.Instruction, *asm.InstructionError) {
	ins := asm.Instruction{Op: asm.Opcode(in.OpCode), Dst: asm.Register(in.Dst), Src: asm.Register(in.Src), Off: in.Offset, Imm: in.Constant}
	rest := uint32(in.OpCode) >> 8
	switch {
	case in.OpCode.AtomicOp() != ebpfasm.InvalidAtomic:
		// Decoded, imm is there, too, with bits that the opcode has no room for.
		ins.Imm = in.Constant&^atomicMask | int64(rest)
	case rest == 0:
	case in.OpCode.Class().IsALU():
		off, ok := map[ebpfasm.ALUOp]int16{ebpfasm.SDiv: 1, ebpfasm.SMod: 1,
			ebpfasm.MovSX8: 8, ebpfasm.MovSX16: 16, ebpfasm.MovSX32: 32}[in.OpCode.ALUOp()]
		if !ok || in.Offset != 0 {
			return ins, &asm.InstructionError{Ins: ins, Field: "opcode", Value: int64(in.OpCode), Reason: "unknown opcode of cilium/ebpf"}
		}
		ins.Off = off
	default:
		return ins, &asm.InstructionError{Ins: ins, Field: "opcode", Value: int64(in.OpCode), Reason: "unknown opcode of cilium/ebpf"}
	}
	if in.Map() != nil {
		return ins, &asm.InstructionError{Ins: ins, Field: "imm", Value: in.Constant, Reason: "refers to a map of the kernel"}
	}
	if name := in.Symbol(); name != "" {
		ins = ins.WithSymbol(name)
	}
	if name := in.Reference(); name != "" {
		ins = ins.WithReference(name)
		if in.IsFunctionReference() || in.IsKfuncCall() {
			ins.Imm = 0 // cilium/ebpf has -1 there
		}
	}
	return ins, nil
}

// place says where an instruction is, for a message.
func place(in *ebpfasm.Instruction, slot int) string {
	if src := in.Source(); src != nil {
		return fmt.Sprintf("instruction %d (%s)", slot, strings.TrimSpace(src.String()))
	}
	return fmt.Sprintf("instruction %d", slot)
}
