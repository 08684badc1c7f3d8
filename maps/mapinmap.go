package maps

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
)

// inners is what ArrayOfMaps and HashOfMaps have in common. A cell of theirs is
// the address of an inner map's Header, which is what a program's lookup returns;
// each non-zero cell holds a reference on the map, so that FromAddr finds it. To
// the user side a value is the inner map's ID.
type inners struct {
	template *Spec
	retire   func(free func())

	mu      sync.Mutex
	dropped []*core // when there is no retire: held until the outer map is freed
}

// admit returns the cell for an inner map, with a reference on it. EBADF: there
// is no such map; EINVAL: it is not like the template (bpf_map_meta_equal).
func (in *inners) admit(value []byte) (uint64, Errno) {
	v, ok := registry.byID.Load(binary.NativeEndian.Uint32(value))
	if !ok || !v.(*Map).acquire() {
		return 0, EBADF
	}
	m := v.(*Map)
	if in.incompatible(m) != "" {
		m.release()
		return 0, EINVAL
	}
	return m.Addr(), 0
}

// incompatible says in what m differs from the template, "" if in nothing.
func (in *inners) incompatible(m *Map) string {
	t := in.template
	switch {
	case m.typ != t.Type:
		return "type"
	case m.keySize != t.KeySize:
		return "key size"
	case m.valueSize != t.ValueSize:
		return "value size"
	case m.flags != t.Flags:
		return "flags"
	case m.maxEntries != t.MaxEntries && (m.typ == Array || m.typ == PerCPUArray || m.typ == XSKMap) && t.Flags&FlagInnerMap == 0:
		return "max entries"
	}
	return ""
}

// drop lets go of the map of a cell that has been overwritten. A program run
// may have the address still, so the map lives on until retire says otherwise.
func (in *inners) drop(cell uint64) {
	m, ok := FromAddr(cell)
	if !ok {
		return
	}
	if in.retire != nil {
		in.retire(m.release)
		return
	}
	in.mu.Lock()
	in.dropped = append(in.dropped, m.core)
	in.mu.Unlock()
}

// close drops everything for good: no program has the outer map any more.
func (in *inners) close() {
	for _, c := range in.dropped {
		c.release()
	}
}

// readID writes the ID of a cell's map. The cell vouches for its map only as long
// as it holds it: if it has changed by the end, the new one counts.
func readID(cell *uint64, value []byte) Errno {
	for {
		addr := atomic.LoadUint64(cell)
		if addr == 0 {
			return ENOENT
		}
		m, ok := FromAddr(addr)
		if ok && atomic.LoadUint64(cell) == addr {
			binary.NativeEndian.PutUint32(value, m.id)
			return 0
		}
	}
}

// arrayOfMaps is an array of cells; see inners.
type arrayOfMaps struct {
	unsupported
	inners
	cells
}

func newArrayOfMaps(c *core) (*arrayOfMaps, error) {
	cs, err := newCells(c, 8, 1)
	if err != nil {
		return nil, err
	}
	return &arrayOfMaps{inners: inners{template: c.inner, retire: c.retire}, cells: cs}, nil
}

func (a *arrayOfMaps) cell(i uint32) *uint64 { return (*uint64)(a.at(0, i)) }

func (a *arrayOfMaps) lookup(_ int, key []byte) uintptr {
	i := index(key)
	if i >= a.max {
		return 0
	}
	return uintptr(atomic.LoadUint64(a.cell(i)))
}

func (a *arrayOfMaps) find(uintptr) (uintptr, bool) { return 0, false }

func (a *arrayOfMaps) next(key, next []byte) Errno { return nextIndex(a.max, key, next) }

func (a *arrayOfMaps) get(key, value []byte, _ uint64) Errno {
	i := index(key)
	if i >= a.max {
		return ENOENT
	}
	return readID(a.cell(i), value)
}

func (a *arrayOfMaps) set(key, value []byte, flags uint64) Errno {
	i := index(key)
	switch {
	case flags != uint64(UpdateAny):
		return EINVAL
	case i >= a.max:
		return E2BIG
	}
	cell, e := a.admit(value)
	if e != 0 {
		return e
	}
	if old := atomic.SwapUint64(a.cell(i), cell); old != 0 {
		a.drop(old)
	}
	return 0
}

func (a *arrayOfMaps) remove(key []byte) Errno {
	i := index(key)
	if i >= a.max {
		return E2BIG
	}
	old := atomic.SwapUint64(a.cell(i), 0)
	if old == 0 {
		return ENOENT
	}
	a.drop(old)
	return 0
}

func (a *arrayOfMaps) free() {
	for i := range a.max {
		if m, ok := FromAddr(*a.cell(i)); ok {
			m.release()
		}
	}
	a.close()
	a.cells.free()
}

// hashOfMaps is a hash of cells; see inners.
type hashOfMaps struct {
	inners
	*hashMap
}

func newHashOfMaps(c *core) (*hashOfMaps, error) {
	h, err := newHashOf(c, 8)
	if err != nil {
		return nil, err
	}
	m := &hashOfMaps{inners: inners{template: c.inner, retire: c.retire}, hashMap: h}
	h.drop = m.inners.drop
	return m, nil
}

func (h *hashOfMaps) lookup(_ int, key []byte) uintptr {
	for range maxSteps {
		ref, seq := h.locate(key)
		if ref == 0 {
			return 0
		}
		e := h.elem(ref)
		cell := atomic.LoadUint64((*uint64)(h.cell(e)))
		if atomic.LoadUint32(&e.Seq) == seq {
			return uintptr(cell)
		}
	}
	return 0 // deleted under each of the looks
}

func (h *hashOfMaps) update(int, []byte, []byte, uint64) Errno { return EINVAL }

func (h *hashOfMaps) set(key, value []byte, flags uint64) Errno {
	addr, e := h.admit(value)
	if e != 0 {
		return e
	}
	var cell [8]byte
	binary.NativeEndian.PutUint64(cell[:], addr)
	if e := h.hashMap.set(key, cell[:], flags); e != 0 {
		if m, ok := FromAddr(addr); ok {
			m.release()
		}
		return e
	}
	return 0
}

func (h *hashOfMaps) free() {
	h.hashMap.drop = func(cell uint64) {
		if m, ok := FromAddr(cell); ok {
			m.release()
		}
	}
	h.hashMap.free()
	h.close()
}
