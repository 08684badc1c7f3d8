package hooks_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
)

func parse(t testing.TB, text string) []asm.Instruction {
	t.Helper()
	insns, err := asm.Parse(text)
	require.NoError(t, err)
	return insns
}

// xdpPoint is a point with one program.
func xdpPoint(t testing.TB, v *sandbpf.VM, text string) *hooks.XDPPoint {
	p := hooks.NewXDP("eth0")
	l, err := p.Attach(load(t, v, hooks.XDP, parse(t, text)...))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Detach()) })
	return p
}

func tcPoint(t testing.TB, v *sandbpf.VM, text string) *hooks.TCPoint {
	p := hooks.NewTC("eth0")
	l, err := p.Attach(load(t, v, hooks.SchedCLS, parse(t, text)...))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Detach()) })
	return p
}

func TestXDPEvent(t *testing.T) {
	v := newVM(t)
	pkt := frame(60, 0x0800)
	var res hooks.XDPResult
	p := xdpPoint(t, v, `r0 = *(u32 *)(r1 + 12)
		r2 = *(u32 *)(r1 + 16)
		r2 <<= 8
		r0 |= r2
		r2 = *(u32 *)(r1 + 8)
		r3 = *(u32 *)(r1 + 0)
		r4 = r2
		r4 += 2
		if r4 > r3 goto out
		r2 = *(u8 *)(r2 + 1)
		r2 <<= 16
		r0 |= r2
		out: exit`)
	require.NoError(t, p.Fire(&hooks.XDPEvent{Packet: pkt, Meta: []byte{1, 2, 3, 4}, IngressIfindex: 5, RxQueueIndex: 6}, &res))
	require.Equal(t, hooks.XDPAction(0x020605), res.Action)
	require.Equal(t, "xdp_action(132613)", res.Action.String())
	require.Equal(t, []byte{1, 2, 3, 4}, res.Meta)
	require.Equal(t, pkt, res.Packet)
	require.Error(t, p.Fire(&hooks.XDPEvent{Packet: pkt, Meta: []byte{1, 2, 3}}, &res))
	require.Equal(t, hooks.XDPAborted, res.Action)

	p = xdpPoint(t, v, "r1 = 7\nr2 = 0\ncall bpf_redirect\nexit")
	require.NoError(t, p.Fire(&hooks.XDPEvent{Packet: pkt}, &res))
	require.Equal(t, hooks.XDPRedirect, res.Action)
	require.Equal(t, uint32(7), res.Redirect.Ifindex)
	require.Empty(t, res.Meta)

	p = xdpPoint(t, v, "r1 = 7\nr2 = 0\ncall bpf_redirect\nr0 = 2\nexit")
	require.NoError(t, p.Fire(&hooks.XDPEvent{Packet: pkt}, &res))
	require.Equal(t, hooks.XDPPass, res.Action)
	require.Zero(t, res.Redirect, "the verdict is another")

	// What a program does to the packet, the next one sees.
	p = xdpPoint(t, v, "r2 = -14\ncall bpf_xdp_adjust_head\nr0 = 2\nexit")
	l, err := p.Attach(load(t, v, hooks.XDP, parse(t, "r0 = *(u32 *)(r1 + 4)\nr2 = *(u32 *)(r1 + 0)\nr0 -= r2\nexit")...))
	require.NoError(t, err)
	require.NoError(t, p.Fire(&hooks.XDPEvent{Packet: pkt}, &res))
	require.Equal(t, hooks.XDPAction(74), res.Action)
	require.Len(t, res.Packet, 74)
	require.NoError(t, l.Detach())
}

