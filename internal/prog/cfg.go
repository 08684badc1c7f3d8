package prog

import (
	"slices"
	"sort"

	"github.com/sandbpf/sandbpf/asm"
)

// Block is a basic block: the instructions of slots [Start, End), of which only
// the last can jump and only the first can be jumped to.
type Block struct {
	Start, End int
	Func       int // index in Program.Funcs

	// Blocks that may run next: first the one behind or, of a goto, its target; then
	// the target of a branch. Both may be the same. Empty behind an exit.
	Succs []int
	Preds []int // blocks that have this one in Succs, in order

	Reachable bool // from the start of its function
	LoopHead  bool // the target of a back edge
}

// Edge is a way from the end of one block to the start of another, by index.
type Edge struct{ From, To int }

// Call is an instruction that calls a function, or takes its address to have a
// helper call it.
type Call struct {
	Slot           int
	Caller, Callee int  // index in Program.Funcs
	Callback       bool // address taken
}

// CFG is the control flow of a program: the graph of basic blocks of every
// function, and the graph of calls between them.
type CFG struct {
	Blocks []Block // by Start
	Calls  []Call  // by Slot, those in unreachable blocks included

	// BackEdges are the edges to a block that is an ancestor of the edge's start
	// in a depth-first walk of the function: every cycle has one. By From, then To.
	BackEdges []Edge

	// Live says which functions can be called, directly or not, from reachable
	// code of the entry. By index in Program.Funcs, as Depth.
	Live []bool

	// Depth is how many stack frames a call of the function takes at most, its own
	// included; 0 if there is no bound because it, or a function that it calls, recurses.
	Depth []int

	order []int   // reachable blocks in reverse postorder, function by function
	first []int   // where each function begins in Blocks; one more at the end
	block []int32 // block of each slot
}

// NewCFG returns the control flow of a program that has passed [Program.Check].
// It takes time and memory linear in the program's size.
func NewCFG(p *Program) *CFG {
	g := &CFG{block: make([]int32, len(p.Insns))}
	g.split(p)
	g.connect(p)
	g.walk(p)
	g.callGraph(p)
	return g
}

// BlockAt returns the index of the block that slot is in.
func (g *CFG) BlockAt(slot int) int { return int(g.block[slot]) }

// FuncBlocks returns the range [from, to) of blocks that make up a function. The
// first of them is where it starts.
func (g *CFG) FuncBlocks(fn int) (from, to int) { return g.first[fn], g.first[fn+1] }

// Order returns the reachable blocks, function by function, each in reverse
// postorder: but for back edges, a block comes before its successors.
func (g *CFG) Order() []int { return g.order }

// BackEdge reports whether the edge between the two blocks is a back edge.
func (g *CFG) BackEdge(from, to int) bool {
	_, ok := slices.BinarySearchFunc(g.BackEdges, Edge{from, to}, compareEdges)
	return ok
}

func compareEdges(a, b Edge) int {
	if a.From != b.From {
		return a.From - b.From
	}
	return a.To - b.To
}

// flow says where control goes behind the instruction at slot.
func flow(ins asm.Instruction, slot int) (next, target int, ends bool) {
	off, _ := ins.JumpOffset()
	switch ins.Kind() {
	case asm.KindExit:
		return -1, -1, true
	case asm.KindGoto:
		return -1, slot + 1 + int(off), true
	case asm.KindJump, asm.KindMayGoto:
		return slot + 1, slot + 1 + int(off), true
	}
	return slot + ins.Slots(), -1, false
}

// split finds where blocks start.
func (g *CFG) split(p *Program) {
	leader := make([]bool, len(p.Insns)+1)
	for _, f := range p.Funcs {
		leader[f.Start] = true
	}
	for slot := 0; slot < len(p.Insns); slot += p.Insns[slot].Slots() {
		ins := p.Insns[slot]
		if _, target, ends := flow(ins, slot); ends {
			leader[slot+1] = true
			if target >= 0 {
				leader[target] = true
			}
		}
	}
	g.first = make([]int, 0, len(p.Funcs)+1)
	for i, f := range p.Funcs {
		g.first = append(g.first, len(g.Blocks))
		for slot := f.Start; slot < f.End; slot++ {
			if leader[slot] {
				g.Blocks = append(g.Blocks, Block{Start: slot, Func: i})
			}
			n := len(g.Blocks) - 1
			g.Blocks[n].End = slot + 1
			g.block[slot] = int32(n)
		}
	}
	g.first = append(g.first, len(g.Blocks))
}

