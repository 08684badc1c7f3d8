package sandbpf

import (
	"context"
	"errors"
	"flag"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/jit"
	"github.com/sandbpf/sandbpf/maps"
)

var (
	programs  = flag.Int("programs", 0, "how many wild programs to generate; 0: a few")
	firstSeed = flag.Uint64("seed", 0, "the seed of the first of them")
)

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

// runWild loads a wild program and runs it a few times. Whatever it does, it
// ends with a result or an error.
func runWild(t testing.TB, v *VM, seed uint64, n int) (ran bool) {
	w := wild{r: rand.New(rand.NewPCG(seed, 2))}
	hook := []*hooks.Type{hooks.XDP, hooks.SchedCLS, hooks.SocketFilter}[seed%3]
	specs := wildMaps()
	for name := range specs {
		w.maps = append(w.maps, name)
	}
	for _, proto := range helper.Supported() {
		if proto.Allowed(hook.Prog, 0, "") && !proto.Sleeps {
			w.helpers = append(w.helpers, proto.ID)
		}
	}
	coll, err := v.LoadCollection(&CollectionSpec{Maps: specs, Programs: map[string]*ProgramSpec{
		"wild": {Name: "wild", Type: hook.Prog, License: "GPL", Instructions: w.program(n)}}})
	if err != nil {
		require.NoErrorf(t, err, "seed %d", seed)
		return false
	}
	defer coll.Close()
	p := coll.Program("wild")
	require.NoError(t, coll.Map("progs").Put(uint32(1), p))
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
			v := newVM(t, WithCPUs(1), WithLimit(20000), WithEngine(engine), WithoutVerifier())
			n := uint64(3000)
			switch {
			case *programs > 0:
				n = uint64(*programs)
			case testing.Short():
				n = 200
			}
			ran := 0
			for seed := *firstSeed; seed < *firstSeed+n; seed++ {
				if runWild(t, v, seed, 40) {
					ran++
				}
			}
			require.Greater(t, ran, int(n/3), "programs must get somewhere for the test to mean something")
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
		v, err := New(WithCPUs(1), WithLimit(20000), WithoutVerifier())
		require.NoError(t, err)
		defer v.Close()
		runWild(t, v, seed, n&255)
	})
}
