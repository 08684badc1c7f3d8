package loader

import (
	"bytes"
	"encoding/binary"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/btftype"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// kconfigValues is enough for externs.o.
var kconfigValues = map[string]any{"CONFIG_HZ": 250, "CONFIG_BPF": true, "CONFIG_XDP": "m", "CONFIG_NET": "y", "CONFIG_LETTER": "y", "CONFIG_HOST": `"here"`}

func TestKconfig(t *testing.T) {
	spec := load(t, "externs.o", WithKconfig(kconfigValues))
	m := spec.Maps[".kconfig"]
	require.True(t, m.Freeze)
	for name, want := range map[string]any{
		"LINUX_KERNEL_VERSION": int32(0x061200), "LINUX_HAS_BPF_COOKIE": true, "CONFIG_HZ": uint64(250), "CONFIG_BPF": true,
		"CONFIG_XDP": uint32(2), "CONFIG_LETTER": byte('y'), "CONFIG_HOST": append([]byte("here"), make([]byte, 12)...), "CONFIG_MISSING": int32(0),
	} {
		v := spec.Variables[name]
		encoded, err := binary.Append(nil, binary.NativeEndian, want)
		require.NoError(t, err)
		require.Equal(t, encoded, v.Value, name)
		require.Equal(t, encoded, data(m)[v.Off:v.Off+v.Size], name)
		require.True(t, v.ReadOnly)
	}
	// The program reads each at its place.
	var read []string
	for _, ins := range spec.Programs["kconfig"].Instructions {
		if ins.Src == asm.PseudoMapValue && ins.Slots() == 2 {
			require.Equal(t, ".kconfig", ins.Reference())
			for name, v := range spec.Variables {
				if v.Off == uint32(ins.ImmHi()) {
					read = append(read, name)
				}
			}
		}
	}
	require.ElementsMatch(t, sortedKeys(spec.Variables), read)

	spec = load(t, "externs.o", WithKconfig(kconfigValues), WithKconfig(map[string]any{"LINUX_KERNEL_VERSION": 5<<16 | 4<<8, "CONFIG_MISSING": "-0x10"}))
	var n int32
	require.NoError(t, spec.Variables["LINUX_KERNEL_VERSION"].Get(&n))
	require.Equal(t, int32(0x050400), n)
	require.NoError(t, spec.Variables["CONFIG_MISSING"].Get(&n))
	require.Equal(t, int32(-16), n)
}

func TestMissingKconfig(t *testing.T) {
	littleEndian(t)
	some := maps.Clone(kconfigValues)
	delete(some, "CONFIG_HZ")
	_, err := LoadSpec("testdata/externs.o", WithKconfig(some))
	require.EqualError(t, err, "testdata/externs.o: variable CONFIG_HZ: a __kconfig extern that is not weak has no value: give it with WithKconfig")
	require.ErrorIs(t, err, ErrInvalid)
	some["CONFIG_HZ"] = "\"text\""
	_, err = LoadSpec("testdata/externs.o", WithKconfig(some))
	var bad *Error
	require.True(t, errors.As(err, &bad))
	require.Equal(t, "CONFIG_HZ", bad.Name)
	require.ErrorContains(t, err, "kconfig value \"text\": not a number")
}

func TestEncodeKconfig(t *testing.T) {
	integer := func(size uint32, e btf.IntEncoding) btf.Type { return &btf.Int{Size: size, Encoding: e} }
	tristate := &btf.Enum{Name: "libbpf_tristate", Size: 4}
	text := &btf.Array{Type: integer(1, btf.Char), Nelems: 4}
	for _, c := range []struct {
		typ  btf.Type
		in   any
		want []byte // nil: refused
	}{
		{integer(1, btf.Bool), "y", []byte{1}},
		{integer(1, btf.Bool), "n", []byte{0}},
		{integer(1, btf.Bool), "m", nil},
		{integer(1, btf.Bool), true, []byte{1}},
		{integer(1, btf.Bool), 1, []byte{1}},
		{integer(1, btf.Bool), 2, nil},
		{integer(1, btf.Bool), -1, nil},
		{integer(1, btf.Char), "m", []byte{'m'}},
		{integer(1, btf.Unsigned), 255, []byte{255}},
		{integer(1, btf.Unsigned), 256, nil},
		{integer(1, btf.Unsigned), -1, nil},
		{integer(1, btf.Signed), -128, []byte{128}},
		{integer(1, btf.Signed), -129, nil},
		{integer(1, btf.Signed), 128, nil},
		{integer(2, btf.Unsigned), "0x102", binary.NativeEndian.AppendUint16(nil, 0x102)},
		{integer(4, btf.Signed), "-2", binary.NativeEndian.AppendUint32(nil, 1<<32-2)},
		{integer(4, btf.Unsigned), "y", nil},
		{integer(4, btf.Unsigned), "seven", nil},
		{integer(4, btf.Unsigned), 1.5, nil},
		{integer(4, btf.Unsigned), nil, nil},
		{integer(8, btf.Unsigned), uint64(1<<64 - 1), binary.NativeEndian.AppendUint64(nil, 1<<64-1)},
		{integer(8, btf.Signed), uint64(1<<64 - 1), nil},
		{integer(8, btf.Signed), int64(-1 << 63), binary.NativeEndian.AppendUint64(nil, 1<<63)},
		{integer(16, btf.Unsigned), 1, nil},
		{tristate, "m", binary.NativeEndian.AppendUint32(nil, 2)},
		{tristate, "n", make([]byte, 4)},
		{tristate, 1, binary.NativeEndian.AppendUint32(nil, 1)},
		{&btf.Enum{Name: "other", Size: 4}, "y", nil},
		{text, "abc", []byte("abc\x00")},
		{text, `"ab"`, []byte("ab\x00\x00")},
		{text, `"ab`, nil},
		{text, "abcd", nil},
		{text, 7, nil},
		{&btf.Array{Type: integer(4, btf.Signed), Nelems: 4}, "abc", nil},
		{&btf.Typedef{Name: "u8", Type: &btf.Const{Type: integer(1, btf.Unsigned)}}, 9, []byte{9}},
		{&btf.Struct{Size: 4}, 1, nil},
	} {
		dst := make([]byte, btftype.Size(c.typ))
		err := encodeKconfig(c.typ, c.in, dst)
		if c.want == nil {
			require.Error(t, err, "%v into %v", c.in, c.typ)
			continue
		}
		require.NoError(t, err, "%v into %v", c.in, c.typ)
		require.Equal(t, c.want, dst, "%v into %v", c.in, c.typ)
	}
}

func TestParseKconfig(t *testing.T) {
	values, err := ParseKconfig(strings.NewReader("# a comment\n\nCONFIG_A=y\nCONFIG_B=\"a = b\"\n# CONFIG_C is not set\nCONFIG_D=0x10\n"))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"CONFIG_A": "y", "CONFIG_B": `"a = b"`, "CONFIG_D": "0x10"}, values)
	for _, bad := range []string{"x", "=y", "CONFIG_A="} {
		_, err := ParseKconfig(strings.NewReader("CONFIG_Z=1\n" + bad))
		require.ErrorContains(t, err, "line 2: no NAME=value")
	}
	_, err = ParseKconfig(strings.NewReader(strings.Repeat("\x7f", 10000)))
	require.Less(t, len(err.Error()), 250, "of a file that is something else, the start is enough")
	_, err = ParseKconfig(strings.NewReader("CONFIG_Z=1\nCONFIG_Y=" + strings.Repeat("y", 1<<17)))
	require.ErrorContains(t, err, "line 2: ")
}

