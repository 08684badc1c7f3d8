package difftest

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
)

var (
	sizes     = []asm.Size{asm.Byte, asm.Half, asm.Word, asm.DWord}
	sizeBytes = map[asm.Size]int{asm.Byte: 1, asm.Half: 2, asm.Word: 4, asm.DWord: 8}
)

// scratch is a place in the frame for arguments of helpers.
func (g *generator) scratch() int16 { return int16(-8*frameSlots - 8*(1+g.r.IntN(4))) }

func (g *generator) slotOff(i int) int16 { return int16(-8 * (i + 1)) }

// pointerMove copies a pointer or moves it by a constant.
func (g *generator) pointerMove() {
	src, ok := g.some(func(v value) bool { return v.kind > scalar })
	if !ok {
		return
	}
	dst := g.free(true)
	if dst == src {
		return
	}
	g.copy(dst, src)
	v := &g.regs[dst]
	v.rec = false // the original is what is given back
	if v.id != 0 && !g.mistake() {
		return
	}
	switch v.kind {
	case memory, packet:
		n := g.r.IntN(12)
		g.emit(asm.Add.Imm(dst, int32(n)))
		v.off += n
		if g.chance(30) {
			g.emit(asm.Sub.Imm(dst, int32(n)))
			v.off -= n
		}
	case frame:
		n := 8 * (1 + g.r.IntN(frameSlots))
		g.emit(asm.Add.Imm(dst, -int32(n)))
		v.off -= n
	}
}

// spill stores a register to the stack.
func (g *generator) spill() {
	src, ok := g.some(func(v value) bool { return v.kind != nothing })
	if !ok {
		return
	}
	i := g.r.IntN(frameSlots)
	if g.slots[i].rec {
		return
	}
	g.emit(asm.StoreMem(asm.R10, g.slotOff(i), src, asm.DWord))
	g.slots[i] = g.regs[src]
	g.slots[i].rec = false
}

// fill loads a register from the stack.
func (g *generator) fill() {
	i := g.r.IntN(frameSlots)
	if g.slots[i].kind == nothing && !g.mistake() {
		return
	}
	dst := g.free(true)
	g.emit(asm.LoadMem(dst, asm.R10, g.slotOff(i), asm.DWord))
	g.set(dst, g.slots[i])
}

// partialStack writes or reads parts of slots.
func (g *generator) partialStack() {
	i, size := g.r.IntN(frameSlots), pick(g, sizes...)
	n := sizeBytes[size]
	off := g.slotOff(i) + int16(n*g.r.IntN(8/n))
	if v := g.slots[i]; v.kind > scalar && !g.mistake() {
		return
	}
	switch g.r.IntN(5) {
	case 0:
		g.emit(asm.StoreImm(asm.R10, off, g.imm(), size))
	case 1:
		src := g.number()
		g.emit(asm.StoreMem(asm.R10, off, src, size))
	case 2:
		if g.slots[i].kind == nothing {
			return
		}
		dst := g.free(false)
		g.emit(asm.LoadMem(dst, asm.R10, off, size))
		g.set(dst, unbounded)
		return
	case 3:
		if g.slots[i].kind == nothing || size == asm.DWord {
			return
		}
		dst := g.free(false)
		sx := map[asm.Size]asm.SignedSize{asm.Byte: asm.SX8, asm.Half: asm.SX16, asm.Word: asm.SX32}[size]
		g.emit(sx.Load(dst, asm.R10, off))
		g.set(dst, unbounded)
		return
	default:
		base := g.free(false)
		g.emit(asm.Mov.Reg(base, asm.R10), asm.Add.Imm(base, int32(off)), asm.StoreImm(base, 0, g.imm(), size))
		g.set(base, value{kind: frame, off: int(off)})
	}
	if size == asm.DWord || g.slots[i].kind == scalar {
		g.slots[i] = unbounded
	}
}

