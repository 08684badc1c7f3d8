package loader

import (
	"runtime"
	"testing"

	"github.com/cilium/ebpf"
	ebpfasm "github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

func targetTypes(t *testing.T) *btf.Spec {
	t.Helper()
	types, err := btf.LoadSpec("testdata/core_target.o")
	require.NoError(t, err)
	return types
}

// TestCORE relocates against a kernel where struct task begins with 8 new bytes, has a
// narrower moved and no gone, and STOPPED is another number.
func TestCORE(t *testing.T) {
	own := load(t, "core.o")
	spec := load(t, "core.o", WithKernelTypes(targetTypes(t)))
	load64 := func(dst asm.Register, off int16, size asm.Size) asm.Instruction {
		return asm.LoadMem(dst, asm.R1, off, size)
	}

	fields := own.Programs["core_fields"].Instructions
	require.Equal(t, []asm.Instruction{load64(2, 0, asm.Word), load64(0, 4, asm.Word)}, bare(fields[:2]))
	fields = spec.Programs["core_fields"].Instructions
	// As libbpf does for integers, cilium/ebpf leaves the width as it was.
	require.Equal(t, []asm.Instruction{load64(2, 12, asm.Word), load64(0, 10, asm.Word)}, bare(fields[:2]))

	require.Equal(t, []int64{4, 4, 1, 1, 24}, constants(own.Programs["core_info"].Instructions))
	require.Equal(t, []int64{10, 2, 0, 0, 48}, constants(spec.Programs["core_info"].Instructions))
	require.Equal(t, []int64{2, 1}, constants(own.Programs["core_enum"].Instructions))
	require.Equal(t, []int64{77, 0}, constants(spec.Programs["core_enum"].Instructions))

	ids := constants(spec.Programs["core_ids"].Instructions)
	require.Equal(t, constants(own.Programs["core_ids"].Instructions)[1], ids[1], "the local type")
	var task *btf.Struct
	types := targetTypes(t)
	require.NoError(t, types.TypeByName("task", &task))
	id, err := types.TypeID(task)
	require.NoError(t, err)
	require.Equal(t, int64(id), ids[0], "the kernel's type")

	poison := spec.Programs["core_poison"].Instructions
	require.Equal(t, bare([]asm.Instruction{poisonHelper.Call()}), bare(poison[len(poison)-2:len(poison)-1]))
	require.Len(t, spec.Notes, 1)
	require.Contains(t, spec.Notes[0], "program core_poison: instruction 3 (return t->gone;): ")
	require.Contains(t, spec.Notes[0], "has no match in the kernel's types")
	require.Empty(t, own.Notes)
}

func bare(insns []asm.Instruction) []asm.Instruction {
	var out []asm.Instruction
	for _, ins := range insns {
		out = append(out, asm.Instruction{Op: ins.Op, Dst: ins.Dst, Src: ins.Src, Off: ins.Off, Imm: ins.Imm})
	}
	return out
}

// constants returns what relocations put in: the moves and loads of a number, but for
// the multipliers.
func constants(insns []asm.Instruction) []int64 {
	var out []int64
	for _, ins := range insns {
		if in, err := ins.Info(); err == nil && (in.Kind == asm.KindLoadImm64 || in.Kind == asm.KindALU && in.ALU == asm.Mov && in.Source == asm.ImmSource) {
			out = append(out, ins.Imm)
		}
	}
	return out
}

// TestCOREAgainstCilium compares with what cilium/ebpf's own Apply does, where it does.
func TestCOREAgainstCilium(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("cilium/ebpf applies CO-RE relocations on Linux only")
	}
	littleEndian(t)
	theirs, err := ebpf.LoadCollectionSpec("testdata/core.o")
	require.NoError(t, err)
	ours := load(t, "core.o", WithKernelTypes(targetTypes(t)))
	for name, p := range theirs.Programs {
		var relos []*btf.CORERelocation
		var at []*ebpfasm.Instruction
		for i := range p.Instructions {
			if relo := btf.CORERelocationMetadata(&p.Instructions[i]); relo != nil {
				relos, at = append(relos, relo), append(at, &p.Instructions[i])
			}
		}
		require.NotEmpty(t, relos, name)
		fixups, err := btf.CORERelocate(relos, []*btf.Spec{targetTypes(t)}, nativeOrder, theirs.Types.TypeID)
		require.NoError(t, err)
		for i := range fixups {
			require.NoError(t, fixups[i].Apply(at[i]))
		}
		want, err := FromInstructions(p.Instructions)
		require.NoError(t, err)
		require.Equal(t, bare(want), bare(ours.Programs[name].Instructions), name)
	}
}

