// Package btftype turns the types that cilium/ebpf reads from BTF into those of package
// prog.
package btftype

import (
	"github.com/cilium/ebpf/btf"

	"github.com/sandbpf/sandbpf/internal/prog"
)

// maxModifiers is how many modifiers (const, volatile, typedef, type tag, ...) a type
// may have before it is taken for a cycle of them.
const maxModifiers = 32

// Converter turns the types of cilium/ebpf into ours. Each is converted once, so
// that cycles stay cycles; and one after the other, not one within the other, so
// that no chain of types is too long.
type Converter struct {
	spec *btf.Spec // what IDs are looked up in, may be nil
	done map[typeKey]*prog.BTFType
	todo []typeKey
}

// typeKey is a type without modifiers, and its name or, where it has none, that of the
// outermost typedef.
type typeKey struct {
	typ  btf.Type
	name string
}

// New returns a converter. The types that it makes have the IDs of spec, which may be
// nil.
func New(spec *btf.Spec) *Converter {
	return &Converter{spec: spec, done: make(map[typeKey]*prog.BTFType)}
}

// Convert returns the type, nil for nil.
func (c *Converter) Convert(t btf.Type) *prog.BTFType {
	if t == nil {
		return nil
	}
	out := c.ref(t)
	for len(c.todo) > 0 {
		k := c.todo[len(c.todo)-1]
		c.todo = c.todo[:len(c.todo)-1]
		c.fill(c.done[k], k.typ)
	}
	return out
}

// Proto returns the prototype of a function, with the tags of its parameters, which
// belong to this function and not to others with the same prototype. It is nil if f has
// none.
func (c *Converter) Proto(f *btf.Func) *prog.BTFType {
	p := c.Convert(f.Type)
	if p == nil || p.Kind != prog.BTFFuncProto {
		return nil
	}
	own := *p
	own.Decl = f.Tags
	own.Params = append([]prog.BTFParam(nil), p.Params...)
	for i := range own.Params {
		if i < len(f.ParamTags) {
			own.Params[i].Decl = f.ParamTags[i]
		}
	}
	return &own
}

// unmodified returns the type without modifiers, the name of the outermost typedef
// among them, and the declaration tags of typedefs. It returns nil for void.
func unmodified(t btf.Type) (_ btf.Type, name string, tags []string) {
	for range maxModifiers {
		switch m := t.(type) {
		case *btf.Typedef:
			if name == "" {
				name = m.Name
			}
			tags, t = append(tags, m.Tags...), m.Type
		case *btf.Const:
			t = m.Type
		case *btf.Volatile:
			t = m.Type
		case *btf.Restrict:
			t = m.Type
		case *btf.TypeTag:
			t = m.Type
		case *btf.Void:
			return nil, name, tags
		default:
			return t, name, tags
		}
	}
	return nil, name, tags
}

// ref returns the type that t becomes, to be filled later.
func (c *Converter) ref(t btf.Type) *prog.BTFType {
	t, name, tags := unmodified(t)
	if t == nil {
		return &prog.BTFType{Kind: prog.BTFVoid, Name: name}
	}
	if own := t.TypeName(); own != "" {
		name = own
	}
	k := typeKey{t, name}
	if out, ok := c.done[k]; ok {
		return out
	}
	out := &prog.BTFType{Name: name, Decl: tags}
	if c.spec != nil {
		if id, err := c.spec.TypeID(t); err == nil {
			out.ID = uint32(id)
		}
	}
	c.done[k] = out
	c.todo = append(c.todo, k)
	return out
}

func (c *Converter) fill(out *prog.BTFType, t btf.Type) {
	switch t := t.(type) {
	case *btf.Int:
		out.Kind, out.Size, out.Signed = prog.BTFInt, t.Size, t.Encoding == btf.Signed
	case *btf.Float:
		out.Kind, out.Size = prog.BTFFloat, t.Size
	case *btf.Pointer:
		out.Kind, out.Size, out.Elem, out.Tags = prog.BTFPointer, 8, c.ref(t.Target), typeTags(t.Target)
	case *btf.Array:
		out.Kind, out.Elem, out.Len, out.Size = prog.BTFArray, c.ref(t.Type), t.Nelems, Size(t)
	case *btf.Struct:
		out.Kind, out.Size, out.Decl, out.Members = prog.BTFStruct, t.Size, append(out.Decl, t.Tags...), c.members(t.Members)
	case *btf.Union:
		out.Kind, out.Size, out.Decl, out.Members = prog.BTFUnion, t.Size, append(out.Decl, t.Tags...), c.members(t.Members)
	case *btf.Enum:
		out.Kind, out.Size, out.Signed = prog.BTFEnum, t.Size, t.Signed
	case *btf.Fwd:
		out.Kind = prog.BTFFwd
	case *btf.Func:
		out.Kind, out.Elem, out.Decl = prog.BTFFunc, c.ref(t.Type), append(out.Decl, t.Tags...)
	case *btf.FuncProto:
		out.Kind = prog.BTFFuncProto
		if ret, _, _ := unmodified(t.Return); ret != nil {
			out.Return = c.ref(t.Return)
		}
		for _, p := range t.Params {
			out.Params = append(out.Params, prog.BTFParam{Name: p.Name, Type: c.ref(p.Type)})
		}
	case *btf.Var:
		out.Kind, out.Elem, out.Size, out.Decl = prog.BTFVar, c.ref(t.Type), Size(t.Type), append(out.Decl, t.Tags...)
	case *btf.Datasec: // a struct of its variables
		out.Kind, out.Size = prog.BTFStruct, t.Size
		for _, v := range t.Vars {
			m := prog.BTFMember{Name: v.Type.TypeName(), BitOff: v.Offset * 8}
			if bv, ok := v.Type.(*btf.Var); ok {
				m.Type, m.Decl = c.ref(bv.Type), bv.Tags
			} else {
				m.Type = c.ref(v.Type)
			}
			out.Members = append(out.Members, m)
		}
	}
}

func (c *Converter) members(members []btf.Member) []prog.BTFMember {
	var out []prog.BTFMember
	for _, m := range members {
		out = append(out, prog.BTFMember{Name: m.Name, Type: c.ref(m.Type), BitOff: uint32(m.Offset),
			BitSize: uint32(m.BitfieldSize), Decl: m.Tags})
	}
	return out
}

// typeTags returns the type tags of what a pointer points to.
func typeTags(t btf.Type) []string {
	var tags []string
	for range maxModifiers {
		switch m := t.(type) {
		case *btf.TypeTag:
			tags, t = append(tags, m.Value), m.Type
		case *btf.Const:
			t = m.Type
		case *btf.Volatile:
			t = m.Type
		case *btf.Restrict:
			t = m.Type
		default:
			return tags
		}
	}
	return tags
}

// Size returns the size of a type in bytes, 0 where it has none.
func Size(t btf.Type) uint32 {
	n, err := btf.Sizeof(t)
	if err != nil || n < 0 || int64(n) > 1<<32-1 {
		return 0
	}
	return uint32(n)
}
