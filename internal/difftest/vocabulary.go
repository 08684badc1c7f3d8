package difftest

import (
	"encoding/binary"
	"fmt"
	"strings"
	"sync"

	"github.com/cilium/ebpf/btf"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// The types that programs of the tests are written with. Some have an id that the
// programs rely on.
var (
	typeInt  = &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	typeU32  = &btf.Int{Name: "unsigned int", Size: 4}
	typeU64  = &btf.Int{Name: "unsigned long long", Size: 8}
	typeTask = &btf.Struct{Name: "task_struct", Size: 8, Members: []btf.Member{{Name: "state", Type: typeU64}}}

	typeListNode = opaque("bpf_list_node", 3)
	typeNodeX    = structOf("nodex", 16, field("a", typeU64, 0), field("b", typeU64, 8))
	typeNode     = structOf("node", 32, field("n", typeListNode, 0), field("data", typeU64, 24))
	typeFoo      = structOf("foo", 8, field("a", typeInt, 0), field("b", typeInt, 4))

	mapValues = map[string]*btf.Struct{
		"lock":  structOf("lock_value", 8, field("lock", word("bpf_spin_lock"), 0), field("a", typeInt, 4)),
		"timer": structOf("timer_value", 24, field("t", opaque("bpf_timer", 2), 0), field("a", typeU64, 16)),
		"wq":    structOf("wq_value", 24, field("w", opaque("bpf_wq", 2), 0), field("a", typeU64, 16)),
		"kptr":  structOf("kptr_value", 24, field("ref", kptr("kptr"), 0), field("unref", kptr("kptr_untrusted"), 8), field("a", typeU64, 16)),
		"list": structOf("list_value", 32, field("lock", word("bpf_spin_lock"), 0), btf.Member{
			Name: "head", Type: opaque("bpf_list_head", 2), Offset: 64, Tags: []string{"contains:node:n"}}, field("a", typeU64, 24)),
		"rl":  structOf("rl_value", 8, field("lock", word("bpf_res_spin_lock"), 0), field("a", typeInt, 4)),
		"rl2": structOf("rl2_value", 16, field("lock", word("bpf_res_spin_lock"), 0), field("a", typeU64, 8)),
		"u64": structOf("u64_value", 8, field("a", typeU64, 0)),
	}
	mapValueNames = []string{"lock", "timer", "wq", "kptr", "list", "rl", "rl2", "u64"} // in the order of their ids
)

// Ids that programs of types-probes.json have in a register.
const (
	idNodeX = 19
	idNode  = 24
)

func field(name string, t btf.Type, off uint32) btf.Member {
	return btf.Member{Name: name, Type: t, Offset: btf.Bits(off * 8)}
}

func structOf(name string, size uint32, members ...btf.Member) *btf.Struct {
	return &btf.Struct{Name: name, Size: size, Members: members}
}

// opaque is a struct of n words that only the kernel looks into.
func opaque(name string, n uint32) *btf.Struct {
	return once(structOf(name, n*8, field("__opaque", &btf.Array{Index: typeU32, Type: typeU64, Nelems: n}, 0)))
}

func word(name string) *btf.Struct { return once(structOf(name, 4, field("val", typeU32, 0))) }

var kernelStructs sync.Map // by name

// once returns the same struct for all of that name: Linux finds the kernel's structs in a program's by the
// first of each name.
func once(t *btf.Struct) *btf.Struct {
	first, _ := kernelStructs.LoadOrStore(t.Name, t)
	return first.(*btf.Struct)
}

// kptr is a tagged pointer to a task.
func kptr(tag string) btf.Type {
	return &btf.Pointer{Target: &btf.TypeTag{Type: typeTask, Value: tag}}
}

// ctxTypes are the names of contexts in C, by program type.
var ctxTypes = map[prog.Type]string{
	prog.XDP: "xdp_md", prog.SockOps: "bpf_sock_ops", prog.SkMsg: "sk_msg_md", prog.RawTracepoint: "bpf_raw_tracepoint_args",
	prog.RawTracepointWritable: "bpf_raw_tracepoint_args", prog.CGroupSock: "bpf_sock", prog.CGroupSockAddr: "bpf_sock_addr",
	prog.SkLookup: "bpf_sk_lookup", prog.CGroupSysctl: "bpf_sysctl", prog.CGroupSockopt: "bpf_sockopt",
	prog.SkReuseport: "sk_reuseport_md", prog.PerfEvent: "bpf_perf_event_data", prog.Kprobe: "bpf_user_pt_regs_t",
	prog.FlowDissector: "__sk_buff", prog.CGroupDevice: "bpf_cgroup_dev_ctx",
}

// A decl is the declaration of a function of a program: "static int cb(u64, void *)".
// Parameters may be followed by tags: "struct foo * nonnull".
type decl struct {
	name   string
	global bool
	ret    string
	params []string
	tags   []string // declaration tags
}

// parseDecl reads a declaration.
func parseDecl(text string) (decl, error) {
	head, params, ok := strings.Cut(text, "(")
	words := strings.Fields(head)
	if !ok || !strings.HasSuffix(params, ")") || len(words) < 3 || words[0] != "static" && words[0] != "global" {
		return decl{}, fmt.Errorf("declaration %q is not of the form: static int f(u64, void *)", text)
	}
	d := decl{name: words[len(words)-1], global: words[0] == "global", ret: strings.Join(words[1:len(words)-1], " ")}
	for param := range strings.SplitSeq(strings.TrimSuffix(params, ")"), ",") {
		if param = strings.TrimSpace(param); param != "" {
			d.params = append(d.params, param)
		}
	}
	return d, nil
}

// vocabulary builds the BTF of a program of a type: the types above, its own structs and
// its functions.
type vocabulary struct {
	progType prog.Type
	own      structs
	builder  btf.Builder
	err      error
}

// newVocabulary adds the types, each at its place.
func newVocabulary(progType prog.Type, own structs) *vocabulary {
	v := &vocabulary{progType: progType, own: own}
	v.add(typeInt)
	v.add(typeU32)
	v.add(typeU64)
	for _, name := range mapValueNames {
		v.add(mapValues[name])
	}
	v.addAt(idNodeX, typeNodeX)
	v.addAt(idNode, typeNode)
	for _, t := range own {
		v.add(t)
	}
	return v
}

func (v *vocabulary) add(t btf.Type) btf.TypeID {
	id, err := v.builder.Add(t)
	if err != nil && v.err == nil {
		v.err = err
	}
	return id
}

// addAt fills up with other types until t gets the id.
func (v *vocabulary) addAt(id btf.TypeID, t btf.Type) {
	for n := 0; ; n++ {
		filler := &btf.Typedef{Name: fmt.Sprintf("filler_%d_%d", id, n), Type: typeInt}
		if got := v.add(filler); got+1 == id || v.err != nil {
			break
		}
	}
	if got := v.add(t); got != id && v.err == nil {
		v.err = fmt.Errorf("type %s got id %d, not %d", t.TypeName(), got, id)
	}
}

// typeOf returns the type of a C name.
func (v *vocabulary) typeOf(name string) btf.Type {
	if target, ok := strings.CutSuffix(name, "*"); ok {
		if target = strings.TrimSpace(target); target == "ctx" {
			target = "struct " + v.ctx()
		}
		return &btf.Pointer{Target: v.typeOf(target)}
	}
	switch name {
	case "void":
		return (*btf.Void)(nil)
	case "int":
		return typeInt
	case "u64":
		return typeU64
	case "struct foo":
		return typeFoo
	case "struct task_struct":
		return typeTask
	case "struct bpf_dynptr":
		return opaque("bpf_dynptr", 2)
	case "struct forward":
		return &btf.Fwd{Name: "forward", Kind: btf.FwdStruct}
	}
	if own := v.own.find(strings.TrimPrefix(name, "struct ")); own != nil {
		return own
	}
	if name == "struct "+v.ctx() {
		return structOf(v.ctx(), 8, field("a", typeU64, 0))
	}
	v.err = fmt.Errorf("no type %q", name)
	return typeInt
}

func (v *vocabulary) ctx() string {
	if name, ok := ctxTypes[v.progType]; ok {
		return name
	}
	return "__sk_buff"
}

// function adds a function and returns its id.
func (v *vocabulary) function(d decl) btf.TypeID {
	fn := &btf.Func{Name: d.name, Linkage: btf.StaticFunc, Tags: d.tags}
	if d.global {
		fn.Linkage = btf.GlobalFunc
	}
	proto := &btf.FuncProto{Return: v.typeOf(d.ret)}
	for i, param := range d.params {
		name, tags := param, []string(nil)
		if star := strings.LastIndexByte(param, '*'); star >= 0 {
			name = param[:star+1]
			for _, tag := range strings.Fields(param[star+1:]) {
				tags = append(tags, "arg:"+tag)
			}
		}
		proto.Params = append(proto.Params, btf.FuncParam{Name: fmt.Sprint("p", i), Type: v.typeOf(name)})
		fn.ParamTags = append(fn.ParamTags, tags)
	}
	fn.Type = proto
	return v.add(fn)
}

// marshal returns the BTF.
func (v *vocabulary) marshal() ([]byte, error) {
	if v.err != nil {
		return nil, v.err
	}
	return v.builder.Marshal(nil, &btf.MarshalOptions{Order: binary.LittleEndian})
}

// declare gives the case BTF and func_info: its functions start at the given slots. Maps
// that have BTF get the same.
func (c *Case) declare(decls []decl, starts []int) error {
	v := newVocabulary(prog.Type(c.ProgType), c.structs)
	r := &Records{Count: len(decls), Size: funcInfoSize}
	for i, d := range decls {
		r.Hex = binary.LittleEndian.AppendUint32(r.Hex, uint32(starts[i]))
		r.Hex = binary.LittleEndian.AppendUint32(r.Hex, uint32(v.function(d)))
	}
	raw, err := v.marshal()
	if err != nil {
		return err
	}
	if len(decls) > 0 {
		c.BTF, c.FuncInfo = raw, r
	}
	for i := range c.Maps {
		if m := &c.Maps[i]; m.BTFValue != 0 {
			m.BTF = raw
		}
	}
	return nil
}

// withValue gives a map the value type of that name, which may be one of the program's own.
func (m Map) withValue(name string, own structs) Map {
	t := own.find(name)
	if t == nil {
		t = mapValues[name]
	}
	v := newVocabulary(prog.Unspec, own)
	m.BTFKey, m.BTFValue = uint32(v.add(typeInt)), uint32(v.add(t))
	m.ValueSize = t.Size
	return m
}
