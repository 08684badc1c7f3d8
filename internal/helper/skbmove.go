package helper

import (
	"encoding/binary"

	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// Protocols and header lengths.
const (
	etherIPv4  = 0x0800
	etherIPv6  = 0x86dd
	etherVLAN  = 0x8100
	etherQinQ  = 0x88a8
	ipv4Header = 20
	ipv6Header = 40
	vlanHeader = 4
)

// maxSKB is the length that a packet can be grown to where Linux sets no limit
// but memory.
const maxSKB = 128 << 10

// netUint16 is the number that a __be16 argument stands for.
func netUint16(arg uint64) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], uint16(arg))
	return binary.BigEndian.Uint16(b[:])
}

// push makes the packet n bytes longer at its start. The bytes are what was
// there. It reports false if there is no memory.
func (e *Event) push(n int) bool {
	p := &e.Packet
	if n > maxSKB-p.Len() {
		return false
	}
	if p.meta < n && !e.slide(n+SKBHeadroom) {
		return false
	}
	p.data -= n
	p.meta -= n
	p.claim(p.meta, p.end)
	e.SKB.CsumStart += n
	return true
}

// slide moves the packet within its buffer, or to a larger one, so that there are
// room bytes before it (pskb_expand_head). It reports false if there is no memory.
func (e *Event) slide(room int) bool {
	p, s := &e.Packet, &e.SKB
	n := room - p.meta
	if p.reserve(p.end+n) != nil {
		return false
	}
	p.claim(p.meta+n, p.end+n)
	copy(p.buf[p.meta+n:p.end+n], p.buf[p.meta:p.end])
	p.meta, p.data, p.end = p.meta+n, p.data+n, p.end+n
	p.frame = max(p.frame, p.end)
	s.mac += n
	s.network += n
	if s.transport != none {
		s.transport += n
	}
	return true
}

// pull makes the packet n bytes shorter at its start.
func (e *Event) pull(n int) {
	e.Packet.data += n
	e.Packet.meta += n
	e.SKB.CsumStart -= n
}

// moved tells program and context of a packet that has changed.
func (e *Event) moved(c *vm.CPU, changed Change) {
	e.Packet.Publish(c)
	e.refresh(c, changed)
}

// headerPush puts n zero bytes behind the first off bytes of the packet.
func (e *Event) headerPush(off, n int) maps.Errno {
	s := &e.SKB
	if off < 0 || off > e.Packet.Len() || !e.push(n) {
		return maps.ENOMEM
	}
	same := s.transport == s.network
	b := e.Packet.Bytes()
	copy(b[:off], b[n:n+off])
	clear(b[off : off+n])
	s.mac -= n
	s.network -= n
	if same {
		s.transport = s.network
	}
	return 0
}

// headerPop takes n bytes out behind the first off bytes of the packet.
func (e *Event) headerPop(off, n int) maps.Errno {
	s, b := &e.SKB, e.Packet.Bytes()
	if off < 0 || off+n > len(b) {
		return maps.ENOMEM
	}
	same := s.transport == s.network
	s.pulled(b[off:off+n], 0)
	copy(b[n:n+off], b[:off])
	e.pull(n)
	s.mac += n
	s.network += n
	if same {
		s.transport = s.network
	}
	return 0
}

// skbChangeHead makes room for a link-layer header, of zero bytes.
func skbChangeHead(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	p, room := &e.Packet, uint32(args[1])
	if args[2] != 0 || int32(room) < 0 || e.SKB.GSOSize == 0 && uint64(p.Len())+uint64(room) > SKBMaxLen {
		return errno(maps.EINVAL), nil
	}
	if !e.push(int(room)) {
		return errno(maps.ENOMEM), nil
	}
	clear(p.Bytes()[:room])
	e.SKB.mac = p.data
	e.SKB.macLen = e.SKB.network - e.SKB.mac
	e.moved(c, ChangeLen)
	return 0, nil
}

// skbChangeTail makes the packet as long as it is told; new bytes are zero.
func skbChangeTail(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	p, n := &e.Packet, int64(uint32(args[1]))
	if args[2] != 0 || n > SKBMaxLen || n < int64(e.minLen()) {
		return errno(maps.EINVAL), nil
	}
	if e.SKB.Encap {
		return errno(maps.ENOTSUPP), nil
	}
	if p.data+int(n) > p.frame && p.meta > SKBHeadroom {
		e.slide(SKBHeadroom) // what was pulled off the start is room again
	}
	end := p.data + int(n)
	if end > p.end {
		if p.reserve(end) != nil {
			return errno(maps.ENOMEM), nil
		}
		p.claim(p.data, end)
		clear(p.buf[p.end:end])
		p.frame = max(p.frame, end)
	} else if s := &e.SKB; s.Csum == CsumComplete {
		s.CsumValue = csumSub(s.CsumValue, csumBlock(p.buf[end:p.end], int(n)))
	}
	p.end = end
	changed := ChangeLen
	if s := &e.SKB; s.GSOSize != 0 {
		s.GSOSize, s.GSOSegs, s.GSOType = 0, 0, 0
		changed |= ChangeGSO
	}
	e.moved(c, changed)
	return 0, nil
}

// minLen is how short the packet can be made (__bpf_skb_min_len): not into its
// headers, nor a checksum that is yet to come.
func (e *Event) minLen() int {
	n, s := max(e.SKB.network-e.Packet.data, 0), &e.SKB
	if s.transport != none {
		if off := s.transport - e.Packet.data; off > 0 {
			n = off
		}
	}
	if s.Csum == CsumPartial {
		if off := s.CsumStart + s.CsumOffset + 2; off > 0 {
			n = off
		}
	}
	return n
}

