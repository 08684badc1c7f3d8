package hooks

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// ProgramType is a program type, numbered as in Linux.
type ProgramType = prog.Type

// Range is a range of return values, both ends included.
type Range struct{ Min, Max int64 }

// Contains reports whether a program may return r0. As in Linux, programs at
// Linux's hooks return 32 bits, those at other hooks 64.
func (r Range) Contains(r0 int64) bool { return r.Min <= r0 && r0 <= r.Max }

// anyReturn is the range of types whose return value Linux does not restrict.
var anyReturn = Range{-1 << 63, 1<<63 - 1}

// Type describes a type of program: what it is given, what it may call and
// return, and how an event becomes its context. Each is in the catalog; see [Types].
type Type struct {
	Name     string      // as bpftool prints it; the name of a custom hook
	Prog     ProgramType // prog.Custom for a custom hook
	Sections []string    // section names of object files: "xdp" is also "xdp/anything"
	Layout   *prog.CtxLayout
	Returns  Range

	// next is the verdict that lets the next program at a point decide.
	next   uint64
	single bool // at most one program attaches, as to a socket
	bits32 bool // the verdict is the lower half of r0
	noLink bool // programs see an skb from behind its link layer header

	helpers map[asm.BuiltinFunc]*CustomHelper // of a custom hook
	allowed func(asm.BuiltinFunc) bool        // further restricts the helpers of sandbpf; nil: does not

	// load makes CPU c see what a test run is given, store says what it has left.
	load  func(t *Type, m *memory, c *vm.CPU, in *TestRun) error
	store func(t *Type, m *memory, out *TestRun)
}

// catalog has every type of Linux that there is a hook for.
var catalog = [...]*Type{XDP, SchedCLS, SocketFilter, Memory}

// Types returns the catalog: the types of Linux that programs can be of here.
func Types() []*Type { return slices.Clone(catalog[:]) }

// ByType returns the descriptor of a program type of Linux, nil if there is none.
func ByType(t ProgramType) *Type {
	for _, d := range catalog {
		if d.Prog == t {
			return d
		}
	}
	return nil
}

// BySection returns the descriptor for programs of that section, among the
// catalog and the hooks of [Define]; nil if there is none.
func BySection(section string) *Type {
	for _, d := range catalog {
		if d.inSection(section) {
			return d
		}
	}
	return defined.bySection(section)
}

func (t *Type) inSection(section string) bool {
	for _, s := range t.Sections {
		if section == s || strings.HasPrefix(section, s+"/") {
			return true
		}
	}
	return false
}

// CustomHelper returns the helper of that number that the hook brings, nil if
// there is none.
func (t *Type) CustomHelper(fn asm.BuiltinFunc) *CustomHelper { return t.helpers[fn] }

// Allows reports whether a helper of sandbpf's own may be called here, as far
// as the hook's definition goes.
func (t *Type) Allows(fn asm.BuiltinFunc) bool { return t.allowed == nil || t.allowed(fn) }

// String returns the name.
func (t *Type) String() string { return t.Name }

// check says why a program is not for this type.
func (t *Type) check(x *Executable) error {
	if x.hook != t {
		return fmt.Errorf("%w: %s is a program for %s, not for %s", ErrWrongType, x.Name(), x.hook, t)
	}
	return nil
}
