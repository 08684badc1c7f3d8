package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

const (
	logStats     = 4
	logBranches  = 2
	logSizeStart = 64 << 10
	logSizeMax   = math.MaxUint32 >> 2 // the kernel's limit

	insnSize     = 8
	opLoadImm64  = unix.BPF_LD | unix.BPF_IMM | unix.BPF_DW
	pseudoMapFD  = unix.BPF_PSEUDO_MAP_FD
	pseudoMapVal = unix.BPF_PSEUDO_MAP_VALUE

	// outPad is how much longer than its input a packet may be after a run.
	outPad = 4096

	interruptions = 100 // of one call by signals, before it counts as an error
)

// encode makes instructions from pairs of opcode and imm, with registers and
// offset zero.
func encode(pairs ...uint32) []byte {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b = append(b, byte(pairs[i]), 0, 0, 0)
		b = binary.NativeEndian.AppendUint32(b, pairs[i+1])
	}
	return b
}

// Load loads p. A refusal is an answer, not an error: see [Loaded.Accepted]. An
// error says that the kernel could not be asked.
func Load(p Prog) (*Loaded, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	return load(&p)
}

// progLoadAttr is the part of union bpf_attr that BPF_PROG_LOAD takes.
type progLoadAttr struct {
	progType           uint32
	insnCnt            uint32
	insns              uint64
	license            uint64
	logLevel           uint32
	logSize            uint32
	logBuf             uint64
	kernVersion        uint32
	progFlags          uint32
	progName           [16]byte
	progIfindex        uint32
	expectedAttachType uint32
	progBTFFd          uint32
	funcInfoRecSize    uint32
	funcInfo           uint64
	funcInfoCnt        uint32
	lineInfoRecSize    uint32
	lineInfo           uint64
	lineInfoCnt        uint32
	attachBTFID        uint32
	attachProgFd       uint32
	coreReloCnt        uint32
	fdArray            uint64
	coreRelos          uint64
	coreReloRecSize    uint32
	logTrueSize        uint32
}

func load(p *Prog) (*Loaded, error) {
	if len(p.Insns)%insnSize != 0 {
		return nil, fmt.Errorf("kernel: %d bytes are not whole instructions", len(p.Insns))
	}
	throttle()
	btfFd := -1
	if len(p.BTF) > 0 {
		var err error
		if btfFd, err = btfs.open(p.BTF, false); err != nil {
			return nil, fmt.Errorf("kernel: load BTF: %w", err)
		}
		defer unix.Close(btfFd)
	}
	insns := resolveMaps(p)
	if p.LogLevel != 0 {
		return loadAt(p, insns, btfFd, p.LogLevel)
	}
	l, err := loadAt(p, insns, btfFd, logStats)
	if err != nil || l.Accepted() {
		return l, err
	}
	withLog, err := loadAt(p, insns, btfFd, logStats|logBranches)
	if err != nil {
		return nil, err
	}
	if withLog.Errno != l.Errno {
		withLog.Close()
		return nil, fmt.Errorf("kernel: the verdict depends on the log level: %v, with a log %v", l.Errno, withLog.Errno)
	}
	withLog.Stats.Time = l.Stats.Time
	return withLog, nil
}

// loadAt loads p once, and again with a larger buffer as long as the log does
// not fit.
func loadAt(p *Prog, insns []byte, btfFd int, level uint32) (*Loaded, error) {
	license := p.License
	if license == "" {
		license = "GPL"
	}
	licensez := append([]byte(license), 0)
	attr := progLoadAttr{
		progType:           uint32(p.Type),
		insnCnt:            uint32(len(insns) / insnSize),
		progFlags:          p.Flags,
		expectedAttachType: uint32(p.AttachType),
		attachBTFID:        p.AttachBTF,
		logLevel:           level,
		logSize:            logSizeStart,
	}
	copy(attr.progName[:len(attr.progName)-1], p.Name)
	var pin runtime.Pinner
	defer pin.Unpin()
	attr.insns = address(&pin, insns)
	attr.license = address(&pin, licensez)
	if btfFd >= 0 {
		attr.progBTFFd = uint32(btfFd)
		attr.funcInfo, attr.funcInfoRecSize, attr.funcInfoCnt = address(&pin, p.FuncInfo), 8, uint32(len(p.FuncInfo)/8)
		attr.lineInfo, attr.lineInfoRecSize, attr.lineInfoCnt = address(&pin, p.LineInfo), 16, uint32(len(p.LineInfo)/16)
	}
	for {
		log := make([]byte, attr.logSize)
		attr.logBuf = address(&pin, log)
		attr.logTrueSize = 0
		fd, errno := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		if errno == unix.ENOSPC && attr.logTrueSize > attr.logSize && attr.logTrueSize <= logSizeMax {
			attr.logSize = attr.logTrueSize
			continue
		}
		return answer(fd, errno, log)
	}
}

// answer makes the outcome of BPF_PROG_LOAD a Loaded.
func answer(fd int, errno syscall.Errno, log []byte) (*Loaded, error) {
	if end := bytes.IndexByte(log, 0); end >= 0 {
		log = log[:end]
	}
	l := &Loaded{Errno: errno, Log: string(log)}
	l.Stats = ParseStats(l.Log)
	if errno != 0 {
		return l, nil
	}
	prog, err := ebpf.NewProgramFromFD(fd)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("kernel: %w", err)
	}
	l.prog = prog
	return l, nil
}

