package prog

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// build makes a program of functions that start at the given labels.
func build(t *testing.T, insns asm.Instructions, funcs ...string) *Program {
	t.Helper()
	symbols, err := insns.Symbols()
	require.NoError(t, err)
	resolved, err := insns.Resolve()
	require.NoError(t, err)
	p := &Program{Name: "test"}
	for _, ins := range resolved {
		p.Insns = append(p.Insns, ins)
		if ins.Slots() == 2 {
			p.Insns = append(p.Insns, asm.Instruction{})
		}
	}
	for i, name := range funcs {
		p.Funcs = append(p.Funcs, Func{Name: name, Start: symbols[name], End: len(p.Insns)})
		if i > 0 {
			p.Funcs[i-1].End = symbols[name]
		}
	}
	return p
}

func TestCFG(t *testing.T) {
	p := build(t, asm.Instructions{
		asm.LoadImm(asm.R0, 1).WithSymbol("main"),              // 0
		asm.JEq.Imm(asm.R1, 0, "out"),                          // 2
		asm.Sub.Imm(asm.R1, 1).WithSymbol("loop"),              // 3
		asm.CallLocal("f"),                                     // 4
		asm.JNE.Imm(asm.R1, 0, "loop"),                         // 5
		asm.Return().WithSymbol("out"),                         // 6
		asm.Mov.Imm(asm.R0, 2),                                 // 7, unreachable
		asm.Goto("out"),                                        // 8
		asm.MayGoto("done").WithSymbol("f"),                    // 9
		asm.GotoLong("f"),                                      // 10
		asm.LoadFunc(asm.R2, "g").WithSymbol("done"),           // 11
		asm.Return(),                                           // 13
		asm.Return().WithSymbol("g"),                           // 14
		asm.CallLocal("dead").WithSymbol("dead"), asm.Return(), // 15, 16
	}, "main", "f", "g", "dead")
	require.NoError(t, p.Check())
	g := NewCFG(p)

	require.Equal(t, []Block{
		{Start: 0, End: 3, Func: 0, Succs: []int{1, 2}, Reachable: true},
		{Start: 3, End: 6, Func: 0, Succs: []int{2, 1}, Preds: []int{0, 1}, Reachable: true, LoopHead: true},
		{Start: 6, End: 7, Func: 0, Preds: []int{0, 1, 3}, Reachable: true},
		{Start: 7, End: 9, Func: 0, Succs: []int{2}},
		{Start: 9, End: 10, Func: 1, Succs: []int{5, 6}, Preds: []int{5}, Reachable: true, LoopHead: true},
		{Start: 10, End: 11, Func: 1, Succs: []int{4}, Preds: []int{4}, Reachable: true},
		{Start: 11, End: 14, Func: 1, Preds: []int{4}, Reachable: true},
		{Start: 14, End: 15, Func: 2, Reachable: true},
		{Start: 15, End: 17, Func: 3, Reachable: true},
	}, g.Blocks)
	require.Equal(t, []Edge{{1, 1}, {5, 4}}, g.BackEdges)
	require.True(t, g.BackEdge(5, 4))
	require.False(t, g.BackEdge(4, 5))
	require.Equal(t, []int{0, 1, 2, 4, 6, 5, 7, 8}, g.Order())
	require.Equal(t, []Call{{4, 0, 1, false}, {11, 1, 2, true}, {15, 3, 3, false}}, g.Calls)
	require.Equal(t, g.Calls[1:2], g.CallsIn(5, 15))
	require.Equal(t, []bool{true, true, true, false}, g.Live)
	require.Equal(t, []int{3, 2, 1, 0}, g.Depth)
	require.Equal(t, 0, g.BlockAt(1))
	from, to := g.FuncBlocks(1)
	require.Equal(t, [2]int{4, 7}, [2]int{from, to})
}

func TestCallsFromUnreachableCodeDoNotCount(t *testing.T) {
	p := build(t, asm.Instructions{
		asm.Return().WithSymbol("main"),
		asm.CallLocal("main"),
		asm.CallLocal("f"),
		asm.Return(),
		asm.Return().WithSymbol("f"),
	}, "main", "f")
	g := NewCFG(p)
	require.Len(t, g.Calls, 2)
	require.Equal(t, []bool{true, false}, g.Live)
	require.Equal(t, []int{1, 1}, g.Depth)
}

