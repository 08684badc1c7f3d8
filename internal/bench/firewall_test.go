package bench

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/loader"
)

// firewallRules are those of examples/firewall but for the limit: what it makes of a packet
// depends on the time, and how often it was sent before.
var firewallRules = []struct {
	prefix netip.Prefix
	action uint32 // as in firewall.c
}{
	{netip.MustParsePrefix("10.0.0.0/8"), 1},
	{netip.MustParsePrefix("10.1.0.0/16"), 0},
	{netip.MustParsePrefix("192.0.2.0/24"), 0},
	{netip.MustParsePrefix("2001:db8:bad::/48"), 1},
}

// installFirewall stores the rules by put, which is that of the map of a name.
func installFirewall(t testing.TB, put func(name string, key, value []byte) error) {
	for i, r := range firewallRules {
		number := binary.NativeEndian.AppendUint32(nil, uint32(i))
		sources := "sources6"
		if r.prefix.Addr().Is4() {
			sources = "sources4"
		}
		key := append(binary.NativeEndian.AppendUint32(nil, uint32(r.prefix.Bits())), r.prefix.Addr().AsSlice()...)
		require.NoError(t, put(sources, key, number))
		require.NoError(t, put("rules", number, binary.NativeEndian.AppendUint64(nil, uint64(r.action))))
	}
}

// firewall is examples/firewall at a hook, and in the kernel if there is one to ask.
type firewall struct {
	point  *hooks.XDPPoint
	cpu    hooks.CPU
	frames []*hooks.XDPFrame
	linux  *kernel.Loaded
}

var firewallObject = filepath.Join("..", "..", "examples", "firewall", "bpf", "firewall.o")

func newFirewall(b *testing.B, rules bool) *firewall {
	spec, err := loader.LoadSpec(firewallObject)
	require.NoError(b, err)
	v, err := sandbpf.New(sandbpf.WithCPUs(2))
	require.NoError(b, err)
	b.Cleanup(func() { v.Close() })
	coll := load(b, v, spec)
	if rules {
		installFirewall(b, func(name string, key, value []byte) error { return coll.Map(name).Put(key, value) })
	}
	f := &firewall{point: hooks.NewXDP("bench")}
	link, err := f.point.Attach(coll.Program("firewall"))
	require.NoError(b, err)
	b.Cleanup(func() { link.Detach() })
	f.cpu, err = v.Acquire()
	require.NoError(b, err)
	b.Cleanup(f.cpu.Release)
	for range 64 {
		frame, err := hooks.NewXDPFrame()
		require.NoError(b, err)
		b.Cleanup(func() { frame.Close() })
		f.frames = append(f.frames, frame)
	}
	if kernel.Available() != nil {
		return f
	}
	theirs, err := ebpf.LoadCollectionSpec(firewallObject)
	require.NoError(b, err)
	live, err := kernel.LoadSpec(theirs)
	require.NoError(b, err)
	b.Cleanup(func() { live.Close() })
	if rules {
		installFirewall(b, func(name string, key, value []byte) error { return live.Maps[name].Put(key, value) })
	}
	f.linux = live.Programs["firewall"]
	return f
}

// firewallWays are how a packet gets to the program, each firing n events of the same packet.
var firewallWays = []struct {
	name string
	fire func(b *testing.B, f *firewall, data []byte, n int)
}{
	{"Fire", func(b *testing.B, f *firewall, data []byte, n int) {
		var res hooks.XDPResult
		for range n {
			if err := f.point.Fire(&hooks.XDPEvent{Packet: data}, &res); err != nil {
				b.Fatal(err)
			}
		}
	}},
	{"FireOn", func(b *testing.B, f *firewall, data []byte, n int) {
		var res hooks.XDPResult
		for range n {
			if err := f.point.FireOn(f.cpu, &hooks.XDPEvent{Packet: data}, &res); err != nil {
				b.Fatal(err)
			}
		}
	}},
	{"frame by frame", func(b *testing.B, f *firewall, _ []byte, n int) { f.fireFrames(b, n, 1, 0) }},
	{"64 received", func(b *testing.B, f *firewall, data []byte, n int) { f.fireFrames(b, n, 64, len(data)) }},
	{"64 frames", func(b *testing.B, f *firewall, _ []byte, n int) { f.fireFrames(b, n, 64, 0) }},
}

// fireFrames fires n events, some at a time. If length is not 0, it is that of a packet that
// has just been received into each frame; otherwise it is the same again, as in Linux's test run.
func (f *firewall) fireFrames(b *testing.B, n, some, length int) {
	batch := f.frames[:some]
	for ; n > 0; n -= some {
		for i := 0; i < some && length > 0; i++ {
			if err := batch[i].SetLen(length); err != nil {
				b.Fatal(err)
			}
		}
		if err := f.point.FireFramesOn(f.cpu, batch); err != nil {
			b.Fatal(err)
		}
	}
}

// receive has all frames hold a packet.
func (f *firewall) receive(b *testing.B, data []byte) {
	for _, frame := range f.frames {
		require.NoError(b, frame.SetLen(copy(frame.Buffer(), data)))
	}
}

// BenchmarkFirewall times a packet of examples/firewall from the hook, beside Linux's test
// run of the same object, rules and packets, which gives the program the same packet again
// and again without a copy.
func BenchmarkFirewall(b *testing.B) {
	if b.N > 1 { // it times itself
		return
	}
	packets := capturedPackets(b)
	for _, rules := range []bool{false, true} {
		f := newFirewall(b, rules)
		times := make([]float64, len(firewallWays)+1) // the last is Linux's
		for _, data := range packets {
			f.receive(b, data)
			samples := make([][]float64, len(times))
			for range rounds {
				for i, way := range firewallWays {
					began := time.Now()
					way.fire(b, f, data, firewallEvents)
					samples[i] = append(samples[i], float64(time.Since(began).Nanoseconds())/firewallEvents)
				}
				if f.linux != nil {
					r, err := f.linux.Run(data, nil, firewallRuns)
					require.NoError(b, err)
					samples[len(firewallWays)] = append(samples[len(firewallWays)], float64(r.Duration.Nanoseconds()))
				}
			}
			for i := range times {
				if len(samples[i]) > 0 {
					times[i] += median(samples[i]) / float64(len(packets))
				}
			}
		}
		theirs := times[len(firewallWays)]
		fmt.Printf("\nfirewall, rules: %t; mean of %d packets; bar: at most 1.00 of Linux\n", rules, len(packets))
		for i, way := range firewallWays {
			fmt.Printf("%-16s %6.1f ns", way.name, times[i])
			if theirs > 0 {
				fmt.Printf("  %5.2f of Linux", times[i]/theirs)
			}
			fmt.Println()
		}
		if theirs > 0 {
			fmt.Printf("%-16s %6.1f ns\n", "Linux test run", theirs)
		}

	}
}

const (
	firewallEvents = 2000
	firewallRuns   = 200_000 // of Linux
)

// capturedPackets returns the packets of the example's capture.
func capturedPackets(b testing.TB) (list [][]byte) {
	data, err := os.ReadFile(filepath.Join("..", "..", "examples", "firewall", "sample.pcap"))
	require.NoError(b, err)
	r, err := pcapgo.NewReader(bytes.NewReader(data))
	require.NoError(b, err)
	for {
		p, _, err := r.ReadPacketData()
		if err != nil {
			return list
		}
		list = append(list, p)
	}
}
