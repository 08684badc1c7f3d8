package maps

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// impl is a map type. The slices have the sizes that the map was made with:
// Map's methods check them.
type impl interface {
	// The program side. lookup returns the address of the value, 0 if there is
	// none. update and lookup mean the copy of the given CPU.
	lookup(cpu int, key []byte) uintptr
	update(cpu int, key, value []byte, flags uint64) Errno
	remove(key []byte) Errno
	// find returns where the value that contains addr starts.
	find(addr uintptr) (start uintptr, ok bool)

	// The user side. A value of a per-CPU map is all copies, each rounded up to
	// 8 bytes. next with a nil key gives the first key.
	get(key, value []byte, flags uint64) Errno
	set(key, value []byte, flags uint64) Errno
	next(key, next []byte) Errno

	// free gives the memory back; nobody uses the map any more.
	free()
}

// core is what all handles of a map share.
type core struct {
	hdr    *Header
	slot   headerSlot
	impl   impl
	id     uint32
	name   string
	typ    Type
	flags  uint32
	numCPU int

	keySize, valueSize, maxEntries uint32

	inner  *Spec // template of inner maps, or nil
	retire func(free func())

	prog   *Map         // the handle that programs use
	refs   atomic.Int64 // open handles, outer maps, user-side calls under way
	frozen atomic.Bool
	// writers is how many calls of the user side may be writing, and how often Memory was called.
	writers atomic.Int64
}

// Map is a handle of a map. All methods are safe for concurrent use, except
// that program-side operations of a per-CPU map with the same cpu must not run
// at the same time.
type Map struct {
	*core
	impl   impl        // core's, one load nearer
	closed atomic.Bool // always true in core.prog
}

// errNilMap is what functions say that are given no map.
var errNilMap = fmt.Errorf("maps: nil Map: %w", EINVAL)

// New creates a map with default Options. The error is an *Error with what
// Linux would return, and matches ErrNotSupported for a type or flag that
// neither has.
func New(spec *Spec) (*Map, error) { return NewWithOptions(spec, Options{}) }

// NewWithOptions creates a map.
func NewWithOptions(spec *Spec, opts Options) (*Map, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if spec == nil {
		return nil, fmt.Errorf("maps: nil Spec: %w", EINVAL)
	}
	spec = spec.Copy()
	spec.fill(opts.NumCPU)
	if r := spec.check(); r != nil {
		return nil, &Error{"create", spec.describe(), r.errno, r.reason}
	}
	m, err := create(spec, opts)
	if err != nil {
		return nil, &Error{"create", spec.describe(), ENOMEM, err.Error()}
	}
	for i, kv := range spec.Contents {
		if err := m.Put(kv.Key, kv.Value); err != nil {
			_ = m.Close()
			return nil, fmt.Errorf("element %d of contents: %w", i, err)
		}
	}
	if spec.Freeze {
		if err := m.Freeze(); err != nil {
			_ = m.Close()
			return nil, err
		}
	}
	return m, nil
}

func (s *Spec) describe() string { return s.Name + "(" + s.Type.String() + ")" }

// create makes the map of a spec that has been checked.
func create(spec *Spec, opts Options) (*Map, error) {
	slot, err := claimHeader()
	if err != nil {
		return nil, err
	}
	c := &core{
		hdr: slot.header(), slot: slot, id: registry.nextID.Add(1),
		name: spec.Name, typ: spec.Type, flags: spec.Flags, numCPU: opts.NumCPU,
		keySize: spec.KeySize, valueSize: spec.ValueSize, maxEntries: spec.MaxEntries,
		inner: spec.InnerMap, retire: opts.Retire,
	}
	*c.hdr = Header{
		Type: c.typ, KeySize: c.keySize, ValueSize: c.valueSize, MaxEntries: c.maxEntries,
		NumCPU: uint32(c.numCPU), ID: c.id, Flags: c.flags,
	}
	if c.impl, err = c.newImpl(); err != nil {
		slot.withdraw(c.id)
		return nil, err
	}
	c.prog = &Map{core: c, impl: c.impl}
	c.prog.closed.Store(true)
	c.refs.Store(1)
	slot.publish(c.prog)
	return &Map{core: c, impl: c.impl}, nil
}

func (c *core) newImpl() (impl, error) {
	switch c.typ {
	case Array, PerCPUArray:
		return newArray(c)
	case ArrayOfMaps:
		return newArrayOfMaps(c)
	case ProgramArray:
		return newProgArray(c)
	case PerfEventArray:
		return newPerfArray(c)
	case HashOfMaps:
		return newHashOfMaps(c)
	case Hash, PerCPUHash, LRUHash, LRUCPUHash:
		return newHash(c)
	case LPMTrie:
		return newLPM(c)
	case RingBuf:
		return newRing(c)
	case Queue, Stack:
		return newQueue(c)
	case DevMap, CPUMap, XSKMap:
		return newRedirectArray(c)
	case DevMapHash:
		return newDevMapHash(c)
	}
	return nil, fmt.Errorf("map type %v: %w", c.typ, ErrNotSupported)
}

