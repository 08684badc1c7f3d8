package helper

import (
	"encoding/binary"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

const (
	fibParams   = 64   // sizeof(struct bpf_fib_lookup)
	fibFlags    = 0x3f // BPF_FIB_LOOKUP_DIRECT to BPF_FIB_LOOKUP_MARK
	fibNotFwded = 4    // BPF_FIB_LKUP_RET_NOT_FWDED
	fibIfindex  = 8    // offset of ifindex in the parameters
	afINET      = 2    // of Linux
	afINET6     = 10
)

// fibLookup asks Host.FIB for a route.
func fibLookup(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := eventArg(c, args[0])
	if err != nil {
		return 0, err
	}
	p, err := memArg(c, args[1], uint64(uint32(args[2])), mem.ReadWrite)
	if err != nil {
		return 0, err
	}
	flags := uint32(args[3])
	if len(p) < fibParams || flags&^fibFlags != 0 {
		return errno(maps.EINVAL), nil
	}
	p = p[:fibParams:fibParams]
	if p[0] != afINET && p[0] != afINET6 {
		return errno(eAFNOSUPPORT), nil
	}
	if _, ok := e.Host.device(binary.NativeEndian.Uint32(p[fibIfindex:])); !ok {
		return errno(eNODEV), nil
	}
	if e.Host == nil || e.Host.FIB == nil {
		return fibNotFwded, nil
	}
	return uint64(int64(e.Host.FIB(p, flags))), nil
}

// checkMTU compares the packet's length, or the one in *mtu_len, with a
// device's MTU, and leaves the MTU in *mtu_len.
func checkMTU(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := eventArg(c, args[0])
	if err != nil {
		return 0, err
	}
	mtuLen, err := c.Bytes(args[2], 4, mem.ReadWrite)
	if err != nil {
		return 0, err
	}
	const (
		flagSegs = 1 // BPF_MTU_CHK_SEGS
		tooLong  = 1 // BPF_MTU_CHK_RET_FRAG_NEEDED
		segsLong = 2 // BPF_MTU_CHK_RET_SEGS_TOOBIG
	)
	ifindex, diff, flags := uint32(args[1]), int32(args[3]), args[4]
	in := int32(binary.NativeEndian.Uint32(mtuLen))
	segs := e.IsSKB && flags == flagSegs
	if flags != 0 && !segs || segs && (diff != 0 || in != 0) {
		return errno(maps.EINVAL), nil
	}
	dev, ok := e.Host.device(e.deviceIndex(ifindex))
	if !ok {
		return errno(eNODEV), nil
	}
	n := int32(e.Packet.Len())
	if in != 0 {
		n = in + int32(dev.HeaderLen)
	}
	ret := uint64(0)
	if n+diff > int32(dev.MTU+dev.HeaderLen) {
		ret = tooLong
		if e.IsSKB && e.SKB.GSOSize != 0 {
			ret = 0
			if segs && e.SKB.GSOSize+e.headers() > dev.MTU {
				ret = segsLong
			}
		}
	}
	binary.NativeEndian.PutUint32(mtuLen, dev.MTU)
	return ret, nil
}

// deviceIndex is ifindex or, where that is 0, the device the packet is at.
func (e *Event) deviceIndex(ifindex uint32) uint32 {
	switch {
	case ifindex != 0:
		return ifindex
	case e.IsSKB:
		return e.SKB.Ifindex
	}
	return e.Ifindex
}

// headers is how long the network and transport headers of the packet are,
// which each segment repeats.
func (e *Event) headers() uint32 {
	h := e.flow()
	return uint32(h.payload - h.network)
}
