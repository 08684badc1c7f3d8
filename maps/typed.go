package maps

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"reflect"
)

// Typed is a Map with the Go types of its keys and values. V is a slice for a
// per-CPU map. Its methods are those of Map, and as safe for concurrent use.
type Typed[K, V any] struct{ m *Map }

// NewTyped wraps a map. The error says if a type has another size than the map's.
func NewTyped[K, V any](m *Map) (Typed[K, V], error) {
	if m == nil {
		return Typed[K, V]{}, errNilMap
	}
	var k K
	var v V
	if err := checkSize(&k, m.keySize); err != nil {
		return Typed[K, V]{}, fmt.Errorf("map %v: key: %w", m, err)
	}
	value := any(&v)
	if m.typ.PerCPU() {
		t := reflect.TypeFor[V]()
		if t.Kind() != reflect.Slice {
			return Typed[K, V]{}, fmt.Errorf("map %v: value: want a slice with an element for each CPU, not a %v", m, t)
		}
		value = reflect.New(t.Elem()).Interface()
	}
	if err := checkSize(value, m.valueSize); err != nil {
		return Typed[K, V]{}, fmt.Errorf("map %v: value: %w", m, err)
	}
	return Typed[K, V]{m}, nil
}

// checkSize compares the size of what p points at, if its type tells.
func checkSize(p any, want uint32) error {
	switch p.(type) {
	case encoding.BinaryUnmarshaler, *netip.Addr, *netip.Prefix, *[]byte, *string, **Map:
		return nil
	}
	if n := binary.Size(p); n != int(want) {
		return fmt.Errorf("%v is %d bytes, want %d", reflect.TypeOf(p).Elem(), n, want)
	}
	return nil
}

// Map returns the map.
func (t Typed[K, V]) Map() *Map { return t.m }

// Get returns the value of a key; see Map.Lookup.
func (t Typed[K, V]) Get(key K) (value V, err error) {
	err = t.m.Lookup(key, &value)
	return value, err
}

// Put stores a value; see Map.Put.
func (t Typed[K, V]) Put(key K, value V) error { return t.m.Put(key, value) }

// Update stores a value; see Map.Update.
func (t Typed[K, V]) Update(key K, value V, flags UpdateFlags) error {
	return t.m.Update(key, value, flags)
}

// Delete removes an element; see Map.Delete.
func (t Typed[K, V]) Delete(key K) error { return t.m.Delete(key) }

// All goes through the elements as Map.Iterate does. It ends early where that
// fails, as when the map is closed; use Map.Iterate to know.
func (t Typed[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for it := t.m.Iterate(); ; {
			var k K
			var v V
			if !it.Next(&k, &v) || !yield(k, v) {
				return
			}
		}
	}
}
