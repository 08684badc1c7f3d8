package vm

// Machines are what an engine keeps of a program for each CPU that has run it, so that the next
// run there finds it. An entry belongs to who leases the CPU.
type Machines[M any] struct{ list []*Kept[M] }

// Kept is an engine's machine for a program on a CPU. One whose run has panicked is idle again.
type Kept[M any] struct {
	cpu   *CPU
	since uint64 // one more than cpu.panics when it became busy; 0: it is idle
	M     M
}

// NewMachines returns a list for CPUs numbered below n.
func NewMachines[M any](n int) Machines[M] { return Machines[M]{make([]*Kept[M], max(n, 1))} }

// Idle returns the machine that is kept for c and makes it busy. It returns nil if there is
// none, or it is busy: the program is running on c already, and is called again by a helper.
func (l *Machines[M]) Idle(c *CPU) *Kept[M] {
	if c.ID < len(l.list) {
		if k := l.list[c.ID]; k != nil && k.cpu == c && !k.busy() {
			k.since = c.panics + 1
			return k
		}
	}
	return nil
}

// Keeps reports whether a run on c gets a machine that is, or will be, kept for it.
func (l *Machines[M]) Keeps(c *CPU) bool {
	if c.ID >= len(l.list) {
		return false
	}
	k := l.list[c.ID]
	return k == nil || k.cpu == c && !k.busy()
}

// At returns the machine that is kept for c, busy or not, which Keeps was true of: nil if none is made yet.
func (l *Machines[M]) At(c *CPU) *Kept[M] { return l.list[c.ID] }

// New returns a busy machine for c, and keeps it if no other is busy there.
func (l *Machines[M]) New(c *CPU) *Kept[M] {
	k := &Kept[M]{cpu: c, since: c.panics + 1}
	if c.ID < len(l.list) && (l.list[c.ID] == nil || !l.list[c.ID].busy()) {
		l.list[c.ID] = k
	}
	return k
}

// Free lets the next run have the machine.
func (k *Kept[M]) Free() { k.since = 0 }

// busy reports whether a run on c has the machine.
func (k *Kept[M]) busy() bool { return k.since > k.cpu.panics }
