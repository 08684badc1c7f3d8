package interp

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/isa"
)

// The decoder works on blocks of instructions in a form of three operands:
//
//	program ─ translate ─▶ []block of instr on registers
//	        ─ liveness  ─▶ what each block leaves behind
//	        ─ optimise  ─▶ instr on values: every value written once
//	        ─ allocate  ─▶ instr on slots
//	        ─ emit      ─▶ []operation, neighbours fused
//
// A block ends where control may go elsewhere or come from elsewhere, and
// behind every call, so that registers are in their own slots whenever somebody
// else looks at them.

// instr is an instruction of the decoder's form. Operands are values: see value.
type instr struct {
	op      opcode
	dst     int8  // register written, none if negative
	a, b, c value // read: a is what a store writes
	x       int64
	slot    int32 // of the program's instruction
	target  int32 // block that a jump goes to
	out     value // what it defines, in a block under optimisation

	other, otherSlot int32 // of a branch: the block if the condition does not hold, and the slot of that jump
}

// value names a 64-bit value. Before a block is optimised it is a register or
// a constant; in a block under optimisation, the registers stand for what they
// held at its beginning, and what its instructions define is numbered from
// firstDef on.
type value int32

const (
	noValue  value = -1
	firstDef value = asm.NumRegisters
	// Constants count down from here, through the decoder's table.
	constBase value = -2
)

// regs is a set of registers.
type regs uint16

const (
	allRegs  regs = 1<<asm.NumRegisters - 1
	argRegs  regs = 1<<asm.R1 | 1<<asm.R2 | 1<<asm.R3 | 1<<asm.R4 | 1<<asm.R5
	resultR0 regs = 1 << asm.R0
)

func (s regs) has(r int) bool { return s>>r&1 != 0 }

// block is a run of instructions that is entered at its beginning only.
type block struct {
	instrs  []instr
	next    int32 // the block that it falls through to, none if negative
	start   int32 // slot of the first instruction
	liveOut regs
	liveIn  regs

	narrowIn regs // registers whose upper half is zero at the beginning
	pc       int  // byte offset of its first operation, once emitted
}

// constant returns the value of a constant.
func (d *decoder) constant(k uint64) value {
	if i, ok := d.constIndex[k]; ok {
		return constBase - value(i)
	}
	i := len(d.consts)
	d.consts = append(d.consts, k)
	d.constIndex[k] = i
	return constBase - value(i)
}

// constOf returns what constant v is, and whether it is one.
func (d *decoder) constOf(v value) (uint64, bool) {
	if v > constBase {
		return 0, false
	}
	return d.consts[constBase-v], true
}

// aluOps are the operations of two operands.
var aluOps = [...][2]opcode{ // 32 bits, 64 bits
	asm.Add: {opAdd32, opAdd64}, asm.Sub: {opSub32, opSub64}, asm.Mul: {opMul32, opMul64},
	asm.And: {opAnd32, opAnd64}, asm.Or: {opOr32, opOr64}, asm.Xor: {opXor32, opXor64},
	asm.LSh: {opLSh32, opLSh64}, asm.RSh: {opRSh32, opRSh64}, asm.ArSh: {opArSh32, opArSh64},
	asm.Div: {opDiv32, opDiv64}, asm.Mod: {opMod32, opMod64},
	asm.SDiv: {opSDiv32, opSDiv64}, asm.SMod: {opSMod32, opSMod64},
}

// conditionOps are the conditional jumps; swap says that the operands change places.
var conditionOps = [256]struct {
	op32, op64 opcode
	swap       bool
}{
	asm.JEq: {opJEq32, opJEq64, false}, asm.JNE: {opJNE32, opJNE64, false},
	asm.JGT: {opJGT32, opJGT64, false}, asm.JGE: {opJGE32, opJGE64, false},
	asm.JLT: {opJGT32, opJGT64, true}, asm.JLE: {opJGE32, opJGE64, true},
	asm.JSGT: {opJSGT32, opJSGT64, false}, asm.JSGE: {opJSGE32, opJSGE64, false},
	asm.JSLT: {opJSGT32, opJSGT64, true}, asm.JSLE: {opJSGE32, opJSGE64, true},
	asm.JSet: {opJSet32, opJSet64, false},
}

// foldable are the operations whose result on constants the decoder can tell.
var foldable = func() [numOpcodes]func(b, c uint64) uint64 {
	m := [numOpcodes]func(b, c uint64) uint64{
		opMov64:    func(b, _ uint64) uint64 { return b },
		opMov32:    func(b, _ uint64) uint64 { return uint64(uint32(b)) },
		opMov16:    func(b, _ uint64) uint64 { return uint64(uint16(b)) },
		opNeg64:    func(b, _ uint64) uint64 { return isa.Neg(true, b) },
		opNeg32:    func(b, _ uint64) uint64 { return isa.Neg(false, b) },
		opSX8:      func(b, _ uint64) uint64 { return isa.MovSX(true, b, 8) },
		opSX16:     func(b, _ uint64) uint64 { return isa.MovSX(true, b, 16) },
		opSX32:     func(b, _ uint64) uint64 { return isa.MovSX(true, b, 32) },
		opSX8to32:  func(b, _ uint64) uint64 { return isa.MovSX(false, b, 8) },
		opSX16to32: func(b, _ uint64) uint64 { return isa.MovSX(false, b, 16) },
		opSwap16:   func(b, _ uint64) uint64 { return isa.BSwap(b, 16) },
		opSwap32:   func(b, _ uint64) uint64 { return isa.BSwap(b, 32) },
		opSwap64:   func(b, _ uint64) uint64 { return isa.BSwap(b, 64) },
	}
	for alu, ops := range aluOps {
		for i, op := range ops {
			if op == 0 {
				continue
			}
			m[op] = func(b, c uint64) uint64 { return isa.ALU(asm.ALUOp(alu), i == 1, b, c) }
		}
	}
	return m
}()
