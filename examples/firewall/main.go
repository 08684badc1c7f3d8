// Command firewall has an XDP firewall, which clang compiled, judge the packets of a
// capture file, and prints what became of them.
//
//	go run ./examples/firewall
//	go run ./examples/firewall -pcap FILE -rules FILE
//
// A rules file has lines like "deny 10.0.0.0/8", "allow 10.1.0.0/16" and
// "limit 192.0.2.0/24 3", three packets a second from each source. The longest prefix
// counts. Time is that of the capture.
package main

import (
	"bytes"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/loader"
)

//go:generate clang-19 -O2 -g -Wall -Werror -ffile-compilation-dir=. -I../../testdata/include -target bpfel -mcpu=v3 -c bpf/firewall.c -o bpf/firewall.o
//go:generate llvm-strip-19 -g bpf/firewall.o
//go:generate go test -run TestSample -update

var (
	//go:embed bpf/firewall.o
	object []byte
	//go:embed sample.pcap
	sample []byte
)

// shown is how many packets the table has at most.
const shown = 40

func main() {
	log.SetFlags(0)
	pcap := flag.String("pcap", "", "capture file to judge (default: an included one)")
	rulesFile := flag.String("rules", "", "rules (default: four examples)")
	flag.Parse()
	if flag.NArg() > 0 {
		log.Fatalf("firewall: unexpected argument %q: a capture is given by -pcap, rules by -rules", flag.Arg(0))
	}
	if err := run(os.Stdout, *pcap, *rulesFile); err != nil {
		log.Fatal("firewall: ", err)
	}
}

func run(out io.Writer, pcap, rulesFile string) error {
	capture, rulesText := sample, []byte(defaultRules)
	var err error
	if pcap != "" {
		if capture, err = os.ReadFile(pcap); err != nil {
			return err
		}
	}
	if rulesFile != "" {
		if rulesText, err = os.ReadFile(rulesFile); err != nil {
			return err
		}
	}
	rules, err := parseRules(bytes.NewReader(rulesText))
	if err != nil {
		return fmt.Errorf("rules: %w", err)
	}
	packets, err := open(capture)
	if err != nil {
		return fmt.Errorf("capture: %w", err)
	}
	return judge(out, packets, rules)
}

// open reads a capture file of either format.
func open(capture []byte) (packets gopacket.PacketDataSource, err error) {
	var link layers.LinkType
	if r, pcapErr := pcapgo.NewReader(bytes.NewReader(capture)); pcapErr == nil {
		packets, link = r, r.LinkType()
	} else if r, err := pcapgo.NewNgReader(bytes.NewReader(capture), pcapgo.DefaultNgReaderOptions); err == nil {
		packets, link = r, r.LinkType()
	} else {
		return nil, pcapErr
	}
	if link != layers.LinkTypeEthernet {
		return nil, fmt.Errorf("packets are of %v, want Ethernet", link)
	}
	return packets, nil
}

// judge loads the firewall, gives it the packets and prints what it says.
func judge(out io.Writer, packets gopacket.PacketDataSource, rules []rule) (err error) {
	spec, err := loader.LoadSpecFromReader(bytes.NewReader(object))
	if err != nil {
		return err
	}
	var now uint64 // of the capture
	vm, err := sandbpf.New(sandbpf.WithCPUs(1), sandbpf.WithClock(func() uint64 { return now }))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, vm.Close()) }()
	coll, err := vm.LoadCollection(spec)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, coll.Close()) }()
	if err := install(coll, rules); err != nil {
		return err
	}
	device := hooks.NewXDP("capture")
	link, err := device.Attach(coll.Program("firewall"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, link.Detach()) }()

	verdicts := make(map[hooks.XDPAction]int)
	var event hooks.XDPEvent
	var result hooks.XDPResult
	fmt.Fprintf(out, "%5s  %-40s %6s  %s\n", "#", "packet", "bytes", "verdict")
	n := 0
	for ; ; n++ {
		data, info, err := packets.ReadPacketData()
		if err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("packet %d: %w", n+1, err)
		}
		now = uint64(info.Timestamp.UnixNano())
		event.Packet = data
		if err := device.Fire(&event, &result); err != nil {
			return fmt.Errorf("packet %d: %w", n+1, err)
		}
		verdicts[result.Action]++
		if n < shown {
			fmt.Fprintf(out, "%5d  %-40s %6d  %v\n", n+1, describe(data), len(data), result.Action)
		}
	}
	if n > shown {
		fmt.Fprintf(out, "       and %d more\n", n-shown)
	}
	fmt.Fprintf(out, "\n%d packets: %d passed, %d dropped\n\n", n, verdicts[hooks.XDPPass], verdicts[hooks.XDPDrop])
	return printCounters(out, coll, rules)
}

// counter is struct counter of firewall.c.
type counter struct{ Packets, Bytes, Dropped uint64 }

func printCounters(out io.Writer, coll *sandbpf.Collection, rules []rule) error {
	fmt.Fprintf(out, "%-32s %8s %8s %8s\n", "rule", "packets", "bytes", "dropped")
	for i, r := range rules {
		var cpus []counter
		if err := coll.Map("counters").Lookup(uint32(i), &cpus); err != nil {
			return err
		}
		var sum counter
		for _, c := range cpus {
			sum.Packets, sum.Bytes, sum.Dropped = sum.Packets+c.Packets, sum.Bytes+c.Bytes, sum.Dropped+c.Dropped
		}
		fmt.Fprintf(out, "%-32s %8d %8d %8d\n", r, sum.Packets, sum.Bytes, sum.Dropped)
	}
	return nil
}

// describe says what a packet is: its addresses and the protocol above them.
func describe(data []byte) string {
	p := gopacket.NewPacket(data, layers.LayerTypeEthernet, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	network := p.NetworkLayer()
	if network == nil {
		if l := p.Layers(); len(l) > 1 {
			return l[1].LayerType().String()
		}
		return "unknown"
	}
	flow := network.NetworkFlow()
	if len(flow.Src().Raw()) == 0 {
		return "malformed " + network.LayerType().String()
	}
	text := fmt.Sprintf("%v > %v", flow.Src(), flow.Dst())
	if t := p.TransportLayer(); t != nil {
		text += " " + strings.ToLower(t.LayerType().String())
	}
	return text
}
