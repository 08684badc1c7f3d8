package sandbpf

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

func newMaps(t *testing.T, specs ...maps.Spec) map[string]*maps.Map {
	t.Helper()
	named := make(map[string]*maps.Map)
	for _, spec := range specs {
		m, err := maps.New(&spec)
		require.NoError(t, err)
		t.Cleanup(func() { _ = m.Close() })
		named[spec.Name] = m
	}
	return named
}

var (
	dataSpec = maps.Spec{Name: ".data", Type: maps.Array, KeySize: 4, ValueSize: 16, MaxEntries: 1}
	hashSpec = maps.Spec{Name: "hash", Type: maps.Hash, KeySize: 4, ValueSize: 4, MaxEntries: 8}
)

// linkChecked links a program that no verifier will see.
func linkChecked(spec *ProgramSpec, named map[string]*maps.Map) (*prog.Program, error) {
	p, err := link(spec, byNameIn(named))
	if err != nil {
		return nil, err
	}
	return p, checkStructure(p)
}

func TestLink(t *testing.T) {
	named := newMaps(t, dataSpec, hashSpec)
	proto := &prog.BTFType{Kind: prog.BTFFuncProto}
	got, err := linkChecked(&ProgramSpec{
		Name: "main", Type: prog.XDP, AttachType: 37, AttachTo: "eth0", License: "GPL", Sleepable: true,
		Instructions: asm.Instructions{
			asm.LoadMapPtr(asm.R1, "hash").WithSymbol("main"),          // 0
			asm.LoadMapValue(asm.R2, ".data", 12),                      // 2
			asm.LoadMapPtr(asm.R3, "hash"),                             // 4
			asm.JEq.Imm(asm.R2, 0, "out"),                              // 6
			asm.CallLocal("f"),                                         // 7
			asm.CallKfunc("bpf_b"),                                     // 8
			asm.CallKfunc("bpf_a"),                                     // 9
			asm.CallKfunc("bpf_b"),                                     // 10
			asm.Instruction{Op: 0x18, Src: 3}.WithReference("jiffies"), // 11
			asm.Return().WithSymbol("out"),                             // 13
			asm.LoadFunc(asm.R1, "g").WithSymbol("f"),                  // 14
			asm.Return(),                                                    // 16
			asm.Return().WithSymbol("g"),                                    // 17
			asm.Return().WithSymbol("unused"),                               // 18
			asm.Mov.Imm(asm.R0, 0).WithSymbol("only a label"), asm.Return(), // 19, 20
		},
		Lines:  []Line{{Slot: 7, File: "a.c", Number: 9}, {Slot: 0, File: "a.c", Number: 3}},
		Funcs:  map[string]*FuncInfo{"f": {Linkage: prog.Global, Proto: proto}, "unused": {Exception: true}, "gone": {}},
		Kfuncs: map[string]*prog.Kfunc{"bpf_b": {Name: "bpf_b", Weak: true, Proto: proto}},
		Ksyms:  map[string]*prog.Extern{"jiffies": {Name: "jiffies", Weak: true}},
	}, named)
	require.NoError(t, err)

	require.Equal(t, &prog.Program{
		Name: "main", Type: prog.XDP, Attach: 37, Target: "eth0", License: "GPL", Sleep: true,
		Insns: []asm.Instruction{
			{Op: 0x18, Dst: 1, Src: asm.PseudoMapIdx, Imm: 0}, {},
			{Op: 0x18, Dst: 2, Src: asm.PseudoMapIdxValue, Imm: 12<<32 | 1}, {},
			{Op: 0x18, Dst: 3, Src: asm.PseudoMapIdx, Imm: 0}, {},
			{Op: 0x15, Dst: 2, Off: 6},
			{Op: 0x85, Src: 1, Imm: 6},
			{Op: 0x85, Src: 2, Imm: 0}, {Op: 0x85, Src: 2, Imm: 1}, {Op: 0x85, Src: 2, Imm: 0},
			{Op: 0x18, Src: asm.PseudoBTFID, Imm: 0}, {},
			{Op: 0x95},
			{Op: 0x18, Dst: 1, Src: asm.PseudoFunc, Imm: 2}, {},
			{Op: 0x95},
			{Op: 0x95},
			{Op: 0x95},
			{Op: 0xb7}, {Op: 0x95},
		},
		Funcs: []prog.Func{
			{Name: "main", Start: 0, End: 14},
			{Name: "f", Start: 14, End: 17, Linkage: prog.Global, Proto: proto},
			{Name: "g", Start: 17, End: 18},
			{Name: "unused", Start: 18, End: 21, Exception: true},
		},
		Maps:    []prog.Map{named["hash"], named[".data"]},
		Kfuncs:  []prog.Kfunc{{Name: "bpf_b", Weak: true, Proto: proto}, {Name: "bpf_a"}},
		Externs: []prog.Extern{{Name: "jiffies", Weak: true}},
		Lines:   []Line{{Slot: 0, File: "a.c", Number: 3}, {Slot: 7, File: "a.c", Number: 9}},
	}, plain(got))
}

