package cbpf

import (
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

// packets returns Ethernet frames that tell the filters of testdata apart. The
// recorded answers name them by their number, from 1: append only.
func packets(t testing.TB) [][]byte {
	frame := func(ls ...gopacket.SerializableLayer) []byte {
		buf := gopacket.NewSerializeBuffer()
		require.NoError(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...))
		return append([]byte{}, buf.Bytes()...)
	}
	var (
		macA  = net.HardwareAddr{2, 0, 0, 0, 0, 1}
		macB  = net.HardwareAddr{2, 0, 0, 0, 0, 2}
		ipA   = net.IP{10, 0, 0, 1}
		ipB   = net.IP{10, 0, 0, 2}
		ipC   = net.IP{192, 168, 1, 77}
		ip6A  = net.ParseIP("2001:db8::1")
		ip6B  = net.ParseIP("2001:db8::2")
		bcast = net.HardwareAddr{255, 255, 255, 255, 255, 255}
	)
	eth := func(typ layers.EthernetType) *layers.Ethernet {
		return &layers.Ethernet{SrcMAC: macA, DstMAC: macB, EthernetType: typ}
	}
	ip := func(proto layers.IPProtocol, src, dst net.IP) *layers.IPv4 {
		return &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: src, DstIP: dst}
	}
	ip6 := func(next layers.IPProtocol) *layers.IPv6 {
		return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: next, SrcIP: ip6A, DstIP: ip6B}
	}
	tcp := func(n gopacket.NetworkLayer, src, dst layers.TCPPort, set func(*layers.TCP)) *layers.TCP {
		l := &layers.TCP{SrcPort: src, DstPort: dst, Seq: 1000, Window: 512}
		set(l)
		require.NoError(t, l.SetNetworkLayerForChecksum(n))
		return l
	}
	udp := func(n gopacket.NetworkLayer, src, dst layers.UDPPort) *layers.UDP {
		l := &layers.UDP{SrcPort: src, DstPort: dst}
		require.NoError(t, l.SetNetworkLayerForChecksum(n))
		return l
	}
	syn := func(l *layers.TCP) { l.SYN = true }
	ack := func(l *layers.TCP) { l.ACK = true; l.PSH = true }
	text := func(s string) gopacket.Payload { return gopacket.Payload(s) }

	tcpAB, tcpBA, tcpCA := ip(layers.IPProtocolTCP, ipA, ipB), ip(layers.IPProtocolTCP, ipB, ipA), ip(layers.IPProtocolTCP, ipC, ipA)
	udpAB, udpAC := ip(layers.IPProtocolUDP, ipA, ipB), ip(layers.IPProtocolUDP, ipA, ipC)
	tcpOpt := ip(layers.IPProtocolTCP, ipA, ipB)
	tcpOpt.Options = []layers.IPv4Option{{OptionType: 7, OptionLength: 7, OptionData: make([]byte, 5)}}
	first, later := ip(layers.IPProtocolUDP, ipA, ipB), ip(layers.IPProtocolUDP, ipA, ipB)
	first.Flags = layers.IPv4MoreFragments
	later.FragOffset = 185
	multicast := ip(layers.IPProtocolUDP, ipA, net.IP{224, 0, 0, 251})
	lowTTL := ip(layers.IPProtocolICMPv4, ipA, ipB)
	lowTTL.TTL = 1
	tcp6, udp6, icmp6 := ip6(layers.IPProtocolTCP), ip6(layers.IPProtocolUDP), ip6(layers.IPProtocolICMPv6)
	icmp6Layer := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(128, 0)}
	require.NoError(t, icmp6Layer.SetNetworkLayerForChecksum(icmp6))
	arp := &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
		Operation: 1, SourceHwAddress: macA, SourceProtAddress: ipA, DstHwAddress: make([]byte, 6), DstProtAddress: ipB}
	vlan := func(id uint16, typ layers.EthernetType) *layers.Dot1Q {
		return &layers.Dot1Q{VLANIdentifier: id, Type: typ}
	}
	const v4, v6, dot1q = layers.EthernetTypeIPv4, layers.EthernetTypeIPv6, layers.EthernetTypeDot1Q

	syn80 := frame(eth(v4), tcpAB, tcp(tcpAB, 40000, 80, syn))
	frames := [][]byte{
		syn80,
		frame(eth(v4), tcpBA, tcp(tcpBA, 80, 40000, ack), text("HTTP/1.1 200 OK\r\n\r\n")),
		frame(eth(v4), tcpAB, tcp(tcpAB, 40000, 80, ack), text("GET / HTTP/1.1\r\n\r\n")),
		frame(eth(v4), tcpCA, tcp(tcpCA, 22, 51234, ack), text("SSH-2.0-x")),
		frame(eth(v4), tcpCA, tcp(tcpCA, 443, 51235, func(l *layers.TCP) { l.FIN, l.ACK = true, true })),
		frame(eth(v4), tcpOpt, tcp(tcpOpt, 40001, 8080, func(l *layers.TCP) { l.RST = true })),
		frame(eth(v4), udpAB, udp(udpAB, 5353, 53), text("query")),
		frame(eth(v4), udpAC, udp(udpAC, 123, 123), make(gopacket.Payload, 48)),
		frame(eth(v4), first, udp(first, 9999, 53), make(gopacket.Payload, 64)),
		frame(eth(v4), later, make(gopacket.Payload, 64)),
		frame(&layers.Ethernet{SrcMAC: macA, DstMAC: net.HardwareAddr{1, 0, 0x5e, 0, 0, 0xfb}, EthernetType: v4}, multicast, udp(multicast, 5353, 5353), text("mdns")),
		frame(eth(v4), lowTTL, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 1, Seq: 1}, text("ping")),
		frame(eth(v4), lowTTL, &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 3)}, make(gopacket.Payload, 28)),
		frame(&layers.Ethernet{SrcMAC: macA, DstMAC: bcast, EthernetType: layers.EthernetTypeARP}, arp),
		frame(eth(v6), tcp6, tcp(tcp6, 40000, 443, syn)),
		frame(eth(v6), udp6, udp(udp6, 40000, 53), text("query")),
		frame(eth(v6), icmp6, icmp6Layer, text("ping6")),
		frame(eth(dot1q), vlan(100, v4), tcpAB, tcp(tcpAB, 40000, 80, syn)),
		frame(eth(dot1q), vlan(200, v6), udp6, udp(udp6, 40000, 53), text("query")),
		frame(eth(layers.EthernetTypeQinQ), vlan(10, dot1q), vlan(100, v4), udpAB, udp(udpAB, 1, 2)),
		frame(eth(layers.EthernetTypeMPLSUnicast), &layers.MPLS{Label: 1024, StackBottom: true, TTL: 9}, tcpAB, tcp(tcpAB, 40000, 80, syn)),
		frame(eth(layers.EthernetTypePPPoESession), &layers.PPPoE{Version: 1, Type: 1, SessionId: 7}, &layers.PPP{PPPType: layers.PPPTypeIPv4}, tcpAB, tcp(tcpAB, 1, 80, syn)),
		frame(eth(v4), ip(layers.IPProtocolGRE, ipA, ipC), make(gopacket.Payload, 24)),
		frame(eth(v4), ip(layers.IPProtocolSCTP, ipA, ipC), gopacket.Payload{0, 80, 0, 81, 0, 0, 0, 0}),
		append(frame(eth(0x88b5)), 0xde, 0xad, 0xbe, 0xef),
		append(append([]byte{}, frame(eth(v4), tcpBA, tcp(tcpBA, 80, 40000, ack))...), make([]byte, 1200)...),
		frame(&layers.Ethernet{SrcMAC: macA, DstMAC: macB, Length: 3}, &layers.LLC{DSAP: 0x42, SSAP: 0x42, Control: 3}, make(gopacket.Payload, 35)),
		frame(eth(v6), ip6(layers.IPProtocolIPv6HopByHop), gopacket.Payload{58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0}),
	}
	for _, n := range []int{1, 11, 12, 13, 14, 20, 23, 24, 33, 34, 35, 37, 46, 47, 48} { // cut at the edges of loads
		frames = append(frames, syn80[:n])
	}
	return frames
}
