package lower

import (
	"slices"

	"github.com/sandbpf/sandbpf/asm"
)

// What is repeated in front of a loop: small innermost loops, the smaller the more often.
const (
	maxLoopInsns  = 96
	maxLoopBlocks = 48
	maxUnrolled   = 64 // instructions of a loop of which there are several copies
	maxBranching  = 80 // of one that branches: its copies never become one block, which takes time to optimise
	maxCopies     = 4
	maxTiny       = 8 // of one that is counted up to a constant, of which there are twice as many copies
	// Copies of a branch are learned by the processor each for itself: loops that branch
	// much get slower.
	maxUnrolledBlocks = 24
	// All copies together are no more than so many instructions and a quarter of the program: one of loops
	// only would become several times as long.
	maxAllCopies = 1 << 12
)

// loop is an innermost loop that is entered at its head only: its blocks in an order in which
// jumps within the loop go forwards, but for those to the head, which comes first.
type loop struct {
	blocks []int32
	copies int32
	need   int64 // how much a slice must have left for all copies, as the head counts
	tail   int32 // how many of the last blocks are laid out in front of the head
	// If trips are counted, the last copy alone has a last trip: the others go on, in one block, from the one
	// that ends a trip, number test, to the head.
	counted bool
	count   Counter
	test    int32
	// Registers to which the end of each trip adds a constant, and which. Copies leave that to the last one, and have the
	// constants in what they compute.
	moving Regs
	moves  [asm.NumRegisters]int64
	exits  int32 // ways out of the loop, but for that at the end of a trip, on which somebody reads one of them
}

func (l *loop) head() int32 { return l.blocks[0] }

// back returns the block that leads back to the head: that which ends a trip, or one that only goes there.
func (l *loop) back() int32 { return l.blocks[len(l.blocks)-1] }

// size returns how many blocks the copies are.
func (l *loop) size() int32 {
	if l.counted {
		return l.copies*l.test + int32(len(l.blocks)) - l.test + (l.copies-1)*l.exits
	}
	return l.copies * int32(len(l.blocks))
}

// loopFinder finds loops. Its slices are by block.
type loopFinder struct {
	p *Program
	// When a walk from the functions' beginnings has come to a block, and when it has left it
	// behind; 0 if it has not.
	came, left []int32
	heads      []int32 // what a way leads back to, in no order
	isHead     []bool
	preds      []int32 // where control comes from, of one block after the other
	first      []int32 // where in preds those of a block begin
	inside     []int32 // one more than the head of the loop that the block was last found in
	loops      []loop
	room       int // how many instructions further copies may have
}

// innermostLoops returns the loops that are worth to be repeated, in the order of their heads.
func (p *Program) innermostLoops() []loop {
	if p.Shared {
		return nil
	}
	n := len(p.Blocks)
	numbers := p.memory.ints.take(4*n + 1)
	f := loopFinder{p: p, came: numbers[:n], left: numbers[n : 2*n], inside: numbers[2*n : 3*n], first: numbers[3*n:], isHead: p.memory.bools.take(n),
		heads: p.memory.heads[:0], loops: p.memory.loops[:0], room: maxAllCopies + len(p.Index)/4}
	f.walk()
	p.memory.heads = f.heads
	if len(f.heads) == 0 {
		return nil
	}
	slices.Sort(f.heads)
	f.predecessors()
	for _, h := range f.heads {
		f.collect(h)
	}
	p.memory.loops = f.loops
	return f.loops
}

// step is a block on the path of a walk, and how many of its successors were visited.
type step struct{ block, done int32 }

// walk finds the heads of loops: a way leads back to them from what is reached from there.
func (f *loopFinder) walk() {
	clock := int32(0)
	path := f.p.memory.path[:0]
	enter := func(b int32) {
		clock++
		f.came[b] = clock
		path = append(path, step{b, 0})
	}
	for i := range f.p.Funcs {
		if b := f.p.Funcs[i].Block; f.came[b] == 0 {
			enter(b)
		}
		for len(path) > 0 {
			s := &path[len(path)-1]
			if s.done == 2 {
				clock++
				f.left[s.block] = clock
				path = path[:len(path)-1]
				continue
			}
			to := f.p.flows[s.block].successors()[s.done]
			s.done++
			switch {
			case to < 0:
			case f.came[to] == 0:
				enter(to)
			case f.left[to] == 0 && !f.isHead[to]:
				f.isHead[to] = true
				f.heads = append(f.heads, to)
			}
		}
	}
	f.p.memory.path = path
}