func TestMutualRecursionHasNoDepth(t *testing.T) {
	p := build(t, asm.Instructions{
		asm.CallLocal("a").WithSymbol("main"), asm.Return(),
		asm.CallLocal("b").WithSymbol("a"), asm.Return(),
		asm.CallLocal("a").WithSymbol("b"), asm.CallLocal("leaf"), asm.Return(),
		asm.Return().WithSymbol("leaf"),
	}, "main", "a", "b", "leaf")
	require.Equal(t, []int{0, 0, 0, 1}, NewCFG(p).Depth)
}

func TestCheck(t *testing.T) {
	ja := func(off int16) asm.Instruction { return asm.Instruction{Op: 0x05, Off: off} }
	call := func(off int64) asm.Instruction { return asm.Instruction{Op: 0x85, Src: 1, Imm: off} }
	fn := func(off int64) asm.Instruction { return asm.Instruction{Op: 0x18, Src: asm.PseudoFunc, Imm: off} }
	exit, ld := asm.Return(), asm.LoadImm(asm.R0, 0)
	mov := asm.Mov.Imm(asm.R0, 0)
	for _, c := range []struct {
		name   string
		insns  []asm.Instruction
		funcs  []Func
		slot   int
		reason string
	}{
		{"empty", nil, nil, 0, "no instructions"},
		{"no functions", []asm.Instruction{exit}, nil, 0, "no functions"},
		{"gap", []asm.Instruction{exit, exit, exit}, []Func{{Start: 0, End: 1}, {Start: 2, End: 3}}, 2, "does not follow"},
		{"overlap", []asm.Instruction{exit, exit}, []Func{{Start: 0, End: 2}, {Start: 1, End: 2}}, 1, "does not follow"},
		{"late start", []asm.Instruction{exit, exit}, []Func{{Start: 1, End: 2}}, 1, "does not follow"},
		{"empty function", []asm.Instruction{exit}, []Func{{Start: 0, End: 0}}, 0, "does not follow"},
		{"too long", []asm.Instruction{exit}, []Func{{Start: 0, End: 2}}, 0, "does not follow"},
		{"rest", []asm.Instruction{exit, exit}, []Func{{Start: 0, End: 1}}, 1, "in no function"},
		{"start in second slot", []asm.Instruction{ld, {}, exit}, []Func{{Start: 0, End: 1}, {Start: 1, End: 3}}, 0, "without its second slot"},
		{"half a load", []asm.Instruction{ld}, []Func{{Start: 0, End: 1}}, 0, "without its second slot"},
		{"jump before", []asm.Instruction{ja(-2), exit}, []Func{{Start: 0, End: 2}}, 0, "jump to -1, outside of the program"},
		{"jump behind", []asm.Instruction{ja(1), exit}, []Func{{Start: 0, End: 2}}, 0, "jump to 2, outside of the program"},
		{"jump far", []asm.Instruction{{Op: 0x06, Imm: 1<<31 - 1}, exit}, []Func{{Start: 0, End: 2}}, 0, "outside of the program"},
		{"jump across", []asm.Instruction{ja(0), exit}, []Func{{Name: "f", Start: 0, End: 1}, {Start: 1, End: 2}}, 0, "jump to 1, outside of function f at [0, 1)"},
		{"jump into load", []asm.Instruction{ja(1), ld, {}, exit}, []Func{{Start: 0, End: 4}}, 0, "jump to 2, the second slot"},
		{"call nowhere", []asm.Instruction{call(7), exit}, []Func{{Start: 0, End: 2}}, 0, "no function starts at instruction 8"},
		{"call within", []asm.Instruction{call(0), exit}, []Func{{Start: 0, End: 2}}, 0, "no function starts at instruction 1"},
		{"callback within", []asm.Instruction{fn(1), {}, exit}, []Func{{Start: 0, End: 3}}, 0, "no function starts at instruction 2"},
		{"runs out", []asm.Instruction{exit, mov}, []Func{{Start: 0, End: 2}}, 1, "neither exit nor goto"},
		{"ends in load", []asm.Instruction{exit, ld, {}}, []Func{{Start: 0, End: 3}}, 2, "neither exit nor goto"},
		{"falls into next", []asm.Instruction{mov, exit}, []Func{{Start: 0, End: 1}, {Start: 1, End: 2}}, 0, "neither exit nor goto"},
		{"ends in a branch", []asm.Instruction{{Op: 0x15, Off: -1}}, []Func{{Start: 0, End: 1}}, 0, "neither exit nor goto"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := (&Program{Insns: c.insns, Funcs: c.funcs}).Check()
			require.ErrorIs(t, err, ErrInvalid)
			var bad *Error
			require.True(t, errors.As(err, &bad))
			require.Equal(t, c.slot, bad.Slot)
			require.Contains(t, bad.Reason, c.reason)
		})
	}
	require.NoError(t, (&Program{Insns: []asm.Instruction{exit, {Op: 0x06, Imm: -2}}, Funcs: []Func{{Start: 0, End: 2}}}).Check())
}

