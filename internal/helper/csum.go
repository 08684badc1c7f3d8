package helper

import (
	"encoding/binary"
	"math/bits"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// Internet checksums (RFC 1071) as Linux keeps them: sums in one's complement
// of 16-bit words in the machine's byte order, 32 bits wide while they grow.

// csumPartial adds the bytes to a sum. The result is 0 only if both are.
func csumPartial(b []byte, sum uint32) uint32 {
	acc, carry := uint64(sum), uint64(0)
	for len(b) >= 8 {
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(b), carry)
		b = b[8:]
	}
	if len(b) > 0 {
		var last [8]byte
		copy(last[:], b)
		acc, carry = bits.Add64(acc, binary.NativeEndian.Uint64(last[:]), carry)
	}
	acc, carry = bits.Add64(acc, 0, carry)
	return csumAdd(uint32(acc>>32), uint32(acc+carry))
}

func csumAdd(a, b uint32) uint32 {
	sum, carry := bits.Add32(a, b, 0)
	return sum + carry
}

func csumSub(a, b uint32) uint32 { return csumAdd(a, ^b) }

// csumFold makes a sum the 16 bits that a header holds.
func csumFold(sum uint32) uint16 { return ^csumTo16(sum) }

func csumTo16(sum uint32) uint16 { return uint16((sum + bits.RotateLeft32(sum, 16)) >> 16) }

// csumBlock is the sum of a block of a packet that starts at off.
func csumBlock(b []byte, off int) uint32 {
	sum := csumPartial(b, 0)
	if off%2 != 0 {
		sum = bits.RotateLeft32(sum, 8)
	}
	return sum
}

// pulled tells the packet's checksum that b, at off, is about to go.
func (s *SKB) pulled(b []byte, off int) {
	switch s.Csum {
	case CsumComplete:
		s.CsumValue = csumSub(s.CsumValue, csumBlock(b, off))
	case CsumPartial:
		if s.CsumStart < 0 {
			s.Csum = CsumNone
		}
	}
}

// pushed tells the packet's checksum that b has come, at off.
func (s *SKB) pushed(b []byte, off int) {
	if s.Csum == CsumComplete {
		s.CsumValue = csumAdd(s.CsumValue, csumBlock(b, off))
	}
}

func csumDiff(c *vm.CPU, args *[5]uint64) (uint64, error) {
	from, err := memOrNull(c, args[0], uint64(uint32(args[1])), mem.Read)
	if err != nil {
		return 0, err
	}
	to, err := memOrNull(c, args[2], uint64(uint32(args[3])), mem.Read)
	if err != nil {
		return 0, err
	}
	sum := uint32(args[4])
	switch {
	case len(from) > 0 && len(to) > 0:
		sum = csumSub(csumPartial(to, sum), csumPartial(from, 0))
	case len(to) > 0:
		sum = csumPartial(to, sum)
	case len(from) > 0:
		sum = ^csumPartial(from, ^sum)
	}
	return uint64(csumTo16(sum)), nil
}

func csumUpdate(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	if e.SKB.Csum != CsumComplete {
		return errno(maps.ENOTSUPP), nil
	}
	e.SKB.CsumValue = csumAdd(e.SKB.CsumValue, uint32(args[1]))
	return uint64(e.SKB.CsumValue), nil
}

// csumLevel changes how many checksums of nested headers count as checked.
func csumLevel(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	const maxLevel = 3 // SKB_MAX_CSUM_LEVEL
	s := &e.SKB
	checked := s.Csum == CsumUnnecessary
	switch args[1] {
	case 0: // BPF_CSUM_LEVEL_QUERY
		if !checked {
			return errno(eACCES), nil
		}
		return uint64(s.CsumLevel), nil
	case 1: // INC
		if checked {
			s.CsumLevel = min(s.CsumLevel+1, maxLevel)
		} else if s.Csum == CsumNone {
			s.Csum, s.CsumLevel = CsumUnnecessary, 0
		}
	case 2: // DEC
		if checked && s.CsumLevel > 0 {
			s.CsumLevel--
		} else if checked {
			s.Csum = CsumNone
		}
	case 3: // RESET
		s.resetCsum()
	default:
		return errno(maps.EINVAL), nil
	}
	return 0, nil
}

// resetCsum forgets that the device has checked checksums.
func (s *SKB) resetCsum() {
	if s.Csum == CsumUnnecessary {
		s.Csum, s.CsumLevel = CsumNone, 0
	}
}

