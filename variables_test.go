package sandbpf

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func variable(size int) *VariableSpec {
	return &VariableSpec{Name: "v", Size: uint32(size), Value: make([]byte, size)}
}

func TestVariableSetGet(t *testing.T) {
	native := func(v any) []byte {
		b, err := binary.Append(nil, binary.NativeEndian, v)
		require.NoError(t, err)
		return b
	}
	for _, c := range []struct {
		size int
		in   any
		want []byte
	}{
		{4, 7, native(uint32(7))},
		{4, -7, native(int32(-7))},
		{1, uint64(255), []byte{255}},
		{1, int8(-128), []byte{128}},
		{2, 65535, native(uint16(65535))},
		{8, -1, native(int64(-1))},
		{8, uint64(1<<64 - 1), native(int64(-1))},
		{1, true, []byte{1}},
		{4, false, make([]byte, 4)},
		{6, "eth0", []byte("eth0\x00\x00")},
		{3, []byte{1, 2, 3}, []byte{1, 2, 3}},
		{8, [2]uint32{1, 2}, native([2]uint32{1, 2})},
		{4, struct{ A, B uint16 }{3, 4}, native([]uint16{3, 4})},
		{4, netip.MustParseAddr("10.0.0.1"), []byte{10, 0, 0, 1}},
	} {
		v := variable(c.size)
		require.NoError(t, v.Set(c.in), "%T %v", c.in, c.in)
		require.Equal(t, c.want, v.Value, "%T %v", c.in, c.in)
	}

	v := variable(8)
	require.NoError(t, v.Set("abc"))
	var text string
	require.NoError(t, v.Get(&text))
	require.Equal(t, "abc", text)
	var raw []byte
	require.NoError(t, v.Get(&raw))
	require.Equal(t, v.Value, raw)
	raw[0]++
	require.NotEqual(t, v.Value[0], raw[0], "a copy")
	require.NoError(t, v.Set(uint64(1)<<40))
	var n uint64
	require.NoError(t, v.Get(&n))
	require.Equal(t, uint64(1)<<40, n)
	a := variable(4)
	require.NoError(t, a.Set([]byte{192, 0, 2, 1}))
	var addr netip.Addr
	require.NoError(t, a.Get(&addr))
	require.Equal(t, "192.0.2.1", addr.String())
}

func TestVariableErrors(t *testing.T) {
	for _, c := range []struct {
		size int
		in   any
		want string
	}{
		{1, 256, "variable v of 1 bytes: 256 does not fit"},
		{1, -129, "does not fit"},
		{4, uint64(1) << 32, "does not fit"},
		{3, 1, "it is no integer"},
		{4, "12345", "string has 5 bytes"},
		{4, []byte{1}, "[]uint8 has 1 bytes"},
		{4, [2]uint32{}, "has 8 bytes"},
		{4, struct{ P *int }{}, "variable v of 4 bytes: "},
		{4, nil, "variable v of 4 bytes: nil"},
		{4, (*uint32)(nil), "nil *uint32"},
	} {
		v := variable(c.size)
		require.ErrorContains(t, v.Set(c.in), c.want, "%T", c.in)
		require.Equal(t, make([]byte, c.size), v.Value, "not changed")
	}
	var n uint32
	require.ErrorContains(t, variable(8).Get(&n), "variable v of 8 bytes: *uint32 has 4")
	require.ErrorContains(t, variable(4).Get(n+1), "variable v")
	require.ErrorContains(t, variable(4).Get(nil), "nil")
	require.ErrorContains(t, variable(4).Get((*uint32)(nil)), "nil *uint32")
	var addr netip.Addr
	require.ErrorContains(t, variable(3).Get(&addr), "variable v: ")
}
