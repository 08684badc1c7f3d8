package helper

import "github.com/sandbpf/sandbpf/internal/prog"

// Variant is a sort of program that Linux has an own set of helpers for: a
// program type, or one of its attach types or targets. It is an index of
// variants.
type Variant uint8

// Variants is a set of them.
type Variants uint64

// Has reports whether v is in the set.
func (s Variants) Has(v Variant) bool { return s>>v&1 != 0 }

type variant struct {
	name   string // "type" or "type/attach"
	typ    prog.Type
	attach prog.AttachType // enum bpf_attach_type
	target string
}

// The attach types of tracing programs that call the helpers of fentry.
const (
	attachFexit     prog.AttachType = 25
	attachModReturn prog.AttachType = 26
	attachFentry    prog.AttachType = 24
)

// VariantOf returns the variant that a program is of. An unknown attach type or target
// counts as the first one of the type; an unknown type is reported by false.
func VariantOf(t prog.Type, attach prog.AttachType, target string) (Variant, bool) {
	if t == prog.Tracing && (attach == attachFexit || attach == attachModReturn) {
		attach = attachFentry
	}
	found, score := 0, 0
	for i := range variants {
		v := &variants[i]
		if v.typ != t {
			continue
		}
		s := 1
		if v.attach == attach {
			s = 2
			if v.target == target {
				s = 3
			}
		}
		if s > score {
			found, score = i, s
		}
	}
	return Variant(found), score > 0
}

// String returns the name: "xdp", "cgroup_skb/egress", "tracing/iter:task".
func (v Variant) String() string {
	if int(v) < len(variants) {
		return variants[v].name
	}
	return "unknown"
}

// VariantNames returns the names of all variants, by number.
func VariantNames() []string {
	names := make([]string, len(variants))
	for i := range variants {
		names[i] = variants[i].name
	}
	return names
}

// Sort returns the program type, attach type and target that the variant is of.
func (v Variant) Sort() (t prog.Type, attach prog.AttachType, target string) {
	if int(v) >= len(variants) {
		return prog.Unspec, 0, ""
	}
	s := &variants[v]
	return s.typ, s.attach, s.target
}
