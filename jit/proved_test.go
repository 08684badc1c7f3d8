package jit

import (
	"sync/atomic"
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

// provedCheck compares the engines over programs that the verifier accepts, on a rig with two maps, whose memory
// has a context and a packet.
type provedCheck struct {
	*enginetest.Rig
	t      *testing.T
	counts *provedCounts
	maps   []vm.Map
	values [2][]byte // of each map
	env    verifier.Env
	copied map[int]bool // slots that there are copies of in the program at hand
}

// provedCounts are what makes the comparison mean something.
type provedCounts struct {
	accepted atomic.Int64
	repeated atomic.Int64 // loops that have copies
	tails    atomic.Int64 // those whose tail is in front of the head
	joined   atomic.Int64 // those whose copies are one block
	cuts     atomic.Int64 // runs that did not get as many instructions as they wanted
	inLoops  atomic.Int64 // those that ended in a loop with copies
	slices   atomic.Int64 // runs that got several slices
}

func newProvedCheck(t *testing.T, counts *provedCounts) *provedCheck {
	c := &provedCheck{Rig: enginetest.NewRig(t), t: t, counts: counts, env: verifier.Env{NumCPU: 1}}
	for i, spec := range []maps.Spec{
		{Name: "single", Type: maps.Array, KeySize: 4, ValueSize: provedRegion, MaxEntries: 1},
		{Name: "array", Type: maps.Array, KeySize: 4, ValueSize: 16, MaxEntries: 4},
	} {
		m, err := maps.NewWithOptions(&spec, maps.Options{NumCPU: 1, Retire: c.CPU.M.Retire})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, m.Close()) })
		cells, _ := m.Cells()
		c.values[i] = unsafe.Slice((*byte)(mem.Pointer(uintptr(cells.Base))), cells.Stride*uint64(cells.Len))
		c.maps = append(c.maps, m)
		c.env.Maps = append(c.env.Maps, &verifier.Map{Name: spec.Name, Type: spec.Type, KeySize: spec.KeySize, ValueSize: spec.ValueSize,
			MaxEntries: spec.MaxEntries})
	}
	return c
}

// provedOutcome is all that a run of a proved program leaves.
type provedOutcome struct {
	r0, done uint64
	memory   [1024]byte
	values   [2][64]byte
	stack    [prog.MaxFrames * prog.StackSize]byte
	fault    string
	slot     int
}

// outcome runs code for at most limit instructions, in memory that is always the same.
func (c *provedCheck) outcome(code vm.Runner, limit uint64) (o provedOutcome) {
	memory, stack := c.Memory.Bytes(), unsafe.Slice((*byte)(c.CPU.Stack()), len(o.stack))
	clear(stack) // which a run leaves as it is where it proves not to read it
	for _, b := range [][]byte{memory, c.values[0], c.values[1]} {
		for i := range b {
			b[i] = byte(i*7) ^ byte(i>>4)
		}
	}
	ctx := c.Memory.Addr()
	data, end := ctx+512, ctx+512+64
	c.CPU.SetCtx(hooks.XDP.Layout, ctx, hooks.XDP.Layout.Size)
	c.CPU.SetPacket(data, data, end)
	c.CPU.Ptrs[helper.PtrData], c.CPU.Ptrs[helper.PtrDataEnd] = uint64(data), uint64(end)
	c.CPU.Limit = limit
	r0, err := code.Run(c.CPU)
	c.CPU.End(nil)
	o.memory, o.stack, o.done = [1024]byte(memory), [len(o.stack)]byte(stack), c.CPU.Done
	for i := range o.values {
		copy(o.values[i][:], c.values[i])
	}
	if err == nil {
		o.r0 = r0
		return o
	}
	o.fault, o.slot = enginetest.Fault(err)
	return o
}

// check runs the program of a seed with a budget that suffices, and with many that do not.
func (c *provedCheck) check(seed uint64) {
	text, g := newProvedProgram(seed)
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
	c.counts.accepted.Add(1)
	env := Env{Maps: c.maps, Helper: helper.Bodies, Inline: true, Proof: proof, Layout: hooks.XDP.Layout}
	code, err := Compile(p, env)
	require.NoError(c.t, err, "seed %d", seed)
	defer func() { require.NoError(c.t, code.Close()) }()
	steps, err := interp.Compile(p, interp.Env{Maps: c.maps, Helper: helper.Bodies, Observe: func(int, *interp.Registers) {}})
	require.NoError(c.t, err, "seed %d", seed)
	c.findCopies(p, env)
	agree := func(limit uint64) (done uint64) {
		want := c.outcome(steps, limit)
		for range 2 { // the second run finds the machine as the first has left it
			if got := c.outcome(code, limit); got != want { // require.Equal takes longer than the runs
				require.Equal(c.t, want, got, "seed %d, budget %d:\n%s", seed, limit, text)
			}
		}
		if want.done > vm.Slice {
			c.counts.slices.Add(1)
		}
		if want.fault != "" {
			c.counts.cuts.Add(1)
		}
		if want.fault != "" && c.copied[want.slot] {
			c.counts.inLoops.Add(1)
		}
		return want.done
	}
	if g.long {
		agree(vm.Slice + g.r.Uint64N(3*vm.Slice))
		return
	}
	done := agree(vm.Slice)
	if done < 400 && g.chance(10) {
		for limit := range done {
			agree(limit)
		}
		return
	}
	for range 12 {
		agree(g.r.Uint64N(done + 1))
	}
}

// findCopies finds the copies that Compile has made.
func (c *provedCheck) findCopies(p *prog.Program, env Env) {
	low, err := lower.Build(p, env.lower(p))
	require.NoError(c.t, err)
	defer low.Free()
	lower.Run(low)
	c.copied = make(map[int]bool)
	for i := range low.Blocks {
		b := &low.Blocks[i]
		switch {
		case b.Dead:
		case b.Guard:
			c.counts.repeated.Add(1)
			if int(b.Next) != i+1 {
				c.counts.tails.Add(1)
			}
		case b.Joined:
			c.counts.joined.Add(1)
		case b.Copied:
			for slot := b.Start; slot < b.End; slot++ {
				c.copied[int(slot)] = true
			}
		}
	}
}

// TestProvedLoopsAgree runs programs with loops of all shapes, whose accesses the verifier has proved, as machine code
// and in single steps, and cuts them off anywhere: same result, memory, frames, values of maps, and instructions.
func TestProvedLoopsAgree(t *testing.T) {
	if err := Available(); err != nil {
		t.Skip(err)
	}
	n := 1500
	switch {
	case *programs > 0:
		n = *programs
	case testing.Short():
		n = 300
	}
	var total provedCounts
	enginetest.Sweep(t, *firstSeed, uint64(n), func(t *testing.T) func(uint64) { return newProvedCheck(t, &total).check })
	require.False(t, t.Failed())
	for _, kind := range []struct {
		name  string
		n     *atomic.Int64
		least int
	}{
		{"programs accepted", &total.accepted, n * 9 / 10}, {"loops repeated", &total.repeated, n}, {"with a tail in front", &total.tails, n / 50},
		{"joined", &total.joined, n / 10}, {"runs cut off", &total.cuts, 10 * n}, {"in a loop with copies", &total.inLoops, 8 * n},
		{"runs of several slices", &total.slices, n / 50},
	} {
		t.Logf("%d %s", kind.n.Load(), kind.name)
		if n >= 100 { // and not a few that somebody wants to see again
			require.Greater(t, int(kind.n.Load()), kind.least, kind.name)
		}
	}
}
