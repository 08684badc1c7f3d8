package hooks

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// Bytes is a field of a context that programs see as two pointers, to its first
// byte and behind its last. Plain []byte is the same.
type Bytes = []byte

// ErrContext is wrapped by every error about a type that cannot be a context.
var ErrContext = errors.New("cannot be a context")

// layout is how a Go struct becomes a context: struct in C, as a compiler for
// BPF lays it out on every platform.
type layout struct {
	ctx    prog.CtxLayout
	moves  []move  // parts that are the same bytes in both
	bools  []int   // offsets in the context of writable bools
	slices []slice // byte slices
	whole  bool    // the struct is the context
	writes bool    // programs may write, into the context or what it points to
	padded bool    // they may write into the context, which has bytes that are no field
	root   cStruct // for the C header
}

// move copies size bytes at off in the Go struct to ctxOff in the context, and
// back if programs may write them.
type move struct {
	off, ctxOff, size int
	write             bool
}

// slice is a byte slice at off in the Go struct, two pointers at ctxOff.
type slice struct {
	name        string
	off, ctxOff int
	write       bool
}

// cStruct is a struct of the C header.
type cStruct struct {
	name   string
	fields []cField
	names  []string
	size   int
	align  int
}

// claim makes sure that a struct has a name once, and that C can have it.
func (s *cStruct) claim(name string) error {
	switch {
	case !cName.MatchString(name) || cKeywords[name]:
		return fmt.Errorf("%q is no name in C: give it one with a tag", name)
	case slices.Contains(s.names, name):
		return fmt.Errorf("the name %s is taken: give it another with a tag", name)
	}
	s.names = append(s.names, name)
	return nil
}

type cField struct {
	name     string
	typ      string   // of a scalar
	sub      *cStruct // of a struct, else nil
	off      int      // in its struct
	dims     []int    // of an array, outermost first
	bytes    bool     // two pointers
	writable bool
}

// newLayout returns the context of a Go struct.
func newLayout(name string, t reflect.Type) (*layout, error) {
	if t.Kind() != reflect.Struct {
		return nil, fmt.Errorf("%v %w: it is no struct", t, ErrContext)
	}
	l := &layout{}
	b := layoutBuilder{l: l, structs: make(map[reflect.Type]*cStruct)}
	root, err := b.structOf(name, t, place{})
	if err != nil {
		return nil, fmt.Errorf("%v %w: %w", t, ErrContext, err)
	}
	switch {
	case root.size == 0:
		return nil, fmt.Errorf("%v %w: it is empty", t, ErrContext)
	case root.size > maxCtx:
		return nil, fmt.Errorf("%v %w: %d bytes, at most %d", t, ErrContext, root.size, maxCtx)
	}
	l.root = *root
	l.ctx.Name, l.ctx.Size = name, root.size
	l.merge()
	fields, writable := 0, false
	for _, f := range l.ctx.Fields {
		fields += f.Size
		writable = writable || f.Writable
		l.writes = l.writes || f.Writable || f.WritableData
	}
	l.padded = writable && fields < root.size
	l.whole = len(l.slices) == 0 && len(l.moves) == 1 && l.moves[0] == move{0, 0, root.size, l.writes}
	return l, nil
}

// merge joins moves that are neighbours in both.
func (l *layout) merge() {
	var out []move
	for _, m := range l.moves {
		if n := len(out); n > 0 && out[n-1].write == m.write &&
			out[n-1].off+out[n-1].size == m.off && out[n-1].ctxOff+out[n-1].size == m.ctxOff {
			out[n-1].size += m.size
			continue
		}
		out = append(out, m)
	}
	l.moves = out
}

// place is where a value is in the Go struct and in the context, and what
// programs call it.
type place struct {
	off, ctxOff int
	path        string
	write       bool
}

func (p place) at(off, ctxOff int) place {
	p.off += off
	p.ctxOff += ctxOff
	return p
}

type layoutBuilder struct {
	l       *layout
	structs map[reflect.Type]*cStruct
	depth   int
}

const maxNesting = 8

