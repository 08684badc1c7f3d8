package mem

import "fmt"

// Kind says what a region of program-visible memory is to the program.
type Kind uint8

// The kinds of memory that a program can be given.
const (
	KindStack    Kind = iota + 1 // one frame of a program's stack
	KindCtx                      // the context, r1 at entry
	KindPacket                   // packet bytes, data to data_end
	KindMeta                     // packet metadata, data_meta to data
	KindMapValue                 // the value of one map element
	KindGlobal                   // .data, .rodata, .bss and other one-element maps of the loader
	KindRecord                   // a reserved ring-buffer record
	KindBuffer                   // any other buffer that a hook or a helper hands out
)

var kindNames = [...]string{
	KindStack: "stack", KindCtx: "ctx", KindPacket: "packet", KindMeta: "packet metadata",
	KindMapValue: "map value", KindGlobal: "global data", KindRecord: "ring buffer record", KindBuffer: "buffer",
}

// String returns the kind in words, as errors print it.
func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Perm says what a program may do with the bytes of a region.
type Perm uint8

// Permissions of a region.
const (
	Read Perm = 1 << iota
	Write

	ReadWrite = Read | Write
)

// String returns "r", "w", "rw" or "none".
func (p Perm) String() string {
	return [...]string{"none", "r", "w", "rw"}[p&ReadWrite]
}

// Region is a run of program-visible bytes: [Addr, Addr+Len). It is a value;
// whoever owns the memory says how long it stays true.
type Region struct {
	Addr uintptr
	Len  uintptr
	Kind Kind
	Perm Perm
	Name string // what the user calls it: a map's name, "" where the kind says it all
}

// Contains reports whether size bytes at addr lie within r. It does not
// overflow, whatever addr and size are.
func (r Region) Contains(addr, size uintptr) bool {
	off := addr - r.Addr
	return off <= r.Len && size <= r.Len-off
}

// Cells is an array of values of one size, or one for each CPU: value i of a CPU is at
// Base + cpu*CPUStride + i*Stride, for i below Len.
type Cells struct {
	Base      uint64
	Stride    uint64 // bytes
	CPUStride uint64 // bytes; 0: the CPUs share one array
	Len       uint32
}

// Finder finds the region that holds an address. A map is a Finder of its
// values: it returns the bounds of the single value that addr points into.
// Find is called with any integer that a program made up.
type Finder interface {
	Find(addr uintptr) (Region, bool)
}
