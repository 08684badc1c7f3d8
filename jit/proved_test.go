package jit

import (
	"errors"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/interp"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// provedMaps are the maps of proved programs, by index: all access the value of the first directly, and look
// up those of the second.
var provedMaps = []maps.Spec{
	{Name: "single", Type: maps.Array, KeySize: 4, ValueSize: provedRegion, MaxEntries: 1},
	{Name: "array", Type: maps.Array, KeySize: 4, ValueSize: 16, MaxEntries: 4},
}

// provedRig is a rig with maps, whose memory has a context and a packet.
type provedRig struct {
	*enginetest.Rig
	maps   []vm.Map
	env    verifier.Env
	values [2][]byte // of each map
}

// Where a rig's memory has what.
const (
	provedPacket    = 512
	provedPacketLen = 64
)

func newProvedRig(t testing.TB) *provedRig {
	r := &provedRig{Rig: enginetest.NewRig(t), env: verifier.Env{NumCPU: 1}}
	for i := range provedMaps {
		spec := &provedMaps[i]
		m, err := maps.NewWithOptions(spec, maps.Options{NumCPU: 1, Retire: r.CPU.M.Retire})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, m.Close()) })
		cells, ok := m.Cells()
		require.True(t, ok)
		r.values[i] = unsafe.Slice((*byte)(mem.Pointer(uintptr(cells.Base))), cells.Stride*uint64(cells.Len))
		r.maps = append(r.maps, m)
		r.env.Maps = append(r.env.Maps, &verifier.Map{Name: spec.Name, Type: spec.Type, KeySize: spec.KeySize, ValueSize: spec.ValueSize,
			MaxEntries: spec.MaxEntries})
	}
	return r
}

// provedOutcome is all that a run of a proved program leaves.
type provedOutcome struct {
	r0     uint64
	memory [1024]byte
	values [2][64]byte
	stack  [prog.MaxFrames * prog.StackSize]byte
	done   uint64
	fault  string
	slot   int
}

// outcome runs code for at most limit instructions, in memory that is always the same.
func (r *provedRig) outcome(code vm.Runner, limit uint64) (o provedOutcome) {
	memory, stack := r.Memory.Bytes(), unsafe.Slice((*byte)(r.CPU.Stack()), len(o.stack))
	clear(stack) // a program that proves not to need that does not
	for _, b := range [][]byte{memory, r.values[0], r.values[1]} {
		for i := range b {
			b[i] = byte(i*7) ^ byte(i>>4)
		}
	}
	base := r.Memory.Addr()
	data := base + provedPacket
	r.CPU.SetCtx(hooks.XDP.Layout, base, hooks.XDP.Layout.Size)
	r.CPU.SetPacket(data, data, data+provedPacketLen)
	r.CPU.Ptrs[helper.PtrData], r.CPU.Ptrs[helper.PtrDataEnd] = uint64(data), uint64(data+provedPacketLen)
	r.CPU.Limit = limit
	r0, err := code.Run(r.CPU)
	r.CPU.End(nil)
	o.memory, o.stack, o.done = [1024]byte(memory), [len(o.stack)]byte(stack), r.CPU.Done
	for i := range o.values {
		copy(o.values[i][:], r.values[i])
	}
	if err == nil {
		o.r0 = r0
		return o
	}
	var f *vm.Fault
	if errors.As(err, &f) {
		o.slot = f.Slot
	}
	o.fault = err.Error()
	return o
}

// provedCounts are what makes the comparison mean something.
type provedCounts struct {
	sync.Mutex
	accepted int
	repeated int // loops that have copies
	tails    int // those whose tail is in front of the head
	joined   int // those whose copies are one block
	cuts     int // runs that did not get as many instructions as they wanted
	inCopies int // those that were cut off in a loop with copies
	slices   int // runs that got several slices
}

func (c *provedCounts) add(o *provedCounts) {
	c.Lock()
	defer c.Unlock()
	c.accepted += o.accepted
	c.repeated += o.repeated
	c.tails += o.tails
	c.joined += o.joined
	c.cuts += o.cuts
	c.inCopies += o.inCopies
	c.slices += o.slices
}

// provedCheck compares the engines over programs that the verifier accepts.
type provedCheck struct {
	*provedRig
	t        *testing.T
	counts   provedCounts
	copiedAt map[int]bool // by slot, of the program at hand
}

