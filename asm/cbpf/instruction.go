package cbpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// InstructionSize is the size in bytes of an encoded instruction.
const InstructionSize = 8

// MaxInstructions is how many instructions a program may have (BPF_MAXINSNS).
const MaxInstructions = 4096

// ScratchWords is how many words of scratch memory a program has (BPF_MEMWORDS).
const ScratchWords = 16

// Instruction is one instruction, laid out as struct sock_filter. It converts
// to and from golang.org/x/net/bpf.RawInstruction: Instruction(raw).
type Instruction struct {
	Op uint16 // class, size and mode, or operation and source
	Jt uint8  // instructions to skip where a condition holds
	Jf uint8  // instructions to skip where it does not
	K  uint32 // operand
}

// Program is a list of instructions. [Program.Validate] says whether Linux
// would take it.
type Program []Instruction

// FromRaw returns raw, for instance a []golang.org/x/net/bpf.RawInstruction, as
// a Program.
func FromRaw[T ~struct {
	Op uint16
	Jt uint8
	Jf uint8
	K  uint32
}](raw []T) Program {
	p := make(Program, len(raw))
	for i, ins := range raw {
		p[i] = Instruction(ins)
	}
	return p
}

// Unmarshal reads an array of struct sock_filter, as it lies in memory in front
// of setsockopt(2) or seccomp(2), in the given byte order. The error, of a
// length that is no multiple of [InstructionSize], is an [ErrInvalid].
func Unmarshal(b []byte, order binary.ByteOrder) (Program, error) {
	if len(b)%InstructionSize != 0 {
		return nil, fmt.Errorf("%w: %d bytes are no multiple of %d", ErrInvalid, len(b), InstructionSize)
	}
	p := make(Program, len(b)/InstructionSize)
	for i := range p {
		ins := b[i*InstructionSize:]
		p[i] = Instruction{Op: order.Uint16(ins), Jt: ins[2], Jf: ins[3], K: order.Uint32(ins[4:])}
	}
	return p, nil
}

// AppendBinary appends the program to b as an array of struct sock_filter.
func (p Program) AppendBinary(b []byte, order binary.ByteOrder) []byte {
	for _, ins := range p {
		var enc [InstructionSize]byte
		order.PutUint16(enc[:], ins.Op)
		enc[2], enc[3] = ins.Jt, ins.Jf
		order.PutUint32(enc[4:], ins.K)
		b = append(b, enc[:]...)
	}
	return b
}

var (
	// ErrInvalid is what every [Error] is that says that Linux takes no such
	// program.
	ErrInvalid = errors.New("invalid classic BPF program")
	// ErrUnsupported is what every [Error] is that says that a valid program has
	// no translation.
	ErrUnsupported = errors.New("no translation to eBPF")
)

// Error says what is wrong with a program. It is an [ErrInvalid] or an
// [ErrUnsupported].
type Error struct {
	Insn   int         // index of the instruction, -1 for the program as a whole
	Ins    Instruction // the instruction
	Reason string
	kind   error
}

func (e *Error) Error() string {
	if e.Insn < 0 {
		return fmt.Sprintf("%v: %s", e.kind, e.Reason)
	}
	text := strings.Join(strings.Fields(e.Ins.text(e.Insn)), " ")
	return fmt.Sprintf("%v: instruction %d (%s): %s", e.kind, e.Insn, text, e.Reason)
}

// Unwrap returns [ErrInvalid] or [ErrUnsupported].
func (e *Error) Unwrap() error { return e.kind }
