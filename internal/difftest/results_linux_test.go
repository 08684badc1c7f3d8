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
	"golang.org/x/sys/unix"

	"github.com/sandbpf/sandbpf/internal/kernel"
)

// kernelRuns runs programs in the kernel with maps of its own, on CPU 0: the only one that
// machines of the tests have.
type kernelRuns struct {
	cache     mapCache
	rings     map[*ebpf.Map]*ringbuf.Reader // of ring buffers that have been used
	keepRings bool                          // for programs that write their records
}

// newKernelRuns returns one whose maps last as long as the test.
func newKernelRuns(t testing.TB, keepRings bool) *kernelRuns {
	r := &kernelRuns{cache: mapCache{maps: make(map[string]*ebpf.Map)}, rings: make(map[*ebpf.Map]*ringbuf.Reader), keepRings: keepRings}
	t.Cleanup(func() {
		for _, reader := range r.rings {
			reader.Close()
		}
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
		return errors.Join(onCPU0(func() error { return use(&liveProgram{r, l, list}) }), r.dropRings())
	})
}

// onCPU0 calls do on CPU 0.
func onCPU0(do func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var first, allowed unix.CPUSet
	first.Set(0)
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return err
	}
	if err := unix.SchedSetaffinity(0, &first); err != nil {
		return err
	}
	return errors.Join(do(), unix.SchedSetaffinity(0, &allowed))
}

func (p *liveProgram) run(packet []byte) (uint32, []byte, error) {
	r, err := p.loaded.Run(packet, nil, 1)
	return r.Ret, r.Data, err
}

func (p *liveProgram) fill(i int, elems []element) error {
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
	perCPU := m.Type() == ebpf.PerCPUArray || m.Type() == ebpf.PerCPUHash
	for _, elem := range elems {
		var err error
		if perCPU {
			err = m.Put(elem.key, slices.Repeat([][]byte{elem.value}, ebpf.MustPossibleCPU()))
		} else {
			err = m.Put(elem.key, elem.value)
		}
		if err != nil {
			return fmt.Errorf("map %d: %w", i, err)
		}
	}
	return nil
}

// dropRings has the next program find new ring buffers: what a program reserves and does not
// write is what was there before.
func (r *kernelRuns) dropRings() (err error) {
	if r.keepRings {
		return nil
	}
	for key, m := range r.cache.maps {
		if reader := r.rings[m]; reader != nil {
			err = errors.Join(err, reader.Close(), m.Close())
			delete(r.rings, m)
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
	reader := p.rings[m]
	if reader == nil {
		var err error
		if reader, err = ringbuf.NewReader(m); err != nil {
			return err
		}
		reader.SetDeadline(time.Now().Add(-time.Second))
		p.rings[m] = reader
	}
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
