package maps

import (
	"errors"
	"unsafe"
)

// access is what a user-side call needs.
type access uint8

const (
	reads access = 1 << iota
	writes
)

// begin starts a user-side call. The caller calls end after it succeeded.
func (m *Map) begin(a access) error {
	if !m.enter() {
		return ErrClosed
	}
	if a&writes != 0 {
		m.writers.Add(1) // before it is asked for frozen: see Constant
	}
	if a&reads != 0 && m.flags&FlagWronly != 0 ||
		a&writes != 0 && (m.flags&FlagRdonly != 0 || m.frozen.Load()) {
		m.end(a)
		return EPERM
	}
	return nil
}

// end ends a call that began.
func (m *Map) end(a access) {
	if a&writes != 0 {
		m.writers.Add(-1)
	}
	m.release()
}

// beginFlags is begin for calls that know no flag but BPF_F_LOCK, which needs a
// lock in the value. Linux checks in this order.
func (m *Map) beginFlags(a access, flags uint64) error {
	if flags&^uint64(UpdateLock) != 0 {
		return EINVAL
	}
	if err := m.begin(a); err != nil {
		return err
	}
	if flags != 0 {
		m.end(a)
		return EINVAL
	}
	return nil
}

// Lookup copies the value of key to what valueOut points at. For a per-CPU map
// that is a slice; for a map-in-map a **Map, which gets a new handle. In an
// LPMTrie, the key's longest prefix is meant. The error matches ErrKeyNotExist if
// there is none.
func (m *Map) Lookup(key, valueOut any) error { return m.LookupWithFlags(key, valueOut, 0) }

// LookupWithFlags is Lookup with flags.
func (m *Map) LookupWithFlags(key, valueOut any, flags LookupFlags) error {
	buf, err := m.lookupBytes(key, flags)
	if err == nil {
		err = m.unmarshalValue(valueOut, buf)
	}
	if err != nil {
		return m.fail("lookup", err)
	}
	return nil
}

// LookupBytes returns the value of key as bytes, nil if there is none.
func (m *Map) LookupBytes(key any) ([]byte, error) {
	buf, err := m.lookupBytes(key, 0)
	if errors.Is(err, ErrKeyNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, m.fail("lookup", err)
	}
	return buf, nil
}

func (m *Map) lookupBytes(key any, flags LookupFlags) ([]byte, error) {
	k, err := m.marshalKey(key)
	if err != nil {
		return nil, err
	}
	if err := m.beginFlags(reads, uint64(flags)); err != nil {
		return nil, err
	}
	defer m.end(reads)
	buf := make([]byte, m.userSize())
	if e := m.impl.get(k, buf, 0); e != 0 {
		return nil, e
	}
	return buf, nil
}

// Put stores a value, whether the key exists or not.
func (m *Map) Put(key, value any) error { return m.Update(key, value, UpdateAny) }

// Update stores a value. For a per-CPU map it is a slice, for a map-in-map a
// *Map, for a ProgramArray a ProgramRef. The error matches ErrKeyExist with
// UpdateNoExist, ErrKeyNotExist with UpdateExist, E2BIG or ENOSPC (LPMTrie) if the
// map is full or the index out of range, and EPERM if the map is frozen.
func (m *Map) Update(key, value any, flags UpdateFlags) error {
	if err := m.update(key, value, flags); err != nil {
		return m.fail("update", err)
	}
	return nil
}

func (m *Map) update(key, value any, flags UpdateFlags) error {
	k, err := m.marshalKey(key)
	if err != nil {
		return err
	}
	prog, isProg := value.(ProgramRef)
	var v []byte
	if !isProg {
		if v, err = m.marshalValue(value); err != nil {
			return err
		}
	}
	if !isProg {
		return m.updateBytes(k, v, uint64(flags))
	}
	if err := m.begin(writes); err != nil {
		return err
	}
	defer m.end(writes)
	if p, ok := m.impl.(*progArray); ok {
		return p.setProgram(k, prog, uint64(flags)).Err()
	}
	return EINVAL
}

func (m *Map) updateBytes(key, value []byte, flags uint64) error {
	if err := m.begin(writes); err != nil {
		return err
	}
	defer m.end(writes)
	if flags&uint64(UpdateLock) != 0 {
		return EINVAL
	}
	return m.impl.set(key, value, flags).Err()
}

// Delete removes an element. The error matches ErrKeyNotExist if there is none.
func (m *Map) Delete(key any) error {
	if err := m.remove(key); err != nil {
		return m.fail("delete", err)
	}
	return nil
}

