package maps

import (
	"errors"
	"fmt"
	"os"
)

// Sentinels for errors.Is, named as in cilium/ebpf.
var (
	ErrKeyNotExist      = errors.New("key does not exist")
	ErrKeyExist         = errors.New("key already exists")
	ErrIterationAborted = errors.New("iteration aborted")
	ErrNotSupported     = errors.New("not supported")
	ErrClosed           = os.ErrClosed
)

// Errno is the result of a program-side operation: 0 is success, any other
// value the error of that number on Linux, whatever OS this runs on.
type Errno int

// The error numbers that map operations return.
const (
	EPERM      Errno = 1
	ENOENT     Errno = 2
	E2BIG      Errno = 7
	EBADF      Errno = 9
	EAGAIN     Errno = 11
	ENOMEM     Errno = 12
	EFAULT     Errno = 14
	EBUSY      Errno = 16
	EEXIST     Errno = 17
	EINVAL     Errno = 22
	ENOSPC     Errno = 28
	EOVERFLOW  Errno = 75
	EOPNOTSUPP Errno = 95
	ENOTSUPP   Errno = 524 // the kernel's own, not in errno.h
)

var errnoText = map[Errno]string{
	EPERM: "operation not permitted", ENOENT: ErrKeyNotExist.Error(), E2BIG: "argument list too long",
	EBADF: "bad file descriptor", EAGAIN: "resource temporarily unavailable", ENOMEM: "cannot allocate memory",
	EFAULT: "bad address", EBUSY: "device or resource busy", EEXIST: ErrKeyExist.Error(),
	EINVAL: "invalid argument", ENOSPC: "no space left on device", EOPNOTSUPP: "operation not supported",
	EOVERFLOW: "value too large", ENOTSUPP: ErrNotSupported.Error(),
}

// Error returns the text of the error.
func (e Errno) Error() string {
	if s := errnoText[e]; s != "" {
		return s
	}
	return fmt.Sprintf("errno %d", int(e))
}

// Ret returns what a helper returns for e: 0 or the negative number.
func (e Errno) Ret() int64 { return -int64(e) }

// Err returns e as an error, nil for success.
func (e Errno) Err() error {
	if e == 0 {
		return nil
	}
	return e
}

// Is makes an Errno match the package's sentinel for it.
func (e Errno) Is(target error) bool {
	switch target {
	case ErrKeyNotExist:
		return e == ENOENT
	case ErrKeyExist:
		return e == EEXIST
	case ErrNotSupported, errors.ErrUnsupported:
		return e == ENOTSUPP || e == EOPNOTSUPP
	case os.ErrPermission:
		return e == EPERM
	}
	return false
}

// Error is an operation on a map that failed.
type Error struct {
	Op     string // "create", "lookup", "update", ...
	Map    string // name and type of the map
	Errno  Errno  // what Linux returns
	Reason string // what is wrong, if more is known than Errno says
}

// Error returns one line: map, operation, reason.
func (e *Error) Error() string {
	s := "map " + e.Map + ": " + e.Op + ": " + e.Errno.Error()
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// Unwrap returns the Errno, which in turn matches the sentinels.
func (e *Error) Unwrap() error { return e.Errno }
