package maps

import (
	"math"
	"sync"
	"unsafe"

	"github.com/sandbpf/sandbpf/internal/mem"
)

// queue is a Queue or Stack: values in an arena, copied in and out. Programs
// never see their addresses.
type queue struct {
	unsupported
	arena  *mem.Arena
	base   unsafe.Pointer
	stride uintptr
	max    uint64
	stack  bool

	mu   sync.Mutex
	head uint64 // slot of the oldest value
	n    uint64 // values held
}

func newQueue(c *core) (*queue, error) {
	stride := round8(uint64(c.valueSize))
	if stride*uint64(c.maxEntries) > math.MaxInt {
		return nil, mem.ErrNoMemory
	}
	a, err := mem.New(int(stride * uint64(c.maxEntries)))
	if err != nil {
		return nil, err
	}
	return &queue{arena: a, base: a.Base(), stride: uintptr(stride), max: uint64(c.maxEntries), stack: c.typ == Stack}, nil
}

// slot returns the place of the i-th value, the oldest being 0.
func (q *queue) slot(i uint64) unsafe.Pointer {
	return unsafe.Add(q.base, uintptr((q.head+i)%q.max)*q.stride)
}

// push adds a value. UpdateExist makes room by dropping the oldest one.
func (q *queue) push(value []byte, flags uint64) Errno {
	if flags&uint64(UpdateNoExist) != 0 || flags > uint64(UpdateExist) {
		return EINVAL
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == q.max {
		if flags != uint64(UpdateExist) {
			return E2BIG
		}
		q.dropOldest()
	}
	copyIn(q.slot(q.n), value)
	q.n++
	return 0
}

func (q *queue) dropOldest() {
	q.n--
	q.head = (q.head + 1) % q.max
}

// take copies the next value out, the oldest of a Queue or the newest of a Stack.
func (q *queue) take(value []byte, pop bool) Errno {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 {
		clear(value)
		return ENOENT
	}
	switch {
	case q.stack:
		copyOut(value, q.slot(q.n-1))
		if pop {
			q.n--
		}
	default:
		copyOut(value, q.slot(0))
		if pop {
			q.dropOldest()
		}
	}
	return 0
}

func (q *queue) update(_ int, _, value []byte, flags uint64) Errno { return EINVAL }
func (q *queue) remove([]byte) Errno                               { return EINVAL }
func (q *queue) next([]byte, []byte) Errno                         { return EINVAL }

// The user side looks at, pushes and takes values as lookups, updates and
// LookupAndDelete without a key.
func (q *queue) get(_, value []byte, _ uint64) Errno     { return q.take(value, false) }
func (q *queue) set(_, value []byte, flags uint64) Errno { return q.push(value, flags) }

func (q *queue) free() { _ = q.arena.Close() }
