package maps

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// at turns an address that a lookup returned into a pointer. It points outside
// the Go heap.
func at(addr uintptr) *uint64 { return *(**uint64)(unsafe.Pointer(&addr)) }

func newTestMap(t testing.TB, s Spec, cpus int) *Map {
	m, err := NewWithOptions(&s, Options{NumCPU: cpus})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

func key4(i uint32) []byte { return binary.NativeEndian.AppendUint32(nil, i) }
func word(v uint64) []byte { return binary.NativeEndian.AppendUint64(nil, v) }

// keyOf makes a key of any size from a number.
func keyOf(size uint32, i uint32) []byte {
	k := make([]byte, size)
	binary.NativeEndian.PutUint32(k[size-4:], i)
	return k
}

// during runs f in n goroutines until the others are done.
func during(t *testing.T, n int, f func(r *rand.Rand) error, others ...func()) {
	var stop atomic.Bool
	var wg, done sync.WaitGroup
	for g := range n {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 7))
			for !stop.Load() {
				if err := f(r); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for _, o := range others {
		done.Go(o)
	}
	done.Wait()
	stop.Store(true)
	wg.Wait()
}

// TestHashConcurrent: keys that are replaced all the time but never deleted are
// found by every lookup, and a value that is copied out is that of its key, while
// other keys come and go and elements are reused at once.
func TestHashConcurrent(t *testing.T) {
	for _, s := range []Spec{
		{Type: Hash, KeySize: 8, ValueSize: 16, MaxEntries: 40},
		{Type: Hash, KeySize: 4, ValueSize: 16, MaxEntries: 40},
		{Type: Hash, KeySize: 20, ValueSize: 16, MaxEntries: 40},
		{Type: LRUHash, KeySize: 8, ValueSize: 16, MaxEntries: 200},
	} {
		t.Run(fmt.Sprintf("%v_%d", s.Type, s.KeySize), func(t *testing.T) {
			m := newTestMap(t, s, 2)
			const stable = 16
			put := func(i uint32) Errno {
				v := append(word(uint64(i)), word(^uint64(i))...)
				return m.UpdateProg(0, keyOf(s.KeySize, i), v, 0)
			}
			for i := range uint32(stable) {
				require.Zero(t, put(i))
			}
			writer := func() {
				r := rand.New(rand.NewPCG(1, 2))
				for range 40000 {
					i := r.Uint32N(stable + 20)
					if i >= stable && r.IntN(2) == 0 {
						m.DeleteProg(keyOf(s.KeySize, i))
					} else {
						put(i)
					}
				}
			}
			during(t, 2, func(r *rand.Rand) error {
				i := r.Uint32N(stable + 20)
				k := keyOf(s.KeySize, i)
				addr := m.LookupProg(1, k)
				if addr == 0 && i < stable {
					return fmt.Errorf("key %d is missing", i)
				}
				if addr != 0 {
					if _, ok := m.Find(addr); !ok {
						return fmt.Errorf("%#x is no value", addr)
					}
				}
				var v [2]uint64
				err := m.Lookup(k, &v)
				if err != nil && i >= stable {
					return nil
				}
				if err != nil || v[0] != uint64(i) || v[1] != ^uint64(i) {
					return fmt.Errorf("key %d: %x, %v", i, v, err)
				}
				return nil
			}, writer, writer)
		})
	}
}

// TestHashAccounting: what NOEXIST let in less what was deleted is what is
// there, and never more than there is room for.
func TestHashAccounting(t *testing.T) {
	for _, typ := range []Type{Hash, PerCPUHash} {
		const room, keys, workers = 10, 16, 4
		m := newTestMap(t, Spec{Type: typ, KeySize: 4, ValueSize: 8, MaxEntries: room}, workers)
		var in, out, full atomic.Int64
		var wg sync.WaitGroup
		for g := range workers {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(g), 3))
				for range 20000 {
					k := key4(r.Uint32N(keys))
					if r.IntN(5) < 2 {
						if m.DeleteProg(k) == 0 {
							out.Add(1)
						}
						continue
					}
					switch m.UpdateProg(g, k, word(1), uint64(UpdateNoExist)) {
					case 0:
						in.Add(1)
					case E2BIG:
						full.Add(1)
					case EEXIST:
					default:
						t.Error("unexpected errno")
					}
					if n := atomic.LoadUint32(&m.hashOf().control().Count); n > room {
						t.Errorf("%d elements", n)
					}
				}
			})
		}
		wg.Wait()
		n := 0
		var k uint32
		var v any = new(uint64)
		if typ == PerCPUHash {
			v = new([]uint64)
		}
		it := m.Iterate()
		for it.Next(&k, v) {
			n++
		}
		require.NoError(t, it.Err())
		require.EqualValues(t, in.Load()-out.Load(), n)
		require.EqualValues(t, n, m.hashOf().control().Count)
		require.NotZero(t, full.Load())
	}
}

