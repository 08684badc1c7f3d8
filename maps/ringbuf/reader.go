// Package ringbuf reads the records that programs put into a RingBuf map. It
// mirrors github.com/cilium/ebpf/ringbuf.
package ringbuf

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/maps/internal/wait"
)

// Errors that Read returns, for errors.Is.
var (
	ErrClosed  = os.ErrClosed
	ErrFlushed = wait.ErrFlushed
)

// Record is what a program submitted.
type Record struct {
	RawSample []byte

	// Remaining is the least number of bytes, headers included, that are left
	// in the ring buffer after this record.
	Remaining int
}

// Reader reads a ring buffer. Its methods are safe for concurrent use.
type Reader struct {
	wait *wait.Waiter
	size int
	ring *maps.RingConsumer

	mu      sync.Mutex // held by Read
	pending error      // returned when the ring is empty
}

// NewReader returns a reader of a RingBuf, which it keeps alive until Close. The
// error matches maps.EBUSY if the map has a reader already, and maps.EINVAL if it
// is of another type.
func NewReader(m *maps.Map) (*Reader, error) {
	ring, err := maps.NewRingConsumer(m)
	if err != nil {
		return nil, err
	}
	return &Reader{wait: wait.New(), size: ring.Size(), ring: ring}, nil
}

// Close ends the reader and interrupts Read. Closing twice does nothing.
func (r *Reader) Close() error {
	if !r.wait.Close() {
		return nil
	}
	r.mu.Lock() // no Read is running
	defer r.mu.Unlock()
	return r.ring.Close()
}

// SetDeadline says how long Read blocks. The zero time is for ever.
func (r *Reader) SetDeadline(t time.Time) { r.wait.SetDeadline(t) }

// Read returns the next record, and blocks until there is one. A record that
// was submitted with BPF_RB_NO_WAKEUP does not wake a Read that is blocked. The
// error matches ErrClosed after Close, os.ErrDeadlineExceeded after the deadline,
// and ErrFlushed after Flush, the latter two when all records have been read.
func (r *Reader) Read() (Record, error) {
	var rec Record
	err := r.ReadInto(&rec)
	return rec, err
}

// ReadInto is Read that reuses the record's buffer.
func (r *Reader) ReadInto(rec *Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if r.wait.Closed() {
			return fmt.Errorf("ringbuffer: %w", ErrClosed)
		}
		sample, ok := r.ring.Next(rec.RawSample[:0])
		if ok {
			rec.RawSample, rec.Remaining = sample, r.ring.Available()
			return nil
		}
		if err := r.pending; err != nil {
			r.pending = nil
			return fmt.Errorf("ringbuffer: %w", err)
		}
		// After a deadline or flush look once more: there may be a record
		// that was submitted without a wake-up.
		r.pending = r.wait.Wait(r.ring.C())
	}
}

// BufferSize returns the size of the ring buffer in bytes.
func (r *Reader) BufferSize() int { return r.size }

// Flush makes Read return what is in the ring buffer, and then ErrFlushed once.
func (r *Reader) Flush() error { return r.wait.Flush() }

// AvailableBytes returns the number of bytes, headers included, that were
// reserved and not read yet; 0 after Close.
func (r *Reader) AvailableBytes() int { return r.ring.Available() }
