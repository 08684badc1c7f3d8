package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write sample.pcap and testdata/output.txt anew")

func needLittleEndian(t *testing.T) {
	t.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("firewall.o is for little-endian machines")
	}
}

// frame is a UDP or TCP packet, or an ARP request if there are no addresses.
func frame(t *testing.T, src, dst string, tcp bool, payload int) []byte {
	t.Helper()
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}}
	var all []gopacket.SerializableLayer
	var network gopacket.NetworkLayer
	protocol := layers.IPProtocolUDP
	if tcp {
		protocol = layers.IPProtocolTCP
	}
	s, d := net.ParseIP(src), net.ParseIP(dst)
	switch {
	case src == "":
		eth.EthernetType = layers.EthernetTypeARP
		all = append(all, eth, &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4,
			HwAddressSize: 6, ProtAddressSize: 4, Operation: layers.ARPRequest, SourceHwAddress: eth.SrcMAC,
			SourceProtAddress: []byte{10, 9, 9, 9}, DstHwAddress: make([]byte, 6), DstProtAddress: []byte{10, 9, 9, 1}})
	case s.To4() != nil:
		eth.EthernetType = layers.EthernetTypeIPv4
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: protocol, SrcIP: s, DstIP: d}
		all, network = append(all, eth, ip), ip
	default:
		eth.EthernetType = layers.EthernetTypeIPv6
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: protocol, SrcIP: s, DstIP: d}
		all, network = append(all, eth, ip), ip
	}
	if network != nil && tcp {
		l := &layers.TCP{SrcPort: 40000, DstPort: 443, SYN: true, Window: 1024}
		require.NoError(t, l.SetNetworkLayerForChecksum(network))
		all = append(all, l)
	} else if network != nil {
		l := &layers.UDP{SrcPort: 40000, DstPort: 53}
		require.NoError(t, l.SetNetworkLayerForChecksum(network))
		all = append(all, l)
	}
	all = append(all, gopacket.Payload(make([]byte, payload)))
	b := gopacket.NewSerializeBuffer()
	require.NoError(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...))
	return b.Bytes()
}

// makeSample makes the capture that the example judges.
func makeSample(t *testing.T) []byte {
	var out bytes.Buffer
	w := pcapgo.NewWriterNanos(&out)
	require.NoError(t, w.WriteFileHeader(65536, layers.LinkTypeEthernet))
	at := time.Date(2025, 1, 1, 12, 0, 0, 0, time.UTC)
	add := func(after time.Duration, data []byte) {
		at = at.Add(after)
		require.NoError(t, w.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(data), Length: len(data)}, data))
	}
	const ms = time.Millisecond
	add(0, frame(t, "", "", false, 0))
	add(ms, frame(t, "10.2.3.4", "198.51.100.1", true, 0))
	add(ms, frame(t, "10.1.3.4", "198.51.100.1", true, 0))
	add(ms, frame(t, "203.0.113.9", "198.51.100.1", false, 100))
	for range 5 {
		add(10*ms, frame(t, "192.0.2.7", "198.51.100.1", false, 32))
	}
	add(ms, frame(t, "192.0.2.8", "198.51.100.1", false, 32))
	add(time.Second, frame(t, "192.0.2.7", "198.51.100.1", false, 32))
	add(ms, frame(t, "2001:db8:bad::1", "2001:db8::1", true, 0))
	add(ms, frame(t, "2001:db8:cafe::1", "2001:db8::1", true, 0))
	add(ms, frame(t, "2001:db8:bad:2::5", "2001:db8::1", false, 1000))
	add(ms, frame(t, "10.2.3.5", "198.51.100.1", true, 0)[:30]) // cut short
	return out.Bytes()
}

func TestSample(t *testing.T) {
	want := makeSample(t)
	if *update {
		require.NoError(t, os.WriteFile("sample.pcap", want, 0o644))
		sample = want
	}
	require.Equal(t, want, sample, "run go generate")
}

const outputFile = "testdata/output.txt"

// TestOutput runs the example as a user would.
func TestOutput(t *testing.T) {
	needLittleEndian(t)
	var out strings.Builder
	require.NoError(t, run(&out, "", ""))
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(outputFile, []byte(out.String()), 0o644))
	}
	want, err := os.ReadFile(outputFile)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())
}

func TestFiles(t *testing.T) {
	needLittleEndian(t)
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	pcap := write("sample.pcap", string(sample))
	var out strings.Builder
	require.NoError(t, run(&out, pcap, write("rules", "deny 0.0.0.0/0 # all\n\ndeny ::/0\n")))
	require.Contains(t, out.String(), "15 packets: 1 passed, 14 dropped")
	for text, rules := range map[string]string{
		"line 2: \"drop 1.2.3.4/8\": want allow": "deny 1.2.3.4/8\ndrop 1.2.3.4/8",
		"no number of packets a second":          "limit 1.2.3.4/8 0",
		"ParsePrefix":                            "deny 1.2.3.4/33",
		"more than 64 rules":                     strings.Repeat("deny 1.2.3.4/8\n", 65),
	} {
		require.ErrorContains(t, run(&out, pcap, write("rules", rules)), text)
	}
	require.ErrorContains(t, run(&out, write("bad.pcap", "nothing"), ""), "capture")
	require.ErrorIs(t, run(&out, filepath.Join(dir, "gone"), ""), os.ErrNotExist)
}
