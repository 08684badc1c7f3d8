package helper

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// playground is a workbench with one map of each kind, and memory that the
// program was not given or may not write.
type playground struct {
	*workbench
	foreign  *mem.Arena
	readonly *maps.Map
	inner    *maps.Map
	records  []uint64
	calls    int
}

const canary = 0xa5

func newPlayground(t testing.TB) *playground {
	p := &playground{workbench: newWorkbench(t, vm.Options{Seed: 1, Clock: func() uint64 { return 12345678 }})}
	for _, s := range []*maps.Spec{
		{Type: maps.Hash, KeySize: 8, ValueSize: 16, MaxEntries: 8},
		{Type: maps.Array, KeySize: 4, ValueSize: 32, MaxEntries: 4},
		{Type: maps.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 2},
		{Type: maps.LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: 4},
		{Type: maps.LPMTrie, KeySize: 8, ValueSize: 4, MaxEntries: 8, Flags: maps.FlagNoPrealloc},
		{Type: maps.Queue, ValueSize: 8, MaxEntries: 4},
		{Type: maps.RingBuf, MaxEntries: 4096},
		{Type: maps.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 1},
		{Type: maps.DevMap, KeySize: 4, ValueSize: 8, MaxEntries: 4},
		{Type: maps.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2,
			InnerMap: &maps.Spec{Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2}},
		{Type: maps.Hash, KeySize: 600, ValueSize: 8, MaxEntries: 2},
	} {
		p.addMap(t, s)
	}
	var err error
	p.inner, err = maps.New(&maps.Spec{Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.inner.Close()) })
	require.NoError(t, p.maps[10].Put(uint32(1), p.inner))
	p.readonly = p.addMap(t, &maps.Spec{Type: maps.Array, KeySize: 4, ValueSize: 64, MaxEntries: 1, Flags: maps.FlagRdonlyProg})
	require.NoError(t, p.readonly.Put(uint32(0), p.constant()))
	p.foreign, err = mem.New(4096)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.foreign.Close()) })
	b := p.foreign.Bytes()
	for i := range b {
		b[i] = canary
	}
	p.c.Call = p.call
	return p
}

// constant is what the read-only map holds: a format, and what it is followed by.
func (p *playground) constant() []byte {
	return append([]byte("%d %s %pI4 %lx\x00 -0x12 hello\x00"), make([]byte, 64-28)...)
}

var errEnough = errors.New("enough callbacks")

// call is a callback that ends loops sooner or later.
func (p *playground) call(fn uint64, _ *[5]uint64) (uint64, error) {
	if p.calls++; p.calls > 64 {
		return 0, errEnough
	}
	return fn >> 3 & 1, nil
}

// value makes an argument of two bytes of input: often one that fits.
func (p *playground) value(kind, n byte) uint64 {
	off := uint64(n)
	switch kind % 16 {
	case 0:
		return p.c.CtxAddr()
	case 1:
		return p.addr + off*2
	case 2:
		return p.c.FramePointer(0) - off*2
	case 3, 4:
		return p.maps[int(n)%len(p.maps)].Addr()
	case 5:
		return p.c.Ptrs[int(n)%4] + off/4
	case 6:
		return uint64(p.foreign.Addr()) + off
	case 7:
		return uint64(p.readonly.LookupProg(0, make([]byte, 4))) + off/2
	case 8:
		if len(p.records) > 0 {
			return p.records[int(n)%len(p.records)]
		}
		return 0
	case 9, 10, 11:
		return off
	case 12:
		return -off
	case 13:
		return 1 << (n % 64)
	case 14:
		return off * 0x0101010101010101
	}
	return p.c.CtxAddr() + off
}

