package vm

import (
	"encoding/binary"
	"fmt"
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// What follows is the same for every engine.

// MaxTailCalls is how many tail calls a run may make (MAX_TAIL_CALL_CNT).
const MaxTailCalls = 33

// MayGotoLimit is how often may_goto falls through in one frame (BPF_MAX_LOOPS).
const MayGotoLimit = 8 << 20

// Runner is a program in the form that an engine runs.
type Runner interface {
	// Run executes the program on c, whose context, packet and limits its owner has
	// set, and returns r0. An error is a [*Fault], or what c.Context says when it is done.
	Run(c *CPU) (r0 uint64, err error)

	// Continue executes the program as the target of a tail call that was made in frame,
	// with ctx in r1. c.Done is how many instructions the run has executed, before and after.
	Continue(c *CPU, frame int, ctx uint64) (r0 uint64, err error)
}

// ProgArray is a map of programs, the target of tail calls.
type ProgArray interface {
	Map
	// Target returns what the map holds at index, nil if nothing.
	Target(index uint32) any
}

// TailTarget is what can be tail-called: an entry of a [ProgArray].
type TailTarget interface {
	Runner() Runner // nil: the program cannot be run any more
}

// TailTarget returns the program at an index of the program array that r2 stands
// for, nil if the tail call falls through. It counts the call. The error is a [*Fault].
func (c *CPU) TailTarget(r2, index uint64) (Runner, error) {
	array, ok := c.MapAt(r2).(ProgArray)
	if !ok {
		return nil, &Fault{Err: ErrHelper, Detail: "tail_call: r2 is no program array"}
	}
	target, ok := array.Target(uint32(index)).(TailTarget)
	if !ok || c.TailCalls >= MaxTailCalls {
		return nil, nil
	}
	r := target.Runner()
	if r != nil {
		c.TailCalls++
	}
	return r, nil
}

// OverBudget returns the fault of a run that is stopped at slot of p by its limit.
func (c *CPU) OverBudget(p *prog.Program, slot int) *Fault {
	return &Fault{Err: ErrBudget, Detail: fmt.Sprintf("%d instructions", c.Limit),
		Prog: p.Name, Slot: slot, Line: p.LineAt(slot), Placed: true}
}

// PacketRun is a packet for a run of a batch, and what comes of it.
type PacketRun struct {
	Ctx             uint64 // address of the context; 0: there is none
	Meta, Data, End uint64 // what the pointers in it stand for
	Ret             uint64 // r0
	Left            uint64 // 0 for a run that did not need Go, else the caller's
}

// Batcher is an engine's program that can run on many packets without Go in between. Ptrs of
// the CPU are Data, End, and Meta.
type Batcher interface {
	// Batch reports whether it can on c.
	Batch(c *CPU) bool
	// RunBatch runs the program on packets, in order. It returns how many have run to their
	// end, and the instructions of those. If left, the run on the next has come to where it
	// needs Go: the caller tells c of its packet and context and calls FinishRun before
	// anything else. Otherwise, if n is less than there are, the next has no context.
	RunBatch(c *CPU, runs []*PacketRun) (n int, insns uint64, left bool)
	// FinishRun is the rest of such a run, as Run.
	FinishRun(c *CPU) (uint64, error)
}

// funcBase is where function pointers lie: no memory is there, on any machine.
const funcBase = 0xb9f0_0000_0000_0000

// FuncHandle returns the pointer to the function that starts at slot.
func FuncHandle(slot int) uint64 { return funcBase | uint64(uint32(slot)) }

// FuncSlot undoes FuncHandle. It reports false if fn is no function pointer.
func FuncSlot(fn uint64) (slot int, ok bool) { return int(uint32(fn)), fn&^(1<<32-1) == funcBase }

// DirectMap is a map whose values a program may address directly, without lookup.
type DirectMap interface {
	Map
	// ValueAddr returns the address of the byte at off in the first value.
	ValueAddr(off uint32) (uint64, error)
}

// ArrayMap is a map that may have its values in cells.
type ArrayMap interface {
	Map
	Cells() (mem.Cells, bool)
}

// Immediate returns what the 64-bit immediate load at slot of p puts into its register.
// The error is a [*prog.Error].
func Immediate(p *prog.Program, slot int, maps []Map, externs []uint64) (uint64, error) {
	ins := p.Insns[slot]
	i := int(ins.ImmLo())
	switch ins.Src {
	case asm.PseudoNone:
		return uint64(ins.Imm), nil
	case asm.PseudoMapIdx, asm.PseudoMapIdxValue:
		if i < 0 || i >= len(maps) {
			return 0, p.Errorf(slot, "map %d: the program has %d maps", i, len(maps))
		}
		if ins.Src == asm.PseudoMapIdx {
			return maps[i].Addr(), nil
		}
		direct, ok := maps[i].(DirectMap)
		if !ok {
			return 0, p.Errorf(slot, "map %s has no value with a fixed address", maps[i].Name())
		}
		addr, err := direct.ValueAddr(uint32(ins.ImmHi()))
		if err != nil {
			return 0, p.Errorf(slot, "map %s: %v", maps[i].Name(), err)
		}
		return addr, nil
	case asm.PseudoFunc:
		return FuncHandle(slot + 1 + i), nil
	case asm.PseudoBTFID:
		if i < 0 || i >= len(externs) {
			return 0, p.Errorf(slot, "kernel variable %d is not known", i)
		}
		return externs[i], nil
	}
	return 0, p.Errorf(slot, "64-bit immediate of kind %d must be resolved by a loader", uint8(ins.Src))
}

// Unsupported is the fault of an instruction that nothing can execute.
func Unsupported(ins asm.Instruction) *Fault {
	f := &Fault{Err: ErrInstruction}
	switch {
	case ins.Kind() == asm.KindCallHelper && ins.Imm == prog.FailedRelocation:
		f.Detail = "a CO-RE relocation found no match in the target's types"
	case ins.Kind() == asm.KindCallKfunc:
		f.Detail = "kernel functions cannot be called"
	case ins.Kind() == asm.KindCallHelper:
		f.Detail = fmt.Sprintf("helper %s is not supported", asm.BuiltinFunc(ins.Imm))
	}
	return f
}

// TooDeep is the fault of a call for which there is no frame.
func TooDeep() *Fault {
	return &Fault{Err: ErrCallDepth, Detail: fmt.Sprintf("at most %d frames", prog.MaxFrames)}
}

// Negative offsets of packet loads count from a header (SKF_NET_OFF, SKF_LL_OFF).
const (
	networkOffset = -0x100000
	linkOffset    = -0x200000
)

// PacketNumber returns the big-endian number of 1, 2 or 4 bytes that LD_ABS or LD_IND
// finds at an offset of the packet, and whether it lies inside (RFC 9669, section 5.5, and
// bpf_convert_filter's fallback in Linux).
func (c *CPU) PacketNumber(off int64, size int) (uint64, bool) {
	switch {
	case off >= 0:
	case off >= networkOffset:
		off += -networkOffset + c.NetworkOffset
	case off >= linkOffset:
		off += -linkOffset + c.LinkOffset
	default:
		return 0, false
	}
	r := c.Packet.Region()
	if off < min(c.LinkOffset, 0) || off+int64(size) > int64(r.Len) {
		return 0, false
	}
	b := unsafe.Slice((*byte)(unsafe.Add(c.Packet.Base, off)), size)
	switch size {
	case 1:
		return uint64(b[0]), true
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), true
	}
	return uint64(binary.BigEndian.Uint32(b)), true
}
