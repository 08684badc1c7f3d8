package maps

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// backwards marshals itself, as encoding.BinaryMarshaler.
type backwards [4]byte

func (b backwards) MarshalBinary() ([]byte, error) { return []byte{b[3], b[2], b[1], b[0]}, nil }
func (b *backwards) UnmarshalBinary(p []byte) error {
	if len(p) != 4 {
		return errors.New("want 4 bytes")
	}
	*b = backwards{p[3], p[2], p[1], p[0]}
	return nil
}

type pair struct {
	A uint16
	B [3]uint16
}

func TestNilMap(t *testing.T) {
	_, typed := NewTyped[uint32, uint32](nil)
	_, ring := NewRingConsumer(nil)
	_, perf := NewPerfConsumer(nil, PerfBuffers{Bytes: 1})
	for _, err := range []error{typed, ring, perf} {
		require.ErrorIs(t, err, EINVAL)
		require.ErrorContains(t, err, "nil Map")
	}
}

func TestMarshal(t *testing.T) {
	m := newTestMap(t, Spec{Name: "m", Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 10}, 1)
	require.NoError(t, m.Put("abcd", pair{1, [3]uint16{2, 3, 4}}))
	require.NoError(t, m.Put([4]byte{1, 2, 3, 4}, &pair{5, [3]uint16{6, 7, 8}}))
	require.NoError(t, m.Put(backwards{1, 2, 3, 4}, word(9)))
	require.NoError(t, m.Put(netip.MustParseAddr("10.0.0.1"), int64(-1)))

	var p pair
	require.NoError(t, m.Lookup([]byte("abcd"), &p))
	require.Equal(t, pair{1, [3]uint16{2, 3, 4}}, p)
	require.NoError(t, m.Lookup([]byte{1, 2, 3, 4}, &p))
	require.Equal(t, pair{5, [3]uint16{6, 7, 8}}, p)
	var b []byte
	require.NoError(t, m.Lookup([]byte{4, 3, 2, 1}, &b))
	require.Equal(t, word(9), b)
	var s string
	require.NoError(t, m.Lookup([]byte{4, 3, 2, 1}, &s))
	require.Equal(t, string(word(9)), s)
	var four [4]uint16
	require.NoError(t, m.Lookup([]byte{10, 0, 0, 1}, &four))
	require.Equal(t, [4]uint16{0xffff, 0xffff, 0xffff, 0xffff}, four)
	key, k := backwards{1, 2, 3, 4}, uint32(0)
	require.NoError(t, m.NextKey(nil, &key))
	require.NoError(t, m.NextKey(nil, &k))
	raw4 := key4(k)
	require.Equal(t, backwards{raw4[3], raw4[2], raw4[1], raw4[0]}, key)

	raw := uint64(77<<32 | 77)
	require.NoError(t, m.Put("abcd", unsafe.Pointer(&raw)))
	raw = 0
	require.NoError(t, m.Lookup("abcd", unsafe.Pointer(&raw)))
	require.Equal(t, uint64(77<<32|77), raw)

	for _, bad := range []struct {
		key, value any
		want       string
	}{
		{uint64(1), uint64(1), "marshal key: uint64 marshals to 8 bytes, want 4"},
		{uint32(1), uint32(1), "marshal value: uint32 marshals to 4 bytes, want 8"},
		{nil, uint64(1), "marshal key: can't marshal a nil value"},
		{uint32(1), nil, "can't marshal a nil value"},
		{uint32(1), (*pair)(nil), "can't marshal a nil *maps.pair"},
		{(*backwards)(nil), uint64(1), "can't marshal a nil *maps.backwards"},
		{uint32(1), struct {
			A uint8
			B uint32
		}{}, "marshals to 5 bytes, want 8"},
		{uint32(1), map[string]int{}, "marshal value"},
		{uint32(1), (*Map)(nil), "a Hash has no maps in it"},
		{uint32(1), m, "a Hash has no maps in it"},
		{netip.MustParseAddr("::1"), uint64(1), "netip.Addr marshals to 16 bytes, want 4"},
		{unsafe.Pointer(nil), uint64(1), "nil pointer"},
	} {
		require.ErrorContains(t, m.Put(bad.key, bad.value), bad.want)
	}
	for _, bad := range []any{nil, (*uint64)(nil), new(uint32), uint64(0), new(map[string]int), new(any), (*[]byte)(nil), new(netip.Addr), new(netip.Prefix), new(*Map), m, unsafe.Pointer(nil)} {
		require.Error(t, m.Lookup("abcd", bad), "%T", bad)
	}
}

