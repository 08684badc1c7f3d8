package maps

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

// PerfCurrentCPU in the flags of PerfOutputProg selects the buffer of the CPU
// that runs the program: BPF_F_CURRENT_CPU.
const PerfCurrentCPU uint64 = math.MaxUint32

// perfArray has a buffer for each CPU once a PerfConsumer is open.
type perfArray struct {
	unsupported
	max      uint32
	consumer atomic.Pointer[PerfConsumer]
}

func newPerfArray(c *core) (*perfArray, error) { return &perfArray{max: c.maxEntries}, nil }

func (p *perfArray) next(key, next []byte) Errno { return nextIndex(p.max, key, next) }

// set: there are no file descriptors of perf events here. A PerfConsumer fills
// the array.
func (p *perfArray) set(key, _ []byte, flags uint64) Errno { return setNothing(key, p.max, flags) }

func (p *perfArray) remove(key []byte) Errno {
	if index(key) >= p.max {
		return E2BIG
	}
	return ENOENT
}

func (p *perfArray) output(cpu int, flags uint64, data [][]byte) Errno {
	if flags > math.MaxUint32 {
		return EINVAL
	}
	i := uint64(cpu)
	if flags != PerfCurrentCPU {
		i = flags
	}
	if i >= uint64(p.max) {
		return E2BIG
	}
	c := p.consumer.Load()
	if c == nil || i >= uint64(len(c.rings)) {
		return ENOENT
	}
	if i != uint64(cpu) {
		return EOPNOTSUPP
	}
	return c.rings[i].write(c, data)
}

// A perfRing is one CPU's buffer. Space is counted as Linux's perf does: each
// sample has an 8-byte header, a 4-byte length and padding to 8, and one byte
// always stays free. It lies on the Go heap since programs cannot see it.
type perfRing struct {
	mu    sync.Mutex
	buf   []byte
	head  uint64 // written up to here
	tail  uint64 // read up to here
	lost  uint64 // samples that found no room since the last lost record
	quiet int    // samples since the last wake-up
}

const (
	perfLost       = 1 << 31 // in a record's length: it counts lost samples
	perfHeader     = 8
	perfLostRecord = 24 // bytes: header, id, count
	perfMaxSample  = 1<<16 - 1 - perfHeader - 4 - 7
)

func (r *perfRing) write(c *PerfConsumer, data [][]byte) Errno {
	n := 0
	for _, d := range data {
		if n += len(d); n > perfMaxSample {
			return E2BIG
		}
	}
	need := perfHeader + round8(uint64(n)+4)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost > 0 {
		need += perfLostRecord
	}
	if r.head-r.tail+need > uint64(len(r.buf))-1 {
		r.lost++
		return ENOSPC
	}
	pos := r.head
	if r.lost > 0 {
		var b [perfLostRecord]byte
		binary.NativeEndian.PutUint32(b[:], perfLost|perfLostRecord)
		binary.NativeEndian.PutUint64(b[16:], r.lost)
		r.put(pos, b[:])
		pos += perfLostRecord
		r.lost = 0
	}
	var b [12]byte
	binary.NativeEndian.PutUint32(b[8:], uint32(n))
	at := r.put(pos, b[:])
	for _, d := range data {
		at = r.put(at, d)
	}
	r.head += need
	if r.quiet++; r.quiet >= c.wakeEvents && r.head-r.tail >= c.wakeBytes {
		r.quiet = 0
		wake(c.notify)
	}
	return 0
}

// put copies b in at a position and returns the position after it.
func (r *perfRing) put(pos uint64, b []byte) uint64 {
	n := copy(r.buf[pos%uint64(len(r.buf)):], b)
	copy(r.buf, b[n:])
	return pos + uint64(len(b))
}

func (r *perfRing) peek(pos uint64, b []byte) {
	n := copy(b, r.buf[pos%uint64(len(r.buf)):])
	copy(b[n:], r.buf)
}

