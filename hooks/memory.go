package hooks

import (
	"errors"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// maxCtx is the largest context, in bytes.
const maxCtx = 4096

// memory is what a CPU has for the events at its hooks. It is made at the first
// event and closed with the machine.
type memory struct {
	arena  *mem.Arena
	ctx    []byte // the arena
	event  helper.Event
	host   hostEvent
	bytes  *mem.Arena   // what the byte slices of a custom context hold, nil before the first
	slices []mem.Region // where each of them is in bytes
}

// hostEvent is the event of a hook without packets.
type hostEvent struct {
	host   *helper.Host
	slices []mem.Region // what byte slices of the context point to
}

// grant gives the byte slices to the run that begins on c.
func (e *hostEvent) grant(c *vm.CPU) {
	for _, r := range e.slices {
		c.AddBuffer(r)
	}
}

// CurrentTask implements helper.Tasker.
func (e *hostEvent) CurrentTask() *helper.Task {
	if e.host == nil || e.host.Task == nil {
		return nil
	}
	return e.host.Task()
}

// memoryOf returns the memory of c.
func memoryOf(c *vm.CPU) (m *memory, err error) {
	m, ok := c.HookMem.(*memory)
	if !ok {
		m, err = newMemory(c)
	}
	return m, err
}

func newMemory(c *vm.CPU) (*memory, error) {
	a, err := mem.New(maxCtx)
	if err != nil {
		return nil, err
	}
	m := &memory{arena: a, ctx: a.Bytes()}
	c.HookMem = m
	return m, nil
}

// Close implements io.Closer.
func (m *memory) Close() error {
	errs := []error{m.event.Packet.Close(), m.arena.Close()}
	if m.bytes != nil {
		errs = append(errs, m.bytes.Close())
	}
	return errors.Join(errs...)
}
