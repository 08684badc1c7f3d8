package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/perf"
	"github.com/cilium/ebpf/ringbuf"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// coreTargets names, for an object with CO-RE relocations against types of its
// own, what it is relocated against besides itself.
var coreTargets = map[string]string{"core.o": "core_target.o"}

// unrecorded matches the maps that are not recorded: constants, and times.
var unrecorded = regexp.MustCompile(`^(\.rodata|\.kconfig|sources$)`)

// instruction matches a line of a verifier log that says what was verified.
var instruction = regexp.MustCompile(`^(from \d+ to )?\d+: |^; `)

// TestObjects runs every program of every object on every packet and compares
// with what was recorded, or records it.
func TestObjects(t *testing.T) {
	needKernel(t)
	objects, err := filepath.Glob(filepath.Join(elfDir, "*.o"))
	require.NoError(t, err)
	for _, path := range objects {
		object := filepath.Base(path)
		if strings.HasSuffix(object, ".be.o") || slices.Contains(slices.Collect(maps.Values(coreTargets)), object) {
			continue
		}
		targets := []string{""}
		if target, ok := coreTargets[object]; ok {
			targets = []string{object, target}
		}
		for _, target := range targets {
			name := strings.TrimSuffix(object, ".o")
			if target != "" {
				name += "@" + strings.TrimSuffix(target, ".o")
			}
			t.Run(name, func(t *testing.T) {
				got := record(t, object, target)
				file := filepath.Join(elfDir, "golden", name+".json")
				if *update {
					writeJSON(t, file, got)
					return
				}
				var want golden
				readJSON(t, file, &want)
				if series(want.Kernel) != series(got.Kernel) {
					want.forgetReasons() // which are worded anew now and then
					got.forgetReasons()
				}
				want.Kernel = got.Kernel
				require.Equal(t, want, got)
			})
		}
	}
}

// series is the first two numbers of a kernel's release: "6.18".
func series(release string) string {
	return strings.Join(strings.SplitN(release, ".", 3)[:2], ".")
}

func (g *golden) forgetReasons() {
	for name, p := range g.Programs {
		if p.Refused != "" {
			p.Refused = "for some reason"
			g.Programs[name] = p
		}
	}
}

// record makes the recording of one object.
func record(t *testing.T, object, target string) golden {
	var uname unix.Utsname
	require.NoError(t, unix.Uname(&uname))
	g := golden{
		Object:   object,
		Target:   target,
		Kernel:   unix.ByteSliceToString(uname.Release[:]),
		Programs: make(map[string]goldenProgram),
	}
	spec, err := ebpf.LoadCollectionSpec(filepath.Join(elfDir, object))
	require.NoError(t, err)
	var opts ebpf.CollectionOptions
	if target != "" {
		opts.Programs.KernelTypes, err = btf.LoadSpec(filepath.Join(elfDir, target))
		require.NoError(t, err)
	}
	for name, prog := range spec.Programs {
		p := goldenProgram{Type: prog.Type.String()}
		if object == "rejected.o" {
			p.Refused = refusal(t, spec, name)
		} else {
			for _, packet := range packets(t) {
				if packet.xdpOnly && prog.Type != ebpf.XDP {
					continue
				}
				p.Cases = append(p.Cases, runCase(t, spec, opts, name, packet))
			}
		}
		g.Programs[name] = p
	}
	return g
}

// refusal returns the verifier's reason to refuse one program of an object.
func refusal(t *testing.T, spec *ebpf.CollectionSpec, name string) string {
	one := spec.Copy()
	maps.DeleteFunc(one.Programs, func(other string, _ *ebpf.ProgramSpec) bool { return other != name })
	coll, err := LoadSpec(one)
	if err == nil {
		coll.Close()
		require.Fail(t, "accepted", name)
	}
	var refused *ebpf.VerifierError
	require.True(t, errors.As(err, &refused), "%v", err)
	// The reason follows the last instruction.
	last := -1
	for i, line := range refused.Log {
		if instruction.MatchString(line) {
			last = i
		}
	}
	require.Less(t, last+1, len(refused.Log))
	return refused.Log[last+1]
}

// requireAccepted shows the verifier's whole log if err is a refusal.
func requireAccepted(t *testing.T, err error) {
	t.Helper()
	var refused *ebpf.VerifierError
	if errors.As(err, &refused) {
		require.Fail(t, "refused", "%+v", refused)
	}
	require.NoError(t, err)
}

