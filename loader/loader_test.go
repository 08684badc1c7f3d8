package loader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	ebpfasm "github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// load loads one of the test's objects. They are little-endian, but variables.be.o.
func load(t *testing.T, name string, opts ...Option) *sandbpf.CollectionSpec {
	t.Helper()
	littleEndian(t)
	spec, err := LoadSpec(filepath.Join("testdata", name), opts...)
	require.NoError(t, err)
	return spec
}

func littleEndian(t *testing.T) {
	t.Helper()
	if nativeOrder != binary.LittleEndian {
		t.Skip("the object is little-endian, the host is not")
	}
}

// TestByteOrder loads one program for both byte orders: one fits, the other is
// refused with a word about where it fits.
func TestByteOrder(t *testing.T) {
	good, bad, want := "variables.o", "variables.be.o", "a big-endian object (clang -target bpfeb) fits GOARCH s390x or ppc64, not "
	if nativeOrder == binary.BigEndian {
		good, bad, want = bad, good, "a little-endian object (clang -target bpfel) fits GOARCH amd64, arm64 or riscv64, not "
	}
	spec, err := LoadSpec("testdata/" + good)
	require.NoError(t, err)
	require.Contains(t, spec.Programs, "variables")

	_, err = LoadSpec("testdata/" + bad)
	require.ErrorIs(t, err, ErrByteOrder)
	require.ErrorContains(t, err, want+runtime.GOARCH)

	theirs, err := ebpf.LoadCollectionSpec("testdata/" + bad)
	require.NoError(t, err)
	_, err = FromCollectionSpec(theirs)
	require.ErrorIs(t, err, ErrByteOrder)
}

func TestVariables(t *testing.T) {
	name := "variables.o"
	if nativeOrder == binary.BigEndian {
		name = "variables.be.o"
	}
	spec, err := LoadSpec("testdata/" + name)
	require.NoError(t, err)
	require.Equal(t, []string{"counter", "limit", "name", "own", "pair", "zeroed"}, sortedKeys(spec.Variables), "static ones have no name")

	var limit, zeroed uint32
	var counter uint64
	var text string
	require.NoError(t, spec.Variables["limit"].Get(&limit))
	require.NoError(t, spec.Variables["zeroed"].Get(&zeroed))
	require.NoError(t, spec.Variables["counter"].Get(&counter))
	require.NoError(t, spec.Variables["name"].Get(&text))
	require.Equal(t, []any{uint32(5), uint32(0), uint64(7), "abc"}, []any{limit, zeroed, counter, text})

	pair := spec.Variables["pair"]
	require.Equal(t, ".data", pair.Map)
	require.False(t, pair.ReadOnly)
	require.Equal(t, uint32(8), pair.Size)
	require.Equal(t, "pair", pair.Type.Name)
	require.Equal(t, "b", pair.Type.Members[1].Name)
	require.Equal(t, uint32(32), pair.Type.Members[1].BitOff)

	l := spec.Variables["limit"]
	require.True(t, l.ReadOnly)
	require.NoError(t, l.Set(500))
	rodata := spec.Maps[".rodata"]
	require.Equal(t, maps.Spec{Name: ".rodata", Type: maps.Array, KeySize: 4, ValueSize: uint32(len(data(rodata))), MaxEntries: 1,
		Flags: maps.FlagRdonlyProg | maps.FlagMmapable, Contents: rodata.Contents, Freeze: true}, *rodata)
	require.Equal(t, uint32(500), binary.NativeEndian.Uint32(data(rodata)[l.Off:]), "Set reaches the map")

	own := spec.Maps[".data.own"]
	require.Equal(t, maps.FlagMmapable, own.Flags)
	require.False(t, own.Freeze)
	require.Equal(t, uint16(9), binary.NativeEndian.Uint16(data(own)))
	require.Equal(t, make([]byte, spec.Maps[".bss"].ValueSize), data(spec.Maps[".bss"]))
	require.Equal(t, ".data", spec.MapTypes[".data"].Value.Name)
	require.Equal(t, prog.BTFStruct, spec.MapTypes[".data"].Value.Kind)
	require.Equal(t, "Dual BSD/GPL", spec.Programs["variables"].License)
}

func data(m *maps.Spec) []byte { return m.Contents[0].Value.([]byte) }

