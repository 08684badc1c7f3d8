// Package leaf is the map operations that compiled code calls without leaving
// native code: assembly for amd64. Other architectures have none, and [For] says so.
//
// # Calling convention
//
// A leaf is called with CALL, on the goroutine's stack, with the arguments of the
// BPF helper in the registers that Linux's JIT has for r1 to r4:
//
//	             DI              SI      DX       CX      R8    AX after it
//	Lookup       map             key                      cpu   address of the value, 0: none
//	Update       map             key     value    flags   cpu   0 or a negative errno
//	Delete       map             key                      cpu   0 or a negative errno
//	Reserve      map             size                           address of the record, 0: no room
//	Submit       record, flags   in SI   map                    0, or [Wake]
//	Discard      record, flags   in SI   map                    0, or [Wake]
//
// map is [maps.Map.Addr]; key, value and record are addresses; size, flags and
// cpu are zero-extended to 64 bits. cpu is the number of the virtual CPU that the run
// leases; leaves make sure that the map has that many, but for lookups in a map that is
// not per CPU, which ignore it. A lookup of another CPU's copy
// (bpf_map_lookup_percpu_elem) is Lookup with that number.
//
// A record that a leaf has reserved is unknown to the virtual CPU, which discards what a
// run leaves behind: whoever compiles the call sees to that. Submit and Discard are the same
// for every ring buffer.
//
// If AX is [NotHandled] afterwards, the leaf has changed nothing, and the helper in Go
// has to be called with the same arguments: the lock is taken, elements ran out, an LRU
// map has to evict. This is no number that a helper returns.
//
// A leaf changes AX, CX, DX, SI, DI, R8, R10, R11, X0 to X14 and the flags. It keeps
// BX, R9, R12, R13, R14, R15, BP, SP and X15, and needs at most [Stack] bytes of stack,
// its return address included.
//
// # What keeps it sound
//
//   - Leaves call nothing, and end: every loop is bounded, by the size of key or value,
//     or by a count after which the leaf says NotHandled, or goes on only when another
//     leaf has made progress. None waits for a lock that does not come free at once, since
//     its holder may be a goroutine that has to be scheduled first.
//   - They touch the key's and the value's bytes, which the caller has validated, to the
//     byte, and the map's arenas, by references that only package maps and leaves write.
//     The caller holds the map open.
//   - They have no Go frames and are not preempted: a frame of the function that entered
//     native code is the innermost that the runtime sees.
//   - Values and keys in a map are written by aligned words of 8 bytes, with the tail by
//     4, 2 and 1, as in maps. Loads and stores are ordered as amd64 orders them (loads
//     with loads, stores with stores), which is what the protocols of maps ask for.
//
// The race detector does not see leaves, nor off-heap memory.
package leaf

import "github.com/sandbpf/sandbpf/maps"

// Op is an operation on a map.
type Op uint8

// The operations that there are leaves for.
const (
	Lookup  Op = iota // Hash, LRUHash, PerCPUHash, LRUCPUHash, LPMTrie
	Update            // Hash, LRUHash, PerCPUHash, LRUCPUHash
	Delete            // the same
	Reserve           // RingBuf
	Submit            // the same
	Discard           // the same
	numOps
)

// What a leaf returns in AX beside results.
const (
	// NotHandled says that nothing has been done and the helper in Go has to do it.
	NotHandled = 1
	// Wake says that the record has been given back, and that the ring's reader waits
	// for it: [maps.Map.WakeProg] has to be called, at the latest when the run ends.
	Wake = 2
)

// Stack is the most bytes of stack that a leaf uses, its return address included.
const Stack = 64

// For returns the entry address of the leaf for op on m. It reports false if there is
// none: the operation has no leaf, the map forbids it to programs, or the architecture
// is not amd64.
func For(m *maps.Map, op Op) (entry uintptr, ok bool) { return entryFor(m, op) }
