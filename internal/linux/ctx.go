package linux

import (
	"math/bits"

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

// span are fields of one size and kind, from off to below end.
type span struct {
	off, end uint16
	field    Field
}

// attachContext is which of contexts an attach type has that differs from its variant's.
type attachContext struct {
	variant helper.Variant
	attach  prog.AttachType
	context int
}

// iterContext is which of contexts an iterator has.
type iterContext struct {
	target  string
	context int
}

// The attach types that contexts depend on within a variant (enum bpf_attach_type).
const (
	attachTPBTF     prog.AttachType = 23 // BPF_TRACE_RAW_TP
	attachFentry    prog.AttachType = 24 // BPF_TRACE_FENTRY
	attachFexit     prog.AttachType = 25 // BPF_TRACE_FEXIT
	attachModReturn prog.AttachType = 26 // BPF_MODIFY_RETURN
	attachIter      prog.AttachType = 28 // BPF_TRACE_ITER
	attachXDPDevmap prog.AttachType = 33 // BPF_XDP_DEVMAP
	attachXDPCPUMap prog.AttachType = 35 // BPF_XDP_CPUMAP
)

// Ctx returns how programs of a variant may access their context, nil if the variant is
// not known, or has a context for each target: see [CtxOf].
func Ctx(v helper.Variant) *Context {
	if int(v) >= len(variantContexts) || variantContexts[v] < 0 {
		return nil
	}
	return &contexts[variantContexts[v]]
}

// CtxOf is [Ctx] for an attach type and a target that v stands for: XDP programs in device
// maps may read more, and each of these has a context of its own:
//
//   - a BTF tracepoint ("sched_switch"), an iterator ("task");
//   - a function of the kernel ("vfs_read") and an LSM hook ("file_open");
//   - a member of a struct of functions ("tcp_congestion_ops/ssthresh").
//
// It is nil if there is no such target.
func CtxOf(v helper.Variant, attach prog.AttachType, target string) *Context {
	typ, _, own := v.Sort()
	switch {
	case typ == prog.Tracing && attach == attachTPBTF && target != own:
		return argContext(argsKey{tracePrefix, target})
	case typ == prog.Tracing && attach == attachIter && target != own:
		return iterContextOf(target)
	case typ == prog.Tracing && attach != attachTPBTF && attach != attachIter:
		return argContext(argsKey{tracingKey(attach), target})
	case typ == prog.LSM:
		return argContext(argsKey{lsmPrefix, target})
	case typ == prog.StructOps:
		return argContext(argsKey{opsPrefix, target})
	}
	for i := range attachContexts {
		if attachContexts[i].variant == v && attachContexts[i].attach == attach {
			return &contexts[attachContexts[i].context]
		}
	}
	return Ctx(v)
}

// iterContextOf returns the context of an iterator, nil if there is none.
func iterContextOf(target string) *Context {
	if v, ok := helper.VariantOf(prog.Tracing, attachIter, target); ok {
		if _, _, own := v.Sort(); own == target {
			return Ctx(v)
		}
	}
	for i := range iterContexts {
		if iterContexts[i].target == target {
			return &contexts[iterContexts[i].context]
		}
	}
	return nil
}

// Access returns what an access of size bytes (1, 2, 4 or 8) at offset off gives, false if
// Linux refuses it. Loads that extend the sign are checked as others; that they must not
// give a pointer is the caller's business.
func (c *Context) Access(off, size int, write bool) (Field, bool) {
	log := bits.TrailingZeros(uint(size))
	if log > 3 || size != 1<<log || off&(size-1) != 0 {
		return Field{}, false
	}
	spans := c.read[log]
	if write {
		spans = c.write[log]
	}
	for i := range spans {
		if s := &spans[i]; off >= int(s.off) && off < int(s.end) {
			return s.field, true
		}
	}
	return Field{}, false
}

// SockAccess reports whether size bytes at offset off may be read through a pointer of
// kind SockCommon, Socket, TCPSock or XDPSock. Nothing may be written.
func SockAccess(k Kind, off, size int) bool {
	c := sockContext(k)
	if c == nil {
		return false
	}
	_, ok := c.Access(off, size, false)
	return ok
}
