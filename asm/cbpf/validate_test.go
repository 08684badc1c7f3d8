package cbpf

import (
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// stmt and jumpIf make instructions, as BPF_STMT and BPF_JUMP do in C.
func stmt(op uint16, k uint32) Instruction { return Instruction{Op: op, K: k} }
func jumpIf(op uint16, k uint32, jt, jf uint8) Instruction {
	return Instruction{Op: classJMP | op, Jt: jt, Jf: jf, K: k}
}

var (
	ret0   = stmt(classRET|retK, 0)
	retAcc = stmt(classRET|retA, 0)
)

func TestValidate(t *testing.T) {
	nops := func(n int) Program { return slices.Repeat(Program{stmt(classMISC|miscTAX, 0)}, n) }
	for _, tc := range []struct {
		name string
		prog Program
		insn int
		want string // "" for a valid program
	}{
		{"empty", nil, -1, "invalid classic BPF program: 0 instructions, not 1 to 4096"},
		{"shortest", Program{ret0}, 0, ""},
		{"longest", append(nops(4095), ret0), 0, ""},
		{"too long", append(nops(4096), ret0), -1, "invalid classic BPF program: 4097 instructions, not 1 to 4096"},
		{"no return", Program{ret0, stmt(classMISC|miscTXA, 0)}, 1, "invalid classic BPF program: instruction 1 (txa): the last instruction is not a return"},
		{"return X", Program{stmt(classRET|srcX, 0)}, 0, "invalid classic BPF program: instruction 0 (unimp 0xe): unknown opcode"},
		{"opcode of 16 bits", Program{stmt(0x100|classRET, 0), ret0}, 0, "instruction 0 (unimp 0x106): unknown opcode"},
		{"jump if not equal", Program{jumpIf(0x50, 0, 0, 0), ret0}, 0, "unknown opcode"},
		{"seccomp's internal load", Program{stmt(classLDX|modeABS|sizeW, 0), ret0}, 0, "unknown opcode"},
		{"division by X", Program{stmt(classALU|aluDIV|srcX, 0), ret0}, 0, ""},
		{"division by zero", Program{stmt(classALU|aluDIV, 0), ret0}, 0, "(div #0): division by zero"},
		{"modulo zero", Program{stmt(classALU|aluMOD, 0), ret0}, 0, "(mod #0): division by zero"},
		{"shift by 31", Program{stmt(classALU|aluLSH, 31), ret0}, 0, ""},
		{"shift by 32", Program{stmt(classALU|aluLSH, 32), ret0}, 0, "(lsh #32): shift by 32 or more"},
		{"right shift by 32", Program{stmt(classALU|aluRSH, 32), ret0}, 0, "(rsh #32): shift by 32 or more"},
		{"ja to the last", Program{stmt(classJMP|jmpJA, 1), ret0, ret0}, 0, ""},
		{"ja past the end", Program{ret0, stmt(classJMP|jmpJA, 1), ret0}, 1, "instruction 1 (ja 3): jump out of the program"},
		{"ja backward", Program{ret0, stmt(classJMP|jmpJA, math.MaxUint32), ret0}, 1, "instruction 1 (ja 1): jump out of the program"},
		{"jt past the end", Program{jumpIf(jmpJEQ, 0, 2, 0), ret0, ret0}, 0, "jump out of the program"},
		{"jf past the end", Program{jumpIf(jmpJSET|srcX, 0, 0, 2), ret0, ret0}, 0, "jump out of the program"},
		{"jump at the end", Program{jumpIf(jmpJGT, 0, 0, 0)}, 0, "jump out of the program"},
		{"word 15", Program{stmt(classST, 15), ret0}, 0, ""},
		{"word 16", Program{stmt(classST, 16), ret0}, 0, "(st M[16]): no such scratch word, there are 16"},
		{"load of word 16", Program{stmt(classLDX|modeMEM, 16), ret0}, 0, "no such scratch word"},
		{"huge word", Program{stmt(classSTX, math.MaxUint32), ret0}, 0, "no such scratch word"},
		{"read of an unwritten word", Program{stmt(classLD|modeMEM, 3), ret0}, 0, "(ld M[3]): scratch word is read before it is written"},
		{"read of another word", Program{stmt(classST, 2), stmt(classLDX|modeMEM, 3), ret0}, 1, "scratch word is read before it is written"},
		{"written on one path", Program{jumpIf(jmpJEQ, 0, 0, 1), stmt(classST, 3), stmt(classLD|modeMEM, 3), ret0}, 2, "scratch word is read before it is written"},
		{"written on both paths", Program{jumpIf(jmpJEQ, 0, 2, 0), stmt(classST, 3), stmt(classJMP|jmpJA, 1), stmt(classSTX, 3), stmt(classLD|modeMEM, 3), ret0}, 0, ""},
		{"jump over the write", Program{stmt(classJMP|jmpJA, 1), stmt(classST, 3), stmt(classLD|modeMEM, 3), ret0}, 2, "scratch word is read before it is written"},
		{"unreachable read", Program{stmt(classJMP|jmpJA, 1), stmt(classLD|modeMEM, 3), ret0}, 0, ""},
		{"unreachable read behind a return", Program{ret0, stmt(classLD|modeMEM, 3), ret0}, 1, "scratch word is read before it is written"},
		{"ancillary", Program{stmt(classLD|modeABS|sizeB, ancillaryBase+adVlanTPID), ret0}, 0, ""},
		{"unknown ancillary", Program{stmt(classLD|modeABS|sizeW, ancillaryBase+64), ret0}, 0, "(ld [-4032]): unknown ancillary load"},
		{"between ancillaries", Program{stmt(classLD|modeABS|sizeH, ancillaryBase+2), ret0}, 0, "unknown ancillary load"},
		{"below ancillary", Program{stmt(classLD|modeABS|sizeW, ancillaryBase-1), ret0}, 0, ""},
		{"ancillary is absolute", Program{stmt(classLD|modeIND|sizeW, math.MaxUint32), stmt(classLDX|modeMSH|sizeB, math.MaxUint32), ret0}, 0, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.prog.Validate()
			if tc.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tc.want)
			require.ErrorIs(t, err, ErrInvalid)
			var bad *Error
			require.ErrorAs(t, err, &bad)
			require.Equal(t, tc.insn, bad.Insn)
			if bad.Insn >= 0 {
				require.Equal(t, tc.prog[bad.Insn], bad.Ins)
			}
			for mode := range Memory + 1 {
				insns, again := Translate(tc.prog, mode)
				require.Equal(t, err, again)
				require.Nil(t, insns)
			}
		})
	}
}

