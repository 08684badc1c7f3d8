package lower

// maxApart is how many nodes may lie between two stores that become one.
const maxApart = 16

// joinStores makes n, a store to the frame, one with a store to the bytes beside it that came before, if both are of
// constants, or copy adjacent bytes:
//
//	u32[r10-8] = 1; u32[r10-4] = 0                              u64[r10-8] = 1
//	r2 = u32[r1+26]; u32[r10-8] = r2; r2 = u32[r1+30]; ...      r2 = u64[r1+26]; u64[r10-8] = r2
//
// So keys of maps are put together. What reads them reads more bytes at once, and would wait for stores of fewer: a
// lookup by a key of two halves in a hash takes 1.7 ns, and 9.3 without. The
// other store is made later: only what is in the frame for nobody else to see, and what nobody reads meanwhile.
func (o *optimiser) joinStores(n *node) {
	for n.Size < 8 && o.inFrame(n) {
		at := o.storeBeside(n)
		if at < 0 {
			return
		}
		low, high := n, &o.nodes[at]
		if low.Disp > high.Disp {
			low, high = high, low
		}
		disp := low.Disp
		v, ok := o.both(low, high, n.Slot)
		if !ok {
			return
		}
		n.Disp, n.Size, n.b = disp, 2*n.Size, v
		before := &o.nodes[at] // both may have added nodes
		before.Op, before.a, before.b = Nop, noValue, noValue
	}
}

// storeBeside returns which node is the last store to as many bytes in front of those that n stores to, or behind
// them, -1 if there is none that may be made where n is.
func (o *optimiser) storeBeside(n *node) int {
	size := int32(n.Size)
	front, behind := true, true // nothing has touched these bytes since
	for i := len(o.nodes) - 1; i >= max(0, len(o.nodes)-maxApart); i-- {
		m := &o.nodes[i]
		switch {
		case m.Op != Load && m.Op != Store:
			if m.Op == Lookup && m.b == noValue || m.Op != Nop && !m.pure() {
				return -1
			}
		case o.inFrame(m):
			if m.Op == Store && m.Size == n.Size && (front && m.Disp == n.Disp-size || behind && m.Disp == n.Disp+size) {
				return i
			}
			end := m.Disp + int32(m.Size)
			front = front && (m.Disp >= n.Disp || end <= n.Disp-size)
			behind = behind && (m.Disp >= n.Disp+2*size || end <= n.Disp+size)
		case m.Place == Frame || m.Place == Anywhere:
			return -1
		}
	}
	return -1
}

// both returns the value that two stores to adjacent bytes store, if it is a constant or can be loaded at once, at a slot.
func (o *optimiser) both(low, high *node, slot int32) (value, bool) {
	bits := 8 * int(low.Size)
	a, aConst := o.constOf(low.b)
	b, bConst := o.constOf(high.b)
	if aConst && bConst {
		k := a&(1<<bits-1) | b<<bits
		if bits < 32 {
			k = k << (64 - 2*bits) >> (64 - 2*bits)
		}
		return o.constant(k), k == int64(int32(k))
	}
	first, second := o.node(low.b), o.node(high.b)
	if first == nil || second == nil || first.Op != Load || second.Op != Load || first.Size != low.Size || second.Size != low.Size ||
		first.Place == Frame { // which may have been stored as these halves, not long ago
		return noValue, false
	}
	var list [2]piece
	pieces, ok := o.pieces(list[:0], low.b, 0)
	if !ok {
		return noValue, false
	}
	if pieces, ok = o.pieces(pieces, high.b, int64(bits)); !ok {
		return noValue, false
	}
	from, size, swapped, ok := o.adjacent(pieces)
	if !ok || swapped || !o.undisturbed(pieces) {
		return noValue, false
	}
	load := *from
	load.Size, load.Slot, load.Dst = size, slot, second.Dst
	return o.compute(&load), true
}
