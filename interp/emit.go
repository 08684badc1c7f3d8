package interp

import (
	"slices"
	"unsafe"
)

// fused holds the operation that does the work of two, by the two; 0 if there
// is none (opExit, which no pair is).
var fused = func() (t [256][256]opcode) {
	for p, op := range pairs {
		t[p[0]][p[1]] = op
	}
	return t
}()

// emitter writes the operations.
type emitter struct {
	d         *decoder
	c         *Code
	constSlot []uint8 // by constant: its slot, 0 if it has none
	patches   []patch
	cold      []coldPair
	expanded  []instr
	cost      []int32
}

// patch is a jump whose target was not yet known.
type patch struct {
	op    int
	block int32
	other bool // the way of a branch whose condition does not hold
}

// coldPair is a pair that needs its halves on their own as well.
type coldPair struct {
	op            int
	first, second instr
}

func (d *decoder) emit() *Code {
	e := emitter{d: d, c: &Code{p: d.p, env: *d.env, helpers: d.helpers, exposed: make(map[int]bool),
		index: d.split.Index, callbacks: make(map[int]uintptr, len(d.callbacks))}}
	e.constants()
	for i := range d.blocks {
		d.branch(i)
		b := &d.blocks[i]
		b.pc = len(e.c.ops) * opSize
		e.c.starts = append(e.c.starts, blockStart{b.start, uintptr(b.pc)})
		if len(b.instrs) == 0 { // no two blocks begin at the same operation
			b.instrs = append(b.instrs, instr{op: opNop, dst: -1, a: noValue, b: noValue, c: noValue, slot: b.start})
		}
		e.block(b)
	}
	for i := 0; i < len(e.cold); i++ {
		e.expand(e.cold[i])
	}
	for _, p := range e.patches {
		if pc := uint32(d.blocks[p.block].pc); p.other {
			e.c.ops[p.op].y = pc
		} else {
			e.c.ops[p.op].z = pc
		}
	}
	for _, i := range d.callbacks {
		b := &d.blocks[i]
		e.c.callbacks[int(b.start)] = uintptr(b.pc)
	}
	e.single(instr{op: opHost, dst: -1, a: noValue, b: noValue, c: noValue}) // where callbacks return to
	return e.c
}

// branchOps holds the branches that conditional jumps become, and whether the
// ways change places.
var branchOps = [numOpcodes]struct {
	op   opcode
	swap bool
}{
	opJEq64: {opBrEq64, false}, opJNE64: {opBrEq64, true},
	opJGT64: {opBrGT64, false}, opJGE64: {opBrGT64, true},
	opJSGT64: {opBrSGT64, false}, opJSGE64: {opBrSGT64, true},
}

// branch makes a conditional jump at the end of block i, in front of a block that
// only jumps, a branch.
func (d *decoder) branch(i int) {
	b := &d.blocks[i]
	if len(b.instrs) == 0 || b.next < 0 {
		return
	}
	in := &b.instrs[len(b.instrs)-1]
	next := &d.blocks[b.next]
	to := branchOps[in.op]
	if to.op == 0 || len(next.instrs) != 1 || next.instrs[0].op != opGoto {
		return
	}
	in.op = to.op
	in.other, in.otherSlot = next.instrs[0].target, next.instrs[0].slot
	if to.swap {
		in.target, in.other = in.other, in.target
		in.slot, in.otherSlot = in.otherSlot, in.slot
		if to.op != opBrEq64 { // not a >= b is b > a
			in.b, in.c = in.c, in.b
		}
	}
	b.next = -1
}

// constants gives slots to the constants that are left, as far as they go.
func (e *emitter) constants() {
	e.constSlot = make([]uint8, len(e.d.consts))
	for i := range e.d.blocks {
		for _, in := range e.d.blocks[i].instrs {
			for _, v := range [...]value{in.a, in.b, in.c} {
				k := constBase - v
				if v > constBase || e.constSlot[k] != 0 || firstConst+len(e.c.consts) == numSlots {
					continue
				}
				e.constSlot[k] = uint8(firstConst + len(e.c.consts))
				e.c.consts = append(e.c.consts, e.d.consts[k])
			}
		}
	}
}