func TestCheckLimits(t *testing.T) {
	p := &Program{}
	for i := range MaxFuncs {
		p.Insns = append(p.Insns, asm.Return())
		p.Funcs = append(p.Funcs, Func{Start: i, End: i + 1})
	}
	require.NoError(t, p.Check())
	p.Insns = append(p.Insns, asm.Return())
	p.Funcs = append(p.Funcs, Func{Start: MaxFuncs, End: MaxFuncs + 1})
	require.ErrorContains(t, p.Check(), "257 functions, at most 256 are allowed")

	p = &Program{Insns: make([]asm.Instruction, MaxSlots)}
	for i := range p.Insns {
		p.Insns[i] = asm.Return()
	}
	p.Funcs = []Func{{End: MaxSlots}}
	require.NoError(t, p.Check())
	p.Insns = append(p.Insns, asm.Return())
	require.ErrorContains(t, p.Check(), "1000001 slots")
}

// TestCFGOfLongLoopNest takes a program that would make a recursive walk a million
// frames deep.
func TestCFGOfLongLoopNest(t *testing.T) {
	const n = 400_000
	p := &Program{Funcs: []Func{{End: 2*n + 1}}}
	for range n {
		p.Insns = append(p.Insns, asm.Instruction{Op: 0x15, Off: 0})
	}
	for range n {
		p.Insns = append(p.Insns, asm.Instruction{Op: 0x15, Off: -1})
	}
	p.Insns = append(p.Insns, asm.Return())
	require.NoError(t, p.Check())
	g := NewCFG(p)
	require.Len(t, g.Blocks, 2*n+1)
	require.Len(t, g.BackEdges, n)
}

// checkCFG compares g with what follows from the program slot by slot.
func checkCFG(t *testing.T, p *Program, g *CFG) {
	t.Helper()
	for i, b := range g.Blocks {
		require.Less(t, b.Start, b.End)
		if i > 0 {
			require.Equal(t, g.Blocks[i-1].End, b.Start)
		}
		for slot := b.Start; slot < b.End; slot++ {
			require.Equal(t, i, g.BlockAt(slot))
		}
		for _, to := range b.Succs {
			require.Contains(t, g.Blocks[to].Preds, i)
			require.Equal(t, b.Func, g.Blocks[to].Func)
		}
	}
	nextOf := func(slot int) []int {
		ins := p.Insns[slot]
		off, _ := ins.JumpOffset()
		switch ins.Kind() {
		case asm.KindExit:
			return nil
		case asm.KindGoto:
			return []int{slot + 1 + int(off)}
		case asm.KindJump, asm.KindMayGoto:
			return []int{slot + 1, slot + 1 + int(off)}
		}
		return []int{slot + ins.Slots()}
	}
	for _, f := range p.Funcs {
		seen := make(map[int]bool)
		for todo := []int{f.Start}; len(todo) > 0; {
			slot := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if seen[slot] {
				continue
			}
			seen[slot] = true
			b := g.Blocks[g.BlockAt(slot)]
			var ends []int
			for _, to := range b.Succs {
				ends = append(ends, g.Blocks[to].Start)
			}
			if last := slot + p.Insns[slot].Slots(); last == b.End {
				require.Equal(t, nextOf(slot), ends)
			} else {
				require.Equal(t, []int{last}, nextOf(slot))
			}
			todo = append(todo, nextOf(slot)...)
		}
		for slot := f.Start; slot < f.End; slot += p.Insns[slot].Slots() {
			require.Equal(t, seen[slot], g.Blocks[g.BlockAt(slot)].Reachable, "slot %d", slot)
		}
	}
	// Without back edges, the order is topological: there is no cycle left.
	at := make(map[int]int)
	for i, b := range g.Order() {
		require.True(t, g.Blocks[b].Reachable)
		at[b] = i
	}
	for _, from := range g.Order() {
		for _, to := range g.Blocks[from].Succs {
			if g.BackEdge(from, to) {
				require.True(t, g.Blocks[to].LoopHead)
				require.GreaterOrEqual(t, at[from], at[to])
			} else {
				require.Less(t, at[from], at[to])
			}
		}
	}
}

