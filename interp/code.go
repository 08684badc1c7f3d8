// Package interp executes programs on any machine that Go runs on. It is the
// reference for results: every access is checked against the memory that the
// run was given, and a violation stops the run with a [vm.Fault].
//
// A program is decoded into operations of three operands (see ir.go for how),
// which a generated loop executes (gen, zz_loop.go). What the loop cannot do by
// itself (helpers, atomics, accesses that it cannot check quickly) it leaves to
// run.go.
package interp

import (
	"sort"
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// Env is what a program refers to.
type Env struct {
	Maps    []vm.Map                           // by the index in 64-bit immediate loads
	Externs []uint64                           // addresses of kernel variables, likewise
	Helper  func(fn asm.BuiltinFunc) vm.Helper // nil: there is no such helper
	NumCPU  int                                // virtual CPUs that will run it; 0: 1

	// Sanitize makes runs slow and strict: they also report what only a verifier
	// would find.
	Sanitize bool
	// Observe, if set, makes runs slow and sees the registers before each
	// instruction.
	Observe func(slot int, r *Registers)
}

func (e *Env) helper(fn asm.BuiltinFunc) vm.Helper {
	if e.Helper == nil {
		return nil
	}
	return e.Helper(fn)
}

// Code is a decoded program. It can run on several virtual CPUs at once.
type Code struct {
	p       *prog.Program
	env     Env
	ops     []operation
	consts  []uint64 // contents of the slots from firstConst on
	helpers []vm.Helper
	origins []origin     // by operation
	windows int          // how many windows memory operations use
	index   []int32      // by slot: how many instructions come before
	starts  []blockStart // in order
	exposed map[int]bool // by the slot a called function begins at: its frame is a region

	callbacks map[int]uintptr // functions that helpers can call, by slot: their byte offset

	machines vm.Machines[machine]
}

// origin says where an operation comes from.
type origin struct {
	slot int32
	cold int32 // of a pair with memory access: index of the operation that begins its two halves on their own
}

// Compile decodes p. The error is a [*prog.Error].
func Compile(p *prog.Program, env Env) (*Code, error) {
	d := decoder{p: p, env: &env, constIndex: make(map[uint64]int)}
	if err := d.translate(); err != nil {
		return nil, err
	}
	if err := d.split.CheckReads(p, d.missing); err != nil {
		return nil, err
	}
	d.liveness()
	d.narrowness()
	d.exposedFrames = d.exposed()
	d.optimise()
	c := d.emit()
	c.machines = vm.NewMachines[machine](env.NumCPU)
	return c, nil
}

// decoder is the state of Compile.
type decoder struct {
	p   *prog.Program
	env *Env

	split    prog.Split
	blockAt  []int32 // by slot
	blocks   []block
	current  *block
	slot     int32
	hasCalls bool // there are subprograms, or callbacks

	callbacks     []int32        // blocks that function pointers point to
	exposedFrames map[int32]bool // by the block that a function begins with

	consts     []uint64
	constIndex map[uint64]int
	helpers    []vm.Helper
}

// helperIndex returns the index in Code.helpers of a helper's body.
func (d *decoder) helperIndex(h vm.Helper) int64 {
	d.helpers = append(d.helpers, h)
	return int64(len(d.helpers) - 1)
}

// optimise rewrites every block on slots.
func (d *decoder) optimise() {
	o := optimiser{d: d}
	var before, after []instr
	for i := range d.blocks {
		b := &d.blocks[i]
		live := b.liveOut
		if n := len(b.instrs); n > 0 {
			read, written := d.implicit(b.instrs[n-1].op)
			live = live&^written | read
		}
		before = append(before[:0], b.instrs...)
		o.narrowIn = b.narrowIn
		o.values(b)
		o.need(live)
		var ok bool
		if after, ok = o.allocate(after[:0], live); ok {
			b.instrs = append(b.instrs[:0], after...)
		} else {
			b.instrs = append(b.instrs[:0], before...) // registers are slots as well
		}
	}
}

// blockStart is where a block begins in the program and in the code.
type blockStart struct {
	slot int32
	pc   uintptr
}

// blockAt returns the slot of the block that begins at a byte offset.
func (c *Code) blockAt(pc uintptr) int {
	i := sort.Search(len(c.starts), func(i int) bool { return c.starts[i].pc > pc })
	return int(c.starts[i-1].slot)
}

// opAt returns the operation at a byte offset.
func (c *Code) opAt(pc uintptr) *operation { return &c.ops[int(pc)/opSize] }

func (c *Code) base() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(c.ops)) }
