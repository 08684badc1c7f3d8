package sandbpf

import (
	"context"
	"errors"
	"flag"
	gomaps "maps"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
)

var (
	programs  = flag.Int("programs", 0, "how many wild programs to generate; 0: a few")
	firstSeed = flag.Uint64("seed", 0, "the seed of the first of them")
)

// wildPrograms is how many programs share maps: most of the time would go into making them,
// but rings and queues are full at some time. The programs of a program array are of one type.
const wildPrograms = 32

// wildMaps is one of every kind that wild programs are given.
func wildMaps() map[string]*maps.Spec {
	inner := &maps.Spec{Name: "inner", Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2}
	return map[string]*maps.Spec{
		"array":  {Name: "array", Type: maps.Array, KeySize: 4, ValueSize: 24, MaxEntries: 1},
		"percpu": {Name: "percpu", Type: maps.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 4},
		"hash":   {Name: "hash", Type: maps.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 8},
		"lru":    {Name: "lru", Type: maps.LRUHash, KeySize: 8, ValueSize: 16, MaxEntries: 8},
		"lpm":    {Name: "lpm", Type: maps.LPMTrie, KeySize: 8, ValueSize: 4, MaxEntries: 8, Flags: maps.FlagNoPrealloc},
		"ring":   {Name: "ring", Type: maps.RingBuf, MaxEntries: 4096},
		"perf":   {Name: "perf", Type: maps.PerfEventArray, KeySize: 4, ValueSize: 4},
		"progs":  {Name: "progs", Type: maps.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 4},
		"queue":  {Name: "queue", Type: maps.Queue, ValueSize: 8, MaxEntries: 4},
		"outer":  {Name: "outer", Type: maps.HashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 4, InnerMap: inner},
	}
}

// wild makes programs that no verifier would pass: any register goes into any
// helper, and anything is taken for a pointer.
type wild struct {
	r       *rand.Rand
	helpers []asm.BuiltinFunc
	maps    []string
	out     asm.Instructions
}

func (w *wild) reg() asm.Register { return asm.Register(w.r.IntN(10)) }

// number brings something interesting into a register.
func (w *wild) number(dst asm.Register) {
	switch w.r.IntN(9) {
	case 0:
		w.out = append(w.out, asm.LoadMapPtr(dst, w.maps[w.r.IntN(len(w.maps))]))
	case 1:
		w.out = append(w.out, asm.Mov.Reg(dst, asm.R10), asm.Add.Imm(dst, -int32(w.r.IntN(520))))
	case 2: // the context, kept in r6
		w.out = append(w.out, asm.Mov.Reg(dst, asm.R6))
	case 3: // packet pointers
		w.out = append(w.out, asm.LoadMem(dst, asm.R6, int16(4*w.r.IntN(4)), asm.Word))
	case 4:
		w.out = append(w.out, asm.LoadMapValue(dst, "array", uint32(w.r.IntN(24))))
	case 5:
		w.out = append(w.out, asm.LoadFunc(dst, "callback"))
	case 6:
		w.out = append(w.out, asm.LoadImm(dst, int64(w.r.Uint64())>>w.r.IntN(64)))
	default:
		w.out = append(w.out, asm.Mov.Imm(dst, int32(w.r.IntN(64))))
	}
}

func (w *wild) step() {
	switch w.r.IntN(8) {
	case 0, 1, 2:
		for arg := asm.R1; arg <= asm.R5; arg++ {
			if w.r.IntN(5) != 0 {
				w.number(arg)
			}
		}
		w.out = append(w.out, w.helpers[w.r.IntN(len(w.helpers))].Call())
	case 3, 4:
		base, size := w.reg(), []asm.Size{asm.Byte, asm.Half, asm.Word, asm.DWord}[w.r.IntN(4)]
		off := int16(w.r.IntN(64) - 16)
		w.out = append(w.out, []asm.Instruction{asm.LoadMem(w.reg(), base, off, size), asm.StoreMem(base, off, w.reg(), size),
			asm.StoreImm(base, off, int32(w.r.Uint32()), size), asm.AtomicAdd.Mem64(base, off, w.reg()),
			asm.LoadAbs(int32(w.r.Uint32()), asm.PacketWord), asm.LoadInd(w.reg(), int32(w.r.IntN(100)), asm.PacketHalf)}[w.r.IntN(6)])
	case 5:
		w.out = append(w.out, asm.JNE.Imm(w.reg(), 0, []string{"out", "top"}[min(w.r.IntN(6), 1)^1]))
	default:
		w.number(w.reg())
	}
}

