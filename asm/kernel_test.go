package asm_test

import (
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/kernel"
)

var update = flag.Bool("update", false, "ask the kernel and llvm-objdump again and write down what they say")

// kernelProg is a program around an instruction, in which every register and
// some stack is initialised and both the instruction after it and the one two
// slots further can be reached. The instruction is at the returned slot. Linux
// refuses all of these programs, at the latest for their end, so that thousands
// of them are looked at and none is compiled.
func kernelProg(ins asm.Instruction) ([]byte, int) {
	jump := func(distance int16) asm.Instruction {
		jeq := asm.JEq.Imm(asm.R7, int32(distance), "")
		jeq.Off = distance
		return jeq
	}
	loadFromScalar := asm.LoadMem(asm.R0, asm.R9, 0, asm.DWord)
	prog := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1), asm.LoadMem(asm.R7, asm.R6, 0, asm.Word)}
	for _, r := range []asm.Register{asm.R0, asm.R1, asm.R2, asm.R3, asm.R4, asm.R5, asm.R8, asm.R9} {
		prog = append(prog, asm.Mov.Imm(r, 0))
	}
	prog = append(prog, asm.StoreImm(asm.RFP, -8, 0, asm.DWord))
	_, jumps := ins.JumpOffset()
	if subprogram := jumps && (ins.Op.Class() == asm.ClassLD || ins.Kind() == asm.KindCallLocal); !subprogram {
		prog = append(prog, jump(4))
	}
	prog = append(prog, jump(int16(ins.Slots())))
	at := prog.Slots()
	prog = append(prog, ins)
	if ins.Slots() == 1 {
		prog = append(prog, loadFromScalar)
	}
	prog = append(prog, asm.Return(), loadFromScalar, asm.Return())
	var b []byte
	for _, i := range prog {
		b = i.AppendBinary(b, binary.NativeEndian)
	}
	return b, at
}

func askKernel(t *testing.T, ins asm.Instruction) (loaded *kernel.Loaded, slot int) {
	t.Helper()
	insns, at := kernelProg(ins)
	l, err := kernel.Load(kernel.Prog{Type: ebpf.SchedCLS, Insns: insns, LogLevel: 2})
	require.NoError(t, err)
	require.False(t, l.Accepted(), hexText(ins))
	return l, at
}

// logLine returns the text of the instruction at slot in a verifier log, "" if
// it does not get that far.
func logLine(log string, slot int) string {
	for line := range strings.Lines(log) {
		if text, ok := strings.CutPrefix(line, fmt.Sprintf("%d: (", slot)); ok {
			text, _, _ = strings.Cut(text, ";")
			return strings.TrimSpace("(" + text)
		}
	}
	return ""
}

// complaint returns what the log says last before its summary.
func complaint(l *kernel.Loaded) string {
	lines := strings.Split(strings.TrimSpace(l.Log), "\n")
	lines = slices.DeleteFunc(lines, func(s string) bool { return strings.HasPrefix(s, "processed ") })
	return lines[len(lines)-1]
}

func recorded(t *testing.T, name string) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func hexText(ins asm.Instruction) string {
	return hex.EncodeToString(ins.AppendBinary(nil, binary.LittleEndian))
}

// writeRecord writes lines to testdata with -update, and else compares them
// with what is there.
func checkRecord(t *testing.T, name string, lines []string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile("testdata/"+name, []byte(strings.Join(lines, "\n")+"\n"), 0o644))
	}
	require.Equal(t, recorded(t, name), lines)
}

// inKernelLog reports whether the verifier's log shows the instruction as it is:
// it does not show functions to be called by name or number, maps by number, nor
// callx, which it does not know.
func inKernelLog(ins asm.Instruction) bool {
	switch ins.Kind() {
	case asm.KindLoadImm64:
		return ins.Src == asm.PseudoNone
	case asm.KindCallKfunc, asm.KindCallX:
		return false
	}
	return true
}

