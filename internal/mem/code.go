package mem

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"unsafe"
)

// ErrNoExec is wrapped when the OS does not let the process have executable
// memory, or when this port does not know how to make it coherent.
var ErrNoExec = errors.New("executable memory is not available")

// ErrSealed is returned by a write to code that is executable already.
var ErrSealed = errors.New("code is sealed")

// codeAlign is where each program starts: a cache line, so that no program's
// speed depends on the one before it.
const codeAlign = 64

// Code is machine code of several programs in shared pages. It has three
// states, in this order, and no page is ever writable and executable at once:
//
//	writable    Write appends programs
//	executable  after Seal; Retain and Release count the programs in use
//	closed      after the last Release
//
// It is safe for concurrent use. Sealing fails with ErrNoExec other than on
// amd64, whose instruction cache needs no flush.
type Code struct {
	mu     sync.Mutex
	pages  codePages
	used   int
	users  int
	sealed bool
}

// NewCode returns writable pages for size bytes of code, with one user: the
// caller. Each program takes its size rounded up to 64 bytes. The error wraps ErrNoMemory.
func NewCode(size int) (*Code, error) {
	p, err := takePages(size)
	if err != nil {
		return nil, err
	}
	return &Code{pages: p, users: 1}, nil
}

// Write copies a program in and returns the address that it will run at. The
// error is ErrSealed, ErrClosed, or wraps ErrNoMemory if the program does not fit.
func (c *Code) Write(code []byte) (uintptr, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	room := c.pages.bytes()
	switch {
	case c.users == 0:
		return 0, ErrClosed
	case c.sealed:
		return 0, ErrSealed
	case len(code) > len(room)-c.used:
		return 0, fmt.Errorf("mem: %d bytes of code, %d left: %w", len(code), len(room)-c.used, ErrNoMemory)
	}
	at := c.used
	copy(room[at:], code)
	c.used = min(roundUp(at+len(code), codeAlign), len(room))
	return uintptr(unsafe.Add(unsafe.Pointer(unsafe.SliceData(room)), at)), nil
}

// Seal makes the code executable and read-only, for good. Sealing twice does
// nothing. The error is ErrClosed or wraps ErrNoExec.
func (c *Code) Seal() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.users == 0:
		return ErrClosed
	case c.sealed:
		return nil
	case runtime.GOARCH != "amd64":
		return fmt.Errorf("mem: seal code on %s: %w", runtime.GOARCH, ErrNoExec)
	}
	if err := c.pages.seal(); err != nil {
		return fmt.Errorf("mem: seal code: %w: %w", ErrNoExec, err)
	}
	c.sealed = true
	return nil
}

// Retain adds a user. It reports false if the last one is gone already.
func (c *Code) Retain() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == 0 {
		return false
	}
	c.users++
	return true
}

// Release takes a user away; the last one gives the pages back. It
// must not be called while the user's code can still be running.
func (c *Code) Release() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == 0 {
		return ErrClosed
	}
	if c.users--; c.users > 0 {
		return nil
	}
	return c.pages.free()
}
