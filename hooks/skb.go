package hooks

import (
	"encoding/binary"

	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// skbField is a field of struct __sk_buff, and what programs of the types may do
// with it: the sizes of aligned reads and writes, as bits. A pointer is whole.
type skbField struct {
	name        string
	off, size   int
	kind        prog.FieldKind
	ptr         int
	filter, tc  uint8 // reads by socket filters, by sched_cls and sched_act
	wfilter, wt uint8 // writes by them
}

// skbFields is struct __sk_buff of include/uapi/linux/bpf.h with the rights of
// bpf_skb_is_valid_access, sk_filter_is_valid_access and
// tc_cls_act_is_valid_access in net/core/filter.c.
var skbFields = [...]skbField{
	{name: "len", off: 0, size: 4, filter: size124, tc: size124},
	{name: "pkt_type", off: 4, size: 4, filter: size124, tc: size124},
	{name: "mark", off: 8, size: 4, filter: size124, tc: size124, wt: size4},
	{name: "queue_mapping", off: 12, size: 4, filter: size124, tc: size124, wt: size4},
	{name: "protocol", off: 16, size: 4, filter: size124, tc: size124},
	{name: "vlan_present", off: 20, size: 4, filter: size124, tc: size124},
	{name: "vlan_tci", off: 24, size: 4, filter: size124, tc: size124},
	{name: "vlan_proto", off: 28, size: 4, filter: size124, tc: size124},
	{name: "priority", off: 32, size: 4, filter: size124, tc: size124, wt: size4},
	{name: "ingress_ifindex", off: 36, size: 4, filter: size124, tc: size124},
	{name: "ifindex", off: 40, size: 4, filter: size124, tc: size124},
	{name: "tc_index", off: 44, size: 4, filter: size124, tc: size124, wt: size4},
	{name: "cb", off: 48, size: 20, filter: sizeAll, tc: sizeAll, wfilter: sizeAll, wt: sizeAll},
	{name: "hash", off: 68, size: 4, filter: size124, tc: size124},
	{name: "tc_classid", off: 72, size: 4, tc: size124, wt: size4},
	{name: "data", off: 76, size: 4, kind: prog.PacketData, ptr: helper.PtrData, tc: size4},
	{name: "data_end", off: 80, size: 4, kind: prog.PacketEnd, ptr: helper.PtrDataEnd, tc: size4},
	{name: "napi_id", off: 84, size: 4, filter: size124, tc: size124},
	// family, the addresses and ports at 88 to 139 are for programs at sockets.
	{name: "data_meta", off: 140, size: 4, kind: prog.PacketMeta, ptr: helper.PtrDataMeta, tc: size4},
	// flow_keys at 144 is for flow dissectors.
	{name: "tstamp", off: 152, size: 8, tc: size8, wt: size8},
	{name: "wire_len", off: 160, size: 4, tc: size124},
	{name: "gso_segs", off: 164, size: 4, filter: size124, tc: size124},
	{name: "sk", off: 168, size: 8, filter: size8, tc: size8},
	{name: "gso_size", off: 176, size: 4, filter: size124, tc: size124},
	{name: "tstamp_type", off: 180, size: 1, tc: size1},
	{name: "hwtstamp", off: 184, size: 8, tc: size8},
}

const skBuffSize = 192

// skbLayout returns struct __sk_buff as one of the types sees it.
func skbLayout(rights func(*skbField) (reads, writes uint8)) *prog.CtxLayout {
	l := &prog.CtxLayout{Name: "__sk_buff", Size: skBuffSize}
	for i := range skbFields {
		f := &skbFields[i]
		if r, w := rights(f); r != 0 {
			l.Fields = append(l.Fields, prog.CtxField{Name: f.name, Off: f.off, Size: f.size,
				Kind: f.kind, Ptr: f.ptr, Writable: w != 0, Reads: r, Writes: w})
		}
	}
	return l
}

// SKBuff is the context of an skb, struct __sk_buff in Go. Protocol and VLANProto
// are in network byte order, as programs see them.
type SKBuff struct {
	Len            uint32 // set from the packet
	PktType        uint32 // as an event: PACKET_HOST (0) means by the destination address
	Mark           uint32
	QueueMapping   uint32
	Protocol       uint32 // as an event: 0 means by the frame
	VLANPresent    uint32
	VLANTCI        uint32
	VLANProto      uint32
	Priority       uint32
	IngressIfindex uint32
	Ifindex        uint32
	TCIndex        uint32
	CB             [5]uint32
	Hash           uint32
	TCClassid      uint32
	NAPIID         uint32
	Tstamp         uint64
	WireLen        uint32 // as an event: 0 means Len
	GSOSegs        uint32
	GSOSize        uint32
	TstampType     uint8
	HWTstamp       uint64
}

// Family, addresses and ports, flow_keys and sk are not here: they are for other
// types of program, or a socket, which no event has.

var order = binary.NativeEndian

// words calls each with every 32-bit field and its place in struct __sk_buff.
func (s *SKBuff) words(each func(off int, v *uint32)) {
	for i, v := range [...]*uint32{&s.Len, &s.PktType, &s.Mark, &s.QueueMapping, &s.Protocol, &s.VLANPresent,
		&s.VLANTCI, &s.VLANProto, &s.Priority, &s.IngressIfindex, &s.Ifindex, &s.TCIndex,
		&s.CB[0], &s.CB[1], &s.CB[2], &s.CB[3], &s.CB[4], &s.Hash, &s.TCClassid} {
		each(4*i, v)
	}
	each(84, &s.NAPIID)
	each(160, &s.WireLen)
	each(164, &s.GSOSegs)
	each(176, &s.GSOSize)
}

// encode writes s as struct __sk_buff.
func (s *SKBuff) encode(b []byte) {
	s.words(func(off int, v *uint32) { order.PutUint32(b[off:], *v) })
	order.PutUint64(b[152:], s.Tstamp)
	b[180] = s.TstampType
	order.PutUint64(b[184:], s.HWTstamp)
}

// decode reads struct __sk_buff.
func (s *SKBuff) decode(b []byte) {
	s.words(func(off int, v *uint32) { *v = order.Uint32(b[off:]) })
	s.Tstamp = order.Uint64(b[152:])
	s.TstampType = b[180]
	s.HWTstamp = order.Uint64(b[184:])
}

// swap16 turns a protocol from host to network byte order or back.
func swap16(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return order.Uint16(b[:])
}

// SKBEvent is a packet in the network stack.
type SKBEvent struct {
	Packet  []byte // from the Ethernet header on, at least 14 bytes; it is copied
	Ctx     SKBuff // what is known of it beside its bytes
	Ingress bool   // on its way in
}

// SKBResult is what became of an [SKBEvent]. Its slices are reused by the next
// Fire into the same result.
type SKBResult struct {
	Ret      int32  // the verdict; for socket filters how many bytes to keep, 0 to drop
	Packet   []byte // after the run, from where programs see it
	Ctx      SKBuff // after the run
	Redirect Redirect
	Clones   []Clone // what bpf_clone_redirect has sent
}

// Action returns the verdict of a tc program.
func (r *SKBResult) Action() TCAction { return TCAction(r.Ret) }

// skbPoint is a point for programs whose context is struct __sk_buff.
type skbPoint struct{ point }

// Fire gives ev to the programs and puts into res what became of it. It does not
// allocate where the slices of res have room and no program redirects. An error is
// a [*vm.Fault] or wraps one of the errors of this package.
func (p *skbPoint) Fire(ev *SKBEvent, res *SKBResult) error {
	if ev == nil || res == nil {
		return p.missing(ev == nil)
	}
	ch, c, err := p.lease()
	if err != nil {
		return err
	}
	if c == nil {
		res.pass(p.hook, ev)
		return nil
	}
	ended := false
	defer release(c, &ended)
	err = fireSKB(ch, c, ev, res)
	ended = true
	return err
}

// FireOn is Fire on a CPU that the caller holds.
func (p *skbPoint) FireOn(cpu CPU, ev *SKBEvent, res *SKBResult) error {
	if ev == nil || res == nil {
		return p.missing(ev == nil)
	}
	ch, err := p.on(cpu)
	switch {
	case err != nil:
		return err
	case len(ch.links) == 0:
		res.pass(p.hook, ev)
		return nil
	}
	return fireSKB(ch, cpu.c, ev, res)
}

func (res *SKBResult) pass(t *Type, ev *SKBEvent) {
	res.Ret, res.Ctx, res.Redirect, res.Clones = int32(t.next), ev.Ctx, Redirect{}, res.Clones[:0]
	res.Packet = append(res.Packet[:0], ev.Packet...)
}

func fireSKB(ch *chain, c *vm.CPU, ev *SKBEvent, res *SKBResult) error {
	m, err := memoryOf(c)
	if err != nil {
		return err
	}
	if err := m.loadSKB(ch.hook, c, ev); err != nil {
		return err
	}
	m.event.Host = ch.links[0].exec.Host
	ret, err := ch.run(c)
	if err != nil {
		return err
	}
	e := &m.event
	res.Ret = int32(ret)
	res.Packet = append(res.Packet[:0], e.Packet.Bytes()...)
	res.Ctx.decode(m.ctx)
	res.Clones = append(res.Clones[:0], e.Clones...)
	res.Redirect = Redirect{}
	if !ch.hook.noLink && TCAction(res.Ret) == TCRedirect {
		res.Redirect = e.Redirect
	}
	return nil
}

// loadSKB makes ev what the next run on c sees.
func (m *memory) loadSKB(t *Type, c *vm.CPU, ev *SKBEvent) error {
	e := &m.event
	if err := e.LoadSKB(ev.Packet, !t.noLink); err != nil {
		return err
	}
	s, in := &e.SKB, &ev.Ctx
	if in.PktType != 0 {
		s.Type = uint8(in.PktType)
	}
	if in.Protocol != 0 {
		s.Protocol = swap16(uint16(in.Protocol))
	}
	s.VLANPresent, s.VLANTCI, s.VLANProto = in.VLANPresent != 0, uint16(in.VLANTCI), swap16(uint16(in.VLANProto))
	s.Hash, s.GSOSize, s.GSOSegs = in.Hash, in.GSOSize, in.GSOSegs
	s.Tstamp, s.TstampType = in.Tstamp, in.TstampType
	s.Ifindex, s.Ingress = in.Ifindex, ev.Ingress
	ctx := m.ctx[:skBuffSize]
	clear(ctx)
	in.encode(ctx)
	m.startSKB(c, t)
	if in.WireLen != 0 {
		order.PutUint32(ctx[160:], in.WireLen)
	}
	return nil
}

// linkHeader is the length of an Ethernet header (ETH_HLEN).
const linkHeader = 14

// startSKB completes the context from the event.
func (m *memory) startSKB(c *vm.CPU, t *Type) {
	e := &m.event
	e.Refresh = refreshSKB
	m.begin(c, t)
	c.LinkOffset, c.NetworkOffset = 0, linkHeader
	if t.noLink { // the Ethernet header has been pulled
		c.LinkOffset, c.NetworkOffset = -linkHeader, 0
	}
	refreshSKB(c, e, ^helper.Change(0))
	order.PutUint32(m.ctx[160:], uint32(e.Packet.Len())) // wire_len, which no helper changes
	e.Packet.Offer(c)
}

// refreshSKB brings the context in line with what a helper has changed.
func refreshSKB(c *vm.CPU, e *helper.Event, changed helper.Change) {
	ctx, s := c.HookMem.(*memory).ctx, &e.SKB
	put := func(off int, v uint32) { order.PutUint32(ctx[off:], v) }
	if changed&helper.ChangeLen != 0 {
		put(0, uint32(e.Packet.Len()))
	}
	if changed&helper.ChangeType != 0 {
		put(4, uint32(s.Type))
	}
	if changed&helper.ChangeProtocol != 0 {
		put(16, uint32(swap16(s.Protocol)))
	}
	if changed&helper.ChangeVLAN != 0 {
		present := uint32(0)
		if s.VLANPresent {
			present = 1
		}
		put(20, present)
		put(24, uint32(s.VLANTCI))
		put(28, uint32(swap16(s.VLANProto)))
	}
	if changed&helper.ChangeHash != 0 {
		put(68, s.Hash)
	}
	if changed&helper.ChangeGSO != 0 {
		put(164, s.GSOSegs)
		put(176, s.GSOSize)
	}
	if changed&helper.ChangeTstamp != 0 {
		order.PutUint64(ctx[152:], s.Tstamp)
		ctx[180] = s.TstampType
	}
}
