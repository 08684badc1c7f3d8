package sandbpf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// Program is a loaded program. It is safe for concurrent use.
type Program struct {
	vm     *VM
	exec   *hooks.Executable
	code   vm.Runner
	engine Engine
	id     uint32
	attach AttachType
	proof  *verifier.Proof // nil if it was not verified
	held   []*maps.Map
	closed atomic.Bool
}

var programIDs atomic.Uint32

func (v *VM) loadProgram(spec *ProgramSpec, named map[string]*maps.Map) (*Program, error) {
	hook, err := v.hookOf(spec)
	if err != nil {
		return nil, err
	}
	p := &Program{vm: v, id: programIDs.Add(1), attach: spec.AttachType}
	held, err := p.hold(spec, named)
	if err != nil {
		p.drop()
		return nil, fmt.Errorf("program %s: %w", spec.Name, err)
	}
	linked, err := link(spec, byNameIn(held))
	if err == nil && v.verifies(hook) {
		p.proof, err = v.prove(linked, spec, hook)
	}
	if err == nil {
		err = checkStructure(linked) // what is proved has passed it but for dead code
	}
	if err == nil {
		err = p.compile(linked, hook)
	}
	if err != nil {
		p.drop()
		return nil, err
	}
	return p, nil
}

// verifies reports whether programs of a hook are verified. Those of no type are given memory
// of any length, of which nothing can be proved.
func (v *VM) verifies(hook *hooks.Type) bool { return !v.unverified && hook.Prog != prog.Unspec }

// hold returns handles of the program's own of the maps that it refers to.
func (p *Program) hold(spec *ProgramSpec, named map[string]*maps.Map) (map[string]*maps.Map, error) {
	held := make(map[string]*maps.Map)
	for _, ins := range spec.Instructions {
		name := ins.Reference()
		m := named[name]
		if m == nil || held[name] != nil {
			continue
		}
		if m.NumCPU() != p.vm.machine.NumCPU {
			return nil, fmt.Errorf("map %s: %w", m, hooks.ErrOtherVM)
		}
		own, err := m.Clone()
		if err != nil {
			return nil, err
		}
		held[name] = own
		p.held = append(p.held, own)
	}
	return held, nil
}

// drop closes the maps that the program holds.
func (p *Program) drop() {
	for _, m := range p.held {
		_ = m.Close() // which cannot fail
	}
}

func (p *Program) compile(linked *prog.Program, hook *hooks.Type) error {
	linked.Type = hook.Prog
	if err := checkCalls(linked, hook, p.proof); err != nil {
		return err
	}
	list := make([]vm.Map, len(linked.Maps))
	for i, m := range linked.Maps {
		list[i] = m.(*maps.Map)
	}
	if err := p.translate(linked, list, hook); err != nil {
		return err
	}
	p.exec = hooks.NewExecutable(hooks.Config{
		Prog: linked, Hook: hook, Engine: p.code, Machine: p.vm.machine, Maps: list,
		Host: p.vm.host, Limit: p.vm.limit, Timed: p.vm.timed, Abandon: abandon, Free: p.free,
	})
	return nil
}

// translate brings the program into the form that the VM's engine runs, or the
// interpreter if there is no memory for machine code.
func (p *Program) translate(linked *prog.Program, list []vm.Map, hook *hooks.Type) error {
	externs, numCPU := make([]uint64, len(linked.Externs)), p.vm.machine.NumCPU
	if p.vm.engine == JIT {
		code, err := jit.Compile(linked, jit.Env{Maps: list, Externs: externs, Helper: bodyOf(hook), NumCPU: numCPU,
			Inline: true, Blind: p.vm.blind, Proof: p.proof, Layout: hook.Layout})
		switch {
		case err == nil:
			p.code, p.engine = code, JIT
			if w := p.vm.perfMap; w != nil {
				fmt.Fprintf(w, "%x %x bpf_prog_%s\n", code.Addr(), code.Size(), linked.Name) // nobody could act on the error
			}
			return nil
		case !errors.Is(err, mem.ErrNoMemory) && !errors.Is(err, mem.ErrNoExec):
			return err
		}
	}
	code, err := interp.Compile(linked, interp.Env{
		Maps: list, Externs: externs, Helper: bodyOf(hook), NumCPU: numCPU, Sanitize: p.vm.sanitize})
	if err != nil {
		return err
	}
	p.code, p.engine = code, Interpreter
	return nil
}

