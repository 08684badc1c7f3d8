package sandbpf

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
)

// VM is a sandbox: virtual CPUs and what surrounds the programs that run on them.
// It is safe for concurrent use.
type VM struct {
	config
	machine *vm.Machine
	refs    atomic.Int64 // the user's, and one for each program
	closed  atomic.Bool
}

// New returns a VM. Without options, programs run on as many virtual CPUs as
// Go uses real ones, by the real clock and with unpredictable randomness.
func New(options ...Option) (*VM, error) {
	cfg := config{limit: vm.DefaultLimit, host: &Host{}}
	if jit.Available() == nil {
		cfg.engine = JIT
	}
	for _, option := range options {
		if err := option(&cfg); err != nil {
			return nil, fmt.Errorf("sandbpf: %w", err)
		}
	}
	if cfg.sanitize {
		cfg.engine = Interpreter
	}
	m, err := vm.NewMachine(cfg.Options)
	if err != nil {
		return nil, fmt.Errorf("sandbpf: %w", err)
	}
	v := &VM{config: cfg, machine: m}
	v.refs.Store(1)
	return v, nil
}

// NumCPU returns the number of virtual CPUs.
func (v *VM) NumCPU() int { return v.machine.NumCPU }

// Engine returns what executes programs, unless there is no memory for machine code:
// see [Program.Engine].
func (v *VM) Engine() Engine { return v.engine }

// Acquire leases a virtual CPU for as long as the caller likes, so that a loop of
// events does not lease one for each. It waits for one if all are leased.
func (v *VM) Acquire() (hooks.CPU, error) { return hooks.HoldCPU(v.machine) }

// Close ends the VM: nothing more can be loaded. Programs that are loaded still
// run until they are closed; the last one takes the VM's memory with it. If
// there is none, Close waits until every CPU has been released. Closing twice does nothing.
func (v *VM) Close() error {
	if v.closed.Swap(true) {
		return nil
	}
	if v.refs.Add(-1) == 0 {
		return v.machine.Close()
	}
	return nil
}

// retain keeps the machine. It reports false if the VM is closed.
func (v *VM) retain() bool {
	v.refs.Add(1)
	if v.closed.Load() {
		v.release()
		return false
	}
	return true
}

// release undoes retain. It may be called by the holder of a CPU, which closing
// the machine waits for.
func (v *VM) release() {
	if v.refs.Add(-1) == 0 {
		go v.machine.Close()
	}
}

// NewMap creates a map for programs of this VM. The error is a [*maps.Error].
func (v *VM) NewMap(spec *maps.Spec) (*maps.Map, error) {
	return maps.NewWithOptions(spec, maps.Options{NumCPU: v.machine.NumCPU, Retire: v.machine.Retire})
}

var errNilProgram = errors.New("nil ProgramSpec")

// LoadProgram loads a program that refers to no maps, or to those given, by the name
// that its instructions use. The program holds the maps open by itself.
//
// The error says which instruction and source line is at fault. What Linux would refuse, be it
// for the structure of the program or for a path through it, is a [*verifier.Error], whose Code
// says why; a name of what is not there is a [*ProgramError]; what the sandbox has not is an
// [ErrNotSupported]. A program that is not verified is a [*ProgramError] if its structure is
// wrong, and a [*CallError] if it calls what it may not.
func (v *VM) LoadProgram(spec *ProgramSpec, named map[string]*maps.Map) (*Program, error) {
	if spec == nil {
		return nil, errNilProgram
	}
	if !v.retain() {
		return nil, fmt.Errorf("program %s: VM: %w", spec.Name, ErrClosed)
	}
	p, err := v.loadProgram(spec, named)
	if err != nil {
		v.release()
		return nil, err
	}
	return p, nil
}

// hookOf returns the descriptor of the program's type.
func (v *VM) hookOf(spec *ProgramSpec) (*hooks.Type, error) {
	if spec.Type == prog.Custom || spec.Type == prog.Unspec {
		for _, name := range [...]string{spec.AttachTo, spec.Section} {
			if name == "" {
				continue
			}
			if t := v.hooks[name]; t != nil {
				return t, nil
			}
			if t := hooks.BySection(name); t != nil {
				return t, nil
			}
		}
		if spec.Type == prog.Custom || spec.Section != "" {
			return nil, fmt.Errorf("program %s: %w: no hook for section %q, attach target %q%s",
				spec.Name, ErrUnknownHook, spec.Section, spec.AttachTo, prog.NearSection(spec.Section))
		}
	}
	if t := hooks.ByType(spec.Type); t != nil {
		return t, nil
	}
	return nil, fmt.Errorf("program %s: %w: programs of type %v", spec.Name, ErrNotSupported, spec.Type)
}
