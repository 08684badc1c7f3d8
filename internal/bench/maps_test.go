package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
)

// mapRow is an operation on a map that a program does again and again, each time with
// another key.
type mapRow struct {
	name string
	spec maps.Spec
	bar  string // what is asked of the ratio to Linux
	text string // of one operation; the key is at r10-16, a value at r10-24
}

const (
	lookupText = "r1 = map[m]\nr2 = r10\nr2 += -16\ncall bpf_map_lookup_elem\nif r0 == 0 goto out\nr1 = *(u64 *)(r0 + 0)\nr8 += r1"
	updateText = "r1 = map[m]\nr2 = r10\nr2 += -16\nr3 = r10\nr3 += -24\nr4 = 0\ncall bpf_map_update_elem\nif r0 != 0 goto out"
	recordText = "r1 = map[m]\nr2 = 16\nr3 = 0\ncall bpf_ringbuf_reserve\nif r0 == 0 goto out\n*(u64 *)(r0 + 0) = r7\nr1 = r0\nr2 = 1\ncall bpf_ringbuf_submit"
)

var mapRows = []mapRow{
	{"array lookup", maps.Spec{Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 10000}, "+0.5ns", lookupText},
	{"percpu array", maps.Spec{Type: maps.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 10000}, "+0.5ns", lookupText},
	{"hash lookup", maps.Spec{Type: maps.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}, "0.70", lookupText},
	{"hash update", maps.Spec{Type: maps.Hash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}, "0.50", updateText},
	{"percpu hash", maps.Spec{Type: maps.PerCPUHash, KeySize: 8, ValueSize: 8, MaxEntries: 10000}, "0.70", lookupText},
	{"lru lookup", maps.Spec{Type: maps.LRUHash, KeySize: 8, ValueSize: 8, MaxEntries: 40000}, "0.70", lookupText},
	{"lpm lookup", maps.Spec{Type: maps.LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 1000, Flags: maps.FlagNoPrealloc}, "0.70", lookupText},
	{"ring buffer", maps.Spec{Type: maps.RingBuf, MaxEntries: 1 << 20}, "-", recordText},
}

// keyFactor spreads numbers over 32 bits.
const keyFactor = 0x9e3779b1

// operations is how often a program does its operation: as often as both verifiers follow.
func (r *mapRow) operations() int { return min(int(r.spec.MaxEntries), 4000) }

// entries is how many elements the map has; an LRU map has room for more, so that none of
// them goes.
func (r *mapRow) entries() uint32 { return min(r.spec.MaxEntries, 10000) }

// program returns the program that does the operation, or one that only makes the keys.
func (r *mapRow) program(t testing.TB, with bool) asm.Instructions {
	var key string
	switch r.spec.Type {
	case maps.Array, maps.PerCPUArray:
		key = "*(u32 *)(r10 - 16) = r7"
	case maps.LPMTrie:
		key = fmt.Sprintf("r1 = r7\nw1 *= %d\n*(u32 *)(r10 - 12) = r1\n*(u32 *)(r10 - 16) = 32", keyFactor-1<<32)
	default:
		key = fmt.Sprintf("r1 = r7\nw1 *= %d\n*(u64 *)(r10 - 16) = r1\n*(u64 *)(r10 - 24) = r7", keyFactor-1<<32)
	}
	text := r.text
	if !with {
		text = "if r7 == -1 goto out" // never
	}
	insns, err := asm.Parse(fmt.Sprintf("r7 = 0\nr8 = 0\nnext:\n%s\n%s\nr7 += 1\nif r7 < %d goto next\nr0 = 0\nexit\nout: r0 = 1\nexit",
		key, text, r.operations()))
	require.NoError(t, err)
	return insns
}

