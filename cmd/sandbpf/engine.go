package main

import (
	"flag"

	"github.com/sandbpf/sandbpf"
)

func engineFlag(fs *flag.FlagSet) *string {
	return fs.String("engine", "interp", "what executes the program: `NAME` is interp; jit is not available yet")
}

func limitFlag(fs *flag.FlagSet) *uint64 {
	return fs.Uint64("limit", 1<<28, "stop a run after `N` instructions")
}

// vmOptions returns the options of a VM with one CPU that the flags stand for.
func vmOptions(engine string, limit uint64) ([]sandbpf.Option, error) {
	switch {
	case engine == "jit":
		return nil, unsupportedf("engine jit is not available yet: use interp")
	case engine != "interp":
		return nil, usageErrorf("no engine %q: interp is there", engine)
	case limit == 0:
		return nil, usageErrorf("--limit 0 lets no program run")
	}
	return []sandbpf.Option{sandbpf.WithCPUs(1), sandbpf.WithEngine(sandbpf.Interpreter), sandbpf.WithLimit(limit)}, nil
}
