// Package enginetest is what the tests of all engines have in common: a machine with
// memory, random programs, and the vectors of the BPF Conformance project.
package enginetest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// Program makes a program of instructions without references to maps.
func Program(t testing.TB, insns asm.Instructions) *prog.Program {
	t.Helper()
	insns, err := insns.Resolve()
	if err != nil {
		t.Fatal(err)
	}
	p := &prog.Program{Name: "test"}
	for _, ins := range insns {
		p.Insns = append(p.Insns, ins)
		if ins.Slots() == 2 {
			p.Insns = append(p.Insns, asm.Instruction{})
		}
	}
	return p
}

// Parse makes a program of text without references to maps.
func Parse(t testing.TB, text string) *prog.Program {
	t.Helper()
	insns, err := asm.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return Program(t, insns)
}

// Rig is a CPU with memory that r1 points to and r2 is the length of. Around it are
// canaries, which no program may change.
type Rig struct {
	t testing.TB

	CPU    *vm.CPU
	Memory *mem.Arena
}

// NewRig returns a rig that is closed with the test.
func NewRig(t testing.TB) *Rig {
	t.Helper()
	m, err := vm.NewMachine(vm.Options{NumCPU: 1, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	a, err := mem.New(1024)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), a.Close()); err != nil {
			t.Error(err)
		}
	})
	return &Rig{t: t, CPU: m.CPU(0), Memory: a}
}

const (
	dataOffset = 512 // of the program's memory in the rig's
	canary     = 0xa5
)

// Run executes code over a copy of data, and returns what became of it.
func (r *Rig) Run(code vm.Runner, data []byte) (uint64, []byte, error) {
	all := r.Memory.Bytes()
	for i := range all {
		all[i] = canary
	}
	own := all[dataOffset : dataOffset+len(data)]
	copy(own, data)
	r.CPU.SetCtx(nil, r.Memory.Addr()+dataOffset, len(data))
	r.CPU.EntryR2 = uint64(len(data))
	r0, err := code.Run(r.CPU)
	r.CPU.End(nil)
	after := bytes.Clone(own)
	for i := range own {
		own[i] = canary
	}
	if bytes.Count(all, []byte{canary}) != len(all) {
		r.t.Errorf("a program has written outside of its memory")
	}
	return r0, after, err
}

// Outcome is all that a run leaves.
type Outcome struct {
	R0     uint64
	Memory [64]byte
	Stack  [prog.MaxFrames * prog.StackSize]byte
	Done   uint64
	Fault  string
	Slot   int
}

// Outcome runs code over memory that is always the same.
func (r *Rig) Outcome(code vm.Runner) (o Outcome) {
	var data [64]byte
	for i := range data {
		data[i] = byte(i * 7)
	}
	r0, after, err := r.Run(code, data[:])
	o.Memory, o.Done = [64]byte(after), r.CPU.Done
	o.Stack = *(*[len(o.Stack)]byte)(r.CPU.Stack())
	if err == nil {
		o.R0 = r0
		return o
	}
	o.Fault, o.Slot = Fault(err)
	return o
}

// Fault returns what the error of a run says, and the slot that it happened at.
func Fault(err error) (text string, slot int) {
	var f *vm.Fault
	if errors.As(err, &f) {
		slot = f.Slot
	}
	return err.Error(), slot
}
