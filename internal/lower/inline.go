package lower

import (
	"math"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/verifier"
)

// inline makes in what a call of a helper does, if that is little enough.
func (b *builder) inline(fn asm.BuiltinFunc, in *Ins) bool {
	if b.env.Cells == nil || !b.does(PassLookups) {
		return false
	}
	switch fn {
	case asm.FnGetSmpProcessorId:
		in.Op = CPUID
	case asm.FnGetPrandomU32:
		in.Op = Random
	case asm.FnMapLookupElem:
		addr, ok := b.constantIn(asm.R1)
		if !ok {
			return false
		}
		cells, ok := b.env.Cells(addr)
		if !ok || cells.Stride > math.MaxInt32 || cells.CPUStride > math.MaxInt32 {
			return false
		}
		switch off, onFrame := b.frameOffset(asm.R2); {
		case onFrame && off >= -prog.StackSize && off <= -4:
			in.A, in.Disp = Reg(asm.R10), int32(off)
		case b.provedArgument():
			in.A = Reg(asm.R2)
		default:
			return false
		}
		in.Op, in.Imm = Lookup, int64(len(b.Cells))
		b.Cells = append(b.Cells, cells)
	default:
		return false
	}
	in.Dst, in.Wide = Reg(asm.R0), true
	return true
}

// provedArgument reports whether the memory that the call at hand reads is proved to be there.
// What lies in the program's own memory the verifier does not note.
func (b *builder) provedArgument() bool {
	if b.env.Proof == nil {
		return false
	}
	p := &b.env.Proof.Insns[b.slot]
	return p.Map >= 0 && (p.Access.Proved || p.Access.Memory == verifier.MemNone)
}

// maxBehind is how far back inline looks for what an argument is.
const maxBehind = 16

// constantIn returns the constant that the block has brought into a register.
func (b *builder) constantIn(r asm.Register) (uint64, bool) {
	for i := len(b.pool) - 1; i >= max(0, len(b.pool)-maxBehind); i-- {
		if in := &b.pool[i]; in.Dst == Reg(r) {
			return uint64(in.Imm), in.Op == Mov && in.Wide && in.B == None
		}
	}
	return 0, false
}

// frameOffset returns the distance from r10 of the address that the block has brought into
// a register.
func (b *builder) frameOffset(r asm.Register) (off int64, ok bool) {
	for i := len(b.pool) - 1; i >= max(0, len(b.pool)-maxBehind); i-- {
		in := &b.pool[i]
		switch {
		case in.Dst != Reg(r):
		case in.Op == Mov && in.Wide && in.B == Reg(asm.R10):
			return off, true
		case in.Op == Add && in.Wide && in.B == None && in.A == Reg(r):
			off += in.Imm
		default:
			return 0, false
		}
	}
	return 0, false
}
