package lower

import "github.com/sandbpf/sandbpf/internal/prog"

// functions finds what belongs to each function, and what calls have to save.
func (b *builder) functions() {
	b.FuncOf = make(map[int32]int32)
	b.HasCallbacks = len(b.callbacks) > 0
	b.addFunc(0)
	for _, block := range b.called {
		b.Blocks[block].Called = true
		b.addFunc(block)
	}
	for _, block := range b.callbacks {
		b.Blocks[block].Called = true
		b.Funcs[b.addFunc(block)].Callback = true
	}
	callees := make([][]int32, len(b.Funcs))
	seen := b.memory.ints.take(len(b.Blocks))
	// A hostile program may have as many functions as blocks that all share their blocks.
	budget := 64*len(b.Blocks) + 1<<16
	for i := range b.Funcs {
		callees[i] = b.explore(int32(i), seen, &budget)
	}
	b.depths(callees)
	for i := range b.Blocks {
		b.Blocks[i].Dead = b.Blocks[i].Dead || seen[i] == 0
		if to := b.flows[i].target; to >= 0 && to <= int32(i) {
			b.Blocks[to].LoopHead, b.loops = true, true
		}
	}
}

func (b *builder) addFunc(block int32) int32 {
	i, ok := b.FuncOf[block]
	if !ok {
		i = int32(len(b.Funcs))
		b.FuncOf[block] = i
		b.Funcs = append(b.Funcs, Func{Block: block})
	}
	return i
}

// explore walks the blocks of a function and returns the functions that it calls.
// Blocks that another function reaches too belong to none.
func (b *builder) explore(fn int32, seen []int32, budget *int) (callees []int32) {
	f := &b.Funcs[fn]
	f.Exposed = f.Callback // it is given pointers into its caller's frame, and more
	f.Frameless = !f.Callback && f.Block != 0
	work := append(b.memory.work[:0], f.Block)
	for len(work) > 0 {
		i := work[len(work)-1]
		work = work[:len(work)-1]
		if i < 0 || seen[i] == fn+1 {
			continue
		}
		if *budget--; *budget < 0 {
			b.Shared = true
			f.Exposed, f.Saved, f.Calls, f.Frameless, b.UsesStack = true, SavedRegs, true, false, true
			b.reachAll(seen, fn)
			return callees
		}
		bl := &b.Blocks[i]
		if seen[i] != 0 {
			b.Shared = true
			bl.Func = -1
		} else {
			bl.Func = fn
		}
		seen[i] = fn + 1
		callees = b.describe(f, i, callees)
		work = append(work, b.flows[i].next)
		if to := b.flows[i].target; to >= 0 {
			work = append(work, to)
		}
	}
	b.memory.work = work
	return callees
}

// reachAll makes fn reach whatever nobody has reached yet.
func (b *builder) reachAll(seen []int32, fn int32) {
	for i := range seen {
		if seen[i] == 0 {
			seen[i] = fn + 1
		}
	}
}

// describe adds what a block says of its function.
func (b *builder) describe(f *Func, block int32, callees []int32) []int32 {
	does := &b.flows[block]
	f.Saved |= does.written & SavedRegs
	if does.stack {
		b.UsesStack, f.Frameless = true, false
		f.Exposed = f.Exposed || does.exposes
	}
	switch does.last {
	case Call:
		f.Calls, f.Frameless = true, false
		callees = append(callees, b.FuncOf[b.Blocks[block].Last().Target])
	case Helper:
		f.Calls, f.Frameless = f.Calls || b.HasCallbacks, false
	case LoadPacket, MayGoto:
		f.Frameless = false
	}
	return callees
}

// exposes reports whether in, which reads r10, does other than address the stack directly.
func exposes(in *Ins) bool {
	plain := (in.Op == Load || in.Op == Store) && onStack(in) && in.B != framePointer && in.Index != framePointer
	return !plain
}

// depths finds how many frames a call of each function takes.
func (b *builder) depths(callees [][]int32) {
	left := make([]int, len(callees))
	callers := make([][]int32, len(callees))
	var ready []int32
	for fn := range callees {
		b.Funcs[fn].Depth = prog.MaxFrames // until shown otherwise: it may recurse
		if left[fn] = len(callees[fn]); left[fn] == 0 {
			ready = append(ready, int32(fn))
		}
		for _, callee := range callees[fn] {
			callers[callee] = append(callers[callee], int32(fn))
		}
	}
	for len(ready) > 0 {
		fn := ready[len(ready)-1]
		ready = ready[:len(ready)-1]
		depth := 0
		for _, callee := range callees[fn] {
			depth = max(depth, b.Funcs[callee].Depth)
		}
		b.Funcs[fn].Depth = min(depth+1, prog.MaxFrames)
		for _, caller := range callers[fn] {
			if left[caller]--; left[caller] == 0 {
				ready = append(ready, caller)
			}
		}
	}
}
