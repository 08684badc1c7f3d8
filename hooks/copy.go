package hooks

// This file copies between Go structs and contexts, and is the only one of this
// package with unsafe in it, also for frames. It is sound because a layout is made from the type of
// the struct by reflection: every offset and size lies within a T, and what is
// copied has no Go pointers in it, except byte slices, which are read and written
// as what they are. T and the type of the layout are the same by construction of
// [Hook]. A struct must not be changed by others while an event runs.

import (
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// frameRuns returns the runs of frames, which they begin with: a pointer to the one is a pointer
// to the other.
func frameRuns(frames []*XDPFrame) []*vm.PacketRun {
	const begin = -unsafe.Offsetof(XDPFrame{}.run) // does not compile if they do not
	return unsafe.Slice((**vm.PacketRun)(unsafe.Pointer(unsafe.SliceData(frames))), len(frames))[begin:]
}

// bytesAt is the n bytes at p+off.
func bytesAt(p unsafe.Pointer, off, n int) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(p, off)), n)
}

func sliceAt(p unsafe.Pointer, off int) []byte { return *(*[]byte)(unsafe.Add(p, off)) }

// gap is what lies between the bytes of two slices, so that a program that runs
// over the end of one is not in the next.
const gap = 64

// copyEvent is loadEvent for a struct that is copied as a whole.
func (l *layout) copyEvent(m *memory, ev unsafe.Pointer) {
	copy(m.ctx, bytesAt(ev, 0, l.ctx.Size))
}

// loadEvent makes the struct at ev the context of the next run on c.
func (l *layout) loadEvent(m *memory, ev unsafe.Pointer) error {
	ctx := m.ctx[:l.ctx.Size]
	if l.padded {
		clear(ctx)
	}
	for i := range l.moves {
		mv := &l.moves[i]
		copy(ctx[mv.ctxOff:mv.ctxOff+mv.size], bytesAt(ev, mv.off, mv.size))
	}
	if len(l.slices) == 0 {
		return nil
	}
	total := 0
	for i := range l.slices {
		n := len(sliceAt(ev, l.slices[i].off))
		if n > maxBytes-total {
			return inputSize(n)
		}
		total += (n+gap-1)&^(gap-1) + gap
	}
	if err := m.reserve(total); err != nil {
		return err
	}
	at := 0
	for i := range l.slices {
		s := &l.slices[i]
		b := sliceAt(ev, s.off)
		copy(m.bytes.Bytes()[at:], b)
		l.setSlice(m, i, at, len(b))
		at += (len(b)+gap-1)&^(gap-1) + gap
	}
	return nil
}

// setSlice makes slice i of the context the n bytes at an offset of m.bytes.
func (l *layout) setSlice(m *memory, i, at, n int) {
	s := &l.slices[i]
	addr := m.bytes.Addr() + uintptr(at)
	order.PutUint64(m.ctx[s.ctxOff:], uint64(addr))
	order.PutUint64(m.ctx[s.ctxOff+8:], uint64(addr)+uint64(n))
	perm := mem.Read
	if s.write {
		perm = mem.ReadWrite
	}
	m.slices = append(m.slices[:i], mem.Region{Addr: addr, Len: uintptr(n), Kind: mem.KindPacket, Perm: perm, Name: s.name})
}

// storeEvent copies what programs may have written back to the struct at ev.
func (l *layout) storeEvent(m *memory, ev unsafe.Pointer) {
	for _, off := range l.bools { // a Go bool is 0 or 1
		if m.ctx[off] != 0 {
			m.ctx[off] = 1
		}
	}
	for i := range l.moves {
		if mv := &l.moves[i]; mv.write {
			copy(bytesAt(ev, mv.off, mv.size), m.ctx[mv.ctxOff:mv.ctxOff+mv.size])
		}
	}
	for i := range l.slices {
		if s := &l.slices[i]; s.write {
			copy(sliceAt(ev, s.off), m.sliceBytes(i))
		}
	}
}
