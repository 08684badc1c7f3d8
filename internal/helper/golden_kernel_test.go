package helper

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/kernel"
)

var kernelTypes = map[string]ebpf.ProgramType{
	"xdp": ebpf.XDP, "sched_cls": ebpf.SchedCLS, "socket_filter": ebpf.SocketFilter,
}

// code builds programs for the kernel, eight bytes an instruction.
type code []byte

func (c *code) insn(op, dst, src byte, off int16, imm int32) {
	*c = append(*c, op, dst|src<<4)
	*c = binary.LittleEndian.AppendUint16(*c, uint16(off))
	*c = binary.LittleEndian.AppendUint32(*c, uint32(imm))
}

func (c *code) wide(dst, pseudo byte, low, high int32) {
	c.insn(0x18, dst, pseudo, 0, low)
	c.insn(0, 0, 0, 0, high)
}

// ask runs a case in the kernel: a program makes the calls and stores what they
// return in a map.
func (g *goldenCase) ask(t *testing.T) answer {
	scratch := newKernelMap(t, &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: scratchSize, MaxEntries: 1})
	results := newKernelMap(t, &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: uint32(8 * len(g.calls)), MaxEntries: 1})
	require.NoError(t, scratch.Put(uint32(0), g.mem))
	all := []*ebpf.Map{scratch, results}
	for _, m := range g.maps {
		all = append(all, newKernelMap(t, &ebpf.MapSpec{Type: ebpf.MapType(m.typ), KeySize: m.key, ValueSize: m.value, MaxEntries: m.count, Flags: m.flags}))
	}
	for _, s := range g.strings {
		m := newKernelMap(t, &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(s) + 1), MaxEntries: 1, Flags: 1 << 7})
		require.NoError(t, m.Put(uint32(0), append([]byte(s), 0)))
		require.NoError(t, m.Freeze())
		all = append(all, m)
	}
	l, err := kernel.Load(kernel.Prog{Type: kernelTypes[g.typ], Insns: g.compile(), Maps: all})
	require.NoError(t, err)
	defer l.Close()
	require.True(t, l.Accepted(), "%v\n%s", l.Errno, l.Log)
	r, err := l.Run(g.packet, nil, 1)
	require.NoError(t, err)
	a := answer{packet: r.Data}
	require.NoError(t, scratch.Lookup(uint32(0), &a.mem))
	var raw []byte
	require.NoError(t, results.Lookup(uint32(0), &raw))
	for i, call := range g.calls {
		v := binary.LittleEndian.Uint64(raw[8*i:])
		if call.kind == "ptr" && v != 0 {
			v = 1
		}
		a.results = append(a.results, v)
	}
	return a
}

func newKernelMap(t *testing.T, spec *ebpf.MapSpec) *ebpf.Map {
	m, err := ebpf.NewMap(spec)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	return m
}

// compile makes the program of a case. r6 is the context, r7 the results.
func (g *goldenCase) compile() []byte {
	const ctx, results = 6, 7
	var c code
	c.insn(0xbf, ctx, 1, 0, 0)
	c.wide(results, 2, 1, 0)
	for i, call := range g.calls {
		if call.fn == nil {
			op := byte(0x61)
			if call.kind == "load64" {
				op = 0x79
			}
			c.insn(op, 0, ctx, int16(call.args[0].num), 0)
			c.insn(0x7b, results, 0, int16(8*i), 0)
			continue
		}
		for j, arg := range call.args {
			r := byte(1 + j)
			switch arg.kind {
			case "num":
				c.wide(r, 0, int32(arg.num), int32(arg.num>>32))
			case "ctx":
				c.insn(0xbf, r, ctx, 0, 0)
			case "mem":
				c.wide(r, 2, 0, int32(arg.num))
			case "map":
				c.wide(r, 1, int32(2+arg.num), 0)
			case "str":
				c.wide(r, 2, int32(2+len(g.maps))+int32(arg.num), 0)
			}
		}
		c.insn(0x85, 0, 0, 0, int32(call.fn.ID))
		if call.fn.Ret.Kind != RetVoid {
			c.insn(0x7b, results, 0, int16(8*i), 0)
		}
	}
	c.insn(0xb7, 0, 0, 0, 0)
	c.insn(0x95, 0, 0, 0, 0)
	return c
}

// The answers in testdata are those of the kernel that the test runs on. With
// -update they become so.
func TestGoldenKernel(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	if !littleEndian() {
		t.Skip("the answers are of a little-endian machine")
	}
	for _, file := range caseFiles(t) {
		cases := readCases(t, file)
		answers, answered := make([]answer, len(cases)), true
		for i, g := range cases {
			answered = t.Run(strings.TrimSuffix(filepath.Base(file), ".case")+"/"+g.name, func(t *testing.T) {
				answers[i] = g.ask(t)
				if !*update {
					require.Equal(t, g.want.lines(), answers[i].lines())
				}
			}) && answered
		}
		if *update && answered {
			writeAnswers(t, file, answers)
		}
	}
}

// writeAnswers puts the answers behind the calls of each case of a file.
func writeAnswers(t *testing.T, file string, answers []answer) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var out []string
	n := 0
	flush := func() {
		if n > 0 {
			for len(out) > 0 && out[len(out)-1] == "" {
				out = out[:len(out)-1]
			}
			out = append(out, strings.Split(answers[n-1].lines(), "\n")...)
		}
		n++
	}
	for _, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "="):
			continue
		case strings.HasPrefix(line, "case "):
			comments := 0
			for i := len(out); i > 0 && strings.HasPrefix(out[i-1], "#"); i-- {
				comments++
			}
			head := append([]string(nil), out[len(out)-comments:]...)
			out = out[:len(out)-comments]
			flush()
			out = append(out, head...)
		}
		out = append(out, line)
	}
	flush()
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(out, "\n")), 0o644))
}
