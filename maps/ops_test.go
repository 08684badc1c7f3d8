package maps

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Sequences of operations run on Linux's maps and on ours, and what both answer
// must be the same. testdata/ops has some with Linux's answers for machines that
// have no Linux to ask: -update records them anew.

var update = flag.Bool("update", false, "record answers of the running kernel in testdata")

var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// op is one call of bpf(2) on a map.
type op struct {
	name       string // lookup, update, delete, next, take, dump, freeze
	key, value []byte
	flags      uint64
}

func (o op) String() string {
	return fmt.Sprintf("%s %s %s %d", o.name, orDash(o.key), orDash(o.value), o.flags)
}

func orDash(b []byte) string {
	if len(b) == 0 {
		return "-"
	}
	return hex.EncodeToString(b)
}

func fromDash(s string) []byte {
	if s == "-" {
		return nil
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// target is a map under test, Linux's or ours.
type target interface {
	do(op) (result []byte, e Errno)
}

// answer runs an operation and returns what it did as text.
func answer(t target, o op) string {
	if o.name == "dump" {
		return dump(t)
	}
	result, e := t.do(o)
	if e != 0 {
		return fmt.Sprintf("errno %d", int(e))
	}
	return "ok " + orDash(result)
}

// dump returns all elements, sorted: the order of a hash is not specified.
func dump(t target) string {
	var elems []string
	var key []byte
	for range 10000 {
		next, e := t.do(op{name: "next", key: key})
		if e == ENOENT {
			sort.Strings(elems)
			return "all " + strings.Join(elems, ",")
		}
		if e != 0 {
			return fmt.Sprintf("errno %d", int(e))
		}
		value, e := t.do(op{name: "lookup", key: next})
		elems = append(elems, fmt.Sprintf("%s:%s:%d", orDash(next), orDash(value), int(e)))
		key = next
	}
	return "endless"
}

// ourTarget is one of our maps.
type ourTarget struct {
	m     *Map
	inner []*Map
}

func errnoOf(err error) Errno {
	var e Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &e):
		return e
	}
	return -1
}

func (o ourTarget) do(c op) (result []byte, e Errno) {
	m := o.m
	var err error
	if o.inner != nil {
		if i := c.value; i != nil { // the number of an inner map stands for its ID
			c.value = key4(^uint32(0))
			if int(i[0]) < len(o.inner) {
				c.value = key4(o.inner[i[0]].ID())
			}
		}
		defer func() {
			for i, in := range o.inner {
				if c.name == "lookup" && string(result) == string(key4(in.ID())) {
					result = []byte{byte(i), 0, 0, 0}
				}
			}
		}()
	}
	switch c.name {
	case "lookup":
		result, err = m.lookupBytes(c.key, LookupFlags(c.flags))
	case "update":
		err = m.updateBytes(c.key, c.value, c.flags)
	case "delete":
		err = m.remove(c.key)
	case "next":
		var key any
		if c.key != nil {
			key = c.key
		}
		result, err = m.nextKey(key)
	case "take":
		result, err = m.takeBytes(c.key, LookupFlags(c.flags))
	case "freeze":
		err = m.Freeze()
	default:
		panic(c.name)
	}
	if err != nil {
		return nil, errnoOf(err)
	}
	return result, 0
}

// opInners are the inner maps that sequences store, by index; the last one is
// not like the template.
var opInners = []Spec{
	{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 2},
	{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 2},
	{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 3},
}

func newOurTarget(t testing.TB, s Spec, cpus int) ourTarget {
	o := ourTarget{m: newTestMap(t, s, cpus)}
	if s.Type.MapInMap() {
		for _, in := range opInners {
			o.inner = append(o.inner, newTestMap(t, in, cpus))
		}
	}
	return o
}

// opCase is a kind of map to run sequences on.
type opCase struct {
	name string
	spec Spec
}

