package cbpf

import (
	"fmt"
	"math"

	"github.com/sandbpf/sandbpf/asm"
)

// Mode is what a program reads its input from, and so what its translation finds
// in the registers at entry.
type Mode uint8

const (
	// SocketFilter reads a socket buffer: r1 is a struct __sk_buff, as programs
	// of type socket_filter (also sched_cls and sched_act) get it. Packet bytes
	// are read with LD_ABS and LD_IND, which end the program with 0 outside of
	// the packet. Ancillary loads read the context or call a helper. They give
	// an [ErrUnsupported] for what eBPF programs cannot know: nla, nlan, hatype
	// and poff.
	SocketFilter Mode = iota
	// Seccomp reads a system call: r1 is a struct seccomp_data, 64 bytes. Loads
	// are of aligned words at constant offsets, in the machine's byte order, and
	// not every instruction is allowed (seccomp_check_filter in kernel/seccomp.c):
	// what Linux refuses is an [ErrInvalid].
	Seccomp
	// Memory reads plain memory: r1 is the address of the packet's first byte,
	// r2 its length in bytes, less than 2^31. Every load is behind a comparison
	// with the length. There are no headers that SKF_NET_OFF and SKF_LL_OFF could
	// count from, and of the ancillary loads cpu, random and xor_x only: constant
	// offsets like that are an [ErrUnsupported], an X + K like that is outside
	// of the packet.
	Memory
)

var modeNames = [...]string{SocketFilter: "socket filter", Seccomp: "seccomp", Memory: "memory"}

// String returns the mode's name.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode(%d)", uint8(m))
}

// The translation's registers. LD_ABS, LD_IND and helpers overwrite r1 to r5,
// put their result in r0, and LD_ABS and LD_IND want the context in r6.
const (
	regA    = asm.R0
	regTmp  = asm.R2
	regTmp2 = asm.R3
	regCtx  = asm.R6
	xReg    = asm.R7
	regData = asm.R8 // Memory: address
	regLen  = asm.R9 // Memory: length
)

// Translate returns the eBPF program that computes what p does: its r0 at exit is
// the number that p returns, zero-extended. Instructions that cannot be
// reached are left out, as eBPF verifiers refuse them. The result has 32-bit
// jumps (Linux 5.1) and, past some 32,000 instructions, gotol (Linux 6.6); p's
// scratch memory is on the stack, M[k] at r10 - 4(k+1).
//
// The error is an [*Error]: an [ErrInvalid] if Linux would refuse p in that mode,
// an [ErrUnsupported] for loads that the mode has nothing for.
func Translate(p Program, mode Mode) (asm.Instructions, error) {
	if int(mode) >= len(modeNames) {
		return nil, &Error{Insn: -1, Reason: mode.String(), kind: ErrUnsupported}
	}
	if err := p.Validate(); err != nil {
		return nil, err
	}
	if mode == Seccomp {
		if err := p.checkSeccomp(); err != nil {
			return nil, err
		}
	}
	t := &translator{mode: mode, start: make([]int, len(p))}
	t.prologue()
	reached := make([]bool, len(p))
	reached[0] = true
	for i, ins := range p {
		t.start[i] = len(t.out)
		if !reached[i] {
			continue
		}
		if mode == Memory && ins.alwaysOutside() {
			ins = Instruction{Op: classRET | retK}
		}
		for _, next := range ins.successors(i) {
			reached[next] = true
		}
		if reason := t.instruction(i, ins); reason != "" {
			return nil, &Error{Insn: i, Ins: ins, Reason: reason, kind: ErrUnsupported}
		}
	}
	t.link()
	return t.out, nil
}

type translator struct {
	mode  Mode
	out   asm.Instructions // each takes one slot
	start []int            // by classic instruction: where its translation starts
	jumps []jumpTo
}

// jumpTo is a jump whose distance is not known yet.
type jumpTo struct {
	from int // index in out
	to   int // classic instruction
}

func (t *translator) emit(insns ...asm.Instruction) { t.out = append(t.out, insns...) }

func (t *translator) prologue() {
	t.emit(asm.Mov.Imm32(regA, 0), asm.Mov.Imm32(xReg, 0))
	if t.mode == Memory {
		t.emit(asm.Mov.Reg(regData, asm.R1), asm.Mov.Reg(regLen, asm.R2))
		return
	}
	t.emit(asm.Mov.Reg(regCtx, asm.R1))
}

