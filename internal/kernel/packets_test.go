package kernel

import (
	"net"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/stretchr/testify/require"
)

type packet struct {
	name    string
	data    []byte
	xdpOnly bool
}

// packets are the inputs of every recorded program.
func packets(t testing.TB) []packet {
	eth := layers.Ethernet{
		SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1},
		DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2},
	}
	ip4 := layers.IPv4{
		Version: 4, TTL: 64, Id: 7,
		SrcIP: net.IP{192, 0, 2, 1}, DstIP: net.IP{10, 1, 2, 3},
	}
	ip6 := layers.IPv6{
		Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP,
		SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8::2"),
	}
	udp := layers.UDP{SrcPort: 1234, DstPort: 53}
	tcp := layers.TCP{SrcPort: 40000, DstPort: 443, Seq: 1, SYN: true, Window: 65535}
	payload := gopacket.Payload("a payload that is long enough to be cut")

	var out []packet
	build := func(name string, parts ...gopacket.SerializableLayer) {
		buf := gopacket.NewSerializeBuffer()
		opts := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
		require.NoError(t, gopacket.SerializeLayers(buf, opts, parts...))
		out = append(out, packet{name: name, data: append([]byte(nil), buf.Bytes()...)})
	}

	e, i, u := eth, ip4, udp
	e.EthernetType, i.Protocol = layers.EthernetTypeIPv4, layers.IPProtocolUDP
	require.NoError(t, u.SetNetworkLayerForChecksum(&i))
	build("udp4", &e, &i, &u, payload)

	i4 := ip4
	i4.Protocol, i4.DstIP = layers.IPProtocolTCP, net.IP{192, 0, 2, 1}
	i4.Options = []layers.IPv4Option{{OptionType: 1}, {OptionType: 1}, {OptionType: 1}, {OptionType: 0}}
	tc := tcp
	require.NoError(t, tc.SetNetworkLayerForChecksum(&i4))
	build("tcp4_options", &e, &i4, &tc, payload)

	e6, i6, u6 := eth, ip6, udp
	e6.EthernetType = layers.EthernetTypeIPv6
	require.NoError(t, u6.SetNetworkLayerForChecksum(&i6))
	build("udp6", &e6, &i6, &u6, payload)

	ev := eth
	ev.EthernetType = layers.EthernetTypeDot1Q
	tag := layers.Dot1Q{VLANIdentifier: 5, Priority: 3, Type: layers.EthernetTypeIPv4}
	build("vlan", &ev, &tag, &i, &u, payload)

	ea := eth
	ea.EthernetType = layers.EthernetTypeARP
	build("arp", &ea, &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
		HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest,
		SourceHwAddress: eth.SrcMAC, SourceProtAddress: ip4.SrcIP,
		DstHwAddress: make([]byte, 6), DstProtAddress: ip4.DstIP,
	})

	// An skb test run refuses an IPv4 packet that ends within its header.
	return append(out,
		packet{name: "short", data: out[0].data[:24], xdpOnly: true},
		packet{name: "tiny", data: append(out[0].data[:12:12], 0x88, 0xb5, 1)})
}
