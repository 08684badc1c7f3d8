package helper

import (
	"bytes"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// The addresses of user space on x86-64 end at taskSize (TASK_SIZE_MAX); the page
// behind it, up to userEnd, is one that the kernel does not read either.
const (
	userEnd  = 1 << 47
	taskSize = userEnd - 4096
)

// What probes read lies within the regions that the run was given, whose
// addresses are this process's. Every other address is one that Linux would fail
// to read: with ERANGE where a kernel address is wanted and this is none, else
// with EFAULT. The address is looked at even where 0 bytes are read, which then
// cannot fail.

func kernelFault(addr uint64, n int) maps.Errno {
	const vsyscall = 0xffffffffff600000 // a page of user space among the kernel's
	switch {
	case addr < userEnd || int64(addr)>>47 != -1 || addr&^0xfff == vsyscall:
		return eRANGE
	case n == 0:
		return 0
	}
	return maps.EFAULT
}

func userFault(addr uint64, n int) maps.Errno {
	if n == 0 && addr <= taskSize {
		return 0
	}
	return maps.EFAULT
}

// anyFault is for bpf_probe_read, which looks at the address to choose.
func anyFault(addr uint64, n int) maps.Errno {
	if addr < taskSize {
		return userFault(addr, n)
	}
	return kernelFault(addr, n)
}

// readable returns the bytes from addr to the end of its region, nil if it is in none.
func readable(c *vm.CPU, addr uint64) []byte {
	a := uintptr(addr)
	r, ok := c.Find(a)
	if !ok || uint64(a) != addr || r.Perm&mem.Read == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(mem.Pointer(a)), r.Addr+r.Len-a)
}

func probeRead(c *vm.CPU, args *[5]uint64) (uint64, error)       { return probe(c, args, anyFault) }
func probeReadKernel(c *vm.CPU, args *[5]uint64) (uint64, error) { return probe(c, args, kernelFault) }
func probeReadUser(c *vm.CPU, args *[5]uint64) (uint64, error)   { return probe(c, args, userFault) }

// probe copies memory from anywhere; if it cannot, the destination is zeroed.
func probe(c *vm.CPU, args *[5]uint64, fault func(uint64, int) maps.Errno) (uint64, error) {
	dst, err := memArg(c, args[0], uint64(uint32(args[1])), mem.Write)
	if err != nil {
		return 0, err
	}
	src := readable(c, args[2])
	known := src != nil || readable(c, args[2]-1) != nil // 0 bytes may be read behind a region
	if len(src) < len(dst) || !known {
		clear(dst)
		return errno(fault(args[2], len(dst))), nil
	}
	copy(dst, src)
	return 0, nil
}

func probeReadStr(c *vm.CPU, args *[5]uint64) (uint64, error) { return probeStr(c, args, anyFault) }

func probeReadKernelStr(c *vm.CPU, args *[5]uint64) (uint64, error) {
	return probeStr(c, args, kernelFault)
}

func probeReadUserStr(c *vm.CPU, args *[5]uint64) (uint64, error) {
	return probeStr(c, args, userFault)
}

// probeStr copies a string from anywhere and returns its length with the zero
// byte, which is put in place of the last byte of a longer one.
func probeStr(c *vm.CPU, args *[5]uint64, fault func(uint64, int) maps.Errno) (uint64, error) {
	dst, err := memArg(c, args[0], uint64(uint32(args[1])), mem.Write)
	if err != nil || len(dst) == 0 {
		return 0, err
	}
	src := readable(c, args[2])
	src = src[:min(len(src), len(dst))]
	if i := bytes.IndexByte(src, 0); i >= 0 {
		return uint64(copy(dst, src[:i+1])), nil
	}
	if len(src) < len(dst) {
		clear(dst)
		return errno(fault(args[2], len(dst))), nil
	}
	copy(dst, src)
	dst[len(dst)-1] = 0
	return uint64(len(dst)), nil
}
