package mem

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// codeFile is memory that is only ever mapped to be executed: what it holds is written as
// to a file, without a change of protection, which takes tens of microseconds where other threads
// run. So does Linux with its own compiled programs (bpf_prog_pack of kernel/bpf/core.c).
//
// A processor may execute what it has fetched before the write only where there has been code:
// then, all that run threads of this process serialize before the new code is handed out.
type codeFile struct {
	file *os.File
	code []byte
}

// Commands of membarrier(2).
const (
	membarrierSyncCore         = 1 << 5 // MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE
	membarrierRegisterSyncCore = 1 << 6 // MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE
)

func membarrier(command uintptr) error {
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, command, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// newCodeFile returns size bytes. It fails where the system does not want such files.
func newCodeFile(size int) (codeMemory, error) {
	if err := membarrier(membarrierRegisterSyncCore); err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("sandbpf-code", unix.MFD_CLOEXEC|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate("sandbpf-code", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, err
	}
	f := &codeFile{file: os.NewFile(uintptr(fd), "code")}
	if err = f.file.Truncate(int64(size)); err == nil {
		f.code, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_SHARED)
	}
	if err != nil {
		_ = f.file.Close()
		return nil, err
	}
	return f, nil
}

func (f *codeFile) base() uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(f.code))) }

func (f *codeFile) put(off int, code []byte, again bool) error {
	if _, err := f.file.WriteAt(code, int64(off)); err != nil {
		return err
	}
	if again {
		return membarrier(membarrierSyncCore)
	}
	return nil
}

func (f *codeFile) close() error {
	err := f.file.Close()
	if unmapped := unix.Munmap(f.code); err == nil {
		err = unmapped
	}
	return err
}
