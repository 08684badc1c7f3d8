package vm

import (
	"fmt"
	"io"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// Options are what a machine is made of. The zero value is ready for use.
type Options struct {
	NumCPU int           // virtual CPUs; 0: GOMAXPROCS
	Clock  func() uint64 // nanoseconds, monotonic; nil: time since boot where known
	Wall   func() uint64 // nanoseconds since 1970 (TAI, which Linux sets to UTC); nil: as Clock if that is given, else the time of day
	Seed   uint64        // of the CPUs' random generators; 0: a random one
	Trace  io.Writer     // where bpf_trace_printk goes; nil: nowhere
}

// Machine is a set of virtual CPUs.
type Machine struct {
	Options
	cpus []*CPU

	free    []atomic.Uint64 // a bit a CPU, set while it is free
	waiting atomic.Int64    // for CPUs: goroutines that want one, frees that want them to be between runs
	mu      sync.Mutex
	cond    sync.Cond
	closed  bool
	traceMu sync.Mutex
	grace   grace
}

// maxCPUs bounds what a caller can ask for (NR_CPUS of Linux).
const maxCPUs = 8192

// NewMachine returns a machine.
func NewMachine(o Options) (*Machine, error) {
	if o.NumCPU == 0 {
		o.NumCPU = runtime.GOMAXPROCS(0)
	}
	if o.NumCPU < 0 || o.NumCPU > maxCPUs {
		return nil, fmt.Errorf("%d virtual CPUs: must be 1 to %d", o.NumCPU, maxCPUs)
	}
	if o.Wall == nil {
		o.Wall = o.Clock
	}
	if o.Wall == nil {
		o.Wall = func() uint64 { return uint64(time.Now().UnixNano()) }
	}
	if o.Clock == nil {
		o.Clock = monotonic
	}
	if o.Seed == 0 {
		o.Seed = randomSeed()
	}
	m := &Machine{Options: o, cpus: make([]*CPU, o.NumCPU), free: make([]atomic.Uint64, (o.NumCPU+63)/64)}
	m.cond.L = &m.mu
	for i := range m.cpus {
		c, err := newCPU(m, i)
		if err != nil {
			m.closeCPUs()
			return nil, err
		}
		m.cpus[i] = c
		m.free[i/64].Store(m.free[i/64].Load() | 1<<(i%64))
	}
	return m, nil
}

func newCPU(m *Machine, id int) (*CPU, error) {
	stack, err := mem.NewPair(stackSize)
	if err != nil {
		return nil, fmt.Errorf("stack of virtual CPU %d: %w", id, err)
	}
	c := &CPU{ID: id, M: m, stack: stack, maxDepth: 1, Rand: splitmix(m.Seed + uint64(id)), Limit: DefaultLimit}
	for i := range c.Frames {
		c.Frames[i].Set(c.frameRegion(i))
		c.Frames[i].resize(0)
	}
	return c, nil
}

// DefaultLimit is how many instructions a run may execute where nobody says.
const DefaultLimit = 1 << 32

// CPU returns the virtual CPU with that number, without a lease: for tests and
// for callers that know that nobody else uses the machine.
func (m *Machine) CPU(i int) *CPU { return m.cpus[i] }

// Acquire leases a CPU, waiting for one if all are leased. It does not allocate.
// It returns nil if the machine is closed.
func (m *Machine) Acquire() *CPU {
	word := &m.free[0]
	if set := word.Load(); set != 0 && word.CompareAndSwap(set, set&(set-1)) {
		return m.cpus[bits.TrailingZeros64(set)]
	}
	return m.acquire()
}

// acquire is Acquire where it takes longer.
func (m *Machine) acquire() *CPU {
	if c := m.tryAcquire(); c != nil {
		return c
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wait(&m.closed)
}

// wait leases a CPU with m.mu held, waiting for one until stop, if that is not nil.
func (m *Machine) wait(stop *bool) *CPU {
	m.waiting.Add(1)
	defer m.waiting.Add(-1)
	for {
		if stop != nil && *stop {
			return nil
		}
		if c := m.tryAcquire(); c != nil {
			return c
		}
		m.cond.Wait()
	}
}

func (m *Machine) tryAcquire() *CPU {
	for i := range m.free {
		for {
			set := m.free[i].Load()
			if set == 0 {
				break
			}
			if m.free[i].CompareAndSwap(set, set&(set-1)) {
				return m.cpus[i*64+bits.TrailingZeros64(set)]
			}
		}
	}
	return nil
}

// Release ends the lease of c.
func (m *Machine) Release(c *CPU) {
	if m.waiting.Load() != 0 { // somebody may lease c again before reap looks
		c.seen.Store(m.grace.epoch.Load())
	}
	id := uint(c.ID)
	m.free[id/64].Or(1 << (id % 64))
	if m.waiting.Load() != 0 {
		m.released()
	}
}

// released tells those that wait of a CPU which is free now.
func (m *Machine) released() {
	m.mu.Lock()
	m.cond.Signal()
	m.mu.Unlock()
	m.reap()
}

// Close frees the stacks. It waits until every CPU has been released.
func (m *Machine) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	m.cond.Broadcast()
	for range m.cpus {
		m.wait(nil)
	}
	m.grace.over.Store(true)
	m.reap()
	return m.closeCPUs()
}

func (m *Machine) closeCPUs() error {
	var first error
	for _, c := range m.cpus {
		if c == nil {
			continue
		}
		if own, ok := c.HookMem.(io.Closer); ok {
			if err := own.Close(); err != nil && first == nil {
				first = err
			}
		}
		if err := c.stack.Close(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// Random returns the next number of the CPU's generator (xorshift64*).
func (c *CPU) Random() uint32 {
	x := c.Rand
	x ^= x >> 12
	x ^= x << 25
	x ^= x >> 27
	c.Rand = x
	return uint32(x * RandomFactor >> 32)
}

// RandomFactor is the last step of [CPU.Random], for engines that take it themselves.
const RandomFactor = 0x2545f4914f6cdd1d

// Tracef writes a line of bpf_trace_printk.
func (m *Machine) Tracef(line []byte) {
	if m.Trace == nil {
		return
	}
	m.traceMu.Lock()
	defer m.traceMu.Unlock()
	m.Trace.Write(line) // nobody could act on the error
}

var start = time.Now()

// monotonic counts from an arbitrary point that is never 0, so that a program
// that takes a zero time stamp for "never" is right from the start.
func monotonic() uint64 { return uint64(time.Since(start)) + uint64(time.Hour) }

func randomSeed() uint64 { return splitmix(uint64(time.Now().UnixNano())) }

// splitmix spreads neighbouring seeds; it never returns 0, which xorshift
// could not leave.
func splitmix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31 | 1
}
