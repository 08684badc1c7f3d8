package maps

import (
	"fmt"
	"math/bits"
	"runtime"
)

// KV is an initial element of a map.
type KV struct{ Key, Value any }

// Marshal returns the bytes of an element whose key and value have these sizes, as [Map.Put]
// stores them. They may be the element's own memory.
func (kv KV) Marshal(keySize, valueSize uint32) (key, value []byte, err error) {
	if key, err = marshal(kv.Key, int(keySize)); err != nil {
		return nil, nil, fmt.Errorf("key: %w", err)
	}
	if value, err = marshal(kv.Value, int(valueSize)); err != nil {
		return nil, nil, fmt.Errorf("value: %w", err)
	}
	return key, value, nil
}

// Spec is the blueprint of a map, as cilium/ebpf's MapSpec is.
type Spec struct {
	Name       string
	Type       Type
	KeySize    uint32 // bytes
	ValueSize  uint32 // bytes, for one CPU
	MaxEntries uint32 // elements; bytes of data for a RingBuf
	Flags      uint32 // Flag*
	InnerMap   *Spec  // what the maps in an ArrayOfMaps or HashOfMaps look like
	Contents   []KV   // stored by New
	Freeze     bool   // call Map.Freeze after Contents are stored
}

// Copy returns a copy that shares nothing with s but the elements of Contents.
func (s *Spec) Copy() *Spec {
	if s == nil {
		return nil
	}
	c := *s
	c.InnerMap = s.InnerMap.Copy()
	c.Contents = append([]KV(nil), s.Contents...)
	return &c
}

// Options are what a map needs to know of the machine that it is part of.
type Options struct {
	// NumCPU is the number of virtual CPUs, GOMAXPROCS if 0. Program-side
	// operations take an index below it.
	NumCPU int

	// Retire is given a func that frees an inner map which a map-in-map has
	// dropped. It must call the func once, when no program run that may have
	// looked the inner map up is left (Linux waits for an RCU grace period).
	// If nil, dropped inner maps are kept until the outer map is freed.
	Retire func(free func())
}

// maxCPU bounds Options.NumCPU as CONFIG_NR_CPUS bounds it on Linux.
const maxCPU = 8192

func (o Options) withDefaults() (Options, error) {
	if o.NumCPU == 0 {
		o.NumCPU = runtime.GOMAXPROCS(0)
	}
	if o.NumCPU < 0 || o.NumCPU > maxCPU {
		return o, fmt.Errorf("maps: NumCPU is %d, want 1 to %d", o.NumCPU, maxCPU)
	}
	return o, nil
}

const (
	pageSize      = 4096     // of ring buffers, on every host
	maxPerCPU     = 32 << 10 // PCPU_MIN_UNIT_SIZE: bytes of a per-CPU value
	maxKmalloc    = 4 << 20  // KMALLOC_MAX_SIZE: bytes of a hash element
	maxValue      = 1<<31 - 1
	lpmHeader     = 4   // prefixlen before the data of an LPM key
	lpmMaxData    = 256 // bytes of data in an LPM key
	kernelLPMNode = 24  // sizeof(struct lpm_trie_node), part of the limit on value size
	kernelElem    = 48  // sizeof(struct htab_elem), part of the limit on element size
)

// fill completes what cilium/ebpf completes before it asks the kernel.
func (s *Spec) fill(numCPU int) {
	switch s.Type {
	case PerfEventArray:
		s.KeySize, s.ValueSize = orDefault(s.KeySize, 4), orDefault(s.ValueSize, 4)
		s.MaxEntries = orDefault(s.MaxEntries, uint32(numCPU))
	case ArrayOfMaps, HashOfMaps:
		s.ValueSize = orDefault(s.ValueSize, 4)
	}
	if s.Flags&FlagNoCommonLRU != 0 && (s.Type == LRUHash || s.Type == LRUCPUHash) {
		// Linux gives every CPU the same share.
		n := uint64(numCPU)
		s.MaxEntries = uint32(min((uint64(s.MaxEntries)+n-1)/n, uint64(^uint32(0))/n) * n)
	}
}

func orDefault(v, def uint32) uint32 {
	if v == 0 {
		return def
	}
	return v
}

// refusal is why a spec is not a map: what Linux returns, and what is wrong.
type refusal struct {
	errno  Errno
	reason string
}

func refuse(e Errno, format string, args ...any) *refusal {
	return &refusal{e, fmt.Sprintf(format, args...)}
}

