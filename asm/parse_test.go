package asm_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// parseCases are C-like sources and what they mean, in the mnemonic syntax.
var parseCases = []struct{ name, source, want string }{
	{"empty", "", ""},
	{"nothing but blanks and comments", "\n  ; one\n\t// two\r\n# three\n", ""},
	{"numbers", "r1 = 16\nr1 = 0x10\nr1 = -1\nr1 = 0xffffffff\nr1 = 'A'\nw1 = 0x80000000",
		"mov %r1, 16\nmov %r1, 16\nmov %r1, -1\nmov %r1, -1\nmov %r1, 65\nmov32 %r1, -2147483648\n"},
	{"64-bit numbers", "r1 = 0 ll\nr1 = -1 ll\nr1 = 0xffffffffffffffff ll\nr1 = -9223372036854775808 ll\n(18) r1 = 0x5",
		"lddw %r1, 0x0\nlddw %r1, 0xffffffffffffffff\nlddw %r1, 0xffffffffffffffff\nlddw %r1, 0x8000000000000000\nlddw %r1, 0x5\n"},
	{"offsets", "r1 = *(u32 *)(r2 +4)\nr1=*(u32*)(r2+4)\nr1 = *(u32 *)(r2 - 0x4)\nr1 = *(u32 *)(r2)\n*(u8 *)(r1 + 'a') = 1",
		"ldxw %r1, [%r2+4]\nldxw %r1, [%r2+4]\nldxw %r1, [%r2-4]\nldxw %r1, [%r2]\nstb [%r1+97], 1\n"},
	{"32-bit names of registers", "w1 = *(u32 *)(r2 + 0)\n*(u16 *)(r1 + 0) = w2\nlock *(u32 *)(r1 + 0) += w2",
		"ldxw %r1, [%r2]\nstxh [%r1], %r2\nlock add32 [%r1], %r2\n"},
	{"labels", "start: if r1 == 0 goto out\ngoto start\nout: again:\n  gotol again\nmay_goto out\nexit",
		"start:\njeq %r1, 0, out\nja start\nout:\nja32 out\nmay_goto out\nexit\n"},
	{"distances", "goto +1\ngoto pc+0\nexit\ngoto -0x2", "ja L2\nja L2\nL2:\nexit\nja L2\n"},
	{"constants", ".equ SIZE, 8\n.equ MINUS, -1\nr1 = SIZE\nr2 = *(u64 *)(r10 - SIZE)\nr2 = MINUS",
		"mov %r1, 8\nldxdw %r2, [%r10-8]\nmov %r2, -1\n"},
	{"helpers", "call 1\ncall bpf_map_lookup_elem\ncall map_lookup_elem\n(85) call bpf_map_lookup_elem#1\n" +
		"call bpf_map_lookup_elem#281440\ncall unknown#300\ncall bpf_unspec#0",
		"call 1\ncall 1\ncall 1\ncall 1\ncall 1\ncall 300\ncall 0\n"},
	{"subprograms", "call double\nexit\ndouble:\nr0 = r1\nr0 += r1\nexit", "call local double\nexit\ndouble:\nmov %r0, %r1\nadd %r0, %r1\nexit\n"},
	{"a label before a helper", "call bpf_redirect\nexit\nbpf_redirect: exit", "call local bpf_redirect\nexit\nbpf_redirect:\nexit\n"},
	{"subprograms by distance", "call pc+1\nexit\nexit", "call local L2\nexit\nL2:\nexit\n"},
	{"kernel functions", "call kfunc[bpf_rcu_read_lock]\ncall bpf_rcu_read_unlock#71\ncall kfunc[id:5]\ncall kfunc[id:5][module:2]",
		"call kfunc[bpf_rcu_read_lock]\ncall kfunc[bpf_rcu_read_unlock]\ncall kfunc[id:5]\ncall kfunc[id:5][module:2]\n"},
	{"maps", "r1 = map[.rodata]\nr1 = map[m] ll\nr1 = map[m][0]+8 ll\n(18) r1 = map[id:5][0]+8\nr1 = map[fd:5] ll\nr1 = map[idx:0] ll",
		"lddw %r1, map[.rodata]\nlddw %r1, map[m]\nlddw %r1, map[m][0]+8\nlddw %r1, map[fd:5][0]+8\nlddw %r1, map[fd:5]\nlddw %r1, map[idx:0]\n"},
	{"functions and variables", "f: r1 = func[f] ll\nr1 = ksym[jiffies] ll\nr1 = ksym[id:7] ll\nr1 = subprog[-7]",
		"f:\nlddw %r1, func[f]\nlddw %r1, ksym[jiffies]\nlddw %r1, ksym[id:7]\nlddw %r1, func[f]\n"},
	{"a verifier log", "0: (b7) r0 = 0                        ; R0_w=0\n; return x; @ x.c:3\n1: (95) exit", "mov %r0, 0\nexit\n"},
	{"an object dump", "       0:\t85 10 00 00 01 00 00 00\tcall 0x1\n" +
		"       1:\t15 07 01 00 40 00 00 00\tif r7 == 0x40 goto +0x1 <calls+0xb8>\n" +
		"       2:\t18 11 00 00 07 00 00 00 00 00 00 00 00 00 00 00\tld_pseudo\tr1, 0x1, 0x7\n",
		"call local L2\njeq %r7, 64, +1\nL2:\nlddw %r1, map[fd:7]\n"},
	{"a big-endian object dump", "0:\tb7 10 00 00 00 00 00 02\tr1 = 0x2", "mov %r1, 2\n"},
}