// elements calls put with all keys that the program looks up.
func (r *mapRow) elements(put func(key []byte)) {
	if r.spec.Type == maps.RingBuf {
		return
	}
	for i := range r.entries() {
		key := make([]byte, r.spec.KeySize)
		switch r.spec.Type {
		case maps.Array, maps.PerCPUArray:
			binary.NativeEndian.PutUint32(key, i)
		case maps.LPMTrie:
			binary.NativeEndian.PutUint32(key, 8+i%25)
			binary.NativeEndian.PutUint32(key[4:], i*keyFactor)
		default:
			binary.NativeEndian.PutUint64(key, uint64(i*keyFactor))
		}
		put(key)
	}
}

// load returns the row's programs, with and without the operation, and what empties the ring.
func (r *mapRow) load(t testing.TB, v *sandbpf.VM) (with, without *sandbpf.Program, drain func()) {
	m, err := v.NewMap(&r.spec)
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	r.elements(func(key []byte) {
		for cpu := range v.NumCPU() {
			require.Zero(t, m.UpdateProg(cpu, key, make([]byte, r.spec.ValueSize), 0))
		}
	})
	drain = func() {}
	if r.spec.Type == maps.RingBuf {
		c, err := maps.NewRingConsumer(m)
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		buf := make([]byte, 0, 64)
		drain = func() {
			for more := true; more; {
				_, more = c.Next(buf)
			}
		}
	}
	one := func(with bool) *sandbpf.Program {
		p, err := v.LoadProgram(&sandbpf.ProgramSpec{Name: "row", Type: sandbpf.XDP, License: "GPL", Instructions: r.program(t, with)},
			map[string]*maps.Map{"m": m})
		require.NoError(t, err)
		t.Cleanup(func() { p.Close() })
		return p
	}
	return one(true), one(false), drain
}

// loadLinux is load for the kernel.
func (r *mapRow) loadLinux(t testing.TB) (with, without *kernel.Loaded, m *ebpf.Map) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.MapType(r.spec.Type), KeySize: r.spec.KeySize, // the same numbers
		ValueSize: r.spec.ValueSize, MaxEntries: r.spec.MaxEntries, Flags: r.spec.Flags})
	require.NoError(t, err)
	t.Cleanup(func() { m.Close() })
	r.elements(func(key []byte) {
		var value any = make([]byte, r.spec.ValueSize)
		if r.spec.Type.PerCPU() {
			value = make([]uint64, ebpf.MustPossibleCPU())
		}
		require.NoError(t, m.Put(key, value))
	})
	one := func(with bool) *kernel.Loaded {
		insns, err := r.program(t, with).Resolve()
		require.NoError(t, err)
		var raw []byte
		for _, ins := range insns {
			if ins.Reference() != "" {
				ins.Imm, ins.Src = 0, asm.PseudoMapFD
			}
			raw = ins.AppendBinary(raw, hostOrder())
		}
		l, err := kernel.Load(kernel.Prog{Type: ebpf.XDP, Insns: raw, Maps: []*ebpf.Map{m}})
		require.NoError(t, err)
		t.Cleanup(func() { l.Close() })
		require.True(t, l.Accepted(), l.Log)
		return l
	}
	return one(true), one(false), m
}

// mapRounds is how often each side is measured, in turns.
const mapRounds = 15

// once returns the time of a run of p in nanoseconds, the best of a few.
func once(t testing.TB, p hooks.Program, data []byte, drain func()) float64 {
	best := 0.0
	for i := range 5 {
		run := hooks.TestRun{Data: data, Repeat: 1}
		require.NoError(t, hooks.Test(context.Background(), p, &run))
		require.Zero(t, run.Ret)
		drain()
		if ns := float64(run.Duration.Nanoseconds()); i == 0 || ns < best {
			best = ns
		}
	}
	return best
}

func onceLinux(t testing.TB, l *kernel.Loaded, data []byte, drain func()) float64 {
	best := 0.0
	for i := range 5 {
		res, err := l.Run(data, nil, 1)
		require.NoError(t, err)
		require.Zero(t, res.Ret)
		drain()
		if ns := float64(res.Duration.Nanoseconds()); i == 0 || ns < best {
			best = ns
		}
	}
	return best
}

