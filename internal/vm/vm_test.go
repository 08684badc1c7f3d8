package vm

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
)

func machine(t *testing.T, o Options) *Machine {
	t.Helper()
	m, err := NewMachine(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// TestWindowIsExact tries every access around regions of every small length.
func TestWindowIsExact(t *testing.T) {
	a, err := mem.New(64)
	require.NoError(t, err)
	defer a.Close()
	base := a.Addr() + 16
	for length := uintptr(0); length <= 20; length++ {
		for _, perm := range []mem.Perm{mem.Read, mem.Write, mem.ReadWrite} {
			var w Window
			r := mem.Region{Addr: base, Len: length, Kind: mem.KindBuffer, Perm: perm}
			w.Set(r)
			if perm == mem.ReadWrite {
				var same Window
				same.set(base, length, mem.KindBuffer)
				require.Equal(t, w, same)
			}
			for log := range 4 {
				size := uintptr(1) << log
				for addr := base - 12; addr < base+32; addr++ {
					inside := addr >= base && addr+size <= base+length
					off := uint64(addr - uintptr(w.Base))
					require.Equal(t, inside && perm&mem.Read != 0, off < uint64(w.RLim[log]), "read %d at %d of %d", size, int(addr-base), length)
					require.Equal(t, inside && perm&mem.Write != 0, off < uint64(w.WLim[log]), "write %d at %d of %d", size, int(addr-base), length)
				}
			}
			w.Clear()
			require.Equal(t, Window{}, w)
		}
	}
}

func TestRecords(t *testing.T) {
	c := machine(t, Options{NumCPU: 1}).CPU(0)
	a, err := mem.New(128)
	require.NoError(t, err)
	defer a.Close()
	c.Begin()
	c.AddRecord(mem.Region{Addr: a.Addr(), Len: 32, Kind: mem.KindRecord, Perm: mem.ReadWrite}, "first")
	c.AddRecord(mem.Region{Addr: a.Addr() + 64, Len: 32, Kind: mem.KindRecord, Perm: mem.ReadWrite}, "second")
	_, err = c.Bytes(uint64(a.Addr()), 32, mem.Write)
	require.NoError(t, err)
	owner, r := c.TakeRecord(uint64(a.Addr()))
	require.Equal(t, "first", owner)
	require.Equal(t, uintptr(32), r.Len)
	_, err = c.Bytes(uint64(a.Addr()), 1, mem.Read)
	require.ErrorIs(t, err, ErrReleased)
	owner, _ = c.TakeRecord(uint64(a.Addr()))
	require.Nil(t, owner, "a record is taken once")
	var leaked []any
	require.Equal(t, 1, c.End(func(owner any, _ mem.Region) { leaked = append(leaked, owner) }))
	require.Equal(t, []any{"second"}, leaked)
	c.Begin()
	_, err = c.Bytes(uint64(a.Addr()+64), 1, mem.Read)
	require.ErrorIs(t, err, ErrAccess, "the next run was given nothing")
}

func TestString(t *testing.T) {
	c := machine(t, Options{NumCPU: 1}).CPU(0)
	a, err := mem.New(16)
	require.NoError(t, err)
	defer a.Close()
	copy(a.Bytes(), "hello\x00world")
	c.AddBuffer(mem.Region{Addr: a.Addr(), Len: 11, Kind: mem.KindBuffer, Perm: mem.Read})
	s, err := c.String(uint64(a.Addr()), 100)
	require.NoError(t, err)
	require.Equal(t, "hello", string(s))
	s, err = c.String(uint64(a.Addr()), 3)
	require.NoError(t, err)
	require.Equal(t, "hel", string(s))
	_, err = c.String(uint64(a.Addr()+6), 100)
	require.EqualError(t, err, "instruction 0: access outside the memory that the program was given: read of 1 bytes at buffer+11, allowed: r in [0, 11)")
	_, err = c.String(uint64(a.Addr()+11), 1)
	require.ErrorIs(t, err, ErrAccess)
}

func TestCtxFields(t *testing.T) {
	layout := &prog.CtxLayout{Name: "md", Size: 16, Fields: []prog.CtxField{
		{Name: "data", Size: 4, Kind: prog.PacketData, Ptr: 3},
		{Name: "mark", Off: 4, Size: 4, Writable: true},
		{Name: "len", Off: 12, Size: 4},
	}}
	c := machine(t, Options{NumCPU: 1}).CPU(0)
	a, err := mem.New(16)
	require.NoError(t, err)
	defer a.Close()
	c.SetCtx(layout, a.Addr(), 16)
	c.Ptrs[3] = 0x1234_5678_9abc
	at := func(off int) uint64 { return c.CtxAddr() + uint64(off) }
	v, err := c.LoadCtx(at(0), 4)
	require.NoError(t, err)
	require.Equal(t, uint64(0x1234_5678_9abc), v)
	require.NoError(t, c.StoreCtx(at(4), 4, 7))
	v, err = c.LoadCtx(at(4), 4)
	require.NoError(t, err)
	require.Equal(t, uint64(7), v)
	for _, bad := range []struct {
		off, size int
		write     bool
		want      string
	}{
		{0, 2, false, "pointer field data of md is read only as a whole"},
		{0, 8, false, "pointer field data of md is read only as a whole"},
		{0, 4, true, "field data of md is read-only"},
		{12, 4, true, "field len of md is read-only"},
		{8, 4, false, "padding of md"},
		{4, 8, false, "padding of md"},
		{14, 4, false, "at ctx+14, allowed: r in [0, 16)"},
	} {
		if bad.write {
			err = c.StoreCtx(at(bad.off), bad.size, 0)
		} else {
			_, err = c.LoadCtx(at(bad.off), bad.size)
		}
		require.ErrorContains(t, err, bad.want, "%+v", bad)
	}
}

// TestLeases lets many goroutines share few CPUs: one CPU is never leased twice.
func TestLeases(t *testing.T) {
	m := machine(t, Options{NumCPU: 3})
	var inUse [3]atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 2000 {
				c := m.Acquire()
				if inUse[c.ID].Add(1) != 1 {
					t.Errorf("CPU %d is leased twice", c.ID)
				}
				inUse[c.ID].Add(-1)
				m.Release(c)
			}
		})
	}
	wg.Wait()
}

func TestAcquireWaits(t *testing.T) {
	m := machine(t, Options{NumCPU: 1})
	c := m.Acquire()
	got := make(chan *CPU)
	go func() { got <- m.Acquire() }()
	select {
	case <-got:
		t.Fatal("the only CPU is leased")
	case <-time.After(20 * time.Millisecond):
	}
	m.Release(c)
	require.Same(t, c, <-got)
	m.Release(c)
	require.Zero(t, testing.AllocsPerRun(100, func() { m.Release(m.Acquire()) }))
}

func TestMachineRefuses(t *testing.T) {
	for _, n := range []int{-1, maxCPUs + 1} {
		_, err := NewMachine(Options{NumCPU: n})
		require.ErrorContains(t, err, "virtual CPUs: must be 1 to 8192")
	}
}

func TestRandomIsRepeatable(t *testing.T) {
	a, b := machine(t, Options{NumCPU: 2, Seed: 42}), machine(t, Options{NumCPU: 2, Seed: 42})
	same := true
	for range 10 {
		x := a.CPU(0).Random()
		require.Equal(t, x, b.CPU(0).Random())
		same = same && x == a.CPU(1).Random()
	}
	require.False(t, same, "each CPU has numbers of its own")
}