// connect finds the edges and the calls.
func (g *CFG) connect(p *Program) {
	link := func(from, slot int) {
		if slot >= 0 {
			to := g.BlockAt(slot)
			g.Blocks[from].Succs = append(g.Blocks[from].Succs, to)
			g.Blocks[to].Preds = append(g.Blocks[to].Preds, from)
		}
	}
	for slot := 0; slot < len(p.Insns); {
		ins, from := p.Insns[slot], g.BlockAt(slot)
		kind := ins.Kind()
		if off, ok := ins.JumpOffset(); ok && (kind == asm.KindCallLocal || kind == asm.KindLoadImm64) {
			g.Calls = append(g.Calls, Call{Slot: slot, Caller: g.Blocks[from].Func,
				Callee: p.FuncIndex(slot + 1 + int(off)), Callback: kind == asm.KindLoadImm64})
		}
		next, target, _ := flow(ins, slot)
		if slot += ins.Slots(); slot == g.Blocks[from].End {
			link(from, next)
			link(from, target)
		}
	}
}

// walk goes through every function depth first, to find what is reachable, the
// back edges, and an order.
func (g *CFG) walk(p *Program) {
	const (
		onPath = 1 + iota
		done
	)
	type visit struct{ block, succ int }
	state := make([]uint8, len(g.Blocks))
	for fn := range p.Funcs {
		start := len(g.order)
		path := []visit{{block: g.first[fn]}}
		state[g.first[fn]] = onPath
		for len(path) > 0 {
			v := &path[len(path)-1]
			b := &g.Blocks[v.block]
			b.Reachable = true
			if v.succ == len(b.Succs) {
				state[v.block] = done
				g.order = append(g.order, v.block)
				path = path[:len(path)-1]
				continue
			}
			to := b.Succs[v.succ]
			v.succ++
			switch state[to] {
			case 0:
				state[to] = onPath
				path = append(path, visit{block: to})
			case onPath:
				g.Blocks[to].LoopHead = true
				g.BackEdges = append(g.BackEdges, Edge{v.block, to})
			}
		}
		slices.Reverse(g.order[start:])
	}
	slices.SortFunc(g.BackEdges, compareEdges)
	g.BackEdges = slices.Compact(g.BackEdges)
}

// callGraph finds which functions are live and how deep calls nest.
func (g *CFG) callGraph(p *Program) {
	callees := make([][]int, len(p.Funcs))
	for _, c := range g.Calls {
		if g.Blocks[g.BlockAt(c.Slot)].Reachable {
			callees[c.Caller] = append(callees[c.Caller], c.Callee)
		}
	}
	g.Live = make([]bool, len(p.Funcs))
	g.Live[0] = true
	for pending := []int{0}; len(pending) > 0; {
		fn := pending[len(pending)-1]
		pending = pending[:len(pending)-1]
		for _, callee := range callees[fn] {
			if !g.Live[callee] {
				g.Live[callee] = true
				pending = append(pending, callee)
			}
		}
	}
	g.Depth = callDepths(callees)
}

// callDepths removes functions that call none that is left, until only those are
// left that recurse or lead to recursion.
func callDepths(callees [][]int) []int {
	depth, left := make([]int, len(callees)), make([]int, len(callees))
	callers := make([][]int, len(callees))
	var ready []int
	for fn, list := range callees {
		if left[fn] = len(list); left[fn] == 0 {
			ready = append(ready, fn)
		}
		for _, callee := range list {
			callers[callee] = append(callers[callee], fn)
		}
	}
	for len(ready) > 0 {
		fn := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		for _, callee := range callees[fn] {
			depth[fn] = max(depth[fn], depth[callee])
		}
		depth[fn]++
		for _, caller := range callers[fn] {
			if left[caller]--; left[caller] == 0 {
				ready = append(ready, caller)
			}
		}
	}
	return depth
}

// CallsIn returns the calls that lie in slots [from, to).
func (g *CFG) CallsIn(from, to int) []Call {
	at := func(slot int) int {
		return sort.Search(len(g.Calls), func(i int) bool { return g.Calls[i].Slot >= slot })
	}
	return g.Calls[at(from):at(to)]
}
