package loader

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/internal/btftype"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// ErrInvalid is what every error about an object that cannot be right matches.
var ErrInvalid = errors.New("invalid object")

// ErrNotSupported is what every error about something that has no counterpart here
// matches. It is an [errors.ErrUnsupported], hence a [sandbpf.ErrNotSupported].
var ErrNotSupported error = notSupported{}

type notSupported struct{}

func (notSupported) Error() string        { return "not supported" }
func (notSupported) Is(target error) bool { return target == errors.ErrUnsupported }

// ErrByteOrder is what the error about an object for hosts of the other byte order
// matches.
var ErrByteOrder = errors.New("wrong byte order")

// Error says which part of an object cannot be loaded, and why.
type Error struct {
	Kind   string // "program", "map", "section", "variable", "function", "relocation"; "" is the object
	Name   string
	Reason string
	Err    error // ErrInvalid, ErrNotSupported, ErrByteOrder or what another package said
}

func (e *Error) Error() string {
	s := e.Reason
	if e.Err != nil && e.Err != ErrInvalid {
		if s != "" {
			s += ": "
		}
		s += e.Err.Error()
	}
	if e.Kind != "" {
		s = fmt.Sprintf("%s %s: %s", e.Kind, e.Name, s)
	}
	return s
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

func invalid(kind, name, format string, args ...any) error {
	return &Error{kind, name, fmt.Sprintf(format, args...), ErrInvalid}
}

func unsupported(kind, name, format string, args ...any) error {
	return &Error{kind, name, fmt.Sprintf(format, args...), ErrNotSupported}
}

// An Option changes how an object is loaded.
type Option func(*options)

type options struct {
	types   map[string]prog.Type
	kconfig map[string]any
	ksyms   map[string]uint64
	targets func() ([]*btf.Spec, error) // nil: the program's own types
	partial bool                        // targets do not have all types of the kernel
}

// WithProgramType says of which type the program of that name is, whatever its
// section says.
func WithProgramType(name string, t sandbpf.ProgramType) Option {
	return func(o *options) { o.types[name] = t }
}

// WithKconfig gives the values of __kconfig variables: bool, integers, or strings as
// in a kernel's .config ("y", "0x10", "\"text\""); see [ParseKconfig].
// LINUX_KERNEL_VERSION is [KernelVersion] unless it is among them.
func WithKconfig(values map[string]any) Option {
	return func(o *options) {
		for name, v := range values {
			o.kconfig[name] = v
		}
	}
}

// WithKsyms gives the addresses of __ksym variables, as /proc/kallsyms would. A
// program can compare and print them: there is no memory behind them.
func WithKsyms(addrs map[string]uint64) Option {
	return func(o *options) {
		for name, v := range addrs {
			o.ksyms[name] = v
		}
	}
}

// WithKernelTypes resolves CO-RE relocations against the types of a kernel: those
// of vmlinux, then those of modules.
func WithKernelTypes(vmlinux *btf.Spec, modules ...*btf.Spec) Option {
	return func(o *options) {
		o.targets = func() ([]*btf.Spec, error) { return append([]*btf.Spec{vmlinux}, modules...), nil }
	}
}

// WithRunningKernel resolves CO-RE relocations against the types of the kernel that
// runs this process. Loading fails where there is none.
func WithRunningKernel() Option {
	return func(o *options) { o.targets = runningKernel }
}

// WithLinuxTypes resolves CO-RE relocations against the types of Linux 6.18 on x86-64, no
// matter what runs this process, as far as programs can reach them: this is for programs
// that are verified, not run. Of structs that are not among them, fields stay where the
// program's own types have them.
func WithLinuxTypes() Option {
	return func(o *options) { o.targets, o.partial = linuxTypes, true }
}

func newOptions(opts []Option) *options {
	o := &options{types: map[string]prog.Type{}, kconfig: map[string]any{}, ksyms: map[string]uint64{}}
	for _, opt := range opts {
		opt(o)
	}
	return o
}

// LoadSpec reads an ELF object from a file.
func LoadSpec(path string, opts ...Option) (*sandbpf.CollectionSpec, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	spec, err := LoadSpecFromReader(f, opts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return spec, nil
}

// LoadSpecFromReader reads an ELF object. Errors about its content match [ErrInvalid],
// [ErrNotSupported] or [ErrByteOrder].
func LoadSpecFromReader(r io.ReaderAt, opts ...Option) (spec *sandbpf.CollectionSpec, err error) {
	defer recovered(&spec, &err)
	data, err := io.ReadAll(io.NewSectionReader(r, 0, maxFile+1))
	if err != nil {
		return nil, err
	}
	obj, err := parseObject(data)
	if err != nil {
		return nil, err
	}
	if err := obj.guard(); err != nil {
		return nil, err
	}
	ext, data, err := obj.amend()
	if err != nil {
		return nil, err
	}
	cs, err := ebpf.LoadCollectionSpecFromReader(bytes.NewReader(data))
	if err != nil {
		return nil, unreadable(err)
	}
	forgetTypes(cs)
	return convert(cs, ext, newOptions(opts))
}

// forgetTypes leaves programs without a type whose section says none. cilium/ebpf takes most
// sections for what their name begins with: "xdpfoo" for xdp, or the name of a hook of a Go program
// such as "action_log" for a type of Linux.
func forgetTypes(cs *ebpf.CollectionSpec) {
	for _, p := range cs.Programs {
		if !prog.SectionSaysType(p.SectionName) {
			p.Type, p.AttachType, p.AttachTo, p.Flags = ebpf.UnspecifiedProgram, ebpf.AttachNone, "", 0
		}
	}
}

// unreadable classifies what cilium/ebpf says of an object.
func unreadable(err error) error {
	if errors.Is(err, ebpf.ErrNotSupported) {
		return fmt.Errorf("%w: %w", ErrNotSupported, err)
	}
	return fmt.Errorf("%w: %w", ErrInvalid, err)
}

// FromCollectionSpec converts a collection that cilium/ebpf has read or that was
// written by hand: programs are of the types that it gives them. It does not change or keep cs.
func FromCollectionSpec(cs *ebpf.CollectionSpec, opts ...Option) (spec *sandbpf.CollectionSpec, err error) {
	defer recovered(&spec, &err)
	if cs == nil {
		return nil, invalid("", "", "nil CollectionSpec")
	}
	if cs.ByteOrder != nil {
		if err := checkByteOrder(cs.ByteOrder); err != nil {
			return nil, err
		}
	}
	return convert(cs, &externs{}, newOptions(opts))
}

// recovered turns a panic, which only a reader of another module can have caused,
// into an error.
func recovered(spec **sandbpf.CollectionSpec, err *error) {
	if p := recover(); p != nil {
		*spec, *err = nil, invalid("", "", "reading it panicked: %v", p)
	}
}

// converter is the state of one conversion.
type converter struct {
	cs    *ebpf.CollectionSpec
	ext   *externs
	opts  *options
	types *btftype.Converter
	out   *sandbpf.CollectionSpec
	core  []*btf.Spec // targets of CO-RE relocations, nil: none asked for
}

func convert(cs *ebpf.CollectionSpec, ext *externs, opts *options) (*sandbpf.CollectionSpec, error) {
	c := &converter{cs: cs, ext: ext, opts: opts, types: btftype.New(cs.Types), out: &sandbpf.CollectionSpec{
		Programs:  make(map[string]*sandbpf.ProgramSpec),
		Maps:      make(map[string]*maps.Spec),
		MapTypes:  make(map[string]*sandbpf.MapTypes),
		Variables: make(map[string]*sandbpf.VariableSpec),
	}}
	if opts.targets != nil {
		var err error
		if c.core, err = opts.targets(); err != nil {
			return nil, &Error{"", "", "kernel types for CO-RE", err}
		}
		if slices.Contains(c.core, nil) {
			return nil, invalid("", "", "kernel types for CO-RE: nil *btf.Spec")
		}
	}
	for name := range opts.types {
		if cs.Programs[name] == nil {
			return nil, invalid("program", name, "has a type by option, but is not in the object")
		}
	}
	for _, step := range []func() error{c.maps, c.variables, c.kconfig, c.programs, c.contents} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c.out, nil
}

// note records what the object asks for and does not get.
func (c *converter) note(format string, args ...any) {
	c.out.Notes = append(c.out.Notes, fmt.Sprintf(format, args...))
}