// TestPerCPUIsolation: each CPU counts in its own copy, without atomics.
func TestPerCPUIsolation(t *testing.T) {
	const cpus, rounds = 4, 20000
	for _, typ := range []Type{PerCPUArray, PerCPUHash, LRUCPUHash} {
		m := newTestMap(t, Spec{Type: typ, KeySize: 4, ValueSize: 8, MaxEntries: 8}, cpus)
		require.NoError(t, m.Put(uint32(3), make([]uint64, cpus)))
		var wg sync.WaitGroup
		for cpu := range cpus {
			wg.Go(func() {
				for range rounds {
					*at(m.LookupProg(cpu, key4(3)))++
				}
			})
		}
		wg.Wait()
		var v []uint64
		require.NoError(t, m.Lookup(uint32(3), &v))
		require.Equal(t, []uint64{rounds, rounds, rounds, rounds}, v)
		require.Equal(t, m.LookupProg(2, key4(3)), m.LookupPercpu(2, key4(3)))
		require.Zero(t, m.LookupPercpu(cpus, key4(3)))
		require.Zero(t, m.LookupPercpu(-1, key4(3)))

		// An update by a program is about its own copy; in a new element the
		// others start from 0, whatever the memory held.
		require.Zero(t, m.UpdateProg(1, key4(3), word(7), 0))
		require.NoError(t, m.Lookup(uint32(3), &v))
		require.Equal(t, []uint64{rounds, 7, rounds, rounds}, v)
		if typ != PerCPUArray {
			require.Zero(t, m.DeleteProg(key4(3)))
			require.Zero(t, m.UpdateProg(2, key4(4), word(9), 0))
			require.NoError(t, m.Lookup(uint32(4), &v))
			require.Equal(t, []uint64{0, 0, 9, 0}, v)
		}
	}
}

// TestNoTearing: an aligned word is whole, whoever writes it.
func TestNoTearing(t *testing.T) {
	for _, typ := range []Type{Array, Hash} {
		m := newTestMap(t, Spec{Type: typ, KeySize: 4, ValueSize: 64, MaxEntries: 1}, 1)
		k := key4(0)
		ones, zeros := make([]byte, 64), make([]byte, 64)
		for i := range ones {
			ones[i] = 0xff
		}
		require.Zero(t, m.UpdateProg(0, k, ones, 0))
		during(t, 2, func(*rand.Rand) error {
			var v [8]uint64
			if err := m.Lookup(k, &v); err != nil {
				return err
			}
			for _, w := range v {
				if w != 0 && w != ^uint64(0) {
					return fmt.Errorf("torn word %x", w)
				}
			}
			return nil
		}, func() {
			for i := range 20000 {
				m.UpdateProg(0, k, [][]byte{ones, zeros}[i%2], 0)
			}
		})
	}
}

// TestLRU: the map always admits, never holds more than it may, and keeps what
// is looked up.
func TestLRU(t *testing.T) {
	for _, typ := range []Type{LRUHash, LRUCPUHash} {
		m := newTestMap(t, Spec{Type: typ, KeySize: 4, ValueSize: 8, MaxEntries: 100}, 2)
		for i := range uint32(10000) {
			require.Zero(t, m.UpdateProg(0, key4(i), word(uint64(i)), 0))
			for hot := range min(i, 20) {
				require.NotZero(t, m.LookupProg(0, key4(hot)), "key %d, after %d", hot, i)
			}
		}
		n := 0
		for next, err := m.NextKeyBytes(nil); next != nil; next, err = m.NextKeyBytes(next) {
			require.NoError(t, err)
			n++
		}
		require.Equal(t, 100, n)

		// The user side's lookups are no use, as in Linux.
		m = newTestMap(t, Spec{Type: LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: 10}, 1)
		for i := range uint32(10) {
			require.NoError(t, m.Put(i, uint64(i)))
		}
		var v uint64
		require.NoError(t, m.Lookup(uint32(0), &v))
		for i := range uint32(10) {
			require.NoError(t, m.Put(i+10, uint64(i)))
		}
		require.ErrorIs(t, m.Lookup(uint32(0), &v), ErrKeyNotExist)
	}
}

func TestLRUConcurrent(t *testing.T) {
	for _, room := range []uint32{1, 2, 50} {
		m := newTestMap(t, Spec{Type: LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: room}, 4)
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(g), 4))
				for range 10000 {
					k := key4(r.Uint32N(3 * room))
					switch r.IntN(4) {
					case 0:
						m.DeleteProg(k)
					case 1:
						m.LookupProg(g, k)
					default:
						if e := m.UpdateProg(g, k, word(1), 0); e != 0 {
							t.Errorf("update: %v", e)
						}
					}
				}
			})
		}
		wg.Wait()
		n := uint32(0)
		for next, err := m.NextKeyBytes(nil); next != nil; next, err = m.NextKeyBytes(next) {
			require.NoError(t, err)
			n++
		}
		require.LessOrEqual(t, n, room)
		require.Equal(t, n, m.hashOf().control().Count)
	}
}

