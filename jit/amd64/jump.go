package amd64

import (
	"encoding/binary"
	"slices"
)

// Label is a place in the code that jumps can name before it is known.
type Label int32

// fixup is a 32-bit distance that is filled in when its label is known.
type fixup struct {
	at    int32 // of the four bytes
	label Label
}

// NewLabel returns a label that is not placed yet.
func (a *Assembler) NewLabel() Label {
	a.labels = append(a.labels, -1)
	return Label(len(a.labels) - 1)
}

// Expect makes room for n more labels and jumps to them, and for code of size bytes.
func (a *Assembler) Expect(n, size int) {
	a.labels, a.fixups, a.Code = slices.Grow(a.labels, n), slices.Grow(a.fixups, n), slices.Grow(a.Code, size)
}

// Place makes l stand for what comes next.
func (a *Assembler) Place(l Label) { a.labels[l] = int32(len(a.Code)) }

// Offset returns where l was placed, in bytes from the start; -1 if it was not.
func (a *Assembler) Offset(l Label) int { return int(a.labels[l]) }

// distance appends the 32-bit distance to l.
func (a *Assembler) distance(l Label) {
	a.fixups = append(a.fixups, fixup{int32(len(a.Code)), l})
	a.imm32(0)
}

// near returns the distance to l from behind an instruction of n bytes, and
// whether l is known and near enough for 8 bits.
func (a *Assembler) near(l Label, n int) (int8, bool) {
	at := int(a.labels[l])
	if at < 0 {
		return 0, false
	}
	d := at - (len(a.Code) + n)
	return int8(d), d == int(int8(d))
}

// Jmp is jmp l.
func (a *Assembler) Jmp(l Label) {
	if d, ok := a.near(l, 2); ok {
		a.put(0xeb|uint64(byte(d))<<8, 2)
		return
	}
	a.byte(0xe9)
	a.distance(l)
}

// Jcc is jcc l.
func (a *Assembler) Jcc(c Cond, l Label) {
	if d, ok := a.near(l, 2); ok {
		a.put(0x70|uint64(c)|uint64(byte(d))<<8, 2)
		return
	}
	a.put(twoByte|(0x80|uint64(c))<<8, 2)
	a.distance(l)
}

// Short is a jump of two bytes whose target follows within 127: see [Assembler.Land].
type Short int

// JccShort is jcc to where Land is called.
func (a *Assembler) JccShort(c Cond) Short {
	a.put(0x70|uint64(c), 2)
	return Short(len(a.Code))
}

// JmpShort is jmp to where Land is called.
func (a *Assembler) JmpShort() Short {
	a.put(0xeb, 2)
	return Short(len(a.Code))
}

// Land makes s jump to what comes next.
func (a *Assembler) Land(s Short) {
	d := len(a.Code) - int(s)
	if d > 127 {
		panic("amd64: short jump over more than 127 bytes")
	}
	a.Code[s-1] = byte(d)
}

// JmpMem is jmp [m].
func (a *Assembler) JmpMem(m Mem) { a.rm(0, 0xff, 4, m) }

// CallReg is call r.
func (a *Assembler) CallReg(r Reg) { a.rr(0, 0xff, 2, r) }

// Ret is ret.
func (a *Assembler) Ret() { a.byte(0xc3) }

// LeaLabel is lea dst, [rip + distance to l].
func (a *Assembler) LeaLabel(dst Reg, l Label) {
	a.opcode(rexW|high(dst)<<2, 0x8d)
	a.byte(byte(dst)&7<<3 | 5)
	a.distance(l)
}

// Link fills in the distances to all labels, which are placed by now.
func (a *Assembler) Link() {
	for _, f := range a.fixups {
		d := a.labels[f.label] - (f.at + 4)
		binary.LittleEndian.PutUint32(a.Code[f.at:], uint32(d))
	}
	a.fixups = a.fixups[:0]
}

// Reset forgets everything but keeps the memory.
func (a *Assembler) Reset() { a.Code, a.labels, a.fixups = a.Code[:0], a.labels[:0], a.fixups[:0] }

// nops are the recommended forms of no operation (AMD's optimisation guides), by length.
var nops = [...]string{
	"", "\x90", "\x66\x90", "\x0f\x1f\x00", "\x0f\x1f\x40\x00", "\x0f\x1f\x44\x00\x00", "\x66\x0f\x1f\x44\x00\x00",
	"\x0f\x1f\x80\x00\x00\x00\x00", "\x0f\x1f\x84\x00\x00\x00\x00\x00", "\x66\x0f\x1f\x84\x00\x00\x00\x00\x00",
}

// Align fills up to a multiple of n, a power of two.
func (a *Assembler) Align(n int) {
	for pad := -len(a.Code) & (n - 1); pad > 0; {
		step := min(pad, len(nops)-1)
		a.Code = append(a.Code, nops[step]...)
		pad -= step
	}
}
