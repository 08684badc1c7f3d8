package leaf_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/leaf"
	"github.com/sandbpf/sandbpf/internal/leaf/leaftest"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/maps"
)

// native does to a map what compiled code does: it calls the leaves, and Go where they
// say NotHandled. Keys and values it hands over from off-heap memory of its own.
type native struct {
	m       *maps.Map
	cpu     int
	entries map[leaf.Op]uintptr
	key     buffer
	value   buffer
	refused int // calls that Go had to do
}

// newNative returns a native for virtual CPU cpu, with leaves for the given operations.
func newNative(tb testing.TB, m *maps.Map, cpu int, ops ...leaf.Op) *native {
	n := &native{m: m, cpu: cpu, entries: make(map[leaf.Op]uintptr)}
	for _, op := range ops {
		entry, ok := leaf.For(m, op)
		require.True(tb, ok, "op %d of %v", op, m)
		n.entries[op] = entry
	}
	n.key = newBuffer(tb, int(m.KeySize()))
	n.value = newBuffer(tb, int(m.ValueSize()))
	return n
}

// buffer is size bytes in two places: right behind an inaccessible page, and right
// before one.
type buffer struct {
	places [2][]byte
	turn   int
}

func newBuffer(tb testing.TB, size int) buffer {
	if size == 0 {
		return buffer{}
	}
	const page = 4096
	pages := (size + page - 1) / page * page
	var b buffer
	for i := range b.places {
		a, err := mem.New(pages)
		require.NoError(tb, err)
		tb.Cleanup(func() { require.NoError(tb, a.Close()) })
		b.places[i] = a.Bytes()[i*(pages-size):][:size]
	}
	return b
}

// put copies data to one of the places, in turns, and returns its address.
func (b *buffer) put(data []byte) uint64 {
	b.turn ^= 1
	place := b.places[b.turn]
	copy(place, data)
	return addr(place)
}

func addr(b []byte) uint64 { return uint64(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// at returns n bytes at an address that a lookup has returned.
func at(addr uintptr, n uint32) []byte { return unsafe.Slice((*byte)(mem.Pointer(addr)), n) }

func word(addr uintptr) *uint64 { return (*uint64)(mem.Pointer(addr)) }

func (n *native) call(op leaf.Op, r leaftest.Regs) (result uint64, handled bool) {
	r.R8 = uint64(n.cpu)
	result = leaftest.Call(n.entries[op], &r)
	if result == leaf.NotHandled {
		n.refused++
		return 0, false
	}
	return result, true
}

func (n *native) lookup(key []byte) uintptr {
	r, ok := n.call(leaf.Lookup, leaftest.Regs{DI: n.m.Addr(), SI: n.key.put(key)})
	if !ok {
		return n.m.LookupProg(n.cpu, key)
	}
	return uintptr(r)
}

func (n *native) update(key, value []byte, flags uint64) maps.Errno {
	r, ok := n.call(leaf.Update, leaftest.Regs{DI: n.m.Addr(), SI: n.key.put(key), DX: n.value.put(value), CX: flags})
	if !ok {
		return n.m.UpdateProg(n.cpu, key, value, flags)
	}
	return maps.Errno(-int64(r))
}

func (n *native) remove(key []byte) maps.Errno {
	r, ok := n.call(leaf.Delete, leaftest.Regs{DI: n.m.Addr(), SI: n.key.put(key)})
	if !ok {
		return n.m.DeleteProg(key)
	}
	return maps.Errno(-int64(r))
}

func (n *native) reserve(size uint64) uintptr {
	r, ok := n.call(leaf.Reserve, leaftest.Regs{DI: n.m.Addr(), SI: size})
	if !ok {
		addr, _ := n.m.ReserveProg(size)
		return addr
	}
	return uintptr(r)
}

// giveBack is Submit or Discard.
func (n *native) giveBack(op leaf.Op, record uintptr, flags uint64) maps.Errno {
	r, ok := n.call(op, leaftest.Regs{DI: uint64(record), SI: flags, DX: n.m.Addr()})
	switch {
	case !ok && op == leaf.Submit:
		return n.m.SubmitProg(record, flags)
	case !ok:
		return n.m.DiscardProg(record, flags)
	case r == leaf.Wake:
		n.m.WakeProg()
	}
	return 0
}

func newMap(tb testing.TB, spec maps.Spec, cpus int) *maps.Map {
	m, err := maps.NewWithOptions(&spec, maps.Options{NumCPU: cpus})
	require.NoError(tb, err)
	tb.Cleanup(func() { require.NoError(tb, m.Close()) })
	return m
}

// content returns keys and values of all CPUs, in the map's order.
func content(tb testing.TB, m *maps.Map) (elems []string) {
	next, err := m.NextKeyBytes(nil)
	for ; next != nil; next, err = m.NextKeyBytes(next) {
		value, err := m.LookupBytes(next)
		require.NoError(tb, err)
		elems = append(elems, fmt.Sprintf("%x: %x", next, value))
	}
	require.NoError(tb, err)
	return elems
}

// keyOf makes a key of any size from a number, with each byte drawn in.
func keyOf(size uint32, i uint32) []byte {
	k := make([]byte, size)
	if size < 4 {
		k[size-1] = byte(i)
		return k
	}
	for j := range k {
		k[j] = byte(i) * byte(j+1)
	}
	binary.NativeEndian.PutUint32(k[size-4:], i)
	return k
}
