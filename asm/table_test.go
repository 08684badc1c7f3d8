package asm_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// resolved returns the instruction with its jump to "out" resolved.
func (c instruction) resolved(t *testing.T) asm.Instruction {
	t.Helper()
	insns, err := c.program().Resolve()
	require.NoError(t, err)
	return insns[0]
}

// program puts the label "out" three slots behind the instruction's first.
func (c instruction) program() asm.Instructions {
	insns := asm.Instructions{c.ins}
	for insns.Slots() < 3 {
		insns = append(insns, asm.Return())
	}
	return append(insns, asm.Return().WithSymbol("out"))
}

func fromHex(t *testing.T, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	require.NoError(t, err)
	return b
}

func TestInstructions(t *testing.T) {
	for _, c := range instructions {
		t.Run(c.mnemonic, func(t *testing.T) {
			ins := c.resolved(t)
			require.NoError(t, ins.Validate())

			for _, order := range []struct {
				binary.ByteOrder
				want string
			}{{binary.LittleEndian, c.little}, {binary.BigEndian, c.big}} {
				bytes := fromHex(t, order.want)
				encoded, err := c.program().Encode(order)
				require.NoError(t, err)
				require.Equal(t, bytes, encoded[:len(bytes)], order)
				decoded, err := asm.Decode(bytes, order)
				require.NoError(t, err)
				require.Equal(t, asm.Instructions{ins}, decoded, order)
			}

			exact := c.exact
			if exact == "" {
				exact = c.objdump
			}
			require.Equal(t, c.objdump, ins.String())
			require.Equal(t, exact, ins.Text(asm.Exact))
			require.Equal(t, c.kernel, ins.Text(asm.Kernel))
			require.Equal(t, c.mnemonic, ins.Text(asm.Mnemonic))
			requireParses(t, ins)
		})
	}
}

