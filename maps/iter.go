package maps

import (
	"errors"
	"fmt"
)

// MapIterator goes through a map by NextKey. It is not safe for concurrent use.
type MapIterator struct {
	m     *Map
	key   []byte
	count uint64
	done  bool
	err   error
}

// Iterate returns an iterator. Elements that are added or deleted meanwhile may
// or may not be seen. If the element that the iterator is at is deleted, it
// starts over, and so may see elements twice; it gives up with
// ErrIterationAborted when it has seen more than the map has room for.
func (m *Map) Iterate() *MapIterator { return &MapIterator{m: m} }

// Next decodes the next element. It reports false at the end and on errors.
func (it *MapIterator) Next(keyOut, valueOut any) bool {
	if it.err != nil || it.done {
		return false
	}
	// One key more than there is room for may be the first to come again.
	for it.count <= uint64(it.m.maxEntries) {
		var at any
		if it.key != nil {
			at = it.key
		}
		next, err := it.m.nextKey(at)
		if errors.Is(err, ErrKeyNotExist) {
			it.done = true
			return false
		}
		if err != nil {
			it.err = it.m.fail("iterate", err)
			return false
		}
		it.key = next
		it.count++
		value, err := it.m.lookupBytes(next, 0)
		if errors.Is(err, ErrKeyNotExist) {
			continue // deleted since, or an empty slot of an array of maps
		}
		if err == nil {
			err = it.decode(keyOut, valueOut, value)
		}
		if err != nil {
			it.err = it.m.fail("iterate", err)
			return false
		}
		return true
	}
	it.err = fmt.Errorf("map %v: %w", it.m, ErrIterationAborted)
	return false
}

func (it *MapIterator) decode(keyOut, valueOut any, value []byte) error {
	if err := it.m.unmarshalValue(valueOut, value); err != nil {
		return err
	}
	return unmarshal(keyOut, it.key)
}

// Err returns what ended the iteration early, if anything did.
func (it *MapIterator) Err() error { return it.err }
