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
	"github.com/sandbpf/sandbpf/verifier"
)

// Exit codes.
const (
	exitOK = iota
	exitProgram
	exitUsage
	exitInput
	exitUnsupported
)

// commands in the order in which help lists them.
var commands = []*command{runCommand, inspectCommand, verifyCommand, disasmCommand, asmCommand, pluginCommand, versionCommand}

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
	var refused *verifier.Error
	switch {
	case err == nil, errors.Is(err, errReported):
	case errors.As(err, &refused):
		fmt.Fprintf(stderr, "sandbpf: %+v", refused)
	default:
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
	case "-version", "--version":
		name = versionCommand.name
	}
	if c := commandByName(name); c != nil {
		return c.run(e, args)
	}
	return usageErrorf("no command %q: see sandbpf help", name)
}

var versionCommand = &command{
	name:  "version",
	args:  "",
	short: "print the version",
	long: `Prints the version of sandbpf, that of the Linux whose rules it follows, and for which
system it was built by which Go.
`,
	setup: func(*flag.FlagSet) func(*env, []string) error {
		return func(e *env, args []string) error {
			if len(args) > 0 {
				return usageErrorf("unexpected argument %q", args[0])
			}
			return version(e.stdout)
		}
	},
}

func version(w io.Writer) error {
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
