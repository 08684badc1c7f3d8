package lower

import "github.com/sandbpf/sandbpf/asm"

// value names a 64-bit value in a block that is being optimised: what a register held at
// the beginning, by its number; what a node of the block computes, from firstDef on;
// or a constant.
type value int32

const (
	noValue   value = -1
	firstDef  value = asm.NumRegisters
	constBase value = -2 // constants count down from here
)

// node is an instruction on values, in one cache line. Its Ins has no registers but Dst, where the program
// has the result.
type node struct {
	Ins
	a, b, index value

	// Of the value that it computes, which is firstDef plus its number in the block:
	last   int32  // the last node that reads it, -1 if it computes none
	bits   uint64 // that may be set
	uses   int32
	wanted Regs // the registers that the program wants it in at the end
	reg    Reg  // where it is kept
	counts bool // a shift is by it
}

// optimiser works on one block at a time; its slices are reused for the next.
type optimiser struct {
	p   *Program
	b   *Block
	cur [asm.NumRegisters]value // what each register holds
	// The registers that hold constants at the beginning, and which.
	constIn Regs
	constAt *[framePointer]int64
	nodes   []node
	consts  []int64
	loaded  []loaded // constants that are in registers
	result  []Ins
	moving  []Ins // see allocation.moves
	// By register: the last node that reads what it held at the beginning, -1 if none does.
	last [asm.NumRegisters]int32
}

// initial are the values at the beginning of a block, by register.
var initial = func() (at [asm.NumRegisters]value) {
	for r := range at {
		at[r] = value(r)
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
	if v < firstDef {
		return nil
	}
	return &o.nodes[v-firstDef]
}

// isDef reports whether a node of the block computes v.
func (v value) isDef() bool { return v >= firstDef }

// isInitial reports whether v is what a register held at the beginning.
func (v value) isInitial() bool { return uint32(v) < uint32(firstDef) }

// constant returns the value of k.
func (o *optimiser) constant(k int64) value {
	o.consts = append(o.consts, k)
	return constBase - value(len(o.consts)-1)
}

// constOf returns the constant that v is.
func (o *optimiser) constOf(v value) (int64, bool) {
	if v <= constBase {
		return o.consts[constBase-v], true
	}
	if v < firstDef && o.constIn.Has(Reg(v)) {
		return o.constAt[v], true
	}
	return 0, false
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
	return v.isInitial() && o.cur[v] != v && !o.advanced(v)
}

// values rewrites the block on values, each instruction simplified as far as the rules
// know. Copies and constants vanish into the operands of those who read them.
func (o *optimiser) values(b *Block) {
	o.b = b
	o.nodes, o.consts, o.loaded = o.nodes[:0], o.consts[:0], o.loaded[:0]
	o.cur = initial
	for left := o.constIn; left != 0; left &= left - 1 {
		r := left.first()
		o.loaded = append(o.loaded, loaded{o.constAt[r], value(r)})
	}
	var n node
	for i := range b.Ins {
		n.Ins = b.Ins[i]
		if terminates(&n.Ins) {
			n.a, n.b, n.index, n.last = noValue, noValue, noValue, -1
			o.nodes = append(o.nodes, n)
			continue
		}
		n.a, n.b, n.index = o.read(n.A), o.read(n.B), o.read(n.Index)
		if n.B == None && hasOperand(n.Op) {
			n.b = o.constant(n.Imm)
		}
		switch {
		case n.isMem():
			o.memory(&n)
			o.emit(&n)
			if n.Dst >= 0 {
				o.cur[n.Dst] = o.define(&n)
			}
		case n.Op == Jump:
			o.compare(&n)
			o.emit(&n)
		case n.Op == Nop:
		case n.Op == Enter || n.Op == Leave || n.Op == Hop:
			o.emit(&n)
		case n.Op == Lea:
			o.unlea(&n)
			o.cur[n.Dst] = o.compute(&n)
		case n.Op == Exchange:
			o.cur[n.Dst], o.cur[n.B] = o.cur[n.B], o.cur[n.Dst]
		default:
			o.cur[n.Dst] = o.compute(&n)
		}
	}
}

// terminates reports whether in needs its operands where the program has them.
func terminates(in *Ins) bool { return in.Op >= Atomic && in.Op != Jump }

// hasOperand reports whether an operation has an operand that is a register or constant.
func hasOperand(op Op) bool { return op >= Mov && op <= Rol || op == Store || op == Jump }

func (o *optimiser) read(r Reg) value {
	if r == None {
		return noValue
	}
	return o.cur[r]
}

// emit adds a node. Constants that it cannot have as an operand are loaded before.
func (o *optimiser) emit(n *node) {
	if _, ok := o.constOf(n.a); ok {
		n.a = o.load(n.a, n.Slot)
	}
	if _, ok := o.constOf(n.index); ok {
		n.index = o.load(n.index, n.Slot)
	}
	k, constant := o.constOf(n.b)
	if constant {
		switch short := int64(int32(k)); {
		case k == short && n.b < 0:
		case k == short || !n.Wide:
			k = short
			n.b = o.constant(k)
		case n.Op != Mov && !(n.Op == Store && n.Size < 8) && !(n.Op == And && uint64(k)>>32 == 0):
			n.b = o.load(n.b, n.Slot)
		case n.b >= 0:
			n.b = o.constant(k)
		}
	}
	// Field by field: the processor waits before it reads at once what has just been written in parts.
	o.nodes = append(o.nodes, node{})
	m := &o.nodes[len(o.nodes)-1]
	m.Ins, m.a, m.b, m.index, m.last = n.Ins, n.a, n.b, n.index, -1
	if constant {
		m.Imm = k
	}
	if n.Op >= LSh && n.Op <= ArSh && n.b.isDef() {
		o.node(n.b).counts = true
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
	at := len(o.nodes) - 1
	m := &o.nodes[at]
	m.last, m.bits, m.reg = int32(at), o.bitsOf(n), None
	return firstDef + value(at)
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