func TestErrors(t *testing.T) {
	m := newTestMap(t, Spec{Name: "deny", Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 1}, 1)
	var v uint64
	err := m.Lookup(uint32(1), &v)
	require.ErrorIs(t, err, ErrKeyNotExist)
	require.ErrorIs(t, err, ENOENT)
	require.NotErrorIs(t, err, ErrKeyExist)
	require.EqualError(t, err, fmt.Sprintf("map deny(Hash)#%d: lookup: key does not exist", m.ID()))
	var e *Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, "lookup", e.Op)
	require.NoError(t, m.Put(uint32(1), v))
	require.ErrorIs(t, m.Update(uint32(1), v, UpdateNoExist), ErrKeyExist)
	require.ErrorIs(t, m.Update(uint32(2), v, UpdateExist), ErrKeyNotExist)
	err = m.Put(uint32(2), v)
	require.ErrorIs(t, err, E2BIG)
	require.ErrorContains(t, err, "the map is full: it has room for 1")
	require.ErrorIs(t, m.Update(uint32(1), v, UpdateLock), EINVAL)
	b, err := m.LookupBytes(uint32(5))
	require.NoError(t, err)
	require.Nil(t, b)
	b, err = m.LookupBytes(uint32(1))
	require.NoError(t, err)
	require.Len(t, b, 8)
	require.NoError(t, m.LookupAndDelete(uint32(1), &v))
	require.ErrorIs(t, m.LookupAndDelete(uint32(1), &v), ErrKeyNotExist)
	require.ErrorIs(t, m.Delete(uint32(1)), ErrKeyNotExist)
	require.ErrorIs(t, m.NextKey(nil, &v), ErrKeyNotExist)

	a := newTestMap(t, Spec{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}, 1)
	require.ErrorIs(t, a.LookupAndDelete(uint32(0), &v), ErrNotSupported)
	require.ErrorIs(t, a.LookupAndDelete(uint32(0), &v), errors.ErrUnsupported)
	require.ErrorContains(t, a.Put(uint32(1), v), "the index must be below 1")
	require.NoError(t, a.Freeze())
	require.ErrorContains(t, a.Put(uint32(0), v), "the map is frozen")
	_, err = NewRingConsumer(a)
	require.ErrorContains(t, err, "no RingBuf")
	_, err = NewPerfConsumer(a, PerfBuffers{Bytes: 4096})
	require.ErrorContains(t, err, "no PerfEventArray")

	require.Equal(t, int64(-17), EEXIST.Ret())
	require.NoError(t, Errno(0).Err())
	require.Equal(t, "errno 999", Errno(999).Error())
	require.ErrorIs(t, EPERM, os.ErrPermission)
}

