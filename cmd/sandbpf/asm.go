package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/sandbpf/sandbpf/asm"
)

var asmCommand = &command{
	name:  "asm",
	args:  "[FILE] [OPTIONS]",
	short: "assemble text to the bytes of instructions",
	long: `Reads a program as text and writes its instructions as bytes: raw, or with
--hex as digits, one instruction a line. FILE is "-", standard input, if it is
not given.

In C syntax, which is that of clang, bpftool and the kernel's log:

  r0 = 0
  r2 = *(u32 *)(r1 + 4)       ; a load; comments start with ; or // or #
  if r2 s> 9 goto done
  call bpf_ktime_get_ns
  done: exit

In mnemonic syntax, which is that of the BPF conformance vectors:

  mov %r0, 0
  ldxw %r2, [%r1+4]
  jsgt %r2, 9, done
  call 5
  done: exit

Examples:

  $ echo 'r0 = 42; exit' | tr ';' '\n' | sandbpf asm --hex
  b7 00 00 00 2a 00 00 00
  95 00 00 00 00 00 00 00
  $ sandbpf asm program.s -o program.bin
  $ sandbpf asm --syntax mnemonic --hex add.s | sandbpf plugin

Text that refers to maps or variables cannot be assembled: what they are is in
an object file.
`,
	setup: setupAsm,
}

func setupAsm(fs *flag.FlagSet) func(*env, []string) error {
	syntax := fs.String("syntax", "c", "`NAME` of the syntax: c or mnemonic")
	hex := fs.Bool("hex", false, "write hex digits")
	out := fs.String("o", "-", "write to `FILE`; - is standard output")
	big := bigEndianFlag(fs)
	return func(e *env, args []string) error {
		parse, ok := parsers[*syntax]
		switch {
		case !ok:
			return usageErrorf("no syntax %q: c and mnemonic are there", *syntax)
		case len(args) > 1:
			return usageErrorf("unexpected argument %q", args[1])
		case len(args) == 0:
			args = []string{"-"}
		}
		src, name, err := e.read(args[0])
		if err != nil {
			return err
		}
		insns, err := parse(string(src))
		if err != nil {
			return syntaxError(name, err)
		}
		insns, err = insns.Resolve()
		if err == nil {
			_, err = insns.Encode(byteOrder(*big)) // of all, so that the slot in an error is right
		}
		if err != nil {
			return inputErrorf("%s: %w", name, err)
		}
		return e.writeCode(insns, byteOrder(*big), *hex, *out)
	}
}

var parsers = map[string]func(string) (asm.Instructions, error){"c": asm.Parse, "mnemonic": asm.ParseMnemonic}

func bigEndianFlag(fs *flag.FlagSet) *bool {
	return fs.Bool("big-endian", false, "bytes are for big-endian machines")
}

func byteOrder(big bool) binary.ByteOrder {
	if big {
		return binary.BigEndian
	}
	return binary.LittleEndian
}

// syntaxError puts the place into the form that editors understand.
func syntaxError(file string, err error) error {
	var bad *asm.SyntaxError
	if errors.As(err, &bad) {
		return inputErrorf("%s:%d:%d: got %s, want %s", file, bad.Line, bad.Column, bad.Got, bad.Want)
	}
	return inputErrorf("%s: %w", file, err)
}

// writeCode writes instructions that can be encoded.
func (e *env) writeCode(insns asm.Instructions, order binary.ByteOrder, hex bool, file string) error {
	var out []byte
	for _, ins := range insns {
		code := ins.AppendBinary(nil, order)
		if hex {
			code = fmt.Appendf(nil, "% x\n", code)
		}
		out = append(out, code...)
	}
	if file != "-" {
		if err := os.WriteFile(file, out, 0o666); err != nil {
			return inputError{err}
		}
		return nil
	}
	if e.terminal && !hex {
		return usageErrorf("this would write bytes to a terminal: use --hex or -o FILE")
	}
	_, err := e.stdout.Write(out)
	return err
}
