package lower

// piece is a part of a number that is put together of adjacent bytes in memory: what a load
// reads, shifted left. A single byte has no order.
type piece struct {
	node    int32 // the load
	shift   int64
	swapped bool
}

// maxPieces is how many bytes a number has at most.
const maxPieces = 8

// merge finds numbers that are loaded byte by byte, as compilers do where they do not know
// that memory is aligned, and loads them at once:
//
//	b0 | b1<<8 | b2<<16 | b3<<24    4 bytes
//	b0<<8 | b1                      2 bytes, in the other order
//
// Nothing may write to that memory meanwhile: no store lies between but to other memory, and where other CPUs
// might write, no other load, so that the program does not see their stores in an order of its own.
func (o *optimiser) merge(n *node) bool {
	if n.Op != Or && n.Op != Add && n.Op != Xor {
		return false
	}
	var pieces [maxPieces]piece
	list, ok := o.pieces(pieces[:0], n.a, 0)
	if !ok || len(list) == 0 {
		return false
	}
	if list, ok = o.pieces(list, n.b, 0); !ok {
		return false
	}
	first, size, swapped, ok := o.adjacent(list)
	if !ok || !n.Wide && size == 8 || !o.undisturbed(list) {
		return false
	}
	load := *first
	load.Size, load.Slot, load.Dst = size, n.Slot, n.Dst
	if !swapped {
		*n = load
		return true
	}
	*n = node{Ins: Ins{Op: Swap, Wide: true, Size: size, Dst: n.Dst, A: None, B: None, Index: None, Slot: n.Slot},
		a: o.compute(&load), b: noValue, index: noValue}
	return true
}

// pieces appends those that v << shift is put together of.
func (o *optimiser) pieces(list []piece, v value, shift int64) ([]piece, bool) {
	n := o.node(v)
	if n == nil || len(list) == maxPieces {
		return nil, false
	}
	switch n.Op {
	case Load:
		ok := !n.Check && !n.Signed
		return append(list, piece{o.info[v].node, shift, false}), ok
	case Swap:
		load := o.node(n.a)
		if load == nil || load.Op != Load || load.Size != n.Size || load.Check || load.Signed {
			return nil, false
		}
		return append(list, piece{o.info[n.a].node, shift, true}), true
	case LSh:
		k, ok := o.constOf(n.b)
		by := o.count(n, k)
		if !ok || !n.Wide && o.bits(n.a)>>(32-by) != 0 {
			return nil, false
		}
		return o.pieces(list, n.a, shift+int64(by))
	case Or:
		if !n.Wide && (o.bits(n.a)|o.bits(n.b))>>32 != 0 {
			return nil, false
		}
		list, ok := o.pieces(list, n.a, shift)
		if !ok {
			return nil, false
		}
		return o.pieces(list, n.b, shift)
	}
	return nil, false
}

// adjacent reports whether pieces make a number of 2, 4 or 8 bytes in either order, and returns
// the load of the byte with the lowest address.
func (o *optimiser) adjacent(list []piece) (first *node, size uint8, swapped, ok bool) {
	first = &o.nodes[list[0].node]
	for _, p := range list {
		n := &o.nodes[p.node]
		if n.a != first.a || n.index != first.index || n.Scale != first.Scale {
			return nil, 0, false, false
		}
		if n.Disp < first.Disp {
			first = n
		}
		size += n.Size
	}
	if size != 2 && size != 4 && size != 8 || len(list) < 2 {
		return nil, 0, false, false
	}
	for _, swapped := range [...]bool{false, true} {
		covered := uint(0)
		for _, p := range list {
			n := &o.nodes[p.node]
			at := int64(n.Disp) - int64(first.Disp)
			shift := 8 * at
			if swapped {
				shift = 8 * (int64(size) - at - int64(n.Size))
			}
			if p.shift != shift || n.Size > 1 && p.swapped != swapped || at >= int64(size) {
				covered = 0
				break
			}
			covered |= (1<<n.Size - 1) << at
		}
		if covered == 1<<size-1 {
			return first, size, swapped, true
		}
	}
	return nil, 0, false, false
}

// undisturbed reports whether what pieces load may be loaded now.
func (o *optimiser) undisturbed(list []piece) bool {
	begin, private := list[0].node, true
	var own uint64 // the loads, counted from begin
	for _, p := range list {
		begin = min(begin, p.node)
		private = private && o.nodes[p.node].Place.private()
	}
	if len(o.nodes)-int(begin) > 64 {
		return false
	}
	for _, p := range list {
		own |= 1 << (p.node - begin)
	}
	for i := int(begin); i < len(o.nodes); i++ {
		n := &o.nodes[i]
		switch {
		case n.Op == Nop: // a store that has become part of another
		case n.Op == Store && !n.Check:
			for _, p := range list {
				if !o.apart(n, &o.nodes[p.node]) {
					return false
				}
			}
		case !n.pure() || !private && n.Op == Load && own>>(i-int(begin))&1 == 0:
			return false
		}
	}
	return true
}

// apart reports whether two accesses go to different memory for sure.
func (o *optimiser) apart(a, b *node) bool {
	if o.inFrame(a) && o.inFrame(b) {
		return a.Disp+int32(a.Size) <= b.Disp || b.Disp+int32(b.Size) <= a.Disp
	}
	return a.Place != b.Place && a.Place != Anywhere && b.Place != Anywhere
}
