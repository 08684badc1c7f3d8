package pcapgen

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the capture files")

const (
	ms     = time.Millisecond
	folder = "../../testdata/pcap"
)

func TestFiles(t *testing.T) {
	for name, generate := range map[string]func(*testing.T) *capture{
		"firewall.pcap": firewall,
		"mixed.pcap":    mixed,
	} {
		t.Run(name, func(t *testing.T) {
			made := generate(t)
			path := filepath.Join(folder, name)
			if *update {
				require.NoError(t, os.WriteFile(path, made.out.Bytes(), 0o644))
			}
			file, err := os.ReadFile(path)
			require.NoError(t, err)
			require.True(t, bytes.Equal(made.out.Bytes(), file), "%s is not what the generator makes", name)
			require.Equal(t, made.n, count(t, file))
		})
	}
}

// count reads a capture file and returns how many packets it has.
func count(t *testing.T, file []byte) int {
	r, err := pcapgo.NewReader(bytes.NewReader(file))
	require.NoError(t, err)
	for n := 0; ; n++ {
		_, _, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			return n
		}
		require.NoError(t, err)
	}
}

// firewall is traffic for a packet filter: ordinary clients, sources of lists,
// fragments, malformed packets, and one source that sends 200 packets in 200 ms.
// testdata/pcap/README.md has the addresses.
func firewall(t *testing.T) *capture {
	c := newCapture(t)
	const server4, server6 = "203.0.113.10", "2001:db8:1::10"
	c.add(0, arp(t, 1, "192.0.2.1", server4), 0)
	for i := range 12 {
		at := uint16(i)
		four := between(fmt.Sprintf("192.0.2.%d", i+1), server4, 40000+at, 443)
		six := between(fmt.Sprintf("2001:db8:2::%x", i+1), server6, 40000+at, 443)
		for _, f := range []flow{four, six} {
			c.add(15*ms, tcp(t, f, "S", 0), 0)
			c.add(5*ms, tcp(t, f, "A", 0), 0)
			c.add(5*ms, tcp(t, f, "PA", 100+10*i), 0)
			f.dport = []uint16{22, 80, 23, 8080}[i%4]
			c.add(5*ms, tcp(t, f, "S", 0, 10), 0)
			f.dport = []uint16{53, 123, 161, 4789}[i%4]
			c.add(5*ms, udp(t, f, 40+i), 0)
		}
		c.add(5*ms, icmp4(t, four, 8, 0, 56), 0)
		c.add(5*ms, icmp6(t, six, 128, 0, 56), 0)
	}
	for i := range 10 { // of listed sources
		c.add(20*ms, tcp(t, between(fmt.Sprintf("198.51.100.%d", i), server4, 50000, 443), "S", 0), 0)
		c.add(20*ms, udp(t, between(fmt.Sprintf("2001:db8:bad::%x", i), server6, 50000, 53), 30), 0)
	}
	for range 200 { // a burst
		c.add(ms, udp(t, between("192.0.2.99", server4, 9999, 53), 64), 0)
	}
	for _, part := range fragments4(t, between("192.0.2.20", server4, 6000, 53), 1200, 400) {
		c.add(10*ms, part, 0)
	}
	six := between("2001:db8:2::20", server6, 6000, 53)
	c.add(10*ms, extended(t, six, layers.IPProtocolIPv6Fragment, 17, 0, 0, 1, 0, 0, 0, 7, 0x17, 0x70, 0, 53, 0, 16, 0, 0), 0)
	c.add(10*ms, extended(t, six, layers.IPProtocolIPv6Fragment, 17, 0, 0, 8, 0, 0, 0, 7, 1, 2, 3, 4, 5, 6, 7, 8), 0)
	c.add(10*ms, extended(t, six, layers.IPProtocolIPv6HopByHop, 17, 0, 5, 2, 0, 0, 1, 0, 0x17, 0x70, 0, 53, 0, 8, 0, 0), 0)
	c.malformed(between("192.0.2.21", server4, 7000, 443))
	return c
}

// malformed adds packets that end early or contradict themselves.
func (c *capture) malformed(f flow) {
	good := tcp(c.t, f, "S", 20)
	for _, end := range []int{10, 14, 20, 33, 40, 53} {
		c.add(10*ms, good[:end], 0)
	}
	change := func(at int, to byte) {
		bad := bytes.Clone(good)
		bad[at] = to
		c.add(10*ms, bad, 0)
	}
	change(14, 0x44)                             // IHL of four words
	change(14, 0x65)                             // IP version 6 in an IPv4 packet
	change(14, 0x4f)                             // IHL of fifteen words
	change(17, 10)                               // total length of ten bytes
	change(16, 0xff)                             // total length beyond the end
	change(14+20+12, 0x20)                       // TCP header of two words
	c.add(10*ms, udp(c.t, f, 8, 1, 2)[:16], 0)   // ends within the second tag
	c.add(10*ms, udp(c.t, f, 8, 1, 2, 3), 0)     // three tags
	c.add(10*ms, frame(c.t, nil, payload(0)), 0) // an unknown EtherType, nothing after it
}

