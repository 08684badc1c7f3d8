package mem

import (
	"fmt"
	"math/bits"
	"slices"
	"sync"
)

// codePool cuts pages for code from chunks of 64, so that a program costs one change of
// protection and no mapping. Pages of released code keep their protection until no others are
// left, and then become writable all at once, or until their chunk goes back to the OS, which it
// does when it is empty and another has room.
var codePool struct {
	mu     sync.Mutex
	chunks []*codeChunk
}

// codeChunk is 64 pages, each with a bit in used if it is given out, and in sealed if it is
// executable, not writable.
type codeChunk struct {
	arena        *Arena
	used, sealed uint64
}

const chunkPages = 64

// codePages is a run of pages of a chunk, or an arena of its own where it is too long.
type codePages struct {
	arena *Arena
	chunk *codeChunk // nil: the arena is its own
	first int        // page
	count int
}

// takePages returns writable pages for size bytes.
func takePages(size int) (codePages, error) {
	count := roundUp(max(size, 1), pageSize) / pageSize
	if size <= 0 || count > chunkPages/4 {
		a, err := New(size)
		return codePages{arena: a}, err
	}
	codePool.mu.Lock()
	defer codePool.mu.Unlock()
	p, ok := findPages(count)
	if !ok {
		if err := reclaimPages(); err != nil {
			return codePages{}, fmt.Errorf("mem: pages for code: %w: %w", ErrNoMemory, err)
		}
		p, ok = findPages(count)
	}
	if !ok {
		a, err := New(chunkPages * pageSize)
		if err != nil {
			return codePages{}, err
		}
		c := &codeChunk{arena: a}
		codePool.chunks = append(codePool.chunks, c)
		p = codePages{a, c, 0, count}
	}
	p.chunk.used |= p.mask()
	return p, nil
}

// reclaimPages makes pages writable that were given back.
func reclaimPages() error {
	for _, c := range codePool.chunks {
		for free := c.sealed &^ c.used; free != 0; free = c.sealed &^ c.used {
			first := bits.TrailingZeros64(free)
			count := bits.TrailingZeros64(^(free >> first))
			if err := c.arena.res.protect(first*pageSize, count*pageSize, false); err != nil {
				return err
			}
			c.sealed &^= (1<<count - 1) << first
		}
	}
	return nil
}

// findPages finds a run of free pages that are writable.
func findPages(count int) (codePages, bool) {
	for _, c := range codePool.chunks {
		free := ^(c.used | c.sealed)
		runs := free // where at least 1, then 2, then count free pages begin
		for i := 1; i < count; i++ {
			runs &= free >> i
		}
		runs &= 1<<(chunkPages-count+1) - 1
		if runs != 0 {
			return codePages{c.arena, c, bits.TrailingZeros64(runs), count}, true
		}
	}
	return codePages{}, false
}

func (p codePages) mask() uint64 { return (1<<p.count - 1) << p.first }

// bytes returns the memory, nil when its arena is closed.
func (p codePages) bytes() []byte {
	b := p.arena.Bytes()
	if p.chunk == nil || b == nil {
		return b
	}
	return b[p.first*pageSize:][:p.count*pageSize]
}

// seal takes write permission away and gives execute permission.
func (p codePages) seal() error {
	if p.chunk == nil {
		return p.arena.res.protect(0, roundUp(p.arena.Size(), pageSize), true)
	}
	codePool.mu.Lock()
	defer codePool.mu.Unlock()
	p.chunk.sealed |= p.mask()
	return p.arena.res.protect(p.first*pageSize, p.count*pageSize, true)
}

// free gives the pages back.
func (p codePages) free() error {
	if p.chunk == nil {
		return p.arena.Close()
	}
	codePool.mu.Lock()
	defer codePool.mu.Unlock()
	p.chunk.used &^= p.mask()
	if p.chunk.used != 0 {
		return nil
	}
	spare := func(c *codeChunk) bool { return c != p.chunk && c.used>>(chunkPages/2) == 0 }
	if !slices.ContainsFunc(codePool.chunks, spare) {
		return nil
	}
	codePool.chunks = slices.DeleteFunc(codePool.chunks, func(c *codeChunk) bool { return c == p.chunk })
	return p.arena.Close()
}
