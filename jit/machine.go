package jit

import (
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// machine is a program's state on one virtual CPU. The stub and the code know the
// first fields, by their offsets.
type machine struct {
	regs     [asm.NumRegisters]uint64 // at the last exit
	left     int64                    // instructions that this slice may still execute
	pc       uintptr                  // where to enter the code
	exit     uint64                   // why it was left: index in Code.exits
	addr     uint64                   // what a checked access has computed, see emitter.check
	windows  unsafe.Pointer           // list of *vm.Window
	result   uint64                   // r0 when the function has returned
	frame    *frame                   // the current one
	frameEnd *frame                   // the deepest one
	cpu      *vm.CPU
	record   record // that a leaf has reserved and the CPU does not know of
	batch    batch

	code *Code
	list []*vm.Window // what windows points to
	own  []vm.Window  // for windows that no other access shares
	// frames has one more than there are: a frame's caller, which the first one has too.
	frames [prog.MaxFrames + 1]frame
	bottom int // the frame that the entry function runs in
	budget vm.Budget
	kept   *vm.Kept[machine]
	used   bool // registers are not as at the beginning

	callback func(fn uint64, args *[5]uint64) (uint64, error) // m.call, made once
}

// frame is what a call keeps of its caller, and what belongs to a frame of the stack.
type frame struct {
	ret     uintptr   // where the function that this one has called returns to
	saved   [4]uint64 // r6 to r9 meanwhile
	mayGoto uint64    // how often may_goto may still fall through
	window  *vm.Window
	_       uint64 // keeps the size a power of two
}

const (
	frameSize  = int32(unsafe.Sizeof(frame{}))
	frameRet   = int32(unsafe.Offsetof(frame{}.ret))
	frameSaved = int32(unsafe.Offsetof(frame{}.saved))
	frameLoops = int32(unsafe.Offsetof(frame{}.mayGoto))
	frameWin   = int32(unsafe.Offsetof(frame{}.window))
)

// newMachine returns a machine of the program for c, which is busy.
func (code *Code) newMachine(c *vm.CPU) *vm.Kept[machine] {
	k := code.machines.New(c)
	m := &k.M
	*m = machine{cpu: c, code: code, kept: k, used: true, list: make([]*vm.Window, code.windows+1), own: make([]vm.Window, code.windows+1)}
	for i := range m.list {
		m.list[i] = &m.own[i] // which admits nothing yet
	}
	m.windows = unsafe.Pointer(unsafe.SliceData(m.list))
	for i := range c.Frames {
		m.frames[i+1].window = &c.Frames[i]
	}
	m.frames[0].window = new(vm.Window) // of nobody
	m.frameEnd = &m.frames[prog.MaxFrames]
	m.callback = m.call
	return k
}

// depth returns which of the CPU's frames is the current one.
func (m *machine) depth() int {
	return int(uintptr(unsafe.Pointer(m.frame))-uintptr(unsafe.Pointer(&m.frames)))/int(frameSize) - 1
}