// block writes the operations of a block, as few as pairs allow.
func (e *emitter) block(b *block) {
	ins := e.loadConstants(b.instrs)
	n := len(ins)
	e.cost = slices.Grow(e.cost[:0], n+2)[:n+2]
	e.cost[n], e.cost[n+1] = 0, 0
	pairs := func(i int) bool { return i+1 < n && fused[ins[i].op][ins[i+1].op] != 0 }
	for i := n - 1; i >= 0; i-- {
		e.cost[i] = 1 + e.cost[i+1]
		if pairs(i) {
			e.cost[i] = min(e.cost[i], 1+e.cost[i+2])
		}
	}
	for i := 0; i < n; i++ {
		if pairs(i) && e.cost[i] == 1+e.cost[i+2] {
			e.pair(ins[i], ins[i+1])
			i++
			continue
		}
		e.single(ins[i])
	}
}

// loadConstants brings constants that have no slot into one of the scratch slots.
func (e *emitter) loadConstants(in []instr) []instr {
	e.expanded = e.expanded[:0]
	for _, ins := range in {
		for i, v := range [...]*value{&ins.a, &ins.b, &ins.c} {
			if k := constBase - *v; *v <= constBase && e.constSlot[k] == 0 {
				e.expanded = append(e.expanded, instr{op: opLoadImm, dst: int8(scratch + i), a: noValue, b: noValue,
					c: noValue, x: int64(e.d.consts[k]), slot: ins.slot})
				*v = value(scratch + i)
			}
		}
		e.expanded = append(e.expanded, ins)
	}
	return e.expanded
}

func (e *emitter) slotOf(v value) uint8 {
	switch {
	case v == noValue:
		return 0
	case v <= constBase:
		return e.constSlot[constBase-v]
	}
	return uint8(v)
}

// window returns the byte offset of the window that a memory operation uses.
func (e *emitter) window(in instr) uint32 {
	if !opInfos[in.op].mem {
		return 0
	}
	e.c.windows++
	return uint32(e.c.windows-1) * uint32(unsafe.Sizeof(uintptr(0)))
}

func (e *emitter) append(op operation, slot int32) int {
	e.c.ops = append(e.c.ops, op)
	e.c.origins = append(e.c.origins, origin{slot: slot, cold: -1})
	return len(e.c.ops) - 1
}

// written returns the slot in the operation's field a: what it writes, or what
// a store reads.
func (e *emitter) written(in instr) uint8 {
	if in.dst >= 0 {
		return uint8(in.dst)
	}
	return e.slotOf(in.a)
}

func (e *emitter) single(in instr) int {
	at := e.append(operation{code: in.op, a: e.written(in), b: e.slotOf(in.b), c: e.slotOf(in.c),
		y: e.window(in), x: in.x}, in.slot)
	e.jump(at, in)
	return at
}

func (e *emitter) pair(first, second instr) {
	at := e.append(operation{code: fused[first.op][second.op],
		a: e.written(first), b: e.slotOf(first.b), c: e.slotOf(first.c), y: e.window(first), x: first.x,
		d: e.written(second), e: e.slotOf(second.b), f: e.slotOf(second.c), z: e.window(second), w: second.x}, first.slot)
	e.jump(at, second)
	if opInfos[first.op].mem || opInfos[second.op].mem {
		e.cold = append(e.cold, coldPair{at, first, second})
	}
}

// jump fills in what a control transfer needs.
func (e *emitter) jump(at int, in instr) {
	op, info := &e.c.ops[at], &opInfos[in.op]
	next := int64(e.c.index[in.slot]) + 1
	if in.op == opExit {
		op.w = next
		return
	}
	if in.op != opCall && !info.jump && !info.branch {
		return
	}
	e.patches = append(e.patches, patch{op: at, block: in.target})
	op.w = next - e.startIndex(in.target)
	if in.op == opCall {
		op.x = next
		if start := int(e.d.blocks[in.target].start); e.d.exposedFrames[in.target] {
			op.y = 1
			e.c.exposed[start] = true
		}
	}
	if info.branch {
		e.patches = append(e.patches, patch{op: at, block: in.other, other: true})
		op.x = int64(e.c.index[in.otherSlot]) + 1 - e.startIndex(in.other)
	}
}

// startIndex returns how many instructions come before a block.
func (e *emitter) startIndex(block int32) int64 { return int64(e.c.index[e.d.blocks[block].start]) }

// expand writes the halves of a pair on their own, where the loop goes on when
// the pair could not do one of them. They share its windows.
func (e *emitter) expand(p coldPair) {
	hot := e.c.ops[p.op]
	first := e.single(p.first)
	second := e.single(p.second)
	e.c.origins[p.op].cold = int32(first)
	if opInfos[p.first.op].mem {
		e.c.ops[first].y = hot.y
	}
	if opInfos[p.second.op].mem {
		e.c.ops[second].y = hot.z
	}
	e.append(operation{code: opBack, z: uint32((p.op + 1) * opSize)}, p.second.slot)
}