// variableStack accesses the stack at an offset that only the run knows.
func (g *generator) variableStack() {
	index := g.writableNumber()
	if g.locked[index] {
		return
	}
	g.emit(asm.And.Imm(index, pick[int32](g, 7, 8, 15, 24, 31)))
	base := g.free(false)
	if base == index {
		return
	}
	g.emit(asm.Mov.Reg(base, asm.R10), asm.Add.Imm(base, int32(g.slotOff(frameSlots-1))), asm.Add.Reg(base, index))
	g.set(index, number(31))
	if g.chance(50) {
		for i := range g.slots {
			if g.slots[i].kind > scalar && !g.mistake() {
				g.set(base, value{})
				return
			}
		}
		g.emit(asm.StoreImm(base, 0, int32(g.r.IntN(3)), asm.Byte))
		g.set(base, value{})
		return
	}
	for i := range g.slots {
		if g.slots[i].kind != scalar {
			g.emit(asm.StoreImm(asm.R10, g.slotOff(i), 0, asm.DWord))
			g.slots[i] = number(0)
		}
	}
	g.emit(asm.LoadMem(base, base, 0, asm.Byte))
	g.set(base, unbounded)
}

// key writes a key of n bytes to the stack and r2.
func (g *generator) key(n uint32) {
	off := g.scratch()
	size := asm.Word
	if n == 8 {
		size = asm.DWord
	}
	if g.chance(60) {
		g.emit(asm.StoreImm(asm.R10, off, int32(g.r.IntN(6)), size))
	} else {
		src := g.number()
		g.emit(asm.StoreMem(asm.R10, off, src, size))
	}
	g.emit(asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, int32(off)))
	g.set(asm.R2, value{kind: frame, off: int(off)})
}

// keyed are the maps that have keys.
func (g *generator) keyed() (name string, m Map) {
	for {
		e := GeneratedMaps[g.r.IntN(len(GeneratedMaps))]
		if e.Map.KeySize != 0 {
			return e.Name, e.Map
		}
	}
}

// lookup looks an element up and checks that it is there.
func (g *generator) lookup() {
	name, m := g.keyed()
	g.key(m.KeySize)
	g.emit(asm.LoadMapPtr(asm.R1, name), asm.FnMapLookupElem.Call())
	g.forget()
	g.ids++
	g.set(asm.R0, value{kind: memory, size: int(m.ValueSize), id: g.ids})
	r := asm.R0
	if g.chance(60) {
		if r = g.free(true); r != asm.R0 {
			g.copy(r, asm.R0)
		}
	}
	if g.mistake() {
		g.present(g.regs[r].id)
		return
	}
	g.ifPresent(pick(g, r, asm.R0), func() { g.body(4) })
}

// present makes all copies of a pointer one that is not null.
func (g *generator) present(id int) {
	for i := range g.regs {
		if g.regs[i].id == id {
			g.regs[i].id = 0
		}
	}
	for i := range g.slots {
		if g.slots[i].id == id {
			g.slots[i].id = 0
		}
	}
}

// ifPresent goes on where a pointer is not null: for the rest of the function, or for a
// body only.
func (g *generator) ifPresent(r asm.Register, body func()) {
	id := g.regs[r].id
	if g.noExit == 0 && g.chance(70) {
		g.emit(asm.JEq.Imm(r, 0, g.exit))
		g.present(id)
		return
	}
	end := g.label()
	g.emit(asm.JEq.Imm(r, 0, end))
	before := g.state
	g.present(id)
	if g.nested++; g.nested < 5 {
		body()
	}
	g.nested--
	g.mark(end)
	g.join(&before)
}

// directValue takes the address of a value that needs no lookup.
func (g *generator) directValue() {
	r := g.free(true)
	off := g.r.IntN(16)
	g.emit(asm.LoadMapValue(r, "single", uint32(off)))
	g.set(r, value{kind: memory, size: 64, off: off})
}

// pointer returns a register that points to memory which may be accessed.
func (g *generator) pointer() (asm.Register, bool) {
	return g.some(func(v value) bool { return (v.kind == memory || v.kind == packet) && v.id == 0 && v.size > 0 })
}