// TestFromCollectionSpec takes over what was set in cilium/ebpf, and leaves that alone.
func TestFromCollectionSpec(t *testing.T) {
	littleEndian(t)
	theirs, err := ebpf.LoadCollectionSpec("testdata/variables.o")
	require.NoError(t, err)
	require.NoError(t, theirs.Variables["limit"].Set(uint32(77)))
	spec, err := FromCollectionSpec(theirs)
	require.NoError(t, err)
	var limit uint32
	require.NoError(t, spec.Variables["limit"].Get(&limit))
	require.Equal(t, uint32(77), limit)

	require.NoError(t, spec.Variables["limit"].Set(1))
	require.NoError(t, theirs.Variables["limit"].Get(&limit))
	require.Equal(t, uint32(77), limit)

	ours, err := LoadSpec("testdata/variables.o")
	require.NoError(t, err)
	require.Equal(t, ours.Programs, spec.Programs)
}

func TestMaps(t *testing.T) {
	spec := load(t, "maps.o")
	require.Equal(t, []string{"hash", "jumps", "one", "outer", "ring", "two"}, sortedKeys(spec.Maps))
	require.Equal(t, &maps.Spec{Name: "hash", Type: maps.Hash, KeySize: 16, ValueSize: 8, MaxEntries: 100, Flags: maps.FlagNoPrealloc}, spec.Maps["hash"])
	require.Equal(t, []string{"map hash: pinning is ignored: there is no BPF file system"}, spec.Notes)
	require.Equal(t, &maps.Spec{Name: "ring", Type: maps.RingBuf, MaxEntries: 4096}, spec.Maps["ring"])
	require.Equal(t, &maps.Spec{Name: "outer", Type: maps.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 4,
		InnerMap: &maps.Spec{Name: "outer.inner", Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 3},
		Contents: []maps.KV{{Key: uint32(0), Value: "one"}, {Key: uint32(2), Value: "two"}}}, spec.Maps["outer"])
	require.Equal(t, &maps.Spec{Name: "jumps", Type: maps.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 3,
		Contents: []maps.KV{{Key: uint32(1), Value: "target"}}}, spec.Maps["jumps"])

	key := spec.MapTypes["hash"].Key
	require.Equal(t, prog.BTFStruct, key.Kind)
	require.Equal(t, []prog.BTFMember{{Name: "a", Type: key.Members[0].Type}, {Name: "b", Type: key.Members[1].Type, BitOff: 64}}, key.Members)
	require.Equal(t, "unsigned long long", spec.MapTypes["hash"].Value.Name)
	require.Equal(t, uint32(8), spec.MapTypes["outer"].Inner.Value.Size)
	require.NotContains(t, spec.MapTypes, "ring")
}

func TestFunctions(t *testing.T) {
	spec := load(t, "maps.o")
	require.Equal(t, []string{"calls", "target"}, sortedKeys(spec.Programs))
	p := spec.Programs["calls"]
	require.Equal(t, []string{"add", "calls", "each"}, sortedKeys(p.Funcs))
	require.Equal(t, prog.Global, p.Funcs["add"].Linkage)
	require.Equal(t, prog.Static, p.Funcs["each"].Linkage)
	add := p.Funcs["add"].Proto
	require.Equal(t, prog.BTFFuncProto, add.Kind)
	require.Equal(t, "int", add.Return.Name)
	require.Equal(t, []prog.BTFParam{{Name: "a", Type: add.Return}, {Name: "b", Type: add.Return}}, add.Params)
	ctx := p.Funcs["calls"].Proto.Params[0].Type
	require.Equal(t, prog.BTFPointer, ctx.Kind)
	require.Equal(t, "xdp_md", ctx.Elem.Name)
	require.Equal(t, prog.BTFVoid, p.Funcs["each"].Proto.Params[1].Type.Elem.Kind)

	require.Equal(t, "maps.c", filepath.Base(p.Lines[0].File))
	require.NotZero(t, p.Lines[1].Column)
	require.Equal(t, "u32 sum = 0, zero = 0;", p.Lines[1].Text)
	symbols, err := p.Instructions.Symbols()
	require.NoError(t, err)
	for _, line := range p.Lines {
		if line.Slot >= symbols["add"] && line.Text != "{" {
			return
		}
	}
	t.Fatal("no source line in a subprogram")
}

