// Package perf reads the samples that programs put into a PerfEventArray map. It
// mirrors github.com/cilium/ebpf/perf.
package perf

import (
	"errors"
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

// Record is a sample, or a number of samples that were lost.
type Record struct {
	CPU int // virtual CPU that it is from

	// RawSample is what the program submitted, exactly. (On Linux up to 7
	// bytes of garbage may follow.)
	RawSample []byte

	// LostSamples is not 0 if samples found the buffer full; there is no
	// sample in the record then.
	LostSamples uint64

	// Remaining is the least number of bytes left in the CPU's buffer after
	// this record.
	Remaining int
}

// ReaderOptions say when a blocked Read wakes up.
type ReaderOptions struct {
	WakeupEvents int  // when a CPU has sent so many samples, 1 if 0
	Watermark    int  // when so many bytes are in a CPU's buffer
	Overwritable bool // not supported
}

// Reader reads the buffers of all CPUs. Its methods are safe for concurrent use.
type Reader struct {
	wait  *wait.Waiter
	size  int
	rings *maps.PerfConsumer

	mu      sync.Mutex // held by Read
	pending error      // returned when the buffers are empty
}

// NewReader returns a reader with default options, which gives each CPU a buffer
// of perCPUBuffer bytes, rounded up to a power of two of at least 4096. The map
// is kept alive until Close. The error matches maps.EBUSY if the map has a reader
// already, and maps.EINVAL if it is of another type or the size is out of range.
func NewReader(m *maps.Map, perCPUBuffer int) (*Reader, error) {
	return NewReaderWithOptions(m, perCPUBuffer, ReaderOptions{})
}

// NewReaderWithOptions is NewReader with options.
func NewReaderWithOptions(m *maps.Map, perCPUBuffer int, opts ReaderOptions) (*Reader, error) {
	switch {
	case opts.Overwritable:
		return nil, fmt.Errorf("perf: overwritable buffers: %w", maps.ErrNotSupported)
	case opts.WakeupEvents > 0 && opts.Watermark > 0:
		return nil, errors.New("perf: WakeupEvents and Watermark exclude each other")
	case opts.Watermark >= perCPUBuffer && opts.Watermark > 0:
		return nil, fmt.Errorf("perf: Watermark is %d, want less than the buffer's %d", opts.Watermark, perCPUBuffer)
	}
	rings, err := maps.NewPerfConsumer(m, maps.PerfBuffers{
		Bytes: perCPUBuffer, WakeEvents: opts.WakeupEvents, WakeBytes: opts.Watermark,
	})
	if err != nil {
		return nil, err
	}
	return &Reader{wait: wait.New(), size: rings.Size(), rings: rings}, nil
}

// Close ends the reader and interrupts Read; programs get ENOENT from then on.
// Closing twice does nothing.
func (r *Reader) Close() error {
	if !r.wait.Close() {
		return nil
	}
	r.mu.Lock() // no Read is running
	defer r.mu.Unlock()
	return r.rings.Close()
}

// SetDeadline says how long Read blocks. The zero time is for ever.
func (r *Reader) SetDeadline(t time.Time) { r.wait.SetDeadline(t) }

// Read returns the next record of any CPU, and blocks until there is one. Records
// of one CPU come in order. The error matches ErrClosed after Close,
// os.ErrDeadlineExceeded after the deadline, and ErrFlushed after Flush, the latter
// two when all records have been read.
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
			return fmt.Errorf("perf ringbuffer: %w", ErrClosed)
		}
		if got, ok := r.rings.Next(rec.RawSample[:0]); ok {
			*rec = Record{got.CPU, got.Sample, got.Lost, got.Remaining}
			return nil
		}
		if err := r.pending; err != nil {
			r.pending = nil
			return fmt.Errorf("perf ringbuffer: %w", err)
		}
		r.pending = r.wait.Wait(r.rings.C())
	}
}

// Pause makes programs get ENOENT, and Read block, until Resume.
func (r *Reader) Pause() error { return r.attach(false) }

// Resume undoes Pause. The error matches maps.EBUSY if another reader has
// taken the map meanwhile.
func (r *Reader) Resume() error { return r.attach(true) }

func (r *Reader) attach(on bool) error {
	if r.wait.Closed() {
		return fmt.Errorf("perf ringbuffer: %w", ErrClosed)
	}
	return r.rings.Attach(on)
}

// BufferSize returns the size of each CPU's buffer in bytes.
func (r *Reader) BufferSize() int { return r.size }

// Flush makes Read return what is in the buffers, and then ErrFlushed once.
func (r *Reader) Flush() error { return r.wait.Flush() }
