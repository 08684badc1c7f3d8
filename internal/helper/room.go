package helper

import (
	"math"

	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// Flags of bpf_skb_adjust_room (BPF_F_ADJ_ROOM_*). The highest byte is the length of
// the inner link header.
const (
	roomFixedGSO    = 1 << 0
	roomEncapIPv4   = 1 << 1
	roomEncapIPv6   = 1 << 2
	roomEncapGRE    = 1 << 3
	roomEncapUDP    = 1 << 4
	roomNoCsumReset = 1 << 5
	roomEncapEth    = 1 << 6
	roomDecapIPv4   = 1 << 7
	roomDecapIPv6   = 1 << 8
	roomEncapL3     = roomEncapIPv4 | roomEncapIPv6
	roomDecapL3     = roomDecapIPv4 | roomDecapIPv6
	roomL2Shift     = 56
	roomAll         = 1<<9 - 1 | 0xff<<roomL2Shift
)

// skbAdjustRoom grows or shrinks the packet behind its link header (mode
// BPF_ADJ_ROOM_MAC) or its network header (BPF_ADJ_ROOM_NET).
func skbAdjustRoom(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	flags := args[3]
	no := e.adjustRoom(int(int32(args[1])), uint32(args[2]), flags)
	if no == 0 && flags&roomNoCsumReset == 0 {
		e.SKB.resetCsum()
	}
	e.moved(c, ChangeLen|ChangeProtocol|ChangeGSO)
	return errno(no), nil
}

func (e *Event) adjustRoom(diff int, mode uint32, flags uint64) maps.Errno {
	p, s := &e.Packet, &e.SKB
	n, shrink := diff, diff < 0
	if shrink {
		n = -diff
	}
	base := s.netHeader()
	switch {
	case flags&^uint64(roomAll) != 0:
		return maps.EINVAL
	case uint(n) > 0xfff:
		return maps.EFAULT
	case base == math.MaxInt32:
		return maps.ENOTSUPP
	}
	off := s.network - s.mac
	switch mode {
	case 0: // BPF_ADJ_ROOM_NET
		off += base
	case 1: // BPF_ADJ_ROOM_MAC
	default:
		return maps.ENOTSUPP
	}
	least := base
	if decap := flags & roomDecapL3; decap != 0 {
		switch {
		case !shrink, decap == roomDecapL3:
			return maps.EINVAL
		case decap == roomDecapIPv4:
			least = ipv4Header
		default:
			least = ipv6Header
		}
	}
	if shrink {
		if rest := p.end - s.network; n >= rest || rest-n < least {
			return maps.ENOTSUPP
		}
		return e.shrinkRoom(off, n, flags)
	}
	if p.Len()+n > SKBMaxLen && s.GSOSize == 0 {
		return maps.ENOTSUPP
	}
	return e.growRoom(off, n, flags)
}

// netHeader is the least length of the network header, MaxInt32 if it is not IP.
func (s *SKB) netHeader() int {
	switch s.Protocol {
	case etherIPv4:
		return ipv4Header
	case etherIPv6:
		return ipv6Header
	}
	return math.MaxInt32
}

// fixedSegments reports whether segments must keep their size, as datagrams do.
func (s *SKB) fixedSegments(flags uint64) bool {
	return s.GSOSize != 0 && s.GSOType&(gsoTCPv4|gsoTCPv6) == 0 &&
		(s.GSOType&gsoUDPL4 == 0 || flags&roomFixedGSO == 0)
}

func (e *Event) growRoom(off, n int, flags uint64) maps.Errno {
	p, s := &e.Packet, &e.SKB
	if s.fixedSegments(flags) {
		return maps.ENOTSUPP
	}
	encap, innerMAC := flags&roomEncapL3 != 0, int(flags>>roomL2Shift)
	if encap {
		switch {
		case flags&roomEncapL3 == roomEncapL3,
			flags&roomEncapGRE != 0 && flags&roomEncapUDP != 0,
			flags&roomEncapEth != 0 && innerMAC < ethHeader:
			return maps.EINVAL
		case s.Encap:
			return eALREADY
		case innerMAC > n:
			return maps.EINVAL
		}
	}
	macLen := s.network - s.mac
	if no := e.headerPush(off, n); no != 0 {
		return no
	}
	gso := uint32(gsoDodgy)
	if encap {
		s.Encap = true
		s.network = p.data + macLen
		gso |= s.encapsulated(flags)
		if flags&(roomEncapGRE|roomEncapUDP) != 0 {
			s.transport = s.network + ipv4Header
			if flags&roomEncapIPv6 != 0 {
				s.transport = s.network + ipv6Header
			}
		}
		s.changeFamily(flags&roomEncapIPv4 != 0, flags&roomEncapIPv6 != 0)
	}
	if s.GSOSize != 0 {
		s.GSOType |= gso
		s.GSOSegs = 0
		if flags&roomFixedGSO == 0 {
			s.GSOSize = s.GSOSize - min(uint32(n), s.GSOSize-1)
		}
	}
	return 0
}

// encapsulated returns the type of segmentation for a new outer header.
func (s *SKB) encapsulated(flags uint64) uint32 {
	switch {
	case flags&roomEncapUDP != 0:
		return gsoUDPTun
	case flags&roomEncapGRE != 0:
		return gsoGRE
	case flags&roomEncapIPv6 != 0:
		return gsoIPXIP6
	}
	return gsoIPXIP4
}

// changeFamily makes the protocol that of the new outermost network header.
func (s *SKB) changeFamily(toIPv4, toIPv6 bool) {
	switch {
	case s.Protocol == etherIPv4 && toIPv6:
		s.Protocol = etherIPv6
	case s.Protocol == etherIPv6 && toIPv4:
		s.Protocol = etherIPv4
	}
}

func (e *Event) shrinkRoom(off, n int, flags uint64) maps.Errno {
	s := &e.SKB
	if flags&^(roomFixedGSO|roomDecapL3|roomNoCsumReset) != 0 {
		return maps.EINVAL
	}
	if s.fixedSegments(flags) {
		return maps.ENOTSUPP
	}
	if no := e.headerPop(off, n); no != 0 {
		return no
	}
	s.changeFamily(flags&roomDecapIPv4 != 0, flags&roomDecapIPv6 != 0)
	if s.GSOSize != 0 {
		if flags&roomFixedGSO == 0 {
			s.GSOSize += uint32(n)
		}
		s.GSOType |= gsoDodgy
		s.GSOSegs = 0
	}
	return 0
}
