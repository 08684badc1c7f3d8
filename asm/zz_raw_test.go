package asm_test
import ("runtime";"unsafe";"syscall";"bytes";"testing";"github.com/sandbpf/sandbpf/asm";"github.com/sandbpf/sandbpf/internal/kernel")
func rawAsk(t *testing.T, ins asm.Instruction) (*kernel.Loaded, int) {
	insns, at := kernelProg(ins)
	log := make([]byte, 1<<18)
	lic := []byte("GPL\x00")
	attr := struct { typ, cnt uint32; insns, lic uint64; level, size uint32; log uint64; pad [100]byte }{3, uint32(len(insns)/8), uint64(uintptr(unsafe.Pointer(&insns[0]))), uint64(uintptr(unsafe.Pointer(&lic[0]))), 2, uint32(len(log)), uint64(uintptr(unsafe.Pointer(&log[0]))), [100]byte{}}
	_, _, e := syscall.Syscall(321, 5, uintptr(unsafe.Pointer(&attr)), 64)
	runtime.KeepAlive(insns); runtime.KeepAlive(lic); runtime.KeepAlive(&attr)
	if i := bytes.IndexByte(log, 0); i >= 0 { log = log[:i] }
	if e == 11 || e == 4 { return rawAsk(t, ins) }
	if e == 0 { t.Fatal("accepted ", hexText(ins)) }
	return &kernel.Loaded{Errno: e, Log: string(log)}, at
}