func (w *wild) program(n int) asm.Instructions {
	w.out = asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("wild")}
	for _, r := range []asm.Register{0, 2, 3, 4, 5, 7, 8, 9} {
		w.number(r)
	}
	w.out = append(w.out, asm.Mov.Imm(asm.R0, 0).WithSymbol("top"))
	for range n {
		w.step()
	}
	w.out = append(w.out, asm.Mov.Imm(asm.R0, 0).WithSymbol("out"), asm.Return(), asm.Mov.Reg(asm.R6, asm.R1).WithSymbol("callback"))
	for r := asm.R7; r < asm.R10; r++ {
		w.number(r)
	}
	w.out = append(w.out, asm.Mov.Imm(asm.R0, 0))
	for range 4 {
		if before := len(w.out); true {
			w.step()
			if _, jumps := w.out[len(w.out)-1].JumpOffset(); jumps { // stays within the function
				w.out = w.out[:before]
			}
		}
	}
	w.out = append(w.out, asm.Mov.Imm(asm.R0, int32(w.r.IntN(2))), asm.Return())
	return w.out
}

// wildRig is where wild programs run. They share its maps, for a while.
type wildRig struct {
	v     *VM
	maps  map[string]*maps.Map
	names []string
}

func newWildRig(t testing.TB, options ...Option) *wildRig {
	v, err := New(append(options, WithCPUs(1), WithLimit(20000), WithoutVerifier())...)
	require.NoError(t, err)
	r := &wildRig{v: v}
	t.Cleanup(func() {
		r.closeMaps(t)
		require.NoError(t, v.Close())
	})
	return r
}

// renewMaps makes new maps, which are empty.
func (r *wildRig) renewMaps(t testing.TB) {
	r.closeMaps(t)
	specs := wildMaps()
	r.names, r.maps = slices.Sorted(gomaps.Keys(specs)), make(map[string]*maps.Map)
	for name, spec := range specs {
		m, err := r.v.NewMap(spec)
		require.NoError(t, err)
		r.maps[name] = m
	}
}

func (r *wildRig) closeMaps(t testing.TB) {
	for _, m := range r.maps {
		require.NoError(t, m.Close())
	}
	r.maps = nil
}

// run loads a wild program and runs it a few times. Whatever it does, it ends with a
// result or an error.
func (r *wildRig) run(t testing.TB, seed uint64, n int) (ran bool) {
	w := wild{r: rand.New(rand.NewPCG(seed, 2)), maps: r.names}
	hook := []*hooks.Type{hooks.XDP, hooks.SchedCLS, hooks.SocketFilter}[seed/wildPrograms%3]
	for _, proto := range helper.Supported() {
		if proto.Allowed(hook.Prog, 0, "") && !proto.Sleeps {
			w.helpers = append(w.helpers, proto.ID)
		}
	}
	p, err := r.v.LoadProgram(&ProgramSpec{Name: "wild", Type: hook.Prog, License: "GPL", Instructions: w.program(n)}, r.maps)
	require.NoErrorf(t, err, "seed %d", seed)
	defer p.Close()
	require.NoError(t, r.maps["progs"].Put(uint32(1), p))
	for i := range 3 {
		run := hooks.TestRun{Data: make([]byte, 64+i*100)}
		err := p.Run(context.Background(), &run)
		var fault *vm.Fault
		if err != nil && !errors.As(err, &fault) {
			require.ErrorIs(t, err, hooks.ErrLeak, "seed %d", seed)
		}
		ran = ran || p.Stats().Instructions > 20
	}
	return ran
}

func TestWildPrograms(t *testing.T) {
	for _, engine := range engines() {
		t.Run(engine.String(), func(t *testing.T) {
			n := uint64(3000)
			switch {
			case *programs > 0:
				n = uint64(*programs)
			case testing.Short():
				n = 200
			}
			var ran atomic.Uint64
			enginetest.Sweep(t, *firstSeed, n, func(t *testing.T) func(uint64) {
				r := newWildRig(t, WithEngine(engine))
				return func(seed uint64) {
					if r.maps == nil || seed%wildPrograms == 0 {
						r.renewMaps(t)
					}
					if r.run(t, seed, 40) {
						ran.Add(1)
					}
				}
			})
			require.Greater(t, ran.Load(), n/3, "programs must get somewhere for the test to mean something")
		})
	}
}

// engines returns the engines that there are here.
func engines() []Engine {
	if jit.Available() != nil {
		return []Engine{Interpreter}
	}
	return []Engine{Interpreter, JIT}
}

func FuzzWildPrograms(f *testing.F) {
	f.Add(uint64(1), 40)
	f.Fuzz(func(t *testing.T, seed uint64, n int) {
		r := newWildRig(t)
		r.renewMaps(t)
		r.run(t, seed, n&255)
	})
}
