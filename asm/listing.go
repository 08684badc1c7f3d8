package asm

import (
	"fmt"
	"io"
	"slices"
	"strconv"
)

// Format says how to write a program. The zero value is as llvm-objdump -d
// --no-show-raw-insn --no-leading-addr.
type Format struct {
	Dialect Dialect
	Slots   bool // slot numbers, "12: "
	Opcodes bool // opcodes, "(b7) ", as in the log of Linux's verifier
}

// String returns the program in the [Exact] dialect; [Parse] reads back the
// same bytes. See [Format] for other dialects.
func (insns Instructions) String() string {
	return string(Format{Dialect: Exact}.Append(nil, insns))
}

// Format implements [fmt.Formatter]: %s and %v write what String returns, %+v
// puts the slot numbers before the instructions.
func (insns Instructions) Format(s fmt.State, verb rune) {
	if verb != 's' && verb != 'v' {
		fmt.Fprintf(s, "%%!%c(asm.Instructions)", verb)
		return
	}
	// An error of a fmt.State is reported by the fmt function that made it.
	_ = Format{Dialect: Exact, Slots: s.Flag('+')}.Fprint(s, insns)
}

// Fprint writes the program to w, as Append does. The error is w's.
func (f Format) Fprint(w io.Writer, insns Instructions) error {
	_, err := w.Write(f.Append(nil, insns))
	return err
}

// Append appends the program to b: a line for each label, "name:", and one for
// each instruction. In the dialects [Exact] and [Mnemonic] every jump and call
// inside the program is to a label, made up as "L12" from the slot where there
// is none; in the others it is as the instruction has it.
func (f Format) Append(b []byte, insns Instructions) []byte {
	if f.Dialect == Exact || f.Dialect == Mnemonic {
		insns = insns.labelled()
	}
	width := len(strconv.Itoa(max(insns.Slots()-1, 0)))
	slot := 0
	for _, ins := range insns {
		if name := ins.Symbol(); name != "" {
			b = append(append(b, name...), ":\n"...)
		}
		if f.Slots {
			b = fmt.Appendf(b, "%*d: ", width, slot)
		}
		if f.Opcodes {
			b = fmt.Appendf(b, "(%02x) ", uint8(ins.Op))
		}
		b = append(ins.appendText(b, f.Dialect), '\n')
		slot += ins.Slots()
	}
	return b
}

// labelled returns a copy of insns in which jumps, calls and function pointers
// refer to labels, made up where needed. Those that do not lead to an
// instruction of insns stay as they are.
func (insns Instructions) labelled() Instructions {
	starts := make(map[int]int, len(insns)) // index of the instruction at a slot
	names := make(map[string]bool)
	slot := 0
	for i, ins := range insns {
		starts[slot] = i
		names[ins.Symbol()] = true
		slot += ins.Slots()
	}
	out := slices.Clone(insns)
	slot = 0
	for i, ins := range insns {
		distance, jumps := ins.JumpOffset()
		target, inside := starts[slot+1+int(distance)]
		slot += ins.Slots()
		if !jumps || !inside || ins.Reference() != "" {
			continue
		}
		name := out[target].Symbol()
		if name == "" {
			name = "L" + strconv.Itoa(slot-ins.Slots()+1+int(distance))
			for names[name] {
				name += "_"
			}
			names[name] = true
			out[target] = out[target].WithSymbol(name)
		}
		out[i] = out[i].WithReference(name)
	}
	return out
}
