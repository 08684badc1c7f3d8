package main

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"strconv"
	"strings"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
)

var disasmCommand = &command{
	name:  "disasm",
	args:  "OBJECT [PROGRAM] [OPTIONS]",
	short: "show the instructions of an object, or of bytes, as text",
	long: `Writes the programs of an object file as text, each with the functions it calls,
and above the instructions the source lines that they come from. Maps, variables
and functions have their names. What is no ELF file is taken for the bytes of
instructions; "-" is standard input.

The text can be assembled again: the rest is in comments.

With --native, programs are loaded, and each instruction stands beside the machine
code that it has become, in the order of the machine code. Instructions that need none
are not there. What is seldom executed is at the end.

Examples:

  $ sandbpf disasm firewall.o
  $ sandbpf disasm firewall.o parse --syntax mnemonic
  $ sandbpf disasm firewall.o firewall --native
  $ echo 'b7 00 00 00 2a 00 00 00' | sandbpf disasm --hex -
  0: r0 = 0x2a
`,
	setup: setupDisasm,
}

// dialects by the names that --syntax knows.
var dialects = map[string]asm.Dialect{"c": asm.Exact, "mnemonic": asm.Mnemonic, "objdump": asm.Objdump, "kernel": asm.Kernel}

func setupDisasm(fs *flag.FlagSet) func(*env, []string) error {
	d := disassembler{objectFlags: newObjectFlags(fs)}
	syntax := fs.String("syntax", "c", "`NAME` of the syntax: c, mnemonic, objdump (as llvm-objdump) or kernel (as the verifier's log)")
	fs.BoolVar(&d.hex, "hex", false, "input is hex digits")
	fs.BoolVar(&d.json, "json", false, "write JSON")
	fs.BoolVar(&d.native, "native", false, "show the machine code beside the instructions")
	noSource := fs.Bool("no-source", false, "leave the source lines out")
	big := bigEndianFlag(fs)
	return func(e *env, args []string) error {
		dialect, ok := dialects[*syntax]
		switch {
		case !ok:
			return usageErrorf("no syntax %q: c, mnemonic, objdump and kernel are there", *syntax)
		case len(args) == 0:
			return usageErrorf("which object? \"-\" is standard input")
		case len(args) > 2:
			return usageErrorf("unexpected argument %q", args[2])
		}
		d.dialect, d.source, d.order = dialect, !*noSource, byteOrder(*big)
		return d.run(e, append(args, "")[:2])
	}
}

type disassembler struct {
	*objectFlags
	dialect                   asm.Dialect
	hex, json, source, native bool
	order                     binary.ByteOrder // of raw bytes
}

// listing is a program as text.
type listing struct {
	Name    string        `json:"name,omitempty"`
	Type    string        `json:"type,omitempty"`
	Section string        `json:"section,omitempty"`
	License string        `json:"license,omitempty"`
	Slots   int           `json:"slots"`
	Lines   []listingLine `json:"instructions"`
	Native  []nativeLine  `json:"native,omitempty"`
}

// listingLine is an instruction.
type listingLine struct {
	Slot   int      `json:"slot"`
	Labels []string `json:"labels,omitempty"`
	Bytes  string   `json:"bytes"`
	Text   string   `json:"text"`
	File   string   `json:"file,omitempty"`
	Line   int      `json:"line,omitempty"`
	Source string   `json:"source,omitempty"`
}

func (d *disassembler) run(e *env, args []string) error {
	name, program := args[0], args[1]
	data, shown, err := e.read(name)
	if err != nil {
		return err
	}
	if d.hex {
		if data, err = parseHex(string(data)); err != nil {
			return err
		}
	}
	if isObject(data) {
		spec, err := d.load(e, data, shown)
		if err != nil {
			return err
		}
		return d.object(e, spec, program)
	}
	switch {
	case program != "":
		return usageErrorf("bytes of instructions have no program %q", program)
	case d.native:
		return usageErrorf("--native needs an object")
	}
	insns, err := asm.Decode(data, d.order)
	if err != nil {
		return inputErrorf("%s: it is no ELF file, and as instructions: %w", shown, err)
	}
	if err := d.write(e, []listing{d.list(&sandbpf.ProgramSpec{Instructions: insns}, d.order)}); err != nil {
		return err
	}
	if err := insns.Validate(); err != nil {
		return inputErrorf("%s: %w", shown, err)
	}
	return nil
}

func (d *disassembler) object(e *env, spec *sandbpf.CollectionSpec, program string) error {
	names := programNames(spec)
	if program != "" || len(names) == 0 {
		p, err := pickProgram(spec, program)
		if err != nil {
			return err
		}
		names = []string{p.Name}
	}
	var out []listing
	for _, name := range names {
		l := d.list(spec.Programs[name], binary.NativeEndian)
		if d.native {
			var err error
			if l.Native, err = nativeOf(spec, name); err != nil {
				return err
			}
		}
		out = append(out, l)
	}
	return d.write(e, out)
}

// list makes the text of a program.
func (d *disassembler) list(p *sandbpf.ProgramSpec, order binary.ByteOrder) listing {
	l := listing{Name: p.Name, Section: p.Section, License: p.License, Slots: p.Instructions.Slots()}
	if p.Name != "" {
		l.Type = p.Type.String()
	}
	lines := make(map[int]sandbpf.Line)
	for _, line := range p.Lines {
		lines[line.Slot] = line
	}
	texts, labels := d.texts(p.Instructions)
	slot := 0
	for i, ins := range p.Instructions {
		src := lines[slot]
		l.Lines = append(l.Lines, listingLine{
			Slot: slot, Labels: labels[i], Text: texts[i], Bytes: hex.EncodeToString(ins.AppendBinary(nil, order)),
			File: src.File, Line: src.Number, Source: src.Text,
		})
		slot += ins.Slots()
	}
	return l
}

// texts returns the text of each instruction, and the labels in front of it.
func (d *disassembler) texts(insns asm.Instructions) ([]string, [][]string) {
	texts, labels := make([]string, len(insns)), make([][]string, len(insns))
	all := string(asm.Format{Dialect: d.dialect, Slots: true}.Append(nil, insns))
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

func (d *disassembler) write(e *env, programs []listing) error {
	if d.json {
		return e.writeJSON(map[string]any{"programs": programs})
	}
	for i, p := range programs {
		if i > 0 {
			fmt.Fprintln(e.stdout)
		}
		if p.Name != "" {
			fmt.Fprintf(e.stdout, "; program %s: %s, section %q, license %q, %s\n", p.Name, p.Type, p.Section, p.License, plural(p.Slots, "slot"))
		}
		if d.native {
			d.writeNative(e, p)
		} else {
			d.writeLines(e, p)
		}
	}
	return nil
}

func (d *disassembler) writeLines(e *env, p listing) {
	width := len(strconv.Itoa(max(p.Slots-1, 0)))
	last := ""
	for _, l := range p.Lines {
		for _, label := range l.Labels {
			fmt.Fprintf(e.stdout, "%s:\n", label)
		}
		if src := fmt.Sprintf("%s:%d: %s", l.File, l.Line, l.Source); d.source && l.Line != 0 && src != last {
			fmt.Fprintf(e.stdout, "; %s\n", src)
			last = src
		}
		fmt.Fprintf(e.stdout, "%*d: %s\n", width, l.Slot, l.Text)
	}
}
