package sandbpf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	ebpfasm "github.com/cilium/ebpf/asm"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/loader"
	"github.com/sandbpf/sandbpf/maps"
)

// kconfig has a value for every __kconfig variable in the test objects.
var kconfig = map[string]any{"CONFIG_HZ": 250, "CONFIG_BPF": true, "CONFIG_XDP": "m", "CONFIG_NET": "y", "CONFIG_LETTER": "y", "CONFIG_HOST": "h"}

// TestLinkedObjects compares every program of every object with what cilium/ebpf
// would give to the kernel, byte for byte, but for numbers that only the kernel knows.
func TestLinkedObjects(t *testing.T) {
	programs := 0
	for _, dir := range []string{"testdata/elf", "testdata/bench", "testdata/bench/holdout", "testdata/bench/fresh", "testdata/bench/kernels", "testdata/examples", "loader/testdata"} {
		objects, err := filepath.Glob(filepath.Join(dir, "*.o"))
		require.NoError(t, err)
		for _, path := range objects {
			spec, err := loader.LoadSpec(path, loader.WithKconfig(kconfig))
			if errors.Is(err, loader.ErrByteOrder) {
				continue
			}
			require.NoError(t, err)
			theirs, err := ebpf.LoadCollectionSpec(path)
			if err != nil {
				require.Contains(t, path, "externs.o", "%v", err)
				continue // what cilium/ebpf refuses, and we do not
			}
			t.Run(filepath.Base(path), func(t *testing.T) {
				programs += compareLinked(t, spec, theirs)
			})
		}
	}
	require.NotZero(t, programs)
	t.Logf("%d programs", programs)
}

func compareLinked(t *testing.T, spec *sandbpf.CollectionSpec, theirs *ebpf.CollectionSpec) int {
	named := make(map[string]*maps.Map)
	for name, m := range spec.Maps {
		m = m.Copy()
		m.Contents = nil
		created, err := maps.New(m)
		require.NoError(t, err)
		defer created.Close()
		named[name] = created
	}
	require.Len(t, spec.Programs, len(theirs.Programs))
	for name, p := range theirs.Programs {
		got, err := sandbpf.Link(spec.Programs[name], named)
		require.NoError(t, err)
		require.Equal(t, encodeCilium(t, p.Instructions, p.ByteOrder), encodeLinked(got), name)
		checkReferences(t, got, p.Instructions)
	}
	return len(theirs.Programs)
}

// encodeCilium does what cilium/ebpf does before BPF_PROG_LOAD, without the kernel:
// maps and kernel functions have number 0.
func encodeCilium(t *testing.T, insns ebpfasm.Instructions, order binary.ByteOrder) []byte {
	insns = append(ebpfasm.Instructions(nil), insns...)
	for i := range insns {
		if insns[i].IsLoadFromMap() {
			insns[i].Constant = insns[i].Constant >> 32 << 32
			insns[i] = insns[i].WithReference("")
		}
		if insns[i].IsKfuncCall() {
			insns[i].Constant = 0
		}
	}
	var b bytes.Buffer
	require.NoError(t, insns.Marshal(&b, order))
	return b.Bytes()
}

// encodeLinked gives references to maps the form that the kernel knows, and those to
// the kernel the one of cilium/ebpf before it has asked the kernel: numbers are 0.
func encodeLinked(p *prog.Program) []byte {
	var b []byte
	for slot := 0; slot < len(p.Insns); slot += p.Insns[slot].Slots() {
		ins := p.Insns[slot]
		if ins.Op == 0x18 && ins.Src >= asm.PseudoMapIdx {
			ins.Src -= asm.PseudoMapIdx - asm.PseudoMapFD
			if p.Maps[ins.ImmLo()].Name() == ".kconfig" {
				ins.Imm = 0 // cilium/ebpf puts the offset in later
			}
			ins.Imm = ins.Imm >> 32 << 32
		}
		switch {
		case ins.Op == 0x18 && ins.Src == asm.PseudoBTFID:
			ins.Src, ins.Imm = asm.PseudoNone, 0
		case ins.Kind() == asm.KindCallKfunc:
			ins.Imm = 0
		}
		b = ins.AppendBinary(b, binary.NativeEndian)
	}
	return b
}

// checkReferences checks names of maps and functions, and source lines, which are not
// in the bytes.
func checkReferences(t *testing.T, p *prog.Program, insns ebpfasm.Instructions) {
	iter := insns.Iterate()
	for iter.Next() {
		slot, ins := int(iter.Offset), iter.Ins
		if ins.IsLoadFromMap() && ins.Reference() != "" {
			require.Equal(t, ins.Reference(), p.Maps[p.Insns[slot].ImmLo()].Name())
		}
		if ins.Symbol() != "" {
			require.Equal(t, ins.Symbol(), p.FuncAt(slot).Name)
			require.Equal(t, slot, p.FuncAt(slot).Start)
		}
		if ins.IsFunctionCall() {
			require.Equal(t, ins.Reference(), p.FuncAt(slot+1+int(p.Insns[slot].ImmLo())).Name)
		}
		if ins.Source() != nil {
			require.Equal(t, strings.TrimSpace(ins.Source().String()), p.LineAt(slot).Text)
			require.NotZero(t, p.LineAt(slot).Number)
		}
	}
}