func TestSKBEvent(t *testing.T) {
	v := newVM(t)
	pkt := frame(60, 0x0800)
	in := hooks.SKBuff{Mark: 1, QueueMapping: 2, VLANPresent: 1, VLANTCI: 0x123, VLANProto: 0x81, Priority: 4, IngressIfindex: 5,
		Ifindex: 6, TCIndex: 7, CB: [5]uint32{8, 9, 10, 11, 12}, Hash: 13, TCClassid: 14, NAPIID: 15, Tstamp: 16,
		GSOSegs: 17, GSOSize: 18, TstampType: 1, HWTstamp: 20}
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		in.VLANProto = 0x8100
	}
	var res hooks.SKBResult
	require.NoError(t, tcPoint(t, v, "r0 = -1\nexit").Fire(&hooks.SKBEvent{Packet: pkt, Ctx: in}, &res))
	want := in
	want.Len, want.WireLen, want.PktType = 60, 60, 3
	want.Protocol = uint32(binary.NativeEndian.Uint16([]byte{8, 0}))
	require.Equal(t, want, res.Ctx)
	require.Equal(t, hooks.TCUnspec, res.Action())

	in.PktType, in.WireLen, in.Protocol = 1, 1500, uint32(binary.NativeEndian.Uint16([]byte{0x86, 0xdd}))
	require.NoError(t, tcPoint(t, v, "r0 = 0\nexit").Fire(&hooks.SKBEvent{Packet: pkt, Ctx: in}, &res))
	want.PktType, want.WireLen, want.Protocol = 1, 1500, in.Protocol
	require.Equal(t, want, res.Ctx)

	require.NoError(t, tcPoint(t, v, "r1 = 9\nr2 = 1\ncall bpf_redirect\nexit").Fire(&hooks.SKBEvent{Packet: pkt}, &res))
	require.Equal(t, hooks.TCRedirect, res.Action())
	require.Equal(t, "TC_ACT_REDIRECT", res.Action().String())
	require.Equal(t, uint32(9), res.Redirect.Ifindex)
	require.Equal(t, uint64(1), res.Redirect.Flags)

	require.NoError(t, tcPoint(t, v, "r6 = r1\nr2 = 100\nr3 = 0\ncall bpf_skb_change_tail\nr0 = *(u32 *)(r6 + 0)\nexit").Fire(
		&hooks.SKBEvent{Packet: pkt}, &res))
	require.Equal(t, int32(100), res.Ret)
	require.Equal(t, uint32(100), res.Ctx.Len)
	require.Len(t, res.Packet, 100)

	require.Error(t, tcPoint(t, v, "r0 = 0\nexit").Fire(&hooks.SKBEvent{Packet: pkt[:13]}, &res))
}

func TestPacketsDoNotAllocate(t *testing.T) {
	v := newVM(t)
	xdp := xdpPoint(t, v, "r0 = 1\nexit")
	tc := tcPoint(t, v, "*(u32 *)(r1 + 8) = 5\nr0 = 0\nexit")
	xev, xres := hooks.XDPEvent{Packet: frame(100, 0x800), Meta: make([]byte, 8)}, hooks.XDPResult{}
	sev, sres := hooks.SKBEvent{Packet: frame(100, 0x800)}, hooks.SKBResult{}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if err := xdp.Fire(&xev, &xres); err != nil || xres.Action != hooks.XDPDrop {
			t.Fatal(err)
		}
		if err := tc.Fire(&sev, &sres); err != nil || sres.Ctx.Mark != 5 {
			t.Fatal(err)
		}
	}))
}

// TestEventsDoNotLeak sends events of all kinds over one CPU and makes sure that each
// sees its own bytes only.
func TestEventsDoNotLeak(t *testing.T) {
	h, err := hooks.New[request]("leak")
	require.NoError(t, err)
	v := unverified(t, sandbpf.WithCPUs(1), sandbpf.WithHook(h)) // padding is no field
	sum := func(from, to int) string {                           // adds up a range of the context
		text := "r0 = 0\n"
		for off := from; off < to; off++ {
			text += "r2 = *(u8 *)(r1 + " + itoa(off) + ")\nr0 += r2\n"
		}
		return text
	}
	l, err := h.Attach(load(t, v, h.Type(), parse(t, sum(0, 16)+sum(48, 80)[7:]+"exit")...))
	require.NoError(t, err)
	defer l.Detach()
	tc := tcPoint(t, v, "r0 = 0\nexit")
	room := tcPoint(t, v, `r2 = *(u32 *)(r1 + 76)
		r0 = *(u8 *)(r2 + 59)
		r1 = *(u32 *)(r1 + 80)
		r0 = *(u8 *)(r1 + 0)
		exit`)
	var sres hooks.SKBResult
	full := bytes.Repeat([]byte{0xff}, 1500)
	for range 3 {
		require.NoError(t, tc.Fire(&hooks.SKBEvent{Packet: full, Ctx: hooks.SKBuff{Mark: 0xffffffff, TstampType: 255,
			CB: [5]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}}}, &sres))
		ret, err := h.Fire(&request{})
		require.NoError(t, err)
		require.Zero(t, ret, "padding holds what another event has left")
		require.ErrorIs(t, room.Fire(&hooks.SKBEvent{Packet: frame(60, 0x800)}, &sres), sandbpf.ErrAccess)
	}
}

