package mem

import (
	"fmt"
	"slices"
	"sync"
)

// codeAlign is where each program starts: a cache line, so that no program's speed depends on
// the one before it.
const codeAlign = 64

// codeMemory is executable memory that the OS has given.
type codeMemory interface {
	base() uintptr
	// put copies code to an offset. Again says that other code may have been executed there.
	put(off int, code []byte, again bool) error
	close() error
}

// chunkSize is how many bytes of memory programs share; one that is longer than a quarter
// of that has its own.
const chunkSize = 256 << 10

// codePool is the memory of all programs. Programs are put behind each other until
// a chunk is full, and only then where others have been.
var codePool pool

type pool struct {
	mu     sync.Mutex
	chunks []*codeChunk
}

type codeChunk struct {
	memory codeMemory
	unit   int // what begin and end of an extent are multiples of
	size   int
	fresh  int      // nothing has been put at it or behind it yet
	holes  []extent // in front of fresh, in order, no two of which touch
}

// extent is the bytes [from, to) of a chunk.
type extent struct{ from, to int }

// begin returns where code of n bytes begins in an extent that begins at from: code that fits into a page does not
// lie in two, since a loop that does takes up to 16 % longer on Zen 5.
func begin(from, n int) int {
	if end := roundUp(from, pageSize); n <= pageSize && from < end && end < from+n {
		return end
	}
	return from
}

// put copies code to a free place, at begin of it.
func (p *pool) put(code []byte) (*codeChunk, extent, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, at, again := p.take(len(code))
	if c == nil {
		size := roundUp(len(code), pageSize)
		if len(code) <= chunkSize/4 {
			size = max(chunkSize, pageSize)
		}
		memory, unit, err := newCodeMemory(size)
		if err != nil {
			return nil, extent{}, fmt.Errorf("mem: %d bytes for code: %w", size, err)
		}
		c = &codeChunk{memory: memory, unit: unit, size: size}
		p.chunks = append(p.chunks, c)
		at, _ = c.takeFresh(len(code))
	}
	if err := c.memory.put(begin(at.from, len(code)), code, again); err != nil {
		c.addHole(at)
		return nil, extent{}, fmt.Errorf("mem: write code: %w: %w", ErrNoExec, err)
	}
	return c, at, nil
}

// newCodeMemory asks the OS for executable memory and returns what offsets in it must be multiples of.
func newCodeMemory(size int) (codeMemory, int, error) {
	if m, err := newCodeFile(size); err == nil {
		return m, codeAlign, nil
	}
	a, err := New(size)
	return codePages{a}, pageSize, err
}

// take finds a place for n bytes in the chunks that there are, and says whether there has been code.
func (p *pool) take(n int) (c *codeChunk, at extent, again bool) {
	for _, c := range p.chunks {
		if at, ok := c.takeFresh(n); ok {
			return c, at, false
		}
	}
	for _, c := range p.chunks {
		if at, ok := c.takeHole(n); ok {
			return c, at, true
		}
	}
	return nil, extent{}, false
}

func (c *codeChunk) takeFresh(n int) (extent, bool) {
	at := extent{c.fresh, begin(c.fresh, n) + roundUp(n, c.unit)}
	if at.to > c.size {
		return extent{}, false
	}
	c.fresh = at.to
	return at, true
}

func (c *codeChunk) takeHole(n int) (extent, bool) {
	for i := range c.holes {
		h := &c.holes[i]
		at := extent{h.from, begin(h.from, n) + roundUp(n, c.unit)}
		if at.to > h.to {
			continue
		}
		if h.from = at.to; h.from == h.to {
			c.holes = slices.Delete(c.holes, i, i+1)
		}
		return at, true
	}
	return extent{}, false
}

// free makes a place free again, and gives the chunk back if it is empty and another has room.
func (p *pool) free(c *codeChunk, at extent) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.addHole(at)
	empty := func(c *codeChunk) bool { return len(c.holes) == 1 && c.holes[0] == extent{0, c.fresh} }
	spare := func(o *codeChunk) bool { return o != c && o.size == chunkSize && (o.fresh <= o.size/2 || empty(o)) }
	if !empty(c) || c.size == chunkSize && !slices.ContainsFunc(p.chunks, spare) {
		return nil
	}
	p.chunks = slices.DeleteFunc(p.chunks, func(o *codeChunk) bool { return o == c })
	return c.memory.close()
}

// addHole adds a hole and joins it with those that it touches.
func (c *codeChunk) addHole(h extent) {
	i, _ := slices.BinarySearchFunc(c.holes, h.from, func(e extent, from int) int { return e.from - from })
	j := i
	if j < len(c.holes) && c.holes[j].from == h.to {
		h.to = c.holes[j].to
		j++
	}
	if i > 0 && c.holes[i-1].to == h.from {
		i--
		h.from = c.holes[i].from
	}
	c.holes = slices.Replace(c.holes, i, j, h)
}

// codePages is memory whose pages change from writable to executable, and back before other
// code is put there. Programs do not share pages of it.
type codePages struct{ *Arena }

func (p codePages) base() uintptr { return p.Addr() }

func (p codePages) put(off int, code []byte, again bool) error {
	n := roundUp(len(code), pageSize)
	if again {
		if err := p.res.protect(off, n, writable); err != nil {
			return err
		}
	}
	copy(p.Bytes()[off:], code)
	return p.res.protect(off, n, executable)
}

func (p codePages) close() error { return p.Close() }