// Flags of the checksum helpers.
const (
	csumFieldMask = 0xf  // BPF_F_HDR_FIELD_MASK: size of the value that changes
	csumPseudo    = 0x10 // BPF_F_PSEUDO_HDR
	csumMangled0  = 0x20 // BPF_F_MARK_MANGLED_0: 0 means none, as in UDP
	csumEnforce   = 0x40 // BPF_F_MARK_ENFORCE
	csumIPv6      = 0x80 // BPF_F_IPV6
)

// csumField returns the two bytes of the checksum at an offset of the packet.
func (e *Event) csumField(off uint64) ([]byte, bool) {
	o := uint32(off)
	if o > 0xffff || o%2 != 0 || int(o)+2 > e.Packet.Len() {
		return nil, false
	}
	return e.Packet.Bytes()[o : o+2], true
}

func l3CsumReplace(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	from, to, flags := args[2], args[3], args[4]
	if flags&^csumFieldMask != 0 {
		return errno(maps.EINVAL), nil
	}
	field, ok := e.csumField(args[1])
	if !ok {
		return errno(maps.EFAULT), nil
	}
	sum := binary.NativeEndian.Uint16(field)
	switch {
	case flags == 0 && from == 0:
		sum = csumFold(csumAdd(uint32(to), ^uint32(sum)))
	case flags == 2:
		sum = csumReplace16(sum, uint16(from), uint16(to))
	case flags == 4:
		sum = csumReplace(sum, uint32(from), uint32(to))
	default:
		return errno(maps.EINVAL), nil
	}
	binary.NativeEndian.PutUint16(field, sum)
	return 0, nil
}

// csumReplace is csum_replace4 of Linux.
func csumReplace(sum uint16, from, to uint32) uint16 {
	return csumFold(csumAdd(csumSub(^uint32(sum), from), to))
}

// csumReplace16 is csum_replace2, which sums in 16 bits.
func csumReplace16(sum, from, to uint16) uint16 {
	return ^csumAdd16(csumAdd16(^sum, ^from), to)
}

func csumAdd16(a, b uint16) uint16 {
	s := uint32(a) + uint32(b)
	return uint16(s + s>>16)
}

func l4CsumReplace(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	from, to, flags := args[2], args[3], args[4]
	if flags&^(csumFieldMask|csumPseudo|csumMangled0|csumEnforce|csumIPv6) != 0 {
		return errno(maps.EINVAL), nil
	}
	field, ok := e.csumField(args[1])
	if !ok {
		return errno(maps.EFAULT), nil
	}
	sum := binary.NativeEndian.Uint16(field)
	if flags&csumMangled0 != 0 && flags&csumEnforce == 0 && sum == 0 {
		return 0, nil
	}
	pseudo := flags&csumPseudo != 0
	switch size := flags & csumFieldMask; {
	case size == 0 && from == 0:
		sum = e.SKB.replaceByDiff(sum, uint32(to), pseudo, flags&csumIPv6 != 0)
	case size == 2:
		sum = e.SKB.replace(sum, uint32(uint16(from)), uint32(uint16(to)), pseudo)
	case size == 4:
		sum = e.SKB.replace(sum, uint32(from), uint32(to), pseudo)
	default:
		return errno(maps.EINVAL), nil
	}
	if flags&csumMangled0 != 0 && sum == 0 {
		sum = 0xffff
	}
	binary.NativeEndian.PutUint16(field, sum)
	return 0, nil
}

// replace is inet_proto_csum_replace4: with CsumPartial the field holds the sum
// of the pseudo header only, not inverted.
func (s *SKB) replace(sum uint16, from, to uint32, pseudo bool) uint16 {
	switch {
	case s.Csum != CsumPartial:
		if s.Csum == CsumComplete && pseudo {
			s.CsumValue = ^csumAdd(csumSub(^s.CsumValue, from), to)
		}
		return csumReplace(sum, from, to)
	case pseudo:
		return ^csumFold(csumAdd(csumSub(uint32(sum), from), to))
	}
	return sum
}

// replaceByDiff is inet_proto_csum_replace_by_diff.
func (s *SKB) replaceByDiff(sum uint16, diff uint32, pseudo, ipv6 bool) uint16 {
	switch {
	case s.Csum != CsumPartial:
		if s.Csum == CsumComplete && pseudo && !ipv6 {
			s.CsumValue = ^csumSub(diff, s.CsumValue)
		}
		return csumFold(csumAdd(diff, ^uint32(sum)))
	case pseudo:
		return ^csumFold(csumAdd(diff, uint32(sum)))
	}
	return sum
}