// access loads from memory or stores to it, at a constant offset or a variable one.
func (g *generator) access() {
	base, ok := g.pointer()
	if !ok {
		return
	}
	size := pick(g, sizes...)
	n := sizeBytes[size]
	v := g.regs[base]
	room := v.size - v.off - n
	if room < 0 || v.off < 0 {
		return
	}
	off := g.r.IntN(room + 1)
	if g.mistake() {
		off = room + 1
	}
	if g.chance(35) && base != asm.R10 {
		g.variable(base, size, room)
		return
	}
	if g.readonly(v) || g.chance(55) {
		dst := g.free(true)
		if dst == base {
			return
		}
		g.load(dst, base, off, size)
		return
	}
	g.store(base, off, size)
}

// readonly reports whether nothing may be stored where a pointer points.
func (g *generator) readonly(v value) bool {
	return v.kind == packet && (g.typ == prog.CGroupSKB || g.typ == prog.SocketFilter)
}

func (g *generator) load(dst, base asm.Register, off int, size asm.Size) {
	switch {
	case g.chance(20) && size != asm.DWord:
		sx := map[asm.Size]asm.SignedSize{asm.Byte: asm.SX8, asm.Half: asm.SX16, asm.Word: asm.SX32}[size]
		g.emit(sx.Load(dst, base, int16(off)))
		g.set(dst, unbounded)
		return
	case g.ordered(base, off, size):
		g.emit(asm.LoadAcquire(dst, base, int16(off), size))
	default:
		g.emit(asm.LoadMem(dst, base, int16(off), size))
	}
	g.set(dst, unbounded)
	if size != asm.DWord {
		g.set(dst, number(1<<(8*sizeBytes[size])-1))
	}
}

// ordered reports whether a load or store is to be a load-acquire or store-release.
func (g *generator) ordered(base asm.Register, off int, size asm.Size) bool {
	percent := 5
	if g.comparable { // few of their addresses are known to be aligned
		percent = 25
	}
	return g.chance(percent) && g.regs[base].kind == memory && (g.regs[base].off+off)%sizeBytes[size] == 0
}

func (g *generator) store(base asm.Register, off int, size asm.Size) {
	if g.chance(40) {
		g.emit(asm.StoreImm(base, int16(off), g.imm(), size))
		return
	}
	src := g.number()
	if src == base {
		return
	}
	if g.ordered(base, off, size) {
		g.emit(asm.StoreRelease(base, int16(off), src, size))
		return
	}
	g.emit(asm.StoreMem(base, int16(off), src, size))
}

// variable accesses memory at an offset that only the run knows, and that is bounded
// first.
func (g *generator) variable(base asm.Register, size asm.Size, room int) {
	index := g.writableNumber()
	if index == base || g.locked[index] {
		return
	}
	if g.regs[index].max > uint64(room) && !g.mistake() {
		switch g.r.IntN(3) {
		case 0:
			if g.noExit == 0 {
				g.emit(asm.JGT.Imm(index, int32(room), g.exit))
				g.set(index, number(uint64(room)))
				break
			}
			fallthrough
		case 1:
			mask := powerAbove(room)
			g.emit(asm.And.Imm(index, mask))
			g.set(index, number(uint64(mask)))
		default:
			if room == 0 {
				return
			}
			g.emit(asm.Mod.Imm(index, int32(room)), asm.And.Imm(index, powerAbove(room)))
			g.set(index, number(uint64(powerAbove(room))))
		}
	}
	ptr := g.free(false)
	if ptr == base || ptr == index {
		return
	}
	if g.regs[base].kind == packet && g.regs[index].max+uint64(g.regs[base].size) > 60000 {
		return
	}
	g.copy(ptr, base)
	g.regs[ptr].rec = false
	g.emit(asm.Add.Reg(ptr, index))
	if g.regs[base].kind == packet && !g.mistake() { // a variable offset starts a new range
		g.set(ptr, value{})
		return
	}
	if g.chance(60) {
		g.emit(asm.LoadMem(ptr, ptr, 0, size))
		g.set(ptr, unbounded)
		return
	}
	g.emit(asm.StoreImm(ptr, 0, g.imm(), size))
	g.set(ptr, value{})
}

