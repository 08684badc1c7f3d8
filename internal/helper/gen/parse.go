package main

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// table is what protos.txt says.
type table struct {
	variants []variant
	sets     map[string]uint64
	protos   []proto
}

type variant struct{ name, typ, attach, target string }

type proto struct {
	id    int
	name  string
	args  []arg
	ret   string   // Go literal
	flags []string // Go field names
	types uint64
}

type arg struct {
	kind  string // Go constant
	flags []string
	fixed string
	strct string
	alt   *arg
	altIn uint64
}

var argKinds = map[string]string{
	"any": "ArgAny", "ctx": "ArgCtx", "map_ptr": "ArgMapPtr", "map_key": "ArgMapKey", "map_value": "ArgMapValue",
	"mem": "ArgMem", "size": "ArgSize", "size0": "ArgSize0", "alloc_size": "ArgAllocSize", "const0": "ArgConst0",
	"socket": "ArgSocket", "sock_common": "ArgSockCommon", "sock_common_btf": "ArgSockCommonBTF",
	"btf_id": "ArgBTF", "percpu_btf_id": "ArgPerCPUBTF", "ringbuf_mem": "ArgRingbufMem", "func": "ArgFunc",
	"stack": "ArgStack", "const_str": "ArgConstStr", "spin_lock": "ArgSpinLock", "timer": "ArgTimer",
	"kptr_dest": "ArgKptrDest", "dynptr": "ArgDynptr",
}

var argFlags = map[string]string{
	"read": "FlagRead", "write": "FlagWrite", "uninit": "FlagUninit", "or_null": "FlagOrNull",
	"aligned": "FlagAligned", "release": "FlagRelease", "rdonly": "FlagRdonly", "local": "FlagLocal",
	"ringbuf": "FlagRingbuf",
}

var retKinds = map[string]string{
	"int": "RetInt", "void": "RetVoid", "map_value": "RetMapValue", "ringbuf_mem": "RetRingbufMem",
	"dynptr_mem": "RetDynptrMem", "socket": "RetSocket", "sock_common": "RetSockCommon",
	"tcp_sock": "RetTCPSock", "btf_id": "RetBTF", "mem_or_btf_id": "RetMemOrBTF",
}

var retFlags = map[string]string{
	"or_null": "RetOrNull", "acquire": "RetAcquire", "trusted": "RetTrusted", "rdonly": "RetRdonly",
	"upto_size": "RetUpToSize", "cpu": "RetCPU",
}

var protoFlags = map[string]string{
	"gpl": "GPL", "sleep": "Sleeps", "moves_packet": "MovesPacket", "packet_mem": "PacketMem",
}

var helperLine = regexp.MustCompile(`^(\d+) (\w+)\(([^)]*)\) ([^|]*)\|([^|]*)\|([^|]*)$`)

func parse(text string) (*table, error) {
	t := &table{sets: map[string]uint64{"none": 0}}
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if err := t.line(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return t, nil
}

func (t *table) line(line string) error {
	if f := strings.Fields(line); f[0] == "variant" {
		return t.variant(f[1:])
	}
	if name, set, ok := strings.Cut(line, " = "); ok {
		types, err := t.types(set)
		t.sets[name] = types
		return err
	}
	m := helperLine.FindStringSubmatch(line)
	if m == nil {
		return fmt.Errorf("%q is no variant, set or helper", line)
	}
	return t.helper(m[1:])
}

// variant adds a variant and makes it part of the sets of its name, its type and all.
func (t *table) variant(f []string) error {
	if len(f) == 3 {
		f = append(f, "")
	}
	if len(f) != 4 || len(t.variants) == 64 {
		return fmt.Errorf("variant %v: want name, type, attach type, target; 64 in all", f)
	}
	bit := uint64(1) << len(t.variants)
	typ, _, _ := strings.Cut(f[0], "/")
	t.variants = append(t.variants, variant{f[0], f[1], f[2], f[3]})
	t.sets["all"] |= bit
	t.sets[typ] |= bit
	t.sets[f[0]] |= bit
	return nil
}

func (t *table) types(s string) (set uint64, err error) {
	for _, name := range strings.Fields(s) {
		name, minus := strings.CutPrefix(name, "-")
		types, ok := t.sets[name]
		switch {
		case !ok:
			return 0, fmt.Errorf("%q is no program type and no set", name)
		case minus:
			set &^= types
		default:
			set |= types
		}
	}
	return set, nil
}

// helper adds the helper of a line: id, name, arguments, result, flags, types.
func (t *table) helper(f []string) (err error) {
	p := proto{name: f[1]}
	if p.id, err = strconv.Atoi(f[0]); err != nil || p.id != len(t.protos)+1 {
		return fmt.Errorf("id %s, want %d", f[0], len(t.protos)+1)
	}
	for _, s := range strings.Split(f[2], ",") {
		if f[2] == "" {
			break
		}
		a, err := t.arg(s)
		if err != nil {
			return err
		}
		p.args = append(p.args, *a)
	}
	if len(p.args) > 5 {
		return fmt.Errorf("%d arguments", len(p.args))
	}
	if p.ret, err = result(strings.Fields(f[3])); err != nil {
		return err
	}
	p.flags = append(p.flags, "Confirmed")
	for _, s := range strings.Fields(f[4]) {
		if s == "recalled" {
			p.flags = p.flags[1:]
		} else if name, ok := protoFlags[s]; ok {
			p.flags = append(p.flags, name)
		} else {
			return fmt.Errorf("%q is no flag", s)
		}
	}
	p.types, err = t.types(f[5])
	t.protos = append(t.protos, p)
	return err
}

func (t *table) arg(s string) (a *arg, err error) {
	s, alt, hasAlt := strings.Cut(s, " alt ")
	f := strings.Fields(s)
	a = &arg{}
	if len(f) == 0 || argKinds[f[0]] == "" {
		return nil, fmt.Errorf("argument %q has no kind", s)
	}
	a.kind = argKinds[f[0]]
	f = f[1:]
	if a.kind == "ArgBTF" && len(f) > 0 {
		if f[0] != "any" {
			a.strct = f[0]
		}
		f = f[1:]
	}
	for len(f) > 0 {
		switch {
		case f[0] == "fixed" && len(f) > 1:
			a.fixed = f[1]
			f = f[1:]
		case argFlags[f[0]] != "":
			a.flags = append(a.flags, argFlags[f[0]])
		default:
			return nil, fmt.Errorf("argument %q: %q is no property", s, f[0])
		}
		f = f[1:]
	}
	if hasAlt {
		types, other, _ := strings.Cut(alt, ":")
		if a.altIn, err = t.types(types); err == nil {
			a.alt, err = t.arg(other)
		}
	}
	return a, err
}

// result returns the Go literal for a helper's result.
func result(f []string) (string, error) {
	if len(f) == 0 || retKinds[f[0]] == "" {
		return "", fmt.Errorf("result %v has no kind", f)
	}
	s := "Ret{Kind: " + retKinds[f[0]]
	rest, strct := f[1:], ""
	if f[0] == "btf_id" && len(rest) > 0 {
		if rest[0] != "any" {
			strct = rest[0]
		}
		rest = rest[1:]
	}
	var flags []string
	for _, name := range rest {
		if retFlags[name] == "" {
			return "", fmt.Errorf("result %v: %q is no property", f, name)
		}
		flags = append(flags, retFlags[name])
	}
	if len(flags) > 0 {
		s += ", Flags: " + strings.Join(flags, "|")
	}
	if strct != "" {
		s += fmt.Sprintf(", Struct: %q", strct)
	}
	return s + "}", nil
}
