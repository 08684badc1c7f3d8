package asm_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// checkParsed checks what must hold for every program that was parsed: an
// error comes with no program, and a program that can be encoded gives the same
// bytes after a round through both texts.
func checkParsed(t *testing.T, insns asm.Instructions, err error) {
	if err != nil {
		require.ErrorIs(t, err, asm.ErrSyntax)
		require.Nil(t, insns)
		return
	}
	for _, ins := range insns {
		require.NoError(t, ins.Validate())
	}
	code, err := insns.Encode(binary.LittleEndian)
	if err != nil {
		require.ErrorIs(t, err, asm.ErrReference)
		return
	}
	requireRoundTrip(t, code, binary.LittleEndian)
}

func FuzzParse(f *testing.F) {
	for _, c := range instructions {
		f.Add(c.objdump)
		f.Add(c.kernel)
	}
	for _, c := range parseCases {
		f.Add(c.source)
	}
	for _, c := range syntaxErrors {
		f.Add(c.source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		insns, err := asm.Parse(source)
		checkParsed(t, insns, err)
	})
}

func FuzzParseMnemonic(f *testing.F) {
	for _, c := range instructions {
		f.Add(c.mnemonic)
	}
	for _, c := range mnemonicCases {
		f.Add(c.source)
	}
	f.Fuzz(func(t *testing.T, source string) {
		insns, err := asm.ParseMnemonic(source)
		checkParsed(t, insns, err)
	})
}

func FuzzDecode(f *testing.F) {
	for _, c := range instructions {
		ins := c.ins.AppendBinary(nil, binary.LittleEndian)
		f.Add(ins, false)
		f.Add(ins, true)
	}
	f.Fuzz(func(t *testing.T, code []byte, big bool) {
		var order binary.ByteOrder = binary.LittleEndian
		if big {
			order = binary.BigEndian
		}
		insns, err := asm.Decode(code, order)
		if err != nil {
			require.Nil(t, insns)
			require.ErrorIs(t, err, asm.ErrInvalidInstruction)
			return
		}
		again := []byte{}
		for _, ins := range insns {
			again = ins.AppendBinary(again, order)
			for d := asm.Objdump; d <= asm.Mnemonic; d++ {
				require.NotEmpty(t, ins.Text(d))
			}
		}
		require.Equal(t, code, again)
		if insns.Validate() == nil {
			requireRoundTrip(t, code, order)
		}
	})
}
