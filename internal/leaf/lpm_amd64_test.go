package leaf_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/leaf"
	"github.com/sandbpf/sandbpf/maps"
)

// lpmPrefix makes a key of a prefix whose first bytes are b, with data bytes of data.
func lpmPrefix(data, bits uint32, b ...byte) []byte {
	return append(binary.NativeEndian.AppendUint32(nil, bits), append(b, make([]byte, int(data)-len(b))...)...)
}

// lpmKey draws a key. Few bytes are drawn from few values, so that prefixes contain
// each other and keys differ late.
func lpmKey(r *rand.Rand, data int) []byte {
	key := binary.NativeEndian.AppendUint32(nil, r.Uint32N(uint32(8*data)+1))
	if r.IntN(3) == 0 {
		binary.NativeEndian.PutUint32(key, uint32(8*data))
	}
	for range data {
		key = append(key, []byte{0, 0, 1, 0x80, 0xff}[r.IntN(5)])
	}
	if r.IntN(2) == 0 {
		clear(key[4 : 4+data/2])
	}
	return key
}

// TestLPMSame asks leaves and Go for the same keys while the trie grows and shrinks.
func TestLPMSame(t *testing.T) {
	ops := 6000
	if testing.Short() {
		ops = 1000
	}
	for _, data := range []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 15, 16, 17, 24, 256} {
		t.Run(fmt.Sprint(data), func(t *testing.T) {
			m := newMap(t, maps.Spec{Type: maps.LPMTrie, KeySize: uint32(4 + data), ValueSize: 9, MaxEntries: 200, Flags: maps.FlagNoPrealloc}, 1)
			n := newNative(t, m, 0, leaf.Lookup)
			r := rand.New(rand.NewPCG(uint64(data), 1))
			require.Zero(t, n.lookup(lpmKey(r, data)), "empty")
			hits, value := 0, make([]byte, 9)
			for range ops {
				key := lpmKey(r, data)
				switch r.IntN(8) {
				case 0:
					m.UpdateProg(0, key, value, 0)
				case 1:
					if r.IntN(2) == 0 {
						m.DeleteProg(key)
					}
				default:
					want := m.LookupProg(0, key)
					require.Equal(t, want, n.lookup(key), "key %x", key)
					if want != 0 {
						hits++
					}
				}
			}
			require.Greater(t, hits, ops/100)
			require.Zero(t, n.refused)
		})
	}
}

// TestLPMLength asks with prefix lengths that no key has.
func TestLPMLength(t *testing.T) {
	for _, data := range []int{1, 4, 7, 8, 16} {
		m := newMap(t, maps.Spec{Type: maps.LPMTrie, KeySize: uint32(4 + data), ValueSize: 8, MaxEntries: 4, Flags: maps.FlagNoPrealloc}, 1)
		n := newNative(t, m, 0, leaf.Lookup)
		key := make([]byte, 4+data)
		require.Zero(t, m.UpdateProg(0, key, make([]byte, 8), 0)) // the prefix of all
		for _, length := range []uint32{0, 1, uint32(8 * data), uint32(8*data) + 1, 64, 65, 1 << 16, 1 << 31, ^uint32(0)} {
			binary.NativeEndian.PutUint32(key, length)
			require.Equal(t, m.LookupProg(0, key), n.lookup(key), "length %d of %d", length, 8*data)
			require.Equal(t, length <= uint32(8*data), n.lookup(key) != 0)
		}
	}
}
