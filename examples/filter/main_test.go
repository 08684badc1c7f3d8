package main

import (
	"bytes"
	"errors"
	"flag"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write packets.pcap and testdata again; what embeds the packets is the second run")

// TestMain makes the test binary the example itself if the environment says so.
func TestMain(m *testing.M) {
	if os.Getenv("FILTER_EXAMPLE") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// example runs the example.
func example(t *testing.T, args ...string) (stdout, stderr string, exit int) {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), "FILTER_EXAMPLE=1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		var failed *exec.ExitError
		require.True(t, errors.As(err, &failed), "%v", err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestExample(t *testing.T) {
	packets := capture(t, layers.LinkTypeEthernet, frames(t)...)
	if *update {
		require.NoError(t, os.WriteFile("packets.pcap", packets, 0o644))
	}
	require.Equal(t, packets, defaultPackets, "packets.pcap is not what frames makes")
	for golden, args := range map[string][]string{
		"default.txt": nil,
		"ip-40.txt":   {"-v", "-ddd", "testdata/ip-40.ddd", "-pcap", "packets.pcap"},
	} {
		stdout, stderr, exit := example(t, args...)
		require.Empty(t, stderr)
		require.Zero(t, exit)
		golden = filepath.Join("testdata", golden)
		if *update {
			require.NoError(t, os.WriteFile(golden, []byte(stdout), 0o644))
		}
		want, err := os.ReadFile(golden)
		require.NoError(t, err)
		require.Equal(t, string(want), stdout)
	}
}

func TestErrors(t *testing.T) {
	write := func(name, data string) string {
		file := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(file, []byte(data), 0o644))
		return file
	}
	whole := string(capture(t, layers.LinkTypeEthernet, make([]byte, 60), make([]byte, 60)))
	for _, tc := range []struct {
		name string
		args []string
		exit int
		want string
	}{
		{"word", []string{"-ddd", write("f.ddd", "2\n40 0 0 twelve\n6 0 0 0\n")}, 1,
			`f.ddd: line 2, column 8: want k (0 to 4294967295), got "twelve"`},
		{"short", []string{"-ddd", write("f.ddd", "2\n6 0 0 0\n")}, 1, "f.ddd: line 3, column 1: want instruction 2 of 2"},
		{"not compiled", []string{"-ddd", write("f.ddd", "udp port 53")}, 1, "line 1, column 1: want the number of instructions or {"},
		{"invalid", []string{"-ddd", write("f.ddd", "2\n21 0 9 2048\n6 0 0 0\n")}, 1,
			"f.ddd: invalid classic BPF program: instruction 0 (jeq #0x800 jt 1 jf 10): jump out of the program"},
		{"unsupported", []string{"-ddd", write("f.ddd", "2\n32 0 0 4294963228\n22 0 0 0\n")}, 1,
			"f.ddd: no translation to eBPF: instruction 0 (ld [hatype])"},
		{"no filter", []string{"-ddd", "nowhere.ddd"}, 1, "nowhere.ddd"},
		{"no capture", []string{"-pcap", "nowhere.pcap"}, 1, "nowhere.pcap"},
		{"no pcap", []string{"-pcap", "main.go"}, 1, "main.go: no packets to read: Unknown magic"},
		{"empty", []string{"-pcap", write("f.pcap", "")}, 1, "f.pcap: no packets to read: EOF"},
		{"link type", []string{"-pcap", write("f.pcap", string(capture(t, layers.LinkTypeRaw, make([]byte, 20))))}, 1,
			"f.pcap: no packets to read: link type Raw, want Ethernet"},
		{"cut", []string{"-pcap", write("f.pcap", whole[:len(whole)-1])}, 1, "packet 2: unexpected EOF"},
		{"arguments", []string{"udp", "port", "53"}, 2, "tcpdump -ddd"},
	} {
		_, stderr, exit := example(t, tc.args...)
		require.Equal(t, tc.exit, exit, tc.name)
		require.Contains(t, stderr, tc.want, tc.name)
	}
}

// capture returns a pcap of frames, a second after the other.
func capture(t *testing.T, link layers.LinkType, frames ...[]byte) []byte {
	var buf bytes.Buffer
	w := pcapgo.NewWriter(&buf)
	require.NoError(t, w.WriteFileHeader(65535, link))
	for i, data := range frames {
		info := gopacket.CaptureInfo{Timestamp: time.Unix(1_700_000_000+int64(i), 0), CaptureLength: len(data), Length: len(data)}
		require.NoError(t, w.WritePacket(info, data))
	}
	return buf.Bytes()
}

// frames returns what the default filter takes, and what looks much like it.
func frames(t *testing.T) [][]byte {
	frame := func(ls ...gopacket.SerializableLayer) []byte {
		buf := gopacket.NewSerializeBuffer()
		require.NoError(t, gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ls...))
		return bytes.Clone(buf.Bytes())
	}
	var (
		hostMAC, routerMAC = net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.HardwareAddr{2, 0, 0, 0, 0, 2}
		host, server       = net.IP{192, 0, 2, 10}, net.IP{198, 51, 100, 80}
		resolver           = net.IP{192, 0, 2, 1}
		host6, server6     = net.ParseIP("2001:db8::10"), net.ParseIP("2001:db8::80")
	)
	const v4, v6 = layers.EthernetTypeIPv4, layers.EthernetTypeIPv6
	eth := func(typ layers.EthernetType) *layers.Ethernet {
		return &layers.Ethernet{SrcMAC: hostMAC, DstMAC: routerMAC, EthernetType: typ}
	}
	ip := func(proto layers.IPProtocol, src, dst net.IP) *layers.IPv4 {
		return &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: src, DstIP: dst}
	}
	ip6 := func(next layers.IPProtocol) *layers.IPv6 {
		return &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: next, SrcIP: host6, DstIP: server6}
	}
	tcp := func(n gopacket.NetworkLayer, l layers.TCP) *layers.TCP {
		require.NoError(t, l.SetNetworkLayerForChecksum(n))
		return &l
	}
	udp := func(n gopacket.NetworkLayer, src, dst layers.UDPPort) *layers.UDP {
		l := &layers.UDP{SrcPort: src, DstPort: dst}
		require.NoError(t, l.SetNetworkLayerForChecksum(n))
		return l
	}
	question := []layers.DNSQuestion{{Name: []byte("example.org"), Type: layers.DNSTypeA, Class: layers.DNSClassIN}}
	query := &layers.DNS{ID: 1, RD: true, QDCount: 1, Questions: question}
	answer := &layers.DNS{ID: 1, QR: true, RD: true, RA: true, QDCount: 1, Questions: question, ANCount: 1,
		Answers: []layers.DNSResourceRecord{{Name: []byte("example.org"), Type: layers.DNSTypeA, Class: layers.DNSClassIN, TTL: 60, IP: server}}}

	ask, reply := ip(layers.IPProtocolUDP, host, resolver), ip(layers.IPProtocolUDP, resolver, host)
	out, in := ip(layers.IPProtocolTCP, host, server), ip(layers.IPProtocolTCP, server, host)
	fragment := ip(layers.IPProtocolUDP, resolver, host)
	fragment.FragOffset = 185
	ask6, out6 := ip6(layers.IPProtocolUDP), ip6(layers.IPProtocolTCP)
	syn := tcp(out, layers.TCP{SrcPort: 40000, DstPort: 80, Seq: 1, SYN: true, Window: 64240})

	return [][]byte{
		frame(eth(layers.EthernetTypeARP), &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: v4, HwAddressSize: 6, ProtAddressSize: 4,
			Operation: layers.ARPRequest, SourceHwAddress: hostMAC, SourceProtAddress: host, DstHwAddress: make([]byte, 6), DstProtAddress: resolver}),
		frame(eth(v4), ask, udp(ask, 50000, 53), query),
		frame(eth(v4), reply, udp(reply, 53, 50000), answer),
		frame(eth(v4), out, syn),
		frame(eth(v4), in, tcp(in, layers.TCP{SrcPort: 80, DstPort: 40000, Seq: 9, Ack: 2, SYN: true, ACK: true, Window: 65160})),
		frame(eth(v4), out, tcp(out, layers.TCP{SrcPort: 40000, DstPort: 80, Seq: 2, Ack: 10, ACK: true, PSH: true, Window: 502}),
			gopacket.Payload("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n")),
		frame(eth(v4), in, tcp(in, layers.TCP{SrcPort: 80, DstPort: 40000, Seq: 10, Ack: 41, FIN: true, ACK: true, Window: 509})),
		frame(eth(v6), ask6, udp(ask6, 50001, 53), query),
		frame(eth(v6), out6, tcp(out6, layers.TCP{SrcPort: 40001, DstPort: 80, Seq: 1, SYN: true, Window: 64800})), // tcp[] is of IPv4 only
		frame(eth(v4), ip(layers.IPProtocolICMPv4, host, server), &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(8, 0), Id: 7, Seq: 1}),
		frame(eth(v4), ask, udp(ask, 123, 123), make(gopacket.Payload, 48)),
		frame(eth(v4), fragment, gopacket.Payload{0, 53, 0, 53, 0, 0, 0, 0}), // no ports in there
		frame(eth(layers.EthernetTypeDot1Q), &layers.Dot1Q{VLANIdentifier: 100, Type: v4}, out, syn),
		frame(eth(v4), out, syn)[:40], // the flags are behind the end
		frame(eth(v6), out6)[:30],     // not even a whole IP header
		frame(eth(v4))[:12],           // or Ethernet header
	}
}
