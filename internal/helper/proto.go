package helper

import (
	"strings"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

//go:generate go run ./gen

// Proto is the prototype of a helper: what the verifier checks a call against.
// A helper that a Go program adds is the same value, with a Body.
type Proto struct {
	ID   asm.BuiltinFunc
	Name string // without "bpf_"
	Args []Arg  // at most 5
	Ret  Ret

	GPL         bool // only for programs with a GPL-compatible licence
	Sleeps      bool // only for sleepable programs
	MovesPacket bool // pointers into the packet are void after the call
	PacketMem   bool // memory arguments may lie in the packet
	// PacketChecked: the body checks memory in a packet when it runs, and its size need not be proved.
	PacketChecked bool
	Confirmed     bool // the kernel's answers agree with all of Args
	Availability  Variants

	Body vm.Helper // of a user's helper; those of Linux are in [Body]
}

// ArgKind is what a helper wants in an argument register (verifier.c calls it
// the argument's base type).
type ArgKind uint8

// The kinds of argument.
const (
	ArgAny           ArgKind = iota // any initialised register
	ArgCtx                          // the context
	ArgMapPtr                       // a map
	ArgMapKey                       // memory of the map's key size
	ArgMapValue                     // memory of the map's value size
	ArgMem                          // memory; its size is Fixed or in the next argument
	ArgSize                         // size of the memory before it, not 0
	ArgSize0                        // size of the memory before it
	ArgAllocSize                    // constant, size of the memory that is returned
	ArgConst0                       // constant 0
	ArgSocket                       // full socket
	ArgSockCommon                   // any socket
	ArgSockCommonBTF                // any socket, or a kernel pointer to one
	ArgBTF                          // kernel pointer to Struct
	ArgPerCPUBTF                    // kernel pointer to a per-CPU variable
	ArgRingbufMem                   // record of a ring buffer
	ArgFunc                         // function of the program
	ArgStack                        // stack, for a callback's context
	ArgConstStr                     // constant string in a frozen read-only map
	ArgSpinLock                     // bpf_spin_lock in a map value or an object
	ArgTimer                        // bpf_timer in a map value
	ArgKptrDest                     // kptr field
	ArgDynptr                       // dynptr on the stack
)

// ArgFlags are properties of an argument.
type ArgFlags uint16

// The properties of arguments.
const (
	FlagRead    ArgFlags = 1 << iota // the helper reads the memory
	FlagWrite                        // it writes the memory
	FlagUninit                       // the memory need not be initialised
	FlagOrNull                       // or 0
	FlagAligned                      // naturally aligned
	FlagRelease                      // the reference is given up
	FlagRdonly                       // dynptr that is not changed itself
	FlagLocal                        // dynptr to local memory
	FlagRingbuf                      // dynptr to a ring-buffer record
)

// Arg is an argument of a helper.
type Arg struct {
	Kind   ArgKind
	Flags  ArgFlags
	Fixed  uint32 // ArgMem: bytes, 0 if the next argument says how many
	Struct string // ArgBTF: name of the kernel's struct; "" is that of the kptr field

	Alt   *Arg     // what the argument is in programs of AltIn
	AltIn Variants // none if Alt is nil
}

// RetKind is what a helper returns.
type RetKind uint8

// The kinds of result.
const (
	RetInt        RetKind = iota // number
	RetVoid                      // nothing: r0 is uninitialised
	RetMapValue                  // value of the map argument; the map itself for a map-in-map
	RetRingbufMem                // record, as long as the ArgAllocSize
	RetDynptrMem                 // memory of the dynptr, as long as the ArgAllocSize
	RetSocket
	RetSockCommon
	RetTCPSock
	RetBTF      // kernel pointer to Struct
	RetMemOrBTF // the per-CPU variable: memory, or for a struct a kernel pointer
)

// RetFlags are properties of a result.
type RetFlags uint8

// The properties of results.
const (
	RetOrNull   RetFlags = 1 << iota // or 0
	RetAcquire                       // the program holds a reference
	RetTrusted                       // trusted kernel pointer
	RetRdonly                        // read-only memory
	RetUpToSize                      // between -4095 and the largest size argument
	RetCPU                           // below the number of CPUs
)

// Ret is the result of a helper.
type Ret struct {
	Kind   RetKind
	Flags  RetFlags
	Struct string // RetBTF: name of the struct; "" is that of the kptr field
}

// Get returns the prototype of a helper of Linux 6.18.
func Get(id asm.BuiltinFunc) (*Proto, bool) {
	if id < 1 || int(id) > len(protos) {
		return nil, false
	}
	return &protos[id-1], true
}

// ByName returns the prototype of a helper by its name, with or without "bpf_".
func ByName(name string) (*Proto, bool) {
	name = strings.TrimPrefix(name, "bpf_")
	for i := range protos {
		if protos[i].Name == name {
			return &protos[i], true
		}
	}
	return nil, false
}

// All returns the helpers of Linux 6.18, by id. They must not be changed.
func All() []Proto { return protos[:] }

// Allowed reports whether programs of a type, attach type and target ("sys_enter"
// of "tp_btf/sys_enter") may call the helper, their licence aside.
func (p *Proto) Allowed(t prog.Type, attach prog.AttachType, target string) bool {
	v, ok := VariantOf(t, attach, target)
	return ok && p.Availability.Has(v)
}

// String returns the helper's name as in C.
func (p *Proto) String() string {
	if p.Body != nil {
		return p.Name
	}
	return "bpf_" + p.Name
}
