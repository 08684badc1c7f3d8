package helper

import (
	"encoding/binary"

	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

func (e *Event) clearHash(c *vm.CPU) {
	s := &e.SKB
	s.Hash, s.HashSW, s.HashL4 = 0, false, false
	e.refresh(c, ChangeHash)
}

// getHashRecalc returns the packet's hash and computes one if there is none:
// never 0, and the same in both directions of a flow.
func getHashRecalc(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	if s := &e.SKB; !s.HashL4 && !s.HashSW {
		f := e.flow()
		s.Hash, s.HashSW, s.HashL4 = f.hash(c.M.Seed), true, f.ports != [2]uint16{}
		e.refresh(c, ChangeHash)
	}
	return uint64(e.SKB.Hash), nil
}

func setHash(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	e.SKB.Hash, e.SKB.HashSW, e.SKB.HashL4 = uint32(args[1]), true, true
	e.refresh(c, ChangeHash)
	return 0, nil
}

func setHashInvalid(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	e.clearHash(c)
	return 0, nil
}

// flow is what a packet's hash is made of, and where its headers are in the buffer.
type flow struct {
	network, transport, payload int
	src, dst                    [16]byte
	ports                       [2]uint16
	proto                       uint8
}

// flow looks through VLAN tags, IPv4 and IPv6 without extension headers, TCP and UDP.
func (e *Event) flow() (f flow) {
	p := &e.Packet
	at, proto := e.SKB.network, e.SKB.Protocol
	b := p.buf[:p.end]
	for isVLAN(proto) && at >= 0 && at+vlanHeader <= len(b) {
		proto = binary.BigEndian.Uint16(b[at+2:])
		at += vlanHeader
	}
	f.network, f.transport, f.payload = at, at, at
	if at < 0 || at > len(b) {
		f.network, f.transport, f.payload = 0, 0, 0
		return f
	}
	h := b[at:]
	switch {
	case proto == etherIPv4 && len(h) >= ipv4Header && h[0]&0xf >= 5:
		copy(f.src[:], h[12:16])
		copy(f.dst[:], h[16:20])
		f.proto, f.transport = h[9], at+int(h[0]&0xf)*4
		if binary.BigEndian.Uint16(h[6:])&0x3fff != 0 { // a fragment: no ports
			f.payload = f.transport
			return f
		}
	case proto == etherIPv6 && len(h) >= ipv6Header:
		copy(f.src[:], h[8:24])
		copy(f.dst[:], h[24:40])
		f.proto, f.transport = h[6], at+ipv6Header
	default:
		return f
	}
	f.payload = f.transport
	if f.transport+8 > len(b) {
		return f
	}
	switch h = b[f.transport:]; f.proto {
	case 6:
		if len(h) >= 20 {
			f.payload += int(h[12]>>4) * 4
		}
	case 17:
		f.payload += 8
	default:
		return f
	}
	f.ports = [2]uint16{binary.BigEndian.Uint16(h), binary.BigEndian.Uint16(h[2:])}
	return f
}

func (f *flow) hash(seed uint64) uint32 {
	const prime = 0x100000001b3
	end := func(addr *[16]byte, port uint16) uint64 {
		h := seed ^ 0xcbf29ce484222325
		for i := range addr {
			h = (h ^ uint64(addr[i])) * prime
		}
		return (h ^ uint64(port)) * prime
	}
	h := end(&f.src, f.ports[0]) + end(&f.dst, f.ports[1]) + uint64(f.proto)*prime
	h = (h ^ h>>29) * 0xbf58476d1ce4e5b9
	return max(uint32(h>>32), 1)
}

// skbChangeType sets the type to host, broadcast, multicast or otherhost.
func skbChangeType(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	const last = 3 // PACKET_OTHERHOST
	t := uint32(args[1])
	if e.SKB.Type > last || t > last {
		return errno(maps.EINVAL), nil
	}
	e.SKB.Type = uint8(t)
	e.refresh(c, ChangeType)
	return 0, nil
}

// skbSetTstamp sets the time of delivery of an IP packet.
func skbSetTstamp(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	s, tstamp, typ := &e.SKB, args[1], uint32(args[2])
	if s.Protocol != etherIPv4 && s.Protocol != etherIPv6 {
		return errno(maps.EOPNOTSUPP), nil
	}
	if typ > 2 || typ != 0 && tstamp == 0 {
		return errno(maps.EINVAL), nil
	}
	s.Tstamp, s.TstampType = tstamp, uint8(typ)
	e.refresh(c, ChangeTstamp)
	return 0, nil
}

// skbECNSetCE marks congestion in an IP header whose sender can take it, and
// returns 1 if the mark is there then.
func skbECNSetCE(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	p, s := &e.Packet, &e.SKB
	if s.network < 0 || s.network > p.end {
		return 0, nil
	}
	h := p.buf[s.network:p.end]
	switch {
	case s.Protocol == etherIPv4 && len(h) >= ipv4Header:
		tos := h[1]
		if tos&3 == 0 || tos&3 == 3 {
			return uint64(tos & 3 / 3), nil
		}
		sum := binary.BigEndian.Uint16(h[10:])
		// the header's sum falls by what tos gains, so its complement grows
		binary.BigEndian.PutUint16(h[10:], csumAdd16(sum, ^uint16(3-tos&3)))
		h[1] |= 3
	case s.Protocol == etherIPv6 && len(h) >= ipv6Header:
		if h[1]>>4&3 == 0 {
			return 0, nil
		}
		from := binary.NativeEndian.Uint32(h)
		h[1] |= 3 << 4
		if s.Csum == CsumComplete {
			s.CsumValue = csumAdd(csumSub(s.CsumValue, from), binary.NativeEndian.Uint32(h))
		}
	default:
		return 0, nil
	}
	return 1, nil
}

// host returns what the event knows of the machine around the packet.
func (e *Event) host() Host {
	if e.Host == nil {
		return Host{}
	}
	return *e.Host
}

func getRouteRealm(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	return uint64(e.host().Realm), nil
}

// getCgroupClassid is for programs of any type.
func getCgroupClassid(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := eventArg(c, args[0])
	if err != nil {
		return 0, err
	}
	return uint64(e.host().CgroupClass), nil
}

func getSocketCookie(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	return e.host().SocketCookie, nil
}

// getSocketUID is the socket's owner, or the overflow user's number.
func getSocketUID(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	const overflowUID = 65534
	if h := e.host(); h.SocketCookie != 0 {
		return uint64(h.SocketUID), nil
	}
	return overflowUID, nil
}
