package listing

import (
	"encoding/hex"
	"fmt"
	"io"
	"iter"

	"golang.org/x/arch/x86/x86asm"
)

// Native is an instruction of the machine.
type Native struct {
	Offset int    `json:"offset"`
	Slot   int    `json:"slot"` // of the instruction that it is made from, -1: of none
	Bytes  string `json:"bytes"`
	Text   string `json:"text"`
}

// Disassemble returns the instructions of amd64 machine code. Slots are the slots that pieces of
// it are made from, by their offset.
func Disassemble(code []byte, slots iter.Seq2[int, int]) (lines []Native) {
	start, slot := 0, -1
	for offset, of := range slots {
		lines = appendNative(lines, code, start, offset, slot)
		start, slot = offset, of
	}
	return appendNative(lines, code, start, len(code), slot)
}

// appendNative appends the instructions of code from start to end.
func appendNative(lines []Native, code []byte, start, end, slot int) []Native {
	const mode = 64 // bits
	for start < end {
		n, text := 1, fmt.Sprintf(".byte %#02x", code[start])
		if in, err := x86asm.Decode(code[start:end], mode); err == nil {
			n, text = in.Len, x86asm.IntelSyntax(in, uint64(start), nil)
		}
		lines = append(lines, Native{Offset: start, Slot: slot, Bytes: hex.EncodeToString(code[start : start+n]), Text: text})
		start += n
	}
	return lines
}

// WriteNative writes the machine code with the instructions beside it, with or without source
// lines above them.
func (p *Program) WriteNative(w io.Writer, source bool) {
	bySlot := make(map[int]*Line)
	width := 0
	for i := range p.Lines {
		bySlot[p.Lines[i].Slot] = &p.Lines[i]
		width = max(width, len(p.Lines[i].Text))
	}
	digits := p.digits()
	last, above := -2, ""
	for _, n := range p.Native {
		left := ""
		if l := bySlot[n.Slot]; l != nil && n.Slot != last {
			left = fmt.Sprintf("%*d: %s", digits, l.Slot, l.Text)
			if src := l.source(); source && src != "" && src != above {
				fmt.Fprintf(w, "; %s\n", src)
				above = src
			}
		}
		last = n.Slot
		fmt.Fprintf(w, "%-*s | %4x: %-20s %s\n", digits+2+width, left, n.Offset, n.Bytes, n.Text)
	}
}
