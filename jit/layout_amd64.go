package jit

//lint:file-ignore U1000 the assembly uses these constants, by way of go_asm.h

import (
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/vm"
)

// Offsets that enterBatch needs.
const (
	runCtx  = unsafe.Offsetof(vm.PacketRun{}.Ctx)
	runMeta = unsafe.Offsetof(vm.PacketRun{}.Meta)
	runData = unsafe.Offsetof(vm.PacketRun{}.Data)
	runEnd  = unsafe.Offsetof(vm.PacketRun{}.End)
	runRet  = unsafe.Offsetof(vm.PacketRun{}.Ret)
	runLeft = unsafe.Offsetof(vm.PacketRun{}.Left)
	cpuPtrs = unsafe.Offsetof(vm.CPU{}.Ptrs)
)
