package maps

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"sync/atomic"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// A hash is one arena. References to elements are 4 bytes and count words of 8
// bytes from the arena's start (Header.Base), so that an element is at
// Base+8*ref; 0 is no element.
//
//	Base          Buckets                      Base+8*ref           Spares
//	+-------------+--------+---- ... +---------+---------+---- ... +--------+-----------+
//	| HashControl | bucket | bucket  |  pad    | element | element | one    | per-CPU   |
//	| 64 bytes    | Head   |         |         |         |         | each   | values    |
//	|             | Lock   |         |         |         |         | CPU    | (Slots)   |
//	+-------------+--------+---- ... +---------+---------+---- ... +--------+-----------+
//
// An element, Stride bytes long:
//
//	0      4      8      12     16                     ValueOff
//	+------+------+------+------+----------------------+------------------+
//	| Next | Hash | Seq  | Used | key, padded with 0   | value, padded    |
//	+------+------+------+------+----------------------+------------------+
//
// Instead of the value, a per-CPU hash has the address of CPU 0's copy there
// (CPU n's is n*CPUStride further on), and a HashOfMaps the address of the inner
// map's Header.
//
// # Lookups take no lock
//
// The buckets are chains. Under the bucket's lock, with one store, an update puts a new
// element where the old one was, or at the head, and a deletion unlinks one. Elements are
// reused at once, but not before the lock that they were unlinked under is
// given back. So a reader can stand on one that is moved under its feet, and
// believes what it found only after a second look:
//
//   - A hit, if the element's Seq was even before the keys were compared and is the
//     same after it. Seq is odd from unlinking until the element is whole again.
//     The chain does not matter: the key was in the map while they were compared.
//   - A miss, if the bucket's Head and Lock are what they were before. Lock changes
//     whenever it is taken or given back, so nothing was linked, and no element of
//     the chain reused, while the reader followed it. (Linux's lookup misses a key
//     that is replaced behind the reader's back.)
//
// Otherwise the reader starts over; after maxSteps it takes the bucket's lock.
//
// # Spare elements
//
// Free elements are on a stack. Native code keeps one more for each virtual CPU, in a
// cell of its own. An update exchanges the spare element for the one that it is about to
// replace, with one atomic operation that CPUs do not contend for. So an element may be
// in a cell while it is in its chain still; who takes it there waits for its Seq to be
// odd. That happens only if a CPU is two at once, as in a map that two machines share.
// Linux keeps an element for each CPU too.

// HashControl is what a hash keeps off-heap beside buckets and elements.
type HashControl struct {
	Free  uint64 // stack of free elements: number of changes in the upper half, reference of the first in the lower
	Count uint32 // elements in the map, and those about to be
	Fresh uint32 // elements at and after this index were never used
	Hand  uint32 // of the LRU clock: index of the element that it looked at last
	First uint32 // reference of the element with index 0
	Total uint32 // elements that there is room for
}

// HashBucket is the chain of the elements with (hash & Mask) in common.
type HashBucket struct {
	Head uint32 // reference of the first element
	Lock uint32 // odd while somebody changes the chain; grows by two with each time
}

// HashElem is the head of an element; the key follows.
type HashElem struct {
	Next uint32 // reference of the next element of the chain, or of the free stack
	Hash uint32
	Seq  uint32 // odd while the element is in no chain
	Used uint32 // LRU: not 0 if looked up since the hand passed
}

// HashSpare is a virtual CPU's spare element: its reference, or 0.
type HashSpare struct {
	Elem uint32
	_    [60]byte // no two in one cache line
}

const (
	hashControlSize = 64
	hashKeyOff      = unsafe.Sizeof(HashElem{})
	// spareElems are there for updates, which need an element before they
	// give one back. If more are under way, they wait for each other.
	spareElems = 32
	maxSteps   = 1024
	allCPUs    = -1
)

// hashMap is a Hash, PerCPUHash, LRUHash, LRUCPUHash, and what is below
// HashOfMaps and DevMapHash.
type hashMap struct {
	base    unsafe.Pointer
	buckets unsafe.Pointer
	mask    uint32
	keySize uint32
	seed0   uint64
	seed1   uint64

	valueOff  uintptr
	stride    uintptr
	size      uintptr // bytes of a value that programs see
	slots     unsafe.Pointer
	slotSize  uintptr // bytes from one per-CPU value to the next
	cpuStride uintptr
	elemsOff  uintptr // of element 0
	total     uint32  // elements that there is room for
	max       uint32  // elements that the map may hold
	cpus      int
	perCPU    bool
	lru       bool

	arena *mem.Arena
	// drop, if not nil, says that values are cells of a map-in-map. It is
	// called with the cell of each element that goes out of the map.
	drop func(cell uint64)
}

