package hooks

import (
	"fmt"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/mem"
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
//	if f.Action() == hooks.XDPTx { socket.Write(f.Packet()) }
//
// A frame is for one goroutine at a time. Slices of its memory are good until Close.
type XDPFrame struct {
	run     vm.PacketRun // first, see frameRuns
	fresh   bool         // event.Packet is not where run says yet, see packet
	event   helper.Event
	err     error
	ifindex uint32
	queue   uint32
}

// What PacketRun.Left is of runs that Go has seen to.
const (
	seenTo = 1 + iota
	faulted
)

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
	r := &f.run
	if r.Ctx == 0 || uint(n) > MaxXDPFrame {
		return f.setLen(n)
	}
	r.Data = r.Ctx + helper.XDPHeadroom
	r.Meta, r.End, f.fresh = r.Data, r.Data+uint64(n), true
	return nil
}

// setLen is SetLen of a frame without memory, or where n is wrong.
func (f *XDPFrame) setLen(n int) error {
	if err := f.event.Packet.Place(n, helper.XDPHeadroom, helper.XDPFrame); err != nil {
		return err
	}
	f.run.Ctx = f.event.Packet.Base()
	f.writeCtx() // see SetDevice
	return f.SetLen(n)
}

// packet returns the packet for who does more with it than programs that are run in a batch.
func (f *XDPFrame) packet() *helper.Packet {
	p := &f.event.Packet
	if f.fresh {
		// There is memory, and SetLen has looked at the length.
		_ = p.Place(int(f.run.End-f.run.Data), helper.XDPHeadroom, helper.XDPFrame)
		f.fresh = false
	}
	return p
}

// point has the run find the packet where it is.
func (f *XDPFrame) point() {
	r := &f.run
	r.Meta, r.Data, r.End = f.event.Packet.Pointers()
}

// SetDevice sets ingress_ifindex and rx_queue_index, which are 0 else.
func (f *XDPFrame) SetDevice(ingressIfindex, rxQueueIndex uint32) {
	f.ifindex, f.queue = ingressIfindex, rxQueueIndex
	f.writeCtx()
}

// writeCtx writes struct xdp_md, for which there is room where Linux has struct xdp_frame: packets
// do not get there.
func (f *XDPFrame) writeCtx() {
	if ctx := f.event.Packet.Room(0, xdpMdSize); ctx != nil {
		order.PutUint32(ctx[12:], f.ifindex)
		order.PutUint32(ctx[16:], f.queue)
	}
}

// Action returns what the programs have made of the packet; XDP_ABORTED also if Err is not nil.
func (f *XDPFrame) Action() XDPAction {
	if f.run.Left == faulted {
		return XDPAborted
	}
	return XDPAction(f.run.Ret)
}

// Err returns why there is no verdict: a [*vm.Fault], or an error that wraps one of this package's.
func (f *XDPFrame) Err() error {
	if f.run.Left != faulted {
		return nil
	}
	return f.err
}

// Packet returns the packet as it is now: the memory itself.
func (f *XDPFrame) Packet() []byte { return f.packet().Bytes() }

// Meta returns the metadata in front of the packet: the memory itself.
func (f *XDPFrame) Meta() []byte { return f.packet().Metadata() }

// Redirect returns where programs want the packet to go, if its action is XDP_REDIRECT.
func (f *XDPFrame) Redirect() Redirect {
	if f.run.Left == 0 || f.Action() != XDPRedirect { // of an earlier event
		return Redirect{}
	}
	return f.event.Redirect
}

// Close gives the memory back. SetLen gets the frame new one.
func (f *XDPFrame) Close() error {
	f.run, f.fresh = vm.PacketRun{}, false
	return f.event.Packet.Close()
}

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
	ended := false
	defer release(c, &ended)
	err = fireFrames(ch, c, frames)
	ended = true
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
		f.run.Ret, f.run.Left = uint64(XDPPass), 0
	}
}

// fireFrames runs the programs on frames. A program that is alone runs on as many as it can
// without coming back here.
func fireFrames(ch *chain, c *vm.CPU, frames []*XDPFrame) (first error) {
	m, err := memoryOf(c)
	if err != nil {
		return err
	}
	m.begin(c, ch.hook)
	x := ch.links[0].exec
	batch := x.batcher != nil && len(ch.links) == 1 && x.batcher.Batch(c)
	for len(frames) > 0 {
		n, left := 0, false
		if batch {
			n, left = x.runBatch(c, frames)
		}
		if frames = frames[n:]; len(frames) == 0 {
			break
		}
		f := frames[0]
		frames = frames[1:]
		err := f.fire(ch, c, func() (uint64, error) {
			if left {
				r0, err := x.batcher.FinishRun(c)
				return x.ended(c, r0, err)
			}
			return ch.run(c)
		})
		if err != nil && first == nil {
			first = err
		}
	}
	c.Event = nil
	c.OfferPacket(0, 0, 0) // the last is the caller's, who may give it back
	return first
}

// runBatch runs the program on frames, until one needs to be seen to; see [vm.Batcher].
func (x *Executable) runBatch(c *vm.CPU, frames []*XDPFrame) (n int, left bool) {
	c.Limit = x.Limit
	n, insns, left := x.batcher.RunBatch(c, frameRuns(frames))
	s := &x.stats[c.ID]
	mem.AddOwned(&s.runs, uint64(n))
	mem.AddOwned(&s.insns, insns)
	return n, left
}

// fire has a run see the frame.
func (f *XDPFrame) fire(ch *chain, c *vm.CPU, run func() (uint64, error)) error {
	e := &f.event
	if f.run.Ctx == 0 {
		f.run.Left, f.err = faulted, fmt.Errorf("XDP frame: %w", ErrClosed)
		return f.err
	}
	if e.Redirect.Kind != helper.NoRedirect {
		e.Redirect = Redirect{}
	}
	e.Host = ch.links[0].exec.Host
	c.Event = e
	c.SetCtx(ch.hook.Layout, uintptr(f.run.Ctx), xdpMdSize)
	f.packet().Offer(c)
	ret, err := run()
	f.point() // helpers may have moved it
	if f.run.Ret, f.run.Left = ret, seenTo; err != nil {
		f.run.Left, f.err = faulted, err
	}
	return err
}
