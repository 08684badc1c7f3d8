package leaf

//lint:file-ignore U1000 the assembly uses these constants, by way of go_asm.h

import (
	"unsafe"

	"github.com/sandbpf/sandbpf/maps"
)

// The layouts of package maps, as the assembly sees them (go_asm.h has each as
// const_name).
const (
	hdrKeySize    = unsafe.Offsetof(maps.Header{}.KeySize)
	hdrValueSize  = unsafe.Offsetof(maps.Header{}.ValueSize)
	hdrMaxEntries = unsafe.Offsetof(maps.Header{}.MaxEntries)
	hdrBase       = unsafe.Offsetof(maps.Header{}.Base)
	hdrStride     = unsafe.Offsetof(maps.Header{}.Stride)
	hdrNumCPU     = unsafe.Offsetof(maps.Header{}.NumCPU)
	hdrCPUStride  = unsafe.Offsetof(maps.Header{}.CPUStride)
	hdrBuckets    = unsafe.Offsetof(maps.Header{}.Buckets)
	hdrMask       = unsafe.Offsetof(maps.Header{}.Mask)
	hdrValueOff   = unsafe.Offsetof(maps.Header{}.ValueOff)
	hdrSeed0      = unsafe.Offsetof(maps.Header{}.Seed0)
	hdrSeed1      = unsafe.Offsetof(maps.Header{}.Seed1)
	hdrControl    = unsafe.Offsetof(maps.Header{}.Control)
	hdrSpares     = unsafe.Offsetof(maps.Header{}.Spares)

	ctlFree  = unsafe.Offsetof(maps.HashControl{}.Free)
	ctlCount = unsafe.Offsetof(maps.HashControl{}.Count)
	ctlFresh = unsafe.Offsetof(maps.HashControl{}.Fresh)
	ctlFirst = unsafe.Offsetof(maps.HashControl{}.First)
	ctlTotal = unsafe.Offsetof(maps.HashControl{}.Total)

	bucketLock  = unsafe.Offsetof(maps.HashBucket{}.Lock) // Head is at 0
	elemHash    = unsafe.Offsetof(maps.HashElem{}.Hash)   // Next is at 0
	elemSeq     = unsafe.Offsetof(maps.HashElem{}.Seq)
	elemUsed    = unsafe.Offsetof(maps.HashElem{}.Used)
	elemKey     = unsafe.Sizeof(maps.HashElem{})
	elemValue8  = elemKey + 8 // of a key of at most 8 bytes
	elemValue16 = elemKey + 16

	lpmSeq     = unsafe.Offsetof(maps.LPMControl{}.Seq) // Root is at 0
	nodePrefix = unsafe.Offsetof(maps.LPMNode{}.Prefix) // Child is at 0
	nodeData   = unsafe.Sizeof(maps.LPMNode{})

	ringProducer = unsafe.Offsetof(maps.RingControl{}.Producer) // Consumer is at 0
	ringPending  = unsafe.Offsetof(maps.RingControl{}.Pending)
	ringLock     = unsafe.Offsetof(maps.RingControl{}.Lock)
)

// Numbers of package maps.
const (
	lpmIntermediate = maps.LPMIntermediate

	ringControlSize = maps.RingControlSize
	ringMaxRecord   = maps.RingMaxRecord
	ringBusy        = maps.RingBusy
	ringDiscard     = maps.RingDiscard
	ringNoWakeup    = maps.RingNoWakeup
	ringForceWakeup = maps.RingForceWakeup

	typeHash  = maps.Hash // the header's first field is the type
	errENOENT = maps.ENOENT
	errE2BIG  = maps.E2BIG
	errEEXIST = maps.EEXIST
	errEINVAL = maps.EINVAL
)

// How long a leaf tries.
const (
	maxSteps = 1024 // elements of a hash that a lookup may pass, restarts included
	// Nodes that an LPM lookup may pass, restarts included. Without one, it passes at most
	// one for each bit: 57, or 2049.
	maxLPMSteps  = 512
	maxLongSteps = 4096
	maxSpins     = 64  // looks at a lock that is taken
	maxRecords   = 256 // records that one reservation may find given back
)

// maxCopy is the largest value that a leaf writes, in bytes: it is not preempted
// meanwhile.
const maxCopy = 1 << 14
