package linux

import (
	"cmp"
	"slices"
	"strings"
	"sync"

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

	recorded uint32 // ID in the build that recorded verdicts
}

// protos sets the prototypes of kfuncs, which are in the types.
var protos = sync.OnceFunc(func() {
	for i := range kfuncs {
		kfuncs[i].Proto = Func(kfuncs[i].Name)
	}
})

// KfuncByName returns a kfunc by its name. It is shared and must not be changed.
func KfuncByName(name string) (*Kfunc, bool) {
	i, ok := slices.BinarySearchFunc(kfuncs[:], name, func(k Kfunc, name string) int { return strings.Compare(k.Name, name) })
	if !ok {
		return nil, false
	}
	protos()
	return &kfuncs[i], true
}

// KfuncByID returns a kfunc by the id of its function in the kernel's BTF.
func KfuncByID(id uint32) (*Kfunc, bool) {
	for i := range kfuncs { // in no order of ids
		if kfuncs[i].ID == id {
			protos()
			return &kfuncs[i], true
		}
	}
	return nil, false
}

// Kfuncs returns all kfuncs, by name. They must not be changed.
func Kfuncs() []Kfunc {
	protos()
	return kfuncs[:]
}

// FromRecorded returns the id that a function has here which had id in the build of Linux
// 6.18 that recorded verdicts for tests: programs and attach_btf_id in them have its ids.
// Both builds number functions by name, so that an id between two kfuncs that are as far
// from here as each other is as far too. It is false for others.
func FromRecorded(id uint32) (here uint32, ok bool) {
	i, exact := slices.BinarySearchFunc(kfuncs[:], id, func(k Kfunc, id uint32) int { return cmp.Compare(k.recorded, id) })
	if exact {
		return kfuncs[i].ID, true
	}
	if i == 0 || i == len(kfuncs) {
		return 0, false
	}
	before, after := &kfuncs[i-1], &kfuncs[i]
	return id + before.ID - before.recorded, before.ID-before.recorded == after.ID-after.recorded
}

// MovesPacket reports whether pointers into the packet are void after a call of k.
func (k *Kfunc) MovesPacket() bool { return k.Name == "bpf_xdp_pull_data" }
