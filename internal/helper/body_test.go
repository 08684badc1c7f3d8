package helper

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/maps/perf"
	"github.com/sandbpf/sandbpf/maps/ringbuf"
)

// frame is an Ethernet frame of n bytes that count up from the network header.
func frame(n int) []byte {
	b := make([]byte, n)
	copy(b[12:], []byte{8, 0})
	for i := ethHeader; i < n; i++ {
		b[i] = byte(i)
	}
	return b
}

// must calls a helper that has to return.
func (w *workbench) must(t testing.TB, id asm.BuiltinFunc, args ...uint64) uint64 {
	t.Helper()
	var a [5]uint64
	copy(a[:], args)
	r0, err := Bodies(id)(w.c, &a)
	require.NoError(t, err)
	return r0
}

// fails calls a helper that has to stop the run.
func (w *workbench) fails(t testing.TB, want error, id asm.BuiltinFunc, args ...uint64) {
	t.Helper()
	var a [5]uint64
	copy(a[:], args)
	_, err := Bodies(id)(w.c, &a)
	require.ErrorIs(t, err, want)
	var fault *vm.Fault
	require.ErrorAs(t, err, &fault)
}

func (w *workbench) bytes(t testing.TB, off, n int) []byte {
	b, err := w.c.Bytes(w.addr+uint64(off), n, mem.ReadWrite)
	require.NoError(t, err)
	return b
}

func TestLoop(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	var seen [][2]uint64
	w.c.Call = func(fn uint64, a *[5]uint64) (uint64, error) {
		require.EqualValues(t, 77, fn)
		seen = append(seen, [2]uint64{a[0], a[1]})
		if a[0] == 2 {
			return 1, nil
		}
		return 0, nil
	}
	require.EqualValues(t, 2, w.must(t, asm.FnLoop, 2, 77, 5, 0))
	require.Equal(t, [][2]uint64{{0, 5}, {1, 5}}, seen)
	require.EqualValues(t, 3, w.must(t, asm.FnLoop, 10, 77, 5, 0), "the call that stops counts")
	require.EqualValues(t, 0, w.must(t, asm.FnLoop, 1<<32, 77, 5, 0), "the count has 32 bits")
	require.Equal(t, errno(maps.EINVAL), w.must(t, asm.FnLoop, 2, 77, 5, 1))
	require.Equal(t, errno(maps.E2BIG), w.must(t, asm.FnLoop, maxLoops+1, 77, 5, 0))

	w.c.Call = func(uint64, *[5]uint64) (uint64, error) { return 0, &vm.Fault{Err: vm.ErrBudget} }
	w.fails(t, vm.ErrBudget, asm.FnLoop, 2, 77, 5, 0)
}

func TestForEach(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	m := w.addMap(t, &maps.Spec{Type: maps.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 8})
	for k := range uint32(3) {
		require.NoError(t, m.Put(k, uint64(k)*100))
	}
	got, stop := map[uint32]uint64{}, -1
	var keyAddr uint64
	w.c.Call = func(fn uint64, a *[5]uint64) (uint64, error) {
		require.Equal(t, m.Addr(), a[0])
		require.EqualValues(t, 9, a[3])
		key, err := w.c.Bytes(a[1], 4, mem.Read)
		require.NoError(t, err)
		_, err = w.c.Bytes(a[1], 4, mem.Write)
		require.ErrorIs(t, err, vm.ErrPermission)
		value, err := w.c.Bytes(a[2], 8, mem.ReadWrite)
		require.NoError(t, err)
		keyAddr = a[1]
		got[binary.NativeEndian.Uint32(key)] = binary.NativeEndian.Uint64(value)
		if len(got) == stop {
			return 1, nil
		}
		return 0, nil
	}
	require.EqualValues(t, 3, w.must(t, asm.FnForEachMapElem, m.Addr(), 1, 9, 0))
	require.Equal(t, map[uint32]uint64{0: 0, 1: 100, 2: 200}, got)
	_, err := w.c.Bytes(keyAddr, 4, mem.Read)
	require.ErrorIs(t, err, vm.ErrAccess, "the key is gone with the call")
	clear(got)
	stop = 2
	require.EqualValues(t, 2, w.must(t, asm.FnForEachMapElem, m.Addr(), 1, 9, 0))
	require.Equal(t, errno(maps.EINVAL), w.must(t, asm.FnForEachMapElem, m.Addr(), 1, 9, 1))

	w.c.Call = func(uint64, *[5]uint64) (uint64, error) { return 0, &vm.Fault{Err: vm.ErrBudget} }
	w.fails(t, vm.ErrBudget, asm.FnForEachMapElem, m.Addr(), 1, 9, 0)
	w.fails(t, vm.ErrHelper, asm.FnForEachMapElem, m.Addr()+8, 1, 9, 0)
}

