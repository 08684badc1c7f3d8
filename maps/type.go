package maps

import "strconv"

// Type is the type of a map, numbered as enum bpf_map_type of Linux's
// include/uapi/linux/bpf.h.
type Type uint32

// The map types of Linux 6.18. New says ErrNotSupported to those that have no
// implementation here.
const (
	UnspecifiedMap Type = iota
	Hash
	Array
	ProgramArray
	PerfEventArray
	PerCPUHash
	PerCPUArray
	StackTrace
	CGroupArray
	LRUHash
	LRUCPUHash
	LPMTrie
	ArrayOfMaps
	HashOfMaps
	DevMap
	SockMap
	CPUMap
	XSKMap
	SockHash
	CGroupStorage
	ReusePortSockArray
	PerCPUCGroupStorage
	Queue
	Stack
	SkStorage
	DevMapHash
	StructOpsMap
	RingBuf
	InodeStorage
	TaskStorage
	BloomFilter
	UserRingbuf
	CgroupStorage
	Arena
	numTypes
)

var typeNames = [numTypes]string{
	UnspecifiedMap: "UnspecifiedMap", Hash: "Hash", Array: "Array", ProgramArray: "ProgramArray",
	PerfEventArray: "PerfEventArray", PerCPUHash: "PerCPUHash", PerCPUArray: "PerCPUArray",
	StackTrace: "StackTrace", CGroupArray: "CGroupArray", LRUHash: "LRUHash", LRUCPUHash: "LRUCPUHash",
	LPMTrie: "LPMTrie", ArrayOfMaps: "ArrayOfMaps", HashOfMaps: "HashOfMaps", DevMap: "DevMap",
	SockMap: "SockMap", CPUMap: "CPUMap", XSKMap: "XSKMap", SockHash: "SockHash",
	CGroupStorage: "CGroupStorage", ReusePortSockArray: "ReusePortSockArray",
	PerCPUCGroupStorage: "PerCPUCGroupStorage", Queue: "Queue", Stack: "Stack", SkStorage: "SkStorage",
	DevMapHash: "DevMapHash", StructOpsMap: "StructOpsMap", RingBuf: "RingBuf",
	InodeStorage: "InodeStorage", TaskStorage: "TaskStorage", BloomFilter: "BloomFilter",
	UserRingbuf: "UserRingbuf", CgroupStorage: "CgroupStorage", Arena: "Arena",
}

// String returns the name that cilium/ebpf gives the type.
func (t Type) String() string {
	if t < numTypes {
		return typeNames[t]
	}
	return "MapType(" + strconv.FormatUint(uint64(t), 10) + ")"
}

// PerCPU reports whether every element has a value for each virtual CPU.
func (t Type) PerCPU() bool {
	return t == PerCPUHash || t == PerCPUArray || t == LRUCPUHash
}

// MapInMap reports whether the values are maps.
func (t Type) MapInMap() bool { return t == ArrayOfMaps || t == HashOfMaps }

// indexed reports whether keys are numbers below the number of elements.
func (t Type) indexed() bool {
	switch t {
	case Array, PerCPUArray, ProgramArray, PerfEventArray, ArrayOfMaps, DevMap, CPUMap, XSKMap:
		return true
	}
	return false
}

// Flags of map creation, BPF_F_* of the UAPI.
const (
	FlagNoPrealloc    uint32 = 1 << 0  // BPF_F_NO_PREALLOC; no effect, memory is always committed on use
	FlagNoCommonLRU   uint32 = 1 << 1  // BPF_F_NO_COMMON_LRU; no effect but rounding max_entries
	FlagNumaNode      uint32 = 1 << 2  // BPF_F_NUMA_NODE; no effect
	FlagRdonly        uint32 = 1 << 3  // BPF_F_RDONLY: the user side only reads
	FlagWronly        uint32 = 1 << 4  // BPF_F_WRONLY: the user side only writes
	FlagZeroSeed      uint32 = 1 << 6  // BPF_F_ZERO_SEED: the hash is the same in every map
	FlagRdonlyProg    uint32 = 1 << 7  // BPF_F_RDONLY_PROG: programs only read
	FlagWronlyProg    uint32 = 1 << 8  // BPF_F_WRONLY_PROG: programs only write
	FlagMmapable      uint32 = 1 << 10 // BPF_F_MMAPABLE: Map.Memory works
	FlagPreserveElems uint32 = 1 << 11 // BPF_F_PRESERVE_ELEMS
	FlagInnerMap      uint32 = 1 << 12 // BPF_F_INNER_MAP: inner arrays may differ in max_entries

	flagsAccess = FlagRdonly | FlagWronly | FlagRdonlyProg | FlagWronlyProg
)

// UpdateFlags are the flags of an update, BPF_ANY and so on.
type UpdateFlags uint64

// Flags of an update.
const (
	UpdateAny     UpdateFlags = 0 // create or replace
	UpdateNoExist UpdateFlags = 1 // create only
	UpdateExist   UpdateFlags = 2 // replace only
	UpdateLock    UpdateFlags = 4 // BPF_F_LOCK: EINVAL, no value here has a spin lock
)

// LookupFlags are the flags of a lookup.
type LookupFlags uint64

// LookupLock is BPF_F_LOCK: EINVAL, no value here has a spin lock.
const LookupLock LookupFlags = 4
