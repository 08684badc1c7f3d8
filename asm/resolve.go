package asm

import (
	"errors"
	"fmt"
	"math"
)

// ErrReference is what every [ReferenceError] is.
var ErrReference = errors.New("unresolved reference")

// ReferenceError says which name could not be resolved, and where it is used.
type ReferenceError struct {
	Slot   int
	Name   string
	Reason string
}

func (e *ReferenceError) Error() string {
	return fmt.Sprintf("instruction %d: %q: %s", e.Slot, e.Name, e.Reason)
}

// Is reports whether target is [ErrReference].
func (e *ReferenceError) Is(target error) bool { return target == ErrReference }

// Symbols returns the slot of every label. It is an error to use one twice.
func (insns Instructions) Symbols() (map[string]int, error) {
	symbols := make(map[string]int)
	slot := 0
	for _, ins := range insns {
		if name := ins.Symbol(); name != "" {
			if _, dup := symbols[name]; dup {
				return nil, &ReferenceError{Slot: slot, Name: name, Reason: "label is defined twice"}
			}
			symbols[name] = slot
		}
		slot += ins.Slots()
	}
	return symbols, nil
}

// Resolve returns a copy in which jumps, local calls and function pointers
// that refer to a label have its distance, and no reference any more. Other
// references (maps, variables, kernel functions) stay as they are. The error
// is a [*ReferenceError].
func (insns Instructions) Resolve() (Instructions, error) {
	symbols, err := insns.Symbols()
	if err != nil {
		return nil, err
	}
	out := make(Instructions, len(insns))
	slot := 0
	for i, ins := range insns {
		out[i] = ins
		_, jumps := ins.JumpOffset()
		if name := ins.Reference(); name != "" && jumps {
			target, ok := symbols[name]
			if !ok {
				return nil, &ReferenceError{Slot: slot, Name: name, Reason: "no such label"}
			}
			if out[i], err = ins.withJumpOffset(target - slot - 1); err != nil {
				return nil, &ReferenceError{Slot: slot, Name: name, Reason: err.Error()}
			}
			out[i] = out[i].WithReference("")
		}
		slot += ins.Slots()
	}
	return out, nil
}

func (ins Instruction) withJumpOffset(off int) (Instruction, error) {
	switch ins.Kind() {
	case KindLoadImm64, KindCallLocal:
		ins.Imm = int64(int32(off))
		if ins.Op == opLoadImm64 {
			ins.Imm = int64(uint32(off)) // the second slot stays zero
		}
		return ins, nil
	case KindGoto:
		if ins.Op.Class() == ClassJMP32 {
			ins.Imm = int64(int32(off))
			return ins, nil
		}
	}
	if off < math.MinInt16 || off > math.MaxInt16 {
		return ins, fmt.Errorf("distance of %d slots does not fit in 16 bits", off)
	}
	ins.Off = int16(off)
	return ins, nil
}