// skbChangeProto makes room for an IPv6 header in place of an IPv4 one, or the
// other way round.
func skbChangeProto(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	if args[2] != 0 {
		return errno(maps.EINVAL), nil
	}
	s, to := &e.SKB, netUint16(args[1])
	off, diff := s.network-s.mac, ipv6Header-ipv4Header
	var no maps.Errno
	switch {
	case s.Protocol == etherIPv4 && to == etherIPv6:
		no = e.headerPush(off, diff)
	case s.Protocol == etherIPv6 && to == etherIPv4:
		no = e.headerPop(off, diff)
	default:
		return errno(maps.ENOTSUPP), nil
	}
	if no != 0 {
		return errno(no), nil
	}
	s.changeGSOFamily(to)
	s.Protocol = to
	s.Hash, s.HashSW, s.HashL4 = 0, false, false
	e.moved(c, ChangeLen|ChangeProtocol|ChangeHash)
	return 0, nil
}

// Types of segmentation (SKB_GSO_*).
const (
	gsoTCPv4  = 1 << 0
	gsoTCPv6  = 1 << 4
	gsoUDPL4  = 1 << 17
	gsoDodgy  = 1 << 1
	gsoGRE    = 1 << 6
	gsoIPXIP4 = 1 << 8
	gsoIPXIP6 = 1 << 9
	gsoUDPTun = 1 << 10
)

func (s *SKB) changeGSOFamily(to uint16) {
	was, is := uint32(gsoTCPv4), uint32(gsoTCPv6)
	if to == etherIPv4 {
		was, is = is, was
	}
	if s.GSOSize != 0 && s.GSOType&was != 0 {
		s.GSOType = s.GSOType&^was | is
	}
}

// skbVLANPush puts a tag beside the packet. One that is there already goes into
// the packet.
func skbVLANPush(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	proto := netUint16(args[1])
	if proto != etherVLAN && proto != etherQinQ {
		proto = etherVLAN
	}
	s := &e.SKB
	e.pushMACSum()
	no := maps.Errno(0)
	if s.VLANPresent {
		no = e.insertTag()
	}
	if no == 0 {
		s.VLANPresent, s.VLANProto, s.VLANTCI = true, proto, uint16(args[2])
	}
	e.pullMACSum()
	e.moved(c, ChangeLen|ChangeVLAN|ChangeProtocol)
	return errno(no), nil
}

// insertTag moves the tag beside the packet into it, before the EtherType.
func (e *Event) insertTag() maps.Errno {
	p, s := &e.Packet, &e.SKB
	if p.data != s.mac || p.Len() < ethHeader {
		return maps.EINVAL
	}
	if !e.push(vlanHeader) {
		return maps.ENOMEM
	}
	b := p.Bytes()
	copy(b[:12], b[vlanHeader:])
	binary.BigEndian.PutUint16(b[12:], s.VLANProto)
	binary.BigEndian.PutUint16(b[14:], s.VLANTCI)
	s.mac -= vlanHeader
	s.network -= vlanHeader
	s.Protocol = s.VLANProto
	s.pushed(b[12:16], 0)
	return 0
}

// skbVLANPop takes the outermost tag away and puts the one behind it, if any,
// beside the packet.
func skbVLANPop(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	e.pushMACSum()
	no := e.popTag()
	e.pullMACSum()
	e.moved(c, ChangeLen|ChangeVLAN|ChangeProtocol)
	return errno(no), nil
}

func isVLAN(proto uint16) bool { return proto == etherVLAN || proto == etherQinQ }

func (e *Event) popTag() maps.Errno {
	s := &e.SKB
	switch {
	case s.VLANPresent:
		s.VLANPresent, s.VLANProto, s.VLANTCI = false, 0, 0
	case !isVLAN(s.Protocol):
		return 0
	default:
		if _, no := e.extractTag(); no != 0 {
			return no
		}
	}
	if !isVLAN(s.Protocol) {
		return 0
	}
	proto := s.Protocol
	tci, no := e.extractTag()
	if no == 0 {
		s.VLANPresent, s.VLANProto, s.VLANTCI = true, proto, tci
	}
	return no
}

// extractTag takes the first tag out of the packet (__skb_vlan_pop).
func (e *Event) extractTag() (tci uint16, no maps.Errno) {
	p, s := &e.Packet, &e.SKB
	if p.data != s.mac {
		return 0, maps.EINVAL
	}
	b := p.Bytes()
	if len(b) < ethHeader+vlanHeader {
		return 0, maps.ENOMEM
	}
	s.pulled(b[12:16], 0)
	tci = binary.BigEndian.Uint16(b[14:])
	copy(b[vlanHeader:16], b[:12])
	e.pull(vlanHeader)
	s.mac = p.data
	if s.network < p.data+ethHeader {
		s.network = p.data + ethHeader
	}
	s.macLen = s.network - s.mac
	s.Protocol = etherType(p.Bytes())
	return tci, 0
}

// pushMACSum adds the link header to the packet's checksum, which does not cover
// it on the way in; pullMACSum takes it away again.
func (e *Event) pushMACSum() {
	if b, ok := e.macHeader(); ok {
		e.SKB.pushed(b, 0)
	}
}

func (e *Event) pullMACSum() {
	e.SKB.macLen = e.SKB.network - e.SKB.mac
	if b, ok := e.macHeader(); ok {
		e.SKB.pulled(b, 0)
	}
}

func (e *Event) macHeader() ([]byte, bool) {
	p, s := &e.Packet, &e.SKB
	end := s.mac + s.macLen
	if !s.Ingress || s.Csum != CsumComplete || s.mac < 0 || end < s.mac || end > p.end {
		return nil, false
	}
	return p.buf[s.mac:end], true
}
