package lower

import (
	"slices"

	"github.com/sandbpf/sandbpf/asm"
)

// value names a 64-bit value in a block that is being optimised, by its index in optimiser.info: none, what
// a register held at the beginning, and then constants and what nodes of the block compute, as they come.
type value int32

const noValue value = 0

// initial returns what r held at the beginning.
func initial(r Reg) value { return value(r) + 1 }

// isInitial reports whether v is what a register held at the beginning.
func (v value) isInitial() bool { return uint32(v-1) < asm.NumRegisters }

// node is an instruction on values. Its Ins has no registers but Dst, where the program has
// the result.
type node struct {
	Ins
	a, b, index value
	out         value // its result, if it has one
}

// info is what is known of a value. Of all kinds of values the same is known, in 32 bytes, so that
// no branch depends on which kind one is of.
type info struct {
	bits   uint64 // that may be set; of a constant, itself
	kind   kinds
	last   int32 // the last node that reads it
	uses   int32 // by how many nodes it is read
	node   int32 // that computes it, -1 if none does
	wanted Regs  // the registers that the program wants it in at the end
	reg    Reg   // where it is, None if it is a constant
	counts bool  // a shift is by it
}

// optimiser works on one block at a time; its slices are reused for the next.
type optimiser struct {
	p *Program
	b *Block
	// What each register holds, and noValue for None: see cell.
	cur [1 << 5]value
	// The registers that hold constants at the beginning, and which.
	constIn Regs
	constAt *[framePointer]int64
	// The registers of which parts are known at the beginning, and which.
	narrowIn  Regs
	parts     registerParts
	info      []info // by value
	nodes     []node
	loaded    []loaded // constants that are in registers
	stored    []stored // what is in the frame
	found     []value  // addresses of arrays' values
	forwards  kinds    // values of these kinds are not loaded from the frame again where the block knows them
	forwarded bool     // some was not
	result    []Ins
	moving    []Ins // see allocation.moves
}

// cell returns where the value for a register is in a list that also has one for None.
func cell(r Reg) uint8 { return uint8(r) & (1<<5 - 1) }

// atBegin is what cur and info are at the beginning of a block, if nothing is known of the registers.
var atBegin = func() (at struct {
	cur  [1 << 5]value
	info [1 + asm.NumRegisters]info
}) {
	at.info[noValue] = info{bits: allBits, node: -1, reg: None}
	for r := range Reg(asm.NumRegisters) {
		at.cur[r] = initial(r)
		at.info[initial(r)] = info{bits: allBits, kind: isInitial, last: -1, node: -1, reg: r}
	}
	return at
}()

// loaded is a constant that a node has brought into a register.
type loaded struct {
	k int64
	v value
}

// node returns what computes v, nil if no node does.
func (o *optimiser) node(v value) *node {
	if i := o.info[v].node; i >= 0 {
		return &o.nodes[i]
	}
	return nil
}

// isDef reports whether a node of the block computes v.
func (o *optimiser) isDef(v value) bool { return o.info[v].node >= 0 }

// kind returns what v is.
func (o *optimiser) kind(v value) kinds { return o.info[v].kind }

// constant returns the value of k.
func (o *optimiser) constant(k int64) value {
	return o.add(uint64(k), isConstant, -1, -1)
}

// add adds a value that is in no register yet, and returns it.
func (o *optimiser) add(bits uint64, kind kinds, last, node int32) value {
	o.info = extend(o.info)
	v := value(len(o.info) - 1)
	i := &o.info[v]
	i.bits, i.kind, i.last, i.uses, i.node, i.wanted, i.reg, i.counts = bits, kind, last, 0, node, 0, None, false
	return v
}

// extend makes a list longer by an element that may hold anything. To be written field by field: when the
// processor reads at once what has just been written in parts, which is how a whole struct is appended, it
// waits.
func extend[T any](list []T) []T {
	if len(list) == cap(list) {
		return slices.Grow(list, 1)[:len(list)+1]
	}
	return list[:len(list)+1]
}

// constOf returns the constant that v is.
func (o *optimiser) constOf(v value) (int64, bool) {
	i := &o.info[v]
	return int64(i.bits), i.kind == isConstant
}

// literal is constOf that also knows constants which a node has brought into a register.
func (o *optimiser) literal(v value) (int64, bool) {
	if n := o.node(v); n != nil && n.Op == Mov {
		v = n.b
	}
	return o.constOf(v)
}

// stale reports whether v is what a register held at the beginning and does not hold any
// more: keeping it for longer costs a move.
func (o *optimiser) stale(v value) bool {
	return v.isInitial() && o.now(v) != v && !o.advanced(v)
}

// now returns what the register holds that held v at the beginning.
func (o *optimiser) now(v value) value { return o.cur[cell(Reg(v-1))] }

// begin forgets the last block.
func (o *optimiser) begin(b *Block) {
	o.b, o.nodes, o.loaded, o.cur = b, o.nodes[:0], o.loaded[:0], atBegin.cur
	o.stored, o.found = o.stored[:0], o.found[:0]
	o.info = append(o.info[:0], atBegin.info[:]...)
	for left := o.narrowIn; left != 0; left &= left - 1 {
		r := left.first()
		o.info[initial(r)].bits = partBits[o.parts.of(r)]
	}
	for left := o.constIn; left != 0; left &= left - 1 {
		r := left.first()
		i := &o.info[initial(r)]
		i.kind, i.bits = isConstant, uint64(o.constAt[r])
		o.loaded = append(o.loaded, loaded{o.constAt[r], initial(r)})
	}
}

