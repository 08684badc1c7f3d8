package hooks_test

import (
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/maps"
)

type number struct {
	Trail uint64 `bpf:"rw"`
}

// appending appends a digit to the trail and returns ret.
func appending(digit, ret int32) []asm.Instruction {
	return []asm.Instruction{asm.LoadMem(asm.R2, asm.R1, 0, asm.DWord), asm.Mul.Imm(asm.R2, 10), asm.Add.Imm(asm.R2, digit),
		asm.StoreMem(asm.R1, 0, asm.R2, asm.DWord), asm.Mov.Imm(asm.R0, ret), asm.Return()}
}

// TestOrder attaches programs at all places and looks at who ran in which order.
func TestOrder(t *testing.T) {
	h, err := hooks.New[number]("order")
	require.NoError(t, err)
	v := newVM(t, sandbpf.WithHook(h))
	prog := func(digit int32) *sandbpf.Program { return load(t, v, h.Type(), appending(digit, 0)...) }
	attach := func(digit int32, where ...hooks.AttachOption) *hooks.Link {
		l, err := h.Attach(prog(digit), where...)
		require.NoError(t, err)
		return l
	}
	trail := func() uint64 {
		var ev number
		ret, err := h.Fire(&ev)
		require.NoError(t, err)
		require.Zero(t, ret)
		return ev.Trail
	}
	require.Equal(t, uint64(0), trail())
	one := attach(1)
	two := attach(2)
	require.Equal(t, uint64(12), trail())
	three := attach(3, hooks.Before(nil))
	require.Equal(t, uint64(312), trail())
	four := attach(4, hooks.Before(two))
	require.Equal(t, uint64(3142), trail())
	five := attach(5, hooks.After(three))
	require.Equal(t, uint64(35142), trail())
	six := attach(6, hooks.After(nil))
	require.Equal(t, uint64(351426), trail())
	require.NoError(t, one.Replace(prog(7)))
	require.Equal(t, uint64(357426), trail())
	require.Equal(t, []*hooks.Link{three, five, one, four, two, six}, h.Links())
	require.Equal(t, 2, one.Info().Position)
	require.NoError(t, three.Detach())
	require.NoError(t, three.Detach())
	require.Equal(t, -1, three.Info().Position)
	require.Equal(t, uint64(57426), trail())
	require.ErrorIs(t, three.Replace(prog(8)), hooks.ErrDetached)
	_, err = h.Attach(prog(9), hooks.After(three))
	require.ErrorIs(t, err, hooks.ErrDetached)
	for _, l := range h.Links() {
		require.NoError(t, l.Detach())
	}
	require.Equal(t, uint64(0), trail())
	require.Equal(t, uint64(7), one.Info().Stats.Runs, "of both programs of the link")
}

// TestVerdicts looks at who decides at each kind of hook.
func TestVerdicts(t *testing.T) {
	v := newVM(t)
	pkt := make([]byte, 60)
	xdp := hooks.NewXDP("xdp")
	tc := hooks.NewTC("tc")
	socket := hooks.NewSocketFilter("socket")
	fireXDP := func() hooks.XDPAction {
		var res hooks.XDPResult
		require.NoError(t, xdp.Fire(&hooks.XDPEvent{Packet: pkt}, &res))
		require.Equal(t, pkt, res.Packet)
		return res.Action
	}
	fire := func(f func(*hooks.SKBEvent, *hooks.SKBResult) error) int32 {
		var res hooks.SKBResult
		require.NoError(t, f(&hooks.SKBEvent{Packet: pkt}, &res))
		return res.Ret
	}
	require.Equal(t, hooks.XDPPass, fireXDP())
	require.Equal(t, int32(hooks.TCUnspec), fire(tc.Fire))
	require.Equal(t, int32(-1), fire(socket.Fire))
	for _, c := range []struct {
		rets []int32
		xdp  hooks.XDPAction
		tc   hooks.TCAction
	}{
		{[]int32{2}, hooks.XDPPass, hooks.TCShot},
		{[]int32{2, 1}, hooks.XDPDrop, hooks.TCShot},
		{[]int32{-1, 0, 2}, 0xffffffff, hooks.TCOK},
		{[]int32{-1, -1}, 0xffffffff, hooks.TCUnspec},
	} {
		for _, ret := range c.rets {
			_, err := xdp.Attach(load(t, v, hooks.XDP, returning(ret)...))
			require.NoError(t, err)
			_, err = tc.Attach(load(t, v, hooks.SchedCLS, returning(ret)...))
			require.NoError(t, err)
		}
		require.Equal(t, c.xdp, fireXDP(), c.rets)
		require.Equal(t, c.tc, hooks.TCAction(fire(tc.Fire)), c.rets)
		for _, l := range append(xdp.Links(), tc.Links()...) {
			require.NoError(t, l.Detach())
		}
	}
	filter := load(t, v, hooks.SocketFilter, returning(100)...)
	l, err := socket.Attach(filter)
	require.NoError(t, err)
	_, err = socket.Attach(filter)
	require.ErrorIs(t, err, hooks.ErrOccupied)
	require.Equal(t, int32(100), fire(socket.Fire))
	require.NoError(t, l.Detach())
}

