package mem

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

func TestArena(t *testing.T) {
	for _, size := range []int{1, 63, 4096, 4097, 1 << 20} {
		a, err := New(size)
		require.NoError(t, err)
		b := a.Bytes()
		require.Len(t, b, size)
		require.Equal(t, size, a.Size())
		require.Zero(t, a.Addr()%64)
		require.Equal(t, a.Addr(), uintptr(a.Base()))
		for i := range b {
			require.Zero(t, b[i])
			b[i] = 0xff
		}
		require.NoError(t, a.Close())
		require.NoError(t, a.Close())
		require.Nil(t, a.Bytes())
		require.Nil(t, a.Base())
		require.Zero(t, a.Addr())
	}
}

func TestPairParts(t *testing.T) {
	for _, size := range []int{1, 100, pageSize, 3*pageSize - 1} {
		a, err := NewPair(size)
		require.NoError(t, err)
		distance := PairDistance(size)
		require.GreaterOrEqual(t, distance, size+pageSize)
		require.Equal(t, distance+size, a.Size())
		first, second := a.Bytes()[:size], a.Bytes()[distance:]
		require.Equal(t, make([]byte, size), first)
		require.Equal(t, make([]byte, size), second)
		first[size-1], second[0], second[size-1] = 1, 2, 2
		require.Equal(t, byte(1), first[size-1])
		require.NoError(t, a.Close())
	}
	_, err := NewPair(maxArena)
	require.ErrorIs(t, err, ErrNoMemory)
}

func TestArenaBadSize(t *testing.T) {
	for _, size := range []int{0, -1, math.MinInt, math.MaxInt, maxArena + 1} {
		_, err := New(size)
		require.ErrorIs(t, err, ErrNoMemory, size)
	}
}

// TestArenaLeak opens and closes more arenas than a process may have mapped.
func TestArenaLeak(t *testing.T) {
	for range 70000 {
		a, err := New(1 << 20)
		require.NoError(t, err)
		a.Bytes()[0] = 1
		require.NoError(t, a.Close())
	}
}

func TestArenaConcurrent(t *testing.T) {
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 200 {
				a, err := New(10000)
				if err != nil {
					t.Error(err)
					return
				}
				b := a.Bytes()
				for i := range b {
					if b[i] != 0 {
						t.Error("not zeroed")
						return
					}
					b[i] = byte(g)
				}
				var closers sync.WaitGroup
				for range 2 {
					closers.Go(func() { _ = a.Close() })
				}
				closers.Wait()
			}
		})
	}
	wg.Wait()
}

func TestSlab(t *testing.T) {
	s := NewSlab(100)
	require.Equal(t, 128, s.BlockSize())
	seen := map[unsafe.Pointer]bool{}
	var blocks []unsafe.Pointer
	for range 3 * slabChunk / 128 {
		p, err := s.Get()
		require.NoError(t, err)
		require.False(t, seen[p])
		require.Zero(t, uintptr(p)%64)
		seen[p] = true
		b := unsafe.Slice((*byte)(p), 128)
		require.Equal(t, make([]byte, 128), b)
		for i := range b {
			b[i] = 0xee
		}
		blocks = append(blocks, p)
	}
	for _, p := range blocks {
		s.Put(p)
	}
	for range blocks {
		p, err := s.Get()
		require.NoError(t, err)
		require.True(t, seen[p], "memory is reused")
		require.Equal(t, make([]byte, 128), unsafe.Slice((*byte)(p), 128))
	}
}

func TestSlabConcurrent(t *testing.T) {
	s := NewSlab(64)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for range 2000 {
				p, err := s.Get()
				if err != nil {
					t.Error(err)
					return
				}
				w := (*uint64)(p)
				if *w != 0 {
					t.Error("two owners, or not zeroed")
				}
				*w = uint64(g) + 1
				runtime.Gosched()
				if *w != uint64(g)+1 {
					t.Error("two owners")
				}
				s.Put(p)
			}
		})
	}
	wg.Wait()
}

