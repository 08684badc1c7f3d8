package cbpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/sandbpf/sandbpf/asm"
)

const maxWord = math.MaxUint32

var edges = []uint32{0, 1, 2, 7, 31, 32, 33, 0x7fff, 0x8000, 0xffff, math.MaxInt32, 1 << 31, 1<<31 + 1, maxWord - 1, maxWord}

// agree translates p and compares every engine that is there with the oracle on
// the inputs.
func agree(t *testing.T, p Program, mode Mode, inputs []input) {
	t.Helper()
	insns := translate(t, p, mode)
	eachEngine(t, func(t *testing.T, e engine) { agreeOn(t, e, p, insns, mode, inputs) })
}

// translate returns the translation of a valid program.
func translate(t testing.TB, p Program, mode Mode) asm.Instructions {
	t.Helper()
	insns, err := Translate(p, mode)
	require.NoError(t, err, "%v", p)
	requireWellFormed(t, insns)
	return insns
}

// agreeOn is agree for one engine and p's translation.
func agreeOn(t *testing.T, e engine, p Program, insns asm.Instructions, mode Mode, inputs []input) {
	t.Helper()
	run, release := e.load(t, insns, mode)
	defer release()
	for _, in := range inputs {
		require.Equal(t, evaluate(p, mode, in), run(in), "%s, %v, %x:\n%v%v", e.name, mode, in.data, p, insns)
	}
}

// requireWellFormed checks what a verifier does before it looks at values.
func requireWellFormed(t testing.TB, insns asm.Instructions) {
	t.Helper()
	require.NoError(t, insns.Validate())
	reached := make([]bool, len(insns)+1)
	reached[0] = true
	for i, ins := range insns {
		require.Equal(t, 1, ins.Slots())
		require.True(t, reached[i], "instruction %d is unreachable:\n%v", i, insns)
		if off, ok := ins.JumpOffset(); ok {
			require.GreaterOrEqual(t, off, int32(0))
			require.Less(t, i+1+int(off), len(insns))
			reached[i+1+int(off)] = true
		}
		if kind := ins.Kind(); kind != asm.KindExit && kind != asm.KindGoto {
			reached[i+1] = true
		}
	}
	require.False(t, reached[len(insns)], "runs off the end")
}

// pairs returns inputs that start with each pair of edge values, big-endian and
// (for seccomp) in the machine's order.
func pairs(mode Mode) []input {
	var inputs []input
	order := binary.ByteOrder(binary.BigEndian)
	if mode == Seccomp {
		order = binary.NativeEndian
	}
	for _, a := range edges {
		for _, x := range edges {
			data := make([]byte, seccompDataSize)
			order.PutUint32(data, a)
			order.PutUint32(data[4:], x)
			inputs = append(inputs, input{data: data, link: make([]byte, 14)})
		}
	}
	return inputs
}

var (
	loadA = stmt(classLD|modeABS|sizeW, 0)
	loads = Program{stmt(classLD|modeABS|sizeW, 4), stmt(classMISC|miscTAX, 0), loadA} // X = word 1, A = word 0
)

// arithmetic returns a program that mixes the results of op for the pair of
// words in the input and every edge value as K that the operation takes.
func arithmetic(op uint16) Program {
	ks := edges
	if op&srcX != 0 || op == classALU|aluNEG {
		ks = edges[:1]
	}
	p := append(slices.Clone(loads), stmt(classST, 1), stmt(classSTX, 2), stmt(classLD|modeIMM, 0), stmt(classST, 0))
	for _, k := range ks {
		step := Program{
			stmt(classLD|modeMEM, 1), stmt(classLDX|modeMEM, 2), stmt(op, k), stmt(classMISC|miscTAX, 0),
			stmt(classLD|modeMEM, 0), stmt(classALU|aluMUL, 31), stmt(classALU|aluADD|srcX, 0), stmt(classST, 0),
		}
		if step.check(2) == "" {
			p = append(p, step...)
		}
	}
	return append(p, retAcc)
}

func TestArithmetic(t *testing.T) {
	for mode := range Memory + 1 {
		inputs := pairs(mode)
		for op := range opcodes {
			if op&classMask != classALU || mode == Seccomp && op&opMask == aluMOD {
				continue
			}
			t.Run(fmt.Sprintf("%v/%#x", mode, op), func(t *testing.T) {
				agree(t, arithmetic(op), mode, inputs)
			})
		}
	}
}

