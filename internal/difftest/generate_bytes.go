package difftest

import (
	"slices"

	"github.com/sandbpf/sandbpf/asm"
)

// bytewise puts a number together of adjacent bytes, as compilers load what may not be aligned, with stores
// and spills in between.
func (g *generator) bytewise() {
	base, at, room, ok := g.byteSource()
	n := pick(g, 2, 4, 4, 8)
	if !ok || room < n {
		return
	}
	sum, part := g.free(true), g.free(false)
	if sum == part || sum == base || part == base {
		return
	}
	at += g.r.IntN(room - n + 1)
	swapped, to, mask := g.chance(30), sum, uint64(0)
	for i := 0; i < n; {
		size := pick(g, asm.Byte, asm.Byte, asm.Byte, asm.Half)
		width := sizeBytes[size]
		if i+width > n || swapped && width > 1 {
			continue
		}
		shift := 8 * i
		if swapped {
			shift = 8 * (n - 1 - i)
		}
		g.emit(asm.LoadMem(to, base, int16(at+i), size))
		if shift > 0 {
			g.emit(asm.LSh.Imm(to, int32(shift)))
		}
		if to == part {
			g.emit(asm.Or.Reg(sum, part))
			g.set(part, unbounded)
		}
		mask |= (1<<(8*width) - 1) << shift
		g.set(sum, number(mask))
		i, to = i+width, part
		if g.chance(30) && !g.between(base, at+g.r.IntN(n), sum) {
			return
		}
	}
}

// copied copies adjacent parts of memory to the frame, or constants, as keys of maps are put together: mostly in
// their order.
func (g *generator) copied() {
	base, at, room, ok := g.byteSource()
	tmp := g.free(false)
	size := pick(g, asm.Byte, asm.Half, asm.Word)
	n := sizeBytes[size]
	first := 1 + g.r.IntN(frameSlots-1)
	for i := range 2 { // sixteen bytes
		if g.slots[first-i].kind > scalar {
			return
		}
	}
	parts := min(2+g.r.IntN(6), 16/n)
	if !ok || tmp == base || room < n*parts {
		return
	}
	at += g.r.IntN(room - n*parts + 1)
	shifted := g.r.IntN(16/n - parts + 1)
	order := g.r.Perm(parts)
	if g.chance(60) {
		slices.Sort(order)
	}
	for _, i := range order {
		to := g.slotOff(first) + int16(n*(i+shifted))
		if g.chance(20) {
			g.emit(asm.StoreImm(asm.R10, to, g.imm(), size))
		} else {
			g.emit(asm.LoadMem(tmp, base, int16(at+n*i), size), asm.StoreMem(asm.R10, to, tmp, size))
			g.set(tmp, unbounded)
		}
		if g.chance(15) {
			g.look(first, tmp)
		}
		if g.chance(15) && base != asm.R10 && !g.between(base, at+g.r.IntN(n*parts), tmp) {
			return
		}
	}
	g.look(first, tmp)
	g.look(first-1, tmp)
}

// look stores what a slot of the frame holds where it can be seen after the run, if that is a number.
func (g *generator) look(slot int, tmp asm.Register) {
	to := g.free(false)
	if g.slots[slot].kind != scalar || to == tmp || g.locked[tmp] || g.regs[tmp].rec {
		return
	}
	g.emit(asm.LoadMem(tmp, asm.R10, g.slotOff(slot), asm.DWord),
		asm.LoadMapValue(to, "single", uint32(8*g.r.IntN(8))), asm.StoreMem(to, 0, tmp, asm.DWord))
	g.set(tmp, unbounded)
	g.set(to, value{})
}

// byteSource is where bytes can be loaded from: at least room of them at an offset from base.
func (g *generator) byteSource() (base asm.Register, at, room int, ok bool) {
	if g.chance(25) { // slots of the frame that hold numbers
		first := g.r.IntN(frameSlots)
		for last := first; last >= 0 && g.slots[last].kind == scalar; last-- {
			room += 8
		}
		return asm.R10, int(g.slotOff(first)), room, true
	}
	base, ok = g.pointer()
	v := g.regs[base]
	if !ok || v.off < 0 {
		return 0, 0, 0, false
	}
	return base, 0, v.size - v.off, true
}

// between stores to a byte at an offset of base, or keeps a part of a number in the frame. It reports whether
// base still points there.
func (g *generator) between(base asm.Register, off int, sum asm.Register) bool {
	if g.chance(40) {
		if !g.readonly(g.regs[base]) {
			g.emit(asm.StoreImm(base, int16(off), g.imm(), asm.Byte))
		}
		return true
	}
	i, source := g.r.IntN(frameSlots), g.regs[base]
	if g.slots[i].rec {
		return true
	}
	g.emit(asm.StoreMem(asm.R10, g.slotOff(i), sum, asm.DWord))
	g.slots[i] = g.regs[sum]
	if base != asm.R10 && g.chance(50) {
		g.statement()
	}
	if g.slots[i].kind == scalar && sum != base && !g.locked[sum] && !g.regs[sum].rec {
		g.emit(asm.LoadMem(sum, asm.R10, g.slotOff(i), asm.DWord))
		g.set(sum, g.slots[i])
	}
	return g.regs[base] == source && g.regs[sum].kind == scalar
}