func TestMapInMap(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	spec := &maps.Spec{Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}
	outer := w.addMap(t, &maps.Spec{Type: maps.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2, InnerMap: spec})
	inner, err := maps.New(spec)
	require.NoError(t, err)
	defer inner.Close()
	require.NoError(t, outer.Put(uint32(1), inner))
	w.begin(t, "xdp", frame(60))
	w.fails(t, vm.ErrHelper, asm.FnMapLookupElem, inner.Addr(), w.addr)
	require.Zero(t, w.must(t, asm.FnMapLookupElem, outer.Addr(), w.addr))
	binary.NativeEndian.PutUint32(w.bytes(t, 4, 4), 1)
	require.Equal(t, inner.Addr(), w.must(t, asm.FnMapLookupElem, outer.Addr(), w.addr+4))
	require.NotZero(t, w.must(t, asm.FnMapLookupElem, inner.Addr(), w.addr))
	w.c.Begin()
	w.fails(t, vm.ErrHelper, asm.FnMapLookupElem, inner.Addr(), w.addr)
}

func TestRingbuf(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	m := w.addMap(t, &maps.Spec{Type: maps.RingBuf, MaxEntries: 4096})
	r, err := ringbuf.NewReader(m)
	require.NoError(t, err)
	defer r.Close()
	w.begin(t, "xdp", frame(60))
	reserve := func(text string) uint64 {
		addr := w.must(t, asm.FnRingbufReserve, m.Addr(), uint64(len(text)), 0)
		require.NotZero(t, addr)
		b, err := w.c.Bytes(addr, len(text), mem.ReadWrite)
		require.NoError(t, err)
		copy(b, text)
		return addr
	}
	kept, dropped := reserve("kept"), reserve("dropped")
	_, err = w.c.Bytes(kept, 5, mem.Read)
	require.ErrorIs(t, err, vm.ErrAccess)
	w.fails(t, vm.ErrHelper, asm.FnRingbufSubmit, kept+8, 0)
	require.Zero(t, w.must(t, asm.FnRingbufDiscard, dropped, 0))
	require.Zero(t, w.must(t, asm.FnRingbufSubmit, kept, 0))
	w.fails(t, vm.ErrHelper, asm.FnRingbufSubmit, kept, 0)
	_, err = w.c.Bytes(kept, 1, mem.Read)
	require.ErrorIs(t, err, vm.ErrReleased)
	reserve("leaked")
	require.Equal(t, 1, w.c.End(Abandon))
	copy(w.bytes(t, 0, 3), "out")
	require.Zero(t, w.must(t, asm.FnRingbufOutput, m.Addr(), w.addr, 3, 0))
	for _, want := range []string{"kept", "out"} {
		rec, err := r.Read()
		require.NoError(t, err)
		require.Equal(t, want, string(rec.RawSample))
	}
	require.Zero(t, w.must(t, asm.FnRingbufReserve, m.Addr(), 8, 1), "flags")
	require.Zero(t, w.must(t, asm.FnRingbufReserve, m.Addr(), 1<<40, 0), "size")
}

