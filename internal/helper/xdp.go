package helper

import (
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// xdpAdjustHead moves the start of the frame, and the metadata with it.
func xdpAdjustHead(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := xdpArg(c, args[0])
	if err != nil {
		return 0, err
	}
	p, off := &e.Packet, int(int32(args[1]))
	metaLen, data := p.data-p.meta, p.data+off
	if data < xdpFrameHdr+metaLen || data > p.end-ethHeader {
		return errno(maps.EINVAL), nil
	}
	p.claim(p.meta+off, p.end)
	copy(p.buf[p.meta+off:data], p.buf[p.meta:p.data])
	p.meta, p.data = p.meta+off, data
	p.Publish(c)
	return 0, nil
}

// xdpAdjustTail moves the end of the frame; new bytes are zero.
func xdpAdjustTail(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := xdpArg(c, args[0])
	if err != nil {
		return 0, err
	}
	p, end := &e.Packet, e.Packet.end+int(int32(args[1]))
	if end > p.frame || end < p.data+ethHeader {
		return errno(maps.EINVAL), nil
	}
	if end > p.end {
		p.claim(p.data, end)
		clear(p.buf[p.end:end])
	}
	p.end = end
	p.Publish(c)
	return 0, nil
}

// xdpAdjustMeta moves the start of the metadata, whose length has to be a
// multiple of 4.
func xdpAdjustMeta(c *vm.CPU, args *[5]uint64) (uint64, error) {
	e, err := xdpArg(c, args[0])
	if err != nil {
		return 0, err
	}
	p, meta := &e.Packet, e.Packet.meta+int(int32(args[1]))
	if meta < xdpFrameHdr || meta > p.data {
		return errno(maps.EINVAL), nil
	}
	if n := p.data - meta; n%4 != 0 || n > maxMeta {
		return errno(eACCES), nil
	}
	p.claim(meta, p.end)
	p.meta = meta
	p.Publish(c)
	return 0, nil
}