func TestJumps(t *testing.T) {
	inputs := pairs(SocketFilter)
	for op := range opcodes {
		ins := Instruction{Op: op}
		if !ins.conditional() {
			continue
		}
		t.Run(fmt.Sprintf("%#x", op), func(t *testing.T) {
			for _, skips := range [][2]uint8{{0, 0}, {0, 1}, {1, 0}, {1, 1}, {1, 2}, {2, 1}, {3, 0}, {255, 254}, {0, 255}} {
				p := append(slices.Clone(loads), Instruction{Op: op, Jt: skips[0], Jf: skips[1], K: 1 << 31})
				for i := range uint32(256) { // the widest translation there is, and the place that was jumped to
					p = append(p, stmt(classLD|modeIND|sizeW, maxWord-i), stmt(classRET|retK, i))
				}
				translate(t, p, Memory)

				p = append(p[:len(loads)+1:len(loads)+1], returns(256)...)
				agree(t, p, SocketFilter, inputs)
			}
		})
	}
}

func returns(n uint32) Program {
	var p Program
	for i := range n {
		p = append(p, stmt(classRET|retK, i))
	}
	return p
}

// cases are programs for every kind of load and the shapes that need care.
var cases = []struct {
	name  string
	modes []Mode
	prog  Program
}{
	{"start", []Mode{SocketFilter, Seccomp, Memory}, Program{stmt(classALU|aluADD|srcX, 0), stmt(classALU|aluADD, 5), retAcc}},
	{"return K", []Mode{SocketFilter}, Program{stmt(classRET|retK, maxWord)}},
	{"immediates", []Mode{SocketFilter}, Program{stmt(classLDX|modeIMM, 1<<31), stmt(classLD|modeIMM, maxWord), stmt(classALU|aluSUB|srcX, 0), retAcc}},
	{"length", []Mode{SocketFilter, Seccomp, Memory}, Program{stmt(classLDX|modeLEN, 0), stmt(classLD|modeLEN, 0), stmt(classALU|aluLSH, 16), stmt(classALU|aluOR|srcX, 0), retAcc}},
	{"word", []Mode{SocketFilter, Seccomp, Memory}, Program{stmt(classLD|modeABS|sizeW, 16), retAcc}},
	{"half", []Mode{SocketFilter, Memory}, Program{stmt(classLD|modeABS|sizeH, 13), retAcc}},
	{"byte", []Mode{SocketFilter, Memory}, Program{stmt(classLD|modeABS|sizeB, 13), retAcc}},
	{"indirect word", []Mode{SocketFilter, Memory}, Program{stmt(classLDX|modeIMM, 9), stmt(classLD|modeIND|sizeW, 4), retAcc}},
	{"indirect half", []Mode{SocketFilter, Memory}, Program{stmt(classLDX|modeIMM, 9), stmt(classLD|modeIND|sizeH, 0), retAcc}},
	{"indirect wraps", []Mode{SocketFilter, Memory}, Program{stmt(classLDX|modeIMM, 16), stmt(classLD|modeIND|sizeB, maxWord), retAcc}},
	{"header length", []Mode{SocketFilter, Memory}, Program{stmt(classLD|modeIMM, 77), stmt(classLDX|modeMSH|sizeB, 14), stmt(classALU|aluLSH, 8), stmt(classALU|aluADD|srcX, 0), retAcc}},
	{"scratch", []Mode{SocketFilter, Seccomp, Memory}, Program{
		stmt(classLD|modeIMM, 5), stmt(classST, 0), stmt(classLDX|modeIMM, 3), stmt(classSTX, 15),
		stmt(classLD|modeMEM, 15), stmt(classALU|aluLSH, 8), stmt(classLDX|modeMEM, 0), stmt(classALU|aluADD|srcX, 0), retAcc}},
	{"scratch survives loads", []Mode{SocketFilter, Memory}, Program{
		stmt(classLD|modeABS|sizeW, 0), stmt(classST, 7), stmt(classLDX|modeMSH|sizeB, 0), stmt(classLD|modeIND|sizeH, 2),
		stmt(classLDX|modeMEM, 7), stmt(classALU|aluXOR|srcX, 0), retAcc}},
	{"division", []Mode{SocketFilter, Seccomp, Memory}, Program{stmt(classLD|modeIMM, 9), stmt(classALU|aluDIV|srcX, 0), stmt(classRET|retK, 1)}},
	{"both ways jump", []Mode{SocketFilter}, Program{jumpIf(jmpJSET, 3, 1, 2), ret0, stmt(classRET|retK, 1), stmt(classRET|retK, 2)}},
	{"jset inverted", []Mode{SocketFilter}, Program{jumpIf(jmpJSET, 3, 0, 1), stmt(classRET|retK, 1), stmt(classRET|retK, 2)}},
	{"same target", []Mode{SocketFilter}, Program{jumpIf(jmpJEQ, 3, 1, 1), ret0, stmt(classRET|retK, 2)}},
	{"jump to the next", []Mode{SocketFilter}, Program{stmt(classJMP|jmpJA, 0), jumpIf(jmpJEQ, 3, 0, 0), stmt(classRET|retK, 2)}},
	{"unreachable", []Mode{SocketFilter, Memory}, Program{stmt(classJMP|jmpJA, 2), stmt(classLD|modeABS|sizeW, ancillaryBase+adPayOffset), ret0, stmt(classRET|retK, 1), ret0}},
	{"xor_x", []Mode{SocketFilter, Memory}, Program{stmt(classLDX|modeIMM, 9), stmt(classLD|modeABS|sizeB, ancillaryBase+adXorX), retAcc}},
	{"far offset", []Mode{SocketFilter, Memory}, Program{stmt(classLD|modeABS|sizeB, math.MaxInt16+1), retAcc}},
	{"last offset", []Mode{SocketFilter, Memory}, Program{stmt(classLD|modeABS|sizeB, math.MaxInt32-1), retAcc}},
	{"no such offset", []Mode{SocketFilter, Memory}, Program{jumpIf(jmpJEQ, 0, 0, 1), stmt(classLD|modeABS|sizeW, 1<<31), stmt(classRET|retK, 1)}},
	{"no header length there", []Mode{SocketFilter, Memory}, Program{stmt(classLDX|modeMSH|sizeB, linkHeader-1), stmt(classRET|retK, 1)}},
	{"network header", []Mode{SocketFilter}, Program{stmt(classLD|modeABS|sizeH, networkHeader+2), retAcc}},
	{"link header", []Mode{SocketFilter}, Program{stmt(classLDX|modeIMM, 12), stmt(classLD|modeIND|sizeW, linkHeader), retAcc}},
}