func newHash(c *core) (*hashMap, error) { return newHashOf(c, c.valueSize) }

// newHashOf makes a hash whose values are size bytes.
func newHashOf(c *core, size uint32) (*hashMap, error) {
	h := &hashMap{
		keySize: c.keySize, size: uintptr(size), max: c.maxEntries, cpus: c.numCPU,
		perCPU: c.typ.PerCPU(), lru: c.typ == LRUHash || c.typ == LRUCPUHash,
	}
	inElem := uint64(size)
	if h.perCPU {
		inElem = 8
	}
	valueOff := uint64(hashKeyOff) + round8(uint64(c.keySize))
	stride := valueOff + round8(inElem)
	total := uint64(c.maxEntries) + spareElems + uint64(c.numCPU)
	// One and a half buckets per element: chains stay short when it is full.
	buckets := uint64(1) << bits.Len64(uint64(c.maxEntries)+uint64(c.maxEntries)/2)
	elemsOff := (hashControlSize + buckets*uint64(unsafe.Sizeof(HashBucket{})) + 63) &^ 63
	sparesOff := (elemsOff + total*stride + 63) &^ 63
	end := (sparesOff + uint64(c.numCPU)*uint64(unsafe.Sizeof(HashSpare{})) + 127) &^ 127
	if end > math.MaxUint32*8 {
		return nil, fmt.Errorf("hash of %d bytes, want at most 32 GiB: %w", end, mem.ErrNoMemory)
	}
	var cpuStride uint64
	if h.perCPU {
		h.slotSize = uintptr(round8(uint64(size)))
		cpuStride = (total*uint64(h.slotSize) + 127) &^ 127
	}
	bytes := end + cpuStride*uint64(c.numCPU) // at most 2^35 + 2^47 * 2^13
	if bytes > math.MaxInt {
		return nil, fmt.Errorf("hash of %d bytes: %w", bytes, mem.ErrNoMemory)
	}
	var err error
	if h.arena, err = mem.New(int(bytes)); err != nil {
		return nil, err
	}
	h.base = h.arena.Base()
	h.buckets = unsafe.Add(h.base, hashControlSize)
	h.mask = uint32(buckets - 1)
	h.valueOff, h.stride, h.elemsOff = uintptr(valueOff), uintptr(stride), uintptr(elemsOff)
	h.total = uint32(min(total, math.MaxUint32))
	h.cpuStride = uintptr(cpuStride)
	h.seed0, h.seed1 = seeds(c.flags&FlagZeroSeed != 0)
	hdr := c.hdr
	hdr.Base, hdr.Buckets, hdr.Mask = uint64(uintptr(h.base)), uint64(uintptr(h.buckets)), h.mask
	hdr.Stride, hdr.ValueOff, hdr.CPUStride = uint32(stride), uint32(valueOff), cpuStride
	hdr.Seed0, hdr.Seed1, hdr.Control = h.seed0, h.seed1, hdr.Base
	hdr.Spares = hdr.Base + sparesOff
	h.control().First, h.control().Total = h.ref(0), h.total
	if h.perCPU {
		h.slots = unsafe.Add(h.base, uintptr(end))
		hdr.Slots = uint64(uintptr(h.slots))
	}
	return h, nil
}

func (h *hashMap) control() *HashControl { return (*HashControl)(h.base) }

func (h *hashMap) bucket(i uint32) *HashBucket {
	return (*HashBucket)(unsafe.Add(h.buckets, uintptr(i)*unsafe.Sizeof(HashBucket{})))
}

func (h *hashMap) elem(ref uint32) *HashElem {
	return (*HashElem)(unsafe.Add(h.base, uintptr(ref)*8))
}

func (h *hashMap) ref(index uint32) uint32 {
	return uint32((h.elemsOff + uintptr(index)*h.stride) / 8)
}

func (h *hashMap) index(ref uint32) uintptr { return (uintptr(ref)*8 - h.elemsOff) / h.stride }

func (e *HashElem) key() unsafe.Pointer { return unsafe.Add(unsafe.Pointer(e), hashKeyOff) }

func (h *hashMap) cell(e *HashElem) unsafe.Pointer { return unsafe.Add(unsafe.Pointer(e), h.valueOff) }

func (b *HashBucket) lock() {
	for spins := 0; ; spins++ {
		v := atomic.LoadUint32(&b.Lock)
		if v&1 == 0 && atomic.CompareAndSwapUint32(&b.Lock, v, v+1) {
			return
		}
		if spins >= 32 {
			runtime.Gosched() // as lock does
		}
	}
}

func (b *HashBucket) unlock() { atomic.StoreUint32(&b.Lock, b.Lock+1) }