// TestKernelText compares the Kernel dialect with the verifier's log, as recorded.
func TestKernelText(t *testing.T) {
	lines := recorded(t, "kernel_text.txt")
	for _, c := range instructions {
		ins := c.resolved(t)
		if !inKernelLog(ins) {
			continue
		}
		require.NotEmpty(t, lines)
		require.Equal(t, lines[0], fmt.Sprintf("%s (%02x) %s", hexText(ins), uint8(ins.Op), ins.Text(asm.Kernel)))
		lines = lines[1:]
	}
	require.Empty(t, lines)
}

func TestKernelTextIsAsRecorded(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	var lines []string
	for _, c := range instructions {
		if ins := c.resolved(t); inKernelLog(ins) {
			loaded, slot := askKernel(t, ins)
			lines = append(lines, hexText(ins)+" "+logLine(loaded.Log, slot))
		}
	}
	checkRecord(t, "kernel_text.txt", lines)
}

// malformed is how Linux's verifier begins or ends a complaint about the form of
// an instruction, as against what it does.
var malformed = []string{
	"unknown opcode", "uses reserved fields", "unrecognized bpf_ld_imm64 insn", "BPF_ATOMIC uses invalid atomic opcode",
	"invalid atomic operand size", "invalid may_goto imm", "R11 is invalid", "addr_space_cast insn can only convert",
}

// variants are instructions around every row of the opcode table, and one of
// every unknown opcode: a field at a time holds what it may not or what makes it
// another instruction.
func variants(t *testing.T) []asm.Instruction {
	var all []asm.Instruction
	for op := range 256 {
		all = append(all, asm.Instruction{Op: asm.Opcode(op)})
	}
	add := func(ins asm.Instruction) {
		if !slices.Contains(all, ins) {
			all = append(all, ins)
		}
	}
	for _, c := range instructions {
		base := c.resolved(t)
		for i, values := range [][]int64{
			{0, 11},
			{0, 1, 2, 6, 7, 11},
			{0, 1, 2, 8, 16, 32, 64},
			{0, 1, 16, 64, 0x41, 0xe1, 0xf0, 0xf1, 0x100, 0x101, 0x110, 0x10000, 0x10001},
			{0, 1},
		} {
			for _, v := range values {
				ins := base
				if fields[i].name != "next_imm" || ins.Slots() == 2 {
					fields[i].set(&ins, v)
					add(ins)
				}
			}
		}
	}
	return all
}

// validateDiffers lists where Validate and Linux 6.18 differ, and why.
func validateDiffers(ins asm.Instruction) string {
	switch {
	case ins.Op == 0x95 && ins.Off != 0:
		return "Linux does not look at exit's off; RFC 9669 wants it zero"
	case ins.Op == 0x18 && ins.Src == asm.PseudoFunc && ins.ImmHi() != 0:
		return "Linux does not look at next_imm of a function pointer; RFC 9669 gives it no meaning"
	case ins.Kind() == asm.KindCallX:
		return "callx is an instruction, though one that Linux does not know"
	case ins.Op == 0x85 && ins.Src == 2 || ins.Op == 0x18 && ins.Src != 0 || ins.Op == 0xbf && ins.Off == 1 || ins.Op == 0x85 && ins.Src == 1:
		return "Linux looks at what is referred to before it looks at the fields"
	}
	return ""
}

// TestKernelValidate compares Validate with what Linux says, as recorded.
func TestKernelValidate(t *testing.T) {
	lines := recorded(t, "kernel_malformed.txt")
	said := make(map[string]string)
	for _, line := range lines {
		code, complaint, _ := strings.Cut(line, " ")
		said[code] = complaint
	}
	for _, ins := range variants(t) {
		complaint := said[hexText(ins)]
		err := ins.Validate()
		if (err != nil) == (complaint != "") {
			continue
		}
		require.NotEmpty(t, validateDiffers(ins), "%s: Validate: %v, Linux: %s", hexText(ins), err, complaint)
	}
}

func TestKernelValidateIsAsRecorded(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	var lines []string
	for _, ins := range variants(t) {
		loaded, _ := askKernel(t, ins)
		said := complaint(loaded)
		if slices.ContainsFunc(malformed, func(m string) bool { return strings.Contains(said, m) }) {
			lines = append(lines, hexText(ins)+" "+said)
		}
	}
	checkRecord(t, "kernel_malformed.txt", lines)
}
