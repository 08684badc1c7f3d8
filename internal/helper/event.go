package helper

import (
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// Event is the state of a network event that helper bodies work on. A hook for
// packets puts a *Event into vm.CPU.Event and fills it in before each run:
//
//	e.LoadXDP(frame)               // or e.LoadSKB(frame, l2), then e.SKB fields at will
//	e.Packet.Offer(c)              // data, data_end and data_meta; memory windows
//	... fill the context, run ...
//	e.Packet.Bytes(), e.SKB, e.Redirect, e.Clones
//
// What the program sees of it lies in the context, which belongs to the hook: a
// body that changes something tells Refresh. Fields of the context that programs
// may write (mark, priority, cb, ...) are only there, not here.
//
// A hook without packets puts anything else into vm.CPU.Event; if that has the
// method of [Tasker], it answers the helpers about the current task.
type Event struct {
	Packet Packet

	// IsSKB says that the packet is an skb, whose further state is SKB. Otherwise it
	// is an XDP frame.
	IsSKB bool
	SKB   SKB

	Ifindex uint32 // the device that an XDP frame came in at; an skb's is in SKB

	// Redirect is where the last redirect helper wants the packet to go. Its
	// Kind is NoRedirect if none did. Whether that happens depends on the verdict.
	Redirect Redirect
	// Clones are the copies that bpf_clone_redirect has sent.
	Clones []Clone

	// Refresh is called after a helper has changed what context fields show, other
	// than the three packet pointers. May be nil.
	Refresh func(c *vm.CPU, e *Event, changed Change)

	// Host answers for the rest of the machine. May be nil: no routes, no devices
	// known, no task.
	Host *Host

	mapKey uint32 // scratch of bpf_redirect_map
}

// Change says which of the context's fields a helper has made stale.
type Change uint16

// The changes, with the fields of __sk_buff and where their values are now.
const (
	ChangeLen      Change = 1 << iota // len: Packet.Len; wire_len with it
	ChangeProtocol                    // protocol: SKB.Protocol
	ChangeVLAN                        // vlan_present, vlan_proto, vlan_tci: SKB.VLAN*
	ChangeHash                        // hash: SKB.Hash
	ChangeType                        // pkt_type: SKB.Type
	ChangeGSO                         // gso_size, gso_segs: SKB.GSO*
	ChangeTstamp                      // tstamp, tstamp_type: SKB.Tstamp*
)

func (e *Event) refresh(c *vm.CPU, changed Change) {
	if e.Refresh != nil {
		e.Refresh(c, e, changed)
	}
}

// RedirectKind is the helper that asked for a redirect.
type RedirectKind uint8

// The kinds of redirect.
const (
	NoRedirect    RedirectKind = iota
	RedirectDev                // bpf_redirect: Ifindex, Flags
	RedirectPeer               // bpf_redirect_peer: Ifindex
	RedirectNeigh              // bpf_redirect_neigh: Ifindex, Neigh
	RedirectMap                // bpf_redirect_map: Map, Key, Flags, Value
)

var redirectNames = [...]string{"none", "redirect", "redirect_peer", "redirect_neigh", "redirect_map"}

// String returns the helper's name without its prefix, "none" for NoRedirect.
func (k RedirectKind) String() string { return redirectNames[min(int(k), len(redirectNames)-1)] }

// Redirect is a recorded redirect.
type Redirect struct {
	Kind    RedirectKind
	Ifindex uint32
	Flags   uint64
	Neigh   Neigh

	Map   *maps.Map
	Key   uint32
	Value [8]byte // of the element at Key, as far as it is long; zero for a broadcast
}

// Neigh is the neighbour that bpf_redirect_neigh was given (struct bpf_redir_neigh).
type Neigh struct {
	Set    bool   // false: the helper got no parameters, the route decides
	Family uint32 // AF_INET or AF_INET6, of Linux
	Addr   [16]byte
}

// Clone is a packet that bpf_clone_redirect has sent, as it was then.
type Clone struct {
	Ifindex uint32
	Flags   uint64
	Packet  []byte
}

// Host answers for what surrounds the packet. Each func may be nil. They are
// called by the goroutine that runs the program.
type Host struct {
	// Device returns a network device of the host, false if there is none of this
	// index. If the func is nil, every index but 0 is a device with an MTU of 1500.
	Device func(ifindex uint32) (Device, bool)

	// FIB answers bpf_fib_lookup. p is struct bpf_fib_lookup, 64 bytes in host byte
	// order with addresses as in packets, to be changed in place. It returns
	// BPF_FIB_LKUP_RET_* or a negative errno; comparing lengths with the MTU is up to
	// it. It must not keep p. If the func is nil, no address has a route.
	FIB func(p []byte, flags uint32) int32

	// Task returns the current task. If the func is nil, or its result, the current
	// task is the idle task, as when a packet arrives at an idle CPU.
	Task func() *Task

	Realm        uint32 // bpf_get_route_realm
	CgroupClass  uint32 // bpf_get_cgroup_classid, bpf_skb_cgroup_classid
	SocketCookie uint64 // bpf_get_socket_cookie; 0: no socket
	SocketUID    uint32 // bpf_get_socket_uid, if SocketCookie is not 0
}

// Device is a network device.
type Device struct {
	MTU       uint32
	HeaderLen uint32 // hard_header_len: 14 for Ethernet
}

func (h *Host) device(ifindex uint32) (Device, bool) {
	if h != nil && h.Device != nil {
		return h.Device(ifindex)
	}
	return Device{MTU: 1500, HeaderLen: ethHeader}, ifindex != 0
}

// Tasker is an event that knows the current task. Nil means the idle task.
type Tasker interface{ CurrentTask() *Task }

// Task is a thread, as programs see it.
type Task struct {
	PID, TGID uint32 // thread and process number; TGID is what getpid(2) returns
	UID, GID  uint32
	Comm      string // up to 15 bytes count
}

// CurrentTask implements [Tasker].
func (e *Event) CurrentTask() *Task {
	if e.Host == nil || e.Host.Task == nil {
		return nil
	}
	return e.Host.Task()
}

// LoadXDP makes the event an XDP frame of its own page, as the kernel's test
// run does, or a longer one if it has to be.
func (e *Event) LoadXDP(frame []byte) error {
	e.IsSKB = false
	e.reset()
	return e.Packet.Load(frame, XDPHeadroom, XDPFrame)
}

func (e *Event) reset() {
	if e.Redirect.Kind != NoRedirect {
		e.Redirect = Redirect{}
	}
	e.Clones = e.Clones[:0]
}
