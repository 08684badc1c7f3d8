package hooks_test

import (
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// newFrame returns a frame with a packet.
func newFrame(t testing.TB, packet []byte) *hooks.XDPFrame {
	f, err := hooks.NewXDPFrame()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, f.Close()) })
	require.Len(t, f.Buffer(), hooks.MaxXDPFrame)
	require.NoError(t, f.SetLen(copy(f.Buffer(), packet)))
	return f
}

// framePrograms do everything to a packet that a program can do to it.
var framePrograms = map[string]string{
	"pass":     "r0 = 2\nexit",
	"fields":   "r0 = *(u32 *)(r1 + 12)\nr2 = *(u32 *)(r1 + 16)\nr2 <<= 8\nr0 |= r2\nexit",
	"length":   "r0 = *(u32 *)(r1 + 4)\nr2 = *(u32 *)(r1 + 0)\nr0 -= r2\nexit",
	"write":    "r2 = *(u32 *)(r1 + 0)\nr3 = *(u32 *)(r1 + 4)\nr4 = r2\nr4 += 14\nr0 = 1\nif r4 > r3 goto out\n*(u8 *)(r2 + 3) = 0x77\nr0 = 3\nout: exit",
	"head":     "r2 = -14\ncall bpf_xdp_adjust_head\nr0 = 2\nexit",
	"shorter":  "r2 = 20\ncall bpf_xdp_adjust_head\nr0 = 2\nexit",
	"tail":     "r2 = 100\ncall bpf_xdp_adjust_tail\nr0 = 2\nexit",
	"meta":     "r6 = r1\nr2 = -8\ncall bpf_xdp_adjust_meta\nr2 = *(u32 *)(r6 + 8)\nr3 = *(u32 *)(r6 + 0)\nr4 = r2\nr4 += 8\nif r4 > r3 goto out\n*(u64 *)(r2 + 0) = 5\nout: r0 = 2\nexit",
	"redirect": "r1 = 7\nr2 = 0\ncall bpf_redirect\nexit",
}

// TestFrames has frames meet what copied packets meet, on each engine, alone and in a batch.
func TestFrames(t *testing.T) {
	packets := [][]byte{frame(14, 0x800), frame(60, 0x800), frame(1500, 0x86dd), frame(60, 0x806)}
	for name, text := range framePrograms {
		for _, options := range [][]sandbpf.Option{nil, {sandbpf.WithEngine(sandbpf.Interpreter)}} {
			v := newVM(t, options...)
			p := xdpPoint(t, v, text)
			var frames []*hooks.XDPFrame
			for i, data := range packets {
				f := newFrame(t, data)
				f.SetDevice(uint32(i+1), uint32(i+2))
				frames = append(frames, f)
			}
			for round := range 2 {
				if round == 1 {
					cpu, err := v.Acquire()
					require.NoError(t, err)
					for i, f := range frames {
						require.NoError(t, f.SetLen(copy(f.Buffer(), packets[i])))
						require.NoError(t, p.FireFramesOn(cpu, frames[i:i+1]))
					}
					cpu.Release()
				} else {
					require.NoError(t, p.FireFrames(frames))
				}
				for i, f := range frames {
					var want hooks.XDPResult
					require.NoError(t, p.Fire(&hooks.XDPEvent{Packet: packets[i], IngressIfindex: uint32(i + 1), RxQueueIndex: uint32(i + 2)}, &want))
					require.Equal(t, want.Action, f.Action(), "%s, packet %d", name, i)
					require.Equal(t, want.Packet, f.Packet(), "%s, packet %d", name, i)
					require.Equal(t, append([]byte{}, want.Meta...), append([]byte{}, f.Meta()...), name)
					require.Equal(t, want.Redirect, f.Redirect(), name)
					require.NoError(t, f.Err())
				}
			}
		}
	}
}

// Without SetLen, an event begins with what the one before has left.
func TestFrameAgain(t *testing.T) {
	p := xdpPoint(t, newVM(t), "r2 = -4\ncall bpf_xdp_adjust_head\nr0 = 2\nexit")
	f := newFrame(t, frame(60, 0x800))
	for n := range 3 {
		require.NoError(t, p.FireFrames([]*hooks.XDPFrame{f}))
		require.Equal(t, append(make([]byte, 4*(n+1)), frame(60, 0x800)...), f.Packet())
	}
	require.NoError(t, f.SetLen(60))
	require.Equal(t, frame(60, 0x800), f.Packet())
	require.Error(t, f.SetLen(hooks.MaxXDPFrame+1))
	require.Error(t, f.SetLen(-1))
	require.Equal(t, frame(60, 0x800), f.Packet())
}

