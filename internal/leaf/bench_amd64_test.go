package leaf_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/leaf"
	"github.com/sandbpf/sandbpf/internal/leaf/leaftest"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/maps"
)

// benchMap is a map with n elements, and the keys of all lookups to measure in an arena.
type benchMap struct {
	m    *maps.Map
	keys []byte
	n    int
}

func newBenchMap(tb testing.TB, spec maps.Spec, n int) benchMap {
	m, err := maps.NewWithOptions(&spec, maps.Options{NumCPU: 2})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, m.Close()) })
	a, err := mem.New(n * int(spec.KeySize))
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, a.Close()) })
	b := benchMap{m, a.Bytes(), n}
	r := rand.New(rand.NewPCG(1, 2))
	for _, i := range r.Perm(n) {
		k := b.keys[i*int(spec.KeySize):][:spec.KeySize]
		if spec.Type == maps.LPMTrie {
			binary.NativeEndian.PutUint32(k, 8+r.Uint32N(25))
			binary.NativeEndian.PutUint32(k[4:], r.Uint32())
		} else {
			binary.NativeEndian.PutUint32(k, uint32(i)*2654435761)
		}
		require.Zero(tb, m.UpdateProg(0, k, make([]byte, spec.ValueSize), 0))
		if spec.Type == maps.LPMTrie {
			binary.NativeEndian.PutUint32(k, 8*(spec.KeySize-4))
		}
	}
	return b
}

func BenchmarkLookup(b *testing.B) {
	for _, bb := range []struct {
		name string
		n    int
		spec maps.Spec
	}{
		{"hash4", 10000, maps.Spec{Type: maps.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 10000}},
		{"hash8", 10000, maps.Spec{Type: maps.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
		{"hash16", 10000, maps.Spec{Type: maps.Hash, KeySize: 16, ValueSize: 8, MaxEntries: 10000}},
		{"hash20", 10000, maps.Spec{Type: maps.Hash, KeySize: 20, ValueSize: 8, MaxEntries: 10000}},
		{"lru8", 10000, maps.Spec{Type: maps.LRUHash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
		{"percpu8", 10000, maps.Spec{Type: maps.PerCPUHash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
		{"lpm", 1000, maps.Spec{Type: maps.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1000, Flags: maps.FlagNoPrealloc}},
		{"lpm8", 1000, maps.Spec{Type: maps.LPMTrie, KeySize: 12, ValueSize: 8, MaxEntries: 1000, Flags: maps.FlagNoPrealloc}},
		{"lpm16", 1000, maps.Spec{Type: maps.LPMTrie, KeySize: 20, ValueSize: 8, MaxEntries: 1000, Flags: maps.FlagNoPrealloc}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			bm := newBenchMap(b, bb.spec, bb.n)
			entry, ok := leaf.For(bm.m, leaf.Lookup)
			require.True(b, ok)
			for b.Loop() {
				r := leaftest.Regs{DI: bm.m.Addr(), SI: uint64(uintptr(unsafe.Pointer(&bm.keys[0]))), R8: 1}
				if !leaftest.Loop(entry, &r, bm.n, int(bb.spec.KeySize)) {
					b.Fatal("miss")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bm.n), "ns/lookup")
		})
		if bb.spec.Type == maps.LPMTrie {
			continue
		}
		b.Run(bb.name+"u", func(b *testing.B) {
			bm := newBenchMap(b, bb.spec, bb.n)
			entry, ok := leaf.For(bm.m, leaf.Update)
			require.True(b, ok)
			for b.Loop() {
				k := uint64(uintptr(unsafe.Pointer(&bm.keys[0])))
				r := leaftest.Regs{DI: bm.m.Addr(), SI: k, DX: k, R8: 1, AX: 1}
				if !leaftest.Loop(entry, &r, bm.n, int(bb.spec.KeySize)) {
					b.Fatal("miss")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*bm.n), "ns/lookup")
		})
	}
}
