package maps

import (
	"encoding/binary"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

var mapsOfMaps = []Spec{
	{Name: "outer", Type: ArrayOfMaps, KeySize: 4, MaxEntries: 2, InnerMap: &Spec{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 2}},
	{Name: "outer", Type: HashOfMaps, KeySize: 4, MaxEntries: 2, InnerMap: &Spec{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 2}},
}

func TestMapInMap(t *testing.T) {
	for _, s := range mapsOfMaps {
		outer := newTestMap(t, s, 1)
		a, err := New(s.InnerMap)
		require.NoError(t, err)
		b, err := New(s.InnerMap)
		require.NoError(t, err)
		require.NoError(t, outer.Put(uint32(0), a))
		require.NoError(t, a.Put(uint32(1), uint64(11)))
		require.NoError(t, b.Put(uint32(1), uint64(22)))

		addr := outer.LookupProg(0, key4(0))
		require.Equal(t, a.Addr(), uint64(addr))
		inner, ok := FromAddr(uint64(addr))
		require.True(t, ok)
		value := inner.LookupProg(0, key4(1))
		require.EqualValues(t, 11, *at(value))
		require.Zero(t, outer.LookupProg(0, key4(1)))
		_, ok = outer.Find(addr)
		require.False(t, ok, "the header is not a value")
		require.Equal(t, EINVAL, outer.UpdateProg(0, key4(0), key4(a.ID()), 0))

		var got *Map
		require.NoError(t, outer.Lookup(uint32(0), &got))
		require.Equal(t, a.ID(), got.ID())
		require.NoError(t, got.Close())
		var id uint32
		require.NoError(t, outer.Lookup(uint32(0), &id))
		require.Equal(t, a.ID(), id)

		// The user closes the map and replaces it: what a program looked
		// up stays usable until the outer map goes.
		require.NoError(t, a.Close())
		require.NoError(t, outer.Put(uint32(0), b))
		require.NoError(t, b.Close())
		_, ok = FromAddr(uint64(addr))
		require.True(t, ok)
		require.EqualValues(t, 11, *at(value))
		require.NoError(t, outer.Lookup(uint32(0), &got))
		var v uint64
		require.NoError(t, got.Lookup(uint32(1), &v))
		require.EqualValues(t, 22, v)
		require.ErrorIs(t, outer.Put(uint32(1), b), ErrClosed)

		require.NoError(t, outer.Delete(uint32(0)))
		require.ErrorIs(t, outer.Delete(uint32(0)), ErrKeyNotExist)
		require.ErrorIs(t, outer.Lookup(uint32(0), &got), ErrKeyNotExist)
		require.NoError(t, outer.Close())
		_, ok = FromAddr(uint64(addr))
		require.False(t, ok, "the outer map was the last to hold it")
		require.NoError(t, got.Lookup(uint32(1), &v))
		require.NoError(t, got.Close())
	}
}

func TestMapInMapIncompatible(t *testing.T) {
	for _, s := range mapsOfMaps {
		outer := newTestMap(t, s, 1)
		for _, change := range []func(*Spec){
			func(s *Spec) { s.Type = Hash },
			func(s *Spec) { s.Type, s.KeySize = Hash, 8 },
			func(s *Spec) { s.ValueSize = 4 },
			func(s *Spec) { s.MaxEntries = 3 },
			func(s *Spec) { s.Flags = FlagMmapable },
			func(s *Spec) { s.Type, s.MaxEntries = PerCPUArray, 2 },
		} {
			in := *s.InnerMap
			change(&in)
			require.ErrorIs(t, outer.Put(uint32(0), newTestMap(t, in, 1)), EINVAL)
		}
		require.ErrorIs(t, outer.Put(uint32(0), ^uint32(0)), EBADF)
		require.ErrorIs(t, outer.Update(uint32(0), newTestMap(t, *s.InnerMap, 1), UpdateFlags(9)), EINVAL)
		require.ErrorContains(t, outer.Put(uint32(0), (*Map)(nil)), "nil *Map")

		free := s
		free.InnerMap = &Spec{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 2, Flags: FlagInnerMap}
		outer = newTestMap(t, free, 1)
		in := *free.InnerMap
		in.MaxEntries = 77
		require.NoError(t, outer.Put(uint32(0), newTestMap(t, in, 1)))

		for _, bad := range []struct {
			inner *Spec
			want  Errno
		}{
			{nil, EBADF},
			{&mapsOfMaps[0], EINVAL},
			{&Spec{Type: ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1}, ENOTSUPP},
			{&Spec{Type: Array, KeySize: 5, ValueSize: 4, MaxEntries: 1}, EINVAL},
		} {
			s.InnerMap = bad.inner
			_, err := New(&s)
			require.ErrorIs(t, err, bad.want)
		}
	}
}

// TestMapInMapRetire: with Retire, a replaced map is freed when the owner says so.
func TestMapInMapRetire(t *testing.T) {
	for _, s := range mapsOfMaps {
		var retired []func()
		outer, err := NewWithOptions(&s, Options{NumCPU: 1, Retire: func(free func()) { retired = append(retired, free) }})
		require.NoError(t, err)
		inner, err := New(s.InnerMap)
		require.NoError(t, err)
		require.NoError(t, outer.Put(uint32(0), inner))
		addr := inner.Addr()
		require.NoError(t, inner.Close())
		require.NoError(t, outer.Delete(uint32(0)))
		require.Len(t, retired, 1)
		_, ok := FromAddr(addr)
		require.True(t, ok)
		retired[0]()
		_, ok = FromAddr(addr)
		require.False(t, ok)
		require.NoError(t, outer.Close())
	}
}

// TestMapInMapConcurrent: programs always find a live map of the right shape
// while inner maps are swapped.
func TestMapInMapConcurrent(t *testing.T) {
	for _, s := range mapsOfMaps {
		outer := newTestMap(t, s, 2)
		first := newTestMap(t, *s.InnerMap, 2)
		require.NoError(t, outer.Put(uint32(0), first))
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for range 200 {
					m, err := New(s.InnerMap)
					if err == nil {
						err = m.Put(uint32(1), uint64(m.ID()))
					}
					if err == nil {
						err = outer.Put(uint32(0), m)
					}
					if err != nil {
						t.Error(err)
						return
					}
					m.Close()
				}
			})
		}
		for range 20000 {
			m, ok := FromAddr(uint64(outer.LookupProg(0, key4(0))))
			if !ok {
				t.Fatal("no map")
			}
			if v := *at(m.LookupProg(0, key4(1))); v != uint64(m.ID()) && m.ID() != first.ID() {
				t.Fatal("value of another map", v, m.ID())
			}
		}
		wg.Wait()
	}
}

