package prog

import (
	"fmt"
	"strings"
)

// sections are the names of sections that say what type a program in them is: libbpf's
// section_defs. A slash and more may follow.
var sections = strings.Fields(`
	socket sk_reuseport sk_reuseport/migrate
	kprobe kretprobe kprobe.multi kretprobe.multi kprobe.session ksyscall kretsyscall
	uprobe uretprobe uprobe.multi uretprobe.multi uprobe.session usdt
	uprobe.s uretprobe.s uprobe.multi.s uretprobe.multi.s uprobe.session.s usdt.s
	tc tc/ingress tc/egress tcx/ingress tcx/egress classifier action netkit/primary netkit/peer
	tracepoint tp raw_tracepoint raw_tp raw_tracepoint.w raw_tp.w
	tp_btf fentry fmod_ret fexit fsession fentry.s fmod_ret.s fexit.s fsession.s freplace
	lsm lsm.s lsm_cgroup iter iter.s syscall
	xdp xdp/devmap xdp/cpumap xdp.frags xdp.frags/devmap xdp.frags/cpumap
	perf_event lwt_in lwt_out lwt_xmit lwt_seg6local sockops
	sk_skb sk_skb/stream_parser sk_skb/stream_verdict sk_skb/verdict sk_msg sk_lookup
	lirc_mode2 flow_dissector cgroup_skb/ingress cgroup_skb/egress
	cgroup/skb cgroup/sock cgroup/sock_create cgroup/sock_release cgroup/post_bind4 cgroup/post_bind6
	cgroup/bind4 cgroup/bind6 cgroup/connect4 cgroup/connect6 cgroup/connect_unix
	cgroup/sendmsg4 cgroup/sendmsg6 cgroup/sendmsg_unix cgroup/recvmsg4 cgroup/recvmsg6 cgroup/recvmsg_unix
	cgroup/getpeername4 cgroup/getpeername6 cgroup/getpeername_unix
	cgroup/getsockname4 cgroup/getsockname6 cgroup/getsockname_unix
	cgroup/sysctl cgroup/getsockopt cgroup/setsockopt cgroup/dev
	struct_ops struct_ops.s netfilter`)

// SectionSaysType reports whether the name of a section says what type a program in it is. A
// question mark in front, for programs that are loaded on demand, does not matter. A slash and
// more may follow all names, as in cilium/ebpf and in libbpf before 1.0; later ones know
// "kprobe/x", but not "xdp/x".
func SectionSaysType(section string) bool {
	section = strings.TrimPrefix(section, "?")
	for _, s := range sections {
		if section == s || strings.HasPrefix(section, s+"/") {
			return true
		}
	}
	return false
}

// NearSection ends an error about a section that says no type: it names one that is near, if any is.
func NearSection(section string) string {
	if near := nearSection(section); near != "" {
		return fmt.Sprintf("; near to it is section %q", near)
	}
	return ""
}

// nearSection returns the name of a section that says a type and is likely to be meant by one that
// does not: the longest that this begins with, else what it has most letters in common with from
// the start, three at least. It returns "" if there is none, or if section does say a type.
func nearSection(section string) string {
	if SectionSaysType(section) {
		return ""
	}
	section = strings.TrimPrefix(section, "?")
	near, most, whole := "", 2, false
	for _, s := range sections {
		n := 0
		for n < len(s) && n < len(section) && s[n] == section[n] {
			n++
		}
		switch begins := n == len(s); {
		case begins && (!whole || n > most), !whole && n > most:
			near, most, whole = s, n, begins
		}
	}
	return near
}
