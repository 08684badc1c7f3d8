package difftest

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// The programs in testdata/cases are txtar archives with a program a file: lines
// "key: value", an empty line, and the text of the program. The keys are those of
// textKeys. Instructions that the assembler refuses are written as
//
//	raw opcode dst src off imm
type textCase struct {
	*Case
	archive   string // the file that it is in
	decls     []decl
	names     []string // of Case.Maps
	exception string   // the function that is called back by bpf_throw
}

var mapTypes = map[string]maps.Type{
	"hash": maps.Hash, "array": maps.Array, "prog_array": maps.ProgramArray, "perf_event_array": maps.PerfEventArray,
	"ringbuf": maps.RingBuf, "array_of_maps": maps.ArrayOfMaps, "sockmap": maps.SockMap, "stack_trace": maps.StackTrace,
	"percpu_array": maps.PerCPUArray, "percpu_hash": maps.PerCPUHash, "lpm_trie": maps.LPMTrie, "queue": maps.Queue,
	"devmap": maps.DevMap, "cpumap": maps.CPUMap, "xskmap": maps.XSKMap, "arena": maps.Arena,
	"sk_storage": maps.SkStorage, "task_storage": maps.TaskStorage, "user_ringbuf": maps.UserRingbuf, "lru_hash": maps.LRUHash,
	"hash_of_maps": maps.HashOfMaps, "cgroup_storage": maps.CGroupStorage,
}

// textKeys are what the head of a program may say. All but linux may be left out.
var textKeys = map[string]func(c *textCase, value string) error{
	"type": func(c *textCase, value string) error { // of the program; socket_filter if left out
		for typ := prog.Unspec; typ <= prog.Netfilter; typ++ {
			if typ.String() == value {
				c.ProgType = uint32(typ)
				return nil
			}
		}
		return fmt.Errorf("no program type %q", value)
	},
	"attach":  func(c *textCase, value string) error { return parseNumber(value, &c.AttachType) }, // expected_attach_type
	"flags":   func(c *textCase, value string) error { return parseNumber(value, &c.Flags) },      // prog_flags
	"license": func(c *textCase, value string) error { c.License = value; return nil },
	"privilege": func(c *textCase, value string) error { // root if left out
		if value != "bpf" {
			return fmt.Errorf("privilege %q is neither left out nor bpf", value)
		}
		c.Privilege = verifier.CapBPF
		return nil
	},
	"struct": func(c *textCase, value string) error { // name type member tag; type member; see parseStruct
		t, err := c.structs.parseStruct(value)
		c.structs = append(c.structs, t)
		return err
	},
	"exception": func(c *textCase, value string) error { c.exception = value; return nil },
	"target": func(c *textCase, value string) (err error) { // of an iterator or tracepoint: "iter/task", "tp_btf/sys_enter"
		c.AttachBTF, err = targetID(value)
		return err
	},
	"map": (*textCase).addMap, // name type key=4 value=8 entries=1 flags=128 btf=lock frozen=00112233
	"func": func(c *textCase, value string) error { // static int cb(u64, void *); the entry comes first, by itself
		d, err := parseDecl(value)
		c.decls = append(c.decls, d)
		return err
	},
	"linux": func(c *textCase, value string) error { // accept; reject 22 message
		verdict, rest, _ := strings.Cut(value, " ")
		errno, reason, _ := strings.Cut(rest, " ")
		c.Verdict, c.Reason = verdict, reason
		switch {
		case value == "accept":
			return nil
		case verdict != "reject":
			return fmt.Errorf("verdict %q", value)
		}
		n, err := strconv.Atoi(errno)
		c.Errno = n
		return err
	},
	"why": func(*textCase, string) error { return nil }, // what the program is about, for people
}

func parseNumber(text string, to *uint32) error {
	n, err := strconv.ParseUint(text, 0, 32)
	*to = uint32(n)
	return err
}

func (c *textCase) addMap(text string) error {
	words := strings.Fields(text)
	if len(words) < 2 {
		return fmt.Errorf("map %q has no type", text)
	}
	typ, ok := mapTypes[words[1]]
	if !ok {
		return fmt.Errorf("no map type %q", words[1])
	}
	m := Map{Type: uint32(typ)}
	for _, word := range words[2:] {
		key, value, _ := strings.Cut(word, "=")
		var err error
		switch key {
		case "key":
			err = parseNumber(value, &m.KeySize)
		case "value":
			err = parseNumber(value, &m.ValueSize)
		case "entries":
			err = parseNumber(value, &m.MaxEntries)
		case "flags":
			err = parseNumber(value, &m.Flags)
		case "extra":
			m.Extra, err = strconv.ParseUint(value, 0, 64)
		case "btf":
			m = m.withValue(value, c.structs)
		case "inner":
			inner := m
			inner.Type = uint32(maps.Array)
			m.Inner, m.ValueSize = &inner, 4
		case "frozen":
			m.Frozen = true
			m.Value, err = hex.DecodeString(value)
		default:
			err = fmt.Errorf("map %s: no key %q", words[0], key)
		}
		if err != nil {
			return err
		}
	}
	c.Maps, c.names = append(c.Maps, m), append(c.names, words[0])
	return nil
}