// value returns where the value of e is, the copy of cpu if there are several.
func (h *hashMap) value(e *HashElem, ref uint32, cpu int) unsafe.Pointer {
	if h.perCPU {
		return unsafe.Add(h.slots, h.index(ref)*h.slotSize+uintptr(cpu)*h.cpuStride)
	}
	return h.cell(e)
}

// alloc takes an element. The caller has counted it, or will put another back:
// so there is one, or there will be as soon as another update has ended.
func (h *hashMap) alloc() uint32 {
	c := h.control()
	for {
		for old := atomic.LoadUint64(&c.Free); uint32(old) != 0; old = atomic.LoadUint64(&c.Free) {
			ref := uint32(old)
			next := atomic.LoadUint32(&h.elem(ref).Next)
			if atomic.CompareAndSwapUint64(&c.Free, old, (old>>32+1)<<32|uint64(next)) {
				return ref
			}
		}
		if n := atomic.LoadUint32(&c.Fresh); n < h.total {
			if atomic.CompareAndSwapUint32(&c.Fresh, n, n+1) {
				return h.unwrap(n)
			}
			continue
		}
		runtime.Gosched()
	}
}

// unwrap readies an element that was never used.
func (h *hashMap) unwrap(index uint32) uint32 {
	ref := h.ref(index)
	e := h.elem(ref)
	atomic.StoreUint32(&e.Seq, 1)
	if h.perCPU {
		*(*uint64)(h.cell(e)) = uint64(uintptr(h.value(e, ref, 0)))
	}
	return ref
}

// put gives an element back that is in no chain.
func (h *hashMap) put(ref uint32) {
	c := h.control()
	e := h.elem(ref)
	if h.drop != nil {
		if cell := atomic.SwapUint64((*uint64)(h.cell(e)), 0); cell != 0 {
			h.drop(cell)
		}
	}
	for {
		old := atomic.LoadUint64(&c.Free)
		atomic.StoreUint32(&e.Next, uint32(old))
		if atomic.CompareAndSwapUint64(&c.Free, old, (old>>32+1)<<32|uint64(ref)) {
			return
		}
	}
}

// count makes room for one more element. It reports false if the map is full.
func (h *hashMap) count() bool {
	c := h.control()
	for {
		n := atomic.LoadUint32(&c.Count)
		if n >= h.max {
			return false
		}
		if atomic.CompareAndSwapUint32(&c.Count, n, n+1) {
			return true
		}
	}
}

func (h *hashMap) uncount() { atomic.AddUint32(&h.control().Count, ^uint32(0)) }

// findLocked returns the reference to the element with the key: the bucket's Head or
// the Next of the element before it. It is 0 if there is none. The caller holds the
// lock of b.
func (h *hashMap) findLocked(b *HashBucket, hash uint32, key []byte) (at *uint32) {
	for at = &b.Head; *at != 0; {
		e := h.elem(*at)
		if e.Hash == hash && h.sameKey(e, key) {
			return at
		}
		at = &e.Next
	}
	return at
}

// link makes an element visible: at will refer to it, and it to next. The caller holds
// the lock of the chain; key and value are in place.
func (h *hashMap) link(at *uint32, ref, hash, next uint32) {
	e := h.elem(ref)
	atomic.StoreUint32(&e.Hash, hash)
	atomic.StoreUint32(&e.Next, next)
	atomic.AddUint32(&e.Seq, 1)
	atomic.StoreUint32(at, ref)
}

// unlink takes the element that at refers to out of its chain. The caller holds the
// lock of the chain.
func (h *hashMap) unlink(at *uint32) {
	e := h.elem(*at)
	atomic.StoreUint32(at, e.Next)
	atomic.AddUint32(&e.Seq, 1)
}

// change is an update under way.
type change struct {
	hash       uint32
	cpu        int // which copy value is, or allCPUs
	key, value []byte
	flags      UpdateFlags

	spare   uint32 // an element to use that is counted already
	old     uint32 // the element that was taken out
	dropped uint64 // the cell that was overwritten
}

// store is every update. cpu says which copy value is, or allCPUs.
func (h *hashMap) store(cpu int, key, value []byte, flags uint64) Errno {
	if flags > uint64(UpdateExist) {
		return EINVAL // BPF_F_LOCK too: no value has a lock
	}
	c := change{hash: h.hash(key), cpu: cpu, key: key, value: value, flags: UpdateFlags(flags)}
	b := h.bucket(c.hash & h.mask)
	for {
		b.lock()
		e, done := h.storeLocked(b, &c)
		b.unlock()
		if !done {
			c.spare = h.evict()
			continue
		}
		if c.spare != 0 { // evicted for nothing: the key has appeared meanwhile
			h.put(c.spare)
			h.uncount()
		}
		if c.old != 0 {
			h.put(c.old)
		}
		if c.dropped != 0 {
			h.drop(c.dropped)
		}
		return e
	}
}

