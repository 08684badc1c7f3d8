package jit

import (
	"math/rand/v2"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/lower"
	"github.com/sandbpf/sandbpf/jit/amd64"
)

// hidden stands for the scratch register that holds the constant of an instruction.
const hidden = lower.Reg(asm.NumRegisters)

// blind returns an instruction that does what in does without a constant in it. Stores,
// which use scratch registers for their checks first, blind theirs themselves.
func (e *emitter) blind(in *lower.Ins) *lower.Ins {
	if in.B != lower.None {
		return in
	}
	switch in.Op {
	case lower.Mov, lower.Add, lower.Sub, lower.Mul, lower.Div, lower.SDiv, lower.Mod, lower.SMod,
		lower.And, lower.Or, lower.Xor, lower.Jump:
		e.hide(uint64(in.Imm))
		out := *in
		out.B = hidden
		return &out
	}
	return in
}

// hide brings a constant into scratch by two numbers, of which none alone tells it.
func (e *emitter) hide(v uint64) {
	key := rand.Uint64()
	if v == uint64(uint32(v)) {
		key = uint64(uint32(key))
	}
	e.MovImm(scratch, v^key)
	e.MovImm(scratch2, key)
	e.RR(amd64.Xor, amd64.W64, scratch, scratch2)
}