// runCase runs one program once on one packet, with fresh maps.
func runCase(t *testing.T, spec *ebpf.CollectionSpec, opts ebpf.CollectionOptions, name string, in packet) goldenCase {
	runtime.LockOSThread() // per-CPU values are those of CPU 0
	defer runtime.UnlockOSThread()
	var cpu0, before unix.CPUSet
	require.NoError(t, unix.SchedGetaffinity(0, &before))
	cpu0.Set(0)
	require.NoError(t, unix.SchedSetaffinity(0, &cpu0))
	defer unix.SchedSetaffinity(0, &before)

	coll, err := LoadSpecWithOptions(spec.Copy(), opts)
	requireAccepted(t, err)
	defer func() { require.NoError(t, coll.Close()) }()
	readers := make(map[string]*perf.Reader)
	for mapName, m := range coll.Maps {
		if m.Type() == ebpf.PerfEventArray {
			reader, err := perf.NewReader(m, os.Getpagesize())
			require.NoError(t, err)
			defer reader.Close()
			readers[mapName] = reader
		}
	}
	c := goldenCase{Packet: in.name, In: in.data, Ctx: context(spec.Programs[name].Type, len(in.data))}
	got, err := coll.Programs[name].Run(c.In, c.Ctx, 1)
	require.NoError(t, err, "%s on %s", name, in.name)
	c.Ret = got.Ret
	if !bytes.Equal(got.Data, c.In) {
		c.Out = got.Data
	}
	if !bytes.Equal(got.Ctx, c.Ctx) {
		c.CtxOut = got.Ctx
	}
	for mapName, m := range coll.Maps {
		dump := dumpMap(t, m, readers[mapName])
		if len(dump.Entries)+len(dump.Events) == 0 || unrecorded.MatchString(mapName) {
			continue
		}
		if c.Maps == nil {
			c.Maps = make(map[string]goldenMap)
		}
		c.Maps[mapName] = dump
	}
	return c
}

// context is what a program of the type gets: struct xdp_md or struct
// __sk_buff, with what a test run allows to set.
func context(typ ebpf.ProgramType, packetLen int) []byte {
	put := binary.NativeEndian.PutUint32
	if typ == ebpf.XDP {
		ctx := make([]byte, 24)
		put(ctx[4:], uint32(packetLen)) // data_end
		return ctx
	}
	ctx := make([]byte, 192)
	put(ctx[8:], 0x11223344) // mark
	put(ctx[32:], 5)         // priority
	for i := range 5 {
		put(ctx[48+4*i:], uint32(i+1)*0x01010101) // cb
	}
	return ctx
}

// dumpMap lists the entries of a map that are not all zero, sorted by key, or
// the records of a buffer in their order. Of a per-CPU map it takes CPU 0.
func dumpMap(t *testing.T, m *ebpf.Map, reader *perf.Reader) (dump goldenMap) {
	switch m.Type() {
	case ebpf.ProgramArray, ebpf.ArrayOfMaps, ebpf.HashOfMaps, ebpf.DevMap:
		return dump
	case ebpf.RingBuf:
		return goldenMap{Events: ringEvents(t, m)}
	case ebpf.PerfEventArray:
		return goldenMap{Events: perfEvents(t, reader)}
	case ebpf.PerCPUArray, ebpf.PerCPUHash, ebpf.LRUCPUHash:
		var key []byte
		var values [][]byte
		for entries := m.Iterate(); entries.Next(&key, &values); {
			dump.add(key, values[0])
			for _, other := range values[1:] {
				require.Equal(t, make([]byte, len(other)), other, "a value of another CPU")
			}
		}
	default:
		var key, value []byte
		for entries := m.Iterate(); entries.Next(&key, &value); {
			dump.add(key, value)
		}
	}
	slices.SortFunc(dump.Entries, func(a, b goldenEntry) int { return bytes.Compare(a.Key, b.Key) })
	return dump
}

func (m *goldenMap) add(key, value []byte) {
	if !bytes.Equal(value, make([]byte, len(value))) {
		m.Entries = append(m.Entries, goldenEntry{Key: bytes.Clone(key), Value: bytes.Clone(value)})
	}
}

func ringEvents(t *testing.T, m *ebpf.Map) (events []hexBytes) {
	reader, err := ringbuf.NewReader(m)
	require.NoError(t, err)
	defer reader.Close()
	reader.SetDeadline(time.Now().Add(-time.Second))
	for {
		record, err := reader.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return events
		}
		require.NoError(t, err)
		events = append(events, record.RawSample)
	}
}

// perfEvents reads what has arrived. The size of a sample is that of the record
// padded, so that 4 bytes, the size field's own, and a multiple of 8 come out.
func perfEvents(t *testing.T, reader *perf.Reader) (events []hexBytes) {
	reader.SetDeadline(time.Now().Add(-time.Second))
	for {
		record, err := reader.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return events
		}
		require.NoError(t, err)
		require.Zero(t, record.LostSamples, fmt.Sprint(record))
		events = append(events, record.RawSample)
	}
}