func TestAttachRefuses(t *testing.T) {
	v, other := newVM(t), newVM(t)
	point := hooks.NewXDP("eth0")
	_, err := point.Attach(load(t, v, hooks.SchedCLS, returning(0)...))
	require.ErrorIs(t, err, hooks.ErrWrongType)
	require.EqualError(t, err, "attach to eth0: program of the wrong type: test is a program for sched_cls, not for xdp")
	_, err = point.Attach(nil)
	require.Error(t, err)
	_, err = point.Attach((*sandbpf.Program)(nil))
	require.Error(t, err)
	closed := load(t, v, hooks.XDP, returning(2)...)
	require.NoError(t, closed.Close())
	_, err = point.Attach(closed)
	require.ErrorIs(t, err, os.ErrClosed)

	l, err := point.Attach(load(t, v, hooks.XDP, returning(2)...))
	require.NoError(t, err)
	_, err = point.Attach(load(t, other, hooks.XDP, returning(2)...))
	require.ErrorIs(t, err, hooks.ErrOtherVM)
	require.NoError(t, l.Replace(load(t, other, hooks.XDP, returning(1)...)), "it is alone")
	cpu, err := v.Acquire()
	require.NoError(t, err)
	defer cpu.Release()
	var res hooks.XDPResult
	require.ErrorIs(t, point.FireOn(cpu, &hooks.XDPEvent{Packet: make([]byte, 14)}, &res), hooks.ErrOtherVM)
	require.Equal(t, hooks.XDPAborted, res.Action)
	require.NoError(t, l.Detach())
}

// TestNilArguments: what has no program, event or result is told so, before it has cost a CPU.
func TestNilArguments(t *testing.T) {
	h, err := hooks.New[number]("nils")
	require.NoError(t, err)
	v := newVM(t, sandbpf.WithHook(h), sandbpf.WithCPUs(2))
	none := (*sandbpf.Program)(nil)
	pass := load(t, v, hooks.XDP, returning(2)...)
	xdp, tc := hooks.NewXDP("eth0"), hooks.NewTC("eth1")
	cpu, err := v.Acquire()
	require.NoError(t, err)
	defer cpu.Release()
	ctx, run := t.Context(), &hooks.TestRun{}
	fire := map[string][]func() error{
		"eth0: nil event": {
			func() error { return xdp.Fire(nil, &hooks.XDPResult{}) },
			func() error { return xdp.FireOn(cpu, nil, &hooks.XDPResult{}) },
		},
		"eth0: nil result": {
			func() error { return xdp.Fire(&hooks.XDPEvent{}, nil) },
			func() error { return xdp.FireOn(cpu, &hooks.XDPEvent{}, nil) },
		},
		"eth1: nil event": {
			func() error { return tc.Fire(nil, &hooks.SKBResult{}) },
			func() error { return tc.FireOn(cpu, nil, &hooks.SKBResult{}) },
		},
		"eth1: nil result": {
			func() error { return tc.Fire(&hooks.SKBEvent{}, nil) },
			func() error { return tc.FireOn(cpu, &hooks.SKBEvent{}, nil) },
		},
		"nils: nil event": {
			func() error { _, err := h.Fire(nil); return err },
			func() error { _, err := h.FireOn(cpu, nil); return err },
		},
		"invalid input for a test run: no program": {
			func() error { return hooks.Test(ctx, nil, run) },
			func() error { return hooks.Test(ctx, none, run) },
			func() error { return hooks.TestOn(ctx, cpu, none, run) },
		},
		"invalid input for a test run: nil TestRun": {
			func() error { return hooks.Test(ctx, pass, nil) },
			func() error { return hooks.TestOn(ctx, cpu, pass, nil) },
			func() error { return pass.Run(ctx, nil) },
		},
	}
	for range 2 { // without programs, and with them
		for want, calls := range fire {
			for _, call := range calls {
				require.EqualError(t, call(), want)
			}
		}
		for _, attach := range []func() error{
			func() error { _, err := xdp.Attach(pass); return err },
			func() error { _, err := tc.Attach(load(t, v, hooks.SchedCLS, returning(0)...)); return err },
			func() error { _, err := h.Attach(load(t, v, h.Type(), returning(0)...)); return err },
		} {
			require.NoError(t, attach())
		}
	}
}