// TestFrameBeforeEvent looks at frames that have been given a packet and no event yet, or have been closed.
func TestFrameBeforeEvent(t *testing.T) {
	p := xdpPoint(t, newVM(t), framePrograms["meta"])
	f := newFrame(t, frame(60, 0x800))
	for _, n := range []int{60, 14, 100} {
		require.NoError(t, p.FireFrames([]*hooks.XDPFrame{f}))
		require.Len(t, f.Meta(), 8)
		require.NoError(t, f.SetLen(n))
		require.Empty(t, f.Meta())
		require.NoError(t, f.SetLen(n+1))
		require.Equal(t, f.Buffer()[:n+1], f.Packet())
		require.NoError(t, f.SetLen(n))
	}
	require.NoError(t, f.Close())
	require.Empty(t, f.Packet())
	require.Empty(t, f.Meta())
	require.Nil(t, f.Buffer(), "nobody has asked for memory")
	require.NoError(t, f.SetLen(20))
	require.Equal(t, make([]byte, 20), f.Packet())
}

// What an event asked for is not what the next one does, which asks for nothing.
func TestFrameRedirectsOnce(t *testing.T) {
	p := xdpPoint(t, newVM(t), `r2 = *(u32 *)(r1 + 12)
		r0 = 4
		if r2 == 0 goto out
		r1 = 7
		r2 = 0
		call bpf_redirect
		out: exit`)
	f := newFrame(t, frame(60, 0x800))
	for n := range 4 {
		f.SetDevice(uint32(1-n%2), 0)
		require.NoError(t, p.FireFrames([]*hooks.XDPFrame{f}))
		require.Equal(t, hooks.XDPRedirect, f.Action())
		require.Equal(t, uint32(7*(1-n%2)), f.Redirect().Ifindex)
	}
}

// TestManyFrames has some of many runs leave native code, in a batch of more frames than run
// without a look at what else there is to do.
func TestManyFrames(t *testing.T) {
	for name, text := range map[string]string{
		"helper": `r6 = r1
			r2 = *(u32 *)(r1 + 12)
			*(u32 *)(r10 - 20) = r2
			r2 &= 3
			if r2 != 1 goto out
			r2 = 4
			call bpf_xdp_adjust_tail
			out: r0 = *(u32 *)(r10 - 20)
			exit`,
		"record": `r6 = *(u32 *)(r1 + 12)
			r1 = map[ring]
			r2 = 8
			r3 = 0
			call bpf_ringbuf_reserve
			if r0 == 0 goto out
			*(u64 *)(r0 + 0) = r6
			r1 = r0
			r2 = 0
			call bpf_ringbuf_submit
			out: r0 = r6
			exit`,
		"table": `r6 = *(u32 *)(r1 + 12)
			*(u32 *)(r10 - 4) = r6
			r2 = r10
			r2 += -4
			r1 = map[table]
			call bpf_map_lookup_elem
			if r0 == 0 goto none
			r6 = *(u64 *)(r0 + 0)
			r6 += 1
			*(u64 *)(r0 + 0) = r6
			none: r0 = r6
			exit`,
		"endless": `r0 = *(u32 *)(r1 + 12)
			r2 = r0
			r2 &= 31
			if r2 != 0 goto out
			r2 = 0
			again: r2 += 1
			if r2 < 100000 goto again
			out: exit`,
	} {
		var want []string
		for _, options := range [][]sandbpf.Option{{sandbpf.WithEngine(sandbpf.Interpreter)}, nil} {
			v := newVM(t, append(options, sandbpf.WithCPUs(1), sandbpf.WithLimit(1000))...)
			named := make(map[string]*maps.Map)
			for _, spec := range []*maps.Spec{{Name: "ring", Type: maps.RingBuf, MaxEntries: 4096},
				{Name: "table", Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 50}} {
				m, err := v.NewMap(spec)
				require.NoError(t, err)
				t.Cleanup(func() { require.NoError(t, m.Close()) })
				named[spec.Name] = m
			}
			program, err := v.LoadProgram(&sandbpf.ProgramSpec{Name: "many", Type: hooks.XDP.Prog, License: "GPL", Instructions: parse(t, text)}, named)
			require.NoError(t, err)
			p := hooks.NewXDP("eth0")
			link, err := p.Attach(program)
			require.NoError(t, err)
			var frames []*hooks.XDPFrame
			for i := range uint32(100) {
				f := newFrame(t, frame(60, 0x800))
				f.SetDevice(i, 0)
				frames = append(frames, f)
			}
			var got []string
			for range 2 {
				err := p.FireFrames(frames)
				require.Equal(t, name == "endless", errors.Is(err, vm.ErrBudget), err)
				for _, f := range frames {
					got = append(got, fmt.Sprint(f.Action(), len(f.Packet()), f.Err()))
				}
			}
			got = append(got, fmt.Sprint(program.Stats()))
			if want == nil {
				want = got
			}
			require.Equal(t, want, got, "%s on %v", name, program.Engine())
			require.NoError(t, link.Detach())
			require.NoError(t, program.Close())
		}
	}
}

