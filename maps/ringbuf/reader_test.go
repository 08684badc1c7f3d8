package ringbuf

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/maps"
)

func newRing(t *testing.T, size uint32) (*maps.Map, *Reader) {
	m, err := maps.New(&maps.Spec{Name: "events", Type: maps.RingBuf, MaxEntries: size})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	r, err := NewReader(m)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return m, r
}

func TestRead(t *testing.T) {
	m, r := newRing(t, 4096)
	require.Equal(t, 4096, r.BufferSize())
	for round := range 300 { // many times around the ring
		data := make([]byte, 1+round*7%500)
		for i := range data {
			data[i] = byte(round)
		}
		require.Zero(t, m.RingOutputProg(data, 0))
		require.Zero(t, m.RingOutputProg([]byte{1, 2, 3}, 0))
		rec, err := r.Read()
		require.NoError(t, err)
		require.Equal(t, data, rec.RawSample)
		require.Equal(t, 16, rec.Remaining)
		require.Equal(t, 16, r.AvailableBytes())
		require.NoError(t, r.ReadInto(&rec))
		require.Equal(t, []byte{1, 2, 3}, rec.RawSample)
		require.Zero(t, rec.Remaining)
	}
}

func TestReadOrder(t *testing.T) {
	m, r := newRing(t, 4096)
	a, e := m.ReserveProg(8)
	require.Zero(t, e)
	b, e := m.ReserveProg(16)
	require.Zero(t, e)
	c, e := m.ReserveProg(0)
	require.Zero(t, e)
	require.Zero(t, m.SubmitProg(b, 0))
	r.SetDeadline(time.Now())
	_, err := r.Read()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the first record is busy")
	require.Zero(t, m.DiscardProg(a, 0))
	rec, err := r.Read()
	require.NoError(t, err)
	require.Len(t, rec.RawSample, 16)
	require.Zero(t, m.SubmitProg(c, 0))
	require.NoError(t, r.ReadInto(&rec))
	require.Empty(t, rec.RawSample)
	require.Equal(t, maps.EINVAL, m.SubmitProg(c, 0), "submitted already")
	require.Equal(t, maps.EINVAL, m.SubmitProg(c+1, 0))
	require.Equal(t, maps.EINVAL, m.SubmitProg(0, 0))
	require.Equal(t, maps.EINVAL, m.DiscardProg(^uintptr(0), 0))
}

// blocked starts a Read that blocks, and returns its result.
func blocked(t *testing.T, r *Reader) <-chan error {
	c := make(chan error, 1)
	go func() {
		_, err := r.Read()
		c <- err
	}()
	stays(t, c)
	return c
}

func stays(t *testing.T, c <-chan error) {
	select {
	case err := <-c:
		require.Fail(t, "Read does not block", "%v", err)
	case <-time.After(20 * time.Millisecond):
	}
}

func ends(t *testing.T, c <-chan error, want error) {
	select {
	case err := <-c:
		require.ErrorIs(t, err, want)
	case <-time.After(10 * time.Second):
		require.Fail(t, "Read blocks")
	}
}

func TestWakeup(t *testing.T) {
	m, r := newRing(t, 4096)
	c := blocked(t, r)
	require.Zero(t, m.RingOutputProg([]byte{1}, 0))
	ends(t, c, nil)

	c = blocked(t, r)
	require.Zero(t, m.RingOutputProg([]byte{1}, maps.RingNoWakeup))
	stays(t, c)
	require.Zero(t, m.RingOutputProg([]byte{2}, maps.RingForceWakeup))
	ends(t, c, nil)
	_, err := r.Read()
	require.NoError(t, err)

	c = blocked(t, r)
	r.SetDeadline(time.Now().Add(30 * time.Millisecond))
	ends(t, c, os.ErrDeadlineExceeded)
	r.SetDeadline(time.Time{})

	require.Zero(t, m.RingOutputProg([]byte{1}, maps.RingNoWakeup))
	require.NoError(t, r.Flush())
	_, err = r.Read()
	require.NoError(t, err, "what is there comes before the flush")
	_, err = r.Read()
	require.ErrorIs(t, err, ErrFlushed)

	c = blocked(t, r)
	require.NoError(t, r.Close())
	ends(t, c, ErrClosed)
	require.NoError(t, r.Close())
	_, err = r.Read()
	require.ErrorIs(t, err, os.ErrClosed)
	require.ErrorIs(t, r.Flush(), ErrClosed)
	require.Zero(t, r.AvailableBytes())
}

func TestNewReader(t *testing.T) {
	m, r := newRing(t, 4096)
	_, err := NewReader(m)
	require.ErrorIs(t, err, maps.EBUSY)
	require.NoError(t, r.Close())
	r, err = NewReader(m)
	require.NoError(t, err)
	require.NoError(t, r.Close())
	a, err := maps.New(&maps.Spec{Type: maps.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	require.NoError(t, err)
	defer a.Close()
	_, err = NewReader(a)
	require.ErrorIs(t, err, maps.EINVAL)
}

// TestReaderKeepsMap: the reader holds the map.
func TestReaderKeepsMap(t *testing.T) {
	m, err := maps.New(&maps.Spec{Type: maps.RingBuf, MaxEntries: 4096})
	require.NoError(t, err)
	r, err := NewReader(m)
	require.NoError(t, err)
	require.Zero(t, m.RingOutputProg([]byte{5}, 0))
	require.NoError(t, m.Close())
	rec, err := r.Read()
	require.NoError(t, err)
	require.Equal(t, []byte{5}, rec.RawSample)
	require.NoError(t, r.Close())
}

func TestConcurrent(t *testing.T) {
	m, r := newRing(t, 4096)
	const producers, each = 4, 3000
	for range producers {
		go func() {
			for i := 0; i < each; {
				if m.RingOutputProg([]byte{1, 2, 3, 4}, 0) == 0 {
					i++
				} else {
					time.Sleep(time.Microsecond)
				}
			}
		}()
	}
	r.SetDeadline(time.Now().Add(30 * time.Second))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range producers * each / 2 {
				if _, err := r.Read(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Zero(t, r.AvailableBytes())
}