// caseInputs are packets around the edges of the loads in cases.
func caseInputs(mode Mode) []input {
	link := []byte{0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 9, 0x88, 0xb5}
	var inputs []input
	for _, n := range []int{0, 1, 2, 4, 13, 14, 15, 16, 17, 18, 19, 20, 64, 300, 2000} {
		if mode == Seccomp {
			n = seccompDataSize
		} else if mode == SocketFilter && n == 0 {
			continue // a test run wants a packet
		}
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(0x81 + 13*i)
		}
		inputs = append(inputs, input{data: data, link: link})
	}
	return inputs
}

func TestCases(t *testing.T) {
	for _, tc := range cases {
		for _, mode := range tc.modes {
			t.Run(tc.name+"/"+mode.String(), func(t *testing.T) {
				agree(t, tc.prog, mode, caseInputs(mode))
			})
		}
	}
}

const translationsFile = "testdata/translations.txtar"

// TestTranslationsRecorded compares translations with those that agreed with
// Linux when they were recorded, for the machines that have no Linux to ask.
func TestTranslationsRecorded(t *testing.T) {
	archive := &txtar.Archive{Comment: []byte("Classic programs and their eBPF translations.\nWritten by go test -run TestTranslationsRecorded -update.\n")}
	for _, tc := range cases {
		archive.Files = append(archive.Files, txtar.File{Name: tc.name, Data: []byte(tc.prog.String())})
		for _, mode := range tc.modes {
			insns, err := Translate(tc.prog, mode)
			require.NoError(t, err)
			archive.Files = append(archive.Files, txtar.File{Name: tc.name + ", " + mode.String(), Data: []byte(insns.String())})
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(translationsFile, txtar.Format(archive), 0o644))
	}
	want, err := os.ReadFile(translationsFile)
	require.NoError(t, err)
	require.Equal(t, string(want), string(txtar.Format(archive)))
}

