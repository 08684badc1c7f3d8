package main

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"strings"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
)

var pluginCommand = &command{
	name:  "plugin",
	args:  "[HEX-MEMORY] [OPTIONS]",
	short: "run instructions as a plug-in of the BPF Conformance runner",
	long: `Reads the bytes of a program as hex digits from standard input, runs it, and
prints r0 in hex. The program gets the address of the memory in r1 and its
length in bytes in r2, or two zeros if there is no memory. White space between
bytes does not matter.

  $ echo 'b7 00 00 00 2a 00 00 00  95 00 00 00 00 00 00 00' | sandbpf plugin
  2a
  $ sandbpf asm --hex load.s | sandbpf plugin '01 02 03 04'

Instructions are in the byte order of this machine. Helpers are those that
Linux lets a kprobe call.

The runner starts a file, with the memory as first argument and all options in
the second, which may both be empty. Give it a script like this one as
--plugin_path:

  #!/bin/sh
  exec sandbpf plugin "$@"
`,
	prepare: splitOptions,
	setup:   setupPlugin,
}

func setupPlugin(fs *flag.FlagSet) func(*env, []string) error {
	vm := newVMFlags(fs)
	program := fs.String("program", "", "the program as `HEX`, instead of on standard input")
	debug := fs.Bool("debug", false, "write the program to standard error before it runs")
	return func(e *env, args []string) (err error) {
		if len(args) > 1 {
			return usageErrorf("unexpected argument %q", args[1])
		}
		var memory []byte
		if len(args) == 1 {
			if memory, err = parseHex(args[0]); err != nil {
				return fmt.Errorf("memory: %w", err)
			}
		}
		text := *program
		if text == "" {
			data, _, err := e.read("-")
			if err != nil {
				return err
			}
			text = string(data)
		}
		code, err := parseHex(text)
		if err != nil {
			return fmt.Errorf("program: %w", err)
		}
		insns, err := asm.Decode(code, binary.NativeEndian)
		if err != nil {
			return inputErrorf("program: %w", err)
		}
		if *debug {
			if err := (asm.Format{Dialect: asm.Exact, Slots: true}).Fprint(e.stderr, insns); err != nil {
				return err
			}
		}
		options, done, err := vm.vmOptions()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, done()) }()
		r0, err := runMemory(insns, memory, options...)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "%x\n", r0)
		return nil
	}
}

// splitOptions takes arguments apart that are several options in one, as the runner
// gives them, and leaves out empty ones.
func splitOptions(args []string) []string {
	var out []string
	for _, arg := range args {
		text := strings.TrimSpace(arg)
		switch {
		case strings.HasPrefix(text, "-"):
			out = append(out, strings.Fields(text)...)
		case text != "":
			out = append(out, text)
		}
	}
	return out
}

// runMemory runs instructions over some memory and returns r0.
func runMemory(insns asm.Instructions, memory []byte, options ...sandbpf.Option) (uint64, error) {
	vm, err := sandbpf.New(append(options, sandbpf.WithCPUs(1))...)
	if err != nil {
		return 0, err
	}
	defer vm.Close()
	p, err := vm.LoadProgram(&sandbpf.ProgramSpec{
		Name: "plugin", Type: sandbpf.Unspec, Instructions: insns,
		License: "GPL", // the protocol has none, and no reason to keep helpers away
	}, nil)
	if err != nil {
		return 0, err
	}
	defer p.Close()
	in := hooks.TestRun{Data: memory}
	if err := p.Run(context.Background(), &in); err != nil {
		return 0, err
	}
	return in.Ret, nil
}
