package main

import (
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/sandbpf/sandbpf"
)

// vmFlags are the flags of commands that run programs: what executes them, and how.
type vmFlags struct {
	engine         *string
	limit          *uint64
	blind, perfMap *bool
}

func newVMFlags(fs *flag.FlagSet) *vmFlags {
	return &vmFlags{
		engine:  fs.String("engine", "auto", "what executes the program: `NAME` is interp, jit, or auto for the faster that there is"),
		limit:   fs.Uint64("limit", 1<<28, "stop a run after `N` instructions, or at most the length of the program later"),
		blind:   blindFlag(fs),
		perfMap: fs.Bool("perf-map", false, "write /tmp/perf-PID.map, where perf looks for the names of machine code"),
	}
}

func blindFlag(fs *flag.FlagSet) *bool {
	return fs.Bool("blind", false, "keep the program's constants out of its machine code")
}

// vmOptions returns the options of a VM with one CPU that the flags stand for, and what ends
// it when the VM is closed.
func (f *vmFlags) vmOptions() (options []sandbpf.Option, done func() error, err error) {
	if *f.limit == 0 {
		return nil, nil, usageErrorf("--limit 0 lets no program run")
	}
	options = []sandbpf.Option{sandbpf.WithCPUs(1), sandbpf.WithLimit(*f.limit)}
	switch *f.engine {
	case "auto":
	case "interp":
		if *f.blind || *f.perfMap {
			return nil, nil, usageErrorf("--blind and --perf-map are about machine code, which --engine interp does without")
		}
		options = append(options, sandbpf.WithEngine(sandbpf.Interpreter))
	case "jit":
		options = append(options, sandbpf.WithEngine(sandbpf.JIT))
	default:
		return nil, nil, usageErrorf("no engine %q: interp, jit and auto are there", *f.engine)
	}
	if *f.blind {
		options = append(options, sandbpf.WithBlinding())
	}
	if !*f.perfMap {
		return options, func() error { return nil }, nil
	}
	file, err := createPerfMap()
	if err != nil {
		return nil, nil, inputError{err}
	}
	return append(options, sandbpf.WithPerfMap(file)), file.Close, nil
}

// createPerfMap creates the file that perf reads. Its name is no secret: what is there already,
// of a process that had the same number or of somebody who waits for us to write to his link, goes.
func createPerfMap() (*os.File, error) {
	name := fmt.Sprintf("/tmp/perf-%d.map", os.Getpid())
	if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}