// TestProtochain takes tcpdump's program for "ip6 protochain 58", the one kind
// that jumps backward. Linux refuses it, and tcpdump runs it itself.
func TestProtochain(t *testing.T) {
	p, err := Parse(protochain)
	require.NoError(t, err)
	require.ErrorContains(t, p.Validate(), "jump out of the program")
}

func TestSeccompRules(t *testing.T) {
	for _, tc := range []struct {
		ins  Instruction
		want string
	}{
		{stmt(classLD|modeABS|sizeW, 0), ""},
		{stmt(classLD|modeABS|sizeW, 60), ""},
		{stmt(classLD|modeABS|sizeW, 61), "no aligned word of the 64 bytes of seccomp data"},
		{stmt(classLD|modeABS|sizeW, 64), "no aligned word"},
		{stmt(classLD|modeABS|sizeW, ancillaryBase), "no aligned word"},
		{stmt(classLD|modeABS|sizeH, 0), "not allowed in seccomp filters"},
		{stmt(classLD|modeABS|sizeB, 0), "not allowed"},
		{stmt(classLD|modeIND|sizeW, 0), "not allowed"},
		{stmt(classLDX|modeMSH|sizeB, 0), "not allowed"},
		{stmt(classALU|aluMOD, 3), "not allowed"},
		{stmt(classALU|aluMOD|srcX, 3), "not allowed"},
		{stmt(classALU|aluDIV|srcX, 3), ""},
		{stmt(classLDX|modeLEN, 0), ""},
	} {
		for _, p := range []Program{{tc.ins, ret0}, {ret0, tc.ins, ret0}} { // reachable or not
			_, err := Translate(p, Seccomp)
			if tc.want == "" {
				require.NoError(t, err)
				continue
			}
			require.ErrorContains(t, err, tc.want)
			require.ErrorIs(t, err, ErrInvalid)
		}
	}
}

const protochain = `36
40 0 0 12
21 0 33 34525
48 0 0 20
1 0 0 40
21 27 0 58
21 26 0 59
21 3 0 0
21 2 0 60
21 1 0 43
21 0 9 44
80 0 0 14
2 0 0 0
80 0 0 15
4 0 0 1
36 0 0 8
12 0 0 0
7 0 0 0
96 0 0 0
5 0 0 4294967281
21 0 12 51
135 0 0 0
80 0 0 14
2 0 0 0
135 0 0 0
4 0 0 1
7 0 0 0
80 0 0 14
4 0 0 2
36 0 0 4
7 0 0 0
96 0 0 0
5 0 0 4294967268
4 0 0 0
21 0 1 58
6 0 0 262144
6 0 0 0
`
