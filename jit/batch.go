package jit

import (
	"slices"
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// batch is the packets that enterBatch gives to a program one after the other. It is for single
// programs, whose runs differ in the packet only: nothing is done in Go between
// two of them.
type batch struct {
	runs  **vm.PacketRun // the first
	next  int            // index of the run at hand
	end   int            // where to come back to Go
	given int64          // instructions that each may execute before it is left
	done  uint64         // instructions executed, but for those of runs that were left
	// The same for all batches: r10, the stack that is cleared for each run, and where code begins.
	frame, low, high, pc uintptr
}

// batchRuns is how many runs there are before Go has a look at what else it has to do.
const batchRuns = 32

// batchStack is what the stack that is cleared is a multiple of, in bytes.
const batchStack = 16

// batches reports whether a program can be run in batches. A record that it leaves behind would
// not be noticed.
func (code *Code) batches(low *lower.Program) bool {
	return code.needs >= needsFrame && !slices.Contains(low.Helpers, asm.FnRingbufReserve)
}

// Batch implements [vm.Batcher].
func (code *Code) Batch(c *vm.CPU) bool {
	return code.batched && code.machines.Keeps(c)
}

// RunBatch implements [vm.Batcher].
func (code *Code) RunBatch(c *vm.CPU, runs []*vm.PacketRun) (n int, insns uint64, left bool) {
	k := code.machines.Idle(c)
	if k == nil {
		k = code.newMachine(c)
	}
	m := &k.M
	if m.used {
		m.registers(0)
	}
	b := &m.batch
	if b.pc == 0 {
		b.pc, b.frame = code.base, uintptr(c.FramePointer(0))
		b.high = b.frame - uintptr(code.high)
		b.low = b.high - uintptr((code.low-code.high+batchStack-1)&^(batchStack-1))
	}
	b.runs, b.next, b.done, b.given = unsafe.SliceData(runs), 0, 0, m.budget.Begin(c.Limit)
	for b.next < len(runs) && !left {
		b.end = min(b.next+batchRuns, len(runs))
		enterBatch(m, b)
		if left = m.exit != uint64(exitDone); !left && b.next < b.end {
			break // a run without a context
		}
	}
	b.runs = nil
	if !left {
		k.Free()
	}
	return b.next, b.done, left
}

// FinishRun implements [vm.Batcher].
func (code *Code) FinishRun(c *vm.CPU) (uint64, error) {
	m := &code.machines.At(c).M
	m.budget.Begin(c.Limit) // as RunBatch did
	return m.finish()
}