func TestParse(t *testing.T) {
	for _, c := range parseCases {
		t.Run(c.name, func(t *testing.T) {
			insns, err := asm.Parse(c.source)
			require.NoError(t, err)
			require.Equal(t, c.want, string(asm.Format{Dialect: asm.Mnemonic}.Append(nil, insns)))
		})
	}
}

// mnemonicCases are what the table of instructions and the conformance vectors
// do not have.
var mnemonicCases = []struct{ name, source, want string }{
	{"other names", "mov64 %r1, 2\nadd64 %r1, %r2\nneg64 %r1\nswap16 %r1\njeq64 %r1, 2, +0\nja64 +0\nlock fetch_add [%r10-8], %r1\n" +
		"call helper 1\ncall runtime 5\ncall bpf_redirect\nexit",
		"r1 = 0x2\nr1 += r2\nr1 = -r1\nr1 = bswap16 r1\nif r1 == 0x2 goto L5\nL5:\ngoto L6\nL6:\nr1 = atomic_fetch_add((u64 *)(r10 - 0x8), r1)\n" +
			"call bpf_map_lookup_elem\ncall kfunc[id:5]\ncall bpf_redirect\nexit\n"},
	{"exit as a label", "jeq %r1, 0, exit\nexit\nja exit\nexit", "if r1 == 0x0 goto exit\nexit:\nexit\ngoto exit\nexit\n"},
	{"exit with a label of its own", "ja exit\nout: exit", "goto out\nout:\nexit\n"},
	{"a label exit", "ja exit\nexit\nexit: mov %r0, 1\nexit", "goto exit\nexit\nexit:\nr0 = 0x1\nexit\n"},
	{"calls of labels", "call f\nexit\nf: exit", "call f\nexit\nf:\nexit\n"},
	{"constants", ".equ N, 3\nmov %r1, N\nstb [%r10-N], N", "r1 = 0x3\n*(u8 *)(r10 - 0x3) = 0x3\n"},
}

func TestParseMnemonic(t *testing.T) {
	for _, c := range mnemonicCases {
		t.Run(c.name, func(t *testing.T) {
			insns, err := asm.ParseMnemonic(c.source)
			require.NoError(t, err)
			require.Equal(t, c.want, insns.String())
		})
	}
}

