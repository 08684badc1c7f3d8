package leaf_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/leaf"
	"github.com/sandbpf/sandbpf/internal/leaf/leaftest"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/maps"
)

// benchCase is an operation on each key of a map in turn, in an order that has nothing to
// do with that of insertion.
type benchCase struct {
	name string
	op   leaf.Op
	spec maps.Spec
}

var benchCases = []benchCase{
	{"lookup_hash_4", leaf.Lookup, maps.Spec{Type: maps.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 10000}},
	{"lookup_hash_8", leaf.Lookup, maps.Spec{Type: maps.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
	{"lookup_hash_16", leaf.Lookup, maps.Spec{Type: maps.Hash, KeySize: 16, ValueSize: 8, MaxEntries: 10000}},
	{"lookup_hash_20", leaf.Lookup, maps.Spec{Type: maps.Hash, KeySize: 20, ValueSize: 8, MaxEntries: 10000}},
	{"lookup_lru_8", leaf.Lookup, maps.Spec{Type: maps.LRUHash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
	{"lookup_percpu_8", leaf.Lookup, maps.Spec{Type: maps.PerCPUHash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
	{"lookup_lpm_ipv4", leaf.Lookup, maps.Spec{Type: maps.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1000, Flags: maps.FlagNoPrealloc}},
	{"lookup_lpm_ipv6", leaf.Lookup, maps.Spec{Type: maps.LPMTrie, KeySize: 20, ValueSize: 8, MaxEntries: 1000, Flags: maps.FlagNoPrealloc}},
	{"update_hash_8", leaf.Update, maps.Spec{Type: maps.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
	{"update_lru_8", leaf.Update, maps.Spec{Type: maps.LRUHash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
	{"update_percpu_8", leaf.Update, maps.Spec{Type: maps.PerCPUHash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}},
}

// keys returns the keys to insert, one behind the other, and those to look up.
func (c benchCase) keys() (in, ask []byte) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range c.spec.MaxEntries {
		key := make([]byte, c.spec.KeySize)
		if c.spec.Type == maps.LPMTrie {
			for j := range key {
				key[j] = byte(r.Uint32())
			}
			binary.NativeEndian.PutUint32(key, 8+r.Uint32N(25))
		} else {
			binary.NativeEndian.PutUint32(key, i*2654435761)
		}
		in = append(in, key...)
	}
	for _, i := range r.Perm(int(c.spec.MaxEntries)) {
		key := slices.Clone(in[i*int(c.spec.KeySize):][:c.spec.KeySize])
		if c.spec.Type == maps.LPMTrie {
			binary.NativeEndian.PutUint32(key, 8*(c.spec.KeySize-4))
		}
		ask = append(ask, key...)
	}
	return in, ask
}

// passes is how often a round goes through all keys, after a pass that brings the data
// into the caches. Rounds are short, so that few of them are interrupted.
const passes = 2

// BenchmarkMaps measures each operation through the leaf, through Go and in Linux, in turns,
// and reports the medians in ns per operation and their ratios. The leaf's time includes
// the trampoline's loop; Linux's is that of a program with such a loop, less a program
// with the loop alone.
func BenchmarkMaps(b *testing.B) {
	for _, c := range benchCases {
		b.Run(c.name, func(b *testing.B) {
			in, ask := c.keys()
			native, plain := c.ours(b, in, ask)
			linux := c.linux(b, in, ask)
			var times [3][]float64
			for b.Loop() {
				for i, round := range []func() time.Duration{native, plain, linux} {
					if round != nil {
						times[i] = append(times[i], float64(round().Nanoseconds())/float64(passes*c.spec.MaxEntries))
					}
				}
			}
			b.ReportMetric(0, "ns/op") // of rounds
			b.ReportMetric(median(times[0]), "leaf-ns")
			b.ReportMetric(median(times[1]), "go-ns")
			b.ReportMetric(median(times[0])/median(times[1]), "leaf/go")
			if linux != nil {
				b.ReportMetric(median(times[2]), "linux-ns")
				b.ReportMetric(median(times[0])/median(times[2]), "leaf/linux")
			}
		})
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// ours returns how long all keys take through the leaf and through Go.
func (c benchCase) ours(b *testing.B, in, ask []byte) (native, plain func() time.Duration) {
	m := newMap(b, c.spec, 2)
	size := int(c.spec.KeySize)
	for key := range slices.Chunk(in, size) {
		require.Zero(b, m.UpdateProg(0, key, make([]byte, c.spec.ValueSize), 0))
	}
	a, err := mem.New(len(ask) + 8)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, a.Close()) })
	keys, value := a.Bytes()[:len(ask)], a.Bytes()[len(ask):]
	copy(keys, ask)
	entry, ok := leaf.For(m, c.op)
	require.True(b, ok)
	native = func() time.Duration {
		r := leaftest.Regs{DI: m.Addr(), SI: addr(keys), DX: addr(value), R8: 1}
		if c.op == leaf.Update {
			r.AX = leaf.NotHandled
		}
		var start time.Time
		for pass := range 1 + passes {
			if pass == 1 {
				start = time.Now()
			}
			if !leaftest.Loop(entry, &r, int(c.spec.MaxEntries), size) {
				b.Fatal("miss, or update that was not handled")
			}
		}
		return time.Since(start)
	}
	plain = func() time.Duration {
		var start time.Time
		for off := 0; off < (1+passes)*len(keys); off += size {
			if off == len(keys) {
				start = time.Now()
			}
			if key := keys[off%len(keys):][:size]; c.op == leaf.Update {
				if m.UpdateProg(1, key, value, 0) != 0 {
					b.Fatal("update failed")
				}
			} else if m.LookupProg(1, key) == 0 {
				b.Fatal("miss")
			}
		}
		return time.Since(start)
	}
	return native, plain
}

// linux returns how long all keys take in Linux, nil if there is no kernel to ask.
func (c benchCase) linux(b *testing.B, in, ask []byte) func() time.Duration {
	if err := kernel.Available(); err != nil {
		b.Log(err)
		return nil
	}
	// Of the map types here, the numbers are Linux's.
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.MapType(c.spec.Type), KeySize: c.spec.KeySize,
		ValueSize: c.spec.ValueSize, MaxEntries: c.spec.MaxEntries, Flags: c.spec.Flags})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, m.Close()) })
	for key := range slices.Chunk(in, int(c.spec.KeySize)) {
		var value any = make([]byte, 8)
		if c.spec.Type.PerCPU() {
			value = make([]uint64, ebpf.MustPossibleCPU())
		}
		require.NoError(b, m.Put(key, value))
	}
	// All programs find the keys in an array's value, and the new value behind them.
	keys, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(ask)) + 8, MaxEntries: 1})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, keys.Close()) })
	require.NoError(b, keys.Put(uint32(0), append(slices.Clone(ask), make([]byte, 8)...)))

	call := asm.Instructions{asm.LoadMapPtr(asm.R1, 0)}
	if c.op == leaf.Update {
		call = append(call,
			asm.LoadMapValue(asm.R3, 1, uint32(len(ask))),
			asm.Mov.Imm(asm.R4, 0),
			asm.FnMapUpdateElem.Call())
	} else {
		call = append(call, asm.FnMapLookupElem.Call())
	}
	full := linuxLoop(b, m, keys, int(c.spec.KeySize), len(ask), call)
	empty := linuxLoop(b, m, keys, int(c.spec.KeySize), len(ask), nil)
	return func() time.Duration {
		_, err := full.Run(make([]byte, 64), nil, 1)
		require.NoError(b, err)
		with, err := full.Run(make([]byte, 64), nil, passes)
		require.NoError(b, err)
		without, err := empty.Run(make([]byte, 64), nil, passes)
		require.NoError(b, err)
		return passes * (with.Duration - without.Duration)
	}
}

