package lower

// stored is what a block has stored into the frame of its function, or loaded from there, and nobody has
// written to since.
type stored struct {
	v    value // of which the frame has the low size bytes
	disp int32 // from r10
	at   int32 // the node that stored or loaded it
	size uint8
}

// maxStored is how many of them are kept in mind, and maxKept for how many nodes: what is not loaded again
// occupies a register up to there, unless it is a part of a number that is loaded at once.
const (
	maxStored = 8
	maxKept   = 24
)

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
	if o.forwards != 0 && !n.Signed && o.inFrame(n) {
		if len(o.stored) == maxStored {
			o.stored = o.stored[:copy(o.stored, o.stored[1:])]
		}
		o.stored = append(o.stored, stored{v, n.Disp, int32(len(o.nodes)), n.Size})
	}
}

// frame returns the value whose low size bytes are at disp in the frame, if the block knows it.
func (o *optimiser) frame(disp int32, size uint8) (value, bool) {
	for i := len(o.stored) - 1; i >= 0; i-- {
		if s := &o.stored[i]; s.disp == disp && s.size >= size {
			kind := o.kind(s.v)
			ok := kind&o.forwards != 0 && (kind&bytes != 0 || len(o.nodes)-int(s.at) <= maxKept) && !o.stale(s.v)
			o.forwarded = o.forwarded || ok
			return s.v, ok
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
