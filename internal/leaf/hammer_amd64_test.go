package leaf_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/leaf"
	"github.com/sandbpf/sandbpf/internal/leaf/leaftest"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/maps"
)

// The tests here call leaves in a loop of assembly, so that two CPUs meet within a few
// instructions of each other, which calls from Go hardly do.

// burst is how many calls come from one loop. The loop cannot be preempted.
const burst = 500

// hammer calls op for one key, burst times or until the leaf returns stop.
func (n *native) hammer(op leaf.Op, key, value []byte, stop uint64) bool {
	r := leaftest.Regs{DI: n.m.Addr(), SI: n.key.put(key), R8: uint64(n.cpu), AX: stop}
	if op == leaf.Update {
		r.DX = n.value.put(value)
	}
	return leaftest.Loop(n.entries[op], &r, burst, 0)
}

// never is what no leaf returns.
const never = ^uint64(0)

// sameBucket returns n keys of a hash, empty before and after, that are in one bucket.
func sameBucket(t *testing.T, m *maps.Map, n int) (keys [][]byte) {
	h := m.Header()
	bucket := -1
	for i := uint32(1); len(keys) < n; i++ {
		key := keyOf(m.KeySize(), i)
		require.Zero(t, m.UpdateProg(0, key, make([]byte, m.ValueSize()), 0))
		for b := range int(h.Mask) + 1 {
			head := (*maps.HashBucket)(mem.Pointer(uintptr(h.Buckets) + uintptr(b)*unsafe.Sizeof(maps.HashBucket{}))).Head
			if head != 0 && (bucket < 0 || bucket == b) {
				bucket = b
				keys = append(keys, key)
			}
		}
		require.Zero(t, m.DeleteProg(key))
	}
	return keys
}

// TestHashHammerUpdates: two CPUs update and delete keys of one bucket or of two, and no
// element is lost. They do so too if they think that they are the same CPU, and take
// their spare elements from the same place.
func TestHashHammerUpdates(t *testing.T) {
	for _, second := range []int{1, 0} {
		// The value takes its time, in which an element is in its chain and spare.
		m := newMap(t, maps.Spec{Type: maps.Hash, KeySize: 8, ValueSize: 2048, MaxEntries: 6}, 2)
		keys := append(sameBucket(t, m, 3), keyOf(8, 0))
		value := make([]byte, 2048)
		work := func(cpu int) func(*rand.Rand) error {
			n := newNative(t, m, cpu, hashOps...)
			return func(r *rand.Rand) error {
				key := keys[r.IntN(len(keys))]
				n.hammer(leaf.Update, key, value, never)
				if r.IntN(2) == 0 {
					n.hammer(leaf.Delete, key, nil, never)
				}
				return nil
			}
		}
		together(t, rounds()/200, work(0), work(second))
		checkHash(t, m)
	}
}

// TestHashHammerMiss: a key at the end of a chain is found, while the elements before it
// come and go, and are reused in another chain, where a lookup may follow them.
func TestHashHammerMiss(t *testing.T) {
	for _, size := range []uint32{4, 8, 16, 20} {
		m := newMap(t, maps.Spec{Type: maps.Hash, KeySize: size, ValueSize: 8, MaxEntries: 6}, 2)
		keys := sameBucket(t, m, 4)
		last := keys[0] // new elements are linked before it
		elsewhere := keyOf(size, 0)
		n, w := newNative(t, m, 0, hashOps...), newNative(t, m, 1, hashOps...)
		require.Zero(t, n.update(last, make([]byte, 8), 0))
		together(t, rounds()/4, func(*rand.Rand) error {
			if !n.hammer(leaf.Lookup, last, nil, 0) {
				return fmt.Errorf("%d bytes: key is missing", size)
			}
			return nil
		}, func(*rand.Rand) error {
			for _, key := range keys[1:] {
				w.update(key, make([]byte, 8), 0)
			}
			for _, key := range keys[1:] {
				w.remove(key)
				w.update(elsewhere, make([]byte, 8), 0)
				w.remove(elsewhere)
			}
			return nil
		})
		checkHash(t, m)
	}
}