var opCases = []opCase{
	{"array", Spec{Type: Array, KeySize: 4, ValueSize: 12, MaxEntries: 5}},
	{"array_rdonly", Spec{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 3, Flags: FlagRdonly}},
	{"array_wronly", Spec{Type: Array, KeySize: 4, ValueSize: 8, MaxEntries: 3, Flags: FlagWronly}},
	{"array_rdonly_prog", Spec{Type: Array, KeySize: 4, ValueSize: 3, MaxEntries: 3, Flags: FlagRdonlyProg}},
	{"percpu_array", Spec{Type: PerCPUArray, KeySize: 4, ValueSize: 5, MaxEntries: 4}},
	{"hash", Spec{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 6}},
	{"hash_no_prealloc", Spec{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 6, Flags: FlagNoPrealloc}},
	{"hash_odd", Spec{Type: Hash, KeySize: 13, ValueSize: 3, MaxEntries: 7}},
	{"hash_8", Spec{Type: Hash, KeySize: 8, ValueSize: 24, MaxEntries: 1}},
	{"hash_1", Spec{Type: Hash, KeySize: 1, ValueSize: 1, MaxEntries: 3, Flags: FlagZeroSeed}},
	{"hash_wronly", Spec{Type: Hash, KeySize: 4, ValueSize: 8, MaxEntries: 6, Flags: FlagWronly}},
	{"percpu_hash", Spec{Type: PerCPUHash, KeySize: 8, ValueSize: 4, MaxEntries: 5}},
	{"lru_hash", Spec{Type: LRUHash, KeySize: 4, ValueSize: 8, MaxEntries: 1024}},
	{"lru_percpu_hash", Spec{Type: LRUCPUHash, KeySize: 4, ValueSize: 8, MaxEntries: 1024}},
	{"lpm_1", Spec{Type: LPMTrie, KeySize: 5, ValueSize: 4, MaxEntries: 9, Flags: FlagNoPrealloc}},
	{"lpm_4", Spec{Type: LPMTrie, KeySize: 8, ValueSize: 8, MaxEntries: 20, Flags: FlagNoPrealloc}},
	{"lpm_11", Spec{Type: LPMTrie, KeySize: 15, ValueSize: 1, MaxEntries: 20, Flags: FlagNoPrealloc}},
	{"lpm_16", Spec{Type: LPMTrie, KeySize: 20, ValueSize: 8, MaxEntries: 20, Flags: FlagNoPrealloc}},
	{"queue", Spec{Type: Queue, ValueSize: 4, MaxEntries: 3}},
	{"stack", Spec{Type: Stack, ValueSize: 12, MaxEntries: 3}},
	{"ringbuf", Spec{Type: RingBuf, MaxEntries: 4096}},
	{"perf_event_array", Spec{Type: PerfEventArray, KeySize: 4, ValueSize: 4, MaxEntries: 2}},
	{"devmap", Spec{Type: DevMap, KeySize: 4, ValueSize: 4, MaxEntries: 3}},
	{"devmap_hash", Spec{Type: DevMapHash, KeySize: 4, ValueSize: 8, MaxEntries: 3}},
	{"array_of_maps", Spec{Type: ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 3, InnerMap: &opInners[0]}},
	{"hash_of_maps", Spec{Type: HashOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 3, InnerMap: &opInners[0]}},
	{"prog_array", Spec{Type: ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 3}},
}

// unordered reports whether the order of keys is the type's own affair.
func (c opCase) unordered() bool {
	switch c.spec.Type {
	case Hash, PerCPUHash, LRUHash, LRUCPUHash, HashOfMaps, DevMapHash:
		return true
	}
	return false
}

// indexed reports whether keys begin with a uint32 in the host's byte order.
func (c opCase) indexed() bool {
	switch c.spec.Type {
	case Array, PerCPUArray, LPMTrie, PerfEventArray, ProgramArray, ArrayOfMaps, DevMap:
		return true
	}
	return false
}

// gen makes a sequence of n operations with few different keys.
func (c opCase) gen(seed uint64, n, cpus int) []op {
	r := rand.New(rand.NewPCG(seed, 1))
	names := []string{"update", "update", "update", "update", "lookup", "lookup", "delete", "delete", "take", "next", "next"}
	flags := []uint64{0, 0, 0, 0, 1, 1, 2, 2, 3, 4, 5, 1 << 40}
	size := int(c.spec.ValueSize)
	if c.spec.Type.PerCPU() {
		size = (size + 7) / 8 * 8 * cpus
	}
	var ops []op
	for i := range n {
		o := op{name: names[r.IntN(len(names))], key: c.key(r)}
		switch o.name {
		case "update":
			o.flags = flags[r.IntN(len(flags))]
			o.value = make([]byte, size)
			for i := range o.value {
				// What lies between the values of two CPUs is not stored.
				if !c.spec.Type.PerCPU() || i%((int(c.spec.ValueSize)+7)/8*8) < int(c.spec.ValueSize) {
					o.value[i] = byte(r.Uint32())
				}
			}
			if v, ok := c.fdValue(r); ok {
				o.value = v
			}
		case "lookup", "take":
			if r.IntN(10) == 0 {
				o.flags = flags[r.IntN(len(flags))]
			}
		case "next":
			if r.IntN(4) == 0 {
				o.key = nil
			}
			if c.unordered() {
				o = op{name: "dump"}
			}
		}
		if c.spec.Type == ProgramArray && o.name == "update" || i == n*9/10 {
			o = op{name: "freeze"} // the rest is on a frozen map
			if i < n*9/10 {
				continue
			}
		}
		ops = append(ops, o)
	}
	return append(ops, op{name: "dump"})
}

