package verifier

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// endless returns a struct and an array that contain themselves, as no kernel would load.
func endless() []*prog.BTFType {
	array := &prog.BTFType{Kind: prog.BTFArray, Len: 3}
	array.Elem = array
	self := &prog.BTFType{Kind: prog.BTFStruct, Name: "self", Size: 64, Members: make([]prog.BTFMember, 10_000)}
	for i := range self.Members {
		self.Members[i].Type = self
	}
	return []*prog.BTFType{array, self, {Kind: prog.BTFStruct, Size: 64, Members: []prog.BTFMember{{Type: array}, {Type: self}}}}
}

// TestEndlessTypes has walks through types end, whatever the types are.
func TestEndlessTypes(t *testing.T) {
	for _, typ := range endless() {
		m := &Map{Name: "m", Type: 1, KeySize: 4, ValueSize: 64, MaxEntries: 1, Value: typ}
		_, err := Verify(program(t, "r0 = 0\nexit\n"), &Env{Maps: []*Map{m}})
		require.NoError(t, err)
		require.False(t, scalarsOnly(typ))
		_, ok := findMember(typ, 4, 4)
		require.False(t, ok)
	}
}

// TestEndlessTemplate has a map that is the template of its own inner maps refused.
func TestEndlessTemplate(t *testing.T) {
	m := &Map{Name: "m", Type: maps.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1}
	m.Inner = m
	p := program(t, "r1 = map[idx:0] ll\nr0 = 0\nexit\n")
	_, err := Verify(p, &Env{Maps: []*Map{m}})
	require.ErrorContains(t, err, "maps of maps themselves")
}

// TestHugeTypes has sizes that no memory has be none: as numbers of bytes they would wrap.
func TestHugeTypes(t *testing.T) {
	typ := &prog.BTFType{Kind: prog.BTFStruct, Name: "s", Size: 16}
	require.Equal(t, 16, sizeOf(typ))
	for _, n := range []uint32{3, 2833, 37171, 1824726041} { // whose product is 1<<59 + 1
		typ = &prog.BTFType{Kind: prog.BTFArray, Len: n, Elem: typ}
	}
	require.Zero(t, sizeOf(typ))
	require.Zero(t, sizeOf(&prog.BTFType{Kind: prog.BTFArray, Len: 1 << 28, Elem: &prog.BTFType{Kind: prog.BTFInt, Size: 8}}))
}

// TestReadOnlySlice has bytes that a hook gives to be read stay as they are.
func TestReadOnlySlice(t *testing.T) {
	env := &Env{Ctx: &prog.CtxLayout{Name: "ctx", Size: 32, Fields: []prog.CtxField{
		{Name: "in", Off: 0, Size: 8, Kind: prog.PacketData, Ptr: 0, Reads: 8},
		{Name: "in_end", Off: 8, Size: 8, Kind: prog.PacketEnd, Ptr: 1, Reads: 8},
		{Name: "out", Off: 16, Size: 8, Kind: prog.PacketData, Ptr: 2, Reads: 8, WritableData: true},
		{Name: "out_end", Off: 24, Size: 8, Kind: prog.PacketEnd, Ptr: 3, Reads: 8},
	}}}
	for _, c := range []struct {
		name, slice, end, access string
		code                     Code
	}{
		{"load", "0", "8", "r0 = *(u8 *)(r2 + 0)", ""},
		{"store", "0", "8", "*(u8 *)(r2 + 0) = 1", CodeReadOnly},
		{"store of a register", "0", "8", "*(u8 *)(r2 + 0) = r4", CodeReadOnly},
		{"store that is allowed", "16", "24", "*(u8 *)(r2 + 0) = 1", ""},
		{"other slice's end", "16", "8", "r0 = *(u8 *)(r2 + 0)", CodePacketBounds},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := program(t, "r2 = *(u64 *)(r1 + "+c.slice+")\nr3 = *(u64 *)(r1 + "+c.end+")\nr4 = r2\nr4 += 1\nif r4 > r3 goto +2\nr4 = 7\n"+
				c.access+"\nr0 = 0\nexit\n")
			p.Type = prog.Custom
			_, err := Verify(p, env)
			if c.code == "" {
				require.NoError(t, err)
				return
			}
			var e *Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.code, e.Code)
		})
	}
}
