package perf

import (
	"bytes"
	"math"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/maps"
)

func newArray(t *testing.T, max uint32) *maps.Map {
	m, err := maps.NewWithOptions(&maps.Spec{Name: "events", Type: maps.PerfEventArray, MaxEntries: max}, maps.Options{NumCPU: 3})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func TestRead(t *testing.T) {
	m := newArray(t, 0)
	require.EqualValues(t, 3, m.MaxEntries())
	require.Equal(t, maps.ENOENT, m.PerfOutputProg(1, maps.PerfCurrentCPU, []byte{1}), "nobody reads")
	r, err := NewReader(m, 100)
	require.NoError(t, err)
	require.Equal(t, 4096, r.BufferSize())

	require.Zero(t, m.PerfOutputProg(1, maps.PerfCurrentCPU, []byte{1, 2}, nil, []byte{3}))
	require.Zero(t, m.PerfOutputProg(1, 1, []byte{4}))
	rec, err := r.Read()
	require.NoError(t, err)
	require.Equal(t, Record{CPU: 1, RawSample: []byte{1, 2, 3}, Remaining: 16}, rec)
	require.NoError(t, r.ReadInto(&rec))
	require.Equal(t, Record{CPU: 1, RawSample: []byte{4}}, rec)

	require.Equal(t, maps.EOPNOTSUPP, m.PerfOutputProg(1, 2, []byte{1}))
	require.Equal(t, maps.E2BIG, m.PerfOutputProg(1, 3, []byte{1}))
	require.Equal(t, maps.EINVAL, m.PerfOutputProg(1, 1<<32, []byte{1}))
	require.Equal(t, maps.E2BIG, m.PerfOutputProg(1, 1, make([]byte, 1<<16)))

	require.NoError(t, r.Pause())
	require.Equal(t, maps.ENOENT, m.PerfOutputProg(0, 0, []byte{1}))
	require.NoError(t, r.Resume())
	require.NoError(t, r.Resume())
	require.Zero(t, m.PerfOutputProg(0, 0, []byte{9}))
	require.NoError(t, r.ReadInto(&rec))
	require.Equal(t, Record{CPU: 0, RawSample: []byte{9}}, rec)

	require.NoError(t, r.Close())
	require.NoError(t, r.Close())
	require.Equal(t, maps.ENOENT, m.PerfOutputProg(0, 0, []byte{1}))
	require.ErrorIs(t, r.Pause(), ErrClosed)
	_, err = r.Read()
	require.ErrorIs(t, err, os.ErrClosed)
}

// TestLost fills a buffer: what does not fit is counted, and the count comes
// where the samples would have been.
func TestLost(t *testing.T) {
	m := newArray(t, 3)
	r, err := NewReader(m, 4096)
	require.NoError(t, err)
	defer r.Close()
	data := bytes.Repeat([]byte{7}, 100) // 8 + 4 + 100, a multiple of 8
	for round := range 50 {
		fits := 0
		for m.PerfOutputProg(0, 0, data) == 0 {
			fits++
		}
		require.Equal(t, 4095/112, fits, "round %d", round)
		require.Equal(t, maps.ENOSPC, m.PerfOutputProg(0, 0, data))
		for range fits {
			rec, err := r.Read()
			require.NoError(t, err)
			require.Equal(t, data, rec.RawSample)
		}
		require.Zero(t, m.PerfOutputProg(0, 0, data[:round]))
		rec, err := r.Read()
		require.NoError(t, err)
		require.EqualValues(t, 2, rec.LostSamples)
		require.Empty(t, rec.RawSample)
		rec, err = r.Read()
		require.NoError(t, err)
		require.True(t, bytes.Equal(data[:round], rec.RawSample))
	}
}

func TestWakeup(t *testing.T) {
	m := newArray(t, 3)
	r, err := NewReaderWithOptions(m, 4096, ReaderOptions{WakeupEvents: 3})
	require.NoError(t, err)
	got := make(chan error, 1)
	go func() {
		_, err := r.Read()
		got <- err
	}()
	for i := range 3 {
		select {
		case err := <-got:
			require.Fail(t, "woken too early", "%v", err)
		case <-time.After(20 * time.Millisecond):
		}
		require.Zero(t, m.PerfOutputProg(2, 2, []byte{byte(i)}))
	}
	require.NoError(t, <-got)
	for range 2 {
		_, err = r.Read()
		require.NoError(t, err)
	}
	r.SetDeadline(time.Now().Add(10 * time.Millisecond))
	_, err = r.Read()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	r.SetDeadline(time.Time{})
	require.NoError(t, r.Flush())
	_, err = r.Read()
	require.ErrorIs(t, err, ErrFlushed)
	go func() {
		_, err := r.Read()
		got <- err
	}()
	time.Sleep(10 * time.Millisecond)
	require.NoError(t, r.Close())
	require.ErrorIs(t, <-got, ErrClosed)
}

func TestNewReader(t *testing.T) {
	m := newArray(t, 2)
	for _, o := range []ReaderOptions{{Overwritable: true}, {WakeupEvents: 1, Watermark: 1}, {Watermark: 4096}} {
		_, err := NewReaderWithOptions(m, 4096, o)
		require.Error(t, err)
	}
	for _, size := range []int{0, -1, math.MaxInt} {
		_, err := NewReader(m, size)
		require.ErrorIs(t, err, maps.EINVAL)
	}
	r, err := NewReader(m, 1)
	require.NoError(t, err)
	defer r.Close()
	_, err = NewReader(m, 1)
	require.ErrorIs(t, err, maps.EBUSY)
	require.Equal(t, maps.E2BIG, m.PerfOutputProg(2, maps.PerfCurrentCPU, []byte{1}), "the array has no place for the third CPU")
}

func TestConcurrent(t *testing.T) {
	m := newArray(t, 3)
	r, err := NewReader(m, 4096)
	require.NoError(t, err)
	defer r.Close()
	const each = 5000
	var wg sync.WaitGroup
	for cpu := range 3 {
		wg.Go(func() {
			for i := range each {
				data := bytes.Repeat([]byte{byte(i)}, 1+i%90)
				for m.PerfOutputProg(cpu, maps.PerfCurrentCPU, data) != 0 {
					time.Sleep(time.Microsecond)
				}
			}
		})
	}
	r.SetDeadline(time.Now().Add(30 * time.Second))
	var next [3]int
	var rec Record
	for n := 0; n < 3*each; {
		require.NoError(t, r.ReadInto(&rec))
		if rec.LostSamples > 0 {
			continue
		}
		i := next[rec.CPU]
		require.Equal(t, bytes.Repeat([]byte{byte(i)}, 1+i%90), rec.RawSample)
		next[rec.CPU]++
		n++
	}
	wg.Wait()
}
