package difftest

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

const probesFile = "../../../shared/linux/types-probes.json"

// probes is a recording of what Linux said of programs without and with CAP_PERFMON.
type probes struct {
	Maps     map[string]string
	MapOrder []string `json:"map_order"`
	Programs []*probe
}

type probe struct {
	answer
	Name      string
	ProgType  string `json:"prog_type"`
	Attach    uint32
	Flags     uint32
	License   string
	Funcs     [][4]json.RawMessage // name, linkage, return type, arguments
	Hex       hexBytes
	NoPerfmon *answer
}

type answer struct {
	Verdict string
	Errno   int
	Reason  string
}

// readProbes returns nil where there is no recording.
func readProbes(t *testing.T) *probes {
	if !exists(probesFile) {
		return nil
	}
	b, err := os.ReadFile(probesFile)
	require.NoError(t, err)
	p := new(probes)
	require.NoError(t, json.Unmarshal(b, p))
	return p
}

const flagRdonlyProg, flagWronlyProg, flagMmapable = 1 << 7, 1 << 8, 1 << 10

// probeMaps are the maps that the recording's key "maps" describes.
var probeMaps = map[string]Map{
	"arr": array(1, 8), "arr4": array(4, 8), "big": array(1, 4096),
	"hash":  {Type: uint32(maps.Hash), KeySize: 4, ValueSize: 16, MaxEntries: 10},
	"parr":  {Type: uint32(maps.ProgramArray), KeySize: 4, ValueSize: 4, MaxEntries: 4},
	"rb":    {Type: uint32(maps.RingBuf), MaxEntries: 4096},
	"lock":  Map{Type: uint32(maps.Hash), KeySize: 4, MaxEntries: 10}.withValue("lock", nil),
	"locka": array(1, 8).withValue("lock", nil),
	"timer": Map{Type: uint32(maps.Hash), KeySize: 4, MaxEntries: 10}.withValue("timer", nil),
	"wq":    Map{Type: uint32(maps.Hash), KeySize: 4, MaxEntries: 10}.withValue("wq", nil),
	"kptr":  Map{Type: uint32(maps.Hash), KeySize: 4, MaxEntries: 10, Flags: 1}.withValue("kptr", nil),
	"list":  array(1, 32).withValue("list", nil), "rl": array(1, 8).withValue("rl", nil), "rl2": array(1, 16).withValue("rl2", nil),
	"aom":     {Type: uint32(maps.ArrayOfMaps), KeySize: 4, ValueSize: 4, MaxEntries: 4, Inner: &innerArray},
	"hom":     {Type: uint32(maps.HashOfMaps), KeySize: 4, ValueSize: 4, MaxEntries: 4, Inner: &innerArray},
	"sockmap": {Type: uint32(maps.SockMap), KeySize: 4, ValueSize: 4, MaxEntries: 4},
	"percpu":  {Type: uint32(maps.PerCPUArray), KeySize: 4, ValueSize: 8, MaxEntries: 4},
	"ro":      frozen(16, []byte{0x44, 0x33, 0x22, 0x11, 0xfe, 0xff, 0xff, 0xff, 5}),
	"ronf":    {Type: uint32(maps.Array), KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: flagRdonlyProg},
	"wo":      {Type: uint32(maps.Array), KeySize: 4, ValueSize: 16, MaxEntries: 1, Flags: flagWronlyProg},
	"st":      {Type: uint32(maps.StackTrace), KeySize: 4, ValueSize: 64, MaxEntries: 4},
	"skst":    Map{Type: uint32(maps.SkStorage), KeySize: 4, Flags: 1}.withValue("u64", nil),
	"tst":     Map{Type: uint32(maps.TaskStorage), KeySize: 4, Flags: 1}.withValue("u64", nil),
	"xsk":     {Type: uint32(maps.XSKMap), KeySize: 4, ValueSize: 4, MaxEntries: 4},
	"dev":     {Type: uint32(maps.DevMap), KeySize: 4, ValueSize: 4, MaxEntries: 4},
	"urb":     {Type: uint32(maps.UserRingbuf), MaxEntries: 4096},
	"queue":   {Type: uint32(maps.Queue), ValueSize: 8, MaxEntries: 4},
	"bloom":   {Type: uint32(maps.BloomFilter), ValueSize: 8, MaxEntries: 4},
	"str":     frozen(8, []byte("abc\x00efgh")), "strnz": frozen(8, []byte("abcdefgh")),
	"perf":  {Type: uint32(maps.PerfEventArray), KeySize: 4, ValueSize: 4, MaxEntries: 4},
	"cgarr": {Type: uint32(maps.CGroupArray), KeySize: 4, ValueSize: 4, MaxEntries: 4},
	"lpm":   {Type: uint32(maps.LPMTrie), KeySize: 8, ValueSize: 8, MaxEntries: 4, Flags: 1},
	"cpu":   {Type: uint32(maps.CPUMap), KeySize: 4, ValueSize: 4, MaxEntries: 2},
	"lru":   {Type: uint32(maps.LRUHash), KeySize: 4, ValueSize: 8, MaxEntries: 10},
	"arena": {Type: uint32(maps.Arena), MaxEntries: 10, Flags: flagMmapable, Extra: 0x1_0000_0000},
	"cgst":  {Type: uint32(maps.CGroupStorage), KeySize: 16, ValueSize: 8},
}