// acquire keeps the memory for a while. It reports false if it is gone.
func (c *core) acquire() bool {
	for {
		n := c.refs.Load()
		if n == 0 {
			return false
		}
		if c.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release undoes acquire; the last one out frees the map.
func (c *core) release() {
	if c.refs.Add(-1) == 0 {
		c.slot.withdraw(c.id)
		c.impl.free()
	}
}

// enter begins a user-side call, leave (release) ends it: Close in another
// goroutine cannot free the memory meanwhile.
func (m *Map) enter() bool {
	if m.closed.Load() || !m.acquire() {
		return false
	}
	if m.closed.Load() {
		m.release()
		return false
	}
	return true
}

// handle returns another handle of the same map, if it lives.
func (c *core) handle() (*Map, bool) {
	if !c.acquire() {
		return nil, false
	}
	return &Map{core: c, impl: c.impl}, true
}

// Clone returns another handle of the map, to be closed in turn. A program
// holds a clone of every map that it refers to. The handle that FromAddr
// returns can be cloned too. The error matches ErrClosed.
func (m *Map) Clone() (*Map, error) {
	if m.closed.Load() && m != m.prog {
		return nil, m.fail("clone", ErrClosed)
	}
	if h, ok := m.handle(); ok {
		return h, nil
	}
	return nil, m.fail("clone", ErrClosed)
}

// Close closes the handle. The map is freed when the last handle is closed, no
// map-in-map holds it, and no user-side call is under way. Closing twice does
// nothing.
func (m *Map) Close() error {
	if m != nil && !m.closed.Swap(true) {
		m.release()
	}
	return nil
}

// Addr returns the address of the map's Header: what a program sees as the map.
func (m *Map) Addr() uint64 { return uint64(uintptr(unsafe.Pointer(m.hdr))) }

// Header returns the map's header, good as long as the map lives.
func (m *Map) Header() *Header { return m.hdr }

// ID returns the map's number, unique in the process.
func (m *Map) ID() uint32 { return m.id }

// Name returns the name that the map was created with.
func (m *Map) Name() string { return m.name }

// Type returns the map's type.
func (m *Map) Type() Type { return m.typ }

// KeySize returns the size of a key in bytes.
func (m *Map) KeySize() uint32 { return m.keySize }

// ValueSize returns the size of a value (of one CPU) in bytes.
func (m *Map) ValueSize() uint32 { return m.valueSize }

// MaxEntries returns the number of elements that the map has room for.
func (m *Map) MaxEntries() uint32 { return m.maxEntries }

// Flags returns the flags that the map was created with.
func (m *Map) Flags() uint32 { return m.flags }

// NumCPU returns the number of virtual CPUs.
func (m *Map) NumCPU() int { return m.numCPU }

// InnerSpec returns the template of inner maps, nil if this is no map-in-map.
func (m *Map) InnerSpec() *Spec { return m.inner.Copy() }

// String returns name, type and ID.
func (m *Map) String() string { return fmt.Sprintf("%s(%v)#%d", m.name, m.typ, m.id) }

// Find implements mem.Finder: it returns the single value (one CPU's copy)
// that contains addr. It may be called with any integer, and does not allocate.
func (m *Map) Find(addr uintptr) (mem.Region, bool) {
	start, ok := m.impl.find(addr)
	if !ok {
		return mem.Region{}, false
	}
	return mem.Region{Addr: start, Len: uintptr(m.valueSize), Kind: mem.KindMapValue, Perm: m.ProgPerm(), Name: m.name}, true
}

// ProgPerm returns what programs may do with values. Freezing does not matter:
// it binds the user side.
func (m *Map) ProgPerm() mem.Perm {
	switch {
	case m.flags&FlagRdonlyProg != 0, m.typ == DevMap, m.typ == DevMapHash, m.typ == CPUMap, m.typ == XSKMap:
		return mem.Read
	case m.flags&FlagWronlyProg != 0:
		return mem.Write
	}
	return mem.ReadWrite
}

func (m *Map) fail(op string, err error) error {
	if e, ok := err.(Errno); ok {
		return &Error{Op: op, Map: m.String(), Errno: e, Reason: m.reason(e)}
	}
	return fmt.Errorf("map %s: %s: %w", m.String(), op, err)
}

// reason says what Linux means by an errno whose text, "argument list too long" for instance,
// says something else.
func (m *Map) reason(e Errno) string {
	switch {
	case e == EPERM && m.Frozen():
		return "the map is frozen"
	case e == E2BIG && m.typ.indexed():
		return fmt.Sprintf("the index must be below %d", m.maxEntries)
	case e == E2BIG, e == ENOSPC && m.typ == LPMTrie:
		return fmt.Sprintf("the map is full: it has room for %d", m.maxEntries)
	}
	return ""
}