// structOf lays a struct out at p. Each field comes behind the one before, at the
// next multiple of its alignment; the size is a multiple of the largest of these.
func (b *layoutBuilder) structOf(name string, t reflect.Type, p place) (*cStruct, error) {
	if b.depth++; b.depth > maxNesting {
		return nil, fmt.Errorf("structs nested more than %d deep", maxNesting)
	}
	defer func() { b.depth-- }()
	s := &cStruct{name: name, align: 1}
	for i := range t.NumField() {
		gf := t.Field(i)
		f, skip, err := newField(gf, p.write)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", gf.Name, err)
		}
		if skip {
			continue
		}
		size, align, err := sizeOf(gf.Type, b.depth)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", gf.Name, err)
		}
		s.size = (s.size + align - 1) &^ (align - 1)
		if err := s.claim(f.name); err != nil {
			return nil, fmt.Errorf("field %s: %w", gf.Name, err)
		}
		if isBytes(gf.Type) {
			if err := s.claim(f.name + "_end"); err != nil {
				return nil, fmt.Errorf("field %s: %w", gf.Name, err)
			}
		}
		f.off = s.size
		at := p.at(int(gf.Offset), s.size)
		at.write = f.writable
		at.path = strings.TrimPrefix(p.path+"."+f.name, ".")
		if err := b.value(&f, name, gf.Type, at); err != nil {
			return nil, fmt.Errorf("field %s: %w", gf.Name, err)
		}
		s.fields = append(s.fields, f)
		s.size += size
		s.align = max(s.align, align)
		if s.size > maxCtx {
			return nil, fmt.Errorf("more than %d bytes", maxCtx)
		}
	}
	s.size = (s.size + s.align - 1) &^ (s.align - 1)
	return s, nil
}

var cName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// newField reads the tag of a field: `bpf:"name,rw"`, both parts optional, "-"
// to leave the field out. The name comes first, as in other packages' tags. Writable says
// what holds for the struct around it.
func newField(gf reflect.StructField, writable bool) (f cField, skip bool, err error) {
	f.name, f.writable = snakeCase(gf.Name), writable
	tag := gf.Tag.Get("bpf")
	if tag == "-" {
		return f, true, nil
	}
	if !gf.IsExported() {
		return f, false, errors.New("is not exported; tag it `bpf:\"-\"` to leave it out")
	}
	for i, part := range strings.Split(tag, ",") {
		switch {
		case part == "rw":
			f.writable = true
		case part == "":
		case i > 0:
			return f, false, fmt.Errorf("tag %q: %q is no option, rw is the only one", tag, part)
		case cName.MatchString(part):
			f.name = part
		default:
			return f, false, fmt.Errorf("tag %q: %q is neither rw nor a name in C", tag, part)
		}
	}
	return f, false, nil
}