// randomProgram cuts n instructions of random jumps into functions.
func randomProgram(r *rand.Rand, n int) *Program {
	p := &Program{}
	for start := 0; start < n; {
		size := min(1+r.IntN(12), n-start)
		p.Funcs = append(p.Funcs, Func{Start: start, End: start + size})
		start += size
	}
	for _, f := range p.Funcs {
		for slot := f.Start; slot < f.End; slot++ {
			ins := asm.Instruction{Off: int16(f.Start + r.IntN(f.End-f.Start) - slot - 1)}
			switch r.IntN(6) {
			case 0:
				ins.Op = 0x05
			case 1, 2:
				ins.Op = 0x15
			case 3:
				ins = asm.Return()
			case 4:
				ins = asm.Instruction{Op: 0x85, Src: 1, Imm: int64(p.Funcs[r.IntN(len(p.Funcs))].Start - slot - 1)}
			default:
				ins = asm.Mov.Imm(asm.R0, 0)
			}
			if slot == f.End-1 {
				ins = asm.Return()
			}
			p.Insns = append(p.Insns, ins)
		}
	}
	return p
}

func TestCFGOfRandomPrograms(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		p := randomProgram(r, 1+r.IntN(60))
		require.NoError(t, p.Check())
		g := NewCFG(p)
		checkCFG(t, p, g)
		for fn := range p.Funcs {
			require.Equal(t, slowDepth(p, g, fn, nil), g.Depth[fn])
		}
	}
}

// slowDepth tries every chain of calls.
func slowDepth(p *Program, g *CFG, fn int, path []int) int {
	for _, f := range path {
		if f == fn {
			return 0
		}
	}
	depth := 1
	for _, c := range g.Calls {
		if c.Caller == fn && g.Blocks[g.BlockAt(c.Slot)].Reachable {
			d := slowDepth(p, g, c.Callee, append(path, fn))
			if d == 0 {
				return 0
			}
			depth = max(depth, 1+d)
		}
	}
	return depth
}

// FuzzCFG takes any bytes for a program of one or two functions.
func FuzzCFG(f *testing.F) {
	f.Add([]byte{0x95, 0, 0, 0, 0, 0, 0, 0}, uint8(0))
	f.Add([]byte{0x15, 0, 0xff, 0xff, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, b []byte, cut uint8) {
		insns, err := asm.Decode(b, binary.LittleEndian)
		if err != nil {
			return
		}
		p := &Program{}
		for _, ins := range insns {
			p.Insns = append(p.Insns, ins)
			if ins.Slots() == 2 {
				p.Insns = append(p.Insns, asm.Instruction{})
			}
		}
		p.Funcs = []Func{{End: len(p.Insns)}}
		if int(cut) < len(p.Insns) && cut > 0 {
			p.Funcs = []Func{{End: int(cut)}, {Start: int(cut), End: len(p.Insns)}}
		}
		if p.Check() == nil {
			checkCFG(t, p, NewCFG(p))
		}
	})
}

func TestFuncIndex(t *testing.T) {
	p := &Program{Funcs: []Func{{Start: 0, End: 2}, {Start: 2, End: 3}}}
	require.Equal(t, []int{-1, 0, -1, 1, -1, -1}, []int{p.FuncIndex(-1), p.FuncIndex(0), p.FuncIndex(1), p.FuncIndex(2), p.FuncIndex(3), p.FuncIndex(9)})
	require.Equal(t, &p.Funcs[0], p.FuncAt(1))
	require.Nil(t, p.FuncAt(3))
	require.Nil(t, p.FuncAt(-1))
}