// check asserts what no helper may break.
func (p *playground) check(t *testing.T, id asm.BuiltinFunc) {
	require.Equal(t, bytes.Repeat([]byte{canary}, p.foreign.Size()), p.foreign.Bytes(), "helper %d wrote foreign memory", id)
	var b []byte
	require.NoError(t, p.readonly.Lookup(uint32(0), &b))
	require.Equal(t, p.constant(), b, "helper %d wrote read-only memory", id)
	k := &p.e.Packet
	require.True(t, 0 <= k.meta && k.meta <= k.data && k.data <= k.end && k.end <= k.frame && k.frame <= len(k.buf),
		"helper %d: packet %d %d %d %d %d", id, k.meta, k.data, k.end, k.frame, len(k.buf))
	base := uint64(k.arena.Addr())
	require.Equal(t, [3]uint64{base + uint64(k.data), base + uint64(k.end), base + uint64(k.meta)}, [3]uint64(p.c.Ptrs[:3]), "helper %d", id)
	require.True(t, k.low <= k.meta && k.end <= k.high, "helper %d: zero bytes", id)
}

// Whatever programs pass to helpers, they return a number or a fault, and
// touch only what the program was given.
func FuzzHelpers(f *testing.F) {
	frame := bytes.Repeat([]byte{0x45, 0, 8, 0x81}, 30)
	copy(frame[12:], []byte{8, 0, 0x45, 0, 0, 100, 0, 0, 0, 0, 64, 17})
	ids := bodyIDs()
	for i := range ids {
		f.Add([]byte{byte(i), 0, 0, 1, 0, 1, 30, 9, 8, 9, 0, byte(i), 3, 1, 1, 0, 1, 30, 9, 8, 9, 0}, frame, i%2 == 0)
		f.Add([]byte{byte(i), 0, 0, 9, 14, 1, 30, 9, 8, 9, 0, byte(i), 1, 0, 9, 8, 7, 0, 9, 0, 9, 0}, frame, i%2 == 1)
	}
	p := newPlayground(f)
	f.Fuzz(func(t *testing.T, ops, frame []byte, xdp bool) {
		if len(frame) > 1<<16 {
			return
		}
		frame = append(frame, make([]byte, max(0, ethHeader-len(frame)))...)
		typ := "sched_cls"
		if xdp {
			typ = "xdp"
		}
		p.begin(t, typ, frame)
		p.e.SKB.Csum = CsumState(len(ops) % 4)
		p.e.SKB.GSOSize = uint32(len(frame) % 3)
		p.calls, p.records = 0, p.records[:0]
		for n := 0; len(ops) >= 11 && n < 100; n++ {
			id := ids[int(ops[0])%len(ids)]
			var args [5]uint64
			for i := range args {
				args[i] = p.value(ops[1+2*i], ops[2+2*i])
			}
			ops = ops[11:]
			r0, err := bodies[id](p.c, &args)
			var fault *vm.Fault
			if err != nil && err != errEnough {
				require.ErrorAs(t, err, &fault, "helper %d", id)
			}
			if id == asm.FnRingbufReserve && r0 != 0 {
				p.records = append(p.records, r0)
			}
			p.check(t, id)
		}
		p.c.End(Abandon)
		p.maps[7].QueryProg(0)
	})
}

// Formats of any bytes are printed within their buffer, or refused.
func FuzzFormat(f *testing.F) {
	for _, s := range []string{"%d %s", "%-08llx%pI6%c", "%5%", "%pks%pus%pB", "é%+ d", "%8388607d%s"} {
		f.Add([]byte(s), []byte("abcdefghijklmnopqrstuvwx"), uint16(20))
	}
	w := newWorkbench(f, vm.Options{})
	f.Fuzz(func(t *testing.T, format, args []byte, size uint16) {
		w.begin(t, "xdp", make([]byte, 60))
		var values []uint64
		for len(args) >= 8 && len(values) < printArgs {
			values = append(values, w.addr^binary.LittleEndian.Uint64(args)&0xff)
			args = args[8:]
		}
		format, _, _ = bytes.Cut(format, []byte{0})
		var p printer
		if p.prepare(w.c, format, values) != 0 {
			return
		}
		size %= 2048
		buf := bytes.Repeat([]byte{canary}, int(size)+8)
		n := p.print(buf[:size:size])
		require.Equal(t, bytes.Repeat([]byte{canary}, 8), buf[size:])
		if size > 0 {
			require.Zero(t, buf[min(n, int(size)-1)])
		}
	})
}
