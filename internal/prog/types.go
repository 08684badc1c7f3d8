package prog

import "fmt"

// Type is a program type (enum bpf_prog_type in the UAPI).
type Type uint32

// The program types.
const (
	Unspec Type = iota
	SocketFilter
	Kprobe
	SchedCLS
	SchedACT
	Tracepoint
	XDP
	PerfEvent
	CGroupSKB
	CGroupSock
	LWTIn
	LWTOut
	LWTXmit
	SockOps
	SkSKB
	CGroupDevice
	SkMsg
	RawTracepoint
	CGroupSockAddr
	LWTSeg6Local
	LircMode2
	SkReuseport
	FlowDissector
	CGroupSysctl
	RawTracepointWritable
	CGroupSockopt
	Tracing
	StructOps
	Extension
	LSM
	SkLookup
	Syscall
	Netfilter

	// Custom is the type of programs at hooks that a Go program defines. It is not
	// one of Linux.
	Custom Type = 1 << 16
)

var typeNames = [...]string{
	"unspec", "socket_filter", "kprobe", "sched_cls", "sched_act", "tracepoint", "xdp", "perf_event",
	"cgroup_skb", "cgroup_sock", "lwt_in", "lwt_out", "lwt_xmit", "sock_ops", "sk_skb", "cgroup_device",
	"sk_msg", "raw_tracepoint", "cgroup_sock_addr", "lwt_seg6local", "lirc_mode2", "sk_reuseport",
	"flow_dissector", "cgroup_sysctl", "raw_tracepoint_writable", "cgroup_sockopt", "tracing", "struct_ops",
	"extension", "lsm", "sk_lookup", "syscall", "netfilter",
}

// String returns the type's name as bpftool prints it.
func (t Type) String() string {
	switch {
	case int(t) < len(typeNames):
		return typeNames[t]
	case t == Custom:
		return "custom"
	}
	return fmt.Sprintf("prog_type(%d)", uint32(t))
}

// AttachType is where a program of a type attaches (enum bpf_attach_type).
type AttachType uint32
