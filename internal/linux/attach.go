package linux

import (
	"slices"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// ValidAttach reports whether bpf(2) loads programs of a type with an attach type, as far as
// these two go: others are refused with EINVAL before they are verified. Most types take
// any number. Those that are attached to a function by its id in BTF need that too.
func ValidAttach(t prog.Type, attach prog.AttachType) bool {
	list := func(valid ...prog.AttachType) bool { return slices.Contains(valid, attach) }
	switch t {
	case prog.CGroupSKB:
		return list(0, 1)
	case prog.CGroupSock:
		return list(0, 2, 12, 13, 34) // 0 stands for 2
	case prog.CGroupSockAddr:
		return list(8, 9, 10, 11, 14, 15, 19, 20, 29, 30, 31, 32, 49, 50, 51, 52, 53)
	case prog.CGroupSockopt:
		return list(21, 22)
	case prog.SkReuseport:
		return list(0, 39, 40) // 0 stands for 39
	case prog.SkLookup:
		return list(36)
	case prog.Syscall, prog.Extension:
		return list(0)
	case prog.Netfilter:
		return list(45)
	case prog.Tracing:
		return list(attachTPBTF, attachFentry, attachFexit, attachModReturn, attachIter)
	case prog.LSM:
		return list(27, 43)
	}
	return true
}

// MaySleep reports whether programs of a variant may be loaded with BPF_F_SLEEPABLE.
// Syscall programs must be, and LSM programs may at some hooks only.
func MaySleep(v helper.Variant) bool {
	switch t, attach, _ := v.Sort(); t {
	case prog.Kprobe, prog.Syscall, prog.StructOps, prog.LSM:
		return true
	case prog.Tracing:
		return attach != attachTPBTF
	}
	return false
}
