package difftest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/maps"
)

// kernelRuns runs programs in the kernel with maps of its own, on CPU 0: the only one that
// machines of the tests have.
type kernelRuns struct {
	cache   mapCache
	used    bool        // a ring buffer has been
	allowed unix.CPUSet // where the thread may run otherwise
}

// newKernelRuns returns one for the calling goroutine, which stays on its thread until it ends.
func newKernelRuns(t testing.TB) *kernelRuns {
	r := &kernelRuns{cache: mapCache{maps: make(map[string]*ebpf.Map)}}
	runtime.LockOSThread() // and never unlocked: the thread dies with the goroutine
	require.NoError(t, unix.SchedGetaffinity(0, &r.allowed))
	t.Cleanup(func() {
		for _, m := range r.cache.maps {
			m.Close()
		}
	})
	return r
}

// liveProgram is a kernelProgram.
type liveProgram struct {
	*kernelRuns
	loaded *kernel.Loaded
	maps   []*ebpf.Map
}

// ask is askKernel; if the program is accepted, use is called with it.
func (r *kernelRuns) ask(c *Case, use func(k kernelProgram) error) (*Case, error) {
	return askKernelWith(c, logFigures, &r.cache, func(l *kernel.Loaded, list []*ebpf.Map) error {
		if !l.Accepted() {
			return nil
		}
		var first unix.CPUSet
		first.Set(0)
		if err := unix.SchedSetaffinity(0, &first); err != nil {
			return err
		}
		p := &liveProgram{r, l, list}
		err := use(p)
		return errors.Join(err, p.dropRings(), unix.SchedSetaffinity(0, &r.allowed))
	})
}

func (p *liveProgram) run(packet []byte) (uint32, []byte, error) {
	r, err := p.loaded.Run(packet, nil, 1)
	return r.Ret, r.Data, err
}

func (p *liveProgram) fill(i int, ours *maps.Map) error {
	m := p.maps[i]
	switch m.Type() {
	case ebpf.RingBuf, ebpf.Queue: // empty, as ours are
		return nil
	case ebpf.Array, ebpf.PerCPUArray:
	default:
		if err := empty(m); err != nil {
			return err
		}
	}
	key, err := ours.NextKeyBytes(nil)
	for ; err == nil && key != nil; key, err = ours.NextKeyBytes(key) {
		value, err := ours.LookupBytes(key)
		if err != nil {
			return err
		}
		if !ours.Type().PerCPU() {
			err = m.Put(key, value)
		} else {
			err = m.Put(key, slices.Repeat([][]byte{value}, ebpf.MustPossibleCPU()))
		}
		if err != nil {
			return fmt.Errorf("map %d: %w", i, err)
		}
	}
	return err
}

// dropRings has the next program find new ring buffers, if one has been used: what a program
// reserves and does not write is what was there before.
func (r *kernelRuns) dropRings() (err error) {
	if !r.used {
		return nil
	}
	r.used = false
	for key, m := range r.cache.maps {
		if m.Type() == ebpf.RingBuf {
			err = errors.Join(err, m.Close())
			delete(r.cache.maps, key)
		}
	}
	return err
}

func empty(m *ebpf.Map) error {
	for {
		key, err := m.NextKeyBytes(nil)
		if err != nil || key == nil {
			return err
		}
		if err := m.Delete(key); err != nil {
			return err
		}
	}
}

func (p *liveProgram) contents(o *outcome, name string, i int) error {
	m := p.maps[i]
	switch m.Type() {
	case ebpf.RingBuf:
		return p.records(o, name, m)
	case ebpf.Queue:
		value := make([]byte, m.ValueSize())
		for {
			err := m.LookupAndDelete(nil, &value)
			if errors.Is(err, ebpf.ErrKeyNotExist) {
				return nil
			} else if err != nil {
				return err
			}
			o.add(name, value)
		}
	}
	var elems [][]byte // key and value
	key, err := m.NextKeyBytes(nil)
	for ; err == nil && key != nil; key, err = m.NextKeyBytes(key) {
		value, err := p.value(m, key)
		if err != nil {
			return err
		}
		elems = append(elems, append(slices.Clip(key), value...))
	}
	slices.SortFunc(elems, bytes.Compare)
	for _, e := range elems {
		o.add(name, e)
	}
	return err
}

// value returns the value of an element, of CPU 0.
func (p *liveProgram) value(m *ebpf.Map, key []byte) ([]byte, error) {
	if t := m.Type(); t != ebpf.PerCPUArray && t != ebpf.PerCPUHash {
		return m.LookupBytes(key)
	}
	var values [][]byte
	if err := m.Lookup(key, &values); err != nil {
		return nil, err
	}
	return values[0], nil
}

// records takes the records out of a ring buffer.
func (p *liveProgram) records(o *outcome, name string, m *ebpf.Map) error {
	reader, err := ringbuf.NewReader(m)
	if err != nil {
		return err
	}
	defer reader.Close()
	p.used = true
	reader.SetDeadline(time.Now().Add(-time.Second))
	var rec ringbuf.Record
	for {
		err := reader.ReadInto(&rec)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		} else if err != nil {
			return err
		}
		o.add(name, rec.RawSample)
	}
}