// read takes a record: a sample, or a number of lost ones.
func (r *perfRing) read(buf []byte) (rec PerfRecord, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.head == r.tail {
		return rec, false
	}
	rec.Sample = buf
	var b [perfLostRecord]byte
	r.peek(r.tail, b[:12])
	if binary.NativeEndian.Uint32(b[:])&perfLost != 0 {
		r.peek(r.tail, b[:])
		r.tail += perfLostRecord
		rec.Lost = binary.NativeEndian.Uint64(b[16:])
		rec.Remaining = int(r.head - r.tail)
		return rec, true
	}
	n := int(binary.NativeEndian.Uint32(b[8:]))
	old := len(buf)
	if cap(buf)-old < n {
		buf = append(make([]byte, 0, old+n), buf...)
	}
	rec.Sample = buf[:old+n]
	r.peek(r.tail+12, rec.Sample[old:])
	r.tail += perfHeader + round8(uint64(n)+4)
	rec.Remaining = int(r.head - r.tail)
	return rec, true
}

// PerfRecord is what PerfConsumer.Next returns: a sample, or a number of lost ones.
type PerfRecord struct {
	CPU       int
	Sample    []byte
	Lost      uint64
	Remaining int // bytes left in the CPU's buffer
}

// PerfConsumer reads a PerfEventArray. It is what package perf's Reader stands
// on. Its methods must not be called at the same time, except C.
type PerfConsumer struct {
	m          *Map
	rings      []perfRing
	notify     chan struct{}
	next       int // CPU to look at first
	wakeEvents int
	wakeBytes  uint64
}

// PerfBuffers says how a PerfConsumer buffers.
type PerfBuffers struct {
	Bytes      int // for each CPU, rounded up to a power of two of at least 4096
	WakeEvents int // wake the reader at every so many samples of a CPU, 1 if 0
	WakeBytes  int // and not before so many bytes are waiting
}

// NewPerfConsumer makes the buffers of a PerfEventArray and puts them at the
// indexes of the virtual CPUs. The error matches EBUSY if there is a consumer
// already, and EINVAL if m is no PerfEventArray or Bytes is out of range.
func NewPerfConsumer(m *Map, b PerfBuffers) (*PerfConsumer, error) {
	if m == nil {
		return nil, errNilMap
	}
	p, ok := m.impl.(*perfArray)
	switch {
	case !ok:
		return nil, &Error{"open perf buffers", m.String(), EINVAL, "it is no PerfEventArray"}
	case b.Bytes < 1 || b.Bytes > 1<<30:
		return nil, &Error{"open perf buffers", m.String(), EINVAL, fmt.Sprintf("%d bytes for a CPU, must be 1 to %d", b.Bytes, 1<<30)}
	}
	m, err := m.Clone()
	if err != nil {
		return nil, err
	}
	size := pageSize
	for size < b.Bytes {
		size *= 2
	}
	c := &PerfConsumer{
		m: m, rings: make([]perfRing, min(m.numCPU, int(min(p.max, math.MaxInt32)))), notify: make(chan struct{}, 1),
		wakeEvents: max(b.WakeEvents, 1), wakeBytes: uint64(max(b.WakeBytes, 0)),
	}
	for i := range c.rings {
		c.rings[i].buf = make([]byte, size)
	}
	if err := c.Attach(true); err != nil {
		_ = m.Close()
		return nil, err
	}
	return c, nil
}

// Attach puts the buffers into the array, or takes them out: programs get ENOENT
// then. The error matches EBUSY if those of another consumer are there.
func (c *PerfConsumer) Attach(on bool) error {
	p, _ := c.m.impl.(*perfArray)
	if !on {
		p.consumer.CompareAndSwap(c, nil)
		return nil
	}
	if !p.consumer.CompareAndSwap(nil, c) && p.consumer.Load() != c {
		return c.m.fail("attach perf buffers", EBUSY)
	}
	return nil
}

// Next takes the next record of any CPU, appending a sample to buf. It reports
// false if there is none yet.
func (c *PerfConsumer) Next(buf []byte) (PerfRecord, bool) {
	for range c.rings {
		if rec, ok := c.rings[c.next].read(buf); ok {
			rec.CPU = c.next
			return rec, true
		}
		c.next = (c.next + 1) % len(c.rings)
	}
	return PerfRecord{}, false
}

// C gets a token when Next may have something again.
func (c *PerfConsumer) C() <-chan struct{} { return c.notify }

// Size returns the size of a CPU's buffer in bytes.
func (c *PerfConsumer) Size() int { return len(c.rings[0].buf) }

// Close takes the buffers out of the array and lets go of the map.
func (c *PerfConsumer) Close() error {
	_ = c.Attach(false)
	return c.m.Close()
}