// FuzzTestRun gives any packet and context to test runs at each hook.
func FuzzTestRun(f *testing.F) {
	v := newVM(f)
	h, err := hooks.New[request]("fuzz")
	require.NoError(f, err)
	v2 := newVM(f, sandbpf.WithHook(h))
	programs := []*sandbpf.Program{
		load(f, v, hooks.XDP, parse(f, "r0 = *(u32 *)(r1 + 4)\nr2 = *(u32 *)(r1 + 0)\nr0 -= r2\nexit")...),
		load(f, v, hooks.SchedCLS, parse(f, "r0 = *(u32 *)(r1 + 80)\nr2 = *(u32 *)(r1 + 76)\nr0 -= r2\nexit")...),
		load(f, v, hooks.SocketFilter, parse(f, "r0 = *(u32 *)(r1 + 0)\nexit")...),
		load(f, v, hooks.Memory, parse(f, "r0 = r2\nexit")...),
		load(f, v2, h.Type(), parse(f, "r0 = *(u64 *)(r1 + 24)\nr2 = *(u64 *)(r1 + 16)\nr0 -= r2\nexit")...),
	}
	f.Add(frame(60, 0x0800), []byte{})
	f.Add(frame(60, 0x86dd), fields(192, 8, 1, 160, 100))
	f.Add(frame(60, 0x0800), fields(24, 0, 8, 4, 60))
	f.Add([]byte("x"), make([]byte, 80))
	f.Fuzz(func(t *testing.T, data, ctx []byte) {
		for _, p := range programs {
			run := hooks.TestRun{Data: data, Context: ctx}
			if err := p.Run(context.Background(), &run); err != nil {
				require.ErrorIs(t, err, sandbpf.ErrInput)
				continue
			}
			length := len(data)
			switch p.Hook() {
			case hooks.XDP:
				length -= len(data) - int(run.Ret) // metadata aside
				require.LessOrEqual(t, length, len(data))
			case hooks.SocketFilter:
				length -= 14
			}
			require.Equal(t, uint64(length), run.Ret, p.Hook())
			if p.Hook() != hooks.SocketFilter {
				require.True(t, bytes.Equal(data, run.DataOut), p.Hook())
			}
		}
	})
}

// TestLayoutRandom lays out the fields of random contexts by the rules of C: as slowly
// and simply as can be.
func TestLayoutRandom(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		typ, sizes := randomStruct(rng)
		off := 0
		var want []int
		largest := 1
		for _, size := range sizes {
			align := min(size, 8)
			for off%align != 0 {
				off++
			}
			want = append(want, off)
			off += size
			largest = max(largest, align)
		}
		for off%largest != 0 {
			off++
		}
		fields, size, err := hooks.LayoutOf(typ)
		require.NoError(t, err)
		require.Equal(t, want, fields, typ)
		require.Equal(t, off, size, typ)
	}
}

// randomStruct returns a struct of numbers and byte slices, and the sizes of its fields
// in C.
func randomStruct(rng *rand.Rand) (reflect.Type, []int) {
	kinds := []struct {
		typ  reflect.Type
		size int
	}{
		{reflect.TypeFor[uint8](), 1}, {reflect.TypeFor[bool](), 1}, {reflect.TypeFor[int16](), 2},
		{reflect.TypeFor[uint32](), 4}, {reflect.TypeFor[int64](), 8}, {reflect.TypeFor[[]byte](), 16},
	}
	var fields []reflect.StructField
	var sizes []int
	for i := range 1 + rng.IntN(12) {
		k := kinds[rng.IntN(len(kinds))]
		fields = append(fields, reflect.StructField{Name: "F" + itoa(i), Type: k.typ})
		sizes = append(sizes, k.size)
	}
	return reflect.StructOf(fields), sizes
}

// TestPanicReleasesCPU has what a VM asks the Go program for panic in a run. Who recovers, as
// net/http does, can go on.
func TestPanicReleasesCPU(t *testing.T) {
	broken := false
	v := newVM(t, sandbpf.WithCPUs(1), sandbpf.WithClock(func() uint64 {
		if broken {
			panic("no time")
		}
		return 1
	}))
	const text = "call bpf_ktime_get_ns\nr0 = 2\nexit"
	xdp, tc := xdpPoint(t, v, text), tcPoint(t, v, text)
	frame, err := hooks.NewXDPFrame()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, frame.Close()) })
	packet := make([]byte, 60)
	require.NoError(t, frame.SetLen(copy(frame.Buffer(), packet)))

	for name, fire := range map[string]func() error{
		"xdp":    func() error { return xdp.Fire(&hooks.XDPEvent{Packet: packet}, &hooks.XDPResult{}) },
		"tc":     func() error { return tc.Fire(&hooks.SKBEvent{Packet: packet}, &hooks.SKBResult{}) },
		"frames": func() error { return xdp.FireFrames([]*hooks.XDPFrame{frame}) },
	} {
		broken = true
		require.Panics(t, func() { _ = fire() }, name)
		broken = false
		ended := make(chan error)
		go func() { ended <- xdp.Fire(&hooks.XDPEvent{Packet: packet}, &hooks.XDPResult{}) }()
		select {
		case err := <-ended:
			require.NoError(t, err, name)
		case <-time.After(10 * time.Second):
			t.Fatal(name, ": the CPU is still leased")
		}
	}
}
