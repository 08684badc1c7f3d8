package hooks

import (
	"fmt"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// XDPAction is the verdict of an XDP program (enum xdp_action in the UAPI).
type XDPAction uint32

// The verdicts of XDP programs. Linux takes any other for XDPAborted.
const (
	XDPAborted XDPAction = iota
	XDPDrop
	XDPPass
	XDPTx
	XDPRedirect
)

var xdpActions = [...]string{"XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"}

// String returns the name in C.
func (a XDPAction) String() string {
	if int(a) < len(xdpActions) {
		return xdpActions[a]
	}
	return fmt.Sprintf("xdp_action(%d)", uint32(a))
}

// read and write sets of sizes, for tables of fields.
const (
	size1   = 1
	size4   = 4
	size8   = 8
	size124 = 1 | 2 | 4
	sizeAll = 1 | 2 | 4 | 8
)

// XDP is the type of XDP programs. Their context is struct xdp_md.
var XDP = &Type{
	Name: "xdp", Prog: prog.XDP, Sections: []string{"xdp", "xdp.frags"},
	Layout: &prog.CtxLayout{Name: "xdp_md", Size: xdpMdSize, Fields: []prog.CtxField{
		{Name: "data", Off: 0, Size: 4, Kind: prog.PacketData, Ptr: helper.PtrData, Reads: size4},
		{Name: "data_end", Off: 4, Size: 4, Kind: prog.PacketEnd, Ptr: helper.PtrDataEnd, Reads: size4},
		{Name: "data_meta", Off: 8, Size: 4, Kind: prog.PacketMeta, Ptr: helper.PtrDataMeta, Reads: size4},
		{Name: "ingress_ifindex", Off: 12, Size: 4, Reads: size4},
		{Name: "rx_queue_index", Off: 16, Size: 4, Reads: size4},
		// egress_ifindex at 20 is for programs in a devmap only.
	}},
	Returns: anyReturn, next: uint64(XDPPass), bits32: true,
	load: testLoadXDP, store: testStoreXDP,
}

const xdpMdSize = 24

// XDPEvent is a frame that arrives at a device.
type XDPEvent struct {
	Packet         []byte // from the Ethernet header on; it is copied
	Meta           []byte // metadata in front of the packet, as a program before has left it; a multiple of 4, at most 252 bytes
	IngressIfindex uint32
	RxQueueIndex   uint32
}

// XDPResult is what became of an [XDPEvent]. Its slices are reused by the next
// Fire into the same result.
type XDPResult struct {
	Action   XDPAction
	Packet   []byte // after the run
	Meta     []byte // data_meta to data
	Redirect Redirect
}

// XDPPoint is where XDP programs attach: a device, say. Programs run in order
// as long as they return XDP_PASS, as under libxdp's dispatcher; the first other
// verdict stands. Without programs it is XDP_PASS.
type XDPPoint struct{ point }

// NewXDP returns a point without programs. The name is for messages.
func NewXDP(name string) *XDPPoint { return &XDPPoint{point{name: name, hook: XDP}} }

// Fire gives ev to the programs and puts into res what became of it. It does not
// allocate where the slices of res have room and no program redirects. An error is
// a [*vm.Fault] or wraps one of the errors of this package; the packet is then to
// be treated as XDP_ABORTED, which is what res.Action says.
func (p *XDPPoint) Fire(ev *XDPEvent, res *XDPResult) error {
	if ev == nil || res == nil {
		return p.missing(ev == nil)
	}
	ch, c, err := p.lease()
	if err != nil {
		res.Action = XDPAborted
		return err
	}
	if c == nil {
		res.pass(ev)
		return nil
	}
	ended := false
	defer release(c, &ended)
	err = fireXDP(ch, c, ev, res)
	ended = true
	return err
}

// FireOn is Fire on a CPU that the caller holds.
func (p *XDPPoint) FireOn(cpu CPU, ev *XDPEvent, res *XDPResult) error {
	if ev == nil || res == nil {
		return p.missing(ev == nil)
	}
	ch, err := p.on(cpu)
	switch {
	case err != nil:
		res.Action = XDPAborted
		return err
	case len(ch.links) == 0:
		res.pass(ev)
		return nil
	}
	return fireXDP(ch, cpu.c, ev, res)
}

// pass is the result without programs.
func (res *XDPResult) pass(ev *XDPEvent) {
	res.Action, res.Redirect = XDPPass, Redirect{}
	res.Packet = append(res.Packet[:0], ev.Packet...)
	res.Meta = append(res.Meta[:0], ev.Meta...)
}

func fireXDP(ch *chain, c *vm.CPU, ev *XDPEvent, res *XDPResult) error {
	res.Action = XDPAborted
	m, err := memoryOf(c)
	if err != nil {
		return err
	}
	if err := m.loadXDP(ch.hook, c, ev); err != nil {
		return err
	}
	m.event.Host = ch.links[0].exec.Host
	ret, err := ch.run(c)
	if err != nil {
		return err
	}
	res.Action = XDPAction(ret)
	e := &m.event
	res.Packet = append(res.Packet[:0], e.Packet.Bytes()...)
	res.Meta = res.Meta[:0]
	if meta := e.Packet.Metadata(); len(meta) > 0 {
		res.Meta = append(res.Meta, meta...)
	}
	switch {
	case res.Action == XDPRedirect:
		res.Redirect = e.Redirect
	case res.Redirect.Kind != helper.NoRedirect:
		res.Redirect = Redirect{}
	}
	return nil
}

// loadXDP makes ev what the next run on c sees.
func (m *memory) loadXDP(t *Type, c *vm.CPU, ev *XDPEvent) error {
	e := &m.event
	if err := e.LoadXDP(ev.Packet); err != nil {
		return err
	}
	if len(ev.Meta) > 0 {
		if err := e.Packet.SetMetadata(ev.Meta); err != nil {
			return err
		}
	}
	e.Refresh = nil
	ctx := m.ctx[:xdpMdSize]
	clear(ctx)
	order.PutUint32(ctx[12:], ev.IngressIfindex)
	order.PutUint32(ctx[16:], ev.RxQueueIndex)
	m.begin(c, t)
	e.Packet.Offer(c)
	return nil
}

// begin gives the context of a packet hook to the next run on c.
func (m *memory) begin(c *vm.CPU, t *Type) {
	c.Event = &m.event
	c.EntryR2 = 0
	c.SetCtx(t.Layout, m.arena.Addr(), t.Layout.Size)
}
