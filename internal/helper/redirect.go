package helper

import (
	"encoding/binary"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// Verdicts that redirect helpers return.
const (
	xdpAborted  = 0
	xdpRedirect = 4
	tcShot      = 2
	tcRedirect  = 7
)

const redirectIngress = 1 // BPF_F_INGRESS

// packetEvent returns the event of a helper that has no context argument.
func packetEvent(c *vm.CPU) (*Event, error) {
	if e, ok := c.Event.(*Event); ok {
		return e, nil
	}
	return nil, refuse("the program's context is no packet")
}

// redirect records a device. XDP takes no flags, tc only BPF_F_INGRESS.
func redirect(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := packetEvent(c)
	if err != nil {
		return 0, err
	}
	flags := args[1]
	switch {
	case !e.IsSKB && flags != 0:
		return xdpAborted, nil
	case e.IsSKB && flags&^redirectIngress != 0:
		return tcShot, nil
	}
	e.Redirect = Redirect{Kind: RedirectDev, Ifindex: uint32(args[0]), Flags: flags}
	if e.IsSKB {
		return tcRedirect, nil
	}
	return xdpRedirect, nil
}

func redirectPeer(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := packetEvent(c)
	if err != nil {
		return 0, err
	}
	if args[1] != 0 {
		return tcShot, nil
	}
	e.Redirect = Redirect{Kind: RedirectPeer, Ifindex: uint32(args[0])}
	return tcRedirect, nil
}

// redirectNeigh takes struct bpf_redir_neigh: family and address.
func redirectNeigh(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := packetEvent(c)
	if err != nil {
		return 0, err
	}
	const size = 20
	params, err := memOrNull(c, args[1], uint64(uint32(args[2])), mem.Read)
	if err != nil {
		return 0, err
	}
	if len(params) > 0 && len(params) < size || args[3] != 0 {
		return tcShot, nil
	}
	e.Redirect = Redirect{Kind: RedirectNeigh, Ifindex: uint32(args[0])}
	if len(params) > 0 {
		n := &e.Redirect.Neigh
		n.Set, n.Family = true, binary.NativeEndian.Uint32(params)
		copy(n.Addr[:], params[4:size])
	}
	return tcRedirect, nil
}

// Flags of bpf_redirect_map. The lowest two are what it returns on a miss.
const (
	redirectActions        = 3
	redirectBroadcast      = 8  // BPF_F_BROADCAST
	redirectExcludeIngress = 16 // BPF_F_EXCLUDE_INGRESS
)

func redirectMap(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := packetEvent(c)
	if err != nil {
		return 0, err
	}
	m, err := mapArg(c, args[0])
	if err != nil {
		return 0, err
	}
	flags, known := args[2], uint64(redirectActions)
	switch m.Type() {
	case maps.DevMap, maps.DevMapHash:
		known |= redirectBroadcast | redirectExcludeIngress
	case maps.CPUMap, maps.XSKMap:
	default:
		return 0, refuse("map %s is not for redirects", m.Name())
	}
	if flags&^known != 0 {
		return xdpAborted, nil
	}
	r := Redirect{Kind: RedirectMap, Map: m, Key: uint32(args[1]), Flags: flags &^ redirectActions}
	if flags&redirectBroadcast == 0 {
		e.mapKey = r.Key // not on the stack: the map takes it through an interface
		key := unsafe.Slice((*byte)(unsafe.Pointer(&e.mapKey)), 4)
		value := m.LookupProg(c.ID, key)
		if value == 0 {
			e.Redirect = Redirect{}
			return flags & redirectActions, nil
		}
		n := min(int(m.ValueSize()), len(r.Value))
		copy(r.Value[:], unsafe.Slice((*byte)(mem.Pointer(value)), n))
	}
	e.Redirect = r
	return xdpRedirect, nil
}

// cloneRedirect sends a copy of the packet, as it is, to a device.
func cloneRedirect(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	ifindex, flags := uint32(args[1]), args[2]
	if flags&^redirectIngress != 0 {
		return errno(maps.EINVAL), nil
	}
	if _, ok := e.Host.device(ifindex); !ok {
		return errno(maps.EINVAL), nil
	}
	if len(e.Clones) >= maxClones {
		return errno(maps.ENOMEM), nil
	}
	packet := append([]byte(nil), e.Packet.Bytes()...)
	e.Clones = append(e.Clones, Clone{Ifindex: ifindex, Flags: flags, Packet: packet})
	return 0, nil
}

// maxClones bounds the memory that a run can make its host spend.
const maxClones = 256