// resolveMaps returns p's instructions with descriptors in place of indices.
func resolveMaps(p *Prog) []byte {
	insns := slices.Clone(p.Insns)
	for i := 0; i+2*insnSize <= len(insns); i += insnSize {
		insn := insns[i : i+insnSize]
		if insn[0] != opLoadImm64 {
			continue
		}
		src, imm := srcReg(insn[1]), binary.NativeEndian.Uint32(insn[4:])
		if (src == pseudoMapFD || src == pseudoMapVal) && imm < uint32(len(p.Maps)) && !slices.Contains(p.RawMapFDs, i/insnSize) {
			binary.NativeEndian.PutUint32(insn[4:], uint32(p.Maps[imm].FD()))
		}
		i += insnSize
	}
	return insns
}

// srcReg is the source register of an instruction's second byte, which is laid
// out as a C bit-field: by the machine's byte order.
func srcReg(regs byte) byte {
	if binary.NativeEndian.Uint16([]byte{1, 0}) == 1 {
		return regs >> 4
	}
	return regs & 15
}

func loadBTF(raw []byte) (int, error) {
	var attr struct {
		btf, logBuf        uint64
		size, logSize      uint32
		logLevel, trueSize uint32
		flags, tokenFd     uint32
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	attr.btf, attr.size = address(&pin, raw), uint32(len(raw))
	fd, errno := bpf(unix.BPF_BTF_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if errno != 0 {
		return -1, errno
	}
	return fd, nil
}

// Run test-runs the program repeat times (at least once) on a packet of at
// least 14 bytes and, if ctx is not empty, a context as the program type's user
// space sees it (struct xdp_md, struct __sk_buff). The kernel goes on with the
// packet as the previous repetition left it.
func (l *Loaded) Run(data, ctx []byte, repeat int) (Result, error) {
	if l.prog == nil {
		return Result{}, errors.New("kernel: run of a program that was refused")
	}
	var attr struct {
		progFd, retval           uint32
		dataSizeIn, dataSizeOut  uint32
		dataIn, dataOut          uint64
		repeat, duration         uint32
		ctxSizeIn, ctxSizeOut    uint32
		ctxIn, ctxOut            uint64
		flags, cpu, batchSize, _ uint32
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	dataOut, ctxOut := make([]byte, len(data)+outPad), make([]byte, len(ctx))
	attr.progFd, attr.repeat = uint32(l.prog.FD()), uint32(max(repeat, 1))
	attr.dataIn, attr.dataSizeIn = address(&pin, data), uint32(len(data))
	attr.dataOut, attr.dataSizeOut = address(&pin, dataOut), uint32(len(dataOut))
	attr.ctxIn, attr.ctxSizeIn = address(&pin, ctx), uint32(len(ctx))
	attr.ctxOut, attr.ctxSizeOut = address(&pin, ctxOut), uint32(len(ctxOut))
	if _, errno := bpf(unix.BPF_PROG_TEST_RUN, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); errno != 0 {
		return Result{}, fmt.Errorf("kernel: test run: %w", errno)
	}
	r := Result{
		Ret:      attr.retval,
		Data:     dataOut[:attr.dataSizeOut],
		Duration: time.Duration(attr.duration),
	}
	if len(ctx) > 0 {
		r.Ctx = ctxOut[:attr.ctxSizeOut]
	}
	return r, nil
}

// LoadSpec loads the programs and maps of an object. CO-RE is done against the
// running kernel's types. A refused program is an error, which wraps
// [ebpf.VerifierError].
func LoadSpec(spec *ebpf.CollectionSpec) (*Collection, error) {
	return LoadSpecWithOptions(spec, ebpf.CollectionOptions{})
}

// LoadSpecWithOptions is [LoadSpec] with the library's options; the log level is
// raised to include the verifier's statistics.
func LoadSpecWithOptions(spec *ebpf.CollectionSpec, opts ebpf.CollectionOptions) (*Collection, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	throttle()
	opts.Programs.LogLevel |= ebpf.LogLevelStats
	coll, err := ebpf.NewCollectionWithOptions(spec, opts)
	if err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	c := &Collection{Programs: make(map[string]*Loaded), Maps: coll.Maps}
	for name, prog := range coll.Programs {
		c.Programs[name] = &Loaded{Log: prog.VerifierLog, Stats: ParseStats(prog.VerifierLog), prog: prog}
	}
	return c, nil
}

// address pins b and returns its address as union bpf_attr wants it.
func address(pin *runtime.Pinner, b []byte) uint64 {
	if len(b) == 0 {
		return 0
	}
	pin.Pin(&b[0])
	return uint64(uintptr(unsafe.Pointer(&b[0])))
}

// bpf makes the system call, again if a signal interrupted it.
func bpf(cmd int, attr unsafe.Pointer, size uintptr) (int, syscall.Errno) {
	for range interruptions {
		fd, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(cmd), uintptr(attr), size)
		if errno != unix.EAGAIN && errno != unix.EINTR {
			return int(fd), errno
		}
	}
	return -1, unix.EINTR
}