// plain removes what instructions carry beside their fields.
func plain(p *prog.Program) *prog.Program {
	for i, ins := range p.Insns {
		p.Insns[i] = asm.Instruction{Op: ins.Op, Dst: ins.Dst, Src: ins.Src, Off: ins.Off, Imm: ins.Imm}
	}
	return p
}

func TestLinkNamesFunctionsWithoutLabels(t *testing.T) {
	got, err := linkChecked(&ProgramSpec{Name: "p", Instructions: asm.Instructions{
		{Op: 0x85, Src: 1, Imm: 1}, asm.Return(), asm.Return(),
	}}, nil)
	require.NoError(t, err)
	require.Equal(t, []prog.Func{{Name: "p", Start: 0, End: 2}, {Name: "func#1", Start: 2, End: 3}}, got.Funcs)
}

func TestLinkErrors(t *testing.T) {
	pair := dataSpec
	pair.Name, pair.MaxEntries = "pair", 2
	named := newMaps(t, dataSpec, hashSpec, pair)
	exit := asm.Return()
	for _, c := range []struct {
		name   string
		insns  asm.Instructions
		slot   int
		reason string
	}{
		{"empty", nil, 0, "no instructions"},
		{"missing function", asm.Instructions{asm.LoadImm(0, 0), asm.CallLocal("f"), exit}, 2, `function "f" is not in the program`},
		{"missing callback", asm.Instructions{asm.LoadFunc(1, "f"), exit}, 0, `function "f" is not in the program`},
		{"missing label", asm.Instructions{asm.Goto("x"), exit}, 0, `"x": no such label`},
		{"label twice", asm.Instructions{exit.WithSymbol("x"), exit.WithSymbol("x")}, 1, `"x": label is defined twice`},
		{"label twice at a call", asm.Instructions{exit.WithSymbol("f"), asm.CallLocal("f").WithSymbol("f"), exit}, 1, `"f": label is defined twice`},
		{"missing map", asm.Instructions{exit, asm.LoadMapPtr(1, "m"), exit}, 1, `map "m" is not in the collection`},
		{"map by fd", asm.Instructions{{Op: 0x18, Src: 1, Imm: 7}, exit}, 0, "map by number 7"},
		{"map by index", asm.Instructions{{Op: 0x18, Src: 6, Imm: 7}, exit}, 0, "map by number 7"},
		{"offset of map pointer", asm.Instructions{asm.Instruction{Op: 0x18, Src: 1, Imm: 4 << 32}.WithReference("hash"), exit}, 0, "reserved field is not zero: next_imm is 0x4"},
		{"value of hash", asm.Instructions{asm.LoadMapValue(1, "hash", 0), exit}, 0, "only the value of an Array of one element"},
		{"value of two", asm.Instructions{asm.LoadMapValue(1, "pair", 0), exit}, 0, "this is Array of 2"},
		{"value offset", asm.Instructions{asm.LoadMapValue(1, ".data", 16), exit}, 0, "offset 16 is outside of its value of 16 bytes"},
		{"kfunc by id", asm.Instructions{{Op: 0x85, Src: 2, Imm: 99}, exit}, 0, "kernel function by BTF id 99"},
		{"ksym by id", asm.Instructions{{Op: 0x18, Src: 3, Imm: 99}, exit}, 0, "kernel variable by BTF id 99"},
		{"number with name", asm.Instructions{asm.LoadImm(1, 0).WithReference("x"), exit}, 0, `"x": no such variable`},
		{"name on move", asm.Instructions{asm.Mov.Imm(0, 0).WithReference("x"), exit}, 0, `"x": this instruction cannot refer`},
		{"callx", asm.Instructions{{Op: 0x8d}, exit}, 0, "use -O2"},
		{"unknown opcode", asm.Instructions{asm.LoadImm(0, 0), {Op: 0xff}, exit}, 2, "unknown opcode: opcode is 0xff"},
		{"register", asm.Instructions{asm.Mov.Imm(11, 0), exit}, 0, "no such register: dst is 0xb"},
		{"reserved field", asm.Instructions{{Op: 0x95, Imm: 1}}, 0, "reserved field is not zero: imm is 0x1"},
		{"structure", asm.Instructions{{Op: 0x05, Off: 9}, exit}, 0, "jump to 10, outside"},
		{"call outside", asm.Instructions{{Op: 0x85, Src: 1, Imm: -9}, exit}, 0, "no function starts at instruction -8"},
		{"call into load", asm.Instructions{{Op: 0x85, Src: 1, Imm: 1}, asm.LoadImm(0, 0), exit}, 0, "no function starts at instruction 2"},
		{"falls into subprogram", asm.Instructions{asm.CallLocal("f"), exit.WithSymbol("f")}, 0, "ends with neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := linkChecked(&ProgramSpec{Name: "p", Instructions: c.insns, Lines: []Line{{File: "p.c", Number: 5}}}, named)
			require.ErrorIs(t, err, prog.ErrInvalid)
			var bad *prog.Error
			require.True(t, errors.As(err, &bad))
			require.Equal(t, c.slot, bad.Slot)
			require.Contains(t, bad.Reason, c.reason)
			require.Equal(t, "p", bad.Prog)
			require.Equal(t, 5, bad.Line.Number)
		})
	}
}