// mixed is a bit of everything for packet filters, in a shuffled order that is
// always the same. Some packets were captured only in part.
func mixed(t *testing.T) *capture {
	c := newCapture(t)
	r := rand.New(rand.NewPCG(1, 2))
	var all [][]byte
	add := func(packets ...[]byte) { all = append(all, packets...) }
	for i := range 60 {
		four, six := randomFlow(r, true), randomFlow(r, false)
		add(tcp(t, four, []string{"S", "SA", "A", "PA", "FA", "R", "RA", "PAU"}[i%8], r.IntN(300)))
		add(tcp(t, six, []string{"S", "A", "PA", "F"}[i%4], r.IntN(300)))
		add(udp(t, four, r.IntN(500)), udp(t, six, r.IntN(500)))
	}
	for i := range 30 {
		four, six := randomFlow(r, true), randomFlow(r, false)
		add(icmp4(t, four, []uint8{0, 3, 5, 8, 11, 13}[i%6], uint8(i%3), r.IntN(100)))
		add(icmp6(t, six, []uint8{1, 2, 3, 128, 129, 133, 134, 135, 136}[i%9], 0, r.IntN(100)))
		add(udp(t, four, 40, uint16(i)), tcp(t, six, "S", 0, uint16(100+i)))
		add(udp(t, six, 20, 7, uint16(i)))
	}
	for i := range 10 {
		four, six := randomFlow(r, true), randomFlow(r, false)
		add(arp(t, uint16(1+i%2), four.src.String(), four.dst.String()))
		add(tunnels(t, four, six)...)
		add(options(t, four, i))
		add(frame(t, nil, payload(46)))
	}
	for _, size := range []int{64, 256, 512} {
		add(fragments4(t, randomFlow(r, true), 1000, size)...)
	}
	six := randomFlow(r, false)
	add(extended(t, six, layers.IPProtocolIPv6Fragment, 6, 0, 0, 9, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8))
	add(extended(t, six, layers.IPProtocolIPv6HopByHop, 58, 0, 5, 2, 0, 0, 1, 0, 143, 0, 0, 0, 0, 0, 0, 0))
	add(extended(t, six, layers.IPProtocolIPv6Routing, 17, 0, 4, 0, 0, 0, 0, 0, 0, 53, 0, 53, 0, 8, 0, 0))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for i, data := range all {
		keep := 0
		if i%16 == 15 {
			keep = 14 + r.IntN(60)
		}
		c.add(time.Duration(r.IntN(5000))*time.Microsecond, data, keep)
	}
	c.malformed(randomFlow(r, true))
	return c
}

var ports = []uint16{20, 22, 25, 53, 67, 68, 80, 123, 161, 443, 514, 1023, 1024, 3306, 5353, 8080, 49152, 65535}

func randomFlow(r *rand.Rand, four bool) flow {
	f := flow{sport: ports[r.IntN(len(ports))], dport: ports[r.IntN(len(ports))]}
	if r.IntN(3) > 0 {
		f.sport = uint16(1024 + r.IntN(60000))
	}
	addr := func() netip.Addr {
		if four {
			nets := [][3]byte{{10, 0, 0}, {192, 168, 1}, {172, 16, 5}, {203, 0, 113}, {224, 0, 0}}
			n := nets[r.IntN(len(nets))]
			return netip.AddrFrom4([4]byte{n[0], n[1], n[2], byte(1 + r.IntN(6))})
		}
		a := netip.MustParseAddr([]string{"2001:db8::", "fe80::", "fd00:1::", "ff02::"}[r.IntN(4)]).As16()
		a[15] = byte(1 + r.IntN(6))
		return netip.AddrFrom16(a)
	}
	f.src, f.dst = addr(), addr()
	return f
}

// tunnels are GRE, IP in IP and IPv6 in IPv4 around a UDP packet.
func tunnels(t *testing.T, four, six flow) [][]byte {
	inner4, inner6 := udp(t, four, 24)[14:], udp(t, six, 24)[14:]
	return [][]byte{
		frame(t, nil, four.ip(layers.IPProtocolGRE), &layers.GRE{Protocol: layers.EthernetTypeIPv4}, gopacket.Payload(inner4)),
		frame(t, nil, four.ip(layers.IPProtocolIPIP), gopacket.Payload(inner4)),
		frame(t, nil, four.ip(layers.IPProtocolIPv6), gopacket.Payload(inner6)),
	}
}

// options is a TCP packet over IPv4 with n+1 words of options.
func options(t *testing.T, f flow, n int) []byte {
	ip := f.ip(layers.IPProtocolTCP).(*layers.IPv4)
	data := make([]byte, 4*(n%10)+2)
	binary.BigEndian.PutUint16(data, uint16(n))
	ip.Options = []layers.IPv4Option{{OptionType: 0x94, OptionLength: uint8(len(data) + 2), OptionData: data}}
	return frame(t, nil, ip, &layers.TCP{SrcPort: layers.TCPPort(f.sport), DstPort: layers.TCPPort(f.dport), SYN: true}, payload(n))
}
