// Package listing writes programs as text: their instructions, the source lines that these come
// from, and the machine code that they have become.
package listing

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
)

// Program is a program as text.
type Program struct {
	Name    string   `json:"name,omitempty"`
	Type    string   `json:"type,omitempty"`
	Section string   `json:"section,omitempty"`
	License string   `json:"license,omitempty"`
	Slots   int      `json:"slots"`
	Lines   []Line   `json:"instructions"`
	Native  []Native `json:"native,omitempty"`
}

// Line is an instruction.
type Line struct {
	Slot   int      `json:"slot"`
	Labels []string `json:"labels,omitempty"`
	Bytes  string   `json:"bytes"`
	Text   string   `json:"text"`
	File   string   `json:"file,omitempty"`
	Line   int      `json:"line,omitempty"`
	Source string   `json:"source,omitempty"`
}

// source returns the source line, "" if it is not known.
func (l *Line) source() string {
	if l.Line == 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d: %s", l.File, l.Line, l.Source)
}

// Of returns the text of a program in a dialect, and its bytes in a byte order.
func Of(p *sandbpf.ProgramSpec, dialect asm.Dialect, order binary.ByteOrder) *Program {
	l := &Program{Name: p.Name, Section: p.Section, License: p.License, Slots: p.Instructions.Slots()}
	if p.Name != "" {
		l.Type = p.Type.String()
	}
	lines := make(map[int]sandbpf.Line)
	for _, line := range p.Lines {
		lines[line.Slot] = line
	}
	texts, labels := texts(p.Instructions, dialect)
	slot := 0
	for i, ins := range p.Instructions {
		src := lines[slot]
		l.Lines = append(l.Lines, Line{
			Slot: slot, Labels: labels[i], Text: texts[i], Bytes: hex.EncodeToString(ins.AppendBinary(nil, order)),
			File: src.File, Line: src.Number, Source: src.Text,
		})
		slot += ins.Slots()
	}
	return l
}

// texts returns the text of each instruction, and the labels in front of it.
func texts(insns asm.Instructions, dialect asm.Dialect) ([]string, [][]string) {
	texts, labels := make([]string, len(insns)), make([][]string, len(insns))
	all := string(asm.Format{Dialect: dialect, Slots: true}.Append(nil, insns))
	i := 0
	for line := range strings.Lines(all) {
		if i == len(insns) {
			break
		}
		line = strings.TrimSuffix(line, "\n")
		number, text, ok := strings.Cut(strings.TrimLeft(line, " "), ": ")
		if _, err := strconv.Atoi(number); ok && err == nil {
			texts[i] = text
			i++
		} else {
			labels[i] = append(labels[i], strings.TrimSuffix(line, ":"))
		}
	}
	return texts, labels
}

// Write writes the instructions, with or without source lines above them.
func (p *Program) Write(w io.Writer, source bool) {
	digits := p.digits()
	last := ""
	for i := range p.Lines {
		l := &p.Lines[i]
		for _, label := range l.Labels {
			fmt.Fprintf(w, "%s:\n", label)
		}
		if src := l.source(); source && src != "" && src != last {
			fmt.Fprintf(w, "; %s\n", src)
			last = src
		}
		fmt.Fprintf(w, "%*d: %s\n", digits, l.Slot, l.Text)
	}
}

// digits returns how wide the slots are.
func (p *Program) digits() int { return len(strconv.Itoa(max(p.Slots-1, 0))) }