// check returns nil if Linux would create the map. The checks of each type are
// those of its map_alloc_check and map_alloc in kernel/bpf, in their order.
func (s *Spec) check() *refusal {
	if s.Flags&FlagRdonly != 0 && s.Flags&FlagWronly != 0 {
		return refuse(EINVAL, "BPF_F_RDONLY and BPF_F_WRONLY exclude each other")
	}
	switch s.Type {
	case Array, PerCPUArray:
		return s.checkArray()
	case ProgramArray, PerfEventArray, ArrayOfMaps:
		return s.checkFDArray()
	case Hash, PerCPUHash, LRUHash, LRUCPUHash:
		return s.checkHash()
	case HashOfMaps:
		if s.ValueSize != 4 {
			return refuse(EINVAL, "value size is %d, want 4", s.ValueSize)
		}
		return firstRefusal(s.checkHash, s.checkInner)
	case LPMTrie:
		return s.checkLPM()
	case RingBuf:
		return s.checkRingBuf()
	case Queue, Stack:
		return s.checkQueue()
	case DevMap, DevMapHash, CPUMap, XSKMap:
		return s.checkRedirect()
	}
	return refuse(ENOTSUPP, "map type %v has no implementation", s.Type)
}

func firstRefusal(checks ...func() *refusal) *refusal {
	for _, check := range checks {
		if r := check(); r != nil {
			return r
		}
	}
	return nil
}

// flagsIn checks that only known flags are set and that programs are left some access.
func (s *Spec) flagsIn(known uint32) *refusal {
	if bad := s.Flags &^ known; bad != 0 {
		return refuse(EINVAL, "flags %#x are not known to %v", bad, s.Type)
	}
	if s.Flags&FlagRdonlyProg != 0 && s.Flags&FlagWronlyProg != 0 {
		return refuse(EINVAL, "BPF_F_RDONLY_PROG and BPF_F_WRONLY_PROG exclude each other")
	}
	return nil
}

func (s *Spec) checkArray() *refusal {
	known := FlagNumaNode | flagsAccess | FlagMmapable | FlagInnerMap | FlagPreserveElems
	switch {
	case s.MaxEntries == 0:
		return refuse(EINVAL, "max entries is 0")
	case s.KeySize != 4:
		return refuse(EINVAL, "key size is %d, want 4", s.KeySize)
	case s.ValueSize == 0:
		return refuse(EINVAL, "value size is 0")
	}
	if r := s.flagsIn(known); r != nil {
		return r
	}
	if s.Type == PerCPUArray && s.Flags&FlagNumaNode != 0 {
		return refuse(EINVAL, "a per-CPU map has no NUMA node")
	}
	if s.Type != Array && s.Flags&(FlagMmapable|FlagInnerMap) != 0 {
		return refuse(EINVAL, "BPF_F_MMAPABLE and BPF_F_INNER_MAP are for Array only")
	}
	if s.Type != PerfEventArray && s.Flags&FlagPreserveElems != 0 {
		return refuse(EINVAL, "BPF_F_PRESERVE_ELEMS is for PerfEventArray only")
	}
	if s.ValueSize > maxValue {
		return refuse(E2BIG, "value size is %d, want at most %d", s.ValueSize, maxValue)
	}
	return s.checkPerCPUValue()
}

func (s *Spec) checkPerCPUValue() *refusal {
	if s.Type.PerCPU() && (uint64(s.ValueSize)+7)&^7 > maxPerCPU {
		return refuse(E2BIG, "value size is %d, want at most %d for a per-CPU map", s.ValueSize, maxPerCPU)
	}
	return nil
}

func (s *Spec) checkFDArray() *refusal {
	if s.ValueSize != 4 {
		return refuse(EINVAL, "value size is %d, want 4", s.ValueSize)
	}
	if s.Flags&(FlagRdonlyProg|FlagWronlyProg) != 0 {
		return refuse(EINVAL, "%v has no access flags for programs", s.Type)
	}
	if s.Type == ArrayOfMaps {
		return firstRefusal(s.checkArray, s.checkInner)
	}
	return s.checkArray()
}

func (s *Spec) checkHash() *refusal {
	known := FlagNoPrealloc | FlagNoCommonLRU | FlagNumaNode | flagsAccess | FlagZeroSeed
	lru := s.Type == LRUHash || s.Type == LRUCPUHash
	if r := s.flagsIn(known); r != nil {
		return r
	}
	switch {
	case !lru && s.Flags&FlagNoCommonLRU != 0:
		return refuse(EINVAL, "BPF_F_NO_COMMON_LRU is for LRU maps only")
	case lru && s.Flags&FlagNoPrealloc != 0:
		return refuse(ENOTSUPP, "an LRU map is always preallocated")
	case s.Flags&FlagNumaNode != 0 && (s.Type.PerCPU() || s.Flags&FlagNoCommonLRU != 0):
		return refuse(EINVAL, "a per-CPU map has no NUMA node")
	case s.MaxEntries == 0:
		return refuse(EINVAL, "max entries is 0")
	case s.KeySize == 0:
		return refuse(EINVAL, "key size is 0")
	case s.ValueSize == 0:
		return refuse(EINVAL, "value size is 0")
	case uint64(s.KeySize)+uint64(s.ValueSize) >= maxKmalloc-kernelElem:
		return refuse(E2BIG, "key and value size together are %d, want below %d",
			uint64(s.KeySize)+uint64(s.ValueSize), maxKmalloc-kernelElem)
	case bits.Len32(s.MaxEntries-1) > 31:
		return refuse(E2BIG, "max entries is %d, want at most %d", s.MaxEntries, uint32(1)<<31)
	}
	return s.checkPerCPUValue()
}

