package main

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/internal/prog"
)

func integer(name string, size uint32, signed bool) *prog.BTFType {
	return &prog.BTFType{Kind: prog.BTFInt, Name: name, Size: size, Signed: signed}
}

func array(elem *prog.BTFType, n uint32) *prog.BTFType {
	return &prog.BTFType{Kind: prog.BTFArray, Elem: elem, Len: n, Size: elem.Size * n}
}

func TestDecodeValue(t *testing.T) {
	u8, char := integer("unsigned char", 1, false), integer("char", 1, true)
	u32, s16, u64 := integer("unsigned int", 4, false), integer("short", 2, true), integer("unsigned long long", 8, false)
	u128, boolean := integer("__int128", 16, true), integer("_Bool", 1, false)
	double := &prog.BTFType{Kind: prog.BTFFloat, Name: "double", Size: 8}
	pointer := &prog.BTFType{Kind: prog.BTFPointer, Size: 8, Elem: u8}
	inner := &prog.BTFType{Kind: prog.BTFUnion, Size: 4, Members: []prog.BTFMember{{Name: "word", Type: u32}, {Name: "half", Type: s16}}}
	pair := &prog.BTFType{Kind: prog.BTFStruct, Name: "pair", Size: 8, Members: []prog.BTFMember{{Name: "a", Type: u32}, {Type: inner, BitOff: 32}}}
	bits := &prog.BTFType{Kind: prog.BTFStruct, Name: "bits", Size: 2, Members: []prog.BTFMember{
		{Name: "low", Type: u8, BitSize: 3}, {Name: "high", Type: s16, BitOff: 3, BitSize: 13}}}
	native := func(words ...uint32) (b []byte) {
		for _, w := range words {
			b = binary.NativeEndian.AppendUint32(b, w)
		}
		return b
	}
	lowHigh := []byte{0b10101_110, 0xff} // low 6, high -11
	if isa.BigEndian {
		lowHigh = []byte{0b110_11111, 0b11110101}
	}
	short := binary.NativeEndian.AppendUint16(nil, 0xfffe)
	for name, tc := range map[string]struct {
		t    *prog.BTFType
		b    []byte
		text string
		json string
	}{
		"no type":       {nil, []byte{1, 2}, "01 02", `"0102"`},
		"u32":           {u32, native(0xffffffff), "4294967295", "4294967295"},
		"s16":           {s16, short, "-2", "-2"},
		"u64":           {u64, binary.NativeEndian.AppendUint64(nil, math.MaxUint64), "18446744073709551615", "18446744073709551615"},
		"u128":          {u128, make([]byte, 16), "00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00", `"00000000000000000000000000000000"`},
		"bool":          {boolean, []byte{1}, "true", "true"},
		"no bool":       {boolean, []byte{2}, "2", "2"},
		"double":        {double, binary.NativeEndian.AppendUint64(nil, math.Float64bits(1.5)), "1.5", "1.5"},
		"pointer":       {pointer, binary.NativeEndian.AppendUint64(nil, 7), "7", "7"},
		"string":        {array(char, 8), []byte("hi\"\x00\x00\x00\x00\x00"), `"hi\""`, `"hi\""`},
		"no string":     {array(char, 4), []byte("a\x00b\x00"), "61 00 62 00", `"61006200"`},
		"bytes":         {array(u8, 3), []byte("abc"), "61 62 63", `"616263"`},
		"array":         {array(u32, 2), native(1, 2), "[1 2]", "[1,2]"},
		"struct":        {pair, native(5, 0), "{a: 5, word: 0, half: 0}", `{"a":5,"word":0,"half":0}`},
		"bit field":     {bits, lowHigh, "{low: 6, high: -11}", `{"low":6,"high":-11}`},
		"too short":     {u32, []byte{1, 2}, "01 02", `"0102"`},
		"void":          {&prog.BTFType{}, []byte{1}, "", `""`},
		"empty array":   {array(&prog.BTFType{Kind: prog.BTFStruct}, math.MaxUint32), []byte{1}, "", `""`},
		"member beyond": {&prog.BTFType{Kind: prog.BTFStruct, Size: 1, Members: []prog.BTFMember{{Type: u8, BitOff: 64}}}, []byte{1}, "01", `"01"`},
	} {
		t.Run(name, func(t *testing.T) {
			v := decodeValue(tc.t, tc.b)
			require.Equal(t, tc.text, valueText(v))
			j, err := json.Marshal(v)
			require.NoError(t, err)
			require.Equal(t, tc.json, string(j))
		})
	}
}

// TestDecodeHostile decodes types that no compiler makes, in time that does not
// grow with how often they refer to each other.
func TestDecodeHostile(t *testing.T) {
	loop := &prog.BTFType{Kind: prog.BTFStruct, Size: 8}
	for range 50 {
		loop.Members = append(loop.Members, prog.BTFMember{Name: "self", Type: loop})
	}
	text := valueText(decodeValue(loop, make([]byte, 8)))
	require.Less(t, len(text), 64*maxParts)
	self := &prog.BTFType{Kind: prog.BTFArray, Size: 8, Len: 1}
	self.Elem = self
	require.Equal(t, strings.Repeat("[", maxNesting+1)+"00 00 00 00 00 00 00 00"+strings.Repeat("]", maxNesting+1),
		valueText(decodeValue(self, make([]byte, 8))))
	require.Contains(t, cType(self, "x"), "...")
	require.Len(t, structsOf(&prog.BTFType{Kind: prog.BTFStruct, Name: "s", Members: loop.Members}, nil), 1)
}

func TestCType(t *testing.T) {
	u32 := integer("unsigned int", 4, false)
	flow := &prog.BTFType{Kind: prog.BTFStruct, Name: "flow", Size: 4}
	pointer := func(to *prog.BTFType) *prog.BTFType { return &prog.BTFType{Kind: prog.BTFPointer, Size: 8, Elem: to} }
	for want, typ := range map[string]*prog.BTFType{
		"u32 x":          u32,
		"struct flow x":  flow,
		"struct flow *x": pointer(flow),
		"void *x":        pointer(&prog.BTFType{}),
		"u32 *x[4]":      array(pointer(u32), 4),
		"u32 (*x)[4]":    pointer(array(u32, 4)),
		"u32 x[2][4]":    array(array(u32, 4), 2),
		"enum color x":   {Kind: prog.BTFEnum, Name: "color", Size: 4},
		"union {...} x":  {Kind: prog.BTFUnion},
		"float x":        {Kind: prog.BTFFloat, Name: "float", Size: 4},
		"void (*x)()":    pointer(&prog.BTFType{Kind: prog.BTFFuncProto}),
		"? x":            nil,
	} {
		require.Equal(t, want, cType(typ, "x"))
	}
	require.Equal(t, "u32 [4]", cType(array(u32, 4), ""))
}

func FuzzParseHex(f *testing.F) {
	f.Add("b7 00\n00 2a")
	f.Add("0x")
	f.Add("é0")
	f.Fuzz(func(t *testing.T, text string) {
		b, err := parseHex(text)
		if err != nil {
			require.Nil(t, b)
			require.Equal(t, exitInput, exitCode(err))
			return
		}
		digits := strings.ToLower(strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) {
				return -1
			}
			return r
		}, text))
		require.Equal(t, digits, hex.EncodeToString(b))
	})
}
