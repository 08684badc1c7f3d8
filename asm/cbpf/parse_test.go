package cbpf

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct {
		text string
		want string
	}{
		{"", `line 1, column 1: want the number of instructions or {, got the end`},
		{"\n  \n", `line 3, column 1: want the number of instructions or {, got the end`},
		{"ldh [12]", `line 1, column 1: want the number of instructions or {, got "ldh"`},
		{"-1\n", `line 1, column 1: want the number of instructions or {, got "-1"`},
		{"4294967296\n", `line 1, column 1: want the number of instructions or {, got "4294967296"`},
		{"2\n6 0 0 0\n", `line 3, column 1: want instruction 2 of 2 on a line of its own or after a comma, got the end`},
		{"4294967295\n6 0 0 0", `line 2, column 8: want instruction 2 of 4294967295 on a line of its own or after a comma, got the end`},
		{"1\n6 0 0 0\n6 0 0 0\n", `line 3, column 1: want the end after 1 instructions, got "6"`},
		{"1 6 0 0 0\n", `line 1, column 3: want instruction 1 of 1 on a line of its own or after a comma, got "6"`},
		{"2\n40 0 0\n6 0 0 0", `line 3, column 1: want k (0 to 4294967295) on the line before, got "6"`},
		{"1\n6 0 0 0 0\n", `line 2, column 9: want the end after 1 instructions, got "0"`},
		{"1\n65536 0 0 0\n", `line 2, column 1: want op (0 to 65535), got "65536"`},
		{"1\n6 256 0 0\n", `line 2, column 3: want jt (0 to 255), got "256"`},
		{"1\n6 0 -1 0\n", `line 2, column 5: want jf (0 to 255), got "-1"`},
		{"1\n6 0 0 4294967296\n", `line 2, column 7: want k (0 to 4294967295), got "4294967296"`},
		{"1\n6 0 0 0x\n", `line 2, column 7: want k (0 to 4294967295), got "0x"`},
		{"1\n6 0 0 1_0\n", `line 2, column 7: want k (0 to 4294967295), got "1_0"`},
		{"1,,6 0 0 0", `line 1, column 3: want op (0 to 65535), got ","`},
		{`"1,6 0 0 0`, `line 1, column 11: want ", got the end`},
		{`"1,6 0 0 0" x`, `line 1, column 13: want the end after 1 instructions, got "x"`},
		{"{ 6, 0, 0 }", `line 1, column 11: want a comma, got "}"`},
		{"{ 6, 0, 0, 0", `line 1, column 13: want }, got the end`},
		{"{ 6, 0, 0, 0 },\n{ 6 0, 0, 0 }", `line 2, column 5: want a comma, got "0"`},
		{"{ 6, 0, 0, 0 }\n{ 6, 0, 0, 0 }", `line 2, column 1: want a comma, got "{"`},
		{"{ 6, 0, 0, 0 }, 7", `line 1, column 17: want {, got "7"`},
		{"1\n6 0 0 " + strings.Repeat("9", 1000), `line 2, column 7: want k (0 to 4294967295), got "` + strings.Repeat("9", 32) + `"`},
	} {
		t.Run(tc.text[:min(len(tc.text), 40)], func(t *testing.T) {
			p, err := Parse(tc.text)
			require.EqualError(t, err, tc.want)
			require.ErrorIs(t, err, ErrSyntax)
			require.Nil(t, p)
		})
	}
}

func TestParseNumbers(t *testing.T) {
	p, err := Parse("1\r\n0x28 0X1 007 4294967295")
	require.NoError(t, err)
	require.Equal(t, Program{{0x28, 1, 7, 1<<32 - 1}}, p)
	p, err = Parse("0\n") // no instructions are for Validate to refuse
	require.NoError(t, err)
	require.Empty(t, p)
}

func TestUnmarshalLength(t *testing.T) {
	_, err := Unmarshal(make([]byte, 12), nil)
	require.ErrorIs(t, err, ErrInvalid)
	require.EqualError(t, err, "invalid classic BPF program: 12 bytes are no multiple of 8")
}

// TestImages compares the text of each instruction with libpcap's.
func TestImages(t *testing.T) {
	data, err := os.ReadFile("testdata/image.txt")
	require.NoError(t, err)
	seen := make(map[uint16]bool)
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		var ins Instruction
		var i int
		_, err := fmt.Sscan(line, &i, &ins.Op, &ins.Jt, &ins.Jf, &ins.K)
		require.NoError(t, err, line)
		_, want, _ := strings.Cut(line, "(")
		require.Equal(t, "("+want, fmt.Sprintf("(%03d) %s\n", i, ins.text(i)))
		seen[ins.Op] = true
	}
	for op := range opcodes {
		if op == classLDX|modeLEN {
			require.Equal(t, "ldx      #pktlen", Instruction{Op: op}.text(0))
			continue
		}
		require.True(t, seen[op], "%#x", op)
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range filters(f)[:4] {
		f.Add(seed.ddd)
		f.Add(seed.dd)
		f.Add(`"` + strings.ReplaceAll(seed.ddd, "\n", ",") + `"`)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			var syntax *SyntaxError
			require.True(t, errors.As(err, &syntax))
			require.Nil(t, p)
			require.LessOrEqual(t, syntax.Line, strings.Count(text, "\n")+1)
			require.Positive(t, syntax.Column)
			line := strings.Split(text, "\n")[syntax.Line-1]
			require.LessOrEqual(t, syntax.Column, len(line)+1)
			return
		}
		_ = p.String()
		again, err := Parse(p.Bytecode())
		require.NoError(t, err)
		require.Equal(t, len(p), len(again))
		for i := range p {
			require.Equal(t, p[i], again[i])
		}
	})
}
