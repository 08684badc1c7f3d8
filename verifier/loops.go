package verifier

import "github.com/sandbpf/sandbpf/asm"

// successors returns where control goes within the function behind the instruction at slot;
// -1 where there is no way.
func (v *verifier) successors(slot int) (next, target int) {
	in := &v.insns[slot]
	switch in.kind {
	case asm.KindExit:
		return -1, -1
	case asm.KindGoto:
		return -1, int(in.target)
	case asm.KindJump, asm.KindMayGoto:
		return slot + 1, int(in.target)
	}
	return slot + in.Slots(), -1
}

// findLoops numbers the strongly connected components of each function's control flow that
// have more than one instruction, or one that jumps to itself (compute_scc). So does one that
// runs a callback again and again: what one turn stores, the next one may need exactly. (Linux
// 6.18 does not take it for a loop, and accepts programs whose later turns go wrong.)
func (v *verifier) findLoops() {
	v.sccs = 0
	for i := range v.funcs {
		if f := &v.funcs[i]; v.loops(f) {
			v.tarjan(f)
		}
	}
}

func (v *verifier) loops(f *subprog) bool {
	for slot := f.start; slot < f.end; slot++ {
		if in := &v.insns[slot]; int(in.target) <= slot && isJump(in) || in.mark&markCallback != 0 {
			return true
		}
	}
	return false
}

// tarjan is Tarjan's algorithm without recursion. All instructions of f are reachable, if
// not all from its start.
func (v *verifier) tarjan(f *subprog) {
	n := f.end - f.start
	index, low := make([]int32, n), make([]int32, n) // from 1; low is 0 when the component is done
	edge := make([]uint8, n)
	var path, stack []int32
	count := int32(0)
	for root := range n {
		if index[root] != 0 || v.insns[f.start+root].mark&markSecond != 0 {
			continue
		}
		path = append(path, int32(root))
		for len(path) > 0 {
			at := path[len(path)-1]
			if index[at] == 0 {
				count++
				index[at], low[at] = count, count
				stack = append(stack, at)
			}
			next, target := v.successors(f.start + int(at))
			to := -1
			for edge[at] < 2 && to < 0 {
				to = [2]int{next, target}[edge[at]]
				edge[at]++
			}
			if to >= 0 {
				if to -= f.start; index[to] == 0 {
					path = append(path, int32(to))
				} else if low[to] != 0 {
					low[at] = min(low[at], index[to])
				}
				continue
			}
			path = path[:len(path)-1]
			if len(path) > 0 {
				parent := path[len(path)-1]
				low[parent] = min(low[parent], low[at])
			}
			if low[at] == index[at] {
				stack = v.closeLoop(f, stack, at, low)
			}
		}
	}
}

// closeLoop takes the component of at off the stack and numbers it if it is a loop.
func (v *verifier) closeLoop(f *subprog, stack []int32, at int32, low []int32) []int32 {
	from := len(stack) - 1
	for stack[from] != at {
		from--
	}
	loop := len(stack)-from > 1 || v.insns[f.start+int(at)].mark&markCallback != 0
	if !loop {
		next, target := v.successors(f.start + int(at))
		loop = next == f.start+int(at) || target == f.start+int(at)
	}
	if loop {
		v.sccs++
	}
	for _, member := range stack[from:] {
		low[member] = 0
		if loop {
			v.insns[f.start+int(member)].scc = int32(v.sccs)
		}
	}
	return stack[:from]
}
