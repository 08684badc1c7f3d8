package hooks

import (
	"fmt"
	"reflect"
	"sync"
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// Hook is a hook of a Go program's own: events are values of the struct T, and
// what programs see of one is the same struct in C. It is safe for concurrent use.
type Hook[T any] struct {
	point
	layout *layout
}

// Option is a property of a custom hook.
type Option func(*Type) error

// Returns says which values programs may return, both ends included. Without it,
// they may return any. A run that returns another ends in [ErrReturn].
func Returns(lo, hi int64) Option {
	return func(t *Type) error {
		if lo > hi {
			return fmt.Errorf("returns %d to %d: the range is empty", lo, hi)
		}
		t.Returns = Range{lo, hi}
		return nil
	}
}

// Next is the return value that lets the next program decide; any other ends the
// event. Without it, it is 0. It is also the verdict if no program decides.
func Next(verdict int64) Option {
	return func(t *Type) error {
		t.next = uint64(verdict)
		return nil
	}
}

// AllowHelpers restricts which of sandbpf's helpers programs may call. Without
// it, they are those that a kprobe may call on Linux and that are implemented.
func AllowHelpers(fns ...asm.BuiltinFunc) Option {
	set := make(map[asm.BuiltinFunc]bool, len(fns))
	for _, fn := range fns {
		set[fn] = true
	}
	return func(t *Type) error {
		t.allowed = func(fn asm.BuiltinFunc) bool { return set[fn] }
		return nil
	}
}

// Define makes a hook whose context is the struct T and makes it known by name:
// programs of the section with that name are for it, in every VM. It panics if
// T cannot be a context (see [New] for what can), an option is wrong or the name is taken, as
// [regexp.MustCompile] does; it is for variables of a package.
func Define[T any](name string, options ...Option) *Hook[T] {
	h, err := New[T](name, options...)
	if err == nil {
		err = defined.add(h.hook)
	}
	if err != nil {
		panic(err)
	}
	return h
}

// New makes a hook that only the VMs know which are told of it.
//
// The context is a struct in C, laid out as a compiler for BPF does it, on every
// platform. The fields of T must be exported, or tagged `bpf:"-"` to leave them out.
// They may be numbers of a fixed size, bool, arrays, structs, and byte slices,
// which are two pointers: name and name_end. A tag `bpf:"name"` names the field
// in C, else its name in snake_case is used; `bpf:"rw"` or `bpf:"name,rw"` lets
// programs write it, and Fire copies it back into the event. Of a byte slice that
// is the bytes, never the length.
//
// Programs are for the hook if their section has its name, which therefore is none of those
// that say a type of Linux, such as xdp.
func New[T any](name string, options ...Option) (*Hook[T], error) {
	if !cName.MatchString(name) || cKeywords[name] {
		return nil, fmt.Errorf("hook %q: the name must be an identifier of C", name)
	}
	if ofLinux(name) {
		return nil, fmt.Errorf("hook %s: the name is taken", name)
	}
	l, err := newLayout(name, reflect.TypeFor[T]())
	if err != nil {
		return nil, fmt.Errorf("hook %s: %w", name, err)
	}
	t := &Type{
		Name: name, Prog: prog.Custom, Sections: []string{name}, Layout: &l.ctx, Returns: anyReturn,
		helpers: make(map[asm.BuiltinFunc]*CustomHelper),
		load:    l.testLoad, store: l.testStore,
	}
	for _, option := range options {
		if err := option(t); err != nil {
			return nil, fmt.Errorf("hook %s: %w", name, err)
		}
	}
	if !t.Returns.Contains(int64(t.next)) {
		return nil, fmt.Errorf("hook %s: %d lets the next program decide, but programs return %d to %d",
			name, int64(t.next), t.Returns.Min, t.Returns.Max)
	}
	return &Hook[T]{point{name: name, hook: t}, l}, nil
}

// Fire gives an event to the programs and returns their verdict: that of the
// first program which returns something else than [Next], else Next's. Fields that
// programs may write are in ev when it returns; after an error ev is unchanged.
// Fire does not allocate. The error is a [*vm.Fault] or wraps one of this
// package's.
//
// A helper of the hook may fire other hooks, but needs a free CPU of the VM for
// it: with as many goroutines in such helpers as there are CPUs, all wait.
func (h *Hook[T]) Fire(ev *T) (uint64, error) {
	if ev == nil {
		return 0, h.missing(true)
	}
	ch, c, err := h.lease()
	if err != nil {
		return 0, err
	}
	if c == nil {
		return h.hook.next, nil
	}
	ended := false
	defer release(c, &ended)
	ret, err := h.layout.fire(ch, c, unsafe.Pointer(ev))
	ended = true
	return ret, err
}

// FireOn is Fire on a CPU that the caller holds, which is faster.
func (h *Hook[T]) FireOn(cpu CPU, ev *T) (uint64, error) {
	if ev == nil {
		return 0, h.missing(true)
	}
	ch, err := h.on(cpu)
	if err != nil {
		return 0, err
	}
	if ch.machine == nil {
		return h.hook.next, nil
	}
	return h.layout.fire(ch, cpu.c, unsafe.Pointer(ev))
}

// fire runs the programs for the struct at ev.
func (l *layout) fire(ch *chain, c *vm.CPU, ev unsafe.Pointer) (uint64, error) {
	m, err := memoryOf(c)
	if err != nil {
		return 0, err
	}
	if l.whole {
		l.copyEvent(m, ev)
	} else if err := l.loadEvent(m, ev); err != nil {
		return 0, err
	}
	if c.Layout != &l.ctx { // else it is all set from the event before
		l.begin(m, c)
	}
	if h := ch.links[0].exec.Host; m.host.host != h {
		m.host.host = h
	}
	ret, err := ch.run(c)
	if err == nil && l.writes {
		l.storeEvent(m, ev)
	}
	return ret, err
}

// begin gives the context in m to the next run on c.
func (l *layout) begin(m *memory, c *vm.CPU) {
	c.Event, c.EntryR2 = &m.host, 0
	c.SetCtx(&l.ctx, m.arena.Addr(), l.ctx.Size)
	c.SetPacket(0, 0, 0)
	m.host.slices = m.slices[:len(l.slices)]
}

// maxBytes is how long the byte slices of an event may be in all.
const maxBytes = 1 << 30

func inputSize(n int) error {
	return fmt.Errorf("%w: byte slices of more than %d bytes, one has %d", ErrInput, maxBytes, n)
}

// reserve makes m.bytes at least n bytes long.
func (m *memory) reserve(n int) error {
	if m.bytes != nil && m.bytes.Size() >= n {
		return nil
	}
	a, err := mem.New(max(n, 16<<10))
	if err != nil {
		return err
	}
	if m.bytes != nil {
		_ = m.bytes.Close() // nothing is left in it
	}
	m.bytes = a
	return nil
}

// sliceBytes returns the bytes of slice i as the programs have left them.
func (m *memory) sliceBytes(i int) []byte {
	r := m.slices[i]
	at := int(r.Addr - m.bytes.Addr())
	return m.bytes.Bytes()[at : at+int(r.Len)]
}

// testLoad makes a test run's bytes the context: its Context is the struct as
// [Hook.CHeader] has it, of which the pointers are not looked at; Data is what
// the first byte slice holds.
func (l *layout) testLoad(_ *Type, m *memory, c *vm.CPU, run *TestRun) error {
	if len(run.Data) > 0 && len(l.slices) == 0 {
		return inputError("the context has no byte slice for the data")
	}
	ctx := m.ctx[:l.ctx.Size]
	clear(ctx)
	if err := run.context(ctx); err != nil {
		return err
	}
	if len(l.slices) > 0 {
		if len(run.Data) > maxBytes {
			return inputSize(len(run.Data))
		}
		if err := m.reserve(len(run.Data) + gap*len(l.slices)); err != nil {
			return err
		}
		copy(m.bytes.Bytes(), run.Data)
	}
	for i := range l.slices {
		at, n := 0, len(run.Data)
		if i > 0 {
			at, n = len(run.Data)+i*gap-1, 0
		}
		l.setSlice(m, i, at, n)
	}
	l.begin(m, c)
	return nil
}

func (l *layout) testStore(_ *Type, m *memory, run *TestRun) {
	run.DataOut, run.ContextOut, run.Clones, run.Redirect = run.DataOut[:0], run.ContextOut[:0], run.Clones[:0], Redirect{}
	if len(l.slices) > 0 {
		run.DataOut = append(run.DataOut, m.sliceBytes(0)...)
	}
	run.ContextOut = append(run.ContextOut, m.ctx[:l.ctx.Size]...)
	for _, s := range l.slices { // addresses mean nothing outside
		clear(run.ContextOut[s.ctxOff : s.ctxOff+16])
	}
}

// registry is the hooks of [Define].
type registry struct {
	mu    sync.RWMutex
	types map[string]*Type
}

var defined registry

func (r *registry) add(t *Type) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.types[t.Name] != nil {
		return fmt.Errorf("hook %s: the name is taken", t.Name)
	}
	if r.types == nil {
		r.types = make(map[string]*Type)
	}
	r.types[t.Name] = t
	return nil
}

func (r *registry) bySection(section string) *Type {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, t := range r.types {
		if t.inSection(section) {
			return t
		}
	}
	return nil
}
