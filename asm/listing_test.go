package asm_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

var listed = asm.Instructions{
	asm.LoadMapPtr(asm.R1, "counts"),
	asm.Mov.Imm(asm.R2, 0).WithSymbol("L4"), // a name that a listing would make up
	asm.JEq.Imm(asm.R2, 1, "done"),
	asm.FnMapLookupElem.Call(),
	{Op: 0x05, Off: -2},
	{Op: 0x05, Off: 100},
	{Op: 0x05, Off: -7}, // into the middle of the first instruction
	asm.Return().WithSymbol("done"),
}

func TestFormat(t *testing.T) {
	for _, c := range []struct {
		format asm.Format
		want   string
	}{
		{asm.Format{}, "r1 = map[counts] ll\nL4:\nr2 = 0x0\nif r2 == 0x1 goto done\ncall 0x1\ngoto -0x2\ngoto +0x64\ngoto -0x7\ndone:\nexit\n"},
		{asm.Format{Dialect: asm.Exact, Slots: true}, "0: r1 = map[counts] ll\nL4:\n2: r2 = 0x0\n3: if r2 == 0x1 goto done\n" +
			"L4_:\n4: call bpf_map_lookup_elem\n5: goto L4_\n6: goto +0x64\n7: goto -0x7\ndone:\n8: exit\n"},
		{asm.Format{Dialect: asm.Kernel, Slots: true, Opcodes: true}, "0: (18) r1 = map[counts]\nL4:\n2: (b7) r2 = 0\n3: (15) if r2 == 0x1 goto done\n" +
			"4: (85) call bpf_map_lookup_elem#1\n5: (05) goto pc-2\n6: (05) goto pc+100\n7: (05) goto pc-7\ndone:\n8: (95) exit\n"},
		{asm.Format{Dialect: asm.Mnemonic}, "lddw %r1, map[counts]\nL4:\nmov %r2, 0\njeq %r2, 1, done\nL4_:\ncall 1\nja L4_\nja +100\nja -7\ndone:\nexit\n"},
	} {
		require.Equal(t, c.want, string(c.format.Append(nil, listed)), c.format)
	}
	require.Equal(t, listed.String(), fmt.Sprint(listed))
	require.Equal(t, string(asm.Format{Dialect: asm.Exact, Slots: true}.Append(nil, listed)), fmt.Sprintf("%+v", listed))
	require.Equal(t, "%!d(asm.Instructions)", fmt.Sprintf("%d", listed))
	require.Empty(t, asm.Instructions(nil).String())
}

func TestSlotsAreAligned(t *testing.T) {
	long := make(asm.Instructions, 11)
	for i := range long {
		long[i] = asm.Return()
	}
	text := fmt.Sprintf("%+v", long)
	require.Contains(t, text, " 9: exit\n10: exit\n")
	parsed, err := asm.Parse(text)
	require.NoError(t, err)
	require.Equal(t, long, parsed)
}

type failingWriter struct{}

var errFull = errors.New("full")

func (failingWriter) Write([]byte) (int, error) { return 0, errFull }

func TestFprintReturnsTheError(t *testing.T) {
	require.ErrorIs(t, asm.Format{}.Fprint(failingWriter{}, listed), errFull)
}

func TestNamesAreKept(t *testing.T) {
	parsed, err := asm.Parse(listed.String())
	require.NoError(t, err)
	require.Equal(t, "counts", parsed[0].Reference())
	require.Equal(t, "done", parsed[2].Reference())
	require.Equal(t, "done", parsed[len(parsed)-1].Symbol())
	_, err = parsed.Encode(binary.LittleEndian)
	require.ErrorIs(t, err, asm.ErrReference)
}

func TestHelperNames(t *testing.T) {
	for fn := asm.BuiltinFunc(1); fn <= asm.FnCgrpStorageDelete; fn++ {
		for _, name := range []string{fn.String(), "bpf_" + fn.String()} {
			got, ok := asm.HelperByName(name)
			require.True(t, ok, name)
			require.Equal(t, fn, got)
		}
		parsed, err := asm.Parse("call " + fn.String())
		require.NoError(t, err)
		require.Equal(t, asm.Instructions{fn.Call()}, parsed)
	}
	for _, name := range []string{"", "bpf_", "unspec", "helper#1"} {
		_, ok := asm.HelperByName(name)
		require.False(t, ok, name)
	}
	require.Equal(t, "helper#0", asm.BuiltinFunc(0).String())
	require.Equal(t, "helper#212", (asm.FnCgrpStorageDelete + 1).String())
}