func TestUnsupported(t *testing.T) {
	for _, tc := range []struct {
		ins   Instruction
		modes []Mode
		want  string
	}{
		{stmt(classLD|modeABS|sizeW, ancillaryBase+adHatype), []Mode{SocketFilter, Memory}, "no translation to eBPF: instruction 0 (ld [hatype]): eBPF programs have no access to this"},
		{stmt(classLD|modeABS|sizeW, ancillaryBase+adNlattr), []Mode{SocketFilter, Memory}, "no access to this"},
		{stmt(classLD|modeABS|sizeW, ancillaryBase+adNlattrNest), []Mode{SocketFilter, Memory}, "no access to this"},
		{stmt(classLD|modeABS|sizeW, ancillaryBase+adPayOffset), []Mode{SocketFilter, Memory}, "no access to this"},
		{stmt(classLD|modeABS|sizeH, ancillaryBase+adProtocol), []Mode{Memory}, "instruction 0 (ldh [proto]): there is no socket buffer to read this from"},
		{stmt(classLD|modeABS|sizeW, networkHeader), []Mode{Memory}, "instruction 0 (ld [-1048576]): an offset from a header that plain memory does not have"},
		{stmt(classLDX|modeMSH|sizeB, linkHeader), []Mode{Memory}, "an offset from a header"},
	} {
		for _, mode := range tc.modes {
			p := Program{tc.ins, ret0}
			insns, err := Translate(p, mode)
			require.ErrorIs(t, err, ErrUnsupported)
			require.NotErrorIs(t, err, ErrInvalid)
			require.ErrorContains(t, err, tc.want)
			require.Nil(t, insns)
		}
	}
	_, err := Translate(Program{ret0}, 3)
	require.EqualError(t, err, "no translation to eBPF: mode(3)")
}

// TestAncillary reads what a test run's socket buffer has.
func TestAncillary(t *testing.T) {
	in := input{
		data: make([]byte, 20),
		link: []byte{0x33, 0x33, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x88, 0xb5},
		anc: map[uint32]uint32{
			adProtocol: 0x88b5, adPktType: 2 /* multicast */, adIfindex: 1 /* loopback */, adMark: 0xfedcba98,
			adQueue: 0, adRxhash: 0, adVlanTag: 0, adVlanPresent: 0, adVlanTPID: 0,
		},
	}
	for ad := range skbFields {
		t.Run(ancillaryNames[ad], func(t *testing.T) {
			require.Contains(t, in.anc, ad)
			agree(t, Program{stmt(classLD|modeIMM, 99), stmt(classLD|modeABS|sizeW, ancillaryBase+ad), retAcc}, SocketFilter, []input{in})
		})
	}
	eachEngine(t, func(t *testing.T, e engine) {
		read := func(ad uint32) func(input) uint32 {
			insns := translate(t, Program{stmt(classLD|modeABS|sizeW, ancillaryBase+ad), retAcc}, SocketFilter)
			run, release := e.load(t, insns, SocketFilter)
			t.Cleanup(release)
			return run
		}
		require.Less(t, read(adCPU)(in), uint32(runtime.NumCPU()))
		random := read(adRandom)
		first, second, third := random(in), random(in), random(in)
		require.False(t, first == second && second == third)
	})
}

// TestLong needs jumps of more than 16 bits.
func TestLong(t *testing.T) {
	p := Program{loadA, jumpIf(jmpJEQ, 1, 1, 0), stmt(classJMP|jmpJA, MaxInstructions-5)}
	for len(p) < MaxInstructions-2 {
		p = append(p, stmt(classLD|modeIND|sizeH, uint32(len(p)%32+1)))
	}
	p = append(p, retAcc, stmt(classRET|retK, 7))
	p[2].K = uint32(len(p) - 4)
	require.Len(t, p, MaxInstructions)
	insns := translate(t, p, Memory)
	require.Greater(t, len(insns), math.MaxInt16)
	require.True(t, slices.ContainsFunc(insns, func(ins asm.Instruction) bool { return ins.Op == asm.GotoLong("").Op }))
	inputs := caseInputs(Memory)
	for _, first := range []byte{0, 1} {
		inputs = append(inputs, input{data: slices.Concat([]byte{0, 0, 0, first}, make([]byte, 60))})
	}
	agree(t, p, Memory, inputs)
}