// link fills in the distances of jumps. A conditional one skips at most 255
// classic instructions, of at most 12 eBPF ones each, and so fits in 16 bits.
func (t *translator) link() {
	for _, j := range t.jumps {
		off := t.start[j.to] - j.from - 1
		ins := &t.out[j.from]
		switch {
		case off <= math.MaxInt16:
			ins.Off = int16(off)
		default:
			*ins = asm.GotoLong("")
			ins.Imm = int64(off)
		}
	}
}

// instruction translates instruction i, which is valid. It returns why it
// cannot, "" if it can.
func (t *translator) instruction(i int, ins Instruction) string {
	switch ins.class() {
	case classLD, classLDX:
		return t.load(ins)
	case classST:
		t.emit(asm.StoreMem(asm.RFP, scratchOffset(ins.K), regA, asm.Word))
	case classSTX:
		t.emit(asm.StoreMem(asm.RFP, scratchOffset(ins.K), xReg, asm.Word))
	case classALU:
		t.arithmetic(ins)
	case classJMP:
		t.jump(i, ins)
	case classRET:
		if ins.Op == classRET|retK {
			t.emit(asm.Mov.Imm32(regA, int32(ins.K)))
		}
		t.emit(asm.Return())
	case classMISC:
		if ins.Op == classMISC|miscTAX {
			t.emit(asm.Mov.Reg32(xReg, regA))
		} else {
			t.emit(asm.Mov.Reg32(regA, xReg))
		}
	}
	return ""
}

// scratchOffset returns where M[k] is, relative to the frame pointer.
func scratchOffset(k uint32) int16 { return -4 * int16(k+1) }

var aluOps = map[uint16]asm.ALUOp{
	aluADD: asm.Add, aluSUB: asm.Sub, aluMUL: asm.Mul, aluDIV: asm.Div, aluMOD: asm.Mod, aluOR: asm.Or,
	aluAND: asm.And, aluXOR: asm.Xor, aluLSH: asm.LSh, aluRSH: asm.RSh,
}

func (t *translator) arithmetic(ins Instruction) {
	if ins.Op == classALU|aluNEG {
		t.emit(asm.Neg32(regA))
		return
	}
	op := aluOps[ins.Op&opMask]
	if ins.Op&srcX == 0 {
		t.emit(op.Imm32(regA, int32(ins.K)))
		return
	}
	if op == asm.Div || op == asm.Mod { // eBPF would go on with 0 and A
		t.emit(skip(asm.JNE.Imm32(xReg, 0, ""), 2))
		t.fail()
	}
	t.emit(op.Reg32(regA, xReg))
}

// skip returns the jump with a distance of n instructions.
func skip(jump asm.Instruction, n int16) asm.Instruction {
	jump.Off = n
	return jump
}

// fail ends the program with 0, in two instructions.
func (t *translator) fail() { t.emit(asm.Mov.Imm32(regA, 0), asm.Return()) }

var (
	jumpOps  = map[uint16]asm.JumpOp{jmpJEQ: asm.JEq, jmpJGT: asm.JGT, jmpJGE: asm.JGE, jmpJSET: asm.JSet}
	inverses = map[asm.JumpOp]asm.JumpOp{asm.JEq: asm.JNE, asm.JGT: asm.JLE, asm.JGE: asm.JLT}
)

func (t *translator) jump(i int, ins Instruction) {
	targets := ins.successors(i)
	yes, no := targets[0], targets[len(targets)-1]
	if yes != no {
		op := jumpOps[ins.Op&opMask]
		if inverse, ok := inverses[op]; ok && yes == i+1 {
			op, yes, no = inverse, no, yes
		}
		cond := op.Imm32(regA, int32(ins.K), "")
		if ins.Op&srcX != 0 {
			cond = op.Reg32(regA, xReg, "")
		}
		t.jumpTo(cond, yes)
	}
	if no != i+1 {
		t.jumpTo(asm.Goto(""), no)
	}
}

func (t *translator) jumpTo(jump asm.Instruction, target int) {
	t.jumps = append(t.jumps, jumpTo{from: len(t.out), to: target})
	t.emit(jump)
}
