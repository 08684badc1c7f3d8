package main

import (
	"encoding/binary"
	"flag"
	"fmt"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/listing"
)

var disasmCommand = &command{
	name:  "disasm",
	args:  "OBJECT [PROGRAM] [OPTIONS]",
	short: "show the instructions of an object, or of bytes, as text",
	long: `Writes the programs of an object file as text, each with the functions it calls,
and above the instructions the source lines that they come from. Maps, variables
and functions have their names. What is no ELF file is taken for the bytes of
instructions; "-" is standard input.

The text of a program can be assembled again, by the command asm, if it refers to no
maps or variables: the rest is in comments.

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
	blind := blindFlag(fs)
	noSource := fs.Bool("no-source", false, "leave the source lines out")
	big := bigEndianFlag(fs)
	return func(e *env, args []string) error {
		dialect, ok := dialects[*syntax]
		switch {
		case !ok:
			return usageErrorf("no syntax %q: c, mnemonic, objdump and kernel are there", *syntax)
		case len(args) == 0:
			return usageErrorf("give an object; \"-\" is standard input")
		case len(args) > 2:
			return usageErrorf("unexpected argument %q", args[2])
		case *blind && !d.native:
			return usageErrorf("--blind is about machine code: give --native")
		}
		d.dialect, d.source, d.order, d.blind = dialect, !*noSource, byteOrder(*big), *blind
		return d.run(e, append(args, "")[:2])
	}
}

type disassembler struct {
	*objectFlags
	dialect           asm.Dialect
	hex, json, source bool
	native, blind     bool
	order             binary.ByteOrder // of raw bytes
}

func (d *disassembler) run(e *env, args []string) error {
	name, program := args[0], args[1]
	data, shown, err := e.read(name)
	if err != nil {
		return err
	}
	if d.hex {
		if data, err = parseHex(string(data)); err != nil {
			return inputErrorf("%s: %w", shown, err)
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
	case len(data) == 0:
		return inputErrorf("%s: it is empty", shown)
	case program != "":
		return usageErrorf("bytes of instructions have no program %q", program)
	case d.native:
		return usageErrorf("--native needs an object")
	}
	insns, err := asm.Decode(data, d.order)
	if err != nil {
		return inputErrorf("%s: it is no ELF file, and as instructions: %w", shown, err)
	}
	if err := d.write(e, []*listing.Program{listing.Of(&sandbpf.ProgramSpec{Instructions: insns}, d.dialect, d.order)}); err != nil {
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
	var out []*listing.Program
	for _, name := range names {
		l := listing.Of(spec.Programs[name], d.dialect, binary.NativeEndian)
		if d.native {
			var err error
			if l.Native, err = nativeOf(spec, name, d.blind); err != nil {
				return err
			}
		}
		out = append(out, l)
	}
	return d.write(e, out)
}

func (d *disassembler) write(e *env, programs []*listing.Program) error {
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
			p.WriteNative(e.stdout, d.source)
		} else {
			p.Write(e.stdout, d.source)
		}
	}
	return nil
}