func TestKsyms(t *testing.T) {
	spec := load(t, "externs.o", WithKconfig(kconfigValues))
	p := spec.Programs["ksyms"]
	require.Equal(t, []string{"runqueues", "typeless"}, sortedKeys(p.Ksyms), "those that are not weak stay")
	require.Equal(t, prog.BTFVoid, p.Ksyms["typeless"].Type.Kind)
	require.Equal(t, "rq", p.Ksyms["runqueues"].Type.Name)
	require.False(t, p.Ksyms["runqueues"].Weak)
	require.Equal(t, []asm.Instruction{
		{Op: 0x18, Dst: 2}, {Op: 0x18, Dst: 2, Src: asm.PseudoBTFID}, {Op: 0x18, Src: asm.PseudoBTFID}, {Op: 0x18, Dst: 2},
	}, immediates(p))

	spec = load(t, "externs.o", WithKconfig(kconfigValues), WithKsyms(map[string]uint64{"typeless": 1 << 40, "typed_weak": 5, "runqueues": 6}))
	p = spec.Programs["ksyms"]
	require.Empty(t, p.Ksyms)
	require.Equal(t, []asm.Instruction{
		{Op: 0x18, Dst: 2, Imm: 5}, {Op: 0x18, Dst: 2, Imm: 6}, {Op: 0x18, Imm: 1 << 40}, {Op: 0x18, Dst: 2},
	}, immediates(p))
}

