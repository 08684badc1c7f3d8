package hooks

import (
	"fmt"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// Redirect is where a program has sent a packet.
type Redirect = helper.Redirect

// Clone is a copy of a packet that a program has sent.
type Clone = helper.Clone

// Host answers what programs ask about the machine: routes, devices, tasks.
type Host = helper.Host

// Device is a network device of a [Host].
type Device = helper.Device

// Task is what a [Host] says of the current task.
type Task = helper.Task

// TCAction is the verdict of a tc program: TC_ACT_* of the UAPI's pkt_cls.h,
// whose values the verdicts of tcx share.
type TCAction int32

// The verdicts of tc programs.
const (
	TCUnspec     TCAction = iota - 1 // TCX_NEXT: the next program decides
	TCOK                             // TCX_PASS
	TCReclassify                     // as TCOK
	TCShot                           // TCX_DROP
	TCPipe
	TCStolen
	TCQueued
	TCRepeat
	TCRedirect // TCX_REDIRECT
	TCTrap
)

var tcActions = [...]string{"TC_ACT_UNSPEC", "TC_ACT_OK", "TC_ACT_RECLASSIFY", "TC_ACT_SHOT", "TC_ACT_PIPE",
	"TC_ACT_STOLEN", "TC_ACT_QUEUED", "TC_ACT_REPEAT", "TC_ACT_REDIRECT", "TC_ACT_TRAP"}

// String returns the name in C.
func (a TCAction) String() string {
	if i := int(a) + 1; i >= 0 && i < len(tcActions) {
		return tcActions[i]
	}
	return fmt.Sprintf("tc_action(%d)", int32(a))
}

// SchedCLS is the type of tc and tcx programs. Their context is struct __sk_buff.
var SchedCLS = &Type{
	Name: "sched_cls", Prog: prog.SchedCLS,
	Sections: []string{"tc", "tcx/ingress", "tcx/egress", "classifier", "netkit/primary", "netkit/peer"},
	Layout:   skbLayout(func(f *skbField) (uint8, uint8) { return f.tc, f.wt }),
	Returns:  anyReturn, next: uint64(^uint32(0)), bits32: true, // TCX_NEXT
	load: testLoadSKB, store: testStoreSKB,
}

// SocketFilter is the type of programs at sockets. Their context is struct
// __sk_buff without packet pointers; they return how many bytes to keep.
var SocketFilter = &Type{
	Name: "socket_filter", Prog: prog.SocketFilter, Sections: []string{"socket"},
	Layout:  skbLayout(func(f *skbField) (uint8, uint8) { return f.filter, f.wfilter }),
	Returns: anyReturn, next: uint64(^uint32(0)), bits32: true, single: true, noLink: true,
	load: testLoadSKB, store: testStoreSKB,
}

// TCPoint is where tc programs attach: one direction of a device. Programs run in
// order as long as they return TC_ACT_UNSPEC, as under tcx (net/core/dev.c,
// tcx_run); the first other verdict stands. Without one it is TC_ACT_UNSPEC, which
// lets the packet pass.
type TCPoint struct{ skbPoint }

// NewTC returns a point without programs. The name is for messages.
func NewTC(name string) *TCPoint { return &TCPoint{skbPoint{point{name: name, hook: SchedCLS}}} }

// SocketPoint is a socket with at most one filter. Without one, all bytes are kept.
type SocketPoint struct{ skbPoint }

// NewSocketFilter returns a socket without a filter. The name is for messages.
func NewSocketFilter(name string) *SocketPoint {
	return &SocketPoint{skbPoint{point{name: name, hook: SocketFilter}}}
}
