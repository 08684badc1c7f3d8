package maps

// The program side: what helper bodies call. Keys and values are views of
// memory that the engine has checked; a slice of another size than the map's
// is refused (EINVAL or a miss). Nothing here allocates or blocks longer than
// another CPU takes to finish its own update.
//
// A handle that is closed must not be used here: the caller keeps one open.

// LookupProg is bpf_map_lookup_elem: the address of the value, 0 if there is
// none. For a map-in-map it is the Addr of the inner map. A ProgramArray,
// PerfEventArray, RingBuf, Queue or Stack has no values to look up: 0.
func (m *Map) LookupProg(cpu int, key []byte) uintptr {
	if len(key) != int(m.keySize) || uint(cpu) >= uint(m.numCPU) {
		return 0
	}
	return m.impl.lookup(cpu, key)
}

// UpdateProg is bpf_map_update_elem. In a per-CPU map it sets the copy of cpu
// and, in an element that it creates, zeroes the others.
func (m *Map) UpdateProg(cpu int, key, value []byte, flags uint64) Errno {
	if len(key) != int(m.keySize) || len(value) != int(m.valueSize) || uint(cpu) >= uint(m.numCPU) {
		return EINVAL
	}
	if m.flags&FlagRdonlyProg != 0 {
		return EPERM
	}
	return m.impl.update(cpu, key, value, flags)
}

// DeleteProg is bpf_map_delete_elem.
func (m *Map) DeleteProg(key []byte) Errno {
	if len(key) != int(m.keySize) {
		return EINVAL
	}
	if m.flags&FlagRdonlyProg != 0 {
		return EPERM
	}
	return m.impl.remove(key)
}

// LookupPercpu is bpf_map_lookup_percpu_elem: the address of the copy of cpu,
// 0 if there is no such element or CPU, or the map is not per CPU.
func (m *Map) LookupPercpu(cpu int, key []byte) uintptr {
	if !m.typ.PerCPU() {
		return 0
	}
	return m.LookupProg(cpu, key)
}

// PushProg is bpf_map_push_elem.
func (m *Map) PushProg(value []byte, flags uint64) Errno {
	q, ok := m.impl.(*queue)
	if !ok {
		return EOPNOTSUPP
	}
	if len(value) != int(m.valueSize) {
		return EINVAL
	}
	return q.push(value, flags)
}

// PopProg is bpf_map_pop_elem. If the map is empty, value is zeroed and the
// result is ENOENT.
func (m *Map) PopProg(value []byte) Errno { return m.takeProg(value, true) }

// PeekProg is bpf_map_peek_elem; see PopProg.
func (m *Map) PeekProg(value []byte) Errno { return m.takeProg(value, false) }

func (m *Map) takeProg(value []byte, pop bool) Errno {
	q, ok := m.impl.(*queue)
	if !ok {
		return EOPNOTSUPP
	}
	if len(value) != int(m.valueSize) {
		return EINVAL
	}
	return q.take(value, pop)
}

// walker is a map that bpf_for_each_map_elem works on.
type walker interface {
	walk(cpu int, key []byte, each func(value uintptr) bool) int
}

// ForEachProg is bpf_for_each_map_elem. For each element it writes the key to
// key and calls each with the address of the value, until each returns false.
// It returns the number of calls. The callback may update and delete elements
// of the map; whether it sees the ones it adds is open, as in Linux.
func (m *Map) ForEachProg(cpu int, key []byte, each func(value uintptr) bool) (int, Errno) {
	w, ok := m.impl.(walker)
	if !ok || len(key) != int(m.keySize) || uint(cpu) >= uint(m.numCPU) {
		return 0, EINVAL
	}
	return w.walk(cpu, key, each), 0
}

// ReserveProg is bpf_ringbuf_reserve: the address of a record of size bytes that
// stays contiguous, or EAGAIN if there is no room now (the helper returns NULL
// for any error). The record must be given to SubmitProg or DiscardProg.
func (m *Map) ReserveProg(size uint64) (uintptr, Errno) {
	if r, ok := m.impl.(*ring); ok {
		return r.reserve(size)
	}
	return 0, EINVAL
}

// SubmitProg is bpf_ringbuf_submit. It returns EINVAL if addr is not a record
// that was reserved and not given back.
func (m *Map) SubmitProg(addr uintptr, flags uint64) Errno { return m.commit(addr, flags, 0) }

// DiscardProg is bpf_ringbuf_discard; see SubmitProg.
func (m *Map) DiscardProg(addr uintptr, flags uint64) Errno {
	return m.commit(addr, flags, RingDiscard)
}

// WakeProg wakes the reader of a RingBuf: what SubmitProg and DiscardProg do, if the
// reader waits for that record, for native code that has given a record back itself.
func (m *Map) WakeProg() {
	if r, ok := m.impl.(*ring); ok {
		wake(r.notify)
	}
}

func (m *Map) commit(addr uintptr, flags uint64, mark uint32) Errno {
	if r, ok := m.impl.(*ring); ok {
		return r.commit(addr, flags, mark)
	}
	return EINVAL
}

// RingOutputProg is bpf_ringbuf_output.
func (m *Map) RingOutputProg(data []byte, flags uint64) Errno {
	if r, ok := m.impl.(*ring); ok {
		return r.output(data, flags)
	}
	return EINVAL
}

// QueryProg is bpf_ringbuf_query: one of the RingQuery numbers, 0 for any other
// flags.
func (m *Map) QueryProg(flags uint64) uint64 {
	if r, ok := m.impl.(*ring); ok {
		return r.query(flags)
	}
	return 0
}

// PerfOutputProg is bpf_perf_event_output: it appends a sample made of the given
// pieces to the buffer that flags select (an index, or PerfCurrentCPU).
// E2BIG: no such index; ENOENT: nobody reads it; EOPNOTSUPP: the buffer is of
// another CPU; ENOSPC: it is full, and the sample counts as lost.
func (m *Map) PerfOutputProg(cpu int, flags uint64, data ...[]byte) Errno {
	if p, ok := m.impl.(*perfArray); ok && uint(cpu) < uint(m.numCPU) {
		return p.output(cpu, flags, data)
	}
	return EINVAL
}

// ProgramAt returns the program at an index of a ProgramArray, nil if there is
// none or no such index: what bpf_tail_call jumps to.
func (m *Map) ProgramAt(index uint32) ProgramRef {
	if p, ok := m.impl.(*progArray); ok {
		return p.at(index)
	}
	return nil
}