// fdValue makes a value of the types that do not take any bytes: the number of
// an inner map, or the index of an interface, of which every host has number 1.
func (c opCase) fdValue(r *rand.Rand) ([]byte, bool) {
	switch c.spec.Type {
	case ArrayOfMaps, HashOfMaps:
		return []byte{byte(r.IntN(len(opInners) + 1)), 0, 0, 0}, true
	case DevMap, DevMapHash:
		v := make([]byte, c.spec.ValueSize)
		binary.NativeEndian.PutUint32(v, uint32(r.IntN(2)))
		return v, true
	}
	return nil, false
}

func (c opCase) key(r *rand.Rand) []byte {
	key := make([]byte, c.spec.KeySize)
	switch {
	case c.spec.Type == LPMTrie:
		binary.NativeEndian.PutUint32(key, r.Uint32N((c.spec.KeySize-4)*8+2))
		for i := 4; i < len(key); i++ {
			key[i] = [...]byte{0, 0x80, 0xff, 0xfe, 0xf0}[r.IntN(5)]
			if r.IntN(3) > 0 {
				key[i] = 0x55
			}
		}
	case c.indexed():
		binary.NativeEndian.PutUint32(key, r.Uint32N(c.spec.MaxEntries+2))
		if r.IntN(20) == 0 {
			binary.NativeEndian.PutUint32(key, ^uint32(0))
		}
	case len(key) > 0:
		key[r.IntN(len(key))] = byte(r.IntN(10))
	}
	return key
}

// TestOpsRecorded replays what Linux answered.
func TestOpsRecorded(t *testing.T) {
	for _, c := range opCases {
		t.Run(c.name, func(t *testing.T) {
			if !littleEndian && (c.spec.Type == DevMap || c.spec.Type == DevMapHash) {
				t.Skip("values were recorded on a little-endian machine")
			}
			f, err := os.Open(filepath.Join("testdata", "ops", c.name+".txt"))
			require.NoError(t, err)
			defer f.Close()
			sc := bufio.NewScanner(f)
			sc.Buffer(nil, 1<<20)
			require.True(t, sc.Scan())
			var cpus int
			_, err = fmt.Sscanf(sc.Text(), "# cpus %d", &cpus)
			require.NoError(t, err)
			our := newOurTarget(t, c.spec, cpus)
			n := 0
			for ; sc.Scan(); n++ {
				line, want, _ := strings.Cut(sc.Text(), " = ")
				o := c.parse(t, line)
				require.Equal(t, c.portable(o, want), c.portable(o, answer(our, o)), "%d: %s", n, line)
			}
			require.NoError(t, sc.Err())
			require.Greater(t, n, 50)
		})
	}
}

func (c opCase) parse(t *testing.T, line string) op {
	f := strings.Fields(line)
	require.Len(t, f, 4)
	o := op{name: f[0], key: fromDash(f[1]), value: fromDash(f[2])}
	_, err := fmt.Sscan(f[3], &o.flags)
	require.NoError(t, err)
	if o.key == nil && c.spec.KeySize == 0 {
		o.key = []byte{}
	}
	if c.indexed() && len(o.key) >= 4 { // recorded on a little-endian machine
		binary.NativeEndian.PutUint32(o.key, binary.LittleEndian.Uint32(o.key))
	}
	return o
}

// portable makes answers with keys in the host's byte order comparable with
// those of a little-endian machine.
func (c opCase) portable(o op, ans string) string {
	if littleEndian {
		return ans
	}
	if !c.indexed() {
		return ans
	}
	swap := func(s string) string {
		if len(s) < 8 {
			return s
		}
		b := fromDash(s[:8])
		return hex.EncodeToString([]byte{b[3], b[2], b[1], b[0]}) + s[8:]
	}
	switch kind, rest, _ := strings.Cut(ans, " "); {
	case kind == "ok" && o.name == "next":
		return min(ans, "ok "+swap(rest))
	case kind == "all" && rest != "":
		elems := strings.Split(rest, ",")
		alt := make([]string, len(elems))
		for i, e := range elems {
			alt[i] = swap(e)
		}
		sort.Strings(elems)
		sort.Strings(alt)
		return min(strings.Join(elems, ","), strings.Join(alt, ","))
	}
	return ans
}
