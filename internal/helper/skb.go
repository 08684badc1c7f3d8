package helper

import (
	"encoding/binary"
	"fmt"
)

// SKB is the state of an skb that helpers look at or change. Numbers are in
// host byte order, protocols too (0x0800 for IPv4), though programs see them as
// they are in packets.
type SKB struct {
	Protocol uint16 // EtherType
	Type     uint8  // PACKET_HOST and so on: 0 host, 1 broadcast, 2 multicast, 3 otherhost

	VLANPresent bool   // there is a tag beside the packet, as from a device that strips them
	VLANProto   uint16 // 0x8100 or 0x88a8
	VLANTCI     uint16

	Hash   uint32
	HashSW bool // the hash was computed or set in software
	HashL4 bool // the hash covers ports: it stays when headers change

	GSOSize, GSOSegs uint32
	GSOType          uint32 // SKB_GSO_*

	Csum      CsumState
	CsumValue uint32 // of the whole packet, with CsumComplete
	CsumLevel uint8  // of further headers that were checked, with CsumUnnecessary
	// CsumStart and CsumOffset say where the device is to put a checksum, with
	// CsumPartial: CsumStart counts from the start of the packet.
	CsumStart, CsumOffset int

	Tstamp     uint64
	TstampType uint8 // 0 real time, 1 monotonic, 2 TAI

	Ifindex uint32 // the device it is at
	Ingress bool   // it is on its way in: tc ingress
	Encap   bool   // it is in a tunnel

	// Offsets in the packet's buffer; none where not known.
	mac, network, transport int
	macLen                  int
}

const none = -1

// CsumState is what the device has done about checksums (skb->ip_summed).
type CsumState uint8

// The states of checksums.
const (
	CsumNone CsumState = iota
	CsumUnnecessary
	CsumComplete
	CsumPartial
)

// LoadSKB makes the event an skb that has arrived as an Ethernet frame of at
// least 14 bytes. If l2, as for sched_cls, its bytes start at the Ethernet header,
// otherwise behind it, as for lwt and cgroup programs and socket filters in the kernel's
// test run. SKB is reset: type and protocol come from the frame (eth_type_trans
// for a device with a zero address), all else is zero.
func (e *Event) LoadSKB(frame []byte, l2 bool) error {
	e.IsSKB = true
	e.reset()
	if len(frame) < ethHeader {
		return sizeError("an skb", len(frame), fmt.Sprintf("an Ethernet header of %d", ethHeader))
	}
	p := &e.Packet
	if err := p.Load(frame, SKBHeadroom, SKBHeadroom+SKBMaxLen); err != nil {
		return err
	}
	e.SKB = SKB{
		Protocol: etherType(frame), Type: packetType(frame),
		mac: p.data, network: p.data + ethHeader, transport: none, macLen: ethHeader,
	}
	if !l2 {
		p.data += ethHeader
		p.meta = p.data
	}
	return nil
}

// etherType is what eth_type_trans makes of a frame's type field.
func etherType(frame []byte) uint16 {
	t := binary.BigEndian.Uint16(frame[12:])
	switch {
	case t >= 0x0600:
		return t
	case len(frame) >= 16 && frame[14] == 0xff && frame[15] == 0xff:
		return 0x0001 // ETH_P_802_3, raw IPX
	}
	return 0x0004 // ETH_P_802_2
}

// packetType is what eth_type_trans makes of a destination address, where the
// device's own is zero.
func packetType(frame []byte) uint8 {
	dst := [6]byte(frame)
	switch {
	case dst == [6]byte{}:
		return 0
	case dst == [6]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}:
		return 1
	case dst[0]&1 != 0:
		return 2
	}
	return 3
}
