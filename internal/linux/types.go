package linux

import "github.com/sandbpf/sandbpf/internal/prog"

// The types below are from the BTF of one kernel, and so are all ids. A type comes with
// all that lies in it; where it points to a struct or union, that is a [prog.BTFFwd] with
// its name and id, for [Resolve]. Types are shared and must not be changed.

// Struct returns a struct or union of the kernel by its name, nil if the tables do not
// have it.
func Struct(name string) *prog.BTFType { return nil }

// StructID returns a struct or union by its id.
func StructID(id uint32) (*prog.BTFType, bool) { return nil, false }

// Resolve returns the struct or union that a forward declaration stands for, and any
// other type as it is. It is t itself where the tables do not have the struct.
func Resolve(t *prog.BTFType) *prog.BTFType { return t }

// Tracepoint returns the prototype of a BTF tracepoint (without the first parameter of
// btf_trace_NAME, which programs do not see), nil if there is none of this name.
// Parameters that may be null have the tag "arg:nullable".
func Tracepoint(name string) *prog.BTFType { return nil }

// TracepointID returns the name of the BTF tracepoint with an attach_btf_id.
func TracepointID(id uint32) (name string, ok bool) { return "", false }

// Iter returns the context of programs at an iterator ("task"): struct bpf_iter__NAME,
// nil if there is none.
func Iter(target string) *prog.BTFType { return nil }

// IterID returns the target of the iterator with an attach_btf_id.
func IterID(id uint32) (target string, ok bool) { return "", false }

// Func returns the prototype of a function of the kernel, nil if the tables do not have
// it. They have kfuncs and LSM hooks (bpf_lsm_NAME).
func Func(name string) *prog.BTFType { return nil }

// Var returns the type and the id of a per-CPU variable of the kernel.
func Var(name string) (t *prog.BTFType, id uint32, ok bool) { return nil, 0, false }

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
func MemberTrust(structName, member string) (trust Trust, orNull bool) { return TrustNone, false }
