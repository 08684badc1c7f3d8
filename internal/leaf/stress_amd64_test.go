package leaf_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/leaf"
	"github.com/sandbpf/sandbpf/internal/leaf/leaftest"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/maps"
)

var hashOps = []leaf.Op{leaf.Lookup, leaf.Update, leaf.Delete}

// rounds is how often a goroutine of a stress test does what it does.
func rounds() int {
	if testing.Short() {
		return 3000
	}
	return 20000
}

// together runs the functions at the same time, each n times, while the garbage collector runs all the time and the profiler interrupts: leaves have no
// frame that either knows of.
func together(t *testing.T, n int, fs ...func(r *rand.Rand) error) {
	t.Helper()
	if pprof.StartCPUProfile(io.Discard) == nil {
		defer pprof.StopCPUProfile()
	}
	var stop atomic.Bool
	var collector, wg sync.WaitGroup
	collector.Go(func() {
		for ; !stop.Load(); time.Sleep(time.Millisecond) {
			garbage := make([][]byte, 1<<8)
			for i := range garbage {
				garbage[i] = make([]byte, 64)
			}
			runtime.GC()
			runtime.KeepAlive(garbage)
		}
	})
	for i, f := range fs {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 5))
			for range n {
				if err := f(r); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	stop.Store(true)
	collector.Wait()
}

// pattern is the value that belongs to a key: any of its words tells whose it is.
func pattern(size uint32, key uint32) []byte {
	v := make([]byte, size)
	for i := 0; i+8 <= len(v); i += 8 {
		binary.NativeEndian.PutUint64(v[i:], uint64(key)*0x0101_0101_0101_0101)
	}
	return v
}

// TestHashConcurrent: keys that are replaced all the time but never deleted are found by
// every lookup; a value that Go copies out is that of its key, whole; and a word that
// native code reads through the address of a value, which may be reused meanwhile, is
// some value's. Writers and readers are native and Go.
func TestHashConcurrent(t *testing.T) {
	const stable, keys = 16, 40
	for _, spec := range []maps.Spec{
		{Type: maps.Hash, KeySize: 8, ValueSize: 32, MaxEntries: keys},
		{Type: maps.Hash, KeySize: 4, ValueSize: 32, MaxEntries: keys},
		{Type: maps.Hash, KeySize: 16, ValueSize: 32, MaxEntries: keys},
		{Type: maps.Hash, KeySize: 20, ValueSize: 32, MaxEntries: keys},
		{Type: maps.LRUHash, KeySize: 8, ValueSize: 32, MaxEntries: 200},
	} {
		t.Run(fmt.Sprintf("%v_%d", spec.Type, spec.KeySize), func(t *testing.T) {
			m := newMap(t, spec, 4)
			for i := range uint32(stable) {
				require.Zero(t, m.UpdateProg(0, keyOf(spec.KeySize, i), pattern(32, i), 0))
			}
			// A native writer, a native reader, a Go writer and a Go reader.
			w, l := newNative(t, m, 0, hashOps...), newNative(t, m, 1, hashOps...)
			write := func(update func(key, value []byte, flags uint64) maps.Errno, remove func(key []byte) maps.Errno) func(*rand.Rand) error {
				return func(r *rand.Rand) error {
					i := r.Uint32N(keys)
					if i >= stable && r.IntN(2) == 0 {
						remove(keyOf(spec.KeySize, i))
					} else if e := update(keyOf(spec.KeySize, i), pattern(32, i), 0); e != 0 {
						return fmt.Errorf("update of key %d: %w", i, e)
					}
					return nil
				}
			}
			goUpdate := func(key, value []byte, flags uint64) maps.Errno { return m.UpdateProg(2, key, value, flags) }
			together(t, rounds(),
				write(w.update, w.remove),
				write(goUpdate, m.DeleteProg),
				func(r *rand.Rand) error {
					i := r.Uint32N(keys)
					value := l.lookup(keyOf(spec.KeySize, i))
					if value == 0 && i < stable {
						return fmt.Errorf("key %d is missing", i)
					}
					for off := uintptr(0); value != 0 && off < 32; off += 8 {
						w := atomic.LoadUint64(word(value + off))
						if w%0x0101_0101_0101_0101 != 0 || w/0x0101_0101_0101_0101 >= keys {
							return fmt.Errorf("torn word %x", w)
						}
					}
					return nil
				},
				func(r *rand.Rand) error {
					i := r.Uint32N(keys)
					var v [32]byte
					err := m.Lookup(keyOf(spec.KeySize, i), &v)
					if err != nil && i >= stable {
						return nil
					}
					if err != nil || !bytes.Equal(v[:], pattern(32, i)) {
						return fmt.Errorf("key %d: %x, %v", i, v, err)
					}
					return nil
				})
			checkHash(t, m)
		})
	}
}

