package linux

import (
	"strings"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// The types below are from the BTF of one kernel, and so are all ids. A type comes with
// all that lies in it; where it points to a struct or union, that is a [prog.BTFFwd] with
// its name and id, for [Resolve]. Types are shared and must not be changed.

// Struct returns a struct or union of the kernel by its name, nil if the tables do not
// have it.
func Struct(name string) *prog.BTFType {
	v := kernelBTF()
	return v.get(v.find(name, kindStruct, kindUnion))
}

// StructID returns a struct or union by its id.
func StructID(id uint32) (*prog.BTFType, bool) {
	v := kernelBTF()
	t := v.get(v.local[id])
	if t == nil || t.Kind != prog.BTFStruct && t.Kind != prog.BTFUnion {
		return nil, false
	}
	return t, true
}

// Resolve returns the struct or union that a forward declaration stands for, and any
// other type as it is. It is t itself where the tables do not have the struct.
func Resolve(t *prog.BTFType) *prog.BTFType {
	if t == nil || t.Kind != prog.BTFFwd {
		return t
	}
	if full, ok := StructID(t.ID); ok {
		return full
	}
	return t
}

// tracePrefix is what the typedefs of tracepoints' prototypes begin with.
const tracePrefix = "btf_trace_"

// Tracepoint returns the prototype of a BTF tracepoint (without the first parameter of
// btf_trace_NAME, which programs do not see), nil if there is none of this name.
// Parameters that may be null have the tag "arg:nullable".
func Tracepoint(name string) *prog.BTFType {
	proto := kernelBTF().tracepoint(name)
	if proto == nil {
		return nil
	}
	marked := *proto
	marked.Params = append([]prog.BTFParam(nil), proto.Params...)
	for i := range marked.Params {
		if f, ok := argField(argsKey{tracePrefix, name}, i, marked.Params[i].Type); ok && f.OrNull {
			marked.Params[i].Decl = []string{nullable}
		}
	}
	return &marked
}

// tracepoint returns the prototype of a BTF tracepoint as programs see it.
func (v *vmlinux) tracepoint(name string) *prog.BTFType {
	t := v.get(v.find(tracePrefix+name, kindTypedef))
	if t == nil || t.Kind != prog.BTFPointer || t.Elem.Kind != prog.BTFFuncProto || len(t.Elem.Params) == 0 {
		return nil
	}
	proto := *t.Elem
	proto.Params = proto.Params[1:]
	return &proto
}

// nullable is the tag of parameters that may be null.
const nullable = "arg:nullable"

// TracepointID returns the name of the BTF tracepoint with an attach_btf_id.
func TracepointID(id uint32) (name string, ok bool) {
	return kernelBTF().nameOf(id, kindTypedef, tracePrefix)
}

// Iter returns the context of programs at an iterator ("task"): struct bpf_iter__NAME,
// nil if there is none.
func Iter(target string) *prog.BTFType {
	v := kernelBTF()
	if v.find(iterPrefix+target, kindFunc) == 0 {
		return nil
	}
	return v.get(v.find("bpf_iter__"+target, kindStruct))
}

// iterPrefix is what the functions begin with that programs at iterators attach to.
const iterPrefix = "bpf_iter_"

// IterID returns the target of the iterator with an attach_btf_id.
func IterID(id uint32) (target string, ok bool) {
	target, ok = kernelBTF().nameOf(id, kindFunc, iterPrefix)
	return target, ok && Iter(target) != nil
}

// nameOf returns the name of a type, without a prefix that it must have.
func (v *vmlinux) nameOf(id uint32, kind btfKind, prefix string) (string, bool) {
	r := v.raw.record(v.local[id])
	if r.kind != kind {
		return "", false
	}
	return strings.CutPrefix(v.raw.text(r.name), prefix)
}

// Func returns the prototype of a function of the kernel, nil if the tables do not have
// it. They have kfuncs, LSM hooks (bpf_lsm_NAME) and a selection of those that programs
// like to trace.
func Func(name string) *prog.BTFType {
	v := kernelBTF()
	return funcProto(v.get(v.find(name, kindFunc)))
}

// FuncID returns the name and the prototype of a function of the kernel by its id.
func FuncID(id uint32) (name string, t *prog.BTFType, ok bool) {
	v := kernelBTF()
	f := v.get(v.local[id])
	if t = funcProto(f); t == nil {
		return "", nil, false
	}
	return f.Name, t, true
}

// funcProto returns the prototype of a function, nil if f is none.
func funcProto(f *prog.BTFType) *prog.BTFType {
	if f == nil || f.Kind != prog.BTFFunc || f.Elem.Kind != prog.BTFFuncProto {
		return nil
	}
	return f.Elem
}

// Var returns the type of a per-CPU variable of the kernel, and the variable's id.
func Var(name string) (t *prog.BTFType, id uint32, ok bool) {
	v := kernelBTF()
	variable := v.get(v.find(name, kindVar))
	if variable == nil {
		return nil, 0, false
	}
	return variable.Elem, variable.ID, true
}

// Trust is how far a pointer that was loaded from a member of a trusted struct may be
// trusted. The kernel lists such members in types of its own (struct NAME__safe_rcu).
type Trust uint8

// The degrees of trust.
const (
	TrustNone    Trust = iota // the member is in no list
	TrustTrusted              // trusted
	TrustRCU                  // valid in an RCU read section
)

// MemberTrust returns the trust in a pointer member of a struct, and whether it may be
// null.
func MemberTrust(structName, member string) (trust Trust, orNull bool) {
	for _, list := range [...]struct {
		suffix string
		trust  Trust
		orNull bool
	}{
		{"__safe_trusted", TrustTrusted, false},
		{"__safe_trusted_or_null", TrustTrusted, true},
		{"__safe_rcu", TrustRCU, false},
		{"__safe_rcu_or_null", TrustRCU, true},
	} {
		t := Struct(structName + list.suffix)
		if t == nil {
			continue
		}
		for i := range t.Members {
			if t.Members[i].Name == member {
				return list.trust, list.orNull
			}
		}
	}
	return TrustNone, false
}
