package kernel

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// A process that waits in bpf(2) for a kernel that does not answer cannot be
// killed, and its parent waits for it for ever. So the first question is asked
// by a process of its own, which can be left behind.
const (
	probeEnv     = "SANDBPF_KERNEL_PROBE"
	probeTimeout = 10 * time.Second

	probeYes = 0
	probeNo  = 3
)

func init() {
	if os.Getenv(probeEnv) == "" {
		return
	}
	if err := probe(); err != nil {
		os.Stderr.WriteString(err.Error())
		os.Exit(probeNo)
	}
	os.Exit(probeYes)
}

// probe loads and runs a trivial program.
func probe() error {
	l, err := load(&Prog{
		Type:  ebpf.SchedCLS,
		Insns: encode(unix.BPF_ALU64|unix.BPF_MOV, 0, unix.BPF_JMP|unix.BPF_EXIT, 0),
	})
	if err != nil {
		return unavailable(err)
	}
	defer l.Close()
	if !l.Accepted() {
		return unavailable(fmt.Errorf("a trivial program is refused: %w", l.Errno))
	}
	if _, err := l.Run(make([]byte, 64), nil, 1); err != nil {
		return unavailable(err)
	}
	return nil
}

// Available returns nil if programs can be loaded and test-run here, else why
// not. It asks once.
var Available = sync.OnceValue(func() error {
	exe, err := os.Executable()
	if err != nil {
		return unavailable(err)
	}
	reason, err := os.CreateTemp("", "sandbpf-probe")
	if err != nil {
		return unavailable(err)
	}
	defer os.Remove(reason.Name())
	defer reason.Close()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), probeEnv+"=1")
	cmd.Stderr = reason // a file, not a pipe: nobody waits for its end
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return unavailable(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	select {
	case err = <-exited:
	case <-time.After(probeTimeout):
		return unavailable(fmt.Errorf("bpf(2) has not answered for %v", probeTimeout))
	}
	if err != nil {
		text, _ := os.ReadFile(reason.Name())
		return unavailable(errors.New(string(text)))
	}
	return nil
})

// The kernel frees programs in the background, and one that is given thousands
// in a moment can lock itself up: the workers that free them all wait for the
// lock of a load that waits for a worker. So a process takes its time, and waits
// where it sees that the workers do not keep up.
const (
	loadsPerSecond = 250
	loadsAtOnce    = 64
	maxUnfreed     = 64 << 10 // KiB of the kernel's memory, more than at the first load
	maxWait        = 2 * time.Second
)

// paceState is how the process has loaded programs so far.
type paceState struct {
	mu     sync.Mutex
	due    time.Time // when the next load may begin, or before now
	loads  int
	before int // KiB in use at the first load
}

var pace paceState

// throttle is called before every load.
func throttle() {
	p := &pace
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.loads++; p.loads%loadsAtOnce == 1 {
		p.waitForFrees()
	}
	now := time.Now()
	if earliest := now.Add(-loadsAtOnce * time.Second / loadsPerSecond); p.due.Before(earliest) {
		p.due = earliest
	}
	time.Sleep(p.due.Sub(now))
	p.due = p.due.Add(time.Second / loadsPerSecond)
}

func (p *paceState) waitForFrees() {
	used := vmallocUsed()
	if p.loads == 1 {
		p.before = used
	}
	for end := time.Now().Add(maxWait); used > p.before+maxUnfreed && time.Now().Before(end); used = vmallocUsed() {
		time.Sleep(maxWait / 20)
	}
}

// vmallocUsed is how much memory the kernel has mapped, programs among it, in KiB; 0 if it
// does not say.
func vmallocUsed() (n int) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if _, err := fmt.Sscanf(line, "VmallocUsed: %d kB", &n); err == nil {
			return n
		}
	}
	return 0
}