func TestLegacyMaps(t *testing.T) {
	spec := load(t, "legacy.o")
	require.Equal(t, &maps.Spec{Name: "counts", Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 16, Flags: maps.FlagMmapable}, spec.Maps["counts"])
	require.Equal(t, &maps.Spec{Name: "other", Type: maps.Hash, KeySize: 2, ValueSize: 1, MaxEntries: 3}, spec.Maps["other"])
	p := spec.Programs["filter"]
	require.Equal(t, prog.SocketFilter, p.Type)
	require.Empty(t, p.Lines)
	require.Empty(t, p.Funcs)
	require.Empty(t, spec.MapTypes)
}

// TestSections lists what section names mean. The golden file follows libbpf's table
// of sections and enum bpf_attach_type.
func TestSections(t *testing.T) {
	spec := load(t, "sections.o")
	var b strings.Builder
	for i := range len(spec.Programs) {
		p := spec.Programs[fmt.Sprint("p", i)]
		fmt.Fprintf(&b, "%-32s type %v, attach type %d, to %q, sleepable %v\n", p.Section, p.Type, p.AttachType, p.AttachTo, p.Sleepable)
	}
	golden(t, "sections.txt", b.String())

	asked := load(t, "sections.o", WithProgramType("p105", prog.XDP)).Programs["p105"]
	require.Equal(t, "xdpfoo", asked.Section)
	require.Equal(t, prog.XDP, asked.Type)
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

func TestProgramTypeByOption(t *testing.T) {
	spec := load(t, "legacy.o", WithProgramType("filter", prog.SchedCLS))
	require.Equal(t, prog.SchedCLS, spec.Programs["filter"].Type)
	_, err := LoadSpec("testdata/legacy.o", WithProgramType("absent", prog.XDP))
	require.EqualError(t, err, "testdata/legacy.o: program absent: has a type by option, but is not in the object")
	require.ErrorIs(t, err, ErrInvalid)
}

// TestFromInstructions has cilium/ebpf decode instructions of every row of the opcode
// table.
func TestFromInstructions(t *testing.T) {
	rows := make(map[*asm.Info]bool)
	for op := range 256 {
		for src := range asm.Register(11) {
			for _, off := range []int16{0, 1, 8, 16, 32, -3} {
				for _, imm := range []int64{0, 1, 0x10, 0x20, 0x40, 0x41, 0x50, 0x51, 0xa0, 0xa1, 0xe1, 0xf1, 0x100, 0x110, 1 << 16, -4, -1 << 35} {
					want := asm.Instruction{Op: asm.Opcode(op), Dst: 3, Src: src, Off: off, Imm: imm}
					if want.Validate() != nil {
						if want.Dst = 0; want.Validate() != nil {
							continue
						}
					}
					row, err := want.Info()
					require.NoError(t, err)
					rows[row] = true
					theirs, err := ebpfasm.AppendInstructions(nil, bytes.NewReader(want.AppendBinary(nil, nativeOrder)), nativeOrder, "linux")
					if kind := want.Kind(); err != nil && kind == asm.KindCallHelper {
						continue // cilium/ebpf refuses numbers above 1<<28
					}
					require.NoError(t, err)
					got, err := FromInstructions(theirs)
					require.NoError(t, err, "%#v", want)
					require.Equal(t, asm.Instructions{want}, got)
				}
			}
		}
	}
	require.Len(t, rows, len(asm.Table()))
}

func TestFromBuiltInstructions(t *testing.T) {
	got, err := FromInstructions(ebpfasm.Instructions{
		ebpfasm.LoadMapPtr(ebpfasm.R1, 0).WithReference("m").WithSymbol("main"),
		ebpfasm.SDiv.Imm32(ebpfasm.R2, 3),
		ebpfasm.Instruction{OpCode: ebpfasm.OpCode(ebpfasm.ALU64Class).SetALUOp(ebpfasm.MovSX16).SetSource(ebpfasm.RegSource), Dst: 1, Src: 2},
		ebpfasm.FetchAdd.Mem(ebpfasm.R10, ebpfasm.R1, ebpfasm.DWord, -8),
		ebpfasm.JEq.Imm(ebpfasm.R1, 0, "out"),
		ebpfasm.FnKtimeGetNs.Call(),
		ebpfasm.Instruction{OpCode: ebpfasm.OpCode(ebpfasm.JumpClass).SetJumpOp(ebpfasm.Call), Src: ebpfasm.PseudoCall, Constant: -1}.WithReference("f"),
		ebpfasm.LoadImm(ebpfasm.R0, -1, ebpfasm.DWord),
		ebpfasm.Return().WithSymbol("out"),
	})
	require.NoError(t, err)
	require.Equal(t, asm.Instructions{
		asm.LoadMapPtr(asm.R1, "m").WithSymbol("main"),
		asm.SDiv.Imm32(asm.R2, 3),
		asm.SX16.Mov(asm.R1, asm.R2),
		asm.AtomicFetchAdd.Mem64(asm.R10, -8, asm.R1),
		withOff(asm.JEq.Imm(asm.R1, 0, "out"), -1),
		asm.FnKtimeGetNs.Call(),
		asm.CallLocal("f"),
		asm.LoadImm(asm.R0, -1),
		asm.Return().WithSymbol("out"),
	}, got)

	_, err = FromInstructions(ebpfasm.Instructions{ebpfasm.LoadImm(0, 0, ebpfasm.DWord), {OpCode: 0xffff}})
	var bad *asm.InstructionError
	require.True(t, errors.As(err, &bad))
	require.Equal(t, 2, bad.Slot)
}

func withOff(ins asm.Instruction, off int16) asm.Instruction {
	ins.Off = off
	return ins
}

// TestFromCollectionSpecErrors goes through what a hand-written spec can ask for that
// has no counterpart.
func TestFromCollectionSpecErrors(t *testing.T) {
	call := ebpfasm.Instruction{OpCode: ebpfasm.OpCode(ebpfasm.JumpClass).SetJumpOp(ebpfasm.Call)}
	kfunc, windows := call, call
	kfunc.Src, windows.Constant = ebpfasm.PseudoKfuncCall, platformTag+1
	program := func(insns ...ebpfasm.Instruction) *ebpf.CollectionSpec {
		return &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {Instructions: insns}}}
	}
	one := func(m *ebpf.MapSpec) *ebpf.CollectionSpec {
		return &ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{"m": m}}
	}
	for _, c := range []struct {
		name string
		spec *ebpf.CollectionSpec
		want string
		is   error
	}{
		{"nil", nil, "nil CollectionSpec", ErrInvalid},
		{"nil map", one(nil), "map m: nil MapSpec", ErrInvalid},
		{"nil program", &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": nil}}, "program p: nil ProgramSpec", ErrInvalid},
		{"nil variable", &ebpf.CollectionSpec{Variables: map[string]*ebpf.VariableSpec{"v": nil}}, "variable v: nil", ErrInvalid},
		{"variable without map", &ebpf.CollectionSpec{Variables: map[string]*ebpf.VariableSpec{"v": {SectionName: ".data"}}}, "variable v: there is no map .data", ErrInvalid},
		{"variable outside", &ebpf.CollectionSpec{
			Maps:      map[string]*ebpf.MapSpec{".data": {Type: ebpf.Array, Contents: []ebpf.MapKV{{Key: uint32(0), Value: []byte{1, 2}}}}},
			Variables: map[string]*ebpf.VariableSpec{"v": {SectionName: ".data", Offset: 1, Value: []byte{1, 2}}},
		}, "variable v: bytes [1, 3) are not within map .data", ErrInvalid},
		{"map of Windows", one(&ebpf.MapSpec{Type: ebpf.WindowsHash}), "map m: type WindowsHash is not one of Linux", ErrNotSupported},
		{"map_extra", one(&ebpf.MapSpec{Type: ebpf.BloomFilter, MapExtra: 3}), "map m: map_extra is 0x3", ErrNotSupported},
		{"legacy tail", one(&ebpf.MapSpec{Type: ebpf.Hash, Extra: bytes.NewReader([]byte{0, 1})}), "map m: the definition has 2 bytes beyond", ErrNotSupported},
		{"nested", one(&ebpf.MapSpec{Type: ebpf.ArrayOfMaps, InnerMap: &ebpf.MapSpec{InnerMap: &ebpf.MapSpec{}}}), "map m: the inner map is itself", ErrNotSupported},
		{"missing program", one(&ebpf.MapSpec{Type: ebpf.ProgramArray, Contents: []ebpf.MapKV{{Key: uint32(3), Value: "x"}}}), `map m: element 3 is program "x", which is not in the object`, ErrInvalid},
		{"missing map", one(&ebpf.MapSpec{Type: ebpf.HashOfMaps, Contents: []ebpf.MapKV{{Key: "k", Value: "x"}}}), `map m: element k is map "x"`, ErrInvalid},
		{"program of Windows", &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {Type: ebpf.WindowsXDP}}}, "program p: type WindowsXDP is not one of Linux", ErrNotSupported},
		{"attach target", &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {AttachTarget: &ebpf.Program{}}}}, "program p: it attaches to a program of the kernel", ErrNotSupported},
		{"kfunc number", program(ebpfasm.Return(), kfunc), "program p: instruction 1: calls a kernel function by its number 0", ErrNotSupported},
		{"helper of Windows", program(windows), "program p: instruction 0: function 268435457: not a helper of Linux", ErrNotSupported},
		{"map without name", program(ebpfasm.LoadMapPtr(ebpfasm.R1, 3)), "program p: instruction 0: refers to a map without a name", ErrInvalid},
		{"opcode", program(ebpfasm.Instruction{OpCode: 0xffff}), "program p: instruction 0", asm.ErrInvalidInstruction},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, err := FromCollectionSpec(c.spec)
			require.ErrorContains(t, err, c.want)
			require.ErrorIs(t, err, c.is)
			require.Nil(t, spec)
		})
	}

	zeros := bytes.NewReader(make([]byte, 8))
	_, err := FromCollectionSpec(one(&ebpf.MapSpec{Type: ebpf.Hash, Extra: zeros}))
	require.NoError(t, err)
	rest, err := io.ReadAll(zeros)
	require.NoError(t, err)
	require.Len(t, rest, 8, "the caller's reader is not moved")

	spec, err := FromCollectionSpec(&ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {Flags: 1<<4 | 1<<5 | 1<<3}}})
	require.NoError(t, err)
	require.True(t, spec.Programs["p"].Sleepable)
	require.Equal(t, []string{"program p: flags 0x8 of BPF_PROG_LOAD are ignored"}, spec.Notes)
}

