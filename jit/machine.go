package jit

import (
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// machine is a program's state on one virtual CPU. The stub and the code know the
// first fields, by their offsets.
type machine struct {
	regs    [asm.NumRegisters]uint64 // at the last exit
	left    int64                    // instructions that this slice may still execute
	pc      uintptr                  // where to enter the code
	exit    uint64                   // why it was left: index in Code.exits
	addr    uint64                   // what a checked access has computed, see emitter.check
	windows unsafe.Pointer           // list of *vm.Window
	result  uint64                   // r0 when the function has returned
	lowest  uint64                   // r10 in the deepest frame
	cpu     *vm.CPU
	record  record // that a leaf has reserved and the CPU does not know of
	batch   batch

	code   *Code
	list   []*vm.Window // what windows points to
	own    []vm.Window  // for windows that no other access shares
	bottom int          // the frame that the entry function runs in
	budget vm.Budget
	kept   *vm.Kept[machine]
	used   bool // registers are not as at the beginning

	callback func(fn uint64, args *[5]uint64) (uint64, error) // m.call, made once
}

// link is what is kept of the caller of a function as long as that runs, and more that belongs to its
// frame of the stack, beside which it lies: see [vm.CPU]. What the code needs of it is where r10 says.
type link struct {
	ret     uintptr   // where the function returns to
	saved   [4]uint64 // r6 to r9 of the caller
	mayGoto uint64    // how often may_goto may still fall through
	window  uintptr   // the vm.Window that makes the frame a region
}

// linkAt returns what lies at off in the link of a frame, depth frames below that of r10.
func linkAt(depth int32, off uintptr) amd64.Mem {
	return amd64.At(reg(lower.Reg(asm.R10)), int32(vm.LinkDistance)-depth*prog.StackSize+int32(off))
}

const (
	linkRet    = unsafe.Offsetof(link{}.ret)
	linkSaved  = unsafe.Offsetof(link{}.saved)
	linkLoops  = unsafe.Offsetof(link{}.mayGoto)
	linkWindow = unsafe.Offsetof(link{}.window)
)

var _ [vm.LinkSize - unsafe.Sizeof(link{})]byte

// link returns the link of one of the CPU's frames.
func (m *machine) link(frame int) *link { return (*link)(m.cpu.Link(frame)) }

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
		m.link(i).window = uintptr(unsafe.Pointer(&c.Frames[i])) // which m.cpu keeps
	}
	m.lowest = c.FramePointer(prog.MaxFrames - 1)
	m.callback = m.call
	return k
}

// depth returns which of the CPU's frames is the current one.
func (m *machine) depth() int {
	return prog.MaxFrames - 1 - int((m.regs[asm.R10]-m.lowest)/prog.StackSize)
}
