package linux

import (
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// KfuncFlags are the flags that a kfunc is registered with (KF_* of include/linux/btf.h).
type KfuncFlags uint16

// The flags.
const (
	KfAcquire      KfuncFlags = 1 << iota // returns a reference
	KfRelease                             // gives up the reference of its argument
	KfRetNull                             // returns a pointer or null
	KfTrustedArgs                         // pointers to objects must be trusted
	KfSleepable                           // may sleep
	KfDestructive                         // needs CAP_SYS_BOOT
	KfRCU                                 // pointers to objects must be trusted or protected by RCU
	KfRCUProtected                        // only in RCU read sections
	KfIterNew                             // constructor of an iterator
	KfIterNext                            // its next
	KfIterDestroy                         // its destructor
	KfFastCall                            // clobbers R0 and the arguments' registers only
	KfArenaRet                            // returns a pointer into the arena
	KfArenaArg1                           // takes one as first argument
	KfArenaArg2                           // takes one as second argument
)

// Kfunc is a function of the kernel that programs may call.
type Kfunc struct {
	Name    string
	ID      uint32        // of the function in the kernel's BTF
	Proto   *prog.BTFType // BTFFuncProto; names of parameters matter (suffixes __sz, __k, ...)
	Flags   KfuncFlags
	Allowed helper.Variants // who may call it
}

// KfuncByName returns a kfunc by its name.
func KfuncByName(name string) (*Kfunc, bool) { return nil, false }

// KfuncByID returns a kfunc by the id of its function in the kernel's BTF.
func KfuncByID(id uint32) (*Kfunc, bool) { return nil, false }
