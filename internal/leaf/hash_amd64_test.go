package leaf_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/leaf"
	"github.com/sandbpf/sandbpf/internal/leaf/leaftest"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/maps"
)

var hashTypes = []maps.Type{maps.Hash, maps.LRUHash, maps.PerCPUHash, maps.LRUCPUHash}

// checkHash makes sure that a hash that nobody uses is whole: every element that was ever
// used is in the chain of its key, on the free stack or somebody's spare, once.
func checkHash(t *testing.T, m *maps.Map) {
	t.Helper()
	h := m.Header()
	ctl := (*maps.HashControl)(mem.Pointer(uintptr(h.Control)))
	elem := func(ref uint32) *maps.HashElem {
		return (*maps.HashElem)(mem.Pointer(uintptr(h.Base) + uintptr(ref)*8))
	}
	seen := make(map[uint32]bool)
	see := func(ref, odd uint32) {
		require.False(t, seen[ref], "element %d is in two places", ref)
		require.Equal(t, odd, elem(ref).Seq&1, "Seq of element %d", ref)
		require.Zero(t, (ref-ctl.First)*8%h.Stride)
		seen[ref] = true
	}
	for i := uintptr(0); i <= uintptr(h.Mask); i++ {
		b := (*maps.HashBucket)(mem.Pointer(uintptr(h.Buckets) + i*unsafe.Sizeof(maps.HashBucket{})))
		require.Zero(t, b.Lock&1, "bucket %d is locked", i)
		for ref := b.Head; ref != 0; ref = elem(ref).Next {
			see(ref, 0)
			require.EqualValues(t, i, elem(ref).Hash&h.Mask)
			key := at(uintptr(unsafe.Pointer(elem(ref)))+unsafe.Sizeof(maps.HashElem{}), h.KeySize)
			require.NotZero(t, m.LookupProg(0, key), "key %x", key)
		}
	}
	require.EqualValues(t, len(seen), ctl.Count)
	for ref := uint32(ctl.Free); ref != 0; ref = elem(ref).Next {
		see(ref, 1)
	}
	for i := range uintptr(h.NumCPU) {
		s := (*maps.HashSpare)(mem.Pointer(uintptr(h.Spares) + i*unsafe.Sizeof(maps.HashSpare{})))
		if s.Elem != 0 {
			see(s.Elem, 1)
		}
	}
	require.EqualValues(t, len(seen), ctl.Fresh)
}

// TestHashSame runs the same operations through leaves and through Go.
func TestHashSame(t *testing.T) {
	ops := 2000
	if testing.Short() {
		ops = 500
	}
	values := []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 63, 4097}
	i := 0
	for _, typ := range hashTypes {
		for _, size := range []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 15, 16, 17, 20, 23, 24, 25, 64, 511} {
			spec := maps.Spec{Type: typ, KeySize: size, ValueSize: values[i%len(values)], MaxEntries: 24, Flags: maps.FlagZeroSeed}
			i++
			t.Run(fmt.Sprintf("%v_%d_%d", typ, size, spec.ValueSize), func(t *testing.T) {
				sameHash(t, spec, ops)
			})
		}
	}
}

func sameHash(t *testing.T, spec maps.Spec, ops int) {
	const cpus = 3
	ours, theirs := newMap(t, spec, cpus), newMap(t, spec, cpus)
	keys := uint32(40)
	if spec.Type == maps.LRUHash || spec.Type == maps.LRUCPUHash {
		keys = 24 // which element is evicted is not specified
	}
	n := newNative(t, ours, 0, leaf.Lookup, leaf.Update, leaf.Delete)
	r := rand.New(rand.NewPCG(uint64(spec.KeySize), uint64(spec.Type)))
	value := make([]byte, spec.ValueSize)
	for op := range ops {
		n.cpu = r.IntN(cpus)
		key := keyOf(spec.KeySize, r.Uint32N(keys))
		switch k := r.IntN(10); {
		case k < 4:
			got, want := n.lookup(key), theirs.LookupProg(n.cpu, key)
			require.Equal(t, want != 0, got != 0, "lookup of %x", key)
			if want == 0 {
				continue
			}
			require.Equal(t, at(want, spec.ValueSize), at(got, spec.ValueSize))
			start, ok := ours.Find(got)
			require.True(t, ok)
			require.Equal(t, got, start.Addr)
		case k < 8:
			for i := range value {
				value[i] = byte(r.Uint32())
			}
			flags := r.Uint64N(4)
			require.Equal(t, theirs.UpdateProg(n.cpu, key, value, flags), n.update(key, value, flags), "update of %x, %d", key, flags)
		default:
			require.Equal(t, theirs.DeleteProg(key), n.remove(key), "delete of %x", key)
		}
		if op%256 == 0 {
			require.Equal(t, content(t, theirs), content(t, ours))
		}
	}
	require.Equal(t, content(t, theirs), content(t, ours))
	checkHash(t, ours)
	if !spec.Type.PerCPU() {
		require.Zero(t, n.refused)
	}
}

