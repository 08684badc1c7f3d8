package linux

import (
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
)

//go:generate go run ./gen

// Kind is what a context field holds.
type Kind uint8

// The kinds of context field.
const (
	Number     Kind = iota
	Packet          // first byte of the packet
	PacketEnd       // end of the packet
	PacketMeta      // first byte of the metadata before the packet
	SockCommon      // struct bpf_sock, of which only the fields of any socket may be read
	Socket          // struct bpf_sock
	TCPSock         // struct bpf_tcp_sock
	XDPSock         // struct bpf_xdp_sock
	FlowKeys        // struct bpf_flow_keys
	TPBuffer        // buffer of a writable raw tracepoint
	BTF             // kernel pointer to Struct
	Buffer          // memory of a length that is checked when the program is attached
)

// Field is what a load from a context gives.
type Field struct {
	Kind    Kind
	OrNull  bool
	Trusted bool   // BTF
	Rdonly  bool   // Buffer
	Struct  string // BTF: name of the struct
}

// Context says how programs of a sort may access their context.
type Context struct {
	read, write [4][]span // by the logarithm of the size
}

// span are the fields of one size and kind whose offsets are off, off+step, ... and
// below end.
type span struct {
	off, end, step uint16
	field          Field
}

// Ctx returns how programs of a variant may access their context, nil if the variant is
// not known.
func Ctx(v helper.Variant) *Context { return nil }

// CtxOf is [Ctx] for an attach type and target that v stands for: XDP programs in device
// maps may read more, and each BTF tracepoint and iterator has a context of its own.
// It is nil if there is no such target.
func CtxOf(v helper.Variant, attach prog.AttachType, target string) *Context { return Ctx(v) }

// Access returns what an access of size bytes (1, 2, 4 or 8) at offset off gives, false if
// Linux refuses it. Loads that extend the sign are checked as others; that they must not
// give a pointer is the caller's business.
func (c *Context) Access(off, size int, write bool) (Field, bool) { return Field{}, false }

// SockAccess reports whether size bytes at offset off may be read through a pointer of
// kind SockCommon, Socket, TCPSock or XDPSock. Nothing may be written.
func SockAccess(k Kind, off, size int) bool { return false }
