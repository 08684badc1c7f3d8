// Command sandbpf runs, shows and assembles eBPF programs, on any system and
// without privileges. "sandbpf help" says how.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/loader"
	"github.com/sandbpf/sandbpf/maps"
)

// Exit codes.
const (
	exitOK = iota
	exitProgram
	exitUsage
	exitInput
	exitUnsupported
)

const exitCodes = `Exit codes:
  0  all went well
  1  a program was refused, or a run of it was stopped
  2  the command line is wrong
  3  a file or text cannot be read or written, or is not what it should be
  4  something is asked for that is not supported here
`

// commands in the order in which help lists them.
var commands = []*command{runCommand, inspectCommand, disasmCommand, asmCommand, pluginCommand}

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main with what it depends on. It returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := bufio.NewWriter(stdout)
	e := &env{stdin: stdin, stdout: out, stderr: stderr, terminal: isTerminal(stdout)}
	err := dispatch(e, args)
	if flushed := out.Flush(); err == nil && flushed != nil {
		err = inputError{flushed}
	}
	if err != nil && !errors.Is(err, errReported) {
		fmt.Fprintf(stderr, "sandbpf: %v\n", err)
	}
	return exitCode(err)
}

func dispatch(e *env, args []string) error {
	if len(args) == 0 {
		return usageErrorf("no command: see sandbpf help")
	}
	name, args := args[0], args[1:]
	switch name {
	case "help", "-h", "-help", "--help":
		return help(e.stdout, args)
	case "version", "-version", "--version":
		return version(e.stdout, args)
	}
	if c := commandByName(name); c != nil {
		return c.run(e, args)
	}
	return usageErrorf("no command %q: see sandbpf help", name)
}

func commandByName(name string) *command {
	for _, c := range commands {
		if c.name == name {
			return c
		}
	}
	return nil
}

func version(w io.Writer, args []string) error {
	if len(args) > 0 {
		return usageErrorf("version takes no arguments")
	}
	release := "(devel)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		release = info.Main.Version
	}
	const kernel = loader.KernelVersion
	_, err := fmt.Fprintf(w, "sandbpf %s, by the rules of Linux %d.%d, %s %s/%s\n",
		release, kernel>>16, kernel>>8&0xff, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	return err
}

// usageError is a command line that makes no sense.
type usageError struct{ error }

func usageErrorf(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// inputError is a file or text that cannot be used.
type inputError struct{ error }

func (e inputError) Unwrap() error { return e.error }

func inputErrorf(format string, args ...any) error {
	return inputError{fmt.Errorf(format, args...)}
}

// unsupportedError is something that is not there yet, or never will be.
type unsupportedError struct{ error }

func unsupportedf(format string, args ...any) error {
	return unsupportedError{fmt.Errorf(format, args...)}
}

// errReported says that a command has failed and has said so already.
var errReported = errors.New("reported")

func exitCode(err error) int {
	var usage usageError
	var input inputError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &usage):
		return exitUsage
	case unsupported(err):
		return exitUnsupported
	case errors.As(err, &input):
		return exitInput
	}
	return exitProgram
}

func unsupported(err error) bool {
	var own unsupportedError
	if errors.As(err, &own) {
		return true
	}
	for _, e := range []error{sandbpf.ErrNotSupported, sandbpf.ErrUnknownHook, loader.ErrNotSupported, loader.ErrByteOrder, maps.ErrNotSupported} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// help writes what there is to say about a command, or about all.
func help(w io.Writer, args []string) error {
	switch {
	case len(args) > 1:
		return usageErrorf("help takes one command at a time")
	case len(args) == 1:
		c := commandByName(args[0])
		if c == nil {
			return usageErrorf("no command %q: see sandbpf help", args[0])
		}
		return c.help(w, c.flags(nil))
	}
	fmt.Fprint(w, "sandbpf runs eBPF programs outside of the kernel: no root, any system.\n\nUsage: sandbpf COMMAND [ARGUMENTS]\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  %-8s  %s\n", c.name, c.short)
	}
	fmt.Fprintf(w, "  %-8s  %s\n  %-8s  %s\n\n", "version", "print the version", "help", "explain a command: sandbpf help run")
	_, err := fmt.Fprint(w, `A first look at an object that clang has made:

  clang -O2 -g -target bpf -c firewall.c
  sandbpf inspect firewall.o
  sandbpf run firewall.o --pcap traffic.pcap

An OBJECT or FILE of "-" is standard input.

`, exitCodes)
	return err
}

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

// flags returns the flags of the command, and what runs with them in *action.
func (c *command) flags(action *func(*env, []string) error) *flag.FlagSet {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	run := c.setup(fs)
	if action != nil {
		*action = run
	}
	return fs
}

func (c *command) run(e *env, args []string) error {
	var action func(*env, []string) error
	fs := c.flags(&action)
	if c.prepare != nil {
		args = c.prepare(args)
	}
	args, err := parse(fs, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return c.help(e.stdout, fs)
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

func (c *command) help(w io.Writer, fs *flag.FlagSet) error {
	fmt.Fprintf(w, "Usage: sandbpf %s %s\n\n%s\nOptions:\n", c.name, c.args, c.long)
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
	writeTable(w, "  ", rows)
	_, err := fmt.Fprint(w, "\n", exitCodes)
	return err
}
