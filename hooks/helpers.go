package hooks

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// Buffer is a parameter of a helper that it writes: memory of the program, of
// which every byte counts as written.
type Buffer []byte

// FirstCustomHelper is the number of the first helper of a hook's own. The
// others follow in the order of the options.
const FirstCustomHelper asm.BuiltinFunc = 1 << 16

// CustomHelper is a helper function that a hook brings.
type CustomHelper struct {
	helper.Proto
	c string // declaration in C
}

// maxString bounds a string that a helper is given, in bytes.
const maxString = 4096

// Helper lets programs of the hook call a Go func by name. Its parameters may be
// numbers and bool, one register each; []byte, which the helper reads and must
// not keep, and [Buffer], which it writes: pointer and length in two registers;
// and string, the address of a C string (which is copied, hence allocates). At most
// five registers. It returns nothing, a number or a bool, and after it an error if
// it wants to: that ends the run.
//
// That memory is the program's own is proved when the program is loaded, but for byte
// slices of the context, of which any part can be given: it is checked when the helper is
// called, and a run that gives more than there is ends in an error.
//
// Funcs of up to five uint64, and of []byte alone or before a uint64, all with
// one result or none, are called without reflection and do not allocate. A func that
// panics ends the run with an error.
func Helper(name string, fn any) Option {
	return func(t *Type) error {
		id := FirstCustomHelper + asm.BuiltinFunc(len(t.helpers))
		h, err := newHelper(id, name, fn)
		if err != nil {
			return fmt.Errorf("helper %s: %w", name, err)
		}
		for _, other := range t.helpers {
			if other.Name == name {
				return fmt.Errorf("helper %s: the name is taken", name)
			}
		}
		t.helpers[id] = h
		return nil
	}
}

func newHelper(id asm.BuiltinFunc, name string, fn any) (*CustomHelper, error) {
	if !cName.MatchString(name) || cKeywords[name] {
		return nil, errors.New("the name must be an identifier of C")
	}
	v := reflect.ValueOf(fn)
	if v.Kind() != reflect.Func || v.IsNil() {
		return nil, fmt.Errorf("%T is no func", fn)
	}
	sig, err := newSignature(v.Type())
	if err != nil {
		return nil, err
	}
	h := &CustomHelper{Proto: helper.Proto{ID: id, Name: name, Args: sig.args, PacketMem: true, PacketChecked: true}}
	if sig.result == nil {
		h.Ret.Kind = helper.RetVoid
	}
	h.c = sig.declare(id, name)
	body := direct(fn)
	if body == nil {
		body = sig.reflected(v)
	}
	h.Body = guarded(name, body)
	return h, nil
}

// guarded makes a panic of a helper the run's error, and says whose error it is.
func guarded(name string, body vm.Helper) vm.Helper {
	return func(c *vm.CPU, args *[5]uint64) (ret uint64, err error) {
		defer func() {
			if p := recover(); p != nil {
				err = &vm.Fault{Err: vm.ErrHelper, Detail: fmt.Sprintf("%s panicked: %v", name, p)}
			}
		}()
		ret, err = body(c, args)
		if err == nil {
			return ret, nil
		}
		if _, fault := err.(*vm.Fault); !fault {
			err = &vm.Fault{Err: vm.ErrHelper, Detail: fmt.Sprintf("%s: %v", name, err), Cause: err}
		}
		return ret, err
	}
}

// direct returns the body for the signatures that need no reflection, else nil.
func direct(fn any) vm.Helper {
	switch fn := fn.(type) {
	case func():
		return func(*vm.CPU, *[5]uint64) (uint64, error) { fn(); return 0, nil }
	case func() uint64:
		return func(*vm.CPU, *[5]uint64) (uint64, error) { return fn(), nil }
	case func(uint64):
		return func(_ *vm.CPU, a *[5]uint64) (uint64, error) { fn(a[0]); return 0, nil }
	case func(uint64) uint64:
		return func(_ *vm.CPU, a *[5]uint64) (uint64, error) { return fn(a[0]), nil }
	case func(uint64, uint64) uint64:
		return func(_ *vm.CPU, a *[5]uint64) (uint64, error) { return fn(a[0], a[1]), nil }
	case func(uint64, uint64, uint64) uint64:
		return func(_ *vm.CPU, a *[5]uint64) (uint64, error) { return fn(a[0], a[1], a[2]), nil }
	case func(uint64, uint64, uint64, uint64) uint64:
		return func(_ *vm.CPU, a *[5]uint64) (uint64, error) { return fn(a[0], a[1], a[2], a[3]), nil }
	case func(uint64, uint64, uint64, uint64, uint64) uint64:
		return func(_ *vm.CPU, a *[5]uint64) (uint64, error) { return fn(a[0], a[1], a[2], a[3], a[4]), nil }
	case func([]byte):
		return withBytes(func(b []byte, _ uint64) uint64 { fn(b); return 0 })
	case func([]byte) uint64:
		return withBytes(func(b []byte, _ uint64) uint64 { return fn(b) })
	case func([]byte, uint64) uint64:
		return withBytes(fn)
	}
	return nil
}

func withBytes(fn func([]byte, uint64) uint64) vm.Helper {
	return func(c *vm.CPU, a *[5]uint64) (uint64, error) {
		b, err := memory5(c, a[0], a[1], mem.Read)
		if err != nil {
			return 0, err
		}
		return fn(b, a[2]), nil
	}
}

