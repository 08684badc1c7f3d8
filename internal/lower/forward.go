package lower

import (
	"slices"

	"github.com/sandbpf/sandbpf/asm"
)

// stored is what a block has stored into the frame of its function, or loaded from there, and nobody has
// written to since.
type stored struct {
	v    value // of which the frame has the low size bytes
	disp int32 // from r10
	size uint8
}

// inFrame reports whether n accesses the function's frame by r10.
func (o *optimiser) inFrame(n *node) bool {
	return n.a == initial(framePointer) && n.index == noValue && n.Place == Frame
}

// overwrites forgets what the store n writes to, or might.
func (o *optimiser) overwrites(n *node) {
	if n.Place == Shared || n.Place == Packet || len(o.stored) == 0 {
		return
	}
	if !o.inFrame(n) {
		o.stored = o.stored[:0]
		return
	}
	kept := o.stored[:0]
	for _, s := range o.stored {
		if s.disp+int32(s.size) <= n.Disp || n.Disp+int32(n.Size) <= s.disp {
			kept = append(kept, s)
		}
	}
	o.stored = kept
}

// remember notes that the frame has v where n, a load or store, accesses it.
func (o *optimiser) remember(n *node, v value) {
	if !o.reload && !n.Signed && o.inFrame(n) {
		o.stored = append(o.stored, stored{v, n.Disp, n.Size})
	}
}

// frame returns the value whose low size bytes are at disp in the frame, if the block knows it.
func (o *optimiser) frame(disp int32, size uint8) (value, bool) {
	for i := len(o.stored) - 1; i >= 0; i-- {
		if s := &o.stored[i]; s.disp == disp && s.size >= size {
			o.forwarded = true
			return s.v, !o.stale(s.v)
		}
	}
	return noValue, false
}

// forward returns what the load n reads, if the block has stored or loaded it before.
func (o *optimiser) forward(n *node) (value, bool) {
	if len(o.stored) == 0 || n.Op != Load || n.Signed || !o.inFrame(n) {
		return noValue, false
	}
	v, ok := o.frame(n.Disp, n.Size)
	if !ok {
		return noValue, false
	}
	return o.low(n, v, n.Size), true
}

// low returns the low size bytes of v. It may be kept in the register that n writes.
func (o *optimiser) low(n *node, v value, size uint8) value {
	low := node{Ins: Ins{Op: Mov, Dst: n.Dst, A: None, B: None, Index: None, Slot: n.Slot}, a: noValue, b: v, index: noValue}
	switch size {
	case 8:
		return v
	case 1, 2:
		low.Op, low.Size, low.Wide, low.a, low.b = Zext, size, true, v, noValue
	}
	return o.compute(&low)
}

// lookup returns what a lookup in an array finds. Where it is known that the index is one of the array, that is
// arithmetic as any other.
func (o *optimiser) lookup(n *node) value {
	if n.b == noValue {
		o.displace(n)
		n.Place = Frame
		v, ok := noValue, o.inFrame(n)
		if ok {
			v, ok = o.frame(n.Disp, 4)
		}
		if !ok {
			return o.compute(n)
		}
		n.a, n.Disp, n.b = noValue, 0, o.low(n, v, 4)
	}
	cells := &o.p.Cells[n.Imm]
	k, constant := o.constOf(n.b)
	switch {
	case constant && uint32(k) >= cells.Len:
		return o.constant(0)
	case !constant && upTo(o.bits(n.b)) >= uint64(cells.Len):
		return o.compute(n)
	}
	v := o.compute(&node{Ins: Ins{Op: Mul, Wide: true, Dst: n.Dst, A: None, B: None, Index: None, Slot: n.Slot},
		a: n.b, b: o.constant(int64(cells.Stride)), index: noValue})
	if cells.CPUStride != 0 {
		cpu := o.part(n, CPUID, n.Dst, noValue, noValue)
		v = o.part(n, Add, n.Dst, v, o.part(n, Mul, n.Dst, cpu, o.constant(int64(cells.CPUStride))))
	}
	v = o.part(n, Add, n.Dst, v, o.constant(int64(cells.Base)))
	o.found = append(o.found, v)
	return v
}

// nonzero reports whether v is known not to be zero: the address of an array's value.
func (o *optimiser) nonzero(v value) bool {
	if k, ok := o.constOf(v); ok {
		return k != 0
	}
	return slices.Contains(o.found, v)
}

// decide makes a jump that depends on whether an address is zero one that is never taken, or always.
func (o *optimiser) decide(n *node) {
	k, ok := o.constOf(n.b)
	if !ok || k != 0 || !n.Wide || n.Cond != asm.JEq && n.Cond != asm.JNE || !o.nonzero(n.a) {
		return
	}
	n.Op = Nop
	if n.Cond == asm.JNE {
		n.Op = Goto
	}
	n.A, n.B, n.a, n.b = None, None, noValue, noValue
}