// storeLocked is store under the lock of b. It is done unless it needs a spare
// element, which only an LRU map can get.
func (h *hashMap) storeLocked(b *HashBucket, c *change) (Errno, bool) {
	at := h.findLocked(b, c.hash, c.key)
	old := *at
	switch {
	case old != 0 && c.flags == UpdateNoExist:
		return EEXIST, true
	case old == 0 && c.flags == UpdateExist:
		return ENOENT, true
	case old != 0 && h.perCPU: // in place, as in Linux: other CPUs' copies stay
		h.fillValue(old, c.cpu, c.value, false)
		if h.lru {
			atomic.StoreUint32(&h.elem(old).Used, 1)
		}
		return 0, true
	case old != 0 && h.drop != nil: // in place too: a lookup finds one map or the other
		c.dropped = atomic.SwapUint64((*uint64)(h.cell(h.elem(old))), binary.NativeEndian.Uint64(c.value))
		return 0, true
	}
	ref := uint32(0)
	switch {
	case old != 0 || h.count():
		ref = h.alloc()
	case c.spare != 0:
		ref, c.spare = c.spare, 0
	case h.lru:
		return 0, false
	default:
		return E2BIG, true
	}
	e := h.elem(ref)
	h.fillKey(e, c.key)
	h.fillValue(ref, c.cpu, c.value, true)
	if old == 0 {
		atomic.StoreUint32(&e.Used, 0)
		h.link(&b.Head, ref, c.hash, b.Head)
		return 0, true
	}
	atomic.StoreUint32(&e.Used, 1)
	h.link(at, ref, c.hash, h.elem(old).Next)
	atomic.AddUint32(&h.elem(old).Seq, 1)
	c.old = old
	return 0, true
}

// fillValue writes a value. In a new element the other CPUs' copies become 0.
func (h *hashMap) fillValue(ref uint32, cpu int, value []byte, fresh bool) {
	e := h.elem(ref)
	if !h.perCPU {
		copyIn(h.cell(e), value)
		return
	}
	for i := range h.cpus {
		switch p := h.value(e, ref, i); {
		case cpu == allCPUs:
			copyIn(p, value[i*int(h.slotSize):][:h.size])
		case cpu == i:
			copyIn(p, value)
		case fresh:
			zero(p, h.slotSize)
		}
	}
}

func (h *hashMap) update(cpu int, key, value []byte, flags uint64) Errno {
	return h.store(cpu, key, value, flags)
}

func (h *hashMap) set(key, value []byte, flags uint64) Errno {
	return h.store(allCPUs, key, value, flags)
}

func (h *hashMap) remove(key []byte) Errno { return h.take(key, nil) }

// take removes an element after copying its value out, if value is not nil.
func (h *hashMap) take(key, value []byte) Errno {
	hash := h.hash(key)
	b := h.bucket(hash & h.mask)
	b.lock()
	at := h.findLocked(b, hash, key)
	ref := *at
	if ref != 0 {
		if value != nil {
			h.copyValue(value, ref)
		}
		h.unlink(at)
	}
	b.unlock()
	if ref == 0 {
		return ENOENT
	}
	h.put(ref)
	h.uncount()
	return 0
}

// copyValue copies a value out as the user side sees it.
func (h *hashMap) copyValue(value []byte, ref uint32) {
	e := h.elem(ref)
	switch {
	case h.drop != nil:
		readID((*uint64)(h.cell(e)), value)
		return
	case !h.perCPU:
		copyOut(value, h.cell(e))
		return
	}
	for i := range h.cpus {
		copyOut(value[i*int(h.slotSize):][:h.slotSize], h.value(e, ref, i))
	}
}

func (h *hashMap) find(addr uintptr) (uintptr, bool) {
	off := addr - uintptr(h.base)
	used := uintptr(atomic.LoadUint32(&h.control().Fresh))
	if h.perCPU {
		off = addr - uintptr(h.slots)
		if off >= h.cpuStride*uintptr(h.cpus) {
			return 0, false
		}
		in := off % h.cpuStride
		if in/h.slotSize >= used || in%h.slotSize >= h.size {
			return 0, false
		}
		return addr - in%h.slotSize, true
	}
	off -= h.elemsOff
	if h.drop != nil || off/h.stride >= used {
		return 0, false
	}
	if in := off % h.stride; in >= h.valueOff && in-h.valueOff < h.size {
		return addr - (in - h.valueOff), true
	}
	return 0, false
}

func (h *hashMap) free() {
	if h.drop != nil {
		for b := uint32(0); ; b++ {
			for ref := h.bucket(b).Head; ref != 0; ref = h.elem(ref).Next {
				h.drop(*(*uint64)(h.cell(h.elem(ref))))
			}
			if b == h.mask {
				break
			}
		}
	}
	_ = h.arena.Close()
}