// checkInner checks the template of the maps within a map.
func (s *Spec) checkInner() *refusal {
	in := s.InnerMap
	if in == nil {
		return refuse(EBADF, "%v has no InnerMap", s.Type)
	}
	if in.Type.MapInMap() {
		return refuse(EINVAL, "inner map is itself a map of maps")
	}
	if in.Type == ProgramArray {
		return refuse(ENOTSUPP, "inner map is a ProgramArray")
	}
	if r := in.check(); r != nil {
		return refuse(r.errno, "inner map: %s", r.reason)
	}
	return nil
}

func (s *Spec) checkLPM() *refusal {
	known := FlagNoPrealloc | FlagNumaNode | flagsAccess
	switch {
	case s.MaxEntries == 0:
		return refuse(EINVAL, "max entries is 0")
	case s.Flags&FlagNoPrealloc == 0:
		return refuse(EINVAL, "an LPMTrie needs BPF_F_NO_PREALLOC")
	case s.KeySize < lpmHeader+1 || s.KeySize > lpmHeader+lpmMaxData:
		return refuse(EINVAL, "key size is %d, want %d to %d", s.KeySize, lpmHeader+1, lpmHeader+lpmMaxData)
	case s.ValueSize == 0 || s.ValueSize > maxKmalloc-lpmMaxData-kernelLPMNode:
		return refuse(EINVAL, "value size is %d, want 1 to %d", s.ValueSize, maxKmalloc-lpmMaxData-kernelLPMNode)
	}
	return s.flagsIn(known)
}

func (s *Spec) checkRingBuf() *refusal {
	switch {
	case s.Flags&^FlagNumaNode != 0:
		return refuse(EINVAL, "flags %#x are not known to RingBuf", s.Flags&^FlagNumaNode)
	case s.KeySize != 0 || s.ValueSize != 0:
		return refuse(EINVAL, "key size is %d and value size is %d, want 0", s.KeySize, s.ValueSize)
	case s.MaxEntries == 0 || s.MaxEntries&(s.MaxEntries-1) != 0 || s.MaxEntries%pageSize != 0:
		return refuse(EINVAL, "max entries is %d, want a power of two and a multiple of %d", s.MaxEntries, pageSize)
	}
	return nil
}

func (s *Spec) checkQueue() *refusal {
	switch {
	case s.MaxEntries == 0:
		return refuse(EINVAL, "max entries is 0")
	case s.KeySize != 0:
		return refuse(EINVAL, "key size is %d, want 0", s.KeySize)
	case s.ValueSize == 0:
		return refuse(EINVAL, "value size is 0")
	}
	if r := s.flagsIn(FlagNumaNode | flagsAccess); r != nil {
		return r
	}
	if s.ValueSize > maxKmalloc {
		return refuse(E2BIG, "value size is %d, want at most %d", s.ValueSize, maxKmalloc)
	}
	return nil
}

func (s *Spec) checkRedirect() *refusal {
	known := FlagNumaNode
	sizes := s.ValueSize == 4 || s.ValueSize == 8
	switch s.Type {
	case DevMap, DevMapHash:
		known |= FlagRdonly | FlagWronly
	case XSKMap:
		sizes = s.ValueSize == 4
		known |= FlagRdonly | FlagWronly
	}
	switch {
	case s.MaxEntries == 0:
		return refuse(EINVAL, "max entries is 0")
	case s.KeySize != 4:
		return refuse(EINVAL, "key size is %d, want 4", s.KeySize)
	case !sizes:
		return refuse(EINVAL, "value size is %d, want 4 (or 8 with a program)", s.ValueSize)
	case s.Flags&^known != 0:
		return refuse(EINVAL, "flags %#x are not known to %v", s.Flags&^known, s.Type)
	case s.Type == DevMapHash && bits.Len32(s.MaxEntries-1) > 31:
		return refuse(EINVAL, "max entries is %d, want at most %d", s.MaxEntries, uint32(1)<<31)
	case s.Type == CPUMap && s.MaxEntries > maxCPU:
		return refuse(E2BIG, "max entries is %d, want at most %d CPUs", s.MaxEntries, maxCPU)
	}
	return nil
}
