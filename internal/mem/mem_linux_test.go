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

func TestPair(t *testing.T) {
	a, err := NewPair(pageSize - 100)
	require.NoError(t, err)
	second := a.Addr() + uintptr(PairDistance(pageSize-100))
	for addr, want := range map[uintptr]string{
		a.Addr(): "rw-p", second - 1: "---p", second - uintptr(pageSize): "---p", second: "rw-p", second + uintptr(pageSize): "---p",
	} {
		require.Equal(t, want, protection(t, addr), "%+d", int(addr-a.Addr()))
	}
	require.NoError(t, a.Close())
}

// TestCodeIsNeverWritable looks at the mapping of code, from the system's view.
func TestCodeIsNeverWritable(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("code is for amd64 only")
	}
	c, err := NewCode(ret42)
	require.NoError(t, err)
	require.Equal(t, "r-xs", protection(t, c.Addr()))
	require.NoError(t, c.Release())

	a, err := New(2 * pageSize)
	require.NoError(t, err)
	pages := codePages{a}
	for _, again := range []bool{false, true} {
		require.NoError(t, pages.put(0, ret42, again))
		require.Equal(t, "r-xp", protection(t, a.Addr()))
		require.Equal(t, "rw-p", protection(t, a.Addr()+uintptr(pageSize)), "which nobody has put code in yet")
	}
	require.NoError(t, pages.close())
}

// TestLow asks for memory below 2^31, until there is none left there.
func TestLow(t *testing.T) {
	if mapLow == 0 {
		t.Skip("nothing to ask for such memory with on " + runtime.GOARCH)
	}
	var arenas []*Arena
	defer func() {
		for _, a := range arenas {
			require.NoError(t, a.Close())
		}
	}()
	for range 2<<30/maxLow + 1 {
		a, err := NewLow(maxLow)
		require.NoError(t, err)
		arenas = append(arenas, a)
		a.Bytes()[maxLow-1] = 1
	}
	require.Less(t, arenas[0].Addr(), uintptr(1<<31-maxLow))
	require.Greater(t, arenas[len(arenas)-1].Addr(), uintptr(1<<31))
	big, err := NewLow(maxLow + 1)
	require.NoError(t, err)
	arenas = append(arenas, big)
	require.Greater(t, big.Addr(), uintptr(1<<31))
}