// BenchmarkMaps times operations on maps in loops of compiled programs, the loop alone taken
// off, beside the same bytes in Linux.
func BenchmarkMaps(b *testing.B) {
	if b.N > 1 { // it times itself
		return
	}
	if err := jit.Available(); err != nil {
		b.Skip(err)
	}
	fmt.Printf("\n%-14s %10s %10s %10s %8s %6s\n", "operation", "interp ns", "jit ns", "linux ns", "ratio", "bar")
	var ratios []float64
	for i := range mapRows {
		r := &mapRows[i]
		row := r.measure(b)
		var out strings.Builder
		fmt.Fprintf(&out, "%-14s %10.1f %10.2f", r.name, row.interp, row.jit)
		column(&out, "%10.2f", row.linux, "%8.2f", row.jit/row.linux)
		fmt.Printf("%s %6s\n", &out, r.bar)
		if row.linux > 0 {
			ratios = append(ratios, row.jit/row.linux)
		}
	}
	if len(ratios) > 0 {
		fmt.Printf("geomean maps jit/linux: %.3f\n", geomean(ratios))
	}
}

// measure returns the medians for one operation.
func (r *mapRow) measure(b *testing.B) (row times) {
	data := packet(b)
	interpWith, interpWithout, interpDrain := r.load(b, newVM(b, sandbpf.Interpreter))
	with, without, drain := r.load(b, newVM(b, sandbpf.JIT))
	linux := r.linuxTime(b, data)
	n := float64(r.operations())
	var interp, native, theirs []float64
	for range mapRounds {
		interp = append(interp, (once(b, interpWith, data, interpDrain)-once(b, interpWithout, data, interpDrain))/n)
		native = append(native, (once(b, with, data, drain)-once(b, without, data, drain))/n)
		if linux != nil {
			theirs = append(theirs, linux()/n)
		}
	}
	row.interp, row.jit = median(interp), median(native)
	if theirs != nil {
		row.linux = median(theirs)
	}
	return row
}

// linuxTime returns what measures all operations of a run in Linux, nil if there is no
// kernel to ask.
func (r *mapRow) linuxTime(b *testing.B, data []byte) func() float64 {
	if kernel.Available() != nil {
		return nil
	}
	with, without, m := r.loadLinux(b)
	drain := func() {}
	if r.spec.Type == maps.RingBuf {
		drain = drainLinux(b, m)
	}
	return func() float64 { return onceLinux(b, with, data, drain) - onceLinux(b, without, data, drain) }
}

// BenchmarkTwoCPUs compares the events of two goroutines on two virtual CPUs, on the same
// program and maps, with those of one.
func BenchmarkTwoCPUs(b *testing.B) {
	if b.N > 1 { // it times itself
		return
	}
	v, err := sandbpf.New(sandbpf.WithCPUs(2))
	require.NoError(b, err)
	b.Cleanup(func() { v.Close() })
	p, _, _ := mapRows[2].load(b, v)
	data := packet(b)
	var ratios []float64
	for range mapRounds {
		one := eventsOf(b, p, data, 1)
		ratios = append(ratios, float64(eventsOf(b, p, data, 2))/float64(one))
	}
	fmt.Printf("\ntwo goroutines on two CPUs: %.2f times the events of one (bar: at least 1.90)\n", median(ratios))
}

// eventsOf returns how many runs some goroutines make in a while.
func eventsOf(t testing.TB, p *sandbpf.Program, data []byte, goroutines int) uint64 {
	before := p.Stats().Runs
	end := time.Now().Add(20 * time.Millisecond)
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			cpu, err := p.VM().Acquire()
			if err != nil {
				t.Error(err)
				return
			}
			defer cpu.Release()
			run := hooks.TestRun{Data: data}
			for time.Now().Before(end) {
				if err := p.RunOn(context.Background(), cpu, &run); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return p.Stats().Runs - before
}
