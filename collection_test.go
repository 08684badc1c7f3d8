package sandbpf

import (
	"encoding/binary"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// testCollection is two programs, of which the first tail-calls the second, with a
// counter, global data and maps that hold programs and maps.
func testCollection(t testing.TB) *CollectionSpec {
	data := binary.NativeEndian.AppendUint32(binary.NativeEndian.AppendUint32(nil, 1), 2)
	entry := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1), asm.LoadMapPtr(asm.R2, "jumps"), asm.Mov.Imm(asm.R3, 1), asm.FnTailCall.Call(),
		asm.Mov.Imm(asm.R0, 99), asm.Return()}
	target := asm.Instructions{
		asm.LoadMapValue(asm.R1, ".data", 4), asm.LoadMem(asm.R0, asm.R1, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.R0), asm.Add.Imm(asm.R2, 1), asm.StoreMem(asm.R1, 0, asm.R2, asm.Word), asm.Return()}
	u32 := func(name string, typ maps.Type) *maps.Spec {
		return &maps.Spec{Name: name, Type: typ, KeySize: 4, ValueSize: 4, MaxEntries: 2}
	}
	spec := &CollectionSpec{
		Programs: map[string]*ProgramSpec{
			"entry":  {Name: "entry", Type: XDP, Instructions: entry},
			"target": {Name: "target", Type: XDP, Instructions: target},
		},
		Maps: map[string]*maps.Spec{
			"jumps": u32("jumps", maps.ProgramArray), "outer": u32("outer", maps.ArrayOfMaps), "inner": u32("inner", maps.Array),
			".data": {Name: ".data", Type: maps.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1, Flags: maps.FlagMmapable,
				Contents: []maps.KV{{Key: uint32(0), Value: data}}},
		},
		Variables: map[string]*VariableSpec{
			"first":  {Name: "first", Map: ".data", Off: 0, Size: 4, Value: data[0:4:4], ReadOnly: true},
			"second": {Name: "second", Map: ".data", Off: 4, Size: 4, Value: data[4:8:8]},
		},
	}
	spec.Maps["jumps"].Contents = []maps.KV{{Key: uint32(1), Value: "target"}}
	spec.Maps["outer"].InnerMap = u32("inner", maps.Array)
	spec.Maps["outer"].Contents = []maps.KV{{Key: uint32(0), Value: "inner"}}
	return spec
}

func TestCollection(t *testing.T) {
	v := newVM(t)
	spec := testCollection(t)
	require.NoError(t, spec.Variables["second"].Set(uint32(7)))
	coll, err := v.LoadCollection(spec)
	require.NoError(t, err)
	require.Equal(t, []string{"entry", "target"}, coll.Programs())
	require.Equal(t, []string{".data", "inner", "jumps", "outer"}, coll.Maps())
	require.Equal(t, []string{"first", "second"}, coll.Variables())
	require.Nil(t, coll.Program("none"))
	require.Nil(t, coll.Map("none"))
	require.Nil(t, coll.Variable("none"))

	run := func() uint32 {
		ret, _, err := coll.Program("entry").Test(packet)
		require.NoError(t, err)
		return ret
	}
	require.Equal(t, uint32(7), run(), "through the tail call")
	require.Equal(t, uint32(8), run())
	var second uint32
	require.NoError(t, coll.Variable("second").Get(&second))
	require.Equal(t, uint32(9), second)
	require.NoError(t, coll.Variable("second").Set(uint32(100)))
	require.Equal(t, uint32(100), run())
	require.ErrorIs(t, coll.Variable("first").Set(uint32(1)), os.ErrPermission)

	require.NoError(t, coll.Map("jumps").Put(uint32(1), coll.Program("entry")))
	require.Equal(t, uint32(99), run(), "after 33 tail calls to itself")
	target := coll.Program("target")
	require.NoError(t, coll.Map("jumps").Put(uint32(1), target))
	require.Equal(t, uint32(101), run())
	require.NoError(t, target.Close())
	require.Equal(t, uint32(99), run(), "the target is closed")
	require.Error(t, coll.Map("jumps").Put(uint32(1), target))

	require.NoError(t, coll.Close())
	require.NoError(t, coll.Close())
	_, _, err = coll.Program("entry").Test(packet)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, coll.Variable("second").Set(uint32(1)), ErrClosed)
}

