package linux

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/prog"
)

var (
	update = flag.Bool("update", false, "ask the kernel everything again and write the tables")
	long   = flag.Bool("long", false, "compare all of the tables with the kernel, not a sample")
)

// flagSleepable is BPF_F_SLEEPABLE.
const flagSleepable = 1 << 4

// askedPause makes the many questions of -update and -long few in a second: a kernel
// that has to free programs by the thousand locks itself up.
const askedPause = 2 * time.Millisecond

// sort is a sort of program that has a context of its own.
type sort struct {
	name   string
	typ    prog.Type
	attach prog.AttachType
	btf    uint32 // attach_btf_id
	flags  uint32
	before []byte // instructions in front of all programs
	whole  bool   // ask for whole programs too
}

// needKernel skips t where there is no kernel of the version that the tables are of.
func needKernel(t testing.TB) *btf.Spec {
	t.Helper()
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	spec, err := kernelTypes()
	if err != nil {
		t.Skip(err)
	}
	return spec
}

var kernelTypes = sync.OnceValues(btf.LoadKernelSpec)

// typeID returns the id of a type of the kernel, 0 if it has none of that name.
func typeID[T btf.Type](t testing.TB, spec *btf.Spec, name string) uint32 {
	t.Helper()
	var typ T
	err := spec.TypeByName(name, &typ)
	if errors.Is(err, btf.ErrNotFound) {
		return 0
	}
	require.NoError(t, err)
	id, err := spec.TypeID(typ)
	require.NoError(t, err)
	return uint32(id)
}

var loadableSorts map[helper.Variant]sort // what variantSorts has found

// variantSorts are the variants that this kernel can load, by number. Tests do not run in
// parallel here.
func variantSorts(t testing.TB, spec *btf.Spec) map[helper.Variant]sort {
	if loadableSorts != nil {
		return loadableSorts
	}
	sorts := make(map[helper.Variant]sort)
	for i, name := range helper.VariantNames() {
		typ, attach, target := helper.Variant(i).Sort()
		s := sort{name: name, typ: typ, attach: attach}
		switch {
		case typ == prog.Tracing && attach == attachTPBTF:
			s.btf = typeID[*btf.Typedef](t, spec, "btf_trace_"+target)
		case typ == prog.Tracing && attach == attachIter:
			s.btf = typeID[*btf.Func](t, spec, "bpf_iter_"+target)
		case typ == prog.Syscall:
			s.flags = flagSleepable // they must be
		case typ == prog.StructOps:
			s.attach, s.btf = 0, typeID[*btf.Struct](t, spec, "tcp_congestion_ops") // its first member
		}
		if s.loadable(t) {
			sorts[helper.Variant(i)] = s
		}
	}
	loadableSorts = sorts
	return sorts
}

// unset is what the verifier says of a read of r9, which no program here sets. As it ends
// them all, none is ever accepted, compiled and freed.
const unset = "R9 !read_ok"

// ask loads insns with a read of r9 behind them, and returns the verifier's log.
func (s sort) ask(t testing.TB, insns ...[]byte) (log string, errno error) {
	t.Helper()
	time.Sleep(askedPause)
	code := slices.Concat(s.before, concat(insns))
	code = append(code, insn(0xbf, 0, 9, 0, 0)...)
	code = append(code, insn(0x95, 0, 0, 0, 0)...)
	l, err := kernel.Load(kernel.Prog{
		Type: ebpf.ProgramType(s.typ), AttachType: ebpf.AttachType(s.attach), AttachBTF: s.btf, Flags: s.flags,
		Insns: code, LogLevel: 2,
	})
	require.NoError(t, err)
	require.NoError(t, l.Close())
	require.False(t, l.Accepted(), "%s: %s", s.name, l.Log)
	return l.Log, l.Errno
}

// loadable reports whether the kernel looks at programs of the sort at all.
func (s sort) loadable(t testing.TB) bool {
	log, _ := s.ask(t)
	return strings.Contains(log, unset)
}

func insn(op, dst, src byte, off int16, imm int32) []byte {
	b := []byte{op, dst | src<<4, 0, 0, 0, 0, 0, 0}
	binary.LittleEndian.PutUint16(b[2:], uint16(off))
	binary.LittleEndian.PutUint32(b[4:], uint32(imm))
	return b
}

func concat(list [][]byte) (all []byte) {
	for _, b := range list {
		all = append(all, b...)
	}
	return all
}

// sizeBits are the bits of an opcode for a size of memory.
func sizeBits(size int) byte {
	switch size {
	case 1:
		return 0x10
	case 2:
		return 0x08
	case 4:
		return 0x00
	case 8:
		return 0x18
	}
	panic(fmt.Sprintf("no access of %d bytes", size))
}
