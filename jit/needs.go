package jit

import (
	"math/bits"
	"slices"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// needs is what is made ready of the CPU and the machine when a run begins. Most programs need little, and less
// takes less time; what the rest is for is made ready when native code is left.
type needs uint8

const (
	needsAll       needs = iota
	needsPacket          // registers, and what accesses are checked against: it uses no stack, and no helpers
	needsStack           // registers and stack: all accesses are proved
	needsFrame           // the same, with one frame, of a program that is verified
	needsArguments       // that reads nothing of its frame before it has written it
)

// findNeeds finds what runs need, of a program that has been compiled.
func (code *Code) findNeeds(low *lower.Program) {
	// Of other programs the entry may return by way of its link.
	simple := !low.MayGoto && !low.UsesPacket && !low.Shared && !low.Blocks[0].Called
	// The target of a tail call goes on with the stack as it is, of which it may read anything.
	alone := code.depth == 1 && len(code.entries) == 0 && !slices.Contains(low.Helpers, asm.FnTailCall)
	proof := code.env.Proof
	switch {
	case !simple:
	case code.windows == 0 && (len(low.Helpers) == 0 || alone):
		code.needs = needsStack
		if code.depth == 1 && proof != nil && len(proof.Funcs) > 0 {
			code.needs = needsFrame
		}
	case code.noStack:
		code.needs = needsPacket
	}
	if !code.noStack {
		code.low = code.depth * prog.StackSize
		if code.needs == needsFrame && !low.ReadsAnywhere {
			code.unwritten(^proof.Funcs[0].Unread)
		}
	}
	if code.needs == needsFrame && code.low == code.high {
		code.needs = needsArguments
	}
}

// unwritten keeps from which slot of the frame to which ones may be read before they are written.
func (code *Code) unwritten(slots uint64) {
	code.low = 8 * bits.Len64(slots)
	code.high = min(8*bits.TrailingZeros64(slots), code.low)
}

// ready makes c and m ready for a run.
func (code *Code) ready(c *vm.CPU, m *machine) {
	if code.needs == needsAll {
		c.Begin()
		m.begin(0)
		return
	}
	if m.used {
		m.registers(0)
	}
	if code.needs == needsPacket {
		c.HideFrames() // else a guessed address may hit a window that was learned before the stack is ready
		c.TakePacket()
	}
	if code.low > code.high {
		c.BeginBare(code.depth, code.low, code.high)
	}
}

// serveRun is serve for a run that was not given more than its program needs: that gets the rest now.
func (m *machine) serveRun() error {
	switch m.code.needs {
	case needsAll:
	case needsPacket:
		m.cpu.Begin()
		m.attach()
		m.openStack(0)
	default:
		m.attach()
		if len(m.code.helpers) > 0 {
			m.cpu.BeginRest()
			m.openStack(0)
		}
	}
	return m.serve()
}