// linuxLoop loads a program that does something with each key of an array's value in turn.
// r2 is the key.
func linuxLoop(b *testing.B, m, keys *ebpf.Map, size, end int, call asm.Instructions) *kernel.Loaded {
	insns := asm.Instructions{
		asm.LoadMapValue(asm.R6, 1, 0),
		asm.Mov.Imm(asm.R7, 0),
		asm.Mov.Reg(asm.R2, asm.R6).WithSymbol("loop"),
		asm.Add.Reg(asm.R2, asm.R7),
	}
	insns = append(insns, call...)
	insns = append(insns,
		asm.Add.Imm(asm.R7, int32(size)),
		asm.JLT.Imm(asm.R7, int32(end), "loop"),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return())
	var raw bytes.Buffer
	require.NoError(b, insns.Marshal(&raw, binary.LittleEndian))
	l, err := kernel.Load(kernel.Prog{Type: ebpf.SocketFilter, Insns: raw.Bytes(), Maps: []*ebpf.Map{m, keys}})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, l.Close()) })
	require.True(b, l.Accepted(), l.Log)
	return l
}

// BenchmarkReserve measures the reservation of records of 64 bytes, as BenchmarkMaps does.
func BenchmarkReserve(b *testing.B) {
	const records = 1000
	m := newMap(b, maps.Spec{Type: maps.RingBuf, MaxEntries: 1 << 20}, 1)
	entry, ok := leaf.For(m, leaf.Reserve)
	require.True(b, ok)
	c, err := maps.NewRingConsumer(m)
	require.NoError(b, err)
	defer c.Close()
	// discard gives all records back and reads up to the end.
	discard := func() {
		for pos := m.QueryProg(maps.RingQueryConsumer); pos < m.QueryProg(maps.RingQueryProducer); pos += 72 {
			record := m.Header().Base + pos&uint64(m.Header().Mask) + 8
			require.Zero(b, m.DiscardProg(uintptr(record), maps.RingNoWakeup))
		}
		_, ok := c.Next(nil)
		require.False(b, ok)
		_, e := m.ReserveProg(64) // takes notice of what was given back
		require.Zero(b, e)
	}
	var native, plain []float64
	for b.Loop() {
		discard()
		start := time.Now()
		ok := leaftest.Loop(entry, &leaftest.Regs{DI: m.Addr(), SI: 64}, records, 0)
		native = append(native, float64(time.Since(start).Nanoseconds())/records)
		require.True(b, ok)
		discard()
		start = time.Now()
		for range records {
			if _, e := m.ReserveProg(64); e != 0 {
				b.Fatal(e)
			}
		}
		plain = append(plain, float64(time.Since(start).Nanoseconds())/records)
	}
	b.ReportMetric(0, "ns/op") // of rounds
	b.ReportMetric(median(native), "leaf-ns")
	b.ReportMetric(median(plain), "go-ns")
	b.ReportMetric(median(native)/median(plain), "leaf/go")
}
