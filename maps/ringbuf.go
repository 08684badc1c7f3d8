package maps

import (
	"math"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// A ring buffer is one arena:
//
//	Control         Base = Control+4096              Base+size
//	+-------------+---------------------------------+--------------------+
//	| RingControl | data, size bytes                | overflow, size     |
//	+-------------+---------------------------------+--------------------+
//
// Positions only grow; a record at position p is at Base + p%size, starts with
// an 8-byte header, and is padded to 8 bytes:
//
//	0                4          8
//	+----------------+----------+----------------------
//	| length | flags | page     | data
//	+----------------+----------+----------------------
//
// A record that would wrap runs on into the overflow area instead, where nothing
// else ever is, so every record is contiguous. Linux maps the data pages twice
// to that end; space is counted in the same way.

// RingControl is the head of a ring buffer's arena. The positions are in bytes.
type RingControl struct {
	Consumer uint64 // read up to here
	_        [56]byte
	Producer uint64 // reserved up to here
	Pending  uint64 // up to here no record is busy, as far as is known
	Lock     uint32 // 1 while somebody reserves
}

// Flags in a record's length.
const (
	RingBusy    = 1 << 31 // BPF_RINGBUF_BUSY_BIT
	RingDiscard = 1 << 30 // BPF_RINGBUF_DISCARD_BIT
)

// Sizes in a ring buffer.
const (
	RingControlSize = 4096               // from RingControl to the data
	RingMaxRecord   = math.MaxUint32 / 4 // bytes of data in a record
	ringHeader      = 8
)

// Flags of SubmitProg, DiscardProg and RingOutputProg.
const (
	RingNoWakeup    uint64 = 1 // BPF_RB_NO_WAKEUP
	RingForceWakeup uint64 = 2 // BPF_RB_FORCE_WAKEUP
)

// What QueryProg is asked for.
const (
	RingQueryAvail    uint64 = iota // BPF_RB_AVAIL_DATA: bytes not consumed yet
	RingQuerySize                   // BPF_RB_RING_SIZE
	RingQueryConsumer               // BPF_RB_CONS_POS
	RingQueryProducer               // BPF_RB_PROD_POS
)

type ring struct {
	unsupported
	arena *mem.Arena
	base  unsafe.Pointer
	size  uint64
	ctl   *RingControl

	notify chan struct{} // one token: there may be something to read

	read sync.Mutex // held by whoever reads
	open bool       // there is a RingConsumer
}

func newRing(c *core) (*ring, error) {
	size := uint64(c.maxEntries)
	if 2*size+RingControlSize > math.MaxInt {
		return nil, mem.ErrNoMemory
	}
	a, err := mem.New(int(2*size + RingControlSize))
	if err != nil {
		return nil, err
	}
	base := unsafe.Add(a.Base(), RingControlSize)
	c.hdr.Base, c.hdr.Mask, c.hdr.Control = uint64(uintptr(base)), uint32(size-1), uint64(a.Addr())
	return &ring{arena: a, base: base, size: size, ctl: (*RingControl)(a.Base()), notify: make(chan struct{}, 1)}, nil
}

func (r *ring) header(pos uint64) *uint32 {
	return (*uint32)(unsafe.Add(r.base, uintptr(pos&(r.size-1))))
}

func recordSize(length uint32) uint64 {
	return round8(uint64(length&^(RingBusy|RingDiscard)) + ringHeader)
}

func (r *ring) reserve(size uint64) (uintptr, Errno) {
	if size > RingMaxRecord || round8(size+ringHeader) > r.size {
		return 0, EAGAIN
	}
	c := r.ctl
	consumer := atomic.LoadUint64(&c.Consumer)
	lock(&c.Lock)
	producer := c.Producer
	for c.Pending < producer {
		length := atomic.LoadUint32(r.header(c.Pending))
		if length&RingBusy != 0 {
			break
		}
		c.Pending += recordSize(length)
	}
	end := producer + round8(size+ringHeader)
	if end-consumer > r.size-1 || end-c.Pending > r.size-1 {
		unlock(&c.Lock)
		return 0, EAGAIN
	}
	h := r.header(producer)
	page := (RingControlSize + producer&(r.size-1)) / pageSize
	*(*uint32)(unsafe.Add(unsafe.Pointer(h), 4)) = uint32(page)
	atomic.StoreUint32(h, uint32(size)|RingBusy)
	atomic.StoreUint64(&c.Producer, end)
	unlock(&c.Lock)
	return uintptr(unsafe.Pointer(h)) + ringHeader, 0
}

// commit ends a record that was reserved. It wakes the reader if that waits for
// this very record, which is what Linux does without flags.
func (r *ring) commit(addr uintptr, flags uint64, mark uint32) Errno {
	off := addr - ringHeader - uintptr(r.base)
	if off >= uintptr(r.size) || off%8 != 0 {
		return EINVAL
	}
	h := (*uint32)(unsafe.Add(r.base, off))
	length := atomic.LoadUint32(h)
	if length&RingBusy == 0 || !atomic.CompareAndSwapUint32(h, length, length&^RingBusy|mark) {
		return EINVAL
	}
	atConsumer := atomic.LoadUint64(&r.ctl.Consumer)&(r.size-1) == uint64(off)
	if flags&RingForceWakeup != 0 || atConsumer && flags&RingNoWakeup == 0 {
		wake(r.notify)
	}
	return 0
}

// wake leaves a token for whoever waits. It never blocks.
func wake(notify chan struct{}) {
	select {
	case notify <- struct{}{}:
	default:
	}
}

func (r *ring) output(data []byte, flags uint64) Errno {
	if flags&^(RingNoWakeup|RingForceWakeup) != 0 {
		return EINVAL
	}
	addr, e := r.reserve(uint64(len(data)))
	if e != 0 {
		return e
	}
	copyIn(unsafe.Add(r.base, addr-uintptr(r.base)), data)
	return r.commit(addr, flags, 0)
}

func (r *ring) query(what uint64) uint64 {
	c := r.ctl
	switch what {
	case RingQueryAvail:
		consumer := atomic.LoadUint64(&c.Consumer)
		return atomic.LoadUint64(&c.Producer) - consumer
	case RingQuerySize:
		return r.size
	case RingQueryConsumer:
		return atomic.LoadUint64(&c.Consumer)
	case RingQueryProducer:
		return atomic.LoadUint64(&c.Producer)
	}
	return 0
}

func (r *ring) free() { _ = r.arena.Close() }

// RingConsumer reads a RingBuf. It is what package ringbuf's Reader stands on.
// Its methods must not be called at the same time, except C and Available.
type RingConsumer struct {
	m *Map
	r *ring
}

// NewRingConsumer returns the consumer of a RingBuf, which holds the map until
// it is closed. The error matches EBUSY if there is one already, and EINVAL if m
// is no RingBuf.
func NewRingConsumer(m *Map) (*RingConsumer, error) {
	if m == nil {
		return nil, errNilMap
	}
	r, ok := m.impl.(*ring)
	if !ok {
		return nil, &Error{"open ring buffer", m.String(), EINVAL, "it is no RingBuf"}
	}
	m, err := m.Clone()
	if err != nil {
		return nil, err
	}
	r.read.Lock()
	defer r.read.Unlock()
	if r.open {
		_ = m.Close()
		return nil, &Error{"open ring buffer", m.String(), EBUSY, "it has a reader already"}
	}
	r.open = true
	return &RingConsumer{m, r}, nil
}

// Next takes the next record that is neither busy nor discarded, and appends its
// data to buf. It reports false if there is none yet.
func (c *RingConsumer) Next(buf []byte) ([]byte, bool) {
	ctl := c.r.ctl
	pos := atomic.LoadUint64(&ctl.Consumer)
	for pos < atomic.LoadUint64(&ctl.Producer) {
		h := c.r.header(pos)
		length := atomic.LoadUint32(h)
		if length&RingBusy != 0 {
			return buf, false
		}
		pos += recordSize(length)
		if length&RingDiscard != 0 {
			atomic.StoreUint64(&ctl.Consumer, pos)
			continue
		}
		n := len(buf)
		size := int(length)
		if cap(buf)-n < size {
			buf = append(make([]byte, 0, n+size), buf...)
		}
		buf = buf[:n+size]
		copyOut(buf[n:], unsafe.Add(unsafe.Pointer(h), ringHeader))
		atomic.StoreUint64(&ctl.Consumer, pos)
		return buf, true
	}
	return buf, false
}

// C gets a token when Next may have something again.
func (c *RingConsumer) C() <-chan struct{} { return c.r.notify }

// Available returns the bytes that are reserved or committed and not consumed,
// 0 after Close.
func (c *RingConsumer) Available() int {
	if !c.m.enter() {
		return 0
	}
	defer c.m.release()
	return int(c.r.query(RingQueryAvail))
}

// Size returns the size of the ring's data in bytes.
func (c *RingConsumer) Size() int { return int(c.r.size) }

// Close lets another consumer take over, and lets go of the map.
func (c *RingConsumer) Close() error {
	c.r.read.Lock()
	c.r.open = false
	c.r.read.Unlock()
	return c.m.Close()
}