var atomicOps = []asm.AtomicOp{asm.AtomicAdd, asm.AtomicOr, asm.AtomicAnd, asm.AtomicXor,
	asm.AtomicFetchAdd, asm.AtomicFetchOr, asm.AtomicFetchAnd, asm.AtomicFetchXor, asm.AtomicXchg, asm.AtomicCmpXchg}

// atomic changes memory atomically.
func (g *generator) atomic() {
	base, ok := g.some(func(v value) bool { return v.kind == memory && v.id == 0 && v.size-v.off >= 8 && v.off >= 0 })
	off := 0
	if ok {
		if v := g.regs[base]; v.off%8 != 0 {
			off = 8 - v.off%8
			if v.off+off+8 > v.size {
				return
			}
		}
	}
	if !ok || g.chance(25) {
		i := g.r.IntN(frameSlots)
		if g.slots[i].kind != scalar {
			return
		}
		base, off = asm.R10, int(g.slotOff(i))
		g.slots[i] = unbounded
	}
	src := g.number()
	if src == base {
		return
	}
	op := pick(g, atomicOps...)
	fetch := op&asm.AtomicFetchAdd != 0 && op != asm.AtomicCmpXchg
	if fetch && g.locked[src] || g.regs[asm.R0].kind != scalar && op == asm.AtomicCmpXchg {
		return
	}
	g.emit(pick(g, op.Mem64, op.Mem32)(base, int16(off), src))
	if fetch {
		g.set(src, unbounded)
	}
	if op == asm.AtomicCmpXchg {
		g.set(asm.R0, unbounded)
	}
}

// packetFields are where contexts have data and data_end.
var packetFields = map[prog.Type][2]int16{
	prog.XDP: {0, 4}, prog.SchedCLS: {76, 80}, prog.CGroupSKB: {76, 80}, prog.LWTXmit: {76, 80}, prog.SkSKB: {76, 80},
}

// packetCheck loads packet pointers and compares them.
func (g *generator) packetCheck() {
	fields, ok := packetFields[g.typ]
	ctx, has := g.some(func(v value) bool { return v.kind == ctxPointer })
	if !ok || !has || g.noExit > 0 {
		return
	}
	data, end, past := g.free(true), g.free(true), g.free(false)
	if data == end || data == past || end == past || data == ctx || end == ctx || past == ctx {
		return
	}
	n := 1 + g.r.IntN(40)
	g.emit(asm.LoadMem(data, ctx, fields[0], asm.Word), asm.LoadMem(end, ctx, fields[1], asm.Word))
	size := n
	if index, found := g.some(func(v value) bool { return v.kind == scalar && v.max < 256 }); found && g.chance(30) &&
		index != data && index != end && index != past {
		g.emit(asm.Add.Reg(data, index))
	}
	g.emit(asm.Mov.Reg(past, data), asm.Add.Imm(past, int32(n)))
	switch g.r.IntN(4) {
	case 0:
		g.emit(asm.JLT.Reg(end, past, g.exit))
	case 1:
		g.emit(asm.JGE.Reg(past, end, g.exit))
	case 2:
		in := g.label()
		g.emit(asm.JLE.Reg(past, end, in), asm.Goto(g.exit))
		g.mark(in)
	default:
		g.emit(asm.JGT.Reg(past, end, g.exit))
	}
	g.set(data, value{kind: packet, size: size})
	g.set(end, value{kind: packetEnd})
	g.set(past, value{})
}

// contextFields are fields that may be loaded whole, by type: offset and size.
var contextFields = map[prog.Type][][2]int{
	prog.XDP:          {{12, 4}, {16, 4}},
	prog.SchedCLS:     {{0, 4}, {4, 4}, {8, 4}, {16, 4}, {24, 4}, {40, 4}, {48, 4}, {60, 4}, {152, 8}},
	prog.SocketFilter: {{0, 4}, {4, 4}, {16, 4}, {24, 4}, {40, 4}, {48, 4}},
	prog.CGroupSKB:    {{0, 4}, {4, 4}, {8, 4}, {16, 4}, {40, 4}, {48, 4}},
	prog.LWTXmit:      {{0, 4}, {4, 4}, {8, 4}, {40, 4}, {48, 4}},
	prog.SkSKB:        {{0, 4}, {4, 4}, {16, 4}, {40, 4}},
	prog.Kprobe:       {{0, 8}, {8, 8}, {80, 8}, {112, 8}},
	prog.Tracepoint:   {{8, 8}, {16, 8}, {24, 4}, {32, 8}},
}

