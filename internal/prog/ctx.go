package prog

// FieldKind says what a field of a context holds.
type FieldKind uint8

// The kinds of field that engines and helpers treat apart from numbers.
const (
	Scalar     FieldKind = iota
	PacketData           // pointer to the first byte of the packet
	PacketEnd            // pointer behind the last byte of the packet
	PacketMeta           // pointer to the first byte of the packet's metadata
)

// CtxField is a field of a context, as programs see it.
type CtxField struct {
	Name string
	Off  int
	Size int // bytes
	// Kind of pointer. A pointer field of 8 bytes holds the address; one of 4 bytes,
	// as Linux has in xdp_md and __sk_buff, stands for it: a load of the whole
	// field gives the address, which lies in Ptr.
	Kind     FieldKind
	Ptr      int // which of the run's context pointers a pointer field stands for
	Writable bool
	// WritableData says of a PacketData field of a custom hook that the bytes it points to
	// may be written.
	WritableData bool

	// Reads and Writes are the sizes, each a power of two and as a set its own bit,
	// of the naturally aligned accesses that Linux allows within the field.
	Reads, Writes uint8
}

// CtxLayout is a context: what r1 points to when a program starts.
type CtxLayout struct {
	Name   string // the C name: "xdp_md"
	Size   int
	Fields []CtxField // by Off
}

// Field returns the field that holds the byte at off, nil in a gap.
func (l *CtxLayout) Field(off int) *CtxField {
	for i := range l.Fields {
		if f := &l.Fields[i]; off >= f.Off && off < f.Off+f.Size {
			return f
		}
	}
	return nil
}

// Plain reports whether the layout is all memory: no field stands for
// something that it does not hold.
func (l *CtxLayout) Plain() bool {
	for i := range l.Fields {
		if f := &l.Fields[i]; f.Kind != Scalar && f.Size != 8 {
			return false
		}
	}
	return true
}