// immediates returns the 64-bit immediate loads of a program, in the order of what
// they load.
func immediates(p *sandbpf.ProgramSpec) []asm.Instruction {
	var out []asm.Instruction
	for _, ins := range p.Instructions {
		if ins.Slots() == 2 {
			out = append(out, asm.Instruction{Op: ins.Op, Dst: ins.Dst, Src: ins.Src, Imm: ins.Imm})
		}
	}
	return out
}

func TestKfuncs(t *testing.T) {
	spec := load(t, "externs.o", WithKconfig(kconfigValues))
	p := spec.Programs["kfuncs"]
	require.Equal(t, []string{"bpf_maybe", "bpf_strong"}, sortedKeys(p.Kfuncs))
	require.True(t, p.Kfuncs["bpf_maybe"].Weak)
	require.False(t, p.Kfuncs["bpf_strong"].Weak)
	require.Equal(t, prog.BTFFuncProto, p.Kfuncs["bpf_strong"].Proto.Kind)
	require.Equal(t, "unsigned int", p.Kfuncs["bpf_strong"].Proto.Params[0].Type.Name)
	// Whether a weak function is there is asked by taking its address.
	require.Equal(t, []string{"bpf_maybe"}, sortedKeys(p.Ksyms))
	require.True(t, p.Ksyms["bpf_maybe"].Weak)
	require.Equal(t, prog.BTFFunc, p.Ksyms["bpf_maybe"].Type.Kind)
}

// TestExternsFromCollectionSpec watches that the metadata of cilium/ebpf can be read:
// all that this package knows of externs in a CollectionSpec comes from there.
func TestExternsFromCollectionSpec(t *testing.T) {
	littleEndian(t)
	raw, err := os.ReadFile("testdata/externs.o")
	require.NoError(t, err)
	_, err = ebpf.LoadCollectionSpecFromReader(bytes.NewReader(raw))
	require.Error(t, err, "cilium/ebpf reads the object itself now: amend is not needed any more")

	obj, err := parseObject(raw)
	require.NoError(t, err)
	ext, amended, err := obj.amend()
	require.NoError(t, err)
	require.Equal(t, map[string]bool{"CONFIG_MISSING": true}, ext.weakKconfig)
	require.Equal(t, []string{"runqueues", "typed_weak", "typeless", "typeless_weak"}, sortedKeys(ext.ksymTypes))
	theirs, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(amended))
	require.NoError(t, err)

	values := maps.Clone(kconfigValues)
	values["CONFIG_MISSING"] = 0
	spec, err := FromCollectionSpec(theirs, WithKconfig(values))
	require.NoError(t, err)
	want := load(t, "externs.o", WithKconfig(kconfigValues))
	for name, p := range want.Programs {
		require.Equal(t, p.Instructions, spec.Programs[name].Instructions)
	}
	require.Equal(t, want.Programs["kfuncs"].Kfuncs, spec.Programs["kfuncs"].Kfuncs)
}
