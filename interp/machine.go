package interp

import (
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

//go:generate go run ./gen

// opcode is what an operation does: a constant of zz_ops.go.
type opcode uint8

// operation is an instruction, or two, as the loop executes them: the fields of
// the first half are a, b, c, x and y, of the second d, e, f, w and z. A jump
// has its target in z and the instructions to account for in w.
//
//	byte  0     1  2  3   4  5  6   7   8    12   16   24
//	      code  a  b  c   d  e  f   -   y    z    x    w
type operation struct {
	code    opcode
	a, b, c uint8 // slots
	d, e, f uint8 // slots
	_       uint8
	y, z    uint32 // byte offsets: of a window in the machine's list, of an operation in the code
	x, w    int64
}

const (
	opSize    = int(unsafe.Sizeof(operation{}))
	frameSize = unsafe.Sizeof(frame{})
	stackSize = prog.StackSize
)

// Slots: the registers, temporaries of the decoder, constants.
const (
	firstTemp  = asm.NumRegisters
	scratch    = 29 // three slots, for constants that found none of their own
	firstConst = 32
	numSlots   = 256
)

// mayGotoLimit is how often may_goto falls through in one frame.
const mayGotoLimit = vm.MayGotoLimit

// reads says which of the slots a, b and c an operation reads.
type reads uint8

const (
	readsA reads = 1 << iota
	readsB
	readsC
)

// opInfo is what the decoder needs to know of an operation.
type opInfo struct {
	name   string
	reads  reads
	writes bool // slot a
	narrow bool // what it writes has an upper half of zero
	mem    bool // goes through a window
	store  bool
	signed bool
	size   uint8 // bytes of memory
	jump   bool
	branch bool // jumps either way
	ends   bool // what follows is reached by jumps only
	call   bool // done outside of the loop
}

// exitCode says why the loop was left.
type exitCode uint8

const (
	exitDone    exitCode = iota // the entry function returned
	exitMiss                    // the window of the operation does not admit the access
	exitMiss2                   // the same, of the second half
	exitBudget                  // the budget of this slice is used up
	exitDepth                   // too many frames
	exitFault                   // an instruction that is always one
	exitHost                    // a callback returned to the helper that called it
	exitHelper                  // a helper is called
	exitAtomic                  // an atomic operation
	exitPacket                  // LD_ABS or LD_IND
	exitCorrupt                 // the code is not what emit wrote
)

// frame is what a call saves.
type frame struct {
	ret            uintptr // where to go on
	retIndex       int64   // the index of that instruction
	r6, r7, r8, r9 uint64
	mayGoto        uint64 // how often may_goto may still fall through
	_              uint64 // keeps the size a power of two
}

// machine is a program's state on one virtual CPU. The loop changes the first
// fields; the rest belongs to those that run it.
type machine struct {
	left   int64 // instructions that this slice may still execute
	pc     uintptr
	stride uintptr // opSize, where the compiler cannot see it
	fp     uintptr // byte offset in frames of the current frame
	fpMin  uintptr // the frame whose exit ends the run
	fpMax  uintptr // the deepest frame
	stack  unsafe.Pointer
	frame  uintptr // byte offset in stack of r10
	slots  [numSlots]uint64
	frames [prog.MaxFrames]frame

	cpu     *vm.CPU
	code    *Code
	windows []*vm.Window // by what y and z of memory operations say
	own     []vm.Window  // for windows that no other operation shares
	budget  vm.Budget
	kept    *vm.Kept[machine]

	callback func(fn uint64, args *[5]uint64) (uint64, error) // m.call, made once
}
