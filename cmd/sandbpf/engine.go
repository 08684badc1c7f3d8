package main

import (
	"flag"

	"github.com/sandbpf/sandbpf"
)

func engineFlag(fs *flag.FlagSet) *string {
	return fs.String("engine", "auto", "what executes the program: `NAME` is interp, jit, or auto for the faster that there is")
}

func limitFlag(fs *flag.FlagSet) *uint64 {
	return fs.Uint64("limit", 1<<28, "stop a run after `N` instructions")
}

// vmOptions returns the options of a VM with one CPU that the flags stand for.
func vmOptions(engine string, limit uint64) ([]sandbpf.Option, error) {
	if limit == 0 {
		return nil, usageErrorf("--limit 0 lets no program run")
	}
	options := []sandbpf.Option{sandbpf.WithCPUs(1), sandbpf.WithLimit(limit)}
	switch engine {
	case "auto":
		return options, nil
	case "interp":
		return append(options, sandbpf.WithEngine(sandbpf.Interpreter)), nil
	case "jit":
		return append(options, sandbpf.WithEngine(sandbpf.JIT)), nil
	}
	return nil, usageErrorf("no engine %q: interp, jit and auto are there", engine)
}
