// Package wait is how the readers of ring and perf buffers block: until there is
// something to read, a deadline, a flush, or Close.
package wait

import (
	"errors"
	"os"
	"sync"
	"time"
)

// ErrFlushed is returned once by Wait after Flush.
var ErrFlushed = errors.New("reader was flushed")

// Waiter is one reader's. Wait is called by one goroutine at a time, everything
// else by any.
type Waiter struct {
	closed chan struct{}
	flush  chan struct{} // a token: Flush was called
	moved  chan struct{} // a token: the deadline was changed
	once   sync.Once

	mu       sync.Mutex
	deadline time.Time
}

// New returns a Waiter without a deadline.
func New() *Waiter {
	return &Waiter{closed: make(chan struct{}), flush: make(chan struct{}, 1), moved: make(chan struct{}, 1)}
}

// Close makes this and every later Wait return os.ErrClosed. It reports whether
// it was the first call.
func (w *Waiter) Close() (first bool) {
	w.once.Do(func() { close(w.closed); first = true })
	return first
}

// Closed reports whether Close was called.
func (w *Waiter) Closed() bool {
	select {
	case <-w.closed:
		return true
	default:
		return false
	}
}

// Flush makes one Wait, now or later, return ErrFlushed.
func (w *Waiter) Flush() error {
	if w.Closed() {
		return os.ErrClosed
	}
	poke(w.flush)
	return nil
}

// SetDeadline sets when Wait returns os.ErrDeadlineExceeded, also one that is
// blocked already. The zero time is never.
func (w *Waiter) SetDeadline(t time.Time) {
	w.mu.Lock()
	w.deadline = t
	w.mu.Unlock()
	poke(w.moved)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Wait blocks until ready has a token.
func (w *Waiter) Wait(ready <-chan struct{}) error {
	for {
		again, err := w.wait(ready)
		if !again {
			return err
		}
	}
}

func (w *Waiter) wait(ready <-chan struct{}) (again bool, err error) {
	if w.Closed() {
		return false, os.ErrClosed
	}
	w.mu.Lock()
	deadline := w.deadline
	w.mu.Unlock()
	var expired <-chan time.Time
	if !deadline.IsZero() {
		left := time.Until(deadline)
		if left <= 0 {
			return false, os.ErrDeadlineExceeded
		}
		timer := time.NewTimer(left)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-w.closed:
		return false, os.ErrClosed
	case <-w.flush:
		return false, ErrFlushed
	case <-expired:
		return false, os.ErrDeadlineExceeded
	case <-w.moved:
		return true, nil
	case <-ready:
		return false, nil
	}
}