// parseText reads a file of an archive.
func parseText(name, text string) (*textCase, error) {
	c := &textCase{Case: &Case{ID: name, ProgType: uint32(prog.SocketFilter), License: "GPL"}}
	head, body, ok := strings.Cut(text, "\n\n")
	if !ok {
		return nil, fmt.Errorf("%s: no empty line between head and program", name)
	}
	for line := range strings.Lines(head) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		set := textKeys[key]
		if set == nil {
			return nil, fmt.Errorf("%s: no key %q", name, key)
		}
		if err := set(c, strings.TrimSpace(value)); err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, key, err)
		}
	}
	if c.Verdict == "" {
		return nil, fmt.Errorf("%s: no key linux", name)
	}
	if err := c.assemble(body); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return c, nil
}

// rawMark is the number of an instruction that a raw one takes the place of.
const rawMark = 0x5eed0000

// assemble translates the program and makes its BTF.
func (c *textCase) assemble(body string) error {
	var raws []asm.Instruction
	var source strings.Builder
	for line := range strings.Lines(body) {
		label, rest := "", strings.TrimSpace(line)
		if at := strings.Index(rest, ": raw "); at >= 0 {
			label, rest = rest[:at+2], rest[at+2:]
		}
		if fields, ok := strings.CutPrefix(rest, "raw "); ok {
			ins, err := parseRaw(fields)
			if err != nil {
				return err
			}
			line = fmt.Sprintf("%sr0 = %d\n", label, rawMark+len(raws))
			raws = append(raws, ins)
		}
		source.WriteString(line)
	}
	text, err := c.typeIDs(source.String())
	if err != nil {
		return err
	}
	insns, err := asm.Parse(text)
	if err != nil {
		return err
	}
	symbols, err := insns.Symbols()
	if err != nil {
		return err
	}
	if insns, err = insns.Resolve(); err != nil {
		return err
	}
	for i, ins := range insns {
		if n := ins.Imm - rawMark; n >= 0 && n < int64(len(raws)) && ins.Slots() == 1 {
			insns[i] = raws[n]
		}
	}
	if err := c.Case.assemble(insns, c.names); err != nil {
		return err
	}
	return c.declareFuncs(symbols)
}

// typeIDs replaces typeid(name) by the id of a struct in the program's BTF.
func (c *textCase) typeIDs(text string) (string, error) {
	for {
		before, rest, ok := strings.Cut(text, "typeid(")
		if !ok {
			return text, nil
		}
		name, after, _ := strings.Cut(rest, ")")
		t, _ := c.structs.namedType(name)
		if t == nil || t.TypeName() != name {
			return "", fmt.Errorf("no struct %q", name)
		}
		v := newVocabulary(prog.Unspec, c.structs)
		text = fmt.Sprint(before, v.add(t), after)
	}
}

// targetID returns the id of what a program attaches to.
func targetID(name string) (uint32, error) {
	kind, target, _ := strings.Cut(name, "/")
	lookup := linux.IterID
	if kind == "tp_btf" {
		lookup = linux.TracepointID
	}
	const maxID = 1 << 18
	for id := range uint32(maxID) {
		if name, ok := lookup(id); ok && name == target {
			return id, nil
		}
	}
	return 0, fmt.Errorf("no target %q", name)
}

func parseRaw(text string) (asm.Instruction, error) {
	var n [5]int64
	fields := strings.Fields(text)
	if len(fields) != len(n) {
		return asm.Instruction{}, fmt.Errorf("raw %q does not have five fields", text)
	}
	for i, f := range fields {
		var err error
		if n[i], err = strconv.ParseInt(f, 0, 64); err != nil {
			return asm.Instruction{}, err
		}
	}
	return asm.Instruction{Op: asm.Opcode(n[0]), Dst: asm.Register(n[1]), Src: asm.Register(n[2]), Off: int16(n[3]), Imm: n[4]}, nil
}

// declareFuncs makes BTF and func_info if functions or structs are declared.
func (c *textCase) declareFuncs(symbols map[string]int) error {
	if len(c.decls) == 0 && len(c.structs) == 0 {
		return c.declare(nil, nil)
	}
	entry := decl{name: "entry", global: true, ret: "int", params: []string{"ctx *"}}
	if c.exception != "" {
		entry.tags = []string{exceptionTag + c.exception}
	}
	decls, starts := []decl{entry}, []int{0}
	for _, d := range c.decls {
		start, ok := symbols[d.name]
		if !ok {
			return fmt.Errorf("function %s is declared and has no label", d.name)
		}
		decls, starts = append(decls, d), append(starts, start)
	}
	return c.declare(decls, starts)
}

// linuxLine is the line that says what Linux said.
func (c *textCase) linuxLine() string {
	if c.Accepted() {
		return "linux: accept"
	}
	return strings.TrimSpace(fmt.Sprintf("linux: reject %d %s", c.Errno, c.Reason))
}

// textCases returns all programs of testdata/cases; their ids are archive/file.
func textCases(t testing.TB) []*textCase {
	archives, err := filepath.Glob("testdata/cases/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, archives)
	var list []*textCase
	for _, archive := range archives {
		b, err := os.ReadFile(archive)
		require.NoError(t, err)
		for _, file := range txtar.Parse(b).Files {
			c, err := parseText(strings.TrimSuffix(filepath.Base(archive), ".txt")+"/"+file.Name, string(file.Data))
			require.NoError(t, err)
			c.archive = archive
			list = append(list, c)
		}
	}
	return list
}