// TestLPMConcurrent: prefixes that stay are found with their own value while
// longer and shorter ones come and go around them.
func TestLPMConcurrent(t *testing.T) {
	for _, data := range []uint32{4, 16} {
		m := newTestMap(t, Spec{Type: LPMTrie, KeySize: 4 + data, ValueSize: 8, MaxEntries: 100, Flags: FlagNoPrealloc}, 1)
		prefix := func(bits uint32, b ...byte) []byte {
			return append(key4(bits), append(b, make([]byte, int(data)-len(b))...)...)
		}
		for i := range byte(4) {
			require.Zero(t, m.UpdateProg(0, prefix(16, 10, i), word(uint64(i)), 0))
		}
		churn := func() {
			r := rand.New(rand.NewPCG(5, 5))
			for range 20000 {
				i := byte(r.IntN(4))
				// Around the stable /16, but never between it and 10.i.1.1.
				k := [][]byte{prefix(8, 10), prefix(24, 10, i, 2), prefix(15, 10, i), prefix(24, 10, i, 128), prefix(32, 10, i, 1, 2), prefix(0)}[r.IntN(6)]
				if r.IntN(2) == 0 {
					m.DeleteProg(k)
				} else {
					m.UpdateProg(0, k, word(99), 0)
				}
				m.UpdateProg(0, prefix(16, 10, i), word(uint64(i)), 0)
			}
		}
		during(t, 2, func(r *rand.Rand) error {
			i := byte(r.IntN(4))
			k := prefix(data*8, 10, i, 1, 1)
			var v uint64
			if err := m.Lookup(k, &v); err != nil || v != uint64(i) {
				return fmt.Errorf("10.%d.1.1: %d, %v", i, v, err)
			}
			if m.LookupProg(0, k) == 0 {
				return fmt.Errorf("10.%d.1.1 is missing", i)
			}
			return nil
		}, churn, churn)
	}
}

// TestRingConcurrent: every record of every producer arrives, whole and in the
// order that the producer reserved them in.
func TestRingConcurrent(t *testing.T) {
	m := newTestMap(t, Spec{Type: RingBuf, MaxEntries: 4096}, 1)
	c, err := NewRingConsumer(m)
	require.NoError(t, err)
	defer c.Close()
	const producers = 4
	records := 5000
	if testing.Short() {
		records = 500
	}
	for g := range producers {
		go func() {
			r := rand.New(rand.NewPCG(uint64(g), 6))
			for i := 0; i < records; {
				size := 16 + r.Uint64N(300)
				addr, e := m.ReserveProg(size)
				if e != 0 {
					time.Sleep(time.Microsecond)
					continue
				}
				if r.IntN(4) == 0 {
					m.DiscardProg(addr, 0)
					continue
				}
				b := unsafe.Slice((*byte)(unsafe.Pointer(at(addr))), size)
				for j := range b {
					b[j] = byte(i)
				}
				binary.NativeEndian.PutUint32(b, uint32(g))
				binary.NativeEndian.PutUint32(b[4:], uint32(i))
				m.SubmitProg(addr, 0)
				i++
			}
		}()
	}
	var next [producers]uint32
	var buf []byte
	for n := 0; n < producers*records; {
		rec, ok := c.Next(buf[:0])
		if !ok {
			select {
			case <-c.C():
			case <-time.After(30 * time.Second):
				require.FailNow(t, "no wake-up", "%d records, %v", n, next)
			}
			continue
		}
		buf = rec
		g, i := binary.NativeEndian.Uint32(rec), binary.NativeEndian.Uint32(rec[4:])
		require.Equal(t, next[g], i)
		if !bytes.Equal(rec[8:], bytes.Repeat([]byte{byte(i)}, len(rec)-8)) {
			t.Fatalf("record %d of producer %d: %x", i, g, rec)
		}
		next[g]++
		n++
	}
	require.Zero(t, m.QueryProg(RingQueryAvail))
}

// TestCloseConcurrent: calls of the user side that are under way when the last
// handle is closed end with a result or ErrClosed.
func TestCloseConcurrent(t *testing.T) {
	for range 50 {
		m, err := New(&Spec{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 10})
		require.NoError(t, err)
		addr := m.Addr()
		var wg sync.WaitGroup
		for g := range uint32(4) {
			wg.Go(func() {
				var v uint64
				for {
					if err := m.Put(g, uint64(1)); err != nil {
						require.ErrorIs(t, err, ErrClosed)
						return
					}
					if err := m.Lookup(g, &v); err != nil {
						require.ErrorIs(t, err, ErrClosed)
						return
					}
				}
			})
		}
		time.Sleep(100 * time.Microsecond)
		require.NoError(t, m.Close())
		wg.Wait()
		_, ok := FromAddr(addr)
		require.False(t, ok)
	}
}

// TestLeak opens and closes more maps than there are headers or mappings for.
func TestLeak(t *testing.T) {
	for range 10000 {
		m, err := New(&Spec{Type: PerCPUHash, KeySize: 4, ValueSize: 8, MaxEntries: 10})
		require.NoError(t, err)
		require.NoError(t, m.Close())
	}
	require.LessOrEqual(t, len(*registry.chunks.Load()), 2)
}