// TestHashHammerMixed: an element that is rewritten for another key is never taken for
// a key that has one word of either. The words lie in two cache lines.
func TestHashHammerMixed(t *testing.T) {
	for _, size := range []uint32{16, 500} {
		m := newMap(t, maps.Spec{Type: maps.Hash, KeySize: size, ValueSize: 8, MaxEntries: 2}, 2)
		if size == 16 { // the second element's key begins in the first line's last 8 bytes
			require.Zero(t, m.UpdateProg(0, keyOf(size, 77), make([]byte, 8), 0))
		}
		// All keys are of one bucket, or the lookup would not meet the element.
		var keys [4][]byte // first and last word: aa, bb, ab, ba
		for i := uint64(1); keys[3] == nil; i++ {
			keys = mixedKeys(t, m, i)
		}
		n, w := newNative(t, m, 0, hashOps...), newNative(t, m, 1, hashOps...)
		require.Zero(t, w.update(keys[0], make([]byte, 8), 0))
		value := w.lookup(keys[0]) // the only one: the CPU's spare element comes back
		require.Zero(t, w.remove(keys[0]))
		together(t, rounds()/100, func(r *rand.Rand) error {
			for range 10 {
				if key := keys[2+r.IntN(2)]; !n.hammer(leaf.Lookup, key, nil, uint64(value)) {
					return fmt.Errorf("found %x, which never was there", key)
				}
			}
			return nil
		}, func(*rand.Rand) error {
			for range burst {
				for _, key := range keys[:2] {
					w.update(key, make([]byte, 8), 0)
					w.remove(key)
				}
			}
			return nil
		})
		checkHash(t, m)
	}
}

// mixedKeys returns four keys made of two words, if they are all in one bucket.
func mixedKeys(t *testing.T, m *maps.Map, i uint64) (keys [4][]byte) {
	h := m.Header()
	a, b := byte(i), byte(i>>8)+byte(i)+1
	if a == b {
		return keys
	}
	var bucket uint32
	for j := range keys {
		key := make([]byte, h.KeySize)
		key[0] = []byte{a, b, a, b}[j]
		key[h.KeySize-1] = []byte{a, b, b, a}[j]
		require.Zero(t, m.UpdateProg(0, key, make([]byte, 8), 0))
		elem := m.LookupProg(0, key) - uintptr(h.ValueOff)
		is := (*maps.HashElem)(mem.Pointer(elem)).Hash & h.Mask
		require.Zero(t, m.DeleteProg(key))
		if j > 0 && is != bucket {
			return [4][]byte{}
		}
		bucket, keys[j] = is, key
	}
	return keys
}

// TestLPMHammer: a prefix that is replaced all the time is found, though its node is reused
// for other prefixes.
func TestLPMHammer(t *testing.T) {
	for _, data := range []uint32{4, 6, 16} {
		m := newMap(t, maps.Spec{Type: maps.LPMTrie, KeySize: 4 + data, ValueSize: 8, MaxEntries: 100, Flags: maps.FlagNoPrealloc}, 1)
		key := func(bits uint32, b ...byte) []byte { return lpmPrefix(data, bits, b...) }
		stable, value := key(16, 10, 1), make([]byte, 8)
		require.Zero(t, m.UpdateProg(0, stable, value, 0))
		n := newNative(t, m, 0, leaf.Lookup)
		together(t, rounds()/4, func(*rand.Rand) error {
			if !n.hammer(leaf.Lookup, key(8*data, 10, 1, 7, 7), nil, 0) {
				return fmt.Errorf("10.1.7.7 is missing in %d bytes", data)
			}
			return nil
		}, func(*rand.Rand) error {
			m.UpdateProg(0, stable, value, 0)
			m.UpdateProg(0, key(16, 200, 1), value, 0)
			m.UpdateProg(0, stable, value, 0)
			m.DeleteProg(key(16, 200, 1))
			return nil
		})
	}
}

// TestRingHammer: two CPUs reserve and give back, and every record is counted once.
func TestRingHammer(t *testing.T) {
	m := newMap(t, maps.Spec{Type: maps.RingBuf, MaxEntries: 1 << 20}, 2)
	work := func(cpu int) func(*rand.Rand) error {
		n := newNative(t, m, cpu, leaf.Reserve, leaf.Submit, leaf.Discard)
		return func(*rand.Rand) error {
			for range burst {
				record := n.reserve(8)
				for ; record == 0; record = n.reserve(8) {
					runtime.Gosched()
				}
				*word(record) = uint64(cpu)
				n.giveBack(leaf.Submit, record, maps.RingNoWakeup)
			}
			return nil
		}
	}
	c, err := maps.NewRingConsumer(m)
	require.NoError(t, err)
	defer c.Close()
	n := rounds() / 40
	var records [2]int
	var reader sync.WaitGroup
	reader.Go(func() {
		buf := make([]byte, 0, 8)
		for records[0]+records[1] < 2*n*burst {
			rec, ok := c.Next(buf)
			if !ok {
				runtime.Gosched()
				continue
			}
			records[rec[0]]++
		}
	})
	together(t, n, work(0), work(1))
	reader.Wait()
	require.Equal(t, [2]int{n * burst, n * burst}, records)
}
