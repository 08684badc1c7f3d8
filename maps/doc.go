// Package maps is the sandbox's BPF maps: memory that programs and Go code share.
//
// A [Map] has two faces. The user side ([Map.Lookup], [Map.Update],
// [Map.Iterate], ...) mirrors the Map of github.com/cilium/ebpf, marshalling
// included. The program side ([Map.LookupProg], [Map.UpdateProg], ...) is what
// helper bodies call: no marshalling, no allocation, values by address, and an
// [Errno] instead of an error. Both do what Linux 6.18 does, errno included.
//
// # Lifetime
//
// New returns a handle; [Map.Clone] makes another. The memory goes back to the
// OS when the last handle is closed and no map-in-map holds the map any more.
// A program must therefore hold a handle of its own (a clone) of every map it
// refers to, until no run of it is left. Values keep their address until then.
//
// # Memory
//
// Everything a program can reach lies in [mem.Arena]s outside the Go heap. The
// layouts are drawn beside the types that describe them ([Header],
// [HashBucket], [HashElem], [LPMNode], [RingControl]); compiled code takes its
// offsets from these types. What keeps this package's use of unsafe sound: all
// pointers are an arena's base plus an offset that is bounded by how the arena
// was sized; references stored in an arena are only ever written by this
// package; integers made by programs are compared with bounds, never followed.
//
// Elements of a hash, once deleted, are reused at once, as Linux does with
// preallocated maps: a program that keeps the address of a deleted element may
// see another element there, never foreign memory.
package maps