// TestExceptionCallback has a function that nothing calls named by a tag of the entry.
func TestExceptionCallback(t *testing.T) {
	proto := &btf.FuncProto{Return: &btf.Int{Name: "int", Size: 4}}
	entry := &btf.Func{Name: "p", Type: proto, Tags: []string{"exception_callback:cb"}}
	cb := &btf.Func{Name: "cb", Type: proto, Linkage: btf.GlobalFunc}
	insns := ebpfasm.Instructions{btf.WithFuncMetadata(ebpfasm.Return().WithSymbol("p"), entry)}
	one := func() *ebpf.CollectionSpec {
		return &ebpf.CollectionSpec{Programs: map[string]*ebpf.ProgramSpec{"p": {Instructions: insns}}}
	}
	_, err := FromCollectionSpec(one())
	require.ErrorIs(t, err, ErrNotSupported)
	require.ErrorIs(t, err, sandbpf.ErrNotSupported)
	require.ErrorContains(t, err, "program p: exception callback cb: cilium/ebpf leaves a function out that nothing calls")

	insns = append(insns, btf.WithFuncMetadata(ebpfasm.Return().WithSymbol("cb"), cb))
	spec, err := FromCollectionSpec(one())
	require.NoError(t, err)
	require.True(t, spec.Programs["p"].Funcs["cb"].Exception)
	require.False(t, spec.Programs["p"].Funcs["p"].Exception)
}

// TestPanicIsAnError makes a reader of another module panic.
func TestPanicIsAnError(t *testing.T) {
	spec, err := FromCollectionSpec(&ebpf.CollectionSpec{Maps: map[string]*ebpf.MapSpec{
		".data": {Type: ebpf.Array, Value: &btf.Datasec{Name: ".data", Vars: make([]btf.VarSecinfo, 1)}}}})
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, "reading it panicked: runtime error")
	require.Nil(t, spec)
}

func TestLoadSpecOfMissingFile(t *testing.T) {
	_, err := LoadSpec("testdata/absent.o")
	require.ErrorIs(t, err, os.ErrNotExist)
}
