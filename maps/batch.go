package maps

import (
	"errors"
	"fmt"
	"reflect"
)

// MapBatchCursor is where a batch lookup goes on. Its zero value is the start.
type MapBatchCursor struct {
	m      *Map
	bucket uint32 // of a hash
	key    []byte // the last one seen, of other types
}

// BatchOptions are the flags of a batch operation. No type here takes any
// (EINVAL).
type BatchOptions struct {
	ElemFlags uint64
	Flags     uint64
}

func (o *BatchOptions) check() error {
	if o != nil && (o.ElemFlags != 0 || o.Flags != 0) {
		return EINVAL
	}
	return nil
}

// BatchLookup copies elements to the slices keysOut and valuesOut, which must
// have the same length (valuesOut that of all CPUs together in a per-CPU map: the
// values of one key lie next to each other). It returns how many. The error matches
// ErrKeyNotExist when the end of the map was reached, even if there are some. A
// hash is read by whole buckets, so fewer elements than there is room for may come,
// and ENOSPC if a bucket has more.
func (m *Map) BatchLookup(cursor *MapBatchCursor, keysOut, valuesOut any, opts *BatchOptions) (int, error) {
	n, err := m.batchLookup(cursor, keysOut, valuesOut, opts, false)
	if err != nil {
		return n, m.fail("batch lookup", err)
	}
	return n, nil
}

// BatchLookupAndDelete is BatchLookup that removes what it copies. It is for the
// hash types; others give ErrNotSupported.
func (m *Map) BatchLookupAndDelete(cursor *MapBatchCursor, keysOut, valuesOut any, opts *BatchOptions) (int, error) {
	n, err := m.batchLookup(cursor, keysOut, valuesOut, opts, true)
	if err != nil {
		return n, m.fail("batch lookup and delete", err)
	}
	return n, nil
}

// rows is a pair of slices as a batch operation gets them.
type rows struct {
	keys, values reflect.Value
	n            int // keys
	perKey       int // values for each key
	stride       int // bytes from one value of a key to the next
}

func (m *Map) rowsOf(keys, values any) (r rows, err error) {
	r.perKey, r.stride = 1, int(m.valueSize)
	if m.typ.PerCPU() {
		r.perKey, r.stride = m.numCPU, int(round8(m.valueSize))
	}
	r.keys, r.values = reflect.ValueOf(keys), reflect.ValueOf(values)
	if r.keys.Kind() != reflect.Slice || r.values.Kind() != reflect.Slice {
		return r, fmt.Errorf("keys and values must be slices, not a %T and a %T", keys, values)
	}
	r.n = r.keys.Len()
	if r.values.Len() != r.n*r.perKey {
		return r, fmt.Errorf("%d keys and %d values, want %d", r.n, r.values.Len(), r.n*r.perKey)
	}
	return r, nil
}

// unmarshal fills the slices with the first n elements of the buffers.
func (r *rows) unmarshal(m *Map, n int, keys, values []byte) error {
	for i := range n {
		if err := unmarshal(r.keys.Index(i).Addr().Interface(), keys[i*int(m.keySize):][:m.keySize]); err != nil {
			return fmt.Errorf("key %d: %w", i, err)
		}
		for j := range r.perKey {
			v := i*r.perKey + j
			if err := unmarshal(r.values.Index(v).Addr().Interface(), values[v*r.stride:][:m.valueSize]); err != nil {
				return fmt.Errorf("value %d: %w", v, err)
			}
		}
	}
	return nil
}

func (m *Map) batchLookup(cursor *MapBatchCursor, keysOut, valuesOut any, opts *BatchOptions, take bool) (int, error) {
	r, err := m.rowsOf(keysOut, valuesOut)
	if err != nil {
		return 0, err
	}
	if cursor == nil || cursor.m != nil && cursor.m.core != m.core {
		return 0, errors.New("cursor is nil or of another map")
	}
	need := reads
	if take {
		need |= writes
	}
	if err := m.begin(need); err != nil {
		return 0, err
	}
	defer m.end(need)
	if err := opts.check(); err != nil {
		return 0, err
	}
	cursor.m = m
	keys, values := make([]byte, r.n*int(m.keySize)), make([]byte, r.n*m.userSize())
	n, e := m.batchBytes(cursor, r.n, keys, values, take)
	if err := r.unmarshal(m, n, keys, values); err != nil {
		return 0, err
	}
	return n, e.Err()
}

