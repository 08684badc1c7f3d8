package prog

// BTFKind is the kind of a type, as in BTF but without modifiers: const,
// volatile, restrict and typedef are resolved away.
type BTFKind uint8

// The kinds of type.
const (
	BTFVoid BTFKind = iota
	BTFInt
	BTFFloat
	BTFPointer
	BTFArray
	BTFStruct
	BTFUnion
	BTFEnum
	BTFFwd
	BTFFunc
	BTFFuncProto
	BTFVar
)

// BTFType is a type of the program or of the kernel, independent of the library
// that read it. Types may be recursive through pointers.
type BTFType struct {
	Kind    BTFKind
	Name    string // of the type; of the outermost typedef where it has no own
	ID      uint32 // in the BTF it came from
	Size    uint32 // bytes
	Signed  bool   // BTFInt, BTFEnum
	Elem    *BTFType
	Len     uint32 // BTFArray
	Members []BTFMember
	Params  []BTFParam
	Return  *BTFType // BTFFuncProto; nil is void
	Tags    []string // type tags of a pointer: "kptr", "user", "percpu", ...
	Decl    []string // declaration tags
}

// BTFMember is a member of a struct or union.
type BTFMember struct {
	Name    string
	Type    *BTFType
	BitOff  uint32
	BitSize uint32 // of a bit field, else 0
	Decl    []string
}

// BTFParam is a parameter of a function.
type BTFParam struct {
	Name string
	Type *BTFType
	Decl []string // "arg:ctx", "arg:nonnull", ...
}