// TestHashOwnWrites: each goroutine sees the last value that it has written to keys of its
// own, among those of others in the same buckets.
func TestHashOwnWrites(t *testing.T) {
	const workers, keys = 4, 6
	for _, spec := range []maps.Spec{
		{Type: maps.Hash, KeySize: 8, ValueSize: 8, MaxEntries: workers * keys},
		{Type: maps.Hash, KeySize: 13, ValueSize: 8, MaxEntries: workers * keys},
		{Type: maps.PerCPUHash, KeySize: 4, ValueSize: 8, MaxEntries: workers * keys},
	} {
		m := newMap(t, spec, workers)
		var fs []func(*rand.Rand) error
		for g := range workers {
			n := newNative(t, m, g, hashOps...)
			lookup, update, remove := n.lookup, n.update, n.remove
			if g == workers-1 { // the last one is Go
				lookup = func(key []byte) uintptr { return m.LookupProg(g, key) }
				update = func(key, value []byte, flags uint64) maps.Errno { return m.UpdateProg(g, key, value, flags) }
				remove = m.DeleteProg
			}
			last := make(map[uint32]uint64) // 0: deleted
			count := uint64(0)
			fs = append(fs, func(r *rand.Rand) error {
				i := uint32(g) + workers*r.Uint32N(keys)
				key := keyOf(spec.KeySize, i)
				switch value := lookup(key); {
				case value == 0 != (last[i] == 0):
					return fmt.Errorf("key %d: found is %v, last value %d", i, value != 0, last[i])
				case value != 0 && *word(value) != last[i]:
					return fmt.Errorf("key %d: %d, last value %d", i, *word(value), last[i])
				}
				if r.IntN(4) == 0 {
					if e := remove(key); (e == 0) != (last[i] != 0) {
						return fmt.Errorf("delete of key %d: %v, last value %d", i, e, last[i])
					}
					last[i] = 0
					return nil
				}
				count++
				if e := update(key, binary.NativeEndian.AppendUint64(nil, count), 0); e != 0 {
					return fmt.Errorf("update of key %d: %w", i, e)
				}
				last[i] = count
				return nil
			})
		}
		together(t, rounds(), fs...)
		checkHash(t, m)
	}
}

// TestHashCounters: what native code and Go add to values with atomic operations is all
// there in the end, while other keys come and go in the same buckets.
func TestHashCounters(t *testing.T) {
	for _, typ := range hashTypes {
		const stable = 4
		m := newMap(t, maps.Spec{Type: typ, KeySize: 8, ValueSize: 8, MaxEntries: 200}, 4)
		for i := range uint32(stable) {
			require.Zero(t, m.UpdateProg(0, keyOf(8, i), make([]byte, 8), 0))
		}
		var added atomic.Uint64
		add := func(lookup func([]byte) uintptr) func(*rand.Rand) error {
			return func(r *rand.Rand) error {
				value := lookup(keyOf(8, r.Uint32N(stable)))
				if value == 0 {
					return fmt.Errorf("%v: a key is missing", typ)
				}
				if typ.PerCPU() { // this CPU's own
					*word(value)++
				} else {
					atomic.AddUint64(word(value), 1)
				}
				added.Add(1)
				return nil
			}
		}
		a, b, w := newNative(t, m, 0, hashOps...), newNative(t, m, 1, hashOps...), newNative(t, m, 3, hashOps...)
		churn := func(r *rand.Rand) error {
			key := keyOf(8, stable+r.Uint32N(60))
			if r.IntN(2) == 0 {
				w.remove(key)
			} else {
				w.update(key, make([]byte, 8), 0)
			}
			return nil
		}
		together(t, rounds(), add(a.lookup), add(b.lookup), add(func(key []byte) uintptr { return m.LookupProg(2, key) }), churn)
		sum := uint64(0)
		for i := range uint32(stable) {
			cpus := 1
			if typ.PerCPU() {
				cpus = m.NumCPU()
			}
			for cpu := range cpus {
				sum += *word(m.LookupProg(cpu, keyOf(8, i)))
			}
		}
		require.Equal(t, added.Load(), sum)
		require.EqualValues(t, 3*rounds(), sum)
		checkHash(t, m)
	}
}