// batchBytes is batchLookup in bytes.
func (m *Map) batchBytes(cursor *MapBatchCursor, max int, keys, values []byte, take bool) (n int, e Errno) {
	ks, vs := int(m.keySize), m.userSize()
	row := func(i int) (key, value []byte) { return keys[i*ks:][:ks], values[i*vs:][:vs] }
	h := m.hashOf()
	switch {
	case h == nil && take, !m.typ.batch():
		return 0, ENOTSUPP
	case max == 0:
		return 0, 0
	case h != nil:
		return h.batch(&cursor.bucket, max, take, row)
	}
	for n < max {
		next := make([]byte, ks)
		if e := m.impl.next(cursor.key, next); e != 0 {
			return n, e
		}
		key, value := row(n)
		cursor.key = next
		switch e := m.impl.get(next, value, 0); e {
		case 0:
			copy(key, next)
			n++
		case ENOENT: // deleted since, or an empty slot
		default:
			return n, e
		}
	}
	return n, 0
}

// hashOf returns the hash behind the map, if it is one.
func (m *Map) hashOf() *hashMap {
	switch i := m.impl.(type) {
	case *hashMap:
		return i
	case *hashOfMaps:
		return i.hashMap
	}
	return nil
}

// batch reports whether Linux has batch operations for the type.
func (t Type) batch() bool {
	switch t {
	case Array, PerCPUArray, ArrayOfMaps, Hash, PerCPUHash, LRUHash, LRUCPUHash, HashOfMaps, LPMTrie:
		return true
	}
	return false
}

// BatchUpdate stores the elements of the slices keys and values. It stops at the
// first that fails and returns how many were stored.
func (m *Map) BatchUpdate(keys, values any, opts *BatchOptions) (int, error) {
	n, err := m.batchUpdate(keys, values, opts)
	if err != nil {
		return n, m.fail("batch update", err)
	}
	return n, nil
}

func (m *Map) batchUpdate(keys, values any, opts *BatchOptions) (int, error) {
	r, err := m.rowsOf(keys, values)
	if err != nil {
		return 0, err
	}
	if err := m.begin(writes); err != nil {
		return 0, err
	}
	defer m.end(writes)
	if err := opts.check(); err != nil {
		return 0, err
	}
	if !m.typ.batch() {
		return 0, ENOTSUPP
	}
	for i := range r.n {
		key, err := m.marshalKey(r.keys.Index(i).Interface())
		if err != nil {
			return i, err
		}
		value := r.values.Index(i * r.perKey)
		if m.typ.PerCPU() {
			value = r.values.Slice(i*r.perKey, (i+1)*r.perKey)
		}
		v, err := m.marshalValue(value.Interface())
		if err != nil {
			return i, err
		}
		if e := m.impl.set(key, v, 0); e != 0 {
			return i, e
		}
	}
	return r.n, nil
}

// BatchDelete removes the elements of a slice of keys. It stops at the first that
// fails and returns how many were removed. An array gives ErrNotSupported.
func (m *Map) BatchDelete(keys any, opts *BatchOptions) (int, error) {
	n, err := m.batchDelete(keys, opts)
	if err != nil {
		return n, m.fail("batch delete", err)
	}
	return n, nil
}

func (m *Map) batchDelete(keys any, opts *BatchOptions) (int, error) {
	v := reflect.ValueOf(keys)
	if v.Kind() != reflect.Slice {
		return 0, fmt.Errorf("keys must be a slice, not a %T", keys)
	}
	if err := m.begin(writes); err != nil {
		return 0, err
	}
	defer m.end(writes)
	if err := opts.check(); err != nil {
		return 0, err
	}
	if m.hashOf() == nil && m.typ != LPMTrie {
		return 0, ENOTSUPP
	}
	for i := range v.Len() {
		key, err := m.marshalKey(v.Index(i).Interface())
		if err != nil {
			return i, err
		}
		if e := m.impl.remove(key); e != 0 {
			return i, e
		}
	}
	return v.Len(), nil
}
