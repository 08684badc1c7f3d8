package maps

import "encoding/binary"

// The maps of bpf_redirect_map are tables of numbers: DevMap and DevMapHash of
// {interface index, program}, CPUMap of {queue size, program}, XSKMap of a
// socket's number, each 4 bytes. What a number stands for is the user's affair.
// The first number 0 means no entry. Programs only look up.

// redirectEntry checks an entry as the user gives it. A program in an entry is
// not supported: EBADF.
func redirectEntry(t Type, value []byte) Errno {
	first := binary.NativeEndian.Uint32(value)
	if len(value) == 8 && int32(binary.NativeEndian.Uint32(value[4:])) > 0 {
		if first == 0 {
			return EINVAL
		}
		return EBADF
	}
	const maxQueue = 16384
	if t == CPUMap && first > maxQueue {
		return EOVERFLOW
	}
	return 0
}

// storedEntry is what is stored: no program is 0, whatever the user wrote.
func storedEntry(value []byte) (e [8]byte) {
	copy(e[:4], value)
	return e
}

// redirectArray is a DevMap, CPUMap or XSKMap, laid out as an Array.
type redirectArray struct {
	array
	typ Type
}

func newRedirectArray(c *core) (*redirectArray, error) {
	a, err := newArray(c)
	if err != nil {
		return nil, err
	}
	return &redirectArray{*a, c.typ}, nil
}

func (r *redirectArray) present(i uint32) bool { return *(*uint32)(r.at(0, i)) != 0 }

func (r *redirectArray) lookup(cpu int, key []byte) uintptr {
	if i := index(key); i >= r.max || !r.present(i) {
		return 0
	}
	return r.array.lookup(cpu, key)
}

func (r *redirectArray) update(int, []byte, []byte, uint64) Errno { return EINVAL }

func (r *redirectArray) get(key, value []byte, flags uint64) Errno {
	if r.typ == XSKMap {
		return ENOTSUPP
	}
	if i := index(key); i >= r.max || !r.present(i) {
		return ENOENT
	}
	return r.array.get(key, value, flags)
}

func (r *redirectArray) set(key, value []byte, flags uint64) Errno {
	i := index(key)
	switch {
	case flags > uint64(UpdateExist):
		return EINVAL
	case i >= r.max:
		return E2BIG
	case flags == uint64(UpdateNoExist) && (r.typ != XSKMap || r.present(i)):
		return EEXIST
	case flags == uint64(UpdateExist) && r.typ == XSKMap && !r.present(i):
		return ENOENT
	}
	if e := redirectEntry(r.typ, value); e != 0 {
		return e
	}
	entry := storedEntry(value)
	copyIn(r.at(0, i), entry[:])
	return 0
}

func (r *redirectArray) remove(key []byte) Errno {
	i := index(key)
	if i >= r.max {
		return EINVAL
	}
	copyIn(r.at(0, i), make([]byte, 8))
	return 0
}

// devMapHash is a DevMapHash: a hash of such entries.
type devMapHash struct{ *hashMap }

func newDevMapHash(c *core) (devMapHash, error) {
	h, err := newHash(c)
	return devMapHash{h}, err
}

func (d devMapHash) update(int, []byte, []byte, uint64) Errno { return EINVAL }

func (d devMapHash) set(key, value []byte, flags uint64) Errno {
	if flags > uint64(UpdateExist) || binary.NativeEndian.Uint32(value) == 0 {
		return EINVAL
	}
	if e := redirectEntry(DevMapHash, value); e != 0 {
		return e
	}
	entry := storedEntry(value)
	return d.hashMap.set(key, entry[:len(value)], flags&uint64(UpdateNoExist))
}
