package maps

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// ProgramRef is a program as a ProgramArray holds it.
type ProgramRef interface {
	// ProgramID is what the user side reads back.
	ProgramID() uint32

	// TailWord is what compiled code finds in the array's off-heap cell, such
	// as the address to jump to. It must not be 0, which means no program.
	TailWord() uint64

	// JoinArray is asked before the program is stored beside other, which is
	// nil in an array that never held a program. An error refuses the update
	// with EINVAL, as Linux refuses a program of another type.
	JoinArray(other ProgramRef) error
}

// progPage is a part of a progArray's Go side. It is made when something is
// stored in it: an array of 2^32 entries must not cost 2^32 pointers.
type progPage [4096]atomic.Pointer[ProgramRef]

// progArray has each program twice: as a Go interface, and as a word off-heap
// for compiled code. The words are laid out as an Array's values.
type progArray struct {
	unsupported
	cells
	pages []atomic.Pointer[progPage]

	mu    sync.Mutex
	first ProgramRef // what others must go with, even after it was deleted
}

func newProgArray(c *core) (*progArray, error) {
	cs, err := newCells(c, 8, 1)
	if err != nil {
		return nil, err
	}
	return &progArray{cells: cs, pages: make([]atomic.Pointer[progPage], (uint64(c.maxEntries)+4095)/4096)}, nil
}

func (p *progArray) at(i uint32) ProgramRef {
	if i >= p.max {
		return nil
	}
	page := p.pages[i/4096].Load()
	if page == nil {
		return nil
	}
	if ref := page[i%4096].Load(); ref != nil {
		return *ref
	}
	return nil
}

func (p *progArray) lookup(int, []byte) uintptr   { return 0 }
func (p *progArray) find(uintptr) (uintptr, bool) { return 0, false }
func (p *progArray) next(key, next []byte) Errno  { return nextIndex(p.max, key, next) }
func (p *progArray) free()                        { p.cells.free() }
func (p *progArray) word(i uint32) *uint64        { return (*uint64)(p.cells.at(0, i)) }

// set: bytes are no program; see setProgram.
func (p *progArray) set(key, _ []byte, flags uint64) Errno { return setNothing(key, p.max, flags) }

// setNothing refuses bytes for an array of something else, as Linux refuses a
// number that is no file descriptor.
func setNothing(key []byte, max uint32, flags uint64) Errno {
	switch {
	case flags != uint64(UpdateAny):
		return EINVAL
	case index(key) >= max:
		return E2BIG
	}
	return EBADF
}

func (p *progArray) get(key, value []byte, _ uint64) Errno {
	prog := p.at(index(key))
	if prog == nil {
		return ENOENT
	}
	binary.NativeEndian.PutUint32(value, prog.ProgramID())
	return 0
}

func (p *progArray) setProgram(key []byte, prog ProgramRef, flags uint64) Errno {
	i := index(key)
	switch {
	case flags != uint64(UpdateAny):
		return EINVAL
	case i >= p.max:
		return E2BIG
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if prog.JoinArray(p.first) != nil || prog.TailWord() == 0 {
		return EINVAL
	}
	if p.first == nil {
		p.first = prog
	}
	if p.pages[i/4096].Load() == nil {
		p.pages[i/4096].Store(new(progPage))
	}
	p.pages[i/4096].Load()[i%4096].Store(&prog)
	atomic.StoreUint64(p.word(i), prog.TailWord())
	return 0
}

func (p *progArray) remove(key []byte) Errno {
	i := index(key)
	if i >= p.max {
		return E2BIG
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.at(i) == nil {
		return ENOENT
	}
	atomic.StoreUint64(p.word(i), 0)
	p.pages[i/4096].Load()[i%4096].Store(nil)
	return 0
}
