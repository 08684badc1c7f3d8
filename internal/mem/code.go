package mem

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"unsafe"
)

// ErrNoExec is wrapped when the OS does not let the process have executable
// memory, or when this port does not know how to make it coherent.
var ErrNoExec = errors.New("executable memory is not available")

// Code is the machine code of a program, in memory that it may share pages with others in. No
// page is mapped writable and executable at once. The code does not change from NewCode to
// Release.
type Code struct {
	chunk    *codeChunk
	at       extent
	size     int // in bytes, without what fills up the extent
	released atomic.Bool
}

// NewCode returns a copy of code that can be executed, at a multiple of 64 bytes, and in one page if it fits. The error wraps
// ErrNoMemory or ErrNoExec, the latter always other than on amd64, whose instruction
// cache needs no flush.
func NewCode(code []byte) (*Code, error) {
	if runtime.GOARCH != "amd64" {
		return nil, fmt.Errorf("mem: code for %s: %w", runtime.GOARCH, ErrNoExec)
	}
	c, at, err := codePool.put(code)
	if err != nil {
		return nil, err
	}
	return &Code{chunk: c, at: at, size: len(code)}, nil
}

// Addr returns where the code begins.
func (c *Code) Addr() uintptr { return c.chunk.memory.base() + uintptr(begin(c.at.from, c.size)) }

// Bytes returns a copy of the code, nil once it has been released.
func (c *Code) Bytes() []byte {
	codePool.mu.Lock() // nothing is unmapped meanwhile
	defer codePool.mu.Unlock()
	if c.released.Load() {
		return nil
	}
	return bytes.Clone(unsafe.Slice((*byte)(Pointer(c.Addr())), c.size))
}

// Release gives the memory back. It must not be called while the code can still be
// running. The error is ErrClosed if it has been called before.
func (c *Code) Release() error {
	if c.released.Swap(true) {
		return ErrClosed
	}
	return codePool.free(c.chunk, c.at)
}
