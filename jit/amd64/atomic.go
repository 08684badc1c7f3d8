package amd64

const lockPrefix = 0xf0

// LockMR is lock op [m], src.
func (a *Assembler) LockMR(op ALU, w Width, m Mem, src Reg) {
	a.byte(lockPrefix)
	a.rm(w.rex(), uint16(op)<<3|1, src, m)
}

// LockXAdd is lock xadd [m], src: src becomes what was there.
func (a *Assembler) LockXAdd(w Width, m Mem, src Reg) {
	a.byte(lockPrefix)
	a.rm(w.rex(), 0x0fc1, src, m)
}

// LockCmpXchg is lock cmpxchg [m], src: RAX is compared with and becomes what was there.
func (a *Assembler) LockCmpXchg(w Width, m Mem, src Reg) {
	a.byte(lockPrefix)
	a.rm(w.rex(), 0x0fb1, src, m)
}

// Xchg is xchg [m], src, which is atomic.
func (a *Assembler) Xchg(w Width, m Mem, src Reg) { a.rm(w.rex(), 0x87, src, m) }

// MovToX is movq x, src.
func (a *Assembler) MovToX(x XReg, src Reg) {
	a.byte(opSizeFix)
	a.rr(rexW, 0x0f6e, Reg(x), src)
}

// MovFromX is movq dst, x.
func (a *Assembler) MovFromX(dst Reg, x XReg) {
	a.byte(opSizeFix)
	a.rr(rexW, 0x0f7e, Reg(x), dst)
}

// StoreX is movups [m], x: 16 bytes.
func (a *Assembler) StoreX(m Mem, x XReg) { a.rm(0, 0x0f11, Reg(x), m) }

// ZeroX is xorps x, x.
func (a *Assembler) ZeroX(x XReg) { a.rr(0, 0x0f57, Reg(x), Reg(x)) }