// abandon gives back a ring-buffer record that a run has leaked.
func abandon(owner any, r mem.Region) {
	if m, ok := owner.(*maps.Map); ok {
		m.DiscardProg(r.Addr, 0)
	}
}

// free is called when nothing can run the program any more.
func (p *Program) free() {
	p.drop()
	if code, ok := p.code.(io.Closer); ok {
		_ = code.Close() // it cannot fail in a way that anybody could mend
	}
	p.vm.release()
}

// Name returns the name of the program.
func (p *Program) Name() string { return p.exec.Name() }

// Type returns the type of the program.
func (p *Program) Type() ProgramType { return p.exec.Prog.Type }

// AttachType returns where a program of its type attaches.
func (p *Program) AttachType() AttachType { return p.attach }

// Hook returns the descriptor of the hook that the program is for.
func (p *Program) Hook() *hooks.Type { return p.exec.Hook() }

// VM returns the VM that the program is loaded in.
func (p *Program) VM() *VM { return p.vm }

// Engine returns what executes the program.
func (p *Program) Engine() Engine { return p.engine }

// Native returns the machine code that runs the program, and for each piece of it, by its
// offset, the slot of the instruction that it is made from, or -1 for what belongs to none. It
// returns nil if the program is interpreted or has been freed.
func (p *Program) Native() (native []byte, slots iter.Seq2[int, int]) {
	code, ok := p.code.(*jit.Code)
	if !ok {
		return nil, func(func(int, int) bool) {}
	}
	return code.Native()
}

// Stats returns how often the program ran, how many instructions that took and,
// with [WithStats], how long.
func (p *Program) Stats() hooks.Stats { return p.exec.Stats() }

// Executable returns what hooks work with, nil for a nil Program.
func (p *Program) Executable() *hooks.Executable {
	if p == nil {
		return nil
	}
	return p.exec
}

// ProgramID implements [maps.ProgramRef].
func (p *Program) ProgramID() uint32 { return p.id }

// TailWord implements [maps.ProgramRef].
func (p *Program) TailWord() uint64 { return uint64(p.id) }

// JoinArray implements [maps.ProgramRef]: the programs of an array are of one type
// and one VM. An element does not keep its program loaded: once the program is
// closed, a tail call to it goes on behind the call, as to an empty element.
func (p *Program) JoinArray(other maps.ProgramRef) error {
	first, ok := other.(*Program)
	switch {
	case p == nil:
		return errors.New("nil Program")
	case !p.exec.Alive():
		return ErrClosed
	case other == nil:
		return nil
	case !ok || first.vm != p.vm:
		return hooks.ErrOtherVM
	case first.exec.Hook() != p.exec.Hook():
		return hooks.ErrWrongType
	}
	return nil
}

// Runner implements [vm.TailTarget].
func (p *Program) Runner() vm.Runner {
	if !p.exec.Alive() {
		return nil
	}
	return p.code
}

// Close gives the program up. Links keep it running; the maps that it uses live
// until it does not run any more. Closing twice does nothing.
func (p *Program) Close() error {
	if !p.closed.Swap(true) {
		p.exec.Release()
	}
	return nil
}

// Test runs the program once on a packet (or memory, if the program has no type)
// as BPF_PROG_TEST_RUN does and returns its verdict and the packet after it.
func (p *Program) Test(in []byte) (ret uint32, out []byte, err error) {
	run := hooks.TestRun{Data: in}
	if err := p.Run(context.Background(), &run); err != nil {
		return 0, nil, err
	}
	return uint32(run.Ret), run.DataOut, nil
}

// Run is a test run with all that can be set; see [hooks.TestRun]. It does not
// allocate if the slices for the output have room. The error is a [*Fault], or wraps
// [ErrInput], [ErrClosed] or the error of ctx.
func (p *Program) Run(ctx context.Context, run *hooks.TestRun) error {
	if p.closed.Load() {
		return fmt.Errorf("program %s: %w", p.Name(), ErrClosed)
	}
	return hooks.Test(ctx, p, run)
}

// RunOn is [Program.Run] on a CPU that the caller holds.
func (p *Program) RunOn(ctx context.Context, cpu hooks.CPU, run *hooks.TestRun) error {
	if p.closed.Load() {
		return fmt.Errorf("program %s: %w", p.Name(), ErrClosed)
	}
	return hooks.TestOn(ctx, cpu, p, run)
}
