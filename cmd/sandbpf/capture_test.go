package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
)

// demoFrames returns the frames of testdata/demo.pcap: what a network has, and what it
// should not have.
func demoFrames(t testing.TB) [][]byte {
	eth := &layers.Ethernet{SrcMAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, DstMAC: net.HardwareAddr{2, 0, 0, 0, 0, 2}, EthernetType: layers.EthernetTypeIPv4}
	ip := func(proto layers.IPProtocol) *layers.IPv4 {
		return &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: net.IPv4(192, 0, 2, 1), DstIP: net.IPv4(198, 51, 100, 7)}
	}
	frame := func(list ...gopacket.SerializableLayer) []byte {
		b := gopacket.NewSerializeBuffer()
		require.NoError(t, gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, list...))
		return bytes.Clone(b.Bytes())
	}
	eth6, arp := *eth, *eth
	eth6.EthernetType, arp.EthernetType = layers.EthernetTypeIPv6, layers.EthernetTypeARP
	return [][]byte{
		frame(eth, ip(layers.IPProtocolTCP), &layers.TCP{SrcPort: 40000, DstPort: 80, SYN: true, Window: 64240}),
		frame(eth, ip(layers.IPProtocolUDP), &layers.UDP{SrcPort: 40001, DstPort: 23}, gopacket.Payload("telnet?")),
		frame(eth, ip(layers.IPProtocolUDP), &layers.UDP{SrcPort: 40001, DstPort: 23}, gopacket.Payload("telnet, with a longer payload")),
		frame(eth, ip(layers.IPProtocolICMPv4), &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0)}, gopacket.Payload("ping")),
		frame(&eth6, &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolUDP, SrcIP: net.ParseIP("2001:db8::1"), DstIP: net.ParseIP("2001:db8::2")},
			&layers.UDP{SrcPort: 40002, DstPort: 53}),
		frame(&arp, &layers.ARP{AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
			Operation: layers.ARPRequest, SourceHwAddress: eth.SrcMAC, SourceProtAddress: []byte{192, 0, 2, 1}, DstHwAddress: make([]byte, 6), DstProtAddress: []byte{192, 0, 2, 9}}),
		frame(eth, gopacket.Payload("\x45\x00")),
	}
}

// packetWriter is what the writers of both formats have.
type packetWriter interface {
	WritePacket(gopacket.CaptureInfo, []byte) error
}

// writeFrames writes the frames 10 ms apart, the last as if it had been longer.
func writeFrames(t testing.TB, w packetWriter, frames [][]byte) {
	for i, f := range frames {
		info := gopacket.CaptureInfo{Timestamp: time.Unix(1_700_000_000, int64(i)*10_000_000).UTC(), CaptureLength: len(f), Length: len(f)}
		if i == len(frames)-1 {
			info.Length += 40
		}
		require.NoError(t, w.WritePacket(info, f))
	}
}

func demoPcap(t testing.TB, link layers.LinkType) []byte {
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	require.NoError(t, w.WriteFileHeader(65535, link))
	writeFrames(t, w, demoFrames(t))
	return b.Bytes()
}

func demoPcapng(t testing.TB) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	// The default interface names the system it runs on.
	w, err := pcapgo.NewNgWriterInterface(z, pcapgo.NgInterface{Name: "lo", LinkType: layers.LinkTypeEthernet, SnapLength: 0, TimestampResolution: 9}, pcapgo.NgWriterOptions{})
	require.NoError(t, err)
	writeFrames(t, w, demoFrames(t))
	require.NoError(t, w.Flush())
	require.NoError(t, z.Close())
	return b.Bytes()
}

// TestCaptureFiles makes sure that the captures in testdata are what this file makes.
func TestCaptureFiles(t *testing.T) {
	for name, want := range map[string][]byte{"testdata/demo.pcap": demoPcap(t, layers.LinkTypeEthernet), "testdata/demo.pcapng.gz": demoPcapng(t)} {
		if *update {
			require.NoError(t, os.WriteFile(name, want, 0o666))
		}
		got, err := os.ReadFile(name)
		require.NoError(t, err)
		a, err := readCapture(want, name)
		require.NoError(t, err)
		b, err := readCapture(got, name)
		require.NoError(t, err)
		require.Equal(t, a, b)
		require.Len(t, b, 7)
		require.Equal(t, 60*time.Millisecond, b[6].at)
		require.True(t, b[6].cut)
		require.False(t, b[5].cut)
	}
}