var innerArray = array(4, 8)

func array(n, valueSize uint32) Map {
	return Map{Type: uint32(maps.Array), KeySize: 4, ValueSize: valueSize, MaxEntries: n}
}

// frozen is an array that programs read as constants.
func frozen(size uint32, value []byte) Map {
	m := array(1, size)
	m.Flags, m.Frozen, m.Value = flagRdonlyProg, true, value
	return m
}

// progTypeOf returns the type of that name.
func progTypeOf(t *testing.T, name string) uint32 {
	for typ := prog.Unspec; typ <= prog.Netfilter; typ++ {
		if typ.String() == name {
			return uint32(typ)
		}
	}
	require.Fail(t, "no such program type", name)
	return 0
}

// probeTypes are the recording's words for types.
var probeTypes = map[string]string{
	"i": "int", "l": "u64", "v": "void", "p:ctx": "ctx *", "p:void": "void *", "p:foo": "struct foo *", "foo": "struct foo",
	"p:p": "int * *", "p:fwd": "struct forward *", "p:int": "int *", "p:task": "struct task_struct *", "p:dyn": "struct bpf_dynptr *",
}

// decl reads an entry of Funcs.
func (p *probe) decl(t *testing.T, f [4]json.RawMessage) decl {
	var d decl
	var global int
	var ret string
	var args []json.RawMessage
	for i, to := range []any{&d.name, &global, &ret, &args} {
		require.NoError(t, json.Unmarshal(f[i], to), p.Name)
	}
	d.global, d.ret = global != 0, probeTypes[ret]
	for _, arg := range args {
		var name string
		var tagged []json.RawMessage
		var tags []string
		if json.Unmarshal(arg, &name) != nil {
			require.NoError(t, json.Unmarshal(arg, &tagged), p.Name)
			require.NoError(t, json.Unmarshal(tagged[0], &name), p.Name)
			require.NoError(t, json.Unmarshal(tagged[1], &tags), p.Name)
		}
		require.Contains(t, probeTypes, name, p.Name)
		d.params = append(d.params, strings.TrimSpace(probeTypes[name]+" "+strings.Join(tags, " ")))
	}
	return d
}

// toCase converts a program of the recording.
func (p *probe) toCase(t *testing.T, order []string) *Case {
	c := &Case{
		ID: p.Name, ProgType: progTypeOf(t, p.ProgType), AttachType: p.Attach, Flags: p.Flags, License: p.License, Insns: p.Hex,
		Verdict: p.Verdict, Errno: p.Errno, Reason: p.Reason,
	}
	for _, name := range order {
		m, ok := probeMaps[name]
		require.True(t, ok, "map %s", name)
		c.Maps = append(c.Maps, m)
	}
	insns := c.instructions(&prog.Program{})
	starts := funcStarts(insns)
	var decls []decl
	for _, f := range p.Funcs {
		decls = append(decls, p.decl(t, f))
	}
	if len(decls) > len(starts) || handMade[p.Name] != nil {
		starts = append(starts, slices.Repeat([]int{1}, len(decls))...)
	}
	require.NoError(t, c.declare(decls, starts), p.Name)
	if change := handMade[p.Name]; change != nil {
		change(c)
	}
	return c
}

