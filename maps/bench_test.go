package maps

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// benchKeys returns n different keys, in random order, and the map that has them.
func benchKeys(b *testing.B, spec Spec, n int) (*Map, [][]byte) {
	m, err := NewWithOptions(&spec, Options{NumCPU: 2})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, m.Close()) })
	keys := make([][]byte, n)
	all := make([]byte, n*int(spec.KeySize))
	value := make([]byte, m.userSize())
	for _, i := range rand.Perm(n) { // order of insertion; lookups go by address
		keys[i] = all[i*int(spec.KeySize):][:spec.KeySize:spec.KeySize]
		switch spec.Type {
		case Array, PerCPUArray:
			binary.NativeEndian.PutUint32(keys[i], uint32(i))
		case LPMTrie:
			binary.NativeEndian.PutUint32(keys[i], uint32(spec.KeySize-4)*8)
			binary.BigEndian.PutUint32(keys[i][4:], rand.Uint32())
			binary.NativeEndian.PutUint32(keys[i], 8+rand.Uint32N(25))
		default:
			binary.NativeEndian.PutUint32(keys[i], uint32(i)*2654435761)
		}
		require.Zero(b, m.impl.set(keys[i], value, 0))
	}
	return m, keys
}

var benchSpecs = []struct {
	name string
	n    int
	spec Spec
}{
	{"array", 10000, Spec{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 10000}},
	{"percpu_array", 10000, Spec{Type: PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 10000}},
	{"hash4", 10000, Spec{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 10000}},
	{"hash8", 10000, Spec{Type: Hash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
	{"hash16", 10000, Spec{Type: Hash, KeySize: 16, ValueSize: 8, MaxEntries: 10000}},
	{"hash64", 10000, Spec{Type: Hash, KeySize: 64, ValueSize: 8, MaxEntries: 10000}},
	{"percpu_hash8", 10000, Spec{Type: PerCPUHash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
	{"lru_hash8", 10000, Spec{Type: LRUHash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
	{"lpm_ipv4", 1000, Spec{Type: LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1000, Flags: FlagNoPrealloc}},
}

func BenchmarkLookupProg(b *testing.B) {
	for _, bb := range benchSpecs {
		b.Run(bb.name, func(b *testing.B) {
			m, keys := benchKeys(b, bb.spec, bb.n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if m.LookupProg(1, keys[i]) == 0 {
					b.Fatal("miss")
				}
				if i++; i == len(keys) {
					i = 0
				}
			}
		})
	}
}

func BenchmarkLookupProgMiss(b *testing.B) {
	for _, bb := range benchSpecs[2:8] {
		b.Run(bb.name, func(b *testing.B) {
			m, keys := benchKeys(b, bb.spec, bb.n)
			for _, k := range keys {
				k[len(k)-1] ^= 0xa5 // none of them is in the map but the 4-byte ones by chance
			}
			i := 0
			for b.Loop() {
				m.LookupProg(1, keys[i])
				if i++; i == len(keys) {
					i = 0
				}
			}
		})
	}
}

func BenchmarkUpdateProg(b *testing.B) {
	for _, bb := range benchSpecs {
		b.Run(bb.name, func(b *testing.B) {
			m, keys := benchKeys(b, bb.spec, bb.n)
			value := make([]byte, 8)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if e := m.UpdateProg(1, keys[i], value, 0); e != 0 {
					b.Fatal(e)
				}
				if i++; i == len(keys) {
					i = 0
				}
			}
		})
	}
}

func BenchmarkRingOutput(b *testing.B) {
	m, err := New(&Spec{Type: RingBuf, MaxEntries: 1 << 20})
	require.NoError(b, err)
	defer m.Close()
	c, err := NewRingConsumer(m)
	require.NoError(b, err)
	defer c.Close()
	data := make([]byte, 64)
	buf := make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if e := m.RingOutputProg(data, 0); e != 0 {
			b.Fatal(e)
		}
		if _, ok := c.Next(buf); !ok {
			b.Fatal("no record")
		}
	}
}

func BenchmarkFromAddr(b *testing.B) {
	m, err := New(&Spec{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	require.NoError(b, err)
	defer m.Close()
	addr := m.Addr()
	for b.Loop() {
		if _, ok := FromAddr(addr); !ok {
			b.Fatal("not found")
		}
	}
}

func BenchmarkNewClose(b *testing.B) {
	for b.Loop() {
		m, err := New(&Spec{Type: Hash, KeySize: 8, ValueSize: 8, MaxEntries: 1000})
		if err != nil {
			b.Fatal(err)
		}
		m.Close()
	}
}
