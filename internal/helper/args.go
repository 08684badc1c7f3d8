package helper

import (
	"fmt"
	"math"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// Error numbers of Linux that helpers return beside those of maps.
const (
	eACCES       maps.Errno = 13
	eNODEV       maps.Errno = 19
	eRANGE       maps.Errno = 34
	eAFNOSUPPORT maps.Errno = 97
	eALREADY     maps.Errno = 114
)

// errno is what r0 holds for e: 0 for success.
func errno(e maps.Errno) uint64 { return uint64(e.Ret()) }

// refuse stops the run: the verifier would not have let this call pass.
func refuse(format string, args ...any) error {
	return &vm.Fault{Err: vm.ErrHelper, Detail: fmt.Sprintf(format, args...)}
}

// mapArg returns the map that v is the address of.
func mapArg(c *vm.CPU, v uint64) (*maps.Map, error) {
	if m, ok := c.MapAt(v).(*maps.Map); ok && m != nil {
		return m, nil
	}
	return nil, refuse("%#x is no map of the program", v)
}

// eventArg returns the packet event whose context v is.
func eventArg(c *vm.CPU, v uint64) (*Event, error) {
	e, ok := c.Event.(*Event)
	switch {
	case !ok:
		return nil, refuse("the program's context is no packet")
	case v != c.CtxAddr():
		return nil, refuse("%#x is not the context", v)
	}
	return e, nil
}

// skbArg is eventArg for helpers of skbs.
func skbArg(c *vm.CPU, v uint64) (*Event, error) {
	e, err := eventArg(c, v)
	if err == nil && !e.IsSKB {
		return nil, refuse("the context is no skb")
	}
	return e, err
}

// xdpArg is eventArg for helpers of XDP frames.
func xdpArg(c *vm.CPU, v uint64) (*Event, error) {
	e, err := eventArg(c, v)
	if err == nil && e.IsSKB {
		return nil, refuse("the context is no XDP frame")
	}
	return e, err
}

// memArg returns memory whose size is in another argument. A size that no
// region has stops the run.
func memArg(c *vm.CPU, addr, size uint64, perm mem.Perm) ([]byte, error) {
	if size > math.MaxInt32 {
		return nil, refuse("memory of %d bytes", int64(size))
	}
	return c.Bytes(addr, int(size), perm)
}

// memOrNull is memArg for arguments that may be 0 if the size is.
func memOrNull(c *vm.CPU, addr, size uint64, perm mem.Perm) ([]byte, error) {
	if size == 0 {
		return nil, nil
	}
	return memArg(c, addr, size, perm)
}