// handMade are the programs of the recording whose func_info or line_info was not made
// from its functions, by name.
var handMade = map[string]func(c *Case){
	"func_info ok":                     func(*Case) {},
	"func_info first off 1":            func(c *Case) { c.FuncInfo.Hex[0] = 1 },
	"func_info bad type":               func(c *Case) { c.FuncInfo.Hex[4] = 1 },
	"func_info missing subprog":        func(*Case) {},
	"func_info not at subprog":         func(c *Case) { c.FuncInfo.Hex[8] = 1 },
	"line_info ok":                     lines(0, 1),
	"line_info no first":               lines(1),
	"line_info off beyond":             lines(0, 5),
	"line_info not increasing":         lines(0, 0),
	"line_info bad line_off":           func(c *Case) { lines(0, 1)(c); copy(c.LineInfo.Hex[8:], "\xff\xff\xff\x00") },
	"line_info in ldimm64 second half": lines(0, 1),
	"line_info missing func":           lines(0, 1),
	"line_info without func_info":      func(c *Case) { lines(0, 1)(c); c.FuncInfo = nil },
}

// lines gives a case line_info for instructions.
func lines(slots ...uint32) func(c *Case) {
	return func(c *Case) {
		c.LineInfo = &Records{Count: len(slots), Size: lineInfoSize}
		for _, slot := range slots {
			for _, v := range []uint32{slot, 1, 1, 1 << 10} {
				c.LineInfo.Hex = binary.LittleEndian.AppendUint32(c.LineInfo.Hex, v)
			}
		}
	}
}

// cases converts all programs, and those that were loaded without CAP_PERFMON too once more.
func (p *probes) cases(t *testing.T) []*Case {
	var list []*Case
	for _, one := range p.Programs {
		c := one.toCase(t, p.MapOrder)
		c.ID = "probe " + one.Name
		list = append(list, c)
		if less := one.NoPerfmon; less != nil {
			again := *c
			again.ID, again.Privilege = "probe without perfmon "+one.Name, verifier.CapBPF
			again.Verdict, again.Errno, again.Reason = less.Verdict, less.Errno, less.Reason
			list = append(list, &again)
		}
	}
	return list
}

// TestProbes has every program of the recording get Linux's verdict, with all
// capabilities and without CAP_PERFMON.
func TestProbes(t *testing.T) {
	recorded := readProbes(t)
	if recorded == nil {
		t.Skip("no recorded probes beside the module")
	}
	allowed := parity(t)
	var rows []*row
	for _, c := range recorded.cases(t) {
		rows = append(rows, newRow(c, c.Verify(1, verifyLimit)))
	}
	s := summarise(rows)
	t.Logf("%d programs\n%s\n%s", len(rows), s, s.details())
	require.Empty(t, s.unmapped)
	for _, kind := range []string{"crash", "false reject", "extra accept"} {
		for _, r := range s.kinds[kind] {
			require.Contains(t, allowed, r.ID, fmt.Sprintf("%s: %s %s; Linux: %s", kind, r.Code, r.Reason, r.LinuxReason))
		}
	}
	require.GreaterOrEqual(t, float64(s.sameReason), 0.9*float64(s.reasons))
}

// TestProbesAgainstKernel makes sure that the programs, as converted here, are those that
// were recorded.
func TestProbesAgainstKernel(t *testing.T) {
	recorded := readProbes(t)
	if recorded == nil {
		t.Skip("no recorded probes beside the module")
	}
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	for _, c := range recorded.cases(t) {
		t.Run(c.ID, func(t *testing.T) {
			live, err := askKernel(c)
			require.NoError(t, err)
			require.Equal(t, c.Verdict, live.Verdict, "recorded %q, now %q", c.Reason, live.Reason)
		})
	}
}
