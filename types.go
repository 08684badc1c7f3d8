package sandbpf

import "github.com/sandbpf/sandbpf/internal/prog"

// The types of program that there are hooks for.
const (
	Unspec       = prog.Unspec // r1 is some memory, r2 its length; see [hooks.Memory]
	SocketFilter = prog.SocketFilter
	SchedCLS     = prog.SchedCLS // tc and tcx
	XDP          = prog.XDP
	Custom       = prog.Custom // of a hook of the Go program's own; AttachTo is its name
)
