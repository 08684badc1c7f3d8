package btftype

import (
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/prog"
)

var (
	u32  = &btf.Int{Name: "unsigned int", Size: 4}
	char = &btf.Int{Name: "char", Size: 1, Encoding: btf.Char}
)

func TestTypes(t *testing.T) {
	fwd := &btf.Fwd{Name: "task", Kind: btf.FwdStruct}
	for _, c := range []struct {
		name string
		in   btf.Type
		want *prog.BTFType
	}{
		{"nil", nil, nil},
		{"void", &btf.Void{}, &prog.BTFType{Kind: prog.BTFVoid}},
		{"const void", &btf.Const{Type: (*btf.Void)(nil)}, &prog.BTFType{Kind: prog.BTFVoid}},
		{"int", u32, &prog.BTFType{Kind: prog.BTFInt, Name: "unsigned int", Size: 4}},
		{"signed", &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}, &prog.BTFType{Kind: prog.BTFInt, Name: "int", Size: 4, Signed: true}},
		{"modifiers", &btf.Const{Type: &btf.Volatile{Type: &btf.Restrict{Type: u32}}}, &prog.BTFType{Kind: prog.BTFInt, Name: "unsigned int", Size: 4}},
		{"typedef of a name", &btf.Typedef{Name: "u32", Type: u32}, &prog.BTFType{Kind: prog.BTFInt, Name: "unsigned int", Size: 4}},
		{"typedefs of none", &btf.Typedef{Name: "outer", Type: &btf.Typedef{Name: "inner", Type: &btf.Struct{Size: 8}}}, &prog.BTFType{Kind: prog.BTFStruct, Name: "outer", Size: 8}},
		{"float", &btf.Float{Name: "double", Size: 8}, &prog.BTFType{Kind: prog.BTFFloat, Name: "double", Size: 8}},
		{"enum", &btf.Enum{Name: "e", Size: 4, Signed: true}, &prog.BTFType{Kind: prog.BTFEnum, Name: "e", Size: 4, Signed: true}},
		{"array", &btf.Array{Type: char, Nelems: 6}, &prog.BTFType{Kind: prog.BTFArray, Size: 6, Len: 6, Elem: &prog.BTFType{Kind: prog.BTFInt, Name: "char", Size: 1}}},
		{"kptr", &btf.Pointer{Target: &btf.TypeTag{Value: "kptr", Type: &btf.Const{Type: fwd}}},
			&prog.BTFType{Kind: prog.BTFPointer, Size: 8, Tags: []string{"kptr"}, Elem: &prog.BTFType{Kind: prog.BTFFwd, Name: "task"}}},
		{"union", &btf.Union{Name: "u", Size: 4, Tags: []string{"tag"}, Members: []btf.Member{
			{Name: "low", Type: u32, Offset: 3, BitfieldSize: 5, Tags: []string{"bits"}}}},
			&prog.BTFType{Kind: prog.BTFUnion, Name: "u", Size: 4, Decl: []string{"tag"}, Members: []prog.BTFMember{
				{Name: "low", Type: &prog.BTFType{Kind: prog.BTFInt, Name: "unsigned int", Size: 4}, BitOff: 3, BitSize: 5, Decl: []string{"bits"}}}}},
		{"variable", &btf.Var{Name: "v", Type: u32, Tags: []string{"t"}},
			&prog.BTFType{Kind: prog.BTFVar, Name: "v", Size: 4, Decl: []string{"t"}, Elem: &prog.BTFType{Kind: prog.BTFInt, Name: "unsigned int", Size: 4}}},
		{"section", &btf.Datasec{Name: ".data", Size: 8, Vars: []btf.VarSecinfo{{Type: &btf.Var{Name: "v", Type: u32, Tags: []string{"t"}}, Offset: 4, Size: 4}}},
			&prog.BTFType{Kind: prog.BTFStruct, Name: ".data", Size: 8, Members: []prog.BTFMember{
				{Name: "v", Type: &prog.BTFType{Kind: prog.BTFInt, Name: "unsigned int", Size: 4}, BitOff: 32, Decl: []string{"t"}}}}},
		{"function", &btf.Func{Name: "f", Tags: []string{"t"}, Type: &btf.FuncProto{Return: (*btf.Void)(nil), Params: []btf.FuncParam{{Name: "x", Type: u32}}}},
			&prog.BTFType{Kind: prog.BTFFunc, Name: "f", Decl: []string{"t"}, Elem: &prog.BTFType{Kind: prog.BTFFuncProto,
				Params: []prog.BTFParam{{Name: "x", Type: &prog.BTFType{Kind: prog.BTFInt, Name: "unsigned int", Size: 4}}}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			require.Equal(t, c.want, New(nil).Convert(c.in))
		})
	}
}

func TestTypeCycles(t *testing.T) {
	list := &btf.Struct{Name: "list", Size: 8}
	list.Members = []btf.Member{{Name: "next", Type: &btf.Pointer{Target: list}}}
	got := New(nil).Convert(list)
	require.Same(t, got, got.Members[0].Type.Elem)

	modifier := &btf.Const{}
	modifier.Type = &btf.Volatile{Type: modifier}
	require.Equal(t, prog.BTFVoid, New(nil).Convert(modifier).Kind)
	require.Empty(t, typeTags(modifier))
	require.Zero(t, Size(modifier))
	def := &btf.Typedef{Name: "t"}
	def.Type = def
	require.Equal(t, &prog.BTFType{Name: "t"}, New(nil).Convert(def))
}

// TestLongTypeIsNoDeepCall converts a chain that would overflow the stack if each type
// were converted within the one before.
func TestLongTypeIsNoDeepCall(t *testing.T) {
	var chain btf.Type = u32
	const n = 1_000_000
	for range n {
		chain = &btf.Pointer{Target: chain}
	}
	got := New(nil).Convert(chain)
	depth := 0
	for got.Kind == prog.BTFPointer {
		got = got.Elem
		depth++
	}
	require.Equal(t, n, depth)
}

func TestParameterTagsAreTheFunctions(t *testing.T) {
	proto := &btf.FuncProto{Return: u32, Params: []btf.FuncParam{{Name: "a", Type: u32}, {Name: "b", Type: u32}}}
	c := New(nil)
	one := c.Proto(&btf.Func{Name: "one", Type: proto, Tags: []string{"kfunc"}, ParamTags: [][]string{nil, {"arg:nonnull"}}})
	two := c.Proto(&btf.Func{Name: "two", Type: proto})
	require.Equal(t, []string{"arg:nonnull"}, one.Params[1].Decl)
	require.Equal(t, []string{"kfunc"}, one.Decl)
	require.Nil(t, two.Params[1].Decl)
	require.Nil(t, c.Proto(&btf.Func{Name: "none", Type: u32}))
}