// syntaxErrors are C-like sources, where they go wrong, and what was expected.
var syntaxErrors = []struct{ source, want string }{
	{"r11 = 0", `line 1, column 1: got "r11", want an instruction`},
	{"exit\n\n  r0 =", `line 3, column 7: got end of line, want an operand or an operation`},
	{"r0 ! 5", `line 1, column 4: got "!", want a word, a number in 64 bits or an operator`},
	{"r0 5", `line 1, column 4: got "5", want "%=", "&=", "*=", "+=", "-=", "/=", "<<=", "=", ">>=", "^=", "s%=", "s/=", "s>>=" or "|="`},
	{"r0 = 5 5", `line 1, column 8: got "5", want "ll" or end of line`},
	{"r0 = 0x1ffffffff", `line 1, column 6: got "0x1ffffffff", want a number from -2147483648 to 2147483647, or hex digits in 32 bits`},
	{"r0 = 2147483648", `line 1, column 6: got "2147483648", want a number from -2147483648 to 2147483647, or hex digits in 32 bits`},
	{"r0 = 0x10000000000000000 ll", `line 1, column 6: got "0x10000000000000000", want a word, a number in 64 bits or an operator`},
	{"r0 = 9223372036854775808 ll", `line 1, column 6: got "9223372036854775808", want a number in 64 bits`},
	{"r0 = 12ab", `line 1, column 6: got "12ab", want a word, a number in 64 bits or an operator`},
	{"w0 = r1", `line 1, column 6: got "r1", want`},
	{"r0 = w1", `line 1, column 6: got "w1", want`},
	{"r1 = be16 r2", `line 1, column 11: got "r2", want the same register as before: r1`},
	{"r1 = cmpxchg_64(r2 + 0, r0, r3)", `line 1, column 1: got "r1", want "r0"`},
	{"r1 = *(u32 *)skb[4]", `line 1, column 1: got "r1", want "r0"`},
	{"r1 = *(u32 *)(r2 + 0x8000)", `line 1, column 20: got "0x8000", want an offset from -32768 to 32767`},
	{"r1 = *(u32 *)(r2 4)", `line 1, column 18: got "4", want ")" or an offset like "+ 4"`},
	{"r1 = *(u128 *)(r2 + 4)", `line 1, column 8: got "u128", want "s16", "s32", "s8", "u16", "u32", "u64" or "u8"`},
	{"if r1 = r2 goto +1", `line 1, column 7: got "=", want "!=", "&", "<", "<=", "==", ">", ">=", "s<", "s<=", "s>" or "s>="`},
	{"if r1 == r2 goto 5", `line 1, column 18: got "5", want a label or a distance like "+4"`},
	{"if r1 == r2 goto +32768", `line 1, column 18: got "+32768", want a distance from -32768 to 32767`},
	{"goto nowhere", `line 1, column 6: got "nowhere", want a label of this program`},
	{"call nowhere", `line 1, column 6: got "nowhere", want a label of this program or a helper`},
	{"r1 = func[nowhere] ll", `line 1, column 11: got "nowhere", want a label of this program`},
	{"a: exit\na: exit", `line 2, column 1: got "a", want a label that is not defined yet`},
	{"exit\nend:", `line 2, column 1: got "end", want an instruction behind the label`},
	{"r1: exit", `line 1, column 1: got "r1", want a label that is not a register`},
	{".equ", `line 1, column 5: got end of line, want the name of a constant`},
	{".equ r1, 5", `line 1, column 6: got "r1", want the name of a new constant`},
	{".equ A 5", `line 1, column 8: got "5", want ","`},
	{".equ A, B", `line 1, column 9: got "B", want a number`},
	{".equ A, 5 6", `line 1, column 11: got "6", want end of line`},
	{".equ A, 5\n.equ A, 5", `line 2, column 6: got "A", want the name of a new constant`},
	{"r0 = A", `line 1, column 6: got "A", want`},
	{"0: (b7) exit", `line 1, column 4: got "(b7)", want (95)`},
	{"0: 95 00 00 00 00 00 00 00 r0 = 0", `line 1, column 4: got "95 00 00 00 00 00 00 00", want the bytes of the instruction behind them`},
	{"0: (b7)", `line 1, column 8: got end of line, want an instruction`},
	{"95 00 00 00 00 00 00 00 ", `line 1, column 25: got end of line, want an instruction`},
	{"%a: exit", `line 1, column 1: got "%a", want a label that is not a register`},
	{"exit <note>", `line 1, column 6: got "<", want end of line`},
	{"\x00", `line 1, column 1: got "\x00", want a word, a number in 64 bits or an operator`},
	{strings.Repeat("x", 100), `line 1, column 1: got "` + strings.Repeat("x", 40) + `"..., want an instruction`},
}

func TestSyntaxErrors(t *testing.T) {
	for _, c := range syntaxErrors {
		t.Run(c.source, func(t *testing.T) {
			insns, err := asm.Parse(c.source)
			require.Nil(t, insns)
			require.ErrorIs(t, err, asm.ErrSyntax)
			require.True(t, strings.HasPrefix(err.Error(), c.want), "%s", err)
			var syntax *asm.SyntaxError
			require.ErrorAs(t, err, &syntax)
			require.Equal(t, fmt.Sprintf("line %d, column %d: got %s, want %s", syntax.Line, syntax.Column, syntax.Got, syntax.Want), err.Error())
		})
	}
}

// TestParseIsLinear parses sources that would take minutes if time were
// quadratic in what they have many of.
func TestParseIsLinear(t *testing.T) {
	const n = 50_000
	lines := func(format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format+"\n", i)
		}
		return b.String()
	}
	for name, source := range map[string]string{
		"labels":    lines("l%d: exit"),
		"aliases":   lines("l%d:") + "exit",
		"constants": lines(".equ c%d, 1"),
		"jumps":     "l: exit\n" + strings.Repeat("gotol l\n", n),
		"one line":  "r0 = " + strings.Repeat("+ ", n),
		"one word":  strings.Repeat("x", n),
	} {
		start := time.Now()
		insns, err := asm.Parse(source)
		if err == nil {
			_, err = insns.Encode(binary.LittleEndian)
			require.NoError(t, err, name)
			require.NotEmpty(t, insns.String()+"x")
		}
		require.Less(t, time.Since(start), 10*time.Second, name)
	}
	exits := strings.Repeat("ja exit\n", n/10) + "exit"
	_, err := asm.ParseMnemonic(exits)
	require.NoError(t, err)
}
