package difftest

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/sandbpf/sandbpf/internal/linux"
)

//go:embed testdata/kernel_ids.txt
var kernelIDText string

// kernelIDs are names of functions by their id in the BTF of the kernel that was
// recorded.
var kernelIDs = parseKernelIDs(kernelIDText)

func parseKernelIDs(text string) map[uint32]string {
	ids := make(map[uint32]string)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var id uint32
		var name string
		if _, err := fmt.Sscan(line, &id, &name); err != nil {
			panic(fmt.Sprintf("kernel_ids.txt: %q: %v", line, err))
		}
		ids[id] = name
	}
	return ids
}

// kfuncName returns the name of the kernel function that an instruction of the case calls
// by a number, "" if there is none.
func (c *Case) kfuncName(imm int32) string {
	if name := c.Kfuncs[imm]; name != "" {
		return name
	}
	if name := kernelIDs[uint32(imm)]; name != "" {
		return name
	}
	if fn, ok := linux.KfuncByID(uint32(imm)); ok {
		return fn.Name
	}
	return ""
}

// attachFunc returns the name of what the case attaches to, as it is called in the BTF of
// the kernel: "bpf_lsm_file_open", "bpf_iter_task", "d_path".
func (c *Case) attachFunc() string {
	if name := kernelIDs[c.AttachBTF]; name != "" || c.AttachBTF == 0 {
		return name
	}
	if target, ok := linux.IterID(c.AttachBTF); ok {
		return "bpf_iter_" + target
	}
	if name, ok := linux.TracepointID(c.AttachBTF); ok {
		return name
	}
	return ""
}

// target is the same as section names have it: "file_open", "task", "d_path".
func (c *Case) target() string {
	name := c.attachFunc()
	for _, prefix := range []string{"bpf_lsm_", "bpf_iter_"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			return rest
		}
	}
	return name
}
