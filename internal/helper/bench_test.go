package helper

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// hotCall is a call that programs make for every packet.
type hotCall struct {
	name string
	run  func()
}

// hotCalls returns them, ready to run.
func hotCalls(t testing.TB) []hotCall {
	w := newWorkbench(t, vm.Options{})
	hash := w.addMap(t, &maps.Spec{Type: maps.Hash, KeySize: 8, ValueSize: 16, MaxEntries: 1024})
	array := w.addMap(t, &maps.Spec{Type: maps.Array, KeySize: 4, ValueSize: 16, MaxEntries: 16})
	stack := w.c.FramePointer(0) - 64
	ring := w.addMap(t, &maps.Spec{Type: maps.RingBuf, MaxEntries: 4096})
	reader, err := maps.NewRingConsumer(ring)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, reader.Close()) })
	buf := make([]byte, 16)
	x := newWorkbench(t, vm.Options{})
	x.begin(t, "xdp", frame(64))
	w.begin(t, "sched_cls", frame(64))
	args := new([5]uint64) // an engine has its own
	calls := func(name string, w *workbench, list ...[6]uint64) hotCall {
		return hotCall{name, func() {
			for i := range list {
				c := &list[i]
				*args = [5]uint64(c[1:])
				if _, err := bodies[c[0]](w.c, args); err != nil {
					t.Fatal(err)
				}
			}
		}}
	}
	ctx, xctx := w.c.CtxAddr(), x.c.CtxAddr()
	return []hotCall{
		calls("map_lookup_elem/hash", w, [6]uint64{uint64(asm.FnMapLookupElem), hash.Addr(), stack}),
		calls("map_lookup_elem/array", w, [6]uint64{uint64(asm.FnMapLookupElem), array.Addr(), stack}),
		calls("map_update_elem/hash", w, [6]uint64{uint64(asm.FnMapUpdateElem), hash.Addr(), stack, stack, 0}),
		calls("map_update+delete_elem/hash", w,
			[6]uint64{uint64(asm.FnMapUpdateElem), hash.Addr(), stack + 8, stack, 0},
			[6]uint64{uint64(asm.FnMapDeleteElem), hash.Addr(), stack + 8}),
		calls("csum_diff/20", w, [6]uint64{uint64(asm.FnCsumDiff), stack, 20, stack + 20, 20, 0}),
		calls("l3_csum_replace", w, [6]uint64{uint64(asm.FnL3CsumReplace), ctx, 24, 1, 2, 4}),
		calls("l4_csum_replace", w, [6]uint64{uint64(asm.FnL4CsumReplace), ctx, 40, 1, 2, 0x14}),
		calls("skb_load_bytes/20", w, [6]uint64{uint64(asm.FnSkbLoadBytes), ctx, 14, stack, 20}),
		calls("skb_store_bytes/6", w, [6]uint64{uint64(asm.FnSkbStoreBytes), ctx, 0, stack, 6, 0}),
		calls("skb_vlan_push+pop", w, [6]uint64{uint64(asm.FnSkbVlanPush), ctx, 0x81, 1}, [6]uint64{uint64(asm.FnSkbVlanPop), ctx}),
		calls("skb_adjust_room", w, [6]uint64{uint64(asm.FnSkbAdjustRoom), ctx, 20, 1, 0}, [6]uint64{uint64(asm.FnSkbAdjustRoom), ctx, neg(20), 1, 0}),
		calls("xdp_adjust_head", x, [6]uint64{uint64(asm.FnXdpAdjustHead), xctx, neg(20)}, [6]uint64{uint64(asm.FnXdpAdjustHead), xctx, 20}),
		calls("xdp_adjust_meta", x, [6]uint64{uint64(asm.FnXdpAdjustMeta), xctx, neg(8)}, [6]uint64{uint64(asm.FnXdpAdjustMeta), xctx, 8}),
		calls("xdp_adjust_tail", x, [6]uint64{uint64(asm.FnXdpAdjustTail), xctx, neg(8)}, [6]uint64{uint64(asm.FnXdpAdjustTail), xctx, 8}),
		calls("xdp_load_bytes/20", x, [6]uint64{uint64(asm.FnXdpLoadBytes), xctx, 14, x.c.FramePointer(0) - 64, 20}),
		calls("redirect", x, [6]uint64{uint64(asm.FnRedirect), 1, 0}),
		calls("get_prandom_u32", w, [6]uint64{uint64(asm.FnGetPrandomU32)}),
		calls("ktime_get_ns", w, [6]uint64{uint64(asm.FnKtimeGetNs)}),
		{"ringbuf_reserve+submit+read", func() {
			*args = [5]uint64{ring.Addr(), 16}
			addr, err := ringbufReserve(w.c, args)
			if err != nil {
				t.Fatal(err)
			}
			*args = [5]uint64{addr, 1}
			if _, err := ringbufSubmit(w.c, args); err != nil {
				t.Fatal(err)
			}
			if rec, ok := reader.Next(buf[:0]); !ok || len(rec) != 16 {
				t.Fatalf("read %x", rec)
			}
			w.c.Begin()
			w.c.PushFrame(0)
		}},
	}
}

func TestHotCallsDoNotAllocate(t *testing.T) {
	for _, c := range hotCalls(t) {
		require.Zero(t, testing.AllocsPerRun(100, c.run), c.name)
	}
}

func BenchmarkHelper(b *testing.B) {
	for _, c := range hotCalls(b) {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.run()
			}
		})
	}
}