func (c *provedCheck) check(seed uint64) {
	g := newProvedProgram(seed)
	text := g.program()
	p := enginetest.Parse(c.t, text)
	p.Type = prog.XDP
	for _, m := range c.maps {
		p.Maps = append(p.Maps, m)
	}
	proof, err := verifier.Verify(p, &c.env)
	if err != nil {
		var refused *verifier.Error
		require.ErrorAs(c.t, err, &refused, "seed %d:\n%s", seed, text)
		return
	}
	c.counts.accepted++
	env := Env{Maps: c.maps, Helper: helper.Bodies, Inline: true, Proof: proof, Layout: hooks.XDP.Layout}
	code, err := Compile(p, env)
	require.NoError(c.t, err, "seed %d", seed)
	defer func() { require.NoError(c.t, code.Close()) }()
	steps, err := interp.Compile(p, interp.Env{Maps: c.maps, Helper: helper.Bodies, Observe: func(int, *interp.Registers) {}})
	require.NoError(c.t, err, "seed %d", seed)
	c.copies(p, env)
	agree := func(limit uint64) (done uint64) {
		want := c.outcome(steps, limit)
		for range 2 { // the second run finds the machine as the first has left it
			if got := c.outcome(code, limit); got != want { // require.Equal takes longer than the runs
				require.Equal(c.t, want, got, "seed %d, budget %d:\n%s", seed, limit, text)
			}
		}
		c.count(&want)
		return want.done
	}
	c.limits(g, agree)
}

// limits asks for runs of all kinds of length.
func (c *provedCheck) limits(g *provedProgram, agree func(limit uint64) (done uint64)) {
	if g.long {
		for range 2 {
			agree(g.r.Uint64N(3*vm.Slice) + vm.Slice/2)
		}
		return
	}
	done := agree(vm.Slice)
	switch {
	case done < 400 && g.chance(10):
		for limit := range done {
			agree(limit)
		}
	default:
		for range 12 {
			agree(g.r.Uint64N(done + 1))
		}
	}
}

// copies finds the copies of a program that Compile has made.
func (c *provedCheck) copies(p *prog.Program, env Env) {
	low, err := lower.Build(p, env.lower(p))
	require.NoError(c.t, err)
	defer low.Free()
	lower.Run(low)
	c.copiedAt = make(map[int]bool)
	for i := range low.Blocks {
		b := &low.Blocks[i]
		if b.Dead {
			continue
		}
		if b.Guard {
			c.counts.repeated++
			if int(b.Next) != i+1 {
				c.counts.tails++
			}
		}
		if b.Joined {
			c.counts.joined++
		}
		for slot := b.Start; b.Copied && slot < b.End; slot++ {
			c.copiedAt[int(slot)] = true
		}
	}
}

// count notes what kind of run has been compared.
func (c *provedCheck) count(o *provedOutcome) {
	if o.done > vm.Slice {
		c.counts.slices++
	}
	if o.fault != "" {
		c.counts.cuts++
		if c.copiedAt[o.slot] {
			c.counts.inCopies++
		}
	}
}

// TestProvedLoopsAgree runs programs with loops of all shapes, whose accesses the verifier has proved, as machine code and in
// single steps, and cuts them off anywhere: same result, memory, frames, values of maps, and instructions.
func TestProvedLoopsAgree(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	n := uint64(1500)
	switch {
	case *programs > 0:
		n = uint64(*programs)
	case testing.Short():
		n = 300
	}
	var total provedCounts
	enginetest.Sweep(t, *firstSeed, n, func(t *testing.T) func(uint64) {
		c := &provedCheck{provedRig: newProvedRig(t), t: t}
		t.Cleanup(func() { total.add(&c.counts) })
		return c.check
	})
	t.Logf("%d of %d programs accepted; %d loops repeated, %d of them with a tail in front, %d joined; "+
		"%d runs cut off, %d of them in loops that are repeated; %d runs of several slices",
		total.accepted, n, total.repeated, total.tails, total.joined, total.cuts, total.inCopies, total.slices)
	if n < 100 { // a few that somebody wants to see again
		return
	}
	few := int(n) / 50
	require.Greater(t, total.accepted, int(n)*2/3)
	require.Greater(t, total.repeated, int(n)/2)
	require.Greater(t, total.tails, few)
	require.Greater(t, total.joined, few)
	require.Greater(t, total.inCopies, 2*int(n))
	require.Greater(t, total.slices, few)
}