func TestPerfEventOutput(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	m := w.addMap(t, &maps.Spec{Type: maps.PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	r, err := perf.NewReader(m, 4096)
	require.NoError(t, err)
	defer r.Close()
	const current = 1<<32 - 1
	for _, typ := range []string{"xdp", "sched_cls"} {
		w.begin(t, typ, frame(60))
		copy(w.bytes(t, 0, 4), "meta")
		require.Zero(t, w.must(t, asm.FnPerfEventOutput, w.c.CtxAddr(), m.Addr(), current|20<<32, w.addr, 4))
		rec, err := r.Read()
		require.NoError(t, err)
		require.Equal(t, append([]byte("meta"), frame(60)[:20]...), rec.RawSample[:24])
	}
	w.c.Event = nil // of a hook without packets
	require.Equal(t, errno(maps.EINVAL), w.must(t, asm.FnPerfEventOutput, w.c.CtxAddr(), m.Addr(), current|20<<32, w.addr, 4))
	w.fails(t, vm.ErrHelper, asm.FnPerfEventOutput, w.c.CtxAddr()+1, m.Addr(), current, w.addr, 4)
}

func TestRedirects(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	dev := w.addMap(t, &maps.Spec{Type: maps.DevMap, KeySize: 4, ValueSize: 8, MaxEntries: 4})
	require.NoError(t, dev.Put(uint32(2), []byte{9, 0, 0, 0, 0, 0, 0, 0}))
	w.begin(t, "xdp", frame(60))
	require.EqualValues(t, xdpRedirect, w.must(t, asm.FnRedirectMap, dev.Addr(), 2, 1))
	require.Equal(t, Redirect{Kind: RedirectMap, Map: dev, Key: 2, Value: [8]byte{9}}, w.e.Redirect)
	require.EqualValues(t, 1, w.must(t, asm.FnRedirectMap, dev.Addr(), 3, 1))
	require.Equal(t, Redirect{}, w.e.Redirect)
	require.EqualValues(t, xdpRedirect, w.must(t, asm.FnRedirectMap, dev.Addr(), 3, 8))
	require.Equal(t, Redirect{Kind: RedirectMap, Map: dev, Key: 3, Flags: 8}, w.e.Redirect)
	require.EqualValues(t, xdpRedirect, w.must(t, asm.FnRedirect, 7, 0))
	require.Equal(t, Redirect{Kind: RedirectDev, Ifindex: 7}, w.e.Redirect)
	w.fails(t, vm.ErrHelper, asm.FnRedirectMap, w.scratch.Addr(), 3, 8)

	w.begin(t, "sched_cls", frame(60))
	require.Equal(t, Redirect{}, w.e.Redirect)
	require.EqualValues(t, tcRedirect, w.must(t, asm.FnRedirect, 7, 1))
	require.Equal(t, Redirect{Kind: RedirectDev, Ifindex: 7, Flags: 1}, w.e.Redirect)
	require.EqualValues(t, tcRedirect, w.must(t, asm.FnRedirectPeer, 8, 0))
	require.Equal(t, "redirect_peer", w.e.Redirect.Kind.String())
	p := w.bytes(t, 0, 20)
	binary.NativeEndian.PutUint32(p, afINET6)
	p[4], p[19] = 0xfe, 1
	require.EqualValues(t, tcRedirect, w.must(t, asm.FnRedirectNeigh, 9, w.addr, 20, 0))
	require.Equal(t, Redirect{Kind: RedirectNeigh, Ifindex: 9,
		Neigh: Neigh{Set: true, Family: afINET6, Addr: [16]byte{0: 0xfe, 15: 1}}}, w.e.Redirect)

	require.Zero(t, w.must(t, asm.FnCloneRedirect, w.c.CtxAddr(), 1, 1))
	require.Zero(t, w.must(t, asm.FnSkbChangeTail, w.c.CtxAddr(), 20, 0))
	require.Equal(t, []Clone{{Ifindex: 1, Flags: 1, Packet: frame(60)}}, w.e.Clones)
}

func TestHost(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	w.begin(t, "sched_cls", frame(60))
	w.e.Host.FIB = func(p []byte, flags uint32) int32 {
		require.Len(t, p, fibParams)
		require.EqualValues(t, 2, flags)
		p[63] = 0xaa
		return 8
	}
	p := w.bytes(t, 0, fibParams)
	p[0] = afINET
	binary.NativeEndian.PutUint32(p[8:], 1)
	require.EqualValues(t, 8, w.must(t, asm.FnFibLookup, w.c.CtxAddr(), w.addr, 64, 2))
	require.EqualValues(t, 0xaa, p[63])
	w.e.Host.FIB = nil
	require.EqualValues(t, fibNotFwded, w.must(t, asm.FnFibLookup, w.c.CtxAddr(), w.addr, 64, 2))

	w.e.Host.Task = func() *Task { return &Task{PID: 2, TGID: 1, UID: 3, GID: 4, Comm: "a name that is too long"} }
	require.Equal(t, uint64(1<<32|2), w.must(t, asm.FnGetCurrentPidTgid))
	require.Equal(t, uint64(4<<32|3), w.must(t, asm.FnGetCurrentUidGid))
	require.Zero(t, w.must(t, asm.FnGetCurrentComm, w.addr, 20))
	require.Equal(t, "a name that is \x00\x00\x00\x00\x00", string(w.bytes(t, 0, 20)))
	require.Zero(t, w.must(t, asm.FnGetCurrentComm, w.addr, 3))
	require.Equal(t, "a \x00ame ", string(w.bytes(t, 0, 7)), "nothing behind the buffer")

	w.e.Host.Realm, w.e.Host.CgroupClass, w.e.Host.SocketCookie, w.e.Host.SocketUID = 5, 6, 7, 8
	require.EqualValues(t, 5, w.must(t, asm.FnGetRouteRealm, w.c.CtxAddr()))
	require.EqualValues(t, 6, w.must(t, asm.FnGetCgroupClassid, w.c.CtxAddr()))
	require.EqualValues(t, 7, w.must(t, asm.FnGetSocketCookie, w.c.CtxAddr()))
	require.EqualValues(t, 8, w.must(t, asm.FnGetSocketUid, w.c.CtxAddr()))
	w.e.Host = nil
	require.EqualValues(t, 65534, w.must(t, asm.FnGetSocketUid, w.c.CtxAddr()))
	require.Zero(t, w.must(t, asm.FnGetCurrentPidTgid), "the idle task")
}

func TestClocks(t *testing.T) {
	now := uint64(10_000_000_001)
	w := newWorkbench(t, vm.Options{Clock: func() uint64 { return now }, Wall: func() uint64 { return 99 }, Seed: 5})
	require.Equal(t, now, w.must(t, asm.FnKtimeGetNs))
	require.Equal(t, now, w.must(t, asm.FnKtimeGetBootNs))
	require.Equal(t, now-1, w.must(t, asm.FnKtimeGetCoarseNs))
	require.EqualValues(t, 99, w.must(t, asm.FnKtimeGetTaiNs))
	require.Equal(t, uint64(1<<32-75000+2500), w.must(t, asm.FnJiffies64))
	require.Zero(t, w.must(t, asm.FnGetSmpProcessorId))
	require.NotEqual(t, w.must(t, asm.FnGetPrandomU32), w.must(t, asm.FnGetPrandomU32))
}

func TestTrace(t *testing.T) {
	var out bytes.Buffer
	w := newWorkbench(t, vm.Options{Trace: &out})
	w.begin(t, "xdp", frame(60))
	copy(w.bytes(t, 0, 40), "%s is %d, %pI4\x00")
	copy(w.bytes(t, 40, 16), "answer\x00\x00\x0a\x00\x00\x01")
	require.EqualValues(t, 22, w.must(t, asm.FnTracePrintk, w.addr, 15, w.addr+40, 42, w.addr+48))
	require.Equal(t, "answer is 42, 10.0.0.1\n", out.String())
	out.Reset()
	list := w.bytes(t, 64, 24)
	for i, v := range []uint64{w.addr + 40, 43, w.addr + 48} {
		binary.NativeEndian.PutUint64(list[i*8:], v)
	}
	require.EqualValues(t, 22, w.must(t, asm.FnTraceVprintk, w.addr, 15, w.addr+64, 24))
	require.Equal(t, "answer is 43, 10.0.0.1\n", out.String())
}

// Strings share 512 bytes with the other arguments.
func TestFormatMemory(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	w.begin(t, "xdp", frame(60))
	long := w.bytes(t, 0, scratchSize)
	for i := range long {
		long[i] = 'a'
	}
	long[scratchSize-1] = 0
	var p printer
	require.Zero(t, p.prepare(w.c, []byte("%s"), []uint64{w.addr}))
	require.Equal(t, 511, p.print(nil))
	for _, format := range []string{"%s%d", "%s%s", "%s%c", "%s%pI4"} {
		p = printer{}
		require.Equal(t, maps.ENOSPC, p.prepare(w.c, []byte(format), []uint64{w.addr, w.addr}), format)
	}
	p = printer{}
	require.Zero(t, p.prepare(w.c, []byte("%s%d%d"), []uint64{w.addr + 10, 1, 2}), "502 bytes, two words")
	p = printer{}
	require.Equal(t, maps.ENOSPC, p.prepare(w.c, []byte("%s%lx%d"), []uint64{w.addr + 7, 1, 2}))
}

// The one's complement sums are those of RFC 1071, computed slowly.
func TestCsumPartial(t *testing.T) {
	slow := func(b []byte) uint16 {
		sum := uint32(0)
		for i, v := range b {
			if i%2 == 0 {
				sum += uint32(v) << 8
			} else {
				sum += uint32(v)
			}
			sum = sum&0xffff + sum>>16
		}
		return uint16(sum)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for n := range 200 {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32() >> (rng.Uint32() % 9))
		}
		var got [2]byte
		binary.NativeEndian.PutUint16(got[:], csumTo16(csumPartial(b, 0)))
		require.Equal(t, slow(b), binary.BigEndian.Uint16(got[:]), "%x", b)
		cut := rng.IntN(n + 1)
		parts := csumAdd(csumPartial(b[:cut], 0), csumBlock(b[cut:], cut))
		require.Equal(t, csumTo16(csumPartial(b, 0)), csumTo16(parts))
	}
}

// With a checksum of the whole packet, helpers keep it right.
func TestCsumComplete(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	w.begin(t, "sched_cls", frame(61))
	copy(w.bytes(t, 0, 7), "changes")
	s := &w.e.SKB
	s.Csum, s.CsumValue = CsumComplete, csumPartial(w.e.Packet.Bytes(), 0)
	check := func(step string) {
		require.Equal(t, csumTo16(csumPartial(w.e.Packet.Bytes(), 0)), csumTo16(s.CsumValue), step)
	}
	ctx := w.c.CtxAddr()
	w.must(t, asm.FnSkbStoreBytes, ctx, 21, w.addr, 7, storeRecomputeCsum)
	check("store at an odd offset")
	w.must(t, asm.FnSkbAdjustRoom, ctx, 20, 1, 0)
	check("room")
	w.must(t, asm.FnSkbStoreBytes, ctx, 14, w.addr, 6, storeRecomputeCsum)
	w.must(t, asm.FnSkbAdjustRoom, ctx, neg(20), 1, 0)
	check("no room")
	w.must(t, asm.FnSkbVlanPush, ctx, 0x81, 5)
	w.must(t, asm.FnSkbVlanPush, ctx, 0x81, 6)
	check("vlan push")
	w.must(t, asm.FnSkbVlanPop, ctx)
	check("vlan pop")
	w.must(t, asm.FnSkbChangeTail, ctx, 31, 0)
	check("shorter")
	w.must(t, asm.FnSkbChangeTail, ctx, 50, 0)
	check("longer")
	require.Equal(t, uint64(csumAdd(s.CsumValue, 5)), w.must(t, asm.FnCsumUpdate, ctx, 5))
}

func neg(n int64) uint64 { return uint64(-n) }

func TestFlowHash(t *testing.T) {
	w := newWorkbench(t, vm.Options{Seed: 3})
	hash := func(b []byte) uint64 {
		w.begin(t, "sched_cls", b)
		return w.must(t, asm.FnGetHashRecalc, w.c.CtxAddr())
	}
	udp := frame(60)
	copy(udp[14:], []byte{0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 3, 4})
	back := bytes.Clone(udp)
	copy(back[26:], []byte{10, 0, 0, 2, 10, 0, 0, 1, 3, 4, 1, 2})
	other := bytes.Clone(udp)
	other[35]++
	require.Equal(t, hash(udp), hash(udp))
	require.Equal(t, hash(udp), hash(back), "both directions")
	require.NotEqual(t, hash(udp), hash(other))
	require.True(t, w.e.SKB.HashL4)
	require.Equal(t, hash(udp), uint64(binary.NativeEndian.Uint32(w.ctx[68:])), "the context shows it")
}

// A helper that needs a packet of one kind refuses others.
func TestWrongEvent(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	w.begin(t, "xdp", frame(60))
	w.fails(t, vm.ErrHelper, asm.FnSkbLoadBytes, w.c.CtxAddr(), 0, w.addr, 4)
	w.begin(t, "sched_cls", frame(60))
	w.fails(t, vm.ErrHelper, asm.FnXdpAdjustHead, w.c.CtxAddr(), 0)
	w.fails(t, vm.ErrHelper, asm.FnSkbLoadBytes, w.c.CtxAddr()+4, 0, w.addr, 4)
	w.fails(t, vm.ErrAccess, asm.FnSkbLoadBytes, w.c.CtxAddr(), 0, w.addr+scratchSize-3, 4)
	w.fails(t, vm.ErrHelper, asm.FnRingbufOutput, w.scratch.Addr()+1, w.addr, 4)
	w.c.Event = 5
	w.fails(t, vm.ErrHelper, asm.FnSkbLoadBytes, w.c.CtxAddr(), 0, w.addr, 4)
	w.fails(t, vm.ErrHelper, asm.FnRedirect, 1, 0)
}

// Memory that programs only write cannot be probed either.
func TestProbeWriteOnly(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	m := w.addMap(t, &maps.Spec{Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: maps.FlagWronlyProg})
	w.begin(t, "xdp", frame(60))
	secret := uint64(m.LookupProg(0, make([]byte, 4)))
	w.bytes(t, 0, 1)[0] = 1
	require.Equal(t, errno(maps.EFAULT), w.must(t, asm.FnProbeReadUser, w.addr, 8, secret))
	require.Zero(t, w.bytes(t, 0, 1)[0])
	require.Equal(t, errno(maps.EFAULT), w.must(t, asm.FnProbeReadUserStr, w.addr, 8, secret))
}

// A format that is overwritten while it is printed ends the text, no more.
func TestFormatOverwritten(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	w.begin(t, "xdp", frame(60))
	copy(w.bytes(t, 0, 60), "%s "+strings.Repeat("x", 50)+"\x00")
	copy(w.bytes(t, 100, 60), strings.Repeat("%d", 25)+"\x00")
	binary.NativeEndian.PutUint64(w.bytes(t, 200, 8), w.addr+100)
	n := w.must(t, asm.FnSnprintf, w.addr, 60, w.addr, w.addr+200, 8)
	require.Less(t, n, uint64(100))
}

// Headers keep their place when bytes come and go before them.
func TestHeaderOffsets(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	w.begin(t, "sched_cls", frame(60))
	ctx := w.c.CtxAddr()
	network := func() []byte {
		require.Zero(t, w.must(t, asm.FnSkbLoadBytesRelative, ctx, 0, w.addr, 20, 1))
		return bytes.Clone(w.bytes(t, 0, 20))
	}
	require.Equal(t, frame(60)[14:34], network())
	w.must(t, asm.FnSkbVlanPush, ctx, 0x81, 5)
	w.must(t, asm.FnSkbVlanPush, ctx, 0x81, 6)
	require.Equal(t, append([]byte{0, 5, 8, 0}, frame(60)[14:30]...), network(), "the tag counts as network header")
	w.must(t, asm.FnSkbVlanPop, ctx)
	require.Equal(t, frame(60)[14:34], network())

	w.e.SKB.Csum, w.e.SKB.CsumStart, w.e.SKB.CsumOffset = CsumPartial, 34, 6
	require.Zero(t, w.must(t, asm.FnSkbChangeHead, ctx, 100, 0))
	require.Equal(t, errno(maps.EINVAL), w.must(t, asm.FnSkbChangeTail, ctx, 141, 0))
	require.Zero(t, w.must(t, asm.FnSkbChangeTail, ctx, 142, 0))
}