// values rewrites the block on values, each instruction simplified as far as the rules
// know. Copies and constants vanish into the operands of those who read them.
func (o *optimiser) values(b *Block) {
	o.begin(b)
	var n node
	for i := range b.Ins {
		n.Ins = b.Ins[i]
		if terminates(&n.Ins) {
			n.a, n.b, n.index, n.out = noValue, noValue, noValue, noValue
			o.nodes = append(o.nodes, n)
			continue
		}
		n.a, n.b, n.index = o.read(n.A), o.read(n.B), o.read(n.Index)
		if n.B == None && hasOperand(n.Op) {
			n.b = o.constant(n.Imm)
		}
		switch {
		case n.Op >= Mov && n.Op <= Popcount: // most
			o.cur[cell(n.Dst)] = o.compute(&n)
		case n.isMem():
			o.access(&n)
		case n.Op == Jump:
			o.compare(&n)
			if o.decide(&n); n.Op != Nop {
				o.emit(&n)
			}
		case n.Op == Lookup:
			o.cur[cell(n.Dst)] = o.lookup(&n)
		case n.Op == Nop:
		case n.Op == Enter || n.Op == Leave || n.Op == Hop:
			o.emit(&n)
		case n.Op == Lea:
			o.unlea(&n)
			o.cur[cell(n.Dst)] = o.compute(&n)
		case n.Op == Exchange:
			o.cur[cell(n.Dst)], o.cur[cell(n.B)] = o.cur[cell(n.B)], o.cur[cell(n.Dst)]
		default:
			o.cur[cell(n.Dst)] = o.compute(&n)
		}
	}
}

// access is values for a load or store.
func (o *optimiser) access(n *node) {
	o.memory(n)
	if n.Op == Store {
		o.overwrites(n)
		stored, v := *n, n.b
		if o.does(PassMerge) {
			o.joinStores(n)
		}
		o.emit(n)
		o.remember(&stored, v)
		return
	}
	v, ok := o.forward(n)
	if !ok {
		o.emit(n)
		v = o.define(n)
		o.remember(n, v)
	}
	o.cur[cell(n.Dst)] = v
}

// terminates reports whether in needs its operands where the program has them.
func terminates(in *Ins) bool { return in.Op >= Atomic && in.Op != Jump }

// hasOperand reports whether an operation has an operand that is a register or constant.
func hasOperand(op Op) bool { return op >= Mov && op <= Rol || op == Store || op == Jump }

func (o *optimiser) read(r Reg) value { return o.cur[cell(r)] }

// emit adds a node. Constants that it cannot have as an operand are loaded before.
func (o *optimiser) emit(n *node) {
	if (o.kind(n.a)|o.kind(n.index))&isConstant != 0 {
		if o.kind(n.a) == isConstant {
			n.a = o.load(n.a, n.Slot)
		}
		if o.kind(n.index) == isConstant {
			n.index = o.load(n.index, n.Slot)
		}
	}
	k, constant := o.constOf(n.b)
	if constant {
		switch short := int64(int32(k)); {
		case k == short && !n.b.isInitial():
		case k == short || !n.Wide:
			k = short
			n.b = o.constant(k)
		case n.Op != Mov && !(n.Op == Store && n.Size < 8) && !(n.Op == And && uint64(k)>>32 == 0):
			n.b = o.load(n.b, n.Slot)
		case n.b.isInitial():
			n.b = o.constant(k)
		}
	}
	o.nodes = extend(o.nodes)
	m := &o.nodes[len(o.nodes)-1]
	m.Ins, m.a, m.b, m.index, m.out = n.Ins, n.a, n.b, n.index, noValue
	if constant {
		m.Imm = k
	}
	if n.Op >= LSh && n.Op <= ArSh {
		o.info[n.b].counts = true
	}
}

// load brings a constant into a register, unless one has it.
func (o *optimiser) load(v value, slot int32) value {
	k, _ := o.constOf(v)
	for _, l := range o.loaded {
		if l.k == k && !o.stale(l.v) {
			return l.v
		}
	}
	n := node{Ins: Ins{Op: Mov, Wide: true, Dst: None, A: None, B: None, Index: None, Slot: slot, Imm: k},
		a: noValue, b: o.constant(k), index: noValue}
	o.emit(&n)
	l := loaded{k, o.define(&n)}
	o.loaded = append(o.loaded, l)
	return l.v
}

// define gives the node that was emitted last, a copy of which is n, a value.
func (o *optimiser) define(n *node) value {
	at := int32(len(o.nodes) - 1)
	v := o.add(o.bitsOf(n), 1<<(n.Op&63), at, at)
	o.nodes[at].out = v
	return v
}

// part computes a part of what n becomes, as wide as n. Dst is the register that it may be kept in.
func (o *optimiser) part(n *node, op Op, dst Reg, a, b value) value {
	return o.compute(&node{Ins: Ins{Op: op, Wide: n.Wide, Dst: dst, A: None, B: None, Index: None, Slot: n.Slot}, a: a, b: b, index: noValue})
}

// compute returns the value of a node: one that exists already, or that of the node,
// which it emits.
func (o *optimiser) compute(n *node) value {
	for {
		a, b := o.kind(n.a), o.kind(n.b)
		if (a|b)&isConstant != 0 || n.Op == Mov || n.Op == Zext || n.Op == Sext {
			if v, ok := o.known(n); ok {
				return v
			}
		}
		if !o.rewrite(n, a, b) {
			break
		}
	}
	o.emit(n)
	return o.define(n)
}
