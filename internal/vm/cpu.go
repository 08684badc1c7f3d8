// Package vm holds the state of runs that engines, helpers and hooks share: the
// virtual CPU that a run leases, the memory that the program was given, and what
// stops it.
package vm

import (
	"context"
	"fmt"
	"sync/atomic"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// Map is what engines need to know of a map.
type Map interface {
	prog.Map
	mem.Finder
}

// Helper is the body of a helper function. What it returns goes to r0; an error
// stops the run. It finds memory through c, never through the bare addresses in args.
type Helper func(c *CPU, args *[5]uint64) (uint64, error)

// CPU is a virtual CPU: the stack, the memory windows and the counters of the
// run that leases it. One goroutine uses it at a time.
//
// The stack holds prog.MaxFrames frames. A callee's frame lies below its caller's:
//
//	high  | frame 0, 512 bytes |  <- r10 of the entry
//	      | frame 1, 512 bytes |  <- r10 of the function that it calls
//	low   | ...                |
//
// Beside each frame, at a distance that is the same for all and out of the reach of programs, there are
// [LinkSize] bytes in which the engine keeps what it has to know when the function returns: the frame's link.
type CPU struct {
	ID int
	M  *Machine

	Frames [prog.MaxFrames]Window // the live ones admit access
	Ctx    Window                 // of a context that is not plain: admits nothing
	Packet Window
	Meta   Window
	Ptrs   [8]uint64 // what the pointer fields of the context stand for

	Layout *prog.CtxLayout
	Event  any // the hook's own state of the event

	// Limit is how many instructions the run may execute, Done how many it has. An
	// engine looks at the limit when a jump or a call is taken, and counts from the
	// target's place in the program: a run ends at most the program's length above it.
	Limit   uint64
	Done    uint64
	Context context.Context // nil: cannot be cancelled

	TailCalls int // made by the run so far
	// Where the headers are that packet loads can be relative to, from the packet's
	// first byte. The link header may lie before it, as it does for socket filters.
	LinkOffset, NetworkOffset int64

	Prog *prog.Program // what runs now
	Maps []Map         // what it refers to

	// Call runs the subprogram that a function pointer of the program stands for, for
	// helpers that take a callback. The engine sets it.
	Call func(fn uint64, args *[5]uint64) (uint64, error)

	EntryR2 uint64 // r2 at entry, where the program type has a second argument
	// Watch, if set, sees every access through Bytes and may refuse it.
	Watch func(addr uint64, n int, perm mem.Perm) error

	Rand    uint64 // state of the CPU's random generator
	Owner   any    // the engine's own state of this CPU
	HookMem any    // the hooks' memory of this CPU; an io.Closer is closed with the machine

	// A packet that Packet and Meta do not stand for yet, if offered: where its metadata, it
	// itself and its end are.
	offered                            bool
	offeredMeta, offeredAt, offeredEnd uintptr

	stack    *mem.Arena // frames, and links
	panics   uint64     // how many runs have panicked
	maxDepth int        // frames below this index may hold bytes of an earlier run; the first may always
	ctxAddr  uintptr
	ctxLen   uintptr
	records  []record
	buffers  []*Window
	granted  []Map
	loose    []*Window // engines' windows on values of granted maps
	released []mem.Region
	seen     atomic.Uint64 // the grace epoch when the CPU was last between runs
}

// record is a ring-buffer record that the run has reserved.
type record struct {
	window *Window
	owner  any
}

// FramePointer returns r10 in frame i.
func (c *CPU) FramePointer(i int) uint64 {
	return uint64(c.stack.Addr()) + uint64(prog.MaxFrames-i)*prog.StackSize
}

// LinkSize is how many bytes the link of a frame has.
const LinkSize = 64

// LinkDistance is how far above r10 in a frame its link begins.
var LinkDistance = mem.PairDistance(stackSize) - prog.StackSize

const stackSize = prog.MaxFrames * prog.StackSize

// Link returns the first byte of the link of frame i.
func (c *CPU) Link(i int) unsafe.Pointer {
	return unsafe.Add(c.stack.Base(), (prog.MaxFrames-i)*prog.StackSize+LinkDistance)
}

func (c *CPU) frameRegion(i int) mem.Region {
	return mem.Region{Addr: uintptr(c.FramePointer(i)) - prog.StackSize, Len: prog.StackSize,
		Kind: mem.KindStack, Perm: mem.ReadWrite}
}

// PushFrame makes frame i, less than prog.MaxFrames, accessible.
func (c *CPU) PushFrame(i int) {
	w := &c.Frames[i%prog.MaxFrames]
	w.RLim, w.WLim, w.len = stackLimits, stackLimits, prog.StackSize
	c.maxDepth = max(c.maxDepth, i+1)
}

// EnterFrame tells that frame i, less than prog.MaxFrames, is used by a function
// that lets nobody else have its address.
func (c *CPU) EnterFrame(i int) { c.maxDepth = max(c.maxDepth, i+1) }

// PopFrame makes frame i, less than prog.MaxFrames, inaccessible.
func (c *CPU) PopFrame(i int) {
	if w := &c.Frames[i%prog.MaxFrames]; w.len != 0 {
		w.RLim, w.WLim, w.len = [4]uint32{}, [4]uint32{}, 0
	}
}

var stackLimits = [4]uint32{prog.StackSize, prog.StackSize - 1, prog.StackSize - 3, prog.StackSize - 7}

// Stack returns the lowest byte of the stack of all frames.
func (c *CPU) Stack() unsafe.Pointer { return c.stack.Base() }

// Begin makes the CPU ready for a run: an empty stack, no records, no buffers.
// The hook has set context and packet before.
func (c *CPU) Begin() {
	c.BeginRest()
	used := c.maxDepth * prog.StackSize
	b := c.stack.Bytes()
	clear(b[stackSize-used : stackSize])
	c.maxDepth = 1 // programs of one frame do not say that they use it
}

// BeginRest is Begin without the stack, for a run that began with BeginBare and turns out
// to need more.
func (c *CPU) BeginRest() {
	c.HideFrames()
	c.TakePacket()
	c.Done, c.TailCalls = 0, 0
	c.granted = c.granted[:0]
	for _, w := range c.loose {
		w.Clear()
	}
	c.loose = c.loose[:0]
	c.released = c.released[:0]
}

// HideFrames makes the frames inaccessible that an earlier run may have left open.
func (c *CPU) HideFrames() {
	for i := range c.maxDepth {
		c.PopFrame(i)
	}
}

// BeginBare is Begin for a run that nothing is granted and whose frames nobody looks up:
// of its n frames only the memory is made ready, and of that only what it may read before it
// writes it: the bytes from low to high below its r10.
func (c *CPU) BeginBare(n, low, high int) {
	clear(c.stack.Bytes()[stackSize-low : stackSize-high])
	c.maxDepth = max(c.maxDepth, n)
}

// Panicked says that the run on c has panicked, and will not go on.
func (c *CPU) Panicked() { c.panics++ }

// Holds reports whether the run holds something that End has to take back.
func (c *CPU) Holds() bool { return len(c.records)+len(c.buffers) != 0 }

// End takes back what the run still holds and reports how many records it leaked.
// The owners of leaked records are told by abandon, which may be nil.
func (c *CPU) End(abandon func(owner any, r mem.Region)) int {
	leaked := 0
	for _, rec := range c.records {
		r := rec.window.Region()
		rec.window.Clear()
		if r.Kind == 0 {
			continue
		}
		leaked++
		if abandon != nil {
			abandon(rec.owner, r)
		}
	}
	c.records = c.records[:0]
	for _, w := range c.buffers {
		w.Clear()
	}
	c.buffers = c.buffers[:0]
	return leaked
}

// SetCtx gives the context at addr to the next run. A plain layout is open to
// direct access, others are reached field by field.
func (c *CPU) SetCtx(l *prog.CtxLayout, addr uintptr, size int) {
	if l != nil && l == c.Layout && uintptr(size) == c.ctxLen { // most events of a CPU are of one hook
		c.ctxAddr, c.Ctx.Base = addr, mem.Pointer(addr)
		return
	}
	c.Layout, c.ctxAddr, c.ctxLen = l, addr, uintptr(size)
	if l == nil || l.Plain() && allWritable(l) {
		c.Ctx.Set(mem.Region{Addr: addr, Len: uintptr(size), Kind: mem.KindCtx, Perm: mem.ReadWrite})
		return
	}
	perm := mem.Perm(0)
	if l.Plain() {
		perm = mem.Read
	}
	c.Ctx.Set(mem.Region{Addr: addr, Len: uintptr(size), Kind: mem.KindCtx, Perm: perm})
}

func allWritable(l *prog.CtxLayout) bool {
	for i := range l.Fields {
		if !l.Fields[i].Writable {
			return false
		}
	}
	return len(l.Fields) > 0
}

// CtxPlain reports whether the context may be read, or written, as memory.
func (c *CPU) CtxPlain(write bool) bool {
	if write {
		return c.Ctx.perm&mem.Write != 0
	}
	return c.Ctx.perm&mem.Read != 0
}

// CtxAddr returns the address of the context, r1 at entry.
func (c *CPU) CtxAddr() uint64 { return uint64(c.ctxAddr) }

// SetPacket gives the bytes [data, end) to the run, and [meta, data) as metadata.
func (c *CPU) SetPacket(meta, data, end uintptr) {
	c.offered = false
	c.Packet.set(data, end-data, mem.KindPacket)
	c.Meta.set(meta, data-meta, mem.KindMeta)
}

// OfferPacket is SetPacket for the run that begins next, if that needs windows: programs of
// which all is proved seldom do.
func (c *CPU) OfferPacket(meta, data, end uintptr) {
	c.offered, c.offeredMeta, c.offeredAt, c.offeredEnd = true, meta, data, end
}

// TakePacket makes the windows stand for the packet that was offered.
func (c *CPU) TakePacket() {
	if c.offered {
		c.SetPacket(c.offeredMeta, c.offeredAt, c.offeredEnd)
	}
}

// AddRecord gives a ring-buffer record to the run; owner is for [CPU.TakeRecord].
func (c *CPU) AddRecord(r mem.Region, owner any) {
	var w *Window
	if n := len(c.records); n < cap(c.records) { // reuse the window that an earlier run left
		w = c.records[:n+1][n].window
	}
	if w == nil {
		w = new(Window)
	}
	w.Set(r)
	c.records = append(c.records, record{w, owner})
}

// TakeRecord takes the record that starts at addr from the run and returns its
// owner, nil if there is no such record.
func (c *CPU) TakeRecord(addr uint64) (owner any, r mem.Region) {
	for i := range c.records {
		w := c.records[i].window
		if uint64(uintptr(w.Base)) != addr || w.kind != mem.KindRecord {
			continue
		}
		owner, r = c.records[i].owner, w.Region()
		w.Clear()
		c.released = append(c.released, r)
		last := len(c.records) - 1
		c.records[i], c.records[last] = c.records[last], c.records[i]
		c.records[last].owner = nil
		c.records = c.records[:last]
		return owner, r
	}
	return nil, mem.Region{}
}

// AddBuffer gives any other memory to the run, until its end.
func (c *CPU) AddBuffer(r mem.Region) {
	var w *Window
	if n := len(c.buffers); n < cap(c.buffers) { // reuse the window that an earlier run left
		w = c.buffers[:n+1][n]
	}
	if w == nil {
		w = new(Window)
	}
	w.Set(r)
	c.buffers = append(c.buffers, w)
}

// RemoveBuffer takes the newest buffer that starts at addr from the run.
func (c *CPU) RemoveBuffer(addr uintptr) {
	for i := len(c.buffers) - 1; i >= 0; i-- {
		w := c.buffers[i]
		if uintptr(w.Base) != addr {
			continue
		}
		w.Clear()
		last := len(c.buffers) - 1
		c.buffers[i], c.buffers[last] = c.buffers[last], w
		c.buffers = c.buffers[:last]
		return
	}
}

// Grant lets the run use a map that it did not name: the inner map of a lookup.
func (c *CPU) Grant(m Map) {
	if c.MapAt(m.Addr()) == nil {
		c.granted = append(c.granted, m)
	}
}

// MapAt returns the map that the program holds addr as the pointer of, nil if
// the program was given no such map.
func (c *CPU) MapAt(addr uint64) Map {
	for _, m := range c.Maps {
		if m != nil && m.Addr() == addr {
			return m
		}
	}
	for _, m := range c.granted {
		if m.Addr() == addr {
			return m
		}
	}
	return nil
}

// Find returns the region that addr lies in, of those that the run was given.
func (c *CPU) Find(addr uintptr) (mem.Region, bool) {
	if w := c.window(addr); w != nil {
		return w.Region(), true
	}
	return c.findValue(addr)
}

// window returns the shared window that addr lies in.
func (c *CPU) window(addr uintptr) *Window {
	for i := range c.maxDepth {
		if w := &c.Frames[i]; addr-uintptr(w.Base) < w.len {
			return w
		}
	}
	for _, w := range [...]*Window{&c.Packet, &c.Ctx, &c.Meta} {
		if addr-uintptr(w.Base) < w.len {
			return w
		}
	}
	for i := range c.records {
		if w := c.records[i].window; addr-uintptr(w.Base) < w.len {
			return w
		}
	}
	for _, w := range c.buffers {
		if addr-uintptr(w.Base) < w.len {
			return w
		}
	}
	return nil
}

// findValue returns the map value that addr lies in.
func (c *CPU) findValue(addr uintptr) (mem.Region, bool) {
	if m := c.mapOf(addr); m != nil {
		return m.Find(addr)
	}
	for _, m := range c.granted {
		if r, ok := m.Find(addr); ok {
			return r, true
		}
	}
	return mem.Region{}, false
}

// mapOf returns the map that the program itself refers to and addr lies in a value of, nil if there is
// none.
func (c *CPU) mapOf(addr uintptr) Map {
	for _, m := range c.Maps {
		if m == nil {
			continue
		}
		if _, ok := m.Find(addr); ok {
			return m
		}
	}
	return nil
}

// Window returns a window that admits the access, for an engine to keep with
// the instruction. It is a shared one, which follows what happens to the region,
// or own, set to a map value, whose bounds never change. The error is a [*Fault].
func (c *CPU) Window(addr uint64, size int, perm mem.Perm, own *Window) (*Window, error) {
	a := uintptr(addr)
	if m := own.values; m != nil && uint64(a) == addr {
		if r, ok := m.Find(a); ok && r.Contains(a, uintptr(size)) && r.Perm&perm == perm {
			own.Base = mem.Pointer(r.Addr)
			return own, nil
		}
	}
	if w := c.window(a); w != nil && uint64(a) == addr {
		if w.admits(a, uintptr(size), perm) {
			return w, nil
		}
		return nil, c.refuse(addr, size, perm, w.Region())
	}
	if r, ok := c.findValue(a); ok && uint64(a) == addr {
		if r.Contains(a, uintptr(size)) && r.Perm&perm == perm {
			own.Set(r)
			if own.values = c.mapOf(a); own.values == nil { // an inner map, which may be gone by the next run
				c.loose = append(c.loose, own)
			}
			return own, nil
		}
		return nil, c.refuse(addr, size, perm, r)
	}
	return nil, c.refuse(addr, size, perm, mem.Region{})
}

// Bytes returns n bytes at addr that the program may access so. The slice is
// the memory itself. The error is a [*Fault].
func (c *CPU) Bytes(addr uint64, n int, perm mem.Perm) ([]byte, error) {
	if n < 0 {
		return nil, &Fault{Err: ErrHelper, Detail: fmt.Sprintf("negative size %d", n)}
	}
	if n == 0 {
		return nil, nil
	}
	a := uintptr(addr)
	r, ok := c.Find(a)
	if !ok || uint64(a) != addr {
		return nil, c.refuse(addr, n, perm, mem.Region{})
	}
	if !r.Contains(a, uintptr(n)) || r.Perm&perm != perm {
		return nil, c.refuse(addr, n, perm, r)
	}
	if c.Watch != nil {
		if err := c.Watch(addr, n, perm); err != nil {
			return nil, err
		}
	}
	return unsafe.Slice((*byte)(mem.Pointer(a)), n), nil
}

// String returns the bytes from addr up to a zero byte, at most limit of them,
// without the zero. The error is a [*Fault] if the region ends first.
func (c *CPU) String(addr uint64, limit int) ([]byte, error) {
	r, ok := c.Find(uintptr(addr))
	if !ok {
		return nil, c.refuse(addr, 1, mem.Read, mem.Region{})
	}
	n := min(limit, int(r.Addr+r.Len-uintptr(addr)))
	b, err := c.Bytes(addr, n, mem.Read)
	if err != nil {
		return nil, err
	}
	for i, ch := range b {
		if ch == 0 {
			return b[:i], nil
		}
	}
	if n == limit {
		return b, nil
	}
	return nil, c.refuse(addr+uint64(n), 1, mem.Read, r)
}

// nearness is how far outside of a region an address may lie for a fault to be
// reported relative to it.
const nearness = 1 << 16

// refuse makes the fault for an access; near is the region that the address is in.
func (c *CPU) refuse(addr uint64, size int, perm mem.Perm, near mem.Region) error {
	f := &Fault{Err: ErrAccess, Addr: addr, Size: size, Write: perm&mem.Write != 0, Region: near}
	switch {
	case near.Kind != 0 && near.Contains(uintptr(addr), uintptr(size)):
		f.Err = ErrPermission
	case near.Kind == 0:
		for _, r := range c.released {
			if r.Contains(uintptr(addr), 1) {
				f.Err, f.Region = ErrReleased, r
				return f
			}
		}
		f.Region = c.nearest(uintptr(addr))
	}
	return f
}

func (c *CPU) nearest(addr uintptr) (near mem.Region) {
	best := uintptr(nearness)
	consider := func(r mem.Region) {
		if r.Kind == 0 || r.Addr == 0 { // an empty window: an address near 0 is a null pointer's
			return
		}
		if d := min(addr-(r.Addr+r.Len), r.Addr-addr); d < best {
			best, near = d, r
		}
	}
	for i := range c.Frames {
		if c.Frames[i].len != 0 {
			consider(c.frameRegion(i))
		}
	}
	consider(c.Packet.Region())
	consider(c.Ctx.Region())
	consider(c.Meta.Region())
	for i := range c.records {
		consider(c.records[i].window.Region())
	}
	for _, w := range c.buffers {
		consider(w.Region())
	}
	for _, m := range c.Maps { // a value's neighbours: just before, just behind
		if m == nil {
			continue
		}
		for _, a := range [...]uintptr{addr - 8, addr + 8} {
			if r, ok := m.Find(a); ok {
				consider(r)
			}
		}
	}
	return near
}
