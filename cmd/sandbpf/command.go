package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
)

// command is a subcommand.
type command struct {
	name  string
	args  string // after the name, for the usage line
	short string
	long  string // explanation and examples
	// prepare, if not nil, changes the arguments before they are parsed.
	prepare func(args []string) []string
	// setup registers the flags and returns what runs with them.
	setup func(*flag.FlagSet) func(e *env, args []string) error
}

// flags returns the flags of the command, and what runs with them.
func (c *command) flags() (*flag.FlagSet, func(*env, []string) error) {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	return fs, c.setup(fs)
}

func (c *command) run(e *env, args []string) error {
	fs, action := c.flags()
	if c.prepare != nil {
		args = c.prepare(args)
	}
	args, err := parse(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return c.help(e.stdout)
	case err == nil:
		err = action(e, args)
	default:
		err = usageError{err}
	}
	var usage usageError
	if errors.As(err, &usage) {
		return usageErrorf("%s: %w; see sandbpf help %s", c.name, usage.error, c.name)
	}
	return err
}

// parse parses flags that may also stand behind and between the arguments, which
// it returns.
func parse(fs *flag.FlagSet, args []string) ([]string, error) {
	var positional []string
	for {
		if err := fs.Parse(args); err != nil {
			return nil, err
		}
		rest := fs.Args()
		if len(rest) == 0 {
			return positional, nil
		}
		if parsed := len(args) - len(rest); parsed > 0 && args[parsed-1] == "--" {
			return append(positional, rest...), nil
		}
		positional, args = append(positional, rest[0]), rest[1:]
	}
}

func (c *command) help(w io.Writer) error {
	fs, _ := c.flags()
	fmt.Fprintln(w, strings.TrimRight("Usage: sandbpf "+c.name+" "+c.args, " "))
	fmt.Fprintf(w, "\n%s\n", c.long)
	var rows [][]string
	fs.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "0" {
			usage += fmt.Sprintf(" (default %s)", f.DefValue)
		}
		dash := "--"
		if len(f.Name) == 1 {
			dash = "-"
		}
		rows = append(rows, []string{dash + f.Name + " " + value, usage})
	})
	if len(rows) > 0 {
		fmt.Fprintln(w, "Options:")
		writeTable(w, "  ", rows)
		fmt.Fprintln(w)
	}
	_, err := fmt.Fprint(w, exitCodes)
	return err
}

func commandByName(name string) *command {
	for _, c := range commands {
		if c.name == name {
			return c
		}
	}
	return nil
}

// help writes what there is to say about a command, or about all.
func help(w io.Writer, args []string) error {
	switch {
	case len(args) > 1:
		return usageErrorf("help takes one command at a time")
	case len(args) == 1 && args[0] != "help":
		c := commandByName(args[0])
		if c == nil {
			return usageErrorf("no command %q: see sandbpf help", args[0])
		}
		return c.help(w)
	}
	fmt.Fprint(w, "sandbpf runs eBPF programs outside of the kernel: no root, any system.\n\nUsage: sandbpf COMMAND [ARGUMENTS]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-8s  %s\n", c.name, c.short)
	}
	fmt.Fprintf(w, "  %-8s  %s\n\n", "help", "explain a command: sandbpf help run")
	_, err := fmt.Fprint(w, `A first look at an object that clang has made:

  clang -O2 -g -target bpf -c firewall.c
  sandbpf inspect firewall.o
  sandbpf run firewall.o --pcap traffic.pcap

An OBJECT or FILE of "-" is standard input.

`, exitCodes)
	return err
}

// exitCodes explains the exit codes.
const exitCodes = `Exit codes:
  0  all went well
  1  a program was refused, or a run of it was stopped
  2  the command line is wrong
  3  a file or text cannot be read or written, or is not what it should be
  4  something is asked for that is not supported here
`