// TestCollectionOnly loads some programs of a collection with others that cannot be loaded.
func TestCollectionOnly(t *testing.T) {
	v := newVM(t)
	spec := testCollection(t)
	spec.Maps["stacks"] = &maps.Spec{Name: "stacks", Type: maps.StackTrace, KeySize: 4, ValueSize: 8, MaxEntries: 1}
	spec.Programs["probe"] = &ProgramSpec{Name: "probe", Type: prog.Kprobe,
		Instructions: asm.Instructions{asm.LoadMapPtr(asm.R1, "stacks"), asm.LoadMapPtr(asm.R2, "outer"), asm.Mov.Imm(asm.R0, 0), asm.Return()}}
	_, err := v.LoadCollection(spec)
	require.ErrorIs(t, err, ErrNotSupported)

	_, err = spec.Only("entry", "none")
	require.ErrorIs(t, err, ErrNotExist)
	only, err := spec.Only("entry")
	require.NoError(t, err)
	coll, err := v.LoadCollection(only)
	require.NoError(t, err)
	require.Equal(t, []string{"entry", "target"}, coll.Programs(), "it jumps to target")
	require.Equal(t, []string{".data", "jumps"}, coll.Maps())
	require.Equal(t, []string{"first", "second"}, coll.Variables())
	require.NoError(t, coll.Close())

	only, err = spec.Only("probe")
	require.NoError(t, err)
	require.Equal(t, []string{"inner", "outer", "stacks"}, sortedKeys(only.Maps))
	require.Empty(t, only.Variables)
	require.Len(t, spec.Maps, 5)
}

func TestCollectionReusesMaps(t *testing.T) {
	v := newVM(t)
	first, err := v.LoadCollection(testCollection(t))
	require.NoError(t, err)
	_, _, err = first.Program("entry").Test(packet)
	require.NoError(t, err)
	data := map[string]*maps.Map{".data": first.Map(".data")}
	second, err := v.LoadCollection(testCollection(t), WithMaps(data))
	require.NoError(t, err)
	require.NoError(t, first.Close())
	ret, _, err := second.Program("entry").Test(packet)
	require.NoError(t, err)
	require.Equal(t, uint32(3), ret, "it goes on from the first one's 2")

	other := testCollection(t)
	other.Maps[".data"].ValueSize = 16
	other.Maps[".data"].Contents = nil
	_, err = v.LoadCollection(other, WithMaps(map[string]*maps.Map{".data": second.Map(".data")}))
	require.ErrorIs(t, err, ErrMapIncompatible)
	_, err = v.LoadCollection(other, WithMaps(map[string]*maps.Map{"none": second.Map(".data")}))
	require.ErrorIs(t, err, ErrNotExist)
	require.NoError(t, second.Close())
}

func TestCollectionRefuses(t *testing.T) {
	v := newVM(t)
	for text, spoil := range map[string]func(*CollectionSpec){
		`program "gone"`: func(s *CollectionSpec) { s.Maps["jumps"].Contents[0].Value = "gone" },
		`map "gone"`:     func(s *CollectionSpec) { s.Maps["outer"].Contents[0].Value = "gone" },
		"variable first": func(s *CollectionSpec) { s.Variables["first"].Map = "gone" },
		"map jumps":      func(s *CollectionSpec) { s.Maps["jumps"].Contents[0].Key = uint32(9) },
		"key size":       func(s *CollectionSpec) { s.Maps["inner"].KeySize = 3 },
		"program entry":  func(s *CollectionSpec) { s.Programs["entry"].Instructions = parse(t, "call 9999\nexit") },
		"map jumps: element 0": func(s *CollectionSpec) { // of another type
			s.Programs["target"].Type = SchedCLS
			s.Maps["jumps"].Contents = []maps.KV{{Key: uint32(0), Value: "entry"}, {Key: uint32(1), Value: "target"}}
			s.Maps["jumps"].Contents[0], s.Maps["jumps"].Contents[1] = s.Maps["jumps"].Contents[1], s.Maps["jumps"].Contents[0]
			s.Maps["jumps"].MaxEntries = 1
		},
	} {
		spec := testCollection(t)
		spoil(spec)
		coll, err := v.LoadCollection(spec)
		require.ErrorContains(t, err, text)
		require.Nil(t, coll)
	}
}