// TestHashAccounting: what BPF_NOEXIST let in less what was deleted is what is there, and
// never more than there is room for.
func TestHashAccounting(t *testing.T) {
	const room, keys, workers = 10, 16, 4
	for _, typ := range []maps.Type{maps.Hash, maps.PerCPUHash} {
		m := newMap(t, maps.Spec{Type: typ, KeySize: 8, ValueSize: 8, MaxEntries: room}, workers)
		var in, out, full atomic.Int64
		var fs []func(*rand.Rand) error
		for g := range workers {
			n := newNative(t, m, g, hashOps...)
			update, remove := n.update, n.remove
			if g == 0 {
				update = func(key, value []byte, flags uint64) maps.Errno { return m.UpdateProg(g, key, value, flags) }
				remove = m.DeleteProg
			}
			fs = append(fs, func(r *rand.Rand) error {
				key := keyOf(8, r.Uint32N(keys))
				if r.IntN(5) < 2 {
					if remove(key) == 0 {
						out.Add(1)
					}
					return nil
				}
				switch e := update(key, make([]byte, 8), uint64(maps.UpdateNoExist)); e {
				case 0:
					in.Add(1)
				case maps.E2BIG:
					full.Add(1)
				case maps.EEXIST:
				default:
					return e
				}
				return nil
			})
		}
		together(t, rounds(), fs...)
		require.Len(t, content(t, m), int(in.Load()-out.Load()))
		require.NotZero(t, full.Load())
		checkHash(t, m)
	}
}

// TestLRUConcurrent: eviction by Go among native updates, lookups and deletes.
func TestLRUConcurrent(t *testing.T) {
	for _, room := range []uint32{1, 2, 50} {
		m := newMap(t, maps.Spec{Type: maps.LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: room}, 4)
		var fs []func(*rand.Rand) error
		for g := range 4 {
			n := newNative(t, m, g, hashOps...)
			fs = append(fs, func(r *rand.Rand) error {
				key := keyOf(4, r.Uint32N(3*room))
				switch r.IntN(4) {
				case 0:
					n.remove(key)
				case 1:
					n.lookup(key)
				default:
					return n.update(key, make([]byte, 8), 0).Err()
				}
				return nil
			})
		}
		together(t, rounds(), fs...)
		require.LessOrEqual(t, len(content(t, m)), int(room))
		checkHash(t, m)
	}
}

// TestLPMConcurrent: prefixes that stay are found with their own value while longer and
// shorter ones come and go around them.
func TestLPMConcurrent(t *testing.T) {
	for _, data := range []uint32{4, 6, 16} {
		m := newMap(t, maps.Spec{Type: maps.LPMTrie, KeySize: 4 + data, ValueSize: 8, MaxEntries: 100, Flags: maps.FlagNoPrealloc}, 1)
		prefix := func(bits uint32, b ...byte) []byte { return lpmPrefix(data, bits, b...) }
		for i := range byte(4) {
			require.Zero(t, m.UpdateProg(0, prefix(16, 10, i), pattern(8, uint32(i)), 0))
		}
		a, b := newNative(t, m, 0, leaf.Lookup), newNative(t, m, 0, leaf.Lookup)
		read := func(n *native) func(r *rand.Rand) error {
			return func(r *rand.Rand) error {
				i := byte(r.IntN(4))
				value := n.lookup(prefix(data*8, 10, i, 1, 1))
				if value == 0 {
					return fmt.Errorf("10.%d.1.1 is missing", i)
				}
				// The node is replaced all the time, and its memory reused, for other
				// prefixes too.
				if v := atomic.LoadUint64(word(value)); v%0x0101_0101_0101_0101 != 0 {
					return fmt.Errorf("torn word %x", v)
				}
				return nil
			}
		}
		together(t, rounds(), read(a), read(b), func(r *rand.Rand) error {
			i := byte(r.IntN(4))
			// Around the stable /16, but never between it and 10.i.1.1.
			k := [][]byte{prefix(8, 10), prefix(24, 10, i, 2), prefix(15, 10, i), prefix(24, 10, i, 128), prefix(32, 10, i, 1, 2), prefix(0)}[r.IntN(6)]
			if r.IntN(2) == 0 {
				m.DeleteProg(k)
			} else {
				m.UpdateProg(0, k, pattern(8, 99), 0)
			}
			m.UpdateProg(0, prefix(16, 10, i), pattern(8, uint32(i)), 0)
			return nil
		})
		for i := range byte(4) {
			require.Equal(t, pattern(8, uint32(i)), at(a.lookup(prefix(data*8, 10, i, 1, 1)), 8))
		}
	}
}

