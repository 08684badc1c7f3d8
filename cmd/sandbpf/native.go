package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"golang.org/x/arch/x86/x86asm"

	"github.com/sandbpf/sandbpf"
)

// nativeLine is an instruction of the machine.
type nativeLine struct {
	Offset int    `json:"offset"`
	Slot   int    `json:"slot"` // of the instruction that it is made from, -1: of none
	Bytes  string `json:"bytes"`
	Text   string `json:"text"`
}

// nativeOf loads a program and returns its machine code.
func nativeOf(spec *sandbpf.CollectionSpec, name string) (lines []nativeLine, err error) {
	vm, err := sandbpf.New(sandbpf.WithCPUs(1))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	coll, err := vm.LoadCollection(reachable(spec, name))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, coll.Close()) }()
	code, slots := coll.Program(name).Native()
	if code == nil {
		return nil, unsupportedf("program %s is interpreted here: there is no machine code", name)
	}
	start, slot := 0, -1
	for offset, of := range slots {
		lines = appendNative(lines, code, start, offset, slot)
		start, slot = offset, of
	}
	return appendNative(lines, code, start, len(code), slot), nil
}

// appendNative appends the instructions of code from start to end.
func appendNative(lines []nativeLine, code []byte, start, end, slot int) []nativeLine {
	const mode = 64 // bits
	for start < end {
		n, text := 1, fmt.Sprintf(".byte %#02x", code[start])
		if in, err := x86asm.Decode(code[start:end], mode); err == nil {
			n, text = in.Len, x86asm.IntelSyntax(in, uint64(start), nil)
		}
		lines = append(lines, nativeLine{Offset: start, Slot: slot, Bytes: hex.EncodeToString(code[start : start+n]), Text: text})
		start += n
	}
	return lines
}

// writeNative writes machine code with the instructions beside it.
func (d *disassembler) writeNative(e *env, p listing) {
	bySlot := make(map[int]*listingLine)
	width := 0
	for i := range p.Lines {
		bySlot[p.Lines[i].Slot] = &p.Lines[i]
		width = max(width, len(p.Lines[i].Text))
	}
	digits := len(strconv.Itoa(max(p.Slots-1, 0)))
	last, source := -2, ""
	for _, n := range p.Native {
		left := ""
		if l := bySlot[n.Slot]; l != nil && n.Slot != last {
			left = fmt.Sprintf("%*d: %s", digits, l.Slot, l.Text)
			if src := fmt.Sprintf("%s:%d: %s", l.File, l.Line, l.Source); d.source && l.Line != 0 && src != source {
				fmt.Fprintf(e.stdout, "; %s\n", src)
				source = src
			}
		}
		last = n.Slot
		fmt.Fprintf(e.stdout, "%-*s | %4x: %-20s %s\n", digits+2+width, left, n.Offset, n.Bytes, n.Text)
	}
}