// contextLoad loads a field of the context.
func (g *generator) contextLoad() {
	ctx, ok := g.some(func(v value) bool { return v.kind == ctxPointer })
	if !ok {
		return
	}
	f := pick(g, contextFields[g.typ]...)
	if g.mistake() {
		f[0] += pick(g, 1, 2, 4, 160)
	}
	dst := g.free(true)
	size := asm.Word
	if f[1] == 8 {
		size = asm.DWord
	} else if g.chance(20) {
		size = pick(g, asm.Byte, asm.Half)
	}
	g.emit(asm.LoadMem(dst, ctx, int16(f[0]), size))
	g.set(dst, unbounded)
}

// packetLoad is one of the packet loads of classic BPF.
func (g *generator) packetLoad() {
	if g.typ != prog.SchedCLS && g.typ != prog.SocketFilter || g.regs[asm.R6].kind != ctxPointer || g.noExit > 0 || g.calls > 0 {
		return
	}
	size := pick(g, asm.PacketByte, asm.PacketHalf, asm.PacketWord)
	if index := g.number(); g.chance(40) {
		g.emit(asm.LoadInd(index, int32(g.r.IntN(32)), size))
	} else {
		g.emit(asm.LoadAbs(int32(g.r.IntN(64)), size))
	}
	g.forget()
	g.set(asm.R0, unbounded)
}

// record takes a record of a ring buffer and gives it back.
func (g *generator) record() {
	if g.typ == prog.SkSKB || g.noExit > 0 || g.nested > 2 {
		return
	}
	const size = 32
	name := "ring"
	g.emit(asm.LoadMapPtr(asm.R1, name), asm.Mov.Imm(asm.R2, size), asm.Mov.Imm(asm.R3, 0), asm.FnRingbufReserve.Call())
	g.forget()
	r := asm.R7 + asm.Register(g.r.IntN(3))
	if g.locked[r] || g.regs[r].rec {
		r = asm.R0
	}
	end := g.label()
	if r == asm.R0 { // nowhere to keep it
		g.emit(asm.JEq.Imm(asm.R0, 0, end), asm.Mov.Reg(asm.R1, asm.R0), asm.Mov.Imm(asm.R2, 0), asm.FnRingbufDiscard.Call())
		g.forget()
		g.mark(end)
		return
	}
	g.emit(asm.Mov.Reg(r, asm.R0), asm.JEq.Imm(r, 0, end))
	for off := int16(0); off < size && g.comparable; off += 8 {
		g.emit(asm.StoreImm(r, off, int32(off), asm.DWord))
	}
	g.set(r, value{})
	before := g.state
	g.set(r, value{kind: memory, size: size, rec: true})
	g.locked[r] = true
	g.noExit++
	g.nested++
	g.body(5)
	g.nested--
	g.noExit--
	g.locked[r] = false
	if !g.mistake() {
		give := pick(g, asm.FnRingbufSubmit, asm.FnRingbufDiscard)
		g.emit(asm.Mov.Reg(asm.R1, r), asm.Mov.Imm(asm.R2, 0), give.Call())
	}
	g.forget()
	g.drop(r, size)
	g.mark(end)
	g.join(&before)
}

// drop forgets all copies of a record that was given back.
func (g *generator) drop(r asm.Register, size int) {
	g.regs[r] = value{}
	gone := func(v value) bool { return v.kind == memory && v.size == size }
	for i := range g.regs {
		if gone(g.regs[i]) {
			g.regs[i] = value{}
		}
	}
	for i := range g.slots {
		if gone(g.slots[i]) {
			g.slots[i] = value{}
		}
	}
}