func TestRegionContains(t *testing.T) {
	r := Region{Addr: 1000, Len: 10}
	require.True(t, r.Contains(1000, 10))
	require.True(t, r.Contains(1010, 0))
	require.False(t, r.Contains(1003, 8))
	require.False(t, r.Contains(999, 1))
	require.False(t, r.Contains(1001, math.MaxUint))
	top := Region{Addr: math.MaxUint - 9, Len: 10}
	require.True(t, top.Contains(math.MaxUint, 1))
	require.False(t, top.Contains(math.MaxUint, 2))
}

func TestStrings(t *testing.T) {
	require.Equal(t, "map value kind(0) kind(99)", fmt.Sprint(KindMapValue, " ", Kind(0), " ", Kind(99)))
	require.Equal(t, "none r w rw", fmt.Sprint(Perm(0), " ", Read, " ", Write, " ", ReadWrite))
}

// ret42 is mov eax, 42; ret.
var ret42 = []byte{0xb8, 42, 0, 0, 0, 0xc3}

func TestCode(t *testing.T) {
	c, err := NewCode(ret42)
	if runtime.GOARCH != "amd64" {
		require.ErrorIs(t, err, ErrNoExec)
		return
	}
	require.NoError(t, err)
	require.Zero(t, c.Addr()%codeAlign)
	require.Equal(t, ret42, c.Bytes())
	require.NoError(t, c.Release())
	require.Nil(t, c.Bytes())
	require.ErrorIs(t, c.Release(), ErrClosed)
}

// memories are what a pool may get from the OS.
func memories(t *testing.T) map[string]codeMemory {
	const size = 64 << 10
	a, err := New(size)
	require.NoError(t, err)
	list := map[string]codeMemory{"pages": codePages{a}}
	if f, err := newCodeFile(size); err == nil {
		list["file"] = f
	}
	return list
}

// TestCodeMemory writes code over code.
func TestCodeMemory(t *testing.T) {
	for name, m := range memories(t) {
		for i := range 3 {
			code := bytes.Repeat([]byte{byte(i)}, 2*pageSize)
			err := m.put(pageSize, code, i > 0)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			}
			require.NoError(t, err, name)
			require.Equal(t, code, unsafe.Slice((*byte)(Pointer(m.base()+uintptr(pageSize))), len(code)), name)
		}
		require.NoError(t, m.close(), name)
	}
}

// TestCodePool puts and frees programs at random: none is written over, and in the end no more
// is kept than a chunk.
func TestCodePool(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("code is for amd64 only")
	}
	r := rand.New(rand.NewPCG(1, 2))
	type program struct {
		*Code
		bytes []byte
	}
	var live []program
	check := func(p program) {
		require.Equal(t, p.bytes, p.Code.Bytes(), "somebody else writes here")
		require.NoError(t, p.Release())
	}
	for range 2000 {
		if len(live) > 0 && r.IntN(5) < 2 {
			i := r.IntN(len(live))
			check(live[i])
			live = append(live[:i], live[i+1:]...)
			continue
		}
		n := 1 + r.IntN(200)
		if r.IntN(4) == 0 {
			n = 1 + r.IntN(20*pageSize)
		}
		code := bytes.Repeat([]byte{byte(r.Uint32())}, n)
		c, err := NewCode(code)
		require.NoError(t, err)
		if n <= pageSize {
			require.Equal(t, c.Addr()/uintptr(pageSize), (c.Addr()+uintptr(n)-1)/uintptr(pageSize), "%d bytes in two pages", n)
		}
		live = append(live, program{c, code})
	}
	for _, p := range live {
		check(p)
	}
	require.Len(t, codePool.chunks, 1)
	require.Equal(t, []extent{{0, codePool.chunks[0].fresh}}, codePool.chunks[0].holes)
}
