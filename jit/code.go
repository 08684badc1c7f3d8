// Package jit executes programs as amd64 machine code.
//
// # How it runs
//
// Run enters the code of a program through an assembly stub, on the goroutine's own
// stack: the code never moves RSP and keeps RBP, so that Go's signal handlers and
// profilers find the stack as they expect it. It never calls Go. What it cannot do by
// itself (helpers, accesses that it cannot check quickly, a budget that is used up) it
// leaves to Go by returning with the number of an exit; Go does it and enters
// the code again where it goes on. Compiled code cannot be preempted, so it counts down
// and leaves at least every 65,536 instructions.
//
// # What keeps it sound
//
// Memory is accessed where a proof says that it may be, or behind a comparison with a
// [vm.Window], as in package interp. Code is never writable where it is executed; it is
// freed by Close, which the program's owner calls when no run can be left. Native code
// reads Go memory (the machine, windows) but writes no pointers there. Where functions return to is
// kept beside the stack of the CPU, behind a page that nobody can access.
package jit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"

	"golang.org/x/sys/cpu"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/verifier"
)

// ErrUnavailable says that this machine or OS does not run compiled programs.
var ErrUnavailable = errors.New("no native code on this platform")

// Env is what a program refers to.
type Env struct {
	Maps    []vm.Map                           // by the index in 64-bit immediate loads
	Externs []uint64                           // addresses of kernel variables, likewise
	Helper  func(fn asm.BuiltinFunc) vm.Helper // nil: there is no such helper
	NumCPU  int                                // virtual CPUs that will run it; 0: 1

	// Inline says that the helpers are those of Linux, some of which are compiled into the
	// program; with a Proof, operations on maps are done by package leaf.
	Inline bool

	// Blind keeps the constants of the program out of the machine code, where whoever wrote the
	// program could have made instructions of them: each is xored with a random number, at
	// the price of most optimisations. Offsets of 16 bits and shift counts stay.
	Blind bool

	// Proof is what the verifier knows of the program; what it does not prove is checked
	// when the program runs. Nil: everything is.
	Proof  *verifier.Proof
	Layout *prog.CtxLayout // of the context that the proof is about

	Without lower.Pass // passes to leave out, for tests and measurements
}

func (e *Env) helper(fn asm.BuiltinFunc) vm.Helper {
	if e.Helper == nil {
		return nil
	}
	return e.Helper(fn)
}

// lower returns what the passes need to know of the environment of p.
func (e *Env) lower(p *prog.Program) lower.Env {
	l := lower.Env{
		Immediate: func(slot int) (uint64, error) { return vm.Immediate(p, slot, e.Maps, e.Externs) },
		HasHelper: func(fn asm.BuiltinFunc) bool { return e.helper(fn) != nil },
		Proof:     e.Proof, Layout: e.Layout, Without: e.Without,
		Popcount: cpu.X86.HasPOPCNT,
	}
	if e.Blind {
		l.Without |= lower.PassBlocks | lower.PassUnroll // which fold constants into addresses
	}
	if e.Inline {
		l.Cells = e.cells
	}
	return l
}

// cells returns the array that the map at an address is, if it is one.
func (e *Env) cells(addr uint64) (mem.Cells, bool) {
	for _, m := range e.Maps {
		if a, ok := m.(vm.ArrayMap); ok && m.Addr() == addr {
			return a.Cells()
		}
	}
	return mem.Cells{}, false
}

// Code is a compiled program. It can run on several virtual CPUs at once.
type Code struct {
	p       *prog.Program
	env     Env
	pages   *mem.Code
	base    uintptr
	size    int // of the machine code, in bytes
	exits   []exit
	helpers []vm.Helper
	windows int              // how many windows checked accesses use
	entries map[int]callback // functions that helpers can call, by slot
	done    int32            // offset of the code that ends a run
	depth   int              // frames that a run takes at most
	noStack bool             // no instruction uses the stack
	hidden  bool             // frames are no regions as long as native code runs: it does not look for any
	needs   needs            // of a run
	low     int              // the stack from here
	high    int              // to here, in bytes below r10, may be read before it is written
	batched bool             // runs can follow one another without Go, see batch
	places  []byte           // see place

	machines vm.Machines[machine]
}

// callback is a function that helpers can call.
type callback struct {
	offset int32 // in the code
	depth  int32 // frames that it takes at most
	index  int32 // instructions that come before it in the program
}

// place says where the machine code of an instruction begins. A list of places has the distances from
// each to the next, in slots and bytes: one byte, slots in its lower three bits, or
// farPlace and two varints, of which the first is signed.
type place struct{ slot, offset int32 }

const farPlace = 7

// Available says why programs cannot be compiled here, by an error that wraps
// [ErrUnavailable], or returns nil.
var Available = sync.OnceValue(func() error {
	if runtime.GOARCH != "amd64" {
		return fmt.Errorf("%w: %s", ErrUnavailable, runtime.GOARCH)
	}
	pages, err := mem.NewCode([]byte{0xc3})
	if err == nil {
		err = pages.Release()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
})

// Compile makes machine code of p. The error is a [*prog.Error], or wraps
// [ErrUnavailable] or [mem.ErrNoMemory].
func Compile(p *prog.Program, env Env) (*Code, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	low, err := lower.Build(p, env.lower(p))
	if err != nil {
		return nil, err
	}
	defer low.Free()
	lower.Run(low)
	code := &Code{p: p, env: env, machines: vm.NewMachines[machine](env.NumCPU),
		depth: low.Funcs[0].Depth, noStack: !low.UsesStack && len(low.Helpers) == 0}
	for _, fn := range low.Helpers {
		code.helpers = append(code.helpers, env.helper(fn))
	}
	code.hidden = low.Verified && !low.Checks && !low.Shared
	if err := emit(low, code); err != nil {
		return nil, err
	}
	code.findNeeds(low)
	code.batched = code.batches(low)
	return code, nil
}

// Without compiles the program again, without some passes.
func (code *Code) Without(passes lower.Pass) (*Code, error) {
	env := code.env
	env.Without = passes
	return Compile(code.p, env)
}

// Close frees the machine code. Nothing may run it any more.
func (code *Code) Close() error { return code.pages.Release() }

// Addr returns where the machine code lies.
func (code *Code) Addr() uintptr { return code.base }

// Size returns how many bytes of machine code the program is.
func (code *Code) Size() int { return code.size }

// Native returns a copy of the machine code, nil if it has been freed, and for each piece of it, by
// its offset, the slot of the instruction that it is made from. What is seldom executed lies at the end
// and has slot -1.
func (code *Code) Native() (native []byte, slots iter.Seq2[int, int]) {
	return code.pages.Bytes(), func(yield func(offset, slot int) bool) {
		var offset, slot int
		for rest := code.places; len(rest) > 0; {
			slots, bytes, n := int64(rest[0]&7), uint64(rest[0]>>3), 1
			if slots == farPlace {
				var m int
				slots, n = binary.Varint(rest[1:])
				bytes, m = binary.Uvarint(rest[1+n:])
				n += 1 + m
			}
			rest, slot, offset = rest[n:], slot+int(slots), offset+int(bytes)
			if !yield(offset, slot) {
				return
			}
		}
	}
}