// memory5 returns the memory that two registers stand for.
func memory5(c *vm.CPU, addr, size uint64, perm mem.Perm) ([]byte, error) {
	if size > maxBytes {
		return nil, &vm.Fault{Err: vm.ErrHelper, Detail: fmt.Sprintf("memory of %d bytes", int64(size))}
	}
	return c.Bytes(addr, int(size), perm)
}

// signature is what a Go func is as a helper.
type signature struct {
	params []param
	args   []helper.Arg
	result reflect.Type // nil if none
	fails  bool         // an error is the last result
}

type param struct {
	typ reflect.Type
	reg int // the first register
}

var (
	bytesType  = reflect.TypeFor[[]byte]()
	bufferType = reflect.TypeFor[Buffer]()
	stringType = reflect.TypeFor[string]()
	errorType  = reflect.TypeFor[error]()
)

func newSignature(t reflect.Type) (*signature, error) {
	s := &signature{}
	if t.IsVariadic() {
		return nil, errors.New("a helper has a fixed number of parameters")
	}
	for i := range t.NumIn() {
		in := t.In(i)
		s.params = append(s.params, param{in, len(s.args)})
		switch {
		case in == bytesType:
			s.args = append(s.args, helper.Arg{Kind: helper.ArgMem, Flags: helper.FlagRead}, helper.Arg{Kind: helper.ArgSize0})
		case in == bufferType:
			s.args = append(s.args, helper.Arg{Kind: helper.ArgMem, Flags: helper.FlagWrite | helper.FlagUninit}, helper.Arg{Kind: helper.ArgSize0})
		case in == stringType:
			s.args = append(s.args, helper.Arg{Kind: helper.ArgMem, Flags: helper.FlagRead, Fixed: 1})
		case scalars[in.Kind()].size != 0:
			s.args = append(s.args, helper.Arg{Kind: helper.ArgAny})
		default:
			return nil, fmt.Errorf("parameter %d: %v is not a number of fixed size, bool, string, []byte or Buffer", i+1, in)
		}
	}
	if len(s.args) > 5 {
		return nil, fmt.Errorf("the parameters take %d registers, there are 5", len(s.args))
	}
	outs := t.NumOut()
	if outs > 0 && t.Out(outs-1) == errorType {
		s.fails = true
		outs--
	}
	switch {
	case outs > 1:
		return nil, fmt.Errorf("%d results, at most one and an error", outs)
	case outs == 1 && scalars[t.Out(0).Kind()].size == 0:
		return nil, fmt.Errorf("result %v is not a number of fixed size or bool", t.Out(0))
	case outs == 1:
		s.result = t.Out(0)
	}
	return s, nil
}

// declare returns the declaration in C.
func (s *signature) declare(id asm.BuiltinFunc, name string) string {
	result := "void"
	if s.result != nil {
		result = scalars[s.result.Kind()].c
	}
	var params []string
	for i, p := range s.params {
		switch p.typ {
		case bytesType:
			params = append(params, fmt.Sprintf("const void *p%d, __u64 len%d", i+1, i+1))
		case bufferType:
			params = append(params, fmt.Sprintf("void *p%d, __u64 len%d", i+1, i+1))
		case stringType:
			params = append(params, fmt.Sprintf("const char *s%d", i+1))
		default:
			params = append(params, fmt.Sprintf("%s a%d", scalars[p.typ.Kind()].c, i+1))
		}
	}
	if params == nil {
		params = []string{"void"}
	}
	return fmt.Sprintf("static %s (*const %s)(%s) = (void *) %d;", result, name, strings.Join(params, ", "), int32(id))
}

// reflected returns the body for any signature.
func (s *signature) reflected(fn reflect.Value) vm.Helper {
	return func(c *vm.CPU, a *[5]uint64) (uint64, error) {
		in := make([]reflect.Value, len(s.params))
		for i, p := range s.params {
			v, err := p.value(c, a)
			if err != nil {
				return 0, err
			}
			in[i] = v
		}
		out := fn.Call(in)
		if s.fails {
			if err, _ := out[len(out)-1].Interface().(error); err != nil {
				return 0, err
			}
		}
		if s.result == nil {
			return 0, nil
		}
		return register(out[0]), nil
	}
}

// value makes one or two registers a value of the parameter's type.
func (p param) value(c *vm.CPU, a *[5]uint64) (reflect.Value, error) {
	v := reflect.New(p.typ).Elem()
	switch {
	case p.typ == stringType:
		b, err := c.String(a[p.reg], maxString)
		if err != nil {
			return v, err
		}
		v.SetString(string(b))
	case p.typ.Kind() == reflect.Slice:
		perm := mem.Read
		if p.typ == bufferType {
			perm = mem.Write
		}
		b, err := memory5(c, a[p.reg], a[p.reg+1], perm)
		if err != nil {
			return v, err
		}
		v.SetBytes(b)
	case p.typ.Kind() == reflect.Bool:
		v.SetBool(a[p.reg]&0xff != 0)
	case v.CanInt():
		v.SetInt(int64(a[p.reg]) << (64 - p.typ.Bits()) >> (64 - p.typ.Bits()))
	default:
		v.SetUint(a[p.reg] << (64 - p.typ.Bits()) >> (64 - p.typ.Bits()))
	}
	return v, nil
}

// register is what r0 holds for v.
func register(v reflect.Value) uint64 {
	switch {
	case v.Kind() == reflect.Bool && v.Bool():
		return 1
	case v.Kind() == reflect.Bool:
		return 0
	case v.CanInt():
		return uint64(v.Int())
	}
	return v.Uint()
}