func TestReadCaptureErrors(t *testing.T) {
	good := demoPcap(t, layers.LinkTypeEthernet)
	huge := bytes.Clone(good)
	binary.LittleEndian.PutUint32(huge[24+8:], 1<<31)
	for name, tc := range map[string]struct {
		data []byte
		want string
		code int
	}{
		"empty":        {nil, "neither pcap nor pcapng", exitInput},
		"header":       {good[:20], "neither pcap nor pcapng", exitInput},
		"record":       {good[:30], "cut off in packet 1", exitInput},
		"no data":      {good[:40], "cut off in packet 1", exitInput},
		"half of data": {good[:50], "cut off in packet 1", exitInput},
		"huge":         {huge, "packet 1: capture length", exitInput},
		"link type":    {demoPcap(t, layers.LinkTypeRaw), "link type", exitUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			packets, err := readCapture(tc.data, "x.pcap")
			require.ErrorContains(t, err, tc.want)
			require.ErrorContains(t, err, "x.pcap")
			require.Equal(t, tc.code, exitCode(err))
			require.Nil(t, packets)
		})
	}
}

// ends returns where a capture can end without being cut off: behind the header, and behind each of
// the packets or blocks.
func ends(data []byte) []int {
	order := binary.LittleEndian
	if order.Uint32(data) == 0xa1b2c3d4 {
		list := []int{24}
		for at := 24; at < len(data); list = append(list, at) {
			at += 16 + int(order.Uint32(data[at+8:]))
		}
		return list
	}
	var list []int
	for at := 0; at < len(data); list = append(list, at) {
		at += int(order.Uint32(data[at+4:]))
	}
	return list[1:] // section and interface are the header
}

// TestCutCaptures cuts captures off everywhere: the packets in front of the cut are there.
func TestCutCaptures(t *testing.T) {
	z, err := gzip.NewReader(bytes.NewReader(demoPcapng(t)))
	require.NoError(t, err)
	pcapng, err := io.ReadAll(z)
	require.NoError(t, err)
	for _, data := range [][]byte{demoPcap(t, layers.LinkTypeEthernet), pcapng} {
		all, err := readCapture(data, "x")
		require.NoError(t, err)
		ends := ends(data)
		require.Len(t, ends, len(all)+1)
		for n := ends[0]; n < len(data); n++ {
			whole := sort.SearchInts(ends, n+1) - 1
			got, err := readCapture(data[:n], "x")
			require.Equal(t, all[:whole], append([]packet{}, got...), "%d bytes", n)
			if ends[whole] == n {
				require.NoError(t, err, "%d bytes", n)
				continue
			}
			require.ErrorContains(t, err, fmt.Sprintf("x: the capture is cut off in packet %d: ", whole+1))
			require.Equal(t, exitInput, exitCode(err))
		}
	}
}

// TestRunCutCapture runs the packets in front of the cut, and then says that there is one.
func TestRunCutCapture(t *testing.T) {
	data := demoPcap(t, layers.LinkTypeEthernet)
	name := filepath.Join(t.TempDir(), "cut.pcap")
	require.NoError(t, os.WriteFile(name, data[:len(data)-1], 0o666))
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitInput, run([]string{"run", "testdata/demo.o", "count", "--pcap", name}, nil, &stdout, &stderr))
	require.Contains(t, stdout.String(), "6 packets")
	require.Equal(t, "sandbpf: "+name+": the capture is cut off in packet 7: unexpected EOF\n", stderr.String())
}

func FuzzCapture(f *testing.F) {
	f.Add(demoPcap(f, layers.LinkTypeEthernet))
	f.Add(demoPcapng(f))
	f.Fuzz(func(t *testing.T, data []byte) {
		packets, _ := readCapture(data, "fuzz")
		for _, p := range packets {
			summary(p.data)
		}
	})
}

// FuzzCommands gives what may be anything to every command that reads standard input.
func FuzzCommands(f *testing.F) {
	for _, name := range []string{"testdata/demo.o", "testdata/demo.pcap", "testdata/add.s"} {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(data)
	}
	f.Add([]byte("b7 00 00 00 2a 00 00 00 95 00 00 00 00 00 00 00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, args := range [][]string{
			{"inspect", "-"}, {"inspect", "-", "--json"}, {"disasm", "-"}, {"disasm", "-", "--hex", "--json"},
			{"asm", "--hex"}, {"asm", "--hex", "--syntax", "mnemonic"}, {"plugin", "0102", "--limit", "10000"},
			{"run", "-", "count", "--packet", "000000000000000000000000080045000000", "--limit", "10000", "--json"},
		} {
			var stdout, stderr bytes.Buffer
			code := run(args, bytes.NewReader(data), &stdout, &stderr)
			if code != exitOK && stderr.Len() == 0 { // the report says which runs were stopped
				require.Equal(t, exitProgram, code)
				require.Contains(t, stdout.String(), `"verdict": "stopped"`, "%v failed without a reason", args)
			}
		}
	})
}
