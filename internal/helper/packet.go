package helper

import (
	"errors"
	"fmt"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// What the pointer fields of a packet context stand for: indices of
// vm.CPU.Ptrs, for the Ptr of a prog.CtxField.
const (
	PtrData = iota
	PtrDataEnd
	PtrDataMeta
)

// Sizes of the buffers that Linux keeps packets in, in bytes.
const (
	XDPHeadroom = 256                   // XDP_PACKET_HEADROOM
	XDPFrame    = 4096 - sharedInfo     // what a frame of one page has room for
	SKBHeadroom = 64                    // NET_SKB_PAD
	SKBMaxLen   = 4*4096 - sharedInfo   // SKB_MAX_ALLOC: what helpers let an skb grow to
	sharedInfo  = 320                   // struct skb_shared_info at the end of each buffer
	xdpFrameHdr = 40                    // struct xdp_frame at the start of each frame
	ethHeader   = 14                    // ETH_HLEN
	maxMeta     = 255                   // longest XDP metadata
	maxPacket   = 1<<31 - 1 - SKBMaxLen // keeps every sum of offsets below 1<<31
)

// ErrPacketSize is wrapped by the error about a packet that no buffer holds.
var ErrPacketSize = errors.New("bad packet size")

func sizeError(what string, n int, want string) error {
	return fmt.Errorf("%s: %w: %d bytes, want %s", what, ErrPacketSize, n, want)
}

// Packet is the off-heap buffer of a packet. It is reused from event to event;
// the zero Packet is ready for Load.
//
//	0          meta   data               end        frame
//	| headroom | meta | packet bytes ... | tailroom |
//
// A program sees [meta, end). The room on both sides is what helpers grow the
// packet into; its bytes are zero until the packet has been there. So they read: there may be
// anything outside of [low, high), which is cleared when the packet gets there.
type Packet struct {
	arena           *mem.Arena
	buf             []byte // the arena
	meta, data, end int    // offsets in buf
	frame           int    // offset that end may reach
	low, high       int    // where this packet has been
}

// Load copies b in, behind headroom free bytes, in a frame of at least that
// many bytes in all, and without metadata. Earlier slices of the buffer are void.
// The error wraps [ErrPacketSize] or mem.ErrNoMemory.
func (p *Packet) Load(b []byte, headroom, frame int) error {
	if len(b) > maxPacket || headroom < 0 || headroom > 1<<16 || frame > maxPacket {
		return sizeError("packet", len(b), fmt.Sprintf("at most %d", maxPacket))
	}
	if err := p.Place(len(b), headroom, max(frame, headroom+len(b))); err != nil {
		return err
	}
	copy(p.buf[p.data:], b)
	return nil
}

// Place is Load for n bytes that are there already, or about to be; the frame is long enough
// for them.
func (p *Packet) Place(n, headroom, frame int) error {
	if n < 0 || n > frame-headroom {
		return sizeError("packet", n, fmt.Sprintf("0 to %d", frame-headroom))
	}
	if frame > len(p.buf) {
		if err := p.reserve(frame); err != nil {
			return err
		}
	}
	p.meta, p.data, p.end, p.frame = headroom, headroom, headroom+n, frame
	p.low, p.high = p.data, p.end
	return nil
}

// Room returns the memory between two offsets, nil if there is none yet.
func (p *Packet) Room(from, to int) []byte {
	if to > len(p.buf) {
		return nil
	}
	return p.buf[from:to:to]
}

// reserve makes the buffer at least n bytes long.
func (p *Packet) reserve(n int) error {
	if n <= len(p.buf) {
		return nil
	}
	a, err := mem.New(max(n, 4096))
	if err != nil {
		return err
	}
	if p.arena != nil {
		copy(a.Bytes(), p.buf)
		_ = p.arena.Close() // nothing is left in it
	}
	p.arena, p.buf = a, a.Bytes()
	return nil
}

// Close gives the buffer back. The Packet can be loaded again.
func (p *Packet) Close() error {
	a := p.arena
	*p = Packet{}
	if a == nil {
		return nil
	}
	return a.Close()
}

// Bytes returns the packet, data to data_end: the memory itself, good until a
// helper moves the packet or the next Load.
func (p *Packet) Bytes() []byte { return p.buf[p.data:p.end:p.end] }

// Metadata returns the bytes from data_meta to data; see Bytes.
func (p *Packet) Metadata() []byte { return p.buf[p.meta:p.data:p.data] }

// Len returns the number of packet bytes.
func (p *Packet) Len() int { return p.end - p.data }

// Headroom returns how many bytes are free before the metadata.
func (p *Packet) Headroom() int { return p.meta }

// SetMetadata makes the n bytes before the packet its metadata, as an XDP
// program before this one has left them; their content is b.
func (p *Packet) SetMetadata(b []byte) error {
	if len(b) > p.data || len(b) > maxMeta || len(b)%4 != 0 {
		return sizeError("packet metadata", len(b), fmt.Sprintf("a multiple of 4, at most %d", maxMeta&^3))
	}
	p.meta = p.data - len(b)
	p.low = min(p.low, p.meta)
	copy(p.buf[p.meta:], b)
	return nil
}

// Publish tells c, which is running, where the packet is: its context pointers and the memory
// that the run may access. Helpers that move the packet call it.
func (p *Packet) Publish(c *vm.CPU) { c.SetPacket(p.point(c)) }

// Offer is Publish before the run, which a hook calls.
func (p *Packet) Offer(c *vm.CPU) { c.OfferPacket(p.point(c)) }

// point sets the context's pointers and returns them.
func (p *Packet) point(c *vm.CPU) (meta, data, end uintptr) {
	m, d, e := p.Pointers()
	c.Ptrs[PtrData], c.Ptrs[PtrDataEnd], c.Ptrs[PtrDataMeta] = d, e, m
	return uintptr(m), uintptr(d), uintptr(e)
}

// Base returns the address of the buffer, 0 if there is none.
func (p *Packet) Base() uint64 {
	if p.arena == nil {
		return 0
	}
	return uint64(p.arena.Addr())
}

// Pointers returns the addresses that data_meta, data and data_end of the context stand for; 0
// without a buffer.
func (p *Packet) Pointers() (meta, data, end uint64) {
	if p.arena != nil {
		base := p.Base()
		meta, data, end = base+uint64(p.meta), base+uint64(p.data), base+uint64(p.end)
	}
	return meta, data, end
}

// claim is called before the packet covers [from, to): where it has not been yet, it finds zeros.
func (p *Packet) claim(from, to int) {
	if from < p.low {
		clear(p.buf[from:p.low])
		p.low = from
	}
	if to > p.high {
		clear(p.buf[p.high:to])
		p.high = to
	}
}