type testProg struct {
	id   uint32
	kind string
}

func (p *testProg) ProgramID() uint32 { return p.id }
func (p *testProg) TailWord() uint64  { return uint64(p.id) << 8 }
func (p *testProg) JoinArray(other ProgramRef) error {
	if other != nil && other.(*testProg).kind != p.kind {
		return errors.New("another type")
	}
	return nil
}

func TestProgramArray(t *testing.T) {
	m := newTestMap(t, Spec{Type: ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 5000}, 1)
	p := &testProg{7, "xdp"}
	require.NoError(t, m.Put(uint32(4999), p))
	require.Same(t, p, m.ProgramAt(4999))
	require.Nil(t, m.ProgramAt(0))
	require.Nil(t, m.ProgramAt(5000))
	require.Nil(t, m.ProgramAt(^uint32(0)))
	require.EqualValues(t, 7<<8, *m.impl.(*progArray).word(4999))
	var id uint32
	require.NoError(t, m.Lookup(uint32(4999), &id))
	require.EqualValues(t, 7, id)
	require.Zero(t, m.LookupProg(0, key4(4999)))
	require.ErrorIs(t, m.Put(uint32(5000), p), E2BIG)
	require.ErrorIs(t, m.Update(uint32(1), p, UpdateNoExist), EINVAL)
	require.ErrorIs(t, m.Put(uint32(1), &testProg{8, "tc"}), EINVAL)
	require.ErrorIs(t, m.Put(uint32(1), &testProg{0, "xdp"}), EINVAL, "no word to jump to")
	require.NoError(t, m.Delete(uint32(4999)))
	require.Nil(t, m.ProgramAt(4999))
	require.Zero(t, *m.impl.(*progArray).word(4999))
	require.ErrorIs(t, m.Delete(uint32(4999)), ErrKeyNotExist)
	require.ErrorIs(t, m.Lookup(uint32(4999), &id), ErrKeyNotExist)
	a := newTestMap(t, Spec{Type: Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}, 1)
	require.ErrorIs(t, a.Put(uint32(0), p), EINVAL)

	big := newTestMap(t, Spec{Type: ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1 << 24}, 1)
	require.NoError(t, big.Put(uint32(1<<24-1), p))
	require.Same(t, p, big.ProgramAt(1<<24-1))
}

