package mem

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// protection returns what /proc/self/maps says of an address, "" if nothing is there.
func protection(t *testing.T, addr uintptr) string {
	f, err := os.Open("/proc/self/maps")
	require.NoError(t, err)
	defer f.Close()
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		var lo, hi uintptr
		var perm string
		_, err := fmt.Sscanf(sc.Text(), "%x-%x %s", &lo, &hi, &perm)
		require.NoError(t, err)
		if addr >= lo && addr < hi {
			return perm
		}
	}
	require.NoError(t, sc.Err())
	return ""
}

func TestGuardPages(t *testing.T) {
	a, err := New(3 * pageSize)
	require.NoError(t, err)
	base, size := a.Addr(), uintptr(a.Size())
	require.Equal(t, "---p", protection(t, base-1))
	require.Equal(t, "rw-p", protection(t, base))
	require.Equal(t, "rw-p", protection(t, base+size-1))
	require.Equal(t, "---p", protection(t, base+size))

	for _, off := range []int{-1, int(size)} {
		require.Panics(t, func() {
			defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
			*(*byte)(unsafe.Add(a.Base(), off)) = 1
		})
	}
	require.NoError(t, a.Close())
}

func TestCodePages(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("code is sealed on amd64 only")
	}
	c, err := NewCode(6)
	require.NoError(t, err)
	addr, err := c.Write([]byte{0xb8, 42, 0, 0, 0, 0xc3})
	require.NoError(t, err)
	require.Equal(t, "rw-p", protection(t, addr))
	require.NoError(t, c.Seal())
	require.Equal(t, "r-xp", protection(t, addr))
	require.NoError(t, c.Release())

	// The page is given out again, writable, once no others are left.
	var reused uintptr
	for range 2 * chunkPages {
		again, err := NewCode(6)
		require.NoError(t, err)
		reused, err = again.Write([]byte{0xc3})
		require.NoError(t, err)
		require.Equal(t, "rw-p", protection(t, reused))
		require.NoError(t, again.Seal())
		require.Equal(t, "r-xp", protection(t, reused))
		require.NoError(t, again.Release())
		if reused == addr {
			return
		}
	}
	require.Equal(t, addr, reused)
}