// A fault aborts its own frame only, and a frame that was closed has no packet.
func TestFrameFaults(t *testing.T) {
	v := unverified(t)
	p := xdpPoint(t, v, "r2 = *(u32 *)(r1 + 0)\nr0 = *(u8 *)(r2 + 20)\nexit")
	frames := []*hooks.XDPFrame{newFrame(t, frame(60, 0x800)), newFrame(t, frame(20, 0x800)), newFrame(t, frame(60, 0x800))}
	closed, err := hooks.NewXDPFrame()
	require.NoError(t, err)
	require.NoError(t, closed.Close())
	require.Nil(t, closed.Buffer())
	err = p.FireFrames(append(frames, closed))
	require.ErrorIs(t, err, vm.ErrAccess)
	require.Equal(t, err, frames[1].Err())
	require.Equal(t, hooks.XDPAborted, frames[1].Action())
	require.ErrorIs(t, closed.Err(), hooks.ErrClosed)
	for _, f := range []*hooks.XDPFrame{frames[0], frames[2]} {
		require.NoError(t, f.Err())
		require.Equal(t, hooks.XDPAction(f.Packet()[20]), f.Action())
	}

	// What was a frame's memory is none of later events.
	h, err := hooks.New[struct{ Addr uint64 }]("frames")
	require.NoError(t, err)
	v = unverified(t, sandbpf.WithCPUs(1), sandbpf.WithHook(h))
	require.NoError(t, xdpPoint(t, v, "r0 = 2\nexit").FireFrames(frames[:1]))
	_, err = h.Attach(load(t, v, h.Type(), parse(t, "r1 = *(u64 *)(r1 + 0)\nr0 = *(u8 *)(r1 + 0)\nexit")...))
	require.NoError(t, err)
	_, err = h.Fire(&struct{ Addr uint64 }{uint64(reflect.ValueOf(frames[0].Packet()).Pointer())})
	require.ErrorIs(t, err, vm.ErrAccess)
}

func TestFramesDoNotAllocate(t *testing.T) {
	v := newVM(t)
	p := xdpPoint(t, v, "r0 = 1\nexit")
	frames := []*hooks.XDPFrame{newFrame(t, frame(60, 0x800)), newFrame(t, frame(60, 0x800))}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if p.FireFrames(frames) != nil || frames[1].SetLen(60) != nil {
			t.Fatal(frames[0].Err())
		}
	}))
	none := hooks.NewXDP("none")
	require.NoError(t, none.FireFrames(frames))
	require.Equal(t, hooks.XDPPass, frames[1].Action())
}

// TestFramesConcurrently fires frames of several goroutines while the program is replaced:
// it is the one or the other.
func TestFramesConcurrently(t *testing.T) {
	v := newVM(t, sandbpf.WithCPUs(2))
	p := hooks.NewXDP("eth0")
	drop, pass := parse(t, "r0 = 1\nexit"), parse(t, "r0 = 2\nexit")
	link, err := p.Attach(load(t, v, hooks.XDP, drop...))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 3 {
		frames := []*hooks.XDPFrame{newFrame(t, frame(60, 0x800)), newFrame(t, frame(100, 0x800))}
		wg.Go(func() {
			for range 2000 {
				if err := p.FireFrames(frames); err != nil {
					t.Error(err)
					return
				}
				if a := frames[0].Action(); a != frames[1].Action() || a != hooks.XDPDrop && a != hooks.XDPPass {
					t.Errorf("actions %v and %v in a batch", a, frames[1].Action())
				}
			}
		})
	}
	for i := range 50 {
		require.NoError(t, link.Replace(load(t, v, hooks.XDP, [][]asm.Instruction{pass, drop}[i%2]...)))
	}
	wg.Wait()
	require.NoError(t, link.Detach())
}
