package verifier

import (
	"fmt"
	"io"
	"strconv"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// Env is what a program is verified against. The zero value is Linux 6.18 and a program
// loaded by root, that refers to no maps.
type Env struct {
	Maps []*Map // by the index in the program's Maps

	Flags     Flags
	Privilege Privilege

	// What follows is for programs at hooks of a Go program (prog.Custom).
	Ctx     *prog.CtxLayout                        // what r1 points to
	Returns *Range                                 // what the program may return; nil: anything
	Helper  func(fn asm.BuiltinFunc) *helper.Proto // helpers of the hook's own; nil: none

	// NoKernel says that there are no variables and functions of a kernel: the addresses of weak
	// ones are 0, and those of others, and calls, are refused.
	NoKernel bool

	NumCPU int // get_smp_processor_id is below it; 0: not known

	Log      io.Writer // where the log goes, nil: nowhere
	LogLevel int       // 1: the path to the failure; 2: everything; 4: figures; as in bpf(2)

	// Progress, if set, is called now and then with the instructions explored so far.
	Progress func(processed int)

	// Observe, if set, sees the state before each instruction that is explored. It is for
	// tests of the verifier.
	Observe func(*Observation)
	// Undescribed leaves out the text of what Observe sees, which takes longer than the rest.
	Undescribed bool

	// EveryPath has all paths walked to their end: no state is compared with another. It is
	// for tests of the verifier, which can rely on what Observe sees of every register then.
	// Programs with loops that only the comparison ends are too complex.
	EveryPath bool
}

// Range is a range of numbers, both ends included.
type Range struct{ Min, Max int64 }

// String returns the only number of the range, or both ends: "in [0, 1]".
func (r Range) String() string {
	if r.Min == r.Max {
		return strconv.FormatInt(r.Min, 10)
	}
	return fmt.Sprintf("in [%d, %d]", r.Min, r.Max)
}

// Flags are prog_flags of bpf(2) that change what is accepted.
type Flags uint32

// The flags (BPF_F_* of the UAPI). Those without a comment change no verdict here.
const (
	StrictAlignment  Flags = 1 << 0 // every access is at a multiple of its size
	AnyAlignment     Flags = 1 << 1 // undoes StrictAlignment
	TestStateFreq    Flags = 1 << 3 // states are kept at every instruction
	Sleepable        Flags = 1 << 4 // the program may sleep, as one of a .s section
	XDPHasFrags      Flags = 1 << 5
	XDPDevBoundOnly  Flags = 1 << 6
	TestRegInvariant Flags = 1 << 7
)

// Privilege is what the loader of a program may do.
type Privilege uint8

const (
	// Root has all capabilities.
	Root Privilege = iota
	// CapBPF has CAP_BPF and CAP_NET_ADMIN, not CAP_PERFMON: kernel addresses must not
	// leak.
	CapBPF
)

// Map is what is known of a map when a program that uses it is verified.
type Map struct {
	Name       string
	Type       maps.Type
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32
	Flags      uint32
	Inner      *Map // template of the maps in an ArrayOfMaps or HashOfMaps

	// Value is the type of the value, nil if not known; it says where locks, timers and
	// other special fields are.
	Key, Value *prog.BTFType

	// Frozen says that users do not change the map any more. If programs may not either
	// (BPF_F_RDONLY_PROG), and it is an Array of one element, Read returns bytes of its value.
	Frozen bool
	Read   func(off uint32, b []byte) bool
}

// Observation is what the verifier holds true before an instruction, on one path.
type Observation struct {
	Insn  int
	Frame int // depth of calls
	Regs  [asm.NumRegisters]ObservedReg
	// Slots are the eight-byte stack slots of the frame, the first below r10.
	Slots []ObservedReg
}

// ObservedReg is the abstract value of a register or stack slot.
type ObservedReg struct {
	Known    bool // it holds a number, of which the following is true
	Contains func(v uint64) bool
	// Of a pointer into memory: its kind and the offsets from the memory's start.
	Memory   Memory
	Min, Max int64
	Text     string // in the notation of the kernel's log
}
