package sandbpf

import (
	"errors"
	"fmt"
	"io"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit"
)

// Engine says what executes programs.
type Engine uint8

// The engines.
const (
	Interpreter Engine = iota // runs everywhere, every access checked
	JIT                       // machine code; on amd64, where the OS lets memory be executable
)

// String returns the name of the engine.
func (e Engine) String() string {
	switch e {
	case Interpreter:
		return "interp"
	case JIT:
		return "jit"
	}
	return fmt.Sprintf("engine(%d)", uint8(e))
}

// Host answers what programs ask about the machine around them: routes, devices,
// the current task.
type Host = hooks.Host

// Option is a property of a VM.
type Option func(*config) error

type config struct {
	vm.Options
	engine   Engine
	host     *Host
	limit    uint64
	sanitize bool
	blind    bool
	perfMap  io.Writer
	// unverified: programs are not verified when they are loaded
	unverified bool
	timed      bool
	hooks      map[string]*hooks.Type
}

// WithEngine chooses what executes programs. The default is [JIT] where it is available,
// else [Interpreter]. With [WithSanitizer] it is always Interpreter.
func WithEngine(e Engine) Option {
	return func(c *config) error {
		switch e {
		case Interpreter:
		case JIT:
			if err := jit.Available(); err != nil {
				return fmt.Errorf("engine %v: %w", e, err)
			}
		default:
			return fmt.Errorf("no engine %v", e)
		}
		c.engine = e
		return nil
	}
}

// WithCPUs sets the number of virtual CPUs, which is how many runs there can be at
// a time and how many values an element of a per-CPU map has. The default is GOMAXPROCS.
func WithCPUs(n int) Option {
	return func(c *config) error {
		if n < 1 {
			return fmt.Errorf("%d virtual CPUs", n)
		}
		c.NumCPU = n
		return nil
	}
}

// WithClock sets what time it is to programs: nanoseconds since boot, never
// going back. The default is the time since some point before the process started. It
// is called by the goroutines that run programs.
func WithClock(now func() uint64) Option {
	return func(c *config) error {
		if now == nil {
			return errors.New("nil clock")
		}
		c.Clock = now
		return nil
	}
}

// WithSeed makes what bpf_get_prandom_u32 returns the same each time. 0 stands
// for a random seed, the default.
func WithSeed(seed uint64) Option {
	return func(c *config) error {
		c.Seed = seed
		return nil
	}
}

// WithTrace sets where bpf_trace_printk writes to, one Write for each call. The
// default is nowhere.
func WithTrace(w io.Writer) Option {
	return func(c *config) error {
		c.Trace = w
		return nil
	}
}

// WithLimit sets how many instructions a run may execute before it ends in
// [ErrBudget]. The default is 1<<32. Runs look at it when they jump or call, and may
// pass it by the length of the program.
func WithLimit(instructions uint64) Option {
	return func(c *config) error {
		if instructions == 0 {
			return errors.New("limit of 0 instructions")
		}
		c.limit = instructions
		return nil
	}
}

// WithHost sets what answers for the machine around the programs. The default has
// a loopback device and no routes.
func WithHost(h *Host) Option {
	return func(c *config) error {
		c.host = h
		return nil
	}
}

// WithoutVerifier loads programs that the verifier would refuse, and does not ask it. Every access
// is checked when it is made then, and what goes wrong ends the run in a [*Fault].
func WithoutVerifier() Option {
	return func(c *config) error {
		c.unverified = true
		return nil
	}
}

// WithBlinding keeps the constants of programs out of their machine code, where they could be
// meant to be executed: each is xored with a random number. Programs are slower with it.
func WithBlinding() Option {
	return func(c *config) error {
		c.blind = true
		return nil
	}
}

// WithPerfMap writes a line for the machine code of each program that is loaded, as perf
// reads it from the file /tmp/perf-PID.map: address, size, name. One Write for each.
func WithPerfMap(w io.Writer) Option {
	return func(c *config) error {
		c.perfMap = w
		return nil
	}
}

// WithSanitizer makes runs end in an error too if they read stack bytes that were
// never written, use a released record or read packet bytes that they did not
// compare with data_end. Runs are slower with it.
func WithSanitizer() Option {
	return func(c *config) error {
		c.sanitize = true
		return nil
	}
}

// WithStats measures the time of each run, which costs about as much as a short
// program. Runs and instructions are always counted.
func WithStats() Option {
	return func(c *config) error {
		c.timed = true
		return nil
	}
}

// WithHook makes a hook of [hooks.New] known by its name. Those of
// [hooks.Define] are known to every VM.
func WithHook(h interface{ Type() *hooks.Type }) Option {
	return func(c *config) error {
		if h == nil {
			return errors.New("nil hook")
		}
		t := h.Type()
		if c.hooks[t.Name] != nil {
			return fmt.Errorf("two hooks named %s", t.Name)
		}
		if c.hooks == nil {
			c.hooks = make(map[string]*hooks.Type)
		}
		c.hooks[t.Name] = t
		return nil
	}
}
