package helper

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// What helpers grow a packet into holds nothing of the packets before it.
func TestRoomIsClear(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	full := bytes.Repeat([]byte{0xff}, 3000)
	for range 2 {
		w.begin(t, "xdp", full)
		require.Zero(t, w.must(t, asm.FnXdpAdjustHead, w.c.CtxAddr(), neg(200)))
		copy(w.e.Packet.Bytes(), full)
		w.begin(t, "xdp", frame(60))
		require.Zero(t, w.must(t, asm.FnXdpAdjustMeta, w.c.CtxAddr(), neg(100)))
		require.Equal(t, make([]byte, 100), w.e.Packet.Metadata())
		require.Zero(t, w.must(t, asm.FnXdpAdjustHead, w.c.CtxAddr(), neg(100)))
		require.Equal(t, append(make([]byte, 100), frame(60)...), w.e.Packet.Bytes())
		require.Zero(t, w.must(t, asm.FnXdpAdjustTail, w.c.CtxAddr(), 3000))
		require.Equal(t, make([]byte, 3000), w.e.Packet.Bytes()[160:])

		w.begin(t, "sched_cls", full)
		w.begin(t, "sched_cls", frame(60))
		require.Zero(t, w.must(t, asm.FnSkbChangeHead, w.c.CtxAddr(), 500, 0))
		require.Zero(t, w.must(t, asm.FnSkbChangeTail, w.c.CtxAddr(), 2000, 0))
		require.Equal(t, append(append(make([]byte, 500), frame(60)...), make([]byte, 1440)...), w.e.Packet.Bytes())
	}
}

// The windows of the run and the context's pointers follow the packet.
func TestPublish(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	w.begin(t, "xdp", frame(60))
	data, end := w.c.Ptrs[PtrData], w.c.Ptrs[PtrDataEnd]
	require.EqualValues(t, 60, end-data)
	require.Zero(t, w.must(t, asm.FnXdpAdjustTail, w.c.CtxAddr(), neg(20)))
	_, err := w.c.Bytes(data, 40, mem.ReadWrite)
	require.NoError(t, err)
	_, err = w.c.Bytes(data, 41, mem.Read)
	require.ErrorIs(t, err, vm.ErrAccess)
	require.Equal(t, data+40, w.c.Ptrs[PtrDataEnd])
	require.Zero(t, w.must(t, asm.FnXdpAdjustMeta, w.c.CtxAddr(), neg(8)))
	require.Equal(t, data-8, w.c.Ptrs[PtrDataMeta])
	_, err = w.c.Bytes(data-8, 8, mem.ReadWrite)
	require.NoError(t, err)
}

// An skb grows beyond its headroom, and beyond its buffer.
func TestSlide(t *testing.T) {
	w := newWorkbench(t, vm.Options{})
	w.begin(t, "sched_cls", frame(60))
	want := frame(60)
	for range 30 {
		require.Zero(t, w.must(t, asm.FnSkbChangeHead, w.c.CtxAddr(), 500, 0))
		want = append(make([]byte, 500), want...)
		require.Equal(t, want, w.e.Packet.Bytes())
	}
	require.Zero(t, w.must(t, asm.FnSkbLoadBytesRelative, w.c.CtxAddr(), 0, w.addr, 46, 1))
	require.Equal(t, frame(60)[14:], w.bytes(t, 0, 46))
	for range 2000 { // a packet that moves on does not take its buffer along
		n := uint64(w.e.Packet.Len())
		require.Zero(t, w.must(t, asm.FnSkbChangeTail, w.c.CtxAddr(), n+20, 0))
		require.Zero(t, w.must(t, asm.FnSkbAdjustRoom, w.c.CtxAddr(), neg(20), 1, 0))
	}
	require.Equal(t, make([]byte, 15000), w.e.Packet.Bytes()[:15000])
	require.Less(t, len(w.e.Packet.buf), 3*SKBMaxLen)
	w.e.SKB.GSOSize = 100 // no limit but memory
	for w.must(t, asm.FnSkbChangeHead, w.c.CtxAddr(), 30000, 0) == 0 {
		require.LessOrEqual(t, w.e.Packet.Len(), maxSKB)
	}
}

func TestLoadRefused(t *testing.T) {
	var e Event
	require.ErrorIs(t, e.LoadSKB(make([]byte, 13), true), ErrPacketSize)
	require.ErrorIs(t, e.Packet.Load(nil, -1, 0), ErrPacketSize)
	require.ErrorIs(t, e.Packet.Load(nil, 0, maxPacket+1), ErrPacketSize)
	require.NoError(t, e.LoadXDP(nil))
	require.ErrorIs(t, e.Packet.SetMetadata(make([]byte, 3)), ErrPacketSize)
	require.EqualError(t, e.Packet.SetMetadata(make([]byte, 3)), "packet metadata: bad packet size: 3 bytes, want a multiple of 4, at most 252")
	require.EqualError(t, e.LoadSKB(make([]byte, 13), true), "an skb: bad packet size: 13 bytes, want an Ethernet header of 14")
	require.ErrorIs(t, e.Packet.SetMetadata(make([]byte, 256)), ErrPacketSize)
	require.NoError(t, e.Packet.SetMetadata([]byte{1, 2, 3, 4}))
	require.Equal(t, []byte{1, 2, 3, 4}, e.Packet.Metadata())
	require.Empty(t, e.Packet.Bytes())
	require.Equal(t, XDPHeadroom-4, e.Packet.Headroom())
	require.NoError(t, e.Packet.Close())
	require.NoError(t, e.Packet.Close())
	require.NoError(t, e.LoadXDP([]byte{1}), "a closed packet can be loaded again")
	require.Equal(t, []byte{1}, e.Packet.Bytes())
	require.NoError(t, e.Packet.Close())
}
