package maps

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// Header is the block that a program's map pointer points at, off-heap and at
// the same address as long as the map lives. Addresses are in it for compiled
// code to bake in or to load; nothing is ever read from it to find a Go object.
//
//	  0        4         8           12           16
//	+--------+---------+-----------+------------+----------------------+
//	| Type   | KeySize | ValueSize | MaxEntries | Base                 |
//	+--------+---------+-----------+------------+----------------------+ 24
//	| Stride | NumCPU  | CPUStride              | Buckets              |
//	+--------+---------+-----------+------------+----------------------+ 48
//	| Mask   | ValueOff| Seed0                  | Seed1                |
//	+--------+---------+-----------+------------+----------------------+ 72
//	| ID     | Flags   | Control                | Slots                |
//	+--------+---------+-----------+------------+----------------------+ 96
//	| Spares           |
//	+------------------+ 104
//
// Array, PerCPUArray: the value is at Base + cpu*CPUStride + index*Stride.
// Hash family: see [HashBucket]. LPMTrie: see [LPMNode]. RingBuf: see
// [RingControl]. ArrayOfMaps: an array whose values are the addresses of inner
// headers, 0 for none. ProgramArray: an array whose values are the words that
// [ProgramRef] gives, 0 for none.
type Header struct {
	Type       Type
	KeySize    uint32
	ValueSize  uint32
	MaxEntries uint32

	Base      uint64 // first value of an array; what references in a hash or LPM trie count from; ring data
	Stride    uint32 // bytes from one element to the next
	NumCPU    uint32
	CPUStride uint64 // bytes from one CPU's copy to the next CPU's, 0 if not per CPU

	Buckets  uint64 // first HashBucket
	Mask     uint32 // number of buckets - 1; ring size - 1
	ValueOff uint32 // of the value within a HashElem or LPMNode

	Seed0, Seed1 uint64 // of the hash function

	ID      uint32
	Flags   uint32
	Control uint64 // HashControl, LPMControl or RingControl
	Slots   uint64 // per-CPU values of a hash, CPU 0's first
	Spares  uint64 // HashSpare of CPU 0; the other CPUs' follow
}

// headerSize is what a header takes in its chunk: two cache lines, so that one
// map's header is never in a line of another's.
const headerSize = 128

const (
	chunkHeaders = 4096
	chunkSize    = chunkHeaders * headerSize
)

// headerChunk is an arena full of headers and, on the heap, whose they are.
type headerChunk struct {
	arena *mem.Arena
	owner [chunkHeaders]atomic.Pointer[Map]
}

// registry turns the address of a header into its map. Chunks are never freed,
// so readers need no lock: they load the list, which is replaced as a whole when
// it grows.
var registry struct {
	chunks atomic.Pointer[[]*headerChunk]
	nextID atomic.Uint32
	byID   sync.Map // uint32 to *Map

	mu   sync.Mutex
	free []headerSlot
}

// headerSlot names one header: chunk and index in it.
type headerSlot struct {
	chunk *headerChunk
	index int
}

func (s headerSlot) header() *Header {
	return (*Header)(unsafe.Add(s.chunk.arena.Base(), s.index*headerSize))
}

// claimHeader returns a zeroed header that belongs to nobody yet.
func claimHeader() (headerSlot, error) {
	r := &registry
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.free) == 0 {
		a, err := mem.New(chunkSize)
		if err != nil {
			return headerSlot{}, err
		}
		c := &headerChunk{arena: a}
		var chunks []*headerChunk
		if old := r.chunks.Load(); old != nil {
			chunks = append(chunks, *old...)
		}
		chunks = append(chunks, c)
		r.chunks.Store(&chunks)
		for i := chunkHeaders - 1; i >= 0; i-- {
			r.free = append(r.free, headerSlot{c, i})
		}
	}
	s := r.free[len(r.free)-1]
	r.free = r.free[:len(r.free)-1]
	*s.header() = Header{}
	return s, nil
}

// publish makes the map found by FromAddr and FromID.
func (s headerSlot) publish(m *Map) {
	s.chunk.owner[s.index].Store(m)
	registry.byID.Store(m.id, m)
}

// withdraw undoes publish and gives the header back.
func (s headerSlot) withdraw(id uint32) {
	registry.byID.Delete(id)
	s.chunk.owner[s.index].Store(nil)
	registry.mu.Lock()
	registry.free = append(registry.free, s)
	registry.mu.Unlock()
}

// FromAddr returns the map whose header is at addr, and false for every other
// integer. It takes no lock and does not allocate. The map returned is for the
// program side: its user-side methods say ErrClosed, and closing it does nothing.
func FromAddr(addr uint64) (*Map, bool) {
	chunks := registry.chunks.Load()
	if chunks == nil {
		return nil, false
	}
	for _, c := range *chunks {
		off := addr - uint64(c.arena.Addr())
		if off < chunkSize {
			if off%headerSize != 0 {
				return nil, false
			}
			m := c.owner[off/headerSize].Load()
			return m, m != nil
		}
	}
	return nil, false
}

// FromID returns a new handle of the map with that ID. The error matches
// ErrKeyNotExist if there is none.
func FromID(id uint32) (*Map, error) {
	if v, ok := registry.byID.Load(id); ok {
		if m, ok := v.(*Map).handle(); ok {
			return m, nil
		}
	}
	return nil, &Error{Op: "open", Map: "with this id", Errno: ENOENT}
}