func TestHandles(t *testing.T) {
	m, err := New(&Spec{Name: "h", Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	require.NoError(t, err)
	addr, id := m.Addr(), m.ID()
	p, ok := FromAddr(addr)
	require.True(t, ok)
	require.Same(t, m.core, p.core)
	require.ErrorIs(t, p.Put(uint32(0), uint64(1)), ErrClosed)
	require.NoError(t, p.Close())
	for _, bad := range []uint64{0, 1, addr + 1, addr + 64, addr - 1, addr + chunkSize, ^uint64(0), addr ^ 1<<63} {
		_, ok := FromAddr(bad)
		require.False(t, ok, "%#x", bad)
	}
	c, err := m.Clone()
	require.NoError(t, err)
	fromID, err := FromID(id)
	require.NoError(t, err)
	require.NoError(t, m.Close())
	require.NoError(t, m.Close())
	var v uint64
	require.ErrorIs(t, m.Lookup(uint32(0), &v), ErrClosed)
	require.ErrorIs(t, m.Put(uint32(0), v), ErrClosed)
	require.ErrorIs(t, m.Delete(uint32(0)), ErrClosed)
	require.ErrorIs(t, m.NextKey(nil, &v), ErrClosed)
	require.ErrorIs(t, m.Freeze(), ErrClosed)
	_, err = m.Clone()
	require.ErrorIs(t, err, ErrClosed)
	_, err = m.Memory()
	require.ErrorIs(t, err, ErrClosed)
	it := m.Iterate()
	require.False(t, it.Next(&v, &v))
	require.ErrorIs(t, it.Err(), ErrClosed)
	require.NoError(t, c.Put(uint32(0), uint64(5)), "another handle keeps the map")
	require.NoError(t, c.Close())
	require.NoError(t, fromID.Lookup(uint32(0), &v))
	require.EqualValues(t, 5, v)
	require.NoError(t, fromID.Close())
	_, ok = FromAddr(addr)
	require.False(t, ok)
	_, err = FromID(id)
	require.ErrorIs(t, err, ErrKeyNotExist)
	_, err = p.Clone()
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, (*Map)(nil).Close())
}

// TestLookupFlags takes elements out with flags, of which there is one, and that one needs a lock.
func TestLookupFlags(t *testing.T) {
	m, err := New(&Spec{Name: "m", Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 4})
	require.NoError(t, err)
	defer m.Close()
	require.NoError(t, m.Put(uint32(1), uint64(7)))
	var v uint64
	for _, flags := range []LookupFlags{LookupLock, 1, 8} {
		require.ErrorIs(t, m.LookupWithFlags(uint32(1), &v, flags), EINVAL)
		require.ErrorIs(t, m.LookupAndDeleteWithFlags(uint32(1), &v, flags), EINVAL)
	}
	require.NoError(t, m.LookupWithFlags(uint32(1), &v, 0))
	require.NoError(t, m.LookupAndDeleteWithFlags(uint32(1), &v, 0))
	require.Equal(t, uint64(7), v)
	require.ErrorIs(t, m.LookupWithFlags(uint32(1), &v, 0), ErrKeyNotExist)
}

func TestIterate(t *testing.T) {
	for _, s := range []Spec{
		{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 50},
		{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 50},
		{Type: LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: 50},
	} {
		m := newTestMap(t, s, 1)
		for i := range uint32(50) {
			require.NoError(t, m.Put(i, uint64(i*i)))
		}
		seen := map[uint32]uint64{}
		var k uint32
		var v uint64
		it := m.Iterate()
		for it.Next(&k, &v) {
			seen[k] = v
		}
		require.NoError(t, it.Err())
		require.False(t, it.Next(&k, &v))
		require.Len(t, seen, 50)
		for k, v := range seen {
			require.EqualValues(t, k*k, v)
		}
		if s.Type == Array {
			continue
		}
		// Deleting what was returned is safe: NextKey starts over.
		it = m.Iterate()
		n := 0
		for ; it.Next(&k, &v); n++ {
			require.NoError(t, m.Delete(k))
		}
		require.NoError(t, it.Err())
		require.Equal(t, 50, n)
	}
	// Never getting anywhere is given up.
	m := newTestMap(t, Spec{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 5}, 1)
	it := m.Iterate()
	var k uint32
	var v uint64
	n := 0
	for i := uint32(0); ; i++ {
		require.NoError(t, m.Put(i, uint64(1)))
		if !it.Next(&k, &v) {
			break
		}
		require.NoError(t, m.Delete(k))
		n++
	}
	require.ErrorIs(t, it.Err(), ErrIterationAborted)
	require.Equal(t, 6, n)
	it = m.Iterate()
	require.False(t, it.Next(&v, &v), "key of the wrong size")
	require.Error(t, it.Err())
}

func TestBatch(t *testing.T) {
	for _, s := range []Spec{
		{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 10},
		{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 10, Flags: FlagZeroSeed},
		{Type: LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: 10, Flags: FlagZeroSeed},
		{Type: LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 10, Flags: FlagNoPrealloc},
	} {
		m := newTestMap(t, s, 1)
		want := map[[8]byte]uint64{}
		keys, values := make([][]byte, 10), make([]uint64, 10)
		for i := range keys {
			keys[i], values[i] = key4(uint32(i)), uint64(i)
			if s.Type == LPMTrie {
				keys[i] = append(key4(32), 10, 0, 0, byte(i))
			}
			var k [8]byte
			copy(k[:], keys[i])
			want[k] = values[i]
		}
		n, err := m.BatchUpdate(keys, values, nil)
		require.NoError(t, err)
		require.Equal(t, 10, n)

		got := map[[8]byte]uint64{}
		var cursor MapBatchCursor
		for {
			ks, vs := make([][]byte, 4), make([]uint64, 4)
			n, err := m.BatchLookup(&cursor, ks, vs, nil)
			for i := range n {
				var k [8]byte
				copy(k[:], ks[i])
				got[k] = vs[i]
			}
			if err != nil {
				require.ErrorIs(t, err, ErrKeyNotExist)
				break
			}
		}
		require.Equal(t, want, got)

		_, err = newTestMap(t, s, 1).BatchLookup(&cursor, keys, values, nil)
		require.ErrorContains(t, err, "another map")
		_, err = m.BatchLookup(nil, keys, values, nil)
		require.Error(t, err)
		_, err = m.BatchUpdate(keys, values[:9], nil)
		require.ErrorContains(t, err, "10 keys and 9 values")
		_, err = m.BatchUpdate(keys, values, &BatchOptions{ElemFlags: 1})
		require.ErrorIs(t, err, EINVAL)

		n, err = m.BatchDelete(keys[:3], nil)
		if s.Type == Array {
			require.ErrorIs(t, err, ErrNotSupported)
			_, err = m.BatchLookupAndDelete(new(MapBatchCursor), keys, values, nil)
			require.ErrorIs(t, err, ErrNotSupported)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, 3, n)
		n, err = m.BatchDelete([][]byte{keys[5], keys[1]}, nil)
		require.ErrorIs(t, err, ErrKeyNotExist)
		require.Equal(t, 1, n)
		ks, vs := make([][]byte, 10), make([]uint64, 10)
		n, err = m.BatchLookupAndDelete(new(MapBatchCursor), ks, vs, nil)
		if s.Type == LPMTrie {
			require.ErrorIs(t, err, ErrNotSupported)
			continue
		}
		require.ErrorIs(t, err, ErrKeyNotExist)
		require.Equal(t, 6, n)
		require.ErrorIs(t, m.NextKey(nil, &ks[0]), ErrKeyNotExist)
	}
	// A bucket that has more than there is room for.
	m := newTestMap(t, Spec{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 100, Flags: FlagZeroSeed}, 1)
	for i := range uint32(100) {
		require.NoError(t, m.Put(i*i*i, uint64(i)))
	}
	_, err := m.BatchLookup(new(MapBatchCursor), make([]uint32, 0), make([]uint64, 0), nil)
	require.NoError(t, err)
	var cursor MapBatchCursor
	for {
		if _, err = m.BatchLookup(&cursor, make([]uint32, 1), make([]uint64, 1), nil); err != nil {
			break
		}
	}
	require.ErrorIs(t, err, ENOSPC)
}

func TestBatchPerCPU(t *testing.T) {
	m := newTestMap(t, Spec{Type: PerCPUHash, KeySize: 4, ValueSize: 4, MaxEntries: 4}, 3)
	n, err := m.BatchUpdate([]uint32{1, 2}, []uint32{10, 11, 12, 20, 21, 22}, nil)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	var v []uint32
	require.NoError(t, m.Lookup(uint32(2), &v))
	require.Equal(t, []uint32{20, 21, 22}, v)
	keys, values := make([]uint32, 4), make([]uint32, 12)
	n, err = m.BatchLookup(new(MapBatchCursor), keys, values, nil)
	require.ErrorIs(t, err, ErrKeyNotExist)
	require.Equal(t, 2, n)
	for i, k := range keys[:2] {
		require.Equal(t, []uint32{k * 10, k*10 + 1, k*10 + 2}, values[i*3:i*3+3])
	}
	require.NoError(t, m.Put(uint32(1), []uint32{5}), "missing CPUs are 0")
	require.NoError(t, m.Lookup(uint32(1), &v))
	require.Equal(t, []uint32{5, 0, 0}, v)
	require.ErrorContains(t, m.Put(uint32(1), make([]uint32, 4)), "4 elements, want at most 3")
	require.ErrorContains(t, m.Put(uint32(1), uint32(1)), "slice")
	require.ErrorContains(t, m.Lookup(uint32(1), new(uint32)), "slice of 3")
	ptrs := make([]*uint32, 3)
	require.NoError(t, m.Lookup(uint32(2), ptrs))
	require.EqualValues(t, 22, *ptrs[2])
}

func TestTyped(t *testing.T) {
	m := newTestMap(t, Spec{Type: LPMTrie, KeySize: 8, ValueSize: 4, MaxEntries: 10, Flags: FlagNoPrealloc}, 1)
	deny, err := NewTyped[netip.Prefix, uint32](m)
	require.NoError(t, err)
	require.NoError(t, deny.Put(netip.MustParsePrefix("10.0.0.0/8"), 8))
	require.NoError(t, deny.Put(netip.MustParsePrefix("10.1.0.0/16"), 16))
	v, err := deny.Get(netip.MustParsePrefix("10.1.2.3/32"))
	require.NoError(t, err)
	require.EqualValues(t, 16, v)
	var order []string
	for k, v := range deny.All() {
		order = append(order, fmt.Sprint(k, v))
	}
	require.Equal(t, []string{"10.1.0.0/16 16", "10.0.0.0/8 8"}, order)
	require.NoError(t, deny.Delete(netip.MustParsePrefix("10.1.0.0/16")))
	v, err = deny.Get(netip.MustParsePrefix("10.1.2.3/32"))
	require.NoError(t, err)
	require.EqualValues(t, 8, v)
	require.ErrorIs(t, deny.Update(netip.MustParsePrefix("10.0.0.0/8"), 1, UpdateNoExist), ErrKeyExist)
	require.Error(t, deny.Put(netip.MustParsePrefix("::/8"), 8))
	require.Error(t, deny.Put(netip.Prefix{}, 8))
	require.Same(t, m, deny.Map())
	for range deny.All() {
		break
	}

	_, err = NewTyped[uint32, uint32](m)
	require.ErrorContains(t, err, "key: uint32 is 4 bytes, want 8")
	_, err = NewTyped[uint64, uint64](m)
	require.ErrorContains(t, err, "value: uint64 is 8 bytes, want 4")
	p := newTestMap(t, Spec{Type: PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1}, 2)
	_, err = NewTyped[uint32, uint64](p)
	require.ErrorContains(t, err, "slice")
	perCPU, err := NewTyped[uint32, []uint64](p)
	require.NoError(t, err)
	require.NoError(t, perCPU.Put(0, []uint64{1, 2}))
	for k, v := range perCPU.All() {
		require.Zero(t, k)
		require.Equal(t, []uint64{1, 2}, v)
	}
}

// TestFind checks the bounds of every value against every address around.
func TestFind(t *testing.T) {
	for _, s := range []Spec{
		{Name: "a", Type: Array, KeySize: 4, ValueSize: 5, MaxEntries: 3},
		{Name: "pa", Type: PerCPUArray, KeySize: 4, ValueSize: 12, MaxEntries: 3, Flags: FlagRdonlyProg},
		{Name: "h", Type: Hash, KeySize: 4, ValueSize: 5, MaxEntries: 3, Flags: FlagWronlyProg},
		{Name: "ph", Type: PerCPUHash, KeySize: 4, ValueSize: 20, MaxEntries: 3},
		{Name: "lpm", Type: LPMTrie, KeySize: 8, ValueSize: 5, MaxEntries: 3, Flags: FlagNoPrealloc},
	} {
		const cpus = 2
		m := newTestMap(t, s, cpus)
		want := map[uintptr]bool{}
		for i := range uint32(3) {
			k := key4(i)
			if s.Type == LPMTrie {
				k = append(key4(8*i+8), 0, 0, 0, 0) // one in the other: no intermediate nodes
			}
			require.Zero(t, m.impl.set(k, make([]byte, m.userSize()), 0))
			for cpu := range cpus {
				want[m.LookupProg(cpu, k)] = true
			}
		}
		require.False(t, want[0])
		if s.Type.PerCPU() {
			require.Len(t, want, 3*cpus)
		} else {
			require.Len(t, want, 3)
		}
		perm := mem.ReadWrite
		if s.Flags&FlagRdonlyProg != 0 {
			perm = mem.Read
		} else if s.Flags&FlagWronlyProg != 0 {
			perm = mem.Write
		}
		lo, hi := ^uintptr(0), uintptr(0)
		for a := range want {
			lo, hi = min(lo, a), max(hi, a)
		}
		for addr := lo - 8192; addr < hi+8192; addr++ {
			start := uintptr(0)
			for a := range want {
				if addr-a < uintptr(s.ValueSize) {
					start = a
				}
			}
			r, ok := m.Find(addr)
			require.Equal(t, start != 0, ok, "%s %#x", s.Name, addr-lo)
			if ok {
				require.Equal(t, mem.Region{Addr: start, Len: uintptr(s.ValueSize), Kind: mem.KindMapValue, Perm: perm, Name: s.Name}, r)
			}
		}
		for _, addr := range []uintptr{0, 1, ^uintptr(0), lo ^ 1<<30, uintptr(m.Addr())} {
			_, ok := m.Find(addr)
			require.False(t, ok)
		}
		require.Zero(t, testing.AllocsPerRun(10, func() { m.Find(lo); m.Find(0) }))
		if s.Flags&FlagRdonlyProg != 0 {
			require.Equal(t, EPERM, m.UpdateProg(0, key4(0), make([]byte, s.ValueSize), 0))
			require.Equal(t, EPERM, m.DeleteProg(key4(0)))
		}
	}
}

func TestMemory(t *testing.T) {
	m := newTestMap(t, Spec{Type: Array, KeySize: 4, ValueSize: 12, MaxEntries: 3, Flags: FlagMmapable}, 1)
	b, err := m.Memory()
	require.NoError(t, err)
	require.Len(t, b, 48)
	b[16] = 7
	var v [12]byte
	require.NoError(t, m.Lookup(uint32(1), &v))
	require.Equal(t, [12]byte{7}, v)
	require.NoError(t, m.Freeze())
	_, err = m.Memory()
	require.ErrorIs(t, err, EPERM)
	_, err = newTestMap(t, Spec{Type: Array, KeySize: 4, ValueSize: 12, MaxEntries: 3}, 1).Memory()
	require.ErrorIs(t, err, ErrNotSupported)
}

func TestProgramSideNoAlloc(t *testing.T) {
	for _, bb := range benchSpecs {
		m := newTestMap(t, bb.spec, 2)
		k, v := make([]byte, bb.spec.KeySize), make([]byte, 8)
		require.Zero(t, m.UpdateProg(1, k, v, 0))
		require.Zero(t, testing.AllocsPerRun(100, func() {
			m.LookupProg(1, k)
			m.UpdateProg(1, k, v, 0)
			m.DeleteProg(k)
			m.UpdateProg(0, k, v, uint64(UpdateExist))
		}), bb.name)
	}
}

func TestProgramSideSizes(t *testing.T) {
	m := newTestMap(t, Spec{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 2}, 2)
	k, v := key4(1), word(1)
	require.Zero(t, m.UpdateProg(0, k, v, 0))
	require.Zero(t, m.LookupProg(0, k[:3]))
	require.Zero(t, m.LookupProg(2, k))
	require.Equal(t, EINVAL, m.UpdateProg(0, k[:3], v, 0))
	require.Equal(t, EINVAL, m.UpdateProg(0, k, v[:7], 0))
	require.Equal(t, EINVAL, m.UpdateProg(-1, k, v, 0))
	require.Equal(t, EINVAL, m.DeleteProg(nil))
	require.Equal(t, EOPNOTSUPP, m.PushProg(v, 0))
	require.Equal(t, EOPNOTSUPP, m.PopProg(v))
	_, e := m.ReserveProg(8)
	require.Equal(t, EINVAL, e)
	require.Equal(t, EINVAL, m.SubmitProg(0, 0))
	require.Equal(t, EINVAL, m.RingOutputProg(v, 0))
	require.Equal(t, EINVAL, m.PerfOutputProg(0, 0, v))
	require.Nil(t, m.ProgramAt(0))
	require.Zero(t, m.QueryProg(RingQuerySize))
	_, e = m.ForEachProg(0, k[:1], nil)
	require.Equal(t, EINVAL, e)
}

// TestReplaceKeepsOld: an update puts a new element in place, as in Linux. A
// program that holds the old value's address does not see the new one.
func TestReplaceKeepsOld(t *testing.T) {
	for _, s := range []Spec{
		{Type: Hash, KeySize: 8, ValueSize: 8, MaxEntries: 4},
		{Type: LRUHash, KeySize: 8, ValueSize: 8, MaxEntries: 4},
		{Type: LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 4, Flags: FlagNoPrealloc},
	} {
		m := newTestMap(t, s, 1)
		k := make([]byte, 8)
		require.Zero(t, m.UpdateProg(0, k, word(1), 0))
		old := m.LookupProg(0, k)
		require.Zero(t, m.UpdateProg(0, k, word(2), 0))
		now := m.LookupProg(0, k)
		require.NotEqual(t, old, now)
		require.EqualValues(t, 1, *at(old))
		require.EqualValues(t, 2, *at(now))
	}
}

func TestForEachProg(t *testing.T) {
	for _, s := range []Spec{
		{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 30},
		{Type: PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 30},
		{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 30},
		{Type: PerCPUHash, KeySize: 4, ValueSize: 8, MaxEntries: 30},
		{Type: LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: 30},
	} {
		m := newTestMap(t, s, 2)
		for i := range uint32(30) {
			require.Zero(t, m.UpdateProg(1, key4(i), word(uint64(i)), 0))
		}
		key := make([]byte, 4)
		seen := map[uint32]bool{}
		n, e := m.ForEachProg(1, key, func(value uintptr) bool {
			k := binary.NativeEndian.Uint32(key)
			require.EqualValues(t, k, *at(value))
			seen[k] = true
			return true
		})
		require.Zero(t, e)
		require.Equal(t, 30, n)
		require.Len(t, seen, 30)
		n, _ = m.ForEachProg(1, key, func(uintptr) bool { return false })
		require.Equal(t, 1, n)
		if s.Type == Array || s.Type == PerCPUArray {
			continue
		}
		n, _ = m.ForEachProg(0, key, func(uintptr) bool { return m.DeleteProg(key) == 0 })
		require.Equal(t, 30, n, "the callback may delete what it is at")
		n, _ = m.ForEachProg(0, key, func(uintptr) bool { return true })
		require.Zero(t, n)
	}
	m := newTestMap(t, Spec{Type: LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 3, Flags: FlagNoPrealloc}, 1)
	_, e := m.ForEachProg(0, make([]byte, 8), nil)
	require.Equal(t, EINVAL, e)
}
