package leaf_test

import (
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/leaf"
	"github.com/sandbpf/sandbpf/internal/leaf/leaftest"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/maps"
)

// ringMemory returns everything that a ring's arena holds but the overflow.
func ringMemory(m *maps.Map) (maps.RingControl, []byte) {
	h := m.Header()
	return *(*maps.RingControl)(mem.Pointer(uintptr(h.Control))), at(uintptr(h.Base), h.Mask+1)
}

// TestRingSame runs the same reservations, commits and reads through leaves and through
// Go: results, memory and tokens for the reader are the same.
func TestRingSame(t *testing.T) {
	ops := 20000
	if testing.Short() {
		ops = 2000
	}
	spec := maps.Spec{Type: maps.RingBuf, MaxEntries: 4096}
	ours, theirs := newMap(t, spec, 1), newMap(t, spec, 1)
	n := newNative(t, ours, 0, leaf.Reserve, leaf.Submit, leaf.Discard)
	ourReader, err := maps.NewRingConsumer(ours)
	require.NoError(t, err)
	defer ourReader.Close()
	theirReader, err := maps.NewRingConsumer(theirs)
	require.NoError(t, err)
	defer theirReader.Close()

	r := rand.New(rand.NewPCG(1, 9))
	base := uintptr(ours.Header().Base) - uintptr(theirs.Header().Base)
	var records []uintptr // theirs
	full, wakes := 0, 0
	for range ops {
		switch k := r.IntN(10); {
		case k < 4:
			size := []uint64{r.Uint64N(9), r.Uint64N(300), 4088 + r.Uint64N(4), r.Uint64()}[min(r.IntN(20), 3)]
			if size != 4088 && r.IntN(2) == 0 {
				size %= 256
			}
			want, _ := theirs.ReserveProg(size)
			got := n.reserve(size)
			if want == 0 {
				full++
				require.Zero(t, got)
				continue
			}
			require.Equal(t, want+base, got)
			records = append(records, want)
			for _, p := range []uintptr{want, got} {
				for i, b := range at(p, uint32(size)) {
					at(p, uint32(size))[i] = b + byte(i) + 1
				}
			}
		case k < 8 && len(records) > 0:
			i, flags := r.IntN(len(records)), r.Uint64N(4)
			record := records[i]
			records = append(records[:i], records[i+1:]...)
			if r.IntN(3) == 0 {
				require.Equal(t, theirs.DiscardProg(record, flags), n.giveBack(leaf.Discard, record+base, flags))
			} else {
				require.Equal(t, theirs.SubmitProg(record, flags), n.giveBack(leaf.Submit, record+base, flags))
			}
			require.Len(t, ourReader.C(), len(theirReader.C()), "tokens for the reader")
			wakes += len(theirReader.C())
		case k == 8:
			for range r.IntN(20) {
				want, ok := theirReader.Next(nil)
				got, ok2 := ourReader.Next(nil)
				require.Equal(t, ok, ok2)
				require.Equal(t, want, got)
			}
			drain(ourReader.C())
			drain(theirReader.C())
		}
		ourControl, ourData := ringMemory(ours)
		theirControl, theirData := ringMemory(theirs)
		require.Equal(t, theirControl, ourControl)
		require.Equal(t, theirData, ourData)
	}
	require.NotZero(t, full)
	require.NotZero(t, wakes)
	require.Zero(t, n.refused)
}

func drain(c <-chan struct{}) {
	select {
	case <-c:
	default:
	}
}

// TestRingBadRecord: what is no record, or was given back, is left to Go, which says
// EINVAL.
func TestRingBadRecord(t *testing.T) {
	m := newMap(t, maps.Spec{Type: maps.RingBuf, MaxEntries: 4096}, 1)
	n := newNative(t, m, 0, leaf.Reserve, leaf.Submit, leaf.Discard)
	record := n.reserve(24)
	require.NotZero(t, record)
	for _, bad := range []uintptr{0, 1, record - 8, record + 1, record + 8, record + 4096, record - 4096, ^uintptr(0)} {
		require.Equal(t, maps.EINVAL, n.giveBack(leaf.Submit, bad, 0), "%#x", bad)
		require.Equal(t, maps.EINVAL, n.giveBack(leaf.Discard, bad, 0), "%#x", bad)
	}
	require.Zero(t, n.giveBack(leaf.Submit, record, 0))
	require.Equal(t, maps.EINVAL, n.giveBack(leaf.Submit, record, 0))
}

// TestRingRefused: a reservation that finds more records given back than a leaf looks at, and
// one that finds the lock taken, are left to Go.
func TestRingRefused(t *testing.T) {
	m := newMap(t, maps.Spec{Type: maps.RingBuf, MaxEntries: 1 << 16}, 1)
	n := newNative(t, m, 0, leaf.Reserve, leaf.Submit, leaf.Discard)
	var records []uintptr
	for range 1000 {
		records = append(records, n.reserve(8))
	}
	require.Zero(t, n.refused)
	for _, record := range records {
		require.Zero(t, n.giveBack(leaf.Discard, record, 0))
	}
	require.NotZero(t, n.reserve(8))
	require.Equal(t, 1, n.refused)
	control, _ := ringMemory(m)
	require.EqualValues(t, 1000*16, control.Pending)

	lock := (*uint32)(unsafe.Add(mem.Pointer(uintptr(m.Header().Control)), unsafe.Offsetof(maps.RingControl{}.Lock)))
	*lock = 1
	r := leaftest.Regs{DI: m.Addr(), SI: 8}
	require.EqualValues(t, leaf.NotHandled, leaftest.Call(n.entries[leaf.Reserve], &r))
	*lock = 0
	require.NotZero(t, n.reserve(8))
}
