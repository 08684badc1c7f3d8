package mem

import (
	"sync"
	"unsafe"
)

// slabChunk is how many bytes a Slab takes from the OS at a time.
const slabChunk = 64 << 10

// Slab hands out zeroed blocks of one size, many to an arena. It never gives
// memory back to the OS, so an address that was a block once can be read
// for ever, though it may be another owner's block by then. It is safe for
// concurrent use.
type Slab struct {
	mu     sync.Mutex
	block  int
	free   []unsafe.Pointer
	fresh  unsafe.Pointer // blocks of the newest arena that were never handed out
	nfresh int
	arenas []*Arena
}

// NewSlab returns a slab of blocks of at least size bytes each, rounded up to a
// multiple of 64 so that no two blocks share a cache line.
func NewSlab(size int) *Slab { return &Slab{block: roundUp(max(size, 1), 64)} }

// BlockSize returns the size of a block in bytes.
func (s *Slab) BlockSize() int { return s.block }

// Get returns a zeroed block. The error wraps ErrNoMemory.
func (s *Slab) Get() (unsafe.Pointer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.free); n > 0 {
		p := s.free[n-1]
		s.free = s.free[:n-1]
		clear(unsafe.Slice((*byte)(p), s.block))
		return p, nil
	}
	if s.nfresh == 0 {
		a, err := New(max(slabChunk, s.block))
		if err != nil {
			return nil, err
		}
		s.arenas = append(s.arenas, a)
		s.fresh, s.nfresh = a.Base(), a.Size()/s.block
	}
	p := s.fresh
	s.nfresh--
	if s.nfresh > 0 { // a pointer past the arena would be nobody's
		s.fresh = unsafe.Add(p, s.block)
	}
	return p, nil
}

// Put takes back a block that Get handed out and that nobody writes any more.
func (s *Slab) Put(p unsafe.Pointer) {
	s.mu.Lock()
	s.free = append(s.free, p)
	s.mu.Unlock()
}