// randomProgram returns a valid program, in a way that keeps most of it
// reachable. next gives numbers below its argument.
func randomProgram(next func(n uint32) uint32, mode Mode) Program {
	ops := slices.Sorted(func(yield func(uint16) bool) {
		for op := range opcodes {
			if !yield(op) {
				return
			}
		}
	})
	n := 2 + next(40)
	var p Program
	for i := range uint32(ScratchWords / 4) {
		p = append(p, stmt(classST, i))
	}
	for uint32(len(p)) < n+ScratchWords/4 {
		ins := Instruction{Op: ops[next(uint32(len(ops)))], K: next(64)}
		left := n + ScratchWords/4 - uint32(len(p)) // instructions behind this one
		switch operand := opcodes[ins.Op].operand; {
		case operand == scratch:
			ins.K %= ScratchWords / 4
		case operand == jump:
			ins.K %= min(left, 4)
		case ins.conditional():
			ins.Jt, ins.Jf = uint8(next(min(left, 4))), uint8(next(min(left, 4)))
			ins.K = edges[next(uint32(len(edges)))]
		case operand == indirect && next(4) == 0:
			ins.K = -ins.K
		case operand == absolute && next(8) == 0 && mode != Seccomp:
			ins.K = ancillaryBase + adXorX
		case operand == hexadecimal, ins.class() == classALU && next(2) == 0:
			ins.K = edges[next(uint32(len(edges)))]
		case ins.class() == classRET && next(4) != 0:
			continue
		}
		if mode == Seccomp {
			ins.K &^= 3
		}
		p = append(p, ins)
		if tail := append(slices.Clone(p), make(Program, left)...); tail.check(len(p)-1) != "" || mode == Seccomp && p.checkSeccomp() != nil {
			p = p[:len(p)-1]
		}
	}
	return append(p, retAcc)
}

func TestRandomPrograms(t *testing.T) {
	for mode := range Memory + 1 {
		t.Run(mode.String(), func(t *testing.T) {
			eachEngine(t, func(t *testing.T, e engine) {
				n := 500
				if e.linux {
					n = 30
				}
				rnd := rand.New(rand.NewPCG(1, uint64(mode)))
				for range n {
					p := randomProgram(rnd.Uint32N, mode)
					require.NoError(t, p.Validate(), "%v", p)
					agreeOn(t, e, p, translate(t, p, mode), mode, randomInputs(rnd, mode))
				}
			})
		})
	}
}

func randomInputs(rnd *rand.Rand, mode Mode) []input {
	inputs := make([]input, 8)
	for i := range inputs {
		data := make([]byte, 1+rnd.IntN(80))
		if mode == Seccomp {
			data = make([]byte, seccompDataSize)
		}
		for j := range data {
			data[j] = byte(rnd.Uint32N(256) & rnd.Uint32()) // small numbers
		}
		inputs[i] = input{data: data, link: make([]byte, 14)}
	}
	return inputs
}

// FuzzTranslate takes b as a program, and as the numbers from which a valid
// program is made.
func FuzzTranslate(f *testing.F) {
	for _, seed := range filters(f)[:8] {
		p, err := Parse(seed.ddd)
		require.NoError(f, err)
		f.Add(p.AppendBinary(nil, binary.LittleEndian), []byte("0123456789abcdefghijklmnopqrst"))
	}
	f.Fuzz(func(t *testing.T, b, data []byte) {
		p, err := Unmarshal(b, binary.LittleEndian)
		require.Equal(t, len(b)%InstructionSize != 0, err != nil)
		require.Equal(t, len(p), strings.Count(p.String(), "\n"))
		require.Equal(t, string(b[:len(p)*InstructionSize]), string(p.AppendBinary(nil, binary.LittleEndian)))
		for mode := range Memory + 1 {
			fuzzTranslate(t, p, mode, data)
			rest, rnd := b, rand.New(rand.NewPCG(0, uint64(len(b))))
			fuzzTranslate(t, randomProgram(func(n uint32) uint32 {
				if len(rest) == 0 {
					return rnd.Uint32N(n)
				}
				v := uint32(rest[0])
				rest = rest[1:]
				return v % n
			}, mode), mode, data)
		}
	})
}

func fuzzTranslate(t *testing.T, p Program, mode Mode, data []byte) {
	insns, err := Translate(p, mode)
	if err != nil {
		require.Nil(t, insns)
		require.Equal(t, p.Validate() != nil || mode == Seccomp && p.checkSeccomp() != nil, errors.Is(err, ErrInvalid))
		require.NotEqual(t, errors.Is(err, ErrInvalid), errors.Is(err, ErrUnsupported))
		return
	}
	requireWellFormed(t, insns)
	if slices.ContainsFunc(p, func(ins Instruction) bool {
		ad, ok := ins.ancillary()
		return ok && ad != adXorX
	}) {
		return // the oracle does not know them
	}
	data = append(data[:min(len(data), 3000):min(len(data), 3000)], 0)
	if mode == Seccomp {
		data = append(data, make([]byte, seccompDataSize)...)[:seccompDataSize]
	}
	for _, e := range engines {
		if !e.linux {
			agreeOn(t, e, p, insns, mode, []input{{data: data, link: make([]byte, 14)}})
		}
	}
}
