package vm

import (
	"fmt"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// InCtx reports whether addr is in the context.
func (c *CPU) InCtx(addr uint64) bool { return addr-uint64(c.ctxAddr) < uint64(c.ctxLen) }

// LoadCtx reads size bytes (1, 2, 4 or 8) of the context at addr, which is in it:
// a number in host byte order, zero-extended, or the pointer that a pointer
// field stands for. The error is a [*Fault].
func (c *CPU) LoadCtx(addr uint64, size int) (uint64, error) {
	f, off, err := c.ctxField(addr, size, mem.Read)
	if err != nil {
		return 0, err
	}
	if f != nil && f.Kind != prog.Scalar && f.Size != 8 {
		return c.Ptrs[f.Ptr], nil
	}
	return mem.Load(c.ctxBytes(off, size)), nil
}

// StoreCtx writes size bytes (1, 2, 4 or 8) to the context at addr, which is in
// it. The error is a [*Fault].
func (c *CPU) StoreCtx(addr uint64, size int, v uint64) error {
	_, off, err := c.ctxField(addr, size, mem.Write)
	if err != nil {
		return err
	}
	mem.Store(c.ctxBytes(off, size), v)
	return nil
}

// ctxField checks an access to the context and returns the field it is in, nil
// for a context without layout.
func (c *CPU) ctxField(addr uint64, size int, perm mem.Perm) (*prog.CtxField, int, error) {
	off := addr - uint64(c.ctxAddr)
	region := c.Ctx.Region()
	region.Perm = mem.Read
	if off >= uint64(c.ctxLen) || uint64(size) > uint64(c.ctxLen)-off {
		return nil, 0, c.refuse(addr, size, perm, region)
	}
	if c.Layout == nil {
		return nil, int(off), nil
	}
	first := c.Layout.Field(int(off))
	for o := int(off); o < int(off)+size; {
		f := c.Layout.Field(o)
		if f == nil {
			return nil, 0, c.badField(addr, size, perm, region, "padding of "+c.Layout.Name)
		}
		if perm&mem.Write != 0 && !f.Writable {
			return nil, 0, c.badField(addr, size, perm, region, fmt.Sprintf("field %s of %s is read-only", f.Name, c.Layout.Name))
		}
		if f.Kind != prog.Scalar && (f.Off != int(off) || f.Size != size) {
			return nil, 0, c.badField(addr, size, perm, region, fmt.Sprintf("pointer field %s of %s is read only as a whole", f.Name, c.Layout.Name))
		}
		o = f.Off + f.Size
	}
	return first, int(off), nil
}

func (c *CPU) badField(addr uint64, size int, perm mem.Perm, r mem.Region, detail string) error {
	return &Fault{Err: ErrPermission, Addr: addr, Size: size, Write: perm&mem.Write != 0, Region: r, Detail: detail}
}

func (c *CPU) ctxBytes(off, size int) []byte {
	return unsafe.Slice((*byte)(mem.Pointer(c.ctxAddr+uintptr(off))), size)
}
