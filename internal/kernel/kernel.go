// Package kernel asks the running Linux what it thinks of a program: the
// verifier's verdict and log, and what a test run of it computes. It is an
// oracle for tests and is imported by tests only; nothing is ever attached.
//
// On other systems, and without the privileges that bpf(2) asks for, every call
// returns an error that wraps [ErrUnavailable]. Tests then skip:
//
//	if err := kernel.Available(); err != nil {
//		t.Skip(err)
//	}
package kernel

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"syscall"
	"time"

	"github.com/cilium/ebpf"
)

// ErrUnavailable says that there is no kernel to ask: another operating system,
// no bpf(2), or no privileges.
var ErrUnavailable = errors.New("no kernel to ask")

// A Prog is what bpf(BPF_PROG_LOAD) is given.
type Prog struct {
	Name       string // at most 15 letters, digits, '_' and '.'; may be empty
	Type       ebpf.ProgramType
	AttachType ebpf.AttachType // expected_attach_type
	License    string          // empty means "GPL": all helpers are allowed
	Flags      uint32          // prog_flags
	AttachBTF  uint32          // attach_btf_id

	// Insns are encoded instructions, eight bytes each, in the machine's byte
	// order. In a load of a map's descriptor or value (ld_imm64 with src_reg
	// BPF_PSEUDO_MAP_FD or BPF_PSEUDO_MAP_VALUE) an imm that is an index into
	// Maps stands for that map; any other imm is left as it is, and so is that
	// of an instruction listed in RawMapFDs.
	Insns     []byte
	Maps      []*ebpf.Map
	RawMapFDs []int

	// BTF is the raw type information that FuncInfo and LineInfo refer to, in the
	// kernel's layout: records of 8 and of 16 bytes. All three may be empty.
	BTF      []byte
	FuncInfo []byte
	LineInfo []byte

	// LogLevel is the verifier's log_level. 0 means: a load without a log, whose
	// time is that of the verification alone, and for a refused program a second
	// one at level 2 (a line for each instruction, with the states) for its log.
	LogLevel uint32
}

// A Map is what bpf(BPF_MAP_CREATE) is given.
type Map struct {
	Type                           ebpf.MapType
	KeySize, ValueSize, MaxEntries uint32
	Flags                          uint32
	Extra                          uint64
	Inner                          *ebpf.Map // template of a map of maps

	BTF              []byte // raw type information, may be empty
	BTFKey, BTFValue uint32 // ids in it
}

// Stats are the figures that the verifier reports at log level 4.
type Stats struct {
	Insns       int // instructions processed, over all paths
	MaxStates   int // max_states_per_insn
	TotalStates int
	PeakStates  int
	MarkRead    int
	Time        time.Duration // verification time, to the microsecond
	StackDepth  string        // one number for each subprogram, joined by "+"
}

// A Loaded is the kernel's answer to a [Prog] and, if the program was accepted,
// a handle to run it. Close it when done with it.
type Loaded struct {
	Errno syscall.Errno // 0 if the program was accepted
	Log   string        // the whole log of the verifier
	Stats Stats

	prog *ebpf.Program // nil if the program was refused
}

// Accepted reports whether the kernel accepted the program.
func (l *Loaded) Accepted() bool { return l.Errno == 0 }

// Program is the program in the kernel, nil if it was refused. It belongs to l.
func (l *Loaded) Program() *ebpf.Program { return l.prog }

// Close releases the program. It may be called more than once.
func (l *Loaded) Close() error {
	if l.prog == nil {
		return nil
	}
	return l.prog.Close()
}

// A Result is what a test run left behind.
type Result struct {
	Ret      uint32        // the program's return value
	Data     []byte        // the packet after the run
	Ctx      []byte        // the context after the run, nil if none was given
	Duration time.Duration // of one run: the mean over all repetitions, whole nanoseconds
}

// A Collection is the programs and maps of an object, loaded.
type Collection struct {
	Programs map[string]*Loaded
	Maps     map[string]*ebpf.Map
}

// Close releases all programs and maps.
func (c *Collection) Close() error {
	var errs []error
	for _, p := range c.Programs {
		errs = append(errs, p.Close())
	}
	for _, m := range c.Maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

var (
	timeLine  = regexp.MustCompile(`(?m)^verification time (\d+) usec$`)
	depthLine = regexp.MustCompile(`(?m)^stack depth ([\d+]+)`)
	statsLine = regexp.MustCompile(`(?m)^processed (\d+) insns \(limit \d+\) max_states_per_insn (\d+) total_states (\d+) peak_states (\d+) mark_read (\d+)$`)
)

// ParseStats reads the summary at the end of a verifier log. What the log does
// not say stays zero.
func ParseStats(log string) Stats {
	var s Stats
	if m := timeLine.FindStringSubmatch(log); m != nil {
		us, _ := strconv.Atoi(m[1])
		s.Time = time.Duration(us) * time.Microsecond
	}
	if m := depthLine.FindStringSubmatch(log); m != nil {
		s.StackDepth = m[1]
	}
	if m := statsLine.FindStringSubmatch(log); m != nil {
		for i, field := range []*int{&s.Insns, &s.MaxStates, &s.TotalStates, &s.PeakStates, &s.MarkRead} {
			*field, _ = strconv.Atoi(m[i+1])
		}
	}
	return s
}

func unavailable(why error) error {
	return fmt.Errorf("%w: %w", ErrUnavailable, why)
}