// TestHashEmpty: an empty map, and one that is empty again.
func TestHashEmpty(t *testing.T) {
	for _, typ := range hashTypes {
		for _, size := range []uint32{4, 8, 16, 20} {
			m := newMap(t, maps.Spec{Type: typ, KeySize: size, ValueSize: 8, MaxEntries: 1}, 2)
			n := newNative(t, m, 1, leaf.Lookup, leaf.Update, leaf.Delete)
			key, value := keyOf(size, 0), make([]byte, 8)
			require.Zero(t, n.lookup(key))
			require.Equal(t, maps.ENOENT, n.remove(key))
			require.Equal(t, maps.ENOENT, n.update(key, value, uint64(maps.UpdateExist)))
			for range 100 {
				require.Zero(t, n.update(key, value, uint64(maps.UpdateNoExist)))
				require.Equal(t, maps.EEXIST, n.update(key, value, uint64(maps.UpdateNoExist)))
				require.NotZero(t, n.lookup(key))
				require.Zero(t, n.remove(key))
				require.Zero(t, n.lookup(key))
			}
			require.Empty(t, content(t, m))
			checkHash(t, m)
		}
	}
}

// TestHashFull: a full hash refuses, a full LRU hash asks Go to evict, and both still
// take updates of what is there.
func TestHashFull(t *testing.T) {
	for _, typ := range hashTypes {
		m := newMap(t, maps.Spec{Type: typ, KeySize: 8, ValueSize: 8, MaxEntries: 10}, 1)
		n := newNative(t, m, 0, leaf.Lookup, leaf.Update, leaf.Delete)
		for i := range uint32(10) {
			require.Zero(t, n.update(keyOf(8, i), make([]byte, 8), 0))
		}
		value := []byte{1, 2, 3, 4, 5, 6, 7, 8}
		n.refused = 0
		require.Zero(t, n.update(keyOf(8, 3), value, 0))
		require.Zero(t, n.refused)
		require.Equal(t, value, at(n.lookup(keyOf(8, 3)), 8))
		want := maps.E2BIG
		if typ == maps.LRUHash || typ == maps.LRUCPUHash {
			want = 0
		}
		require.Equal(t, want, n.update(keyOf(8, 10), value, 0))
		require.Equal(t, want == 0, n.lookup(keyOf(8, 10)) != 0)
		require.Len(t, content(t, m), 10)
		checkHash(t, m)
	}
}

// TestLRUMark: a lookup or an update through a leaf keeps an element from being evicted, as
// one through Go does.
func TestLRUMark(t *testing.T) {
	for _, typ := range []maps.Type{maps.LRUHash, maps.LRUCPUHash} {
		for _, size := range []uint32{4, 8, 16, 20} {
			m := newMap(t, maps.Spec{Type: typ, KeySize: size, ValueSize: 8, MaxEntries: 100}, 2)
			n := newNative(t, m, 0, leaf.Lookup, leaf.Update)
			for i := range uint32(500) {
				require.Zero(t, n.update(keyOf(size, i), make([]byte, 8), 0))
				for hot := range min(i, 20) {
					if key := keyOf(size, hot); hot%2 == 0 {
						require.NotZero(t, n.lookup(key), "key %d, after %d", hot, i)
					} else {
						require.Zero(t, n.update(key, make([]byte, 8), uint64(maps.UpdateExist)), "key %d, after %d", hot, i)
					}
				}
			}
			checkHash(t, m)
		}
	}
}

// TestHashCPU: a CPU that the map does not have gets what Go says.
func TestHashCPU(t *testing.T) {
	for _, typ := range hashTypes {
		for _, size := range []uint32{4, 8, 16, 20} {
			m := newMap(t, maps.Spec{Type: typ, KeySize: size, ValueSize: 8, MaxEntries: 4}, 2)
			n := newNative(t, m, 0, leaf.Lookup, leaf.Update, leaf.Delete)
			key := keyOf(size, 1)
			require.Zero(t, n.update(key, make([]byte, 8), 0))
			for _, cpu := range []int{2, 3, 1 << 20, -1} {
				n.cpu = cpu
				require.Equal(t, maps.EINVAL, n.update(key, make([]byte, 8), 0))
				if typ.PerCPU() {
					require.Zero(t, n.lookup(key))
				}
			}
			require.Zero(t, n.remove(key))
			checkHash(t, m)
		}
	}
}

// TestHashLocked: while somebody holds a bucket's lock, lookups go on and changes are
// left to Go.
func TestHashLocked(t *testing.T) {
	for _, typ := range hashTypes {
		m := newMap(t, maps.Spec{Type: typ, KeySize: 8, ValueSize: 8, MaxEntries: 4}, 1)
		n := newNative(t, m, 0, leaf.Lookup, leaf.Update, leaf.Delete)
		key, other := keyOf(8, 1), keyOf(8, 2)
		require.Zero(t, n.update(key, make([]byte, 8), 0))
		h := m.Header()
		each := func(add uint32) {
			for i := uintptr(0); i <= uintptr(h.Mask); i++ {
				(*maps.HashBucket)(mem.Pointer(uintptr(h.Buckets) + 8*i)).Lock += add
			}
		}
		each(1)
		require.NotZero(t, n.lookup(key))
		require.Zero(t, n.lookup(other))
		for _, op := range []leaf.Op{leaf.Update, leaf.Delete} {
			r := leaftest.Regs{DI: m.Addr(), SI: n.key.put(key), DX: n.value.put(make([]byte, 8))}
			require.EqualValues(t, leaf.NotHandled, leaftest.Call(n.entries[op], &r))
		}
		each(1)
		require.Zero(t, n.remove(key))
		checkHash(t, m)
	}
}
