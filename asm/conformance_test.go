package asm_test

import (
	"encoding/binary"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

const conformanceDir = "../../shared/conformance"

// vectors returns the sections of every file of a folder of the BPF conformance
// vectors, by file name.
func vectors(t testing.TB, folder string) map[string]map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(conformanceDir, folder, "*.data"))
	require.NoError(t, err)
	if len(paths) == 0 {
		t.Skipf("no conformance vectors at %s", conformanceDir)
	}
	files := make(map[string]map[string]string)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		sections := make(map[string]string)
		name := ""
		for line := range strings.Lines(string(text)) {
			if heading, ok := strings.CutPrefix(line, "-- "); ok {
				name = strings.TrimSpace(heading)
				sections[name] = ""
				continue
			}
			sections[name] += line
		}
		files[filepath.Base(path)] = sections
	}
	return files
}

// raw returns the bytes of a raw section: 64-bit little-endian words, or bytes.
func raw(t *testing.T, text string) []byte {
	t.Helper()
	var b []byte
	for _, word := range strings.Fields(text) {
		digits, isWord := strings.CutPrefix(word, "0x")
		v, err := hex.DecodeString(digits)
		require.NoError(t, err)
		if isWord {
			v = binary.LittleEndian.AppendUint64(nil, binary.BigEndian.Uint64(v))
		}
		b = append(b, v...)
	}
	return b
}

// TestConformanceVectors assembles every program of the vectors, and goes from
// its bytes to both texts and back.
func TestConformanceVectors(t *testing.T) {
	files := vectors(t, "tests")
	require.Len(t, files, 313)
	for name, sections := range files {
		t.Run(name, func(t *testing.T) {
			code := raw(t, sections["raw"])
			if source, ok := sections["asm"]; ok {
				insns, err := asm.ParseMnemonic(source)
				require.NoError(t, err)
				assembled, err := insns.Encode(binary.LittleEndian)
				require.NoError(t, err)
				if code != nil {
					require.Equal(t, code, assembled)
				}
				code = assembled
			}
			require.NotEmpty(t, code)
			requireRoundTrip(t, code, binary.LittleEndian)
		})
	}
}

// requireRoundTrip checks that a program's bytes give texts that give the same
// bytes and the same texts again.
func requireRoundTrip(t testing.TB, code []byte, order binary.ByteOrder) {
	t.Helper()
	insns, err := asm.Decode(code, order)
	require.NoError(t, err)
	for _, f := range []struct {
		asm.Format
		parse func(string) (asm.Instructions, error)
	}{
		{asm.Format{Dialect: asm.Exact}, asm.Parse},
		{asm.Format{Dialect: asm.Exact, Slots: true, Opcodes: true}, asm.Parse},
		{asm.Format{Dialect: asm.Kernel, Slots: true, Opcodes: true}, asm.Parse},
		{asm.Format{Dialect: asm.Mnemonic}, asm.ParseMnemonic},
		{asm.Format{Dialect: asm.Mnemonic, Slots: true}, asm.ParseMnemonic},
	} {
		text := string(f.Append(nil, insns))
		parsed, err := f.parse(text)
		require.NoError(t, err, text)
		again, err := parsed.Encode(order)
		require.NoError(t, err, text)
		require.Equal(t, code, again, text)
		require.Equal(t, text, string(f.Append(nil, parsed)))
	}
	// Objdump loses what calls are of, but its text is read as the same text.
	text := string(asm.Format{Slots: true}.Append(nil, insns))
	parsed, err := asm.Parse(text)
	require.NoError(t, err, text)
	require.Equal(t, text, string(asm.Format{Slots: true}.Append(nil, parsed)))
}

// TestConformanceRefused checks the vectors that must be refused because of
// their text or their reserved fields. The others of the folder are about how a
// program runs (error, incorrect_return_value_high_bits) or about the format of
// the vectors (empty, empty_instructions, invalid_unknown_directive).
func TestConformanceRefused(t *testing.T) {
	files := vectors(t, "negative")
	require.Len(t, files, 60)
	syntax := map[string]string{
		"invalid_imm32_dec_range.data": `line 2, column 12: got "2147483648", want a number from -2147483648 to 2147483647, or hex digits in 32 bits`,
		"invalid_imm32_hex_range.data": `line 2, column 12: got "0x100000000", want a number from -2147483648 to 2147483647, or hex digits in 32 bits`,
		"invalid_label.data":           `line 1, column 4: got "NOT_A_LABEL", want a label of this program`,
		"invalid_lock.data":            `line 1, column 17: got end of line, want ","`,
		"invalid_lock2.data":           `line 1, column 5: got end of line, want an operand or an operation`,
		"invalid_mnemonic.data":        `line 2, column 1: got "ldxq", want an instruction`,
		"invalid_offset.data":          `line 1, column 11: got "%r1", want "["`,
		"invalid_offset_range.data":    `line 2, column 15: got "+0x10000", want an offset from -32768 to 32767`,
		"invalid_operand_count.data":   `line 1, column 9: got end of line, want ","`,
		"invalid_register.data":        `line 1, column 9: got "%r50", want a register %r0 to %r10 or a number`,
	}
	reserved := 0
	for name, sections := range files {
		if want, ok := syntax[name]; ok {
			_, err := asm.ParseMnemonic(sections["asm"])
			require.EqualError(t, err, want, name)
			require.ErrorIs(t, err, asm.ErrSyntax)
		}
		if rest, ok := strings.CutPrefix(name, "unused-"); ok {
			reserved++
			field := strings.TrimSuffix(rest[strings.LastIndex(rest, "-")+1:], ".data")
			switch {
			case name == "unused-mov64_reg-offset.data":
				field = "imm" // off 1 is addr_space_cast, which this imm is not for
			case field == "offset":
				field = "off"
			}
			insns, err := asm.Decode(raw(t, sections["raw"]), binary.LittleEndian)
			require.NoError(t, err, name)
			var refused *asm.InstructionError
			require.ErrorAs(t, insns.Validate(), &refused, name)
			require.Equal(t, field, refused.Field, name)
		}
	}
	require.Equal(t, 45, reserved)
}