func (m *Map) remove(key any) error {
	k, err := m.marshalKey(key)
	if err != nil {
		return err
	}
	if err := m.begin(writes); err != nil {
		return err
	}
	defer m.end(writes)
	return m.impl.remove(k).Err()
}

// LookupAndDelete looks an element up and removes it in one step. It is for the
// hash types, Queue and Stack (whose key is nil); other types give ErrNotSupported.
func (m *Map) LookupAndDelete(key, valueOut any) error {
	return m.LookupAndDeleteWithFlags(key, valueOut, 0)
}

// LookupAndDeleteWithFlags is LookupAndDelete with flags.
func (m *Map) LookupAndDeleteWithFlags(key, valueOut any, flags LookupFlags) error {
	buf, err := m.takeBytes(key, flags)
	if err == nil {
		err = m.unmarshalValue(valueOut, buf)
	}
	if err != nil {
		return m.fail("lookup and delete", err)
	}
	return nil
}

func (m *Map) takeBytes(key any, flags LookupFlags) ([]byte, error) {
	k, err := m.marshalKey(key)
	if err != nil {
		return nil, err
	}
	if err := m.beginFlags(reads|writes, uint64(flags)); err != nil {
		return nil, err
	}
	defer m.end(reads | writes)
	buf := make([]byte, m.userSize())
	switch i := m.impl.(type) {
	case *hashMap:
		err = i.take(k, buf).Err()
	case *queue:
		err = i.take(buf, true).Err()
	default:
		err = ENOTSUPP
	}
	return buf, err
}

// NextKey finds the key after key, or the first one if key is nil or not in the
// map. The error matches ErrKeyNotExist at the end. The order is that of the
// buckets in a hash, of the index in an array, and longer prefixes before those
// that contain them in an LPMTrie.
func (m *Map) NextKey(key, nextKeyOut any) error {
	buf, err := m.nextKey(key)
	if err == nil {
		err = unmarshal(nextKeyOut, buf)
	}
	if err != nil {
		return m.fail("next key", err)
	}
	return nil
}

// NextKeyBytes is NextKey that returns the key, nil at the end.
func (m *Map) NextKeyBytes(key any) ([]byte, error) {
	buf, err := m.nextKey(key)
	if errors.Is(err, ErrKeyNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, m.fail("next key", err)
	}
	return buf, nil
}

func (m *Map) nextKey(key any) (next []byte, err error) {
	var k []byte
	if key != nil {
		if k, err = m.marshalKey(key); err != nil {
			return nil, err
		}
	}
	if err := m.begin(reads); err != nil {
		return nil, err
	}
	defer m.end(reads)
	next = make([]byte, m.keySize)
	if e := m.impl.next(k, next); e != 0 {
		return nil, e
	}
	return next, nil
}

// Freeze makes the map read-only to the user side, for good; programs are not
// affected. The error matches EPERM if it is frozen already.
func (m *Map) Freeze() error {
	if !m.enter() {
		return m.fail("freeze", ErrClosed)
	}
	defer m.release()
	if m.flags&FlagRdonly != 0 || m.frozen.Swap(true) {
		return m.fail("freeze", EPERM)
	}
	return nil
}

// Frozen reports whether the user side cannot change the map any more.
func (m *Map) Frozen() bool { return m.frozen.Load() }

// Constant reports whether nobody changes what is in the map any more: programs may not, and the
// user side neither, since the map is frozen, no call that began before is under way, and Memory has
// not given its bytes away (bpf_map_is_rdonly).
func (m *Map) Constant() bool {
	return m.flags&FlagRdonlyProg != 0 && m.frozen.Load() && m.writers.Load() == 0
}

// Memory returns the values of an Array made with FlagMmapable, each rounded up
// to 8 bytes, as they lie: what mmap of the map gives. It is only good until
// the map is freed; touching it later faults. A frozen map gives EPERM.
func (m *Map) Memory() ([]byte, error) {
	if err := m.begin(reads | writes); err != nil {
		return nil, m.fail("memory", err)
	}
	a, ok := m.impl.(*array)
	if !ok || m.flags&FlagMmapable == 0 {
		m.end(reads | writes)
		return nil, m.fail("memory", ENOTSUPP)
	}
	m.release() // who has the bytes may write at any time: it stays a writer
	return unsafe.Slice((*byte)(a.base), int(a.stride)*int(a.max)), nil
}
