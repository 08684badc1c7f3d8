package maps

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// createBases are specs that Linux takes, from which createSpecs goes astray.
var createBases = []Spec{
	{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 2},
	{Type: PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 2},
	{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 2},
	{Type: PerCPUHash, KeySize: 4, ValueSize: 8, MaxEntries: 2},
	{Type: LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: 2},
	{Type: LRUCPUHash, KeySize: 4, ValueSize: 8, MaxEntries: 2},
	{Type: ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
	{Type: PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 2},
	{Type: LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 2, Flags: FlagNoPrealloc},
	{Type: RingBuf, MaxEntries: 4096},
	{Type: Queue, ValueSize: 4, MaxEntries: 2},
	{Type: Stack, ValueSize: 4, MaxEntries: 2},
	{Type: DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 2},
	{Type: DevMapHash, KeySize: 4, ValueSize: 8, MaxEntries: 2},
	{Type: CPUMap, KeySize: 4, ValueSize: 4, MaxEntries: 2},
	{Type: XSKMap, KeySize: 4, ValueSize: 4, MaxEntries: 2},
	{Type: ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2},
	{Type: HashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 2},
}

// createSpecs varies one field of each base, or two flags.
func createSpecs() []Spec {
	var out []Spec
	for _, base := range createBases {
		out = append(append(out, base), variations(base)...)
		for bits := range 1 << 13 {
			if bits&(bits-1) != 0 && bits&(bits-1)&(bits&(bits-1)-1) == 0 {
				s := base
				s.Flags ^= uint32(bits)
				out = append(out, s)
			}
		}
	}
	return out
}

func variations(base Spec) (out []Spec) {
	for _, v := range []uint32{0, 1, 3, 4, 5, 8, 259, 260, 261, 1 << 22, 1 << 31} {
		s := base
		s.KeySize = v
		out = append(out, s)
	}
	for _, v := range []uint32{0, 1, 3, 4, 5, 8, 12, 32767, 32768, 32769,
		1<<22 - 400, 1<<22 - 304, 1<<22 - 300, 1<<22 - 299, 1<<22 - 297, 1<<22 - 296, 1<<22 - 295, 1<<22 - 294, 1<<22 - 293, 1<<22 - 292, 1<<22 - 291, 1<<22 - 288, 1<<22 - 284, 1<<22 - 281, 1<<22 - 280, 1<<22 - 279, 1<<22 - 276, 1<<22 - 272,
		1<<22 - 264,
		1<<22 - 64, 1<<22 - 60, 1<<22 - 56, 1<<22 - 53, 1<<22 - 52, 1<<22 - 51, 1<<22 - 48, 1<<22 - 1, 1 << 22, 1<<22 + 1, 1 << 31} {
		s := base
		s.ValueSize = v
		if v >= 1<<20 {
			s.MaxEntries = 1
		}
		out = append(out, s)
	}
	for _, v := range []uint32{0, 1, 4095, 4096, 8191, 8192, 8193, 12288} {
		if base.Type == CPUMap && v > 1 && v <= maxCPU {
			continue // Linux's limit is its configured number of CPUs
		}
		s := base
		s.MaxEntries = v
		out = append(out, s)
	}
	for bit := range 15 {
		s := base
		s.Flags ^= 1 << bit
		out = append(out, s)
	}
	return out
}

// createInner is the template that the specs of maps of maps get.
var createInner = Spec{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 1}

// createLine is a spec in testdata/create.txt: type, key size, value size, max
// entries, flags.
func createLine(s Spec) string {
	return fmt.Sprintf("%v %d %d %d %#x", s.Type, s.KeySize, s.ValueSize, s.MaxEntries, s.Flags)
}

// ourCreate checks a spec without the completions that New makes.
func ourCreate(s Spec) Errno {
	if s.Type.MapInMap() {
		s.InnerMap = &createInner
	}
	if r := s.check(); r != nil {
		return r.errno
	}
	return 0
}

func TestCreateRecorded(t *testing.T) {
	f, err := os.Open("testdata/create.txt")
	require.NoError(t, err)
	defer f.Close()
	specs := createSpecs()
	sc := bufio.NewScanner(f)
	i := 0
	for ; sc.Scan(); i++ {
		line, want, _ := strings.Cut(sc.Text(), " = ")
		require.Less(t, i, len(specs))
		require.Equal(t, createLine(specs[i]), line)
		require.Equal(t, want, fmt.Sprint(int(ourCreate(specs[i]))), line)
	}
	require.Equal(t, len(specs), i)
}

// TestCreate makes some of the maps that are allowed, and reads the errors of
// some that are not.
func TestCreate(t *testing.T) {
	for _, base := range createBases {
		if base.Type.MapInMap() {
			base.InnerMap = &createInner
		}
		m, err := New(&base)
		require.NoError(t, err)
		require.Equal(t, base.Type, m.Type())
		require.NoError(t, m.Close())
	}
	for _, typ := range []Type{UnspecifiedMap, StackTrace, CGroupArray, SockMap, SockHash, CGroupStorage,
		ReusePortSockArray, PerCPUCGroupStorage, SkStorage, StructOpsMap, InodeStorage, TaskStorage, BloomFilter,
		UserRingbuf, CgroupStorage, Arena, numTypes, ^Type(0)} {
		_, err := New(&Spec{Name: "m", Type: typ, KeySize: 4, ValueSize: 4, MaxEntries: 1})
		require.ErrorIs(t, err, ErrNotSupported)
		require.ErrorContains(t, err, typ.String())
	}
	_, err := New(&Spec{Name: "counters", Type: Array, KeySize: 8, ValueSize: 8, MaxEntries: 1})
	require.EqualError(t, err, "map counters(Array): create: invalid argument: key size is 8, want 4")
	_, err = New(nil)
	require.ErrorIs(t, err, EINVAL)
	_, err = NewWithOptions(&createBases[0], Options{NumCPU: -1})
	require.Error(t, err)
	for _, s := range []Spec{
		{Type: Array, KeySize: 4, ValueSize: 1 << 30, MaxEntries: ^uint32(0)},
		{Type: Queue, ValueSize: 1 << 22, MaxEntries: ^uint32(0)},
		{Type: Hash, KeySize: 4, ValueSize: 1 << 20, MaxEntries: 1 << 31},
		{Type: PerCPUArray, KeySize: 4, ValueSize: 1 << 15, MaxEntries: ^uint32(0)},
		{Type: PerCPUHash, KeySize: 1 << 20, ValueSize: 1 << 15, MaxEntries: 1 << 31},
	} {
		m, err := NewWithOptions(&s, Options{NumCPU: maxCPU})
		if err == nil { // an address space that big exists
			require.NoError(t, m.Close())
			continue
		}
		require.ErrorIs(t, err, ENOMEM)
	}
}

func TestCreateContents(t *testing.T) {
	spec := &Spec{Name: "c", Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 4, Freeze: true,
		Contents: []KV{{uint32(1), uint64(10)}, {uint32(2), uint64(20)}}}
	m, err := New(spec)
	require.NoError(t, err)
	defer m.Close()
	var v uint64
	require.NoError(t, m.Lookup(uint32(2), &v))
	require.EqualValues(t, 20, v)
	require.ErrorIs(t, m.Put(uint32(1), uint64(1)), EPERM)
	require.ErrorIs(t, m.Freeze(), EPERM)
	key, value := []byte{1, 0, 0, 0}, make([]byte, 8)
	require.Zero(t, m.UpdateProg(0, key, value, 0), "freezing does not bind programs")

	spec.Contents = append(spec.Contents, KV{uint64(1), uint64(1)})
	_, err = New(spec)
	require.ErrorContains(t, err, "element 2 of contents")
	require.ErrorContains(t, err, "uint64 marshals to 8 bytes, want 4")
}
