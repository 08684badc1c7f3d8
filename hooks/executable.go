package hooks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// Errors of attaching and running.
var (
	ErrClosed    = os.ErrClosed
	ErrWrongType = errors.New("program of the wrong type")
	ErrOtherVM   = errors.New("program of another VM")
	ErrReturn    = errors.New("return value out of range")
	ErrDetached  = errors.New("link is detached")
	ErrOccupied  = errors.New("hook takes one program")
)

// Program is what attaches to a hook: a *sandbpf.Program.
type Program interface {
	Name() string
	Executable() *Executable
}

// Engine runs a compiled program on a CPU that is ready for it.
type Engine interface {
	Run(c *vm.CPU) (r0 uint64, err error)
}

// Config is what an [Executable] is made of.
type Config struct {
	Prog    *prog.Program
	Hook    *Type
	Engine  Engine
	Machine *vm.Machine
	Maps    []vm.Map
	Host    *helper.Host
	Limit   uint64 // instructions of a run
	Timed   bool   // measure the time of each run
	Abandon func(owner any, r mem.Region)
	Free    func() // called when nothing can run the program any more
}

// Executable is the part of a loaded program that hooks work with. It is made
// and owned by the program; users have no need of it.
type Executable struct {
	Config
	hook    *Type
	batcher vm.Batcher // nil: the engine is none
	refs    atomic.Int64
	stats   []cpuStats
}

// cpuStats is written by one CPU at a time, in its own cache line.
type cpuStats struct {
	runs  atomic.Uint64
	nanos atomic.Uint64
	insns atomic.Uint64
	_     [40]byte
}

// NewExecutable returns an executable with one reference.
func NewExecutable(cfg Config) *Executable {
	x := &Executable{Config: cfg, hook: cfg.Hook, stats: make([]cpuStats, cfg.Machine.NumCPU)}
	if !cfg.Timed {
		x.batcher, _ = cfg.Engine.(vm.Batcher)
	}
	x.refs.Store(1)
	return x
}

// Name returns the program's name.
func (x *Executable) Name() string { return x.Prog.Name }

// Hook returns the descriptor of the program's type.
func (x *Executable) Hook() *Type { return x.hook }

// Alive reports whether anything holds the program.
func (x *Executable) Alive() bool { return x.refs.Load() > 0 }

// Retain adds a reference. It reports false if the last is gone already.
func (x *Executable) Retain() bool {
	for {
		n := x.refs.Load()
		if n == 0 {
			return false
		}
		if x.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release takes a reference away. What the program holds is freed after the
// last, once no run is left.
func (x *Executable) Release() {
	if x.refs.Add(-1) == 0 {
		x.Machine.Retire(x.Free)
	}
}

// Stats are what the runs of a program add up to.
type Stats struct {
	Runs         uint64
	Instructions uint64
	Time         time.Duration // 0 if the VM does not measure it
}

// Stats returns the sums over all CPUs.
func (x *Executable) Stats() Stats {
	var s Stats
	for i := range x.stats {
		s.Runs += x.stats[i].runs.Load()
		s.Instructions += x.stats[i].insns.Load()
		s.Time += time.Duration(x.stats[i].nanos.Load())
	}
	return s
}

// run runs the program on c, whose context and packet are set. The holder of c
// keeps the executable from being freed: it found it on this lease.
func (x *Executable) run(c *vm.CPU) (uint64, error) {
	if e, ok := c.Event.(*hostEvent); ok && len(e.slices) > 0 {
		e.grant(c)
	}
	c.Limit = x.Limit
	if x.Timed {
		return x.timed(c)
	}
	r0, err := x.Engine.Run(c)
	s := &x.stats[c.ID] // what follows is ended, without the call
	mem.AddOwned(&s.runs, 1)
	mem.AddOwned(&s.insns, c.Done)
	if c.Holds() {
		return r0, x.end(c, err)
	}
	return r0, err
}

// timed is run that measures its time.
func (x *Executable) timed(c *vm.CPU) (uint64, error) {
	began := time.Now()
	r0, err := x.Engine.Run(c)
	mem.AddOwned(&x.stats[c.ID].nanos, uint64(time.Since(began)))
	return x.ended(c, r0, err)
}

// ended counts a run and ends it.
func (x *Executable) ended(c *vm.CPU, r0 uint64, err error) (uint64, error) {
	s := &x.stats[c.ID]
	mem.AddOwned(&s.runs, 1)
	mem.AddOwned(&s.insns, c.Done)
	if c.Holds() {
		return r0, x.end(c, err)
	}
	return r0, err
}

// end takes back what a run that ended with err has not given back itself.
func (x *Executable) end(c *vm.CPU, err error) error {
	if leaked := c.End(x.Abandon); leaked != 0 && err == nil {
		return fmt.Errorf("%s: %w: %d ring buffer records neither submitted nor discarded", x.Name(), ErrLeak, leaked)
	}
	return err
}

// ErrLeak says that a program has exited with records that it had reserved.
// Linux refuses such a program (unreleased reference).
var ErrLeak = errors.New("reference leaked")

// CPU is a virtual CPU that is held across runs, which saves leasing one for
// each. It is for one goroutine at a time and must be released. Programs that are
// replaced or closed meanwhile are freed after the next run on it.
type CPU struct{ c *vm.CPU }

// HoldCPU leases a CPU of m, waiting for one if all are leased. The error is
// [ErrClosed].
func HoldCPU(m *vm.Machine) (CPU, error) {
	c := m.Acquire()
	if c == nil {
		return CPU{}, fmt.Errorf("VM: %w", ErrClosed)
	}
	return CPU{c}, nil
}

// ID returns the number of the CPU, as bpf_get_smp_processor_id does.
func (c CPU) ID() int { return c.c.ID }

// Release ends the lease. The CPU must not be used after.
func (c CPU) Release() { c.c.M.Release(c.c) }

// setContext makes the run end when ctx does.
func setContext(c *vm.CPU, ctx context.Context) {
	c.Context = nil
	if ctx != nil && ctx.Done() != nil {
		c.Context = ctx
	}
}