// requireParses checks that the texts of ins that lose nothing read as ins.
func requireParses(t *testing.T, ins asm.Instruction) {
	t.Helper()
	want := asm.Instructions{ins}
	logged := fmt.Sprintf("12: (%02x) %s ; R0=1", uint8(ins.Op), ins.Text(asm.Kernel))
	dumped := fmt.Sprintf("      12:\t% x\t%s", ins.AppendBinary(nil, binary.LittleEndian), ins)
	for _, text := range []string{ins.Text(asm.Exact), logged, dumped} {
		got, err := asm.Parse(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	got, err := asm.ParseMnemonic(ins.Text(asm.Mnemonic))
	require.NoError(t, err, ins.Text(asm.Mnemonic))
	require.Equal(t, want, got, ins.Text(asm.Mnemonic))
}

func TestInstructionsCoverTheTable(t *testing.T) {
	table := asm.Table()
	require.Len(t, instructions, len(table))
	for i, c := range instructions {
		info, err := c.resolved(t).Info()
		require.NoError(t, err)
		require.Equal(t, table[i], *info, "%d: %s", i, c.mnemonic)
	}
}

// field reads or sets a field of an instruction by its name in errors.
var fields = []struct {
	name string
	bit  asm.Fields
	set  func(ins *asm.Instruction, v int64)
}{
	{"dst", asm.FieldDst, func(ins *asm.Instruction, v int64) { ins.Dst = asm.Register(v) }},
	{"src", asm.FieldSrc, func(ins *asm.Instruction, v int64) { ins.Src = asm.Register(v) }},
	{"off", asm.FieldOff, func(ins *asm.Instruction, v int64) { ins.Off = int16(v) }},
	{"imm", asm.FieldImm, func(ins *asm.Instruction, v int64) {
		ins.Imm = v
		if ins.Slots() == 2 {
			ins.Imm = ins.Imm&^0xffffffff | v
		}
	}},
	{"next_imm", asm.FieldNextImm, func(ins *asm.Instruction, v int64) { ins.Imm = int64(uint32(ins.Imm)) | v<<32 }},
}

func TestValidateReservedFields(t *testing.T) {
	for _, c := range instructions {
		ins := c.resolved(t)
		info, err := ins.Info()
		require.NoError(t, err)
		for _, f := range fields {
			if info.Uses&f.bit != 0 || f.name == "next_imm" && ins.Slots() == 1 {
				continue
			}
			bad := ins
			f.set(&bad, 3) // no field that tells rows apart holds 3 in an instruction of one slot
			if bad.Slots() == 2 && f.name == "src" {
				continue // another kind of 64-bit load
			}
			t.Run(c.mnemonic+"/"+f.name, func(t *testing.T) {
				err := asm.Instructions{asm.LoadImm(asm.R0, 1), bad}.Validate()
				var got *asm.InstructionError
				require.ErrorAs(t, err, &got)
				require.ErrorIs(t, err, asm.ErrInvalidInstruction)
				require.Equal(t, f.name, got.Field)
				require.EqualValues(t, 3, got.Value)
				require.Equal(t, 2, got.Slot)
			})
		}
	}
}

func TestValidateRegisters(t *testing.T) {
	for _, c := range instructions {
		info, err := c.resolved(t).Info()
		require.NoError(t, err)
		for _, f := range fields[:2] {
			if info.Uses&f.bit == 0 {
				continue
			}
			bad := c.resolved(t)
			f.set(&bad, 11)
			var got *asm.InstructionError
			require.ErrorAs(t, bad.Validate(), &got, c.mnemonic)
			require.Equal(t, f.name, got.Field)
			require.EqualValues(t, 11, got.Value)
		}
	}
}

func TestUnknownInstructions(t *testing.T) {
	known := make(map[asm.Opcode]bool)
	for _, row := range asm.Table() {
		known[row.Opcode] = true
	}
	for op := range 256 {
		ins := asm.Instruction{Op: asm.Opcode(op)}
		if known[ins.Op] {
			continue
		}
		var got *asm.InstructionError
		require.ErrorAs(t, ins.Validate(), &got)
		require.Equal(t, "opcode", got.Field)
		require.EqualValues(t, op, got.Value)
		require.Equal(t, asm.KindInvalid, ins.Kind())
		for d := asm.Objdump; d <= asm.Mnemonic; d++ {
			require.Equal(t, "<unknown>", ins.Text(d))
		}
		require.Equal(t, "exit", asm.Return().Text(asm.Mnemonic+1))
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, c := range []struct{ bytes, want string }{
		{"95 00 00", "invalid instruction: 3 bytes are no multiple of 8"},
		{"95 00 00 00 00 00 00 00 18 01 00 00 00 00 00 00", "instruction 1: 64-bit immediate load without its second slot: opcode is 0x18"},
		{"18 01 00 00 00 00 00 00 95 00 00 00 00 00 00 00", "instruction 1: second slot of a 64-bit immediate load holds more than imm: opcode is 0x95"},
		{"18 01 00 00 00 00 00 00 00 10 00 00 00 00 00 00", "instruction 1: second slot of a 64-bit immediate load holds more than imm: opcode is 0x0"},
	} {
		insns, err := asm.Decode(fromHex(t, c.bytes), binary.LittleEndian)
		require.EqualError(t, err, c.want)
		require.True(t, errors.Is(err, asm.ErrInvalidInstruction))
		require.Nil(t, insns)
	}
}

func TestResolveErrors(t *testing.T) {
	far := asm.Instructions{asm.Goto("far")}
	for range 1 << 15 {
		far = append(far, asm.Return())
	}
	far = append(far, asm.Return().WithSymbol("far"))
	for _, c := range []struct {
		insns asm.Instructions
		want  string
	}{
		{asm.Instructions{asm.Return(), asm.Goto("nowhere")}, `instruction 1: "nowhere": no such label`},
		{asm.Instructions{asm.Return().WithSymbol("a"), asm.Return().WithSymbol("a")}, `instruction 1: "a": label is defined twice`},
		{asm.Instructions{asm.LoadMapPtr(asm.R1, "m")}, `instruction 0: "m": a name that only a loader can resolve`},
		{asm.Instructions{asm.CallKfunc("f")}, `instruction 0: "f": a name that only a loader can resolve`},
		{far, `instruction 0: "far": distance of 32768 slots does not fit in 16 bits`},
	} {
		_, err := c.insns.Encode(binary.LittleEndian)
		require.EqualError(t, err, c.want)
		require.ErrorIs(t, err, asm.ErrReference)
	}
	far[0] = asm.GotoLong("far")
	_, err := far.Encode(binary.LittleEndian)
	require.NoError(t, err)
}

func TestRowNumbers(t *testing.T) {
	require.Nil(t, asm.InfoAt(0))
	for i := range asm.Table() {
		require.Equal(t, uint16(i+1), asm.InfoAt(uint16(i+1)).Row())
	}
}