// TestCOREByOwnTypes shows that the default is what relocating against the program's
// own types comes to.
func TestCOREByOwnTypes(t *testing.T) {
	own, err := btf.LoadSpec("testdata/core.o")
	require.NoError(t, err)
	require.Equal(t, load(t, "core.o").Programs, load(t, "core.o", WithKernelTypes(own)).Programs)
}

func TestCOREByRunningKernel(t *testing.T) {
	littleEndian(t)
	if _, err := btf.LoadKernelSpec(); err != nil {
		_, err := LoadSpec("testdata/core.o", WithRunningKernel())
		require.ErrorContains(t, err, "kernel types for CO-RE")
		t.Skip("no kernel with types")
	}
	// No kernel has a struct task: every field of it is missing.
	spec := load(t, "core.o", WithRunningKernel())
	require.Equal(t, []asm.Instruction{poisonHelper.Call(), poisonHelper.Call()}, bare(spec.Programs["core_fields"].Instructions[:2]))
}

func TestCOREErrors(t *testing.T) {
	littleEndian(t)
	_, err := LoadSpec("testdata/core.o", WithKernelTypes(nil))
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, "kernel types for CO-RE: nil *btf.Spec")

	big, err := btf.LoadSpec("testdata/variables.be.o")
	require.NoError(t, err)
	_, err = LoadSpec("testdata/core.o", WithKernelTypes(big))
	require.ErrorIs(t, err, ErrInvalid)
	require.ErrorContains(t, err, "program core_enum: ")
	require.ErrorContains(t, err, "CO-RE: can't relocate LittleEndian against BigEndian")

	theirs, err := ebpf.LoadCollectionSpec("testdata/core.o")
	require.NoError(t, err)
	theirs.Types = nil
	_, err = FromCollectionSpec(theirs, WithKernelTypes(targetTypes(t)))
	require.ErrorContains(t, err, "CO-RE relocations without the types of the program")
	_, err = FromCollectionSpec(theirs)
	require.NoError(t, err)
}

func TestApplyFixup(t *testing.T) {
	for _, c := range []struct {
		name string
		ins  asm.Instruction
		fix  fixup
		want asm.Instructions // nil: refused
	}{
		{"load", asm.LoadMem(1, 2, 3, asm.Byte), fixup{value: 32767}, asm.Instructions{asm.LoadMem(1, 2, 32767, asm.Byte)}},
		{"far", asm.LoadMem(1, 2, 3, asm.Byte), fixup{value: 32768}, nil},
		{"store", asm.StoreImm(1, 2, 3, asm.Byte), fixup{value: 4}, asm.Instructions{asm.StoreImm(1, 4, 3, asm.Byte)}},
		{"negative", asm.Mov.Imm(1, 0), fixup{value: 1<<64 - 2}, asm.Instructions{asm.Mov.Imm(1, -2)}},
		{"unsigned", asm.Mov.Imm(1, 0), fixup{value: 1<<32 - 2}, nil},
		{"unsigned, 32 bits", asm.Mov.Imm32(1, 0), fixup{value: 1<<32 - 2}, asm.Instructions{asm.Mov.Imm32(1, -2)}},
		{"large, 32 bits", asm.Mov.Imm32(1, 0), fixup{value: 1 << 32}, nil},
		{"64 bits", asm.LoadImm(1, 0), fixup{value: 1 << 63}, asm.Instructions{asm.LoadImm(1, -1<<63)}},
		{"map", asm.LoadMapPtr(1, "m"), fixup{value: 1}, nil},
		{"registers", asm.Mov.Reg(1, 2), fixup{value: 1}, nil},
		{"swap", asm.ToBE(1, asm.Bits16), fixup{value: 1}, nil},
		{"exit", asm.Return(), fixup{value: 1}, nil},
		{"no instruction", asm.Instruction{Op: 0xff}, fixup{value: 1}, nil},
		{"poison of two slots", asm.LoadImm(1, 0).WithSymbol("f"), fixup{poison: true}, asm.Instructions{poisonHelper.Call().WithSymbol("f"), poisonHelper.Call()}},
	} {
		got, err := c.fix.apply(c.ins)
		if c.want == nil {
			require.Error(t, err, c.name)
			continue
		}
		require.NoError(t, err, c.name)
		require.Equal(t, bare(c.want), bare(got), c.name)
		require.Equal(t, c.want[0].Symbol(), got[0].Symbol())
	}
}

func TestParseFixup(t *testing.T) {
	got, err := parseFixup("byte_off=0->18446744073709551615")
	require.NoError(t, err)
	require.Equal(t, fixup{value: 1<<64 - 1}, got)
	got, err = parseFixup("unknown (13)=poison")
	require.NoError(t, err)
	require.Equal(t, fixup{poison: true}, got)
	for _, bad := range []string{"", "byte_off", "byte_off=", "byte_off=1", "byte_off=1->x"} {
		_, err := parseFixup(bad)
		require.Error(t, err, bad)
	}
}
