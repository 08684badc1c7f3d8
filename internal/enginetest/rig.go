// Package enginetest is what the tests of all engines have in common: a machine with
// memory, random programs, and the vectors of the BPF Conformance project.
package enginetest

import (
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

// Rig is a CPU with memory that r1 points to and r2 is the length of.
type Rig struct {
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
	a, err := mem.New(4096)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(m.Close(), a.Close()); err != nil {
			t.Error(err)
		}
	})
	return &Rig{CPU: m.CPU(0), Memory: a}
}

// Run executes code over a copy of data, and returns what became of it.
func (r *Rig) Run(code vm.Runner, data []byte) (uint64, []byte, error) {
	copy(r.Memory.Bytes(), data)
	r.CPU.SetCtx(nil, r.Memory.Addr(), len(data))
	r.CPU.EntryR2 = uint64(len(data))
	r0, err := code.Run(r.CPU)
	r.CPU.End(nil)
	return r0, append([]byte(nil), r.Memory.Bytes()[:len(data)]...), err
}

// Outcome is all that a run leaves.
type Outcome struct {
	R0     uint64
	Memory [64]byte
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
	if err == nil {
		o.R0 = r0
		return o
	}
	var f *vm.Fault
	if errors.As(err, &f) {
		o.Slot = f.Slot
	}
	o.Fault = err.Error()
	return o
}