// TestRingConcurrent: every record of every producer arrives, whole and in the order that
// the producer reserved them in. The reader sleeps until it is woken.
func TestRingConcurrent(t *testing.T) {
	m := newMap(t, maps.Spec{Type: maps.RingBuf, MaxEntries: 4096}, 4)
	c, err := maps.NewRingConsumer(m)
	require.NoError(t, err)
	defer c.Close()
	const producers = 4
	var fs []func(*rand.Rand) error
	for g := range producers {
		n := newNative(t, m, g, leaf.Reserve, leaf.Submit, leaf.Discard)
		i := uint32(0)
		fs = append(fs, func(r *rand.Rand) error {
			for {
				size := 16 + r.Uint64N(300)
				var record uintptr
				if g == 0 {
					record, _ = m.ReserveProg(size)
				} else {
					record = n.reserve(size)
				}
				switch {
				case record == 0:
					time.Sleep(time.Microsecond)
					continue
				case r.IntN(4) == 0:
					n.giveBack(leaf.Discard, record, 0)
					continue
				}
				b := at(record, uint32(size))
				for j := range b {
					b[j] = byte(i)
				}
				binary.NativeEndian.PutUint32(b, uint32(g))
				binary.NativeEndian.PutUint32(b[4:], i)
				i++
				if g == 0 {
					return m.SubmitProg(record, 0).Err()
				}
				return n.giveBack(leaf.Submit, record, 0).Err()
			}
		})
	}
	var reader sync.WaitGroup
	reader.Go(func() {
		var next [producers]uint32
		var buf []byte
		for n := 0; n < producers*rounds(); {
			rec, ok := c.Next(buf[:0])
			if !ok {
				select {
				case <-c.C():
				case <-time.After(20 * time.Second):
					t.Errorf("not woken: %d records, %v", n, next)
					return
				}
				continue
			}
			buf = rec
			g, i := binary.NativeEndian.Uint32(rec), binary.NativeEndian.Uint32(rec[4:])
			if next[g] != i || !bytes.Equal(rec[8:], bytes.Repeat([]byte{byte(i)}, len(rec)-8)) {
				t.Errorf("record %d of producer %d, want %d: %x", i, g, next[g], rec)
			}
			next[g]++
			n++
		}
	})
	together(t, rounds(), fs...)
	reader.Wait()
	require.Zero(t, m.QueryProg(maps.RingQueryAvail))
}

// TestFromCode calls a leaf from machine code that the runtime knows nothing of, as
// compiled programs do, while the profiler interrupts it and the collector waits for it.
func TestFromCode(t *testing.T) {
	m := newMap(t, maps.Spec{Type: maps.Hash, KeySize: 20, ValueSize: 8, MaxEntries: 4}, 1)
	key := newBuffer(t, 20)
	require.Zero(t, m.UpdateProg(0, keyOf(20, 1), make([]byte, 8), 0))
	entry, ok := leaf.For(m, leaf.Lookup)
	require.True(t, ok)

	const calls = 10000
	imm := func(code []byte, v uint64) []byte { return binary.LittleEndian.AppendUint64(code, v) }
	b := []byte{0x53}                                     // push rbx
	b = append(b, 0xbb)                                   // mov ebx, calls
	b = binary.LittleEndian.AppendUint32(b, calls)        //
	loop := len(b)                                        //
	b = imm(append(b, 0x48, 0xbf), m.Addr())              // mov rdi, map
	b = imm(append(b, 0x48, 0xbe), key.put(keyOf(20, 1))) // mov rsi, key
	b = imm(append(b, 0x48, 0xb8), uint64(entry))         // mov rax, leaf
	b = append(b, 0xff, 0xd0)                             // call rax
	b = append(b, 0xff, 0xcb)                             // dec ebx
	b = append(b, 0x75, byte(loop-len(b)-2))              // jnz loop
	b = append(b, 0x5b, 0xc3)                             // pop rbx; ret
	code, err := mem.NewCode(b)
	if err != nil {
		t.Skip(err)
	}
	defer func() { require.NoError(t, code.Release()) }()
	want := uint64(m.LookupProg(0, keyOf(20, 1)))
	call := func(*rand.Rand) error {
		if got := leaftest.Call(code.Addr(), &leaftest.Regs{}); got != want {
			return fmt.Errorf("%#x, want %#x", got, want)
		}
		return nil
	}
	together(t, rounds()/10, call, call)
}
