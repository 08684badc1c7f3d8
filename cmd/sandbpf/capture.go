package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// packet is an input of a program.
type packet struct {
	data []byte
	at   time.Duration // since the first
	cut  bool          // the capture has not all of it
}

// packetReader is what the readers of both capture formats have.
type packetReader interface {
	ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
	LinkType() layers.LinkType
}

// readCapture reads the packets of a file in pcap or pcapng format, possibly compressed by
// gzip. If the file is cut off or broken at some place, it returns the packets in front of that
// and an error, as tcpdump and Wireshark show them.
func readCapture(data []byte, name string) ([]packet, error) {
	r, err := captureReader(data)
	if err != nil {
		return nil, inputErrorf("%s: it is neither pcap nor pcapng: %w", name, err)
	}
	if t := r.LinkType(); t != layers.LinkTypeEthernet {
		return nil, unsupportedf("%s: link type %v is not supported, only Ethernet is", name, t)
	}
	var out []packet
	var first time.Time
	for total := 0; ; {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) && info.CaptureLength == 0 {
			return out, nil
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return out, inputErrorf("%s: the capture is cut off in packet %d: %w", name, len(out)+1, err)
		case err != nil:
			return out, inputErrorf("%s: packet %d: %w", name, len(out)+1, err)
		}
		if total += len(data); total > maxInput {
			return nil, inputErrorf("%s: packet %d: more than %d bytes of packets", name, len(out)+1, maxInput)
		}
		if len(out) == 0 {
			first = info.Timestamp
		}
		out = append(out, packet{data, info.Timestamp.Sub(first), info.CaptureLength < info.Length})
	}
}

func captureReader(data []byte) (packetReader, error) {
	r, err := pcapgo.NewReader(bytes.NewReader(data))
	if err == nil {
		return r, nil
	}
	// Packets of interfaces with other link types would be left out without a word.
	ng, ngErr := pcapgo.NewNgReader(bytes.NewReader(data), pcapgo.NgReaderOptions{ErrorOnMismatchingLinkType: true})
	switch {
	case ngErr == nil:
		return ng, nil
	case bytes.HasPrefix(data, []byte("\n\r\r\n")): // the type of the first block
		return nil, ngErr
	}
	return nil, err
}

// summary returns addresses, ports and protocol of an Ethernet frame, as far as there are
// any.
func summary(frame []byte) string {
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.DecodeOptions{NoCopy: true})
	network := p.NetworkLayer()
	if network == nil {
		return innermost(p)
	}
	src, dst := network.NetworkFlow().Endpoints()
	from, to := src.String(), dst.String()
	if t := p.TransportLayer(); t != nil {
		sport, dport := t.TransportFlow().Endpoints()
		from, to = net.JoinHostPort(from, fmt.Sprint(sport)), net.JoinHostPort(to, fmt.Sprint(dport))
		return fmt.Sprintf("%s > %s %v", from, to, t.LayerType())
	}
	return fmt.Sprintf("%s > %s %s", from, to, innermost(p))
}

// innermost returns the name of the last protocol in a packet.
func innermost(p gopacket.Packet) string {
	name := "no frame"
	for _, l := range p.Layers() {
		switch t := l.LayerType(); t {
		case gopacket.LayerTypePayload, gopacket.LayerTypeDecodeFailure, gopacket.LayerTypeFragment:
		default:
			name = t.String()
		}
	}
	return name
}