func TestQueueStack(t *testing.T) {
	for _, typ := range []Type{Queue, Stack} {
		m := newTestMap(t, Spec{Type: typ, ValueSize: 8, MaxEntries: 3}, 1)
		var v [8]byte
		pop := func() uint64 {
			require.Zero(t, m.PopProg(v[:]))
			return binary.NativeEndian.Uint64(v[:])
		}
		require.Equal(t, ENOENT, m.PeekProg(v[:]))
		for round := range 3 {
			for i := range uint64(3) {
				require.Zero(t, m.PushProg(word(i), 0))
			}
			require.Equal(t, E2BIG, m.PushProg(word(3), 0))
			require.Zero(t, m.PushProg(word(3), uint64(UpdateExist)), "drops the oldest")
			require.Zero(t, m.PeekProg(v[:]))
			want := []uint64{1, 2, 3}
			if typ == Stack {
				want = []uint64{3, 2, 1}
			}
			for _, w := range want {
				require.Equal(t, w, pop(), "round %d", round)
			}
			v = [8]byte{1}
			require.Equal(t, ENOENT, m.PopProg(v[:]))
			require.Equal(t, [8]byte{}, v)
			require.Zero(t, m.PushProg(word(9), 0))
			require.EqualValues(t, 9, pop())
		}
		require.Equal(t, EINVAL, m.PushProg(word(1), 1))
		require.Equal(t, EINVAL, m.PushProg(nil, 0))
		require.NoError(t, m.Put(nil, uint64(5)))
		var w uint64
		require.NoError(t, m.Lookup(nil, &w))
		require.NoError(t, m.LookupAndDelete(nil, &w))
		require.EqualValues(t, 5, w)
		require.ErrorIs(t, m.LookupAndDelete(nil, &w), ErrKeyNotExist)
	}
}

func TestRedirectMaps(t *testing.T) {
	for _, typ := range []Type{DevMap, CPUMap, DevMapHash} {
		m := newTestMap(t, Spec{Type: typ, KeySize: 4, ValueSize: 8, MaxEntries: 4}, 1)
		require.NoError(t, m.Put(uint32(2), [2]uint32{9, 0}))
		addr := m.LookupProg(0, key4(2))
		require.NotZero(t, addr)
		require.EqualValues(t, 9, binary.NativeEndian.Uint32(word(*at(addr))))
		require.Zero(t, m.LookupProg(0, key4(1)))
		require.Equal(t, EINVAL, m.UpdateProg(0, key4(2), word(1), 0))
		require.ErrorIs(t, m.Put(uint32(1), [2]uint32{3, 5}), EBADF, "a program in the entry")
		var v [2]uint32
		require.NoError(t, m.Lookup(uint32(2), &v))
		require.Equal(t, [2]uint32{9, 0}, v)
		require.NoError(t, m.Delete(uint32(2)))
		require.ErrorIs(t, m.Lookup(uint32(2), &v), ErrKeyNotExist)
		require.Zero(t, m.LookupProg(0, key4(2)))
	}
	x := newTestMap(t, Spec{Type: XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 4}, 1)
	require.NoError(t, x.Put(uint32(1), uint32(77)))
	require.NotZero(t, x.LookupProg(0, key4(1)))
	require.ErrorIs(t, x.Lookup(uint32(1), new(uint32)), ErrNotSupported)
	require.ErrorIs(t, x.Update(uint32(1), uint32(1), UpdateNoExist), ErrKeyExist)
	require.ErrorIs(t, x.Update(uint32(2), uint32(1), UpdateExist), ErrKeyNotExist)
}