// TestLinkKeepsProgram closes everything but the link.
func TestLinkKeepsProgram(t *testing.T) {
	v, err := sandbpf.New()
	require.NoError(t, err)
	m, err := v.NewMap(&maps.Spec{Name: "hits", Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	require.NoError(t, err)
	p, err := v.LoadProgram(counting("hits"), map[string]*maps.Map{"hits": m})
	require.NoError(t, err)
	point := hooks.NewXDP("eth0")
	l, err := point.Attach(p)
	require.NoError(t, err)
	require.NoError(t, p.Close())
	require.NoError(t, v.Close())
	fire := func() error {
		var res hooks.XDPResult
		return point.Fire(&hooks.XDPEvent{Packet: make([]byte, 14)}, &res)
	}
	require.NoError(t, fire())
	require.NoError(t, fire())
	var hits uint64
	require.NoError(t, m.Lookup(uint32(0), &hits))
	require.Equal(t, uint64(2), hits)
	require.NoError(t, m.Close())
	require.NoError(t, fire())
	require.NoError(t, l.Detach())
	require.NoError(t, fire(), "of nothing")
	_, err = point.Attach(p)
	require.ErrorIs(t, err, os.ErrClosed)
}

// counting is an XDP program that adds one to the first element of each of some maps, a
// while after it has looked them up.
func counting(names ...string) *sandbpf.ProgramSpec {
	insns := asm.Instructions{asm.StoreImm(asm.R10, -4, 0, asm.Word)}
	for i, name := range names {
		insns = append(insns, asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, -4),
			asm.LoadMapPtr(asm.R1, name), asm.FnMapLookupElem.Call(), asm.JEq.Imm(asm.R0, 0, "out"),
			asm.Mov.Reg(asm.R6+asm.Register(i), asm.R0))
	}
	insns = append(insns, asm.Mov.Imm(asm.R1, 20000),
		asm.Sub.Imm(asm.R1, 1).WithSymbol("loop"), asm.JNE.Imm(asm.R1, 0, "loop"), asm.Mov.Imm(asm.R1, 1))
	for i := range names {
		insns = append(insns, asm.AtomicAdd.Mem64(asm.R6+asm.Register(i), 0, asm.R1))
	}
	return &sandbpf.ProgramSpec{Name: "counting", Type: sandbpf.XDP,
		Instructions: append(insns, asm.Mov.Imm(asm.R0, 1).WithSymbol("out"), asm.Return())}
}

// TestReplaceUnderLoad swaps programs while events run. Each version has a map that
// nobody else holds, and is closed as soon as it is replaced: a run of a closed program
// would write to memory that is no longer there, which is the end of the process. All
// count in one more map, whose sum shows an event that was lost or run twice.
func TestReplaceUnderLoad(t *testing.T) {
	v := newVM(t, sandbpf.WithCPUs(4))
	point := hooks.NewXDP("eth0")
	spec := &maps.Spec{Name: "hits", Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}
	all, err := v.NewMap(spec)
	require.NoError(t, err)
	defer all.Close()
	fresh := func() *sandbpf.Program {
		own, err := v.NewMap(spec)
		require.NoError(t, err)
		p, err := v.LoadProgram(counting("own", "all"), map[string]*maps.Map{"own": own, "all": all})
		require.NoError(t, err)
		require.NoError(t, own.Close())
		return p
	}
	now := fresh()
	link, err := point.Attach(now)
	require.NoError(t, err)

	var fired atomic.Uint64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			ev, res := hooks.XDPEvent{Packet: make([]byte, 60)}, hooks.XDPResult{}
			fire := func() error { return point.Fire(&ev, &res) }
			if i == 0 { // one holds its CPU
				cpu, err := v.Acquire()
				if err != nil {
					t.Error(err)
					return
				}
				defer cpu.Release()
				fire = func() error { return point.FireOn(cpu, &ev, &res) }
			}
			for !stop.Load() {
				if err := fire(); err != nil || res.Action != hooks.XDPDrop {
					t.Error(err, res.Action)
					return
				}
				fired.Add(1)
			}
		})
	}
	for range 100 {
		next := fresh()
		require.NoError(t, link.Replace(next))
		require.NoError(t, now.Close())
		now = next
		time.Sleep(50 * time.Microsecond)
	}
	stop.Store(true)
	wg.Wait()
	var counted uint64
	require.NoError(t, all.Lookup(uint32(0), &counted))
	require.Equal(t, fired.Load(), counted)
	require.NoError(t, link.Detach())
	require.NoError(t, now.Close())
	t.Logf("%d events", counted)
}
