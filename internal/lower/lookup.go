package lower

import (
	"slices"

	"github.com/sandbpf/sandbpf/asm"
)

// lookup returns what a lookup in an array finds. Where it is known that the index is one of the array, that is
// arithmetic as any other.
func (o *optimiser) lookup(n *node) value {
	if n.b == noValue {
		o.displace(n)
		if n.a != initial(framePointer) {
			return o.compute(n)
		}
		v, ok := o.frame(n.Disp, 4)
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
	v := o.part(n, Mul, n.Dst, n.b, o.constant(int64(cells.Stride)))
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
