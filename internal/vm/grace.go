package vm

import (
	"sync"
	"sync/atomic"
)

// grace is how memory that runs may still use is freed: as Linux does with RCU, by
// waiting until every CPU has been between two runs once. A free CPU is between
// runs; the holder of a leased one says so with [CPU.Quiesce].
type grace struct {
	epoch   atomic.Uint64 // counts calls of Retire
	over    atomic.Bool   // the machine is closed: nothing runs any more
	mu      sync.Mutex
	pending []retired
}

type retired struct {
	epoch uint64
	busy  []*CPU // have not been between runs since
	free  func()
}

// Retire calls free once no run is left that began before, which may be at once
// and in any goroutine. The caller has made sure that no new run finds what is to
// be freed.
func (m *Machine) Retire(free func()) {
	g := &m.grace
	r := retired{epoch: g.epoch.Add(1), busy: append([]*CPU(nil), m.cpus...), free: free}
	m.waiting.Add(1)
	g.mu.Lock()
	g.pending = append(g.pending, r)
	g.mu.Unlock()
	m.reap()
}

// Quiesce says that the holder of c is between two runs and keeps nothing of
// the one before. Whoever runs programs on a CPU that it holds for longer calls
// it before each event, if [CPU.Awaited].
func (c *CPU) Quiesce() {
	c.seen.Store(c.M.grace.epoch.Load())
	c.M.reap()
}

// Awaited reports whether something has been retired since c was last between runs. It costs two loads.
func (c *CPU) Awaited() bool { return c.seen.Load() != c.M.grace.epoch.Load() }

// reap calls what no run needs any more.
func (m *Machine) reap() {
	g := &m.grace
	if m.waiting.Load() == 0 {
		return
	}
	var ready []func()
	g.mu.Lock()
	keep := g.pending[:0]
	for _, r := range g.pending {
		busy := r.busy[:0]
		for _, c := range r.busy {
			if c.seen.Load() < r.epoch && !m.isFree(c) && !g.over.Load() {
				busy = append(busy, c)
			}
		}
		if r.busy = busy; len(busy) > 0 {
			keep = append(keep, r)
			continue
		}
		ready = append(ready, r.free)
	}
	clear(g.pending[len(keep):])
	g.pending = keep
	m.waiting.Add(-int64(len(ready)))
	g.mu.Unlock()
	for _, free := range ready {
		free()
	}
}

func (m *Machine) isFree(c *CPU) bool { return m.free[c.ID/64].Load()&(1<<(c.ID%64)) != 0 }
