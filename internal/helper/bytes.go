package helper

import (
	"math"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// skbLoadBytes copies packet bytes; if they are not all there, the destination
// is zeroed.
func skbLoadBytes(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	dst, err := memArg(c, args[2], uint64(uint32(args[3])), mem.Write)
	if err != nil {
		return 0, err
	}
	return copyOut(dst, e.Packet.Bytes(), uint64(uint32(args[1]))), nil
}

func copyOut(dst, packet []byte, off uint64) uint64 {
	if off > uint64(len(packet)) || uint64(len(dst)) > uint64(len(packet))-off {
		clear(dst)
		return errno(maps.EFAULT)
	}
	copy(dst, packet[off:])
	return 0
}

// skbLoadBytesRelative is skbLoadBytes from the link (0) or network (1) header on.
func skbLoadBytesRelative(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	dst, err := memArg(c, args[2], uint64(uint32(args[3])), mem.Write)
	if err != nil {
		return 0, err
	}
	off, start := uint64(uint32(args[1])), none
	switch uint32(args[4]) {
	case 0:
		start = e.SKB.mac
	case 1:
		start = e.SKB.network
	}
	if off > 0xffff || start < 0 || start > e.Packet.end {
		clear(dst)
		return errno(maps.EFAULT), nil
	}
	return copyOut(dst, e.Packet.buf[start:e.Packet.end], off), nil
}

// Flags of bpf_skb_store_bytes.
const (
	storeRecomputeCsum  = 1 // BPF_F_RECOMPUTE_CSUM
	storeInvalidateHash = 2 // BPF_F_INVALIDATE_HASH
)

func skbStoreBytes(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	src, err := memArg(c, args[2], uint64(uint32(args[3])), mem.Read)
	if err != nil {
		return 0, err
	}
	off, flags := uint32(args[1]), args[4]
	if flags&^(storeRecomputeCsum|storeInvalidateHash) != 0 {
		return errno(maps.EINVAL), nil
	}
	packet := e.Packet.Bytes()
	if off > math.MaxInt32 || uint64(off)+uint64(len(src)) > uint64(len(packet)) {
		return errno(maps.EFAULT), nil
	}
	dst := packet[off : int(off)+len(src)]
	if flags&storeRecomputeCsum != 0 {
		e.SKB.pulled(dst, int(off))
		copy(dst, src)
		e.SKB.pushed(dst, int(off))
	} else {
		copy(dst, src)
	}
	if flags&storeInvalidateHash != 0 {
		e.clearHash(c)
	}
	return 0, nil
}

// skbPullData makes the first bytes of the packet directly accessible, which
// they all are here.
func skbPullData(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := skbArg(c, args[0])
	if err != nil {
		return 0, err
	}
	if n := uint32(args[1]); uint64(n) > uint64(e.Packet.Len()) {
		return errno(maps.ENOMEM), nil
	}
	return 0, nil
}

func xdpGetBuffLen(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := xdpArg(c, args[0])
	if err != nil {
		return 0, err
	}
	return uint64(e.Packet.Len()), nil
}

// xdpBytes returns the bytes of a frame that bpf_xdp_load_bytes and
// bpf_xdp_store_bytes name by offset and length.
func (e *Event) xdpBytes(off, n uint64) ([]byte, maps.Errno) {
	o, l := uint64(uint32(off)), uint64(uint32(n))
	switch {
	case o > 0xffff || l > 0xffff:
		return nil, maps.EFAULT
	case o+l > uint64(e.Packet.Len()):
		return nil, maps.EINVAL
	}
	return e.Packet.Bytes()[o : o+l], 0
}

func xdpLoadBytes(c *vm.CPU, args *[5]uint64) (uint64, error) {
	return xdpCopy(c, args, mem.Write)
}

func xdpStoreBytes(c *vm.CPU, args *[5]uint64) (uint64, error) {
	return xdpCopy(c, args, mem.Read)
}

// xdpCopy copies between the frame and memory that the program has for
// reading, to the frame, or for writing, from the frame.
func xdpCopy(c *vm.CPU, args *[5]uint64, perm mem.Perm) (uint64, error) {
	e, err := xdpArg(c, args[0])
	if err != nil {
		return 0, err
	}
	b, err := memArg(c, args[2], uint64(uint32(args[3])), perm)
	if err != nil {
		return 0, err
	}
	frame, no := e.xdpBytes(args[1], args[3])
	if no != 0 {
		return errno(no), nil
	}
	if perm == mem.Write {
		copy(b, frame)
	} else {
		copy(frame, b)
	}
	return 0, nil
}
