package pcapgen

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
)

// A capture collects packets, each some time after the one before.
type capture struct {
	t   testing.TB
	out bytes.Buffer
	w   *pcapgo.Writer
	now time.Time
	n   int
}

func newCapture(t testing.TB) *capture {
	c := &capture{t: t, now: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)}
	c.w = pcapgo.NewWriter(&c.out)
	require.NoError(t, c.w.WriteFileHeader(65535, layers.LinkTypeEthernet))
	return c
}

// add appends a packet, of which only the first keep bytes were captured if keep
// is not 0.
func (c *capture) add(after time.Duration, data []byte, keep int) {
	c.now = c.now.Add(after)
	c.n++
	info := gopacket.CaptureInfo{Timestamp: c.now, CaptureLength: len(data), Length: len(data)}
	if keep > 0 && keep < len(data) {
		data, info.CaptureLength = data[:keep], keep
	}
	require.NoError(c.t, c.w.WritePacket(info, data))
}

// A flow is the addresses and ports of a packet.
type flow struct {
	src, dst     netip.Addr
	sport, dport uint16
}

func between(src, dst string, sport, dport uint16) flow {
	return flow{netip.MustParseAddr(src), netip.MustParseAddr(dst), sport, dport}
}

// ip is the network layer of a flow.
func (f flow) ip(protocol layers.IPProtocol) gopacket.SerializableLayer {
	if f.src.Is4() {
		return &layers.IPv4{
			Version: 4, TTL: 64, Id: f.sport ^ f.dport, Protocol: protocol,
			SrcIP: f.src.AsSlice(), DstIP: f.dst.AsSlice(),
		}
	}
	return &layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: protocol,
		SrcIP: f.src.AsSlice(), DstIP: f.dst.AsSlice(),
	}
}

var (
	clientMAC = []byte{0x02, 0, 0, 0, 0, 0x01}
	serverMAC = []byte{0x02, 0, 0, 0, 0, 0x02}
)

// frame serializes layers behind an Ethernet header and the given VLAN tags,
// with lengths and checksums put right.
func frame(t testing.TB, tags []uint16, parts ...gopacket.SerializableLayer) []byte {
	types := make([]layers.EthernetType, 0, len(tags)+1)
	for i := range tags {
		tag := layers.EthernetTypeDot1Q
		if i == 0 && len(tags) > 1 {
			tag = layers.EthernetTypeQinQ
		}
		types = append(types, tag)
	}
	types = append(types, etherType(parts[0]))
	all := []gopacket.SerializableLayer{
		&layers.Ethernet{SrcMAC: clientMAC, DstMAC: serverMAC, EthernetType: types[0]},
	}
	for i, id := range tags {
		all = append(all, &layers.Dot1Q{VLANIdentifier: id, Priority: uint8(id) & 7, Type: types[i+1]})
	}
	var network gopacket.NetworkLayer
	for _, part := range parts {
		if l, ok := part.(gopacket.NetworkLayer); ok {
			network = l
		}
		if l, ok := part.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			require.NoError(t, l.SetNetworkLayerForChecksum(network))
		}
		all = append(all, part)
	}
	buf := gopacket.NewSerializeBuffer()
	opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	require.NoError(t, gopacket.SerializeLayers(buf, opts, all...))
	return bytes.Clone(buf.Bytes())
}

func etherType(l gopacket.SerializableLayer) layers.EthernetType {
	switch l.(type) {
	case *layers.IPv4:
		return layers.EthernetTypeIPv4
	case *layers.IPv6:
		return layers.EthernetTypeIPv6
	case *layers.ARP:
		return layers.EthernetTypeARP
	}
	return 0x88b5 // for local experiments
}

// payload is n bytes that count from the low byte of n.
func payload(n int) gopacket.Payload {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(n + i)
	}
	return b
}

func udp(t testing.TB, f flow, size int, tags ...uint16) []byte {
	return frame(t, tags, f.ip(layers.IPProtocolUDP),
		&layers.UDP{SrcPort: layers.UDPPort(f.sport), DstPort: layers.UDPPort(f.dport)}, payload(size))
}

func tcp(t testing.TB, f flow, flags string, size int, tags ...uint16) []byte {
	l := &layers.TCP{SrcPort: layers.TCPPort(f.sport), DstPort: layers.TCPPort(f.dport), Seq: 1000, Window: 65000}
	for _, flag := range flags {
		switch flag {
		case 'S':
			l.SYN = true
			l.Options = []layers.TCPOption{{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{5, 0xb4}}}
		case 'A':
			l.ACK, l.Ack = true, 2000
		case 'F':
			l.FIN = true
		case 'R':
			l.RST = true
		case 'P':
			l.PSH = true
		case 'U':
			l.URG, l.Urgent = true, 1
		}
	}
	return frame(t, tags, f.ip(layers.IPProtocolTCP), l, payload(size))
}

func icmp4(t testing.TB, f flow, typ, code uint8, size int, tags ...uint16) []byte {
	return frame(t, tags, f.ip(layers.IPProtocolICMPv4),
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, code), Id: f.sport, Seq: f.dport}, payload(size))
}

func icmp6(t testing.TB, f flow, typ, code uint8, size int, tags ...uint16) []byte {
	return frame(t, tags, f.ip(layers.IPProtocolICMPv6),
		&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, code)}, payload(size))
}

func arp(t testing.TB, operation uint16, src, dst string) []byte {
	return frame(t, nil, &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
		HwAddressSize: 6, ProtAddressSize: 4, Operation: operation,
		SourceHwAddress: clientMAC, SourceProtAddress: netip.MustParseAddr(src).AsSlice(),
		DstHwAddress: make([]byte, 6), DstProtAddress: netip.MustParseAddr(dst).AsSlice(),
	})
}

// fragments4 are the parts of a UDP packet over IPv4, cut every size bytes, a
// multiple of eight.
func fragments4(t testing.TB, f flow, whole, size int) (parts [][]byte) {
	packet := udp(t, f, whole)
	rest := packet[14+20:]
	for at := 0; at < len(rest); at += size {
		end := min(at+size, len(rest))
		ip := f.ip(layers.IPProtocolUDP).(*layers.IPv4)
		ip.FragOffset = uint16(at / 8)
		if end < len(rest) {
			ip.Flags = layers.IPv4MoreFragments
		}
		parts = append(parts, frame(t, nil, ip, gopacket.Payload(rest[at:end])))
	}
	return parts
}

// extended is a packet over IPv6 with extension headers, given as bytes that
// begin with the number of the header after each; first is that of the first.
func extended(t testing.TB, f flow, first layers.IPProtocol, headers ...byte) []byte {
	return frame(t, nil, f.ip(first), gopacket.Payload(headers))
}
