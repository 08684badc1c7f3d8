// Filter runs a tcpdump filter over the packets of a capture, as a packet
// socket of Linux would: the filter's classic BPF is translated to eBPF, and the
// eBPF program runs in a sandbox.
//
//	go run ./examples/filter [-ddd FILE] [-pcap FILE] [-v]
//
// Without arguments it runs its own filter over its own packets. For others:
//
//	tcpdump -y EN10MB -ddd 'icmp or arp' > icmp.ddd
//	go run ./examples/filter -ddd icmp.ddd -pcap capture.pcap
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/asm/cbpf"
	"github.com/sandbpf/sandbpf/hooks"
)

// The default filter is
//
//	tcpdump -y EN10MB -ddd 'tcp[tcpflags] & tcp-syn != 0 or udp port 53'
//
//go:embed syn-or-dns.ddd
var defaultFilter string

//go:embed packets.pcap
var defaultPackets []byte

func main() {
	ddd := flag.String("ddd", "", "`file` with the filter, as tcpdump -ddd prints it for Ethernet (default: TCP SYN or DNS)")
	pcap := flag.String("pcap", "", "`file` with the packets, a pcap of Ethernet frames (default: a few of its own)")
	verbose := flag.Bool("v", false, "print the filter and its translation first")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "filter: no arguments but flags; a filter expression is for tcpdump -ddd to compile")
		os.Exit(2)
	}
	if err := run(os.Stdout, *ddd, *pcap, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, "filter:", err)
		os.Exit(1)
	}
}

// run runs the filter in one file over the packets in the other, "" for the
// embedded ones.
func run(out io.Writer, dddFile, pcapFile string, verbose bool) (err error) {
	classic, insns, err := readFilter(dddFile)
	if err != nil {
		return err
	}
	capture, packets, err := openCapture(pcapFile)
	if err != nil {
		return err
	}
	defer capture.Close()

	if verbose {
		fmt.Fprintf(out, "%v\n%v\n", classic, insns)
	}
	vm, err := sandbpf.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	filter, err := vm.LoadProgram(&sandbpf.ProgramSpec{Name: "filter", Type: sandbpf.SocketFilter, Instructions: insns}, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, filter.Close()) }()
	socket := hooks.NewSocketFilter("socket")
	link, err := socket.Attach(filter)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, link.Detach()) }()
	return judge(out, socket, packets)
}

// readFilter reads a filter and translates it. The error says where it is wrong.
func readFilter(file string) (classic cbpf.Program, insns asm.Instructions, err error) {
	name, text := "default filter", defaultFilter
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, nil, err
		}
		name, text = file, string(b)
	}
	if classic, err = cbpf.Parse(text); err == nil {
		insns, err = cbpf.Translate(classic, cbpf.SocketFilter)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return classic, insns, nil
}

// openCapture opens a capture. The caller closes it when it has read the packets.
func openCapture(file string) (io.Closer, *pcapgo.Reader, error) {
	name, capture := "default packets", io.NopCloser(bytes.NewReader(defaultPackets))
	if file != "" {
		f, err := os.Open(file)
		if err != nil {
			return nil, nil, err
		}
		name, capture = file, f
	}
	packets, err := pcapgo.NewReader(capture)
	if err == nil && packets.LinkType() != layers.LinkTypeEthernet {
		err = fmt.Errorf("link type %v, want Ethernet", packets.LinkType())
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: no packets to read: %w", name, err), capture.Close())
	}
	return capture, packets, nil
}

// judge prints what the filter at the socket says of each packet.
func judge(out io.Writer, socket *hooks.SocketPoint, packets *pcapgo.Reader) error {
	fmt.Fprintln(out, "   #  verdict  captured    packet")
	total, accepted := 0, 0
	var event hooks.SKBEvent
	var result hooks.SKBResult
	for {
		data, _, err := packets.ReadPacketData()
		if err == io.EOF {
			break
		}
		total++
		if err != nil {
			return fmt.Errorf("packet %d: %w", total, err)
		}
		// A socket's filter sees what is behind the link layer header, but a packet
		// socket's starts at it: so the event has it twice.
		var header [14]byte
		copy(header[:], data)
		event.Packet = append(append(event.Packet[:0], header[:]...), data...)
		if err := socket.Fire(&event, &result); err != nil {
			return fmt.Errorf("packet %d: %w", total, err)
		}
		verdict, captured := "drop", min(uint64(uint32(result.Ret)), uint64(len(data)))
		if captured > 0 {
			verdict = "accept"
			accepted++
		}
		fmt.Fprintf(out, "%4d  %-7s  %4d/%-5d  %s\n", total, verdict, captured, len(data), summary(data))
	}
	_, err := fmt.Fprintf(out, "\n%d packets: %d accepted, %d dropped\n", total, accepted, total-accepted)
	return err
}

// summary returns the layers of a frame, with addresses and ports.
func summary(data []byte) string {
	var s []string
	for _, layer := range gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.NoCopy).Layers() {
		text := layer.LayerType().String()
		if len(layer.LayerContents()) > 0 { // else it is cut off
			text += details(layer)
		}
		s = append(s, text)
	}
	return strings.Join(s, ", ")
}

func details(layer gopacket.Layer) string {
	switch l := layer.(type) {
	case gopacket.NetworkLayer:
		return " " + l.NetworkFlow().String()
	case *layers.TCP:
		return " " + l.TransportFlow().String() + flags(l)
	case gopacket.TransportLayer:
		return " " + l.TransportFlow().String()
	}
	return ""
}

// flags returns the flags of a segment that are set.
func flags(l *layers.TCP) string {
	s := ""
	for _, f := range []struct {
		name string
		set  bool
	}{{"SYN", l.SYN}, {"ACK", l.ACK}, {"PSH", l.PSH}, {"FIN", l.FIN}, {"RST", l.RST}} {
		if f.set {
			s += " " + f.name
		}
	}
	return s
}
