package linux

import (
	"slices"
	"strings"
	"sync"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// The context of programs at functions is an array of 8-byte arguments. What an argument
// is follows from its type in BTF, but for those of args.txt.

// oddArg is an argument that its type says something else of.
type oddArg struct {
	fn      string // name with its prefix, or STRUCT/MEMBER
	arg     int
	field   Field
	refused bool
}

// argsKey is a function: a prefix that says what sort it is of, and the rest of its name.
type argsKey struct{ prefix, name string }

const (
	lsmPrefix = "bpf_lsm_"
	opsPrefix = "" // of "STRUCT/MEMBER"
)

// Prefixes of functions that programs are attached to, by attach type. No function has
// such a name.
const (
	fentryKey    = "fentry:"
	fexitKey     = "fexit:"
	modReturnKey = "fmod_ret:"
)

func tracingKey(attach prog.AttachType) string {
	switch attach {
	case attachFexit:
		return fexitKey
	case attachModReturn:
		return modReturnKey
	}
	return fentryKey
}

var argContexts sync.Map // *Context by argsKey

// argContext returns the context of a function, nil if there is none of this name.
func argContext(k argsKey) *Context {
	if c, ok := argContexts.Load(k); ok {
		return c.(*Context)
	}
	proto := kernelBTF().proto(k)
	if proto == nil {
		return nil // not kept: there is no end to names
	}
	c, _ := argContexts.LoadOrStore(k, newArgContext(k, proto))
	return c.(*Context)
}

// proto returns the prototype of a function.
func (v *vmlinux) proto(k argsKey) *prog.BTFType {
	switch k.prefix {
	case tracePrefix:
		return v.tracepoint(k.name)
	case lsmPrefix:
		return funcProto(v.get(v.find(lsmPrefix+k.name, kindFunc)))
	case opsPrefix:
		return v.member(k.name)
	}
	return funcProto(v.get(v.find(k.name, kindFunc)))
}

// member returns the prototype of a function pointer in a struct, of "STRUCT/MEMBER".
func (v *vmlinux) member(path string) *prog.BTFType {
	name, member, _ := strings.Cut(path, "/")
	t := v.get(v.find(name, kindStruct))
	if t == nil {
		return nil
	}
	for i := range t.Members {
		m := &t.Members[i]
		if m.Name == member && m.Type.Kind == prog.BTFPointer && m.Type.Elem.Kind == prog.BTFFuncProto {
			return m.Type.Elem
		}
	}
	return nil
}

const (
	argSize = 8            // bytes of a context for each argument
	maxArg  = 2 * argSize  // bytes of a struct that is passed by value
	maxArgs = 12 * argSize // bytes of all arguments (MAX_BPF_FUNC_ARGS)
)

// newArgContext makes the context of a function.
func newArgContext(k argsKey, proto *prog.BTFType) *Context {
	c, off := new(Context), 0
	for i, p := range proto.Params {
		if p.Type.Size > maxArg || off >= maxArgs {
			return c // there are no programs for such functions
		}
		if f, ok := argField(k, i, p.Type); ok {
			c.addArg(off, f, p.Type)
		}
		off += slots(p.Type)
	}
	if k.prefix != fexitKey && k.prefix != modReturnKey && k.prefix != lsmPrefix || proto.Return == nil {
		return c
	}
	if f, ok := typeField(k, proto.Return); ok && proto.Return.Size <= argSize {
		c.addArg(off, f, proto.Return)
	}
	return c
}

// slots returns how many bytes of a context an argument takes.
func slots(t *prog.BTFType) int {
	return max(argSize, (int(t.Size)+argSize-1)/argSize*argSize)
}

// addArg lets programs read an argument: a pointer whole, and of a number what lies at
// its lower end.
func (c *Context) addArg(off int, f Field, t *prog.BTFType) {
	at := uint16(off)
	c.read[3] = append(c.read[3], span{at, at + uint16(slots(t)), f})
	if f.Kind != Number || t.Kind == prog.BTFPointer {
		return
	}
	for log := range 3 {
		for i := 0; i < slots(t); i += argSize {
			c.read[log] = append(c.read[log], span{at + uint16(i), at + uint16(i) + 1<<log, f})
		}
	}
}

// argField returns what an argument is, false if programs may not read it.
func argField(k argsKey, i int, t *prog.BTFType) (Field, bool) {
	for j := range oddArgs {
		if o := &oddArgs[j]; o.arg == i && o.fn == k.prefix+k.name {
			return o.field, !o.refused
		}
	}
	return typeField(k, t)
}

// typeField is argField by type.
func typeField(k argsKey, t *prog.BTFType) (Field, bool) {
	switch t.Kind {
	case prog.BTFInt, prog.BTFEnum, prog.BTFStruct, prog.BTFUnion:
		return Field{}, true
	case prog.BTFPointer:
		switch t.Elem.Kind {
		case prog.BTFFwd:
		case prog.BTFFuncProto:
			return Field{}, false
		default:
			return Field{}, true
		}
		return Field{Kind: BTF, Struct: t.Elem.Name, Trusted: k.trusted()}, true
	}
	return Field{}, false
}

// trusted reports whether the pointers that a function gets are trusted. The kernel knows
// of tracepoints and LSM hooks that their arguments stay while the program runs.
func (k argsKey) trusted() bool {
	switch k.prefix {
	case tracePrefix, opsPrefix:
		return true
	case lsmPrefix:
		return !slices.Contains(lsmUntrusted[:], k.name)
	}
	return false
}

// AttachTarget returns the target for [CtxOf] of an attach_btf_id, false if the tables
// have no such function.
func AttachTarget(v helper.Variant, attach prog.AttachType, id uint32) (target string, ok bool) {
	switch t, _, _ := v.Sort(); {
	case t == prog.Tracing && attach == attachTPBTF:
		return TracepointID(id)
	case t == prog.Tracing && attach == attachIter:
		return IterID(id)
	case t == prog.LSM:
		return kernelBTF().nameOf(id, kindFunc, lsmPrefix)
	case t == prog.StructOps:
		ops, ok := StructID(id)
		if !ok || uint32(attach) >= uint32(len(ops.Members)) {
			return "", false
		}
		path := ops.Name + "/" + ops.Members[attach].Name
		return path, kernelBTF().member(path) != nil
	case t == prog.Tracing:
		return kernelBTF().nameOf(id, kindFunc, "")
	}
	return "", false
}