// snakeCase turns the name of a Go field into one as C has it: SrcIP is src_ip.
func snakeCase(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if unicode.IsUpper(r) && i > 0 &&
			(!unicode.IsUpper(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1])) && runes[i-1] != '_' {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

// scalars are the Go types that are a number in C, with size and name.
var scalars = map[reflect.Kind]struct {
	size int
	c    string
}{
	reflect.Bool: {1, "_Bool"},
	reflect.Int8: {1, "__s8"}, reflect.Int16: {2, "__s16"}, reflect.Int32: {4, "__s32"}, reflect.Int64: {8, "__s64"},
	reflect.Uint8: {1, "__u8"}, reflect.Uint16: {2, "__u16"}, reflect.Uint32: {4, "__u32"}, reflect.Uint64: {8, "__u64"},
}

func isBytes(t reflect.Type) bool {
	return t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8
}

// sizeOf returns size and alignment of a type in the context.
func sizeOf(t reflect.Type, depth int) (size, align int, err error) {
	if s, ok := scalars[t.Kind()]; ok {
		return s.size, s.size, nil
	}
	switch {
	case isBytes(t):
		return 16, 8, nil
	case t.Kind() == reflect.Array:
		size, align, err = sizeOf(t.Elem(), depth)
		if err == nil && (t.Len() == 0 || t.Len() > maxCtx) {
			err = fmt.Errorf("array of %d elements", t.Len())
		}
		return size * t.Len(), align, err
	case t.Kind() == reflect.Struct:
		return sizeOfStruct(t, depth+1)
	case t.Kind() == reflect.Int, t.Kind() == reflect.Uint, t.Kind() == reflect.Uintptr:
		return 0, 0, fmt.Errorf("%v has another size on other platforms: use one with a number", t)
	}
	return 0, 0, fmt.Errorf("%v is not a number, an array, a struct or a byte slice", t)
}

func sizeOfStruct(t reflect.Type, depth int) (size, align int, err error) {
	if depth > maxNesting {
		return 0, 0, fmt.Errorf("structs nested more than %d deep", maxNesting)
	}
	align = 1
	for i := range t.NumField() {
		gf := t.Field(i)
		if gf.Tag.Get("bpf") == "-" {
			continue
		}
		s, a, err := sizeOf(gf.Type, depth)
		if err != nil {
			return 0, 0, fmt.Errorf("field %s: %w", gf.Name, err)
		}
		size = (size+a-1)&^(a-1) + s
		align = max(align, a)
	}
	if size == 0 {
		return 0, 0, errors.New("empty struct")
	}
	return (size + align - 1) &^ (align - 1), align, nil
}

// value adds a value to the layout, and says in f what it is in C.
func (b *layoutBuilder) value(f *cField, parent string, t reflect.Type, p place) error {
	switch {
	case isBytes(t):
		f.bytes = true
		b.l.slices = append(b.l.slices, slice{p.path, p.off, p.ctxOff, p.write})
		ptr := 2 * (len(b.l.slices) - 1)
		b.field(p.path, p.ctxOff, 8, false, prog.PacketData, ptr)
		b.l.ctx.Fields[len(b.l.ctx.Fields)-1].WritableData = p.write
		b.field(p.path+"_end", p.ctxOff+8, 8, false, prog.PacketEnd, ptr+1)
		return nil
	case t.Kind() == reflect.Array:
		return b.array(f, parent, t, p)
	case t.Kind() == reflect.Struct:
		sub := b.structs[t]
		s, err := b.structOf(parent+"_"+f.name, t, p)
		if sub == nil {
			b.structs[t] = s
			sub = s
		}
		f.sub = sub
		return err
	}
	s := scalars[t.Kind()]
	f.typ = s.c
	b.field(p.path, p.ctxOff, s.size, p.write, prog.Scalar, 0)
	b.l.moves = append(b.l.moves, move{p.off, p.ctxOff, s.size, p.write})
	if t.Kind() == reflect.Bool && p.write {
		b.l.bools = append(b.l.bools, p.ctxOff)
	}
	return nil
}

// array adds an array. One of numbers is a single field.
func (b *layoutBuilder) array(f *cField, parent string, t reflect.Type, p place) error {
	elem := t.Elem()
	f.dims = append(f.dims, t.Len())
	if s, ok := scalars[elem.Kind()]; ok && (elem.Kind() != reflect.Bool || !p.write) {
		f.typ = s.c
		b.field(p.path, p.ctxOff, s.size*t.Len(), p.write, prog.Scalar, 0)
		b.l.moves = append(b.l.moves, move{p.off, p.ctxOff, s.size * t.Len(), p.write})
		return nil
	}
	size, _, err := sizeOf(elem, b.depth)
	if err != nil {
		return err
	}
	for i := range t.Len() {
		e := *f
		at := p.at(i*int(elem.Size()), i*size)
		at.path = fmt.Sprintf("%s[%d]", p.path, i)
		if err := b.value(&e, parent, elem, at); err != nil {
			return err
		}
		if i == t.Len()-1 {
			*f = e
		}
	}
	return nil
}

// field adds a field that programs see.
func (b *layoutBuilder) field(name string, off, size int, write bool, kind prog.FieldKind, ptr int) {
	f := prog.CtxField{Name: name, Off: off, Size: size, Kind: kind, Ptr: ptr, Writable: write, Reads: sizeAll}
	if write {
		f.Writes = sizeAll
	}
	if kind != prog.Scalar {
		f.Reads = size8
	}
	b.l.ctx.Fields = append(b.l.ctx.Fields, f)
}
