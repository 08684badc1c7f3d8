package helper

import (
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// tick is the length of a jiffy, with 250 of them a second as x86 distributions
// configure Linux.
const tick = 4_000_000

// initialJiffies is what Linux counts jiffies from: 5 minutes before 32 bits
// overflow.
const initialJiffies = 1<<32 - 300*(1_000_000_000/tick)

// ktimeGetNS is bpf_ktime_get_ns and, since no machine here is ever suspended,
// bpf_ktime_get_boot_ns.
func ktimeGetNS(c *vm.CPU, _ *[5]uint64) (uint64, error) { return c.M.Clock(), nil }

// ktimeGetCoarseNS answers with the time of the last tick.
func ktimeGetCoarseNS(c *vm.CPU, _ *[5]uint64) (uint64, error) {
	now := c.M.Clock()
	return now - now%tick, nil
}

func ktimeGetTAINS(c *vm.CPU, _ *[5]uint64) (uint64, error) { return c.M.Wall(), nil }

func jiffies64(c *vm.CPU, _ *[5]uint64) (uint64, error) {
	return initialJiffies + c.M.Clock()/tick, nil
}

func getPrandomU32(c *vm.CPU, _ *[5]uint64) (uint64, error) { return uint64(c.Random()), nil }

func getSMPProcessorID(c *vm.CPU, _ *[5]uint64) (uint64, error) { return uint64(c.ID), nil }

// getNUMANodeID is 0: all virtual CPUs are of one node.
func getNUMANodeID(*vm.CPU, *[5]uint64) (uint64, error) { return 0, nil }

// currentTask returns the task that the event names.
func currentTask(c *vm.CPU) *Task {
	if e, ok := c.Event.(Tasker); ok {
		if t := e.CurrentTask(); t != nil {
			return t
		}
	}
	return &idleTask
}

// idleTask is current where no other is; the kernel calls it swapper.
var idleTask = Task{Comm: "swapper"}

func getCurrentPIDTGID(c *vm.CPU, _ *[5]uint64) (uint64, error) {
	t := currentTask(c)
	return uint64(t.TGID)<<32 | uint64(t.PID), nil
}

func getCurrentUIDGID(c *vm.CPU, _ *[5]uint64) (uint64, error) {
	t := currentTask(c)
	return uint64(t.GID)<<32 | uint64(t.UID), nil
}

// getCurrentComm writes the task's name, padded with zero bytes, the last of
// which is always there.
func getCurrentComm(c *vm.CPU, args *[5]uint64) (uint64, error) {
	buf, err := memArg(c, args[0], uint64(uint32(args[1])), mem.Write)
	if err != nil {
		return 0, err
	}
	if len(buf) == 0 {
		return 0, refuse("empty buffer for a task's name")
	}
	const commLen = 16 // TASK_COMM_LEN
	n := copy(buf[:min(len(buf), commLen)-1], currentTask(c).Comm)
	clear(buf[n:])
	return 0, nil
}
