package hooks

import (
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// XDPFrame is a packet in memory of its own, outside the Go heap, which programs work on as it
// lies there: nothing is copied, neither in nor out. It is for those who have many packets, or
// the same again and again, and let them be written where programs see them:
//
//	f, err := hooks.NewXDPFrame()
//	n, err := socket.Read(f.Buffer())
//	err = f.SetLen(n)
//	err = point.FireFrames([]*hooks.XDPFrame{f})
//	if f.Action == hooks.XDPTx { socket.Write(f.Packet()) }
//
// A frame is for one goroutine at a time. Slices of its memory are good until Close.
type XDPFrame struct {
	IngressIfindex uint32
	RxQueueIndex   uint32

	// Action is what the programs have made of the packet, and Err why it is XDP_ABORTED
	// where no program said so: a [*vm.Fault], or an error that wraps one of this package's.
	Action XDPAction
	Err    error

	event helper.Event
}

// MaxXDPFrame is the length of the longest packet of a frame, in bytes: what Linux has room for in
// a page, behind XDP_PACKET_HEADROOM and before struct skb_shared_info.
const MaxXDPFrame = helper.XDPFrame - helper.XDPHeadroom

// NewXDPFrame returns a frame with an empty packet. The error says that there is no memory.
func NewXDPFrame() (*XDPFrame, error) {
	f := new(XDPFrame)
	if err := f.SetLen(0); err != nil {
		return nil, err
	}
	return f, nil
}

// Buffer returns where [XDPFrame.SetLen] expects a packet, [MaxXDPFrame] bytes; nil after Close.
// It holds what was there before.
func (f *XDPFrame) Buffer() []byte {
	return f.event.Packet.Room(helper.XDPHeadroom, helper.XDPFrame)
}

// SetLen makes the first n bytes of Buffer the packet, from the Ethernet header on and
// without metadata. Programs may have moved it, or made it longer or shorter: without SetLen,
// the next event begins with what the last has left. The error is about n, or says that
// there is no memory after Close.
func (f *XDPFrame) SetLen(n int) error {
	return f.event.Packet.Place(n, helper.XDPHeadroom, helper.XDPFrame)
}

// Packet returns the packet as it is now: the memory itself.
func (f *XDPFrame) Packet() []byte { return f.event.Packet.Bytes() }

// Meta returns the metadata in front of the packet: the memory itself.
func (f *XDPFrame) Meta() []byte { return f.event.Packet.Metadata() }

// Redirect returns where programs want the packet to go, if Action is XDP_REDIRECT.
func (f *XDPFrame) Redirect() Redirect {
	if f.Action != XDPRedirect {
		return Redirect{}
	}
	return f.event.Redirect
}

// Close gives the memory back. SetLen gets the frame new one.
func (f *XDPFrame) Close() error { return f.event.Packet.Close() }

// FireFrames gives each of the frames to the programs, in order, and puts into it what became of
// it. It leases a CPU, and looks which programs there are, once for all. It does not allocate.
// A fault ends the run of its frame only; the error is the first of them, or
// [ErrClosed], with which no frame is touched.
func (p *XDPPoint) FireFrames(frames []*XDPFrame) error {
	ch, c, err := p.lease()
	if err != nil {
		return err
	}
	if c == nil {
		passFrames(frames)
		return nil
	}
	err = fireFrames(ch, c, frames)
	c.M.Release(c)
	return err
}

// FireFramesOn is FireFrames on a CPU that the caller holds.
func (p *XDPPoint) FireFramesOn(cpu CPU, frames []*XDPFrame) error {
	ch, err := p.on(cpu)
	switch {
	case err != nil:
		return err
	case len(ch.links) == 0:
		passFrames(frames)
		return nil
	}
	return fireFrames(ch, cpu.c, frames)
}

// passFrames is what becomes of frames without programs.
func passFrames(frames []*XDPFrame) {
	for _, f := range frames {
		f.Action, f.Err = XDPPass, nil
	}
}

func fireFrames(ch *chain, c *vm.CPU, frames []*XDPFrame) (first error) {
	m, err := memoryOf(c)
	if err != nil {
		return err
	}
	ctx := m.ctx[:xdpMdSize]
	clear(ctx)
	m.begin(c, ch.hook)
	host := ch.links[0].exec.Host
	for _, f := range frames {
		e := &f.event
		if e.Redirect.Kind != helper.NoRedirect {
			e.Redirect = Redirect{}
		}
		e.Host = host
		order.PutUint32(ctx[12:], f.IngressIfindex)
		order.PutUint32(ctx[16:], f.RxQueueIndex)
		c.Event = e
		e.Packet.Offer(c)
		ret, err := ch.run(c)
		if err == nil {
			f.Action, f.Err = XDPAction(ret), nil
			continue
		}
		f.Action, f.Err = XDPAborted, err
		if first == nil {
			first = err
		}
	}
	c.Event = nil
	c.OfferPacket(0, 0, 0) // the last is the caller's, who may give it back
	return first
}