// predecessors lists where control comes from.
func (f *loopFinder) predecessors() {
	flows := f.p.flows
	each := func(do func(from, to int32)) {
		for i := range flows {
			if f.came[i] == 0 {
				continue
			}
			for _, to := range flows[i].successors() {
				if to >= 0 {
					do(int32(i), to)
				}
			}
		}
	}
	each(func(_, to int32) { f.first[to]++ })
	sum := int32(0)
	for i := range f.first {
		sum += f.first[i]
		f.first[i] = sum
	}
	f.preds = f.p.memory.ints.cut(int(sum))
	each(func(from, to int32) { // first moves down from the end to the beginning
		f.first[to]--
		f.preds[f.first[to]] = from
	})
}

// before returns where control comes to a block from.
func (f *loopFinder) before(block int32) []int32 { return f.preds[f.first[block]:f.first[block+1]] }

// collect adds the loop with a head, if it is one of those that are repeated.
func (f *loopFinder) collect(h int32) {
	if !f.member(h) {
		return
	}
	f.inside[h] = h + 1
	body, n := append(f.p.memory.ints.cut(maxLoopBlocks)[:0], h), len(f.p.Blocks[h].Ins)
	for i := 0; i < len(body) && n <= maxLoopInsns; i++ {
		to := body[i]
		for _, from := range f.before(to) {
			if f.inside[from] == h+1 || to == h && !f.below(from, h) {
				continue
			}
			n += max(len(f.p.Blocks[from].Ins), 1)
			if f.isHead[from] || !f.member(from) || len(body) == maxLoopBlocks {
				return
			}
			f.inside[from] = h + 1
			body = append(body, from)
		}
	}
	if n > maxLoopInsns {
		return
	}
	l := loop{copies: 1}
	limit := maxUnrolled
	if len(body) > 2 {
		limit = maxBranching
	}
	if len(body) <= maxUnrolledBlocks && n <= limit {
		l.copies = maxCopies
		if 2*n > limit {
			l.copies = 2
		}
	}
	if l.copies == 1 && len(body) == 1 { // which would save nothing
		return
	}
	l.blocks = f.order(h, body[:0])
	if l.copies == 1 {
		l.tail = f.tail(l.blocks)
	} else if f.counts(&l); l.counted && l.test == 0 && n <= maxTiny && l.count.Limit == None {
		l.copies *= 2
	}
	l.count.Copies = l.copies
	if f.room -= int(l.copies) * n; f.room < 0 {
		return
	}
	l.need = f.need(l.blocks, l.copies)
	f.loops = append(f.loops, l)
}

// below reports whether the walk came to a block on its way on from h.
func (f *loopFinder) below(b, h int32) bool { return f.came[b] >= f.came[h] && f.left[b] <= f.left[h] }

// member reports whether a block may be part of a loop that is repeated: native code is not
// left there other than for good, or to come back at once.
func (f *loopFinder) member(i int32) bool {
	return i != 0 && f.p.flows[i].last <= Goto && !f.p.Blocks[i].Called
}

// need returns how much a slice must have left at the head for all copies, so that no look at the
// budget on the way would find it used up. Each counts as if the program had run in a straight
// line up to where it jumps to.
func (f *loopFinder) need(body []int32, copies int32) int64 {
	p := f.p
	n, lowest := int32(0), p.Blocks[body[0]].Start
	for _, i := range body {
		b := &p.Blocks[i]
		n += p.Length(b)
		lowest = min(lowest, b.Start)
		for j := range b.Ins {
			if in := &b.Ins[j]; in.Op == Enter {
				lowest = min(lowest, int32(in.Imm))
			}
		}
	}
	return int64(copies*n + p.Index[p.Blocks[body[0]].Start] - p.Index[lowest])
}

// tail returns how many blocks at the end of a loop begin with the last one that several ways
// lead to. In front of the head, all these ways jump there, and nothing from there on.
func (f *loopFinder) tail(blocks []int32) int32 {
	for i := len(blocks) - 1; i > 0; i-- {
		if len(f.before(blocks[i])) > 1 {
			return int32(len(blocks) - i)
		}
	}
	return 0
}

// order appends the blocks of a loop such that each comes behind all that lead to it, and those
// that fall through to another in front of that if possible.
func (f *loopFinder) order(h int32, blocks []int32) []int32 {
	mark := h + 1
	path := append(f.p.memory.path[:0], step{h, 0})
	f.inside[h] = -mark
	for len(path) > 0 {
		s := &path[len(path)-1]
		if s.done == 2 {
			blocks = append(blocks, s.block)
			path = path[:len(path)-1]
			continue
		}
		to := f.p.flows[s.block].successors()[s.done]
		s.done++
		if to >= 0 && f.inside[to] == mark {
			f.inside[to] = -mark
			path = append(path, step{to, 0})
		}
	}
	slices.Reverse(blocks)
	return blocks
}