func TestLinkLimitsMaps(t *testing.T) {
	var insns asm.Instructions
	var specs []maps.Spec
	for i := range maxMaps + 1 {
		spec := dataSpec
		spec.Name = fmt.Sprint("m", i)
		specs = append(specs, spec)
		insns = append(insns, asm.LoadMapPtr(asm.R1, spec.Name))
	}
	named := newMaps(t, specs...)
	_, err := linkChecked(&ProgramSpec{Instructions: append(insns[:maxMaps:maxMaps], insns[0], asm.Return())}, named)
	require.NoError(t, err)
	_, err = linkChecked(&ProgramSpec{Instructions: append(insns, asm.Return())}, named)
	require.ErrorContains(t, err, `instruction 128: map "m64" is one more than the 64`)
}

func TestLinkKeepsTheSpec(t *testing.T) {
	spec := &ProgramSpec{Instructions: asm.Instructions{asm.Goto("x"), asm.Return().WithSymbol("x")},
		Lines: []Line{{Slot: 1, Number: 2}, {Slot: 0, Number: 1}}}
	_, err := linkChecked(spec, nil)
	require.NoError(t, err)
	require.Equal(t, "x", spec.Instructions[0].Reference())
	require.Equal(t, 1, spec.Lines[0].Slot)
}
