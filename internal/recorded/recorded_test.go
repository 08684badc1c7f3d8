package recorded

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/loader"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/maps/perf"
	"github.com/sandbpf/sandbpf/maps/ringbuf"
)

var elf = filepath.Join("..", "..", "testdata", "elf")

type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// recording is a file of testdata/elf/golden; its README explains the fields.
type recording struct {
	Object, Target string
	Programs       map[string]struct {
		Refused string
		Cases   []recordedCase
	}
}

type recordedCase struct {
	Packet  string
	In, Ctx hexBytes
	Ret     uint32
	Out     hexBytes
	CtxOut  hexBytes `json:"ctx_out"`
	Maps    map[string]recordedMap
}

type recordedMap struct {
	Entries []struct{ Key, Value hexBytes }
	Events  []hexBytes
}

// unrecorded matches the maps that the recordings leave out.
var unrecorded = regexp.MustCompile(`^(\.rodata|\.kconfig|sources$)`)

// kconfig is the configuration of the kernel that was asked, as far as the
// programs look at it.
var kconfig = map[string]any{"CONFIG_HZ": 250, "CONFIG_BPF": true, "CONFIG_NET": "y"}

func TestRecorded(t *testing.T) {
	if isa.BigEndian {
		t.Skip("the recordings are of a little-endian machine")
	}
	files, err := filepath.Glob(filepath.Join(elf, "golden", "*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	vms := machines(t)
	for _, file := range files {
		var rec recording
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &rec), file)
		spec, err := loader.LoadSpec(filepath.Join(elf, rec.Object), options(t, rec)...)
		require.NoError(t, err)
		for name, program := range rec.Programs {
			if program.Refused != "" {
				continue // for the verifier to say
			}
			t.Run(filepath.Base(file)+"/"+name, func(t *testing.T) {
				for i, vm := range vms {
					cases := program.Cases
					if i > 1 && rec.Object == "may_goto.o" {
						cases = cases[:1] // eight million rounds, by single steps
					}
					for _, c := range cases {
						runCase(t, vm, spec, name, c)
					}
				}
			})
		}
	}
}

func options(t *testing.T, rec recording) []loader.Option {
	opts := []loader.Option{loader.WithKconfig(kconfig)}
	if rec.Target != "" {
		types, err := btf.LoadSpec(filepath.Join(elf, rec.Target))
		require.NoError(t, err)
		opts = append(opts, loader.WithKernelTypes(types))
	}
	return opts
}

// machines returns a VM for each way to run a program.
func machines(t *testing.T) (vms []*sandbpf.VM) {
	for _, opts := range [][]sandbpf.Option{{}, {sandbpf.WithEngine(sandbpf.Interpreter)}, {sandbpf.WithSanitizer()}} {
		vm, err := sandbpf.New(append(opts, sandbpf.WithCPUs(1))...)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, vm.Close()) })
		vms = append(vms, vm)
	}
	return vms
}

// runCase runs a program on a packet, with maps of its own.
func runCase(t *testing.T, vm *sandbpf.VM, spec *sandbpf.CollectionSpec, name string, c recordedCase) {
	coll, err := vm.LoadCollection(spec)
	require.NoError(t, err)
	defer coll.Close()
	readers := make(map[string]*perf.Reader)
	for _, name := range coll.Maps() {
		if m := coll.Map(name); m.Type() == maps.PerfEventArray {
			readers[name], err = perf.NewReader(m, 4096)
			require.NoError(t, err)
			defer readers[name].Close()
		}
	}
	run := hooks.TestRun{Data: c.In, Context: c.Ctx}
	require.NoError(t, coll.Program(name).Run(context.Background(), &run), c.Packet)
	require.Equal(t, c.Ret, uint32(run.Ret), c.Packet)
	if c.Out == nil {
		c.Out = c.In
	}
	require.Equal(t, hex.EncodeToString(c.Out), hex.EncodeToString(run.DataOut), "packet of %s", c.Packet)
	if c.CtxOut == nil {
		c.CtxOut = c.Ctx
	}
	require.Equal(t, hex.EncodeToString(c.CtxOut), hex.EncodeToString(run.ContextOut), "context of %s", c.Packet)
	for _, m := range coll.Maps() {
		if !unrecorded.MatchString(m) {
			compareMap(t, coll.Map(m), readers[m], c.Maps[m], c.Packet)
		}
	}
}

func compareMap(t *testing.T, m *maps.Map, reader *perf.Reader, want recordedMap, packet string) {
	var got recordedMap
	switch m.Type() {
	case maps.ProgramArray, maps.ArrayOfMaps, maps.HashOfMaps, maps.DevMap:
		return
	case maps.RingBuf:
		got.Events = ringEvents(t, m)
	case maps.PerfEventArray:
		got.Events = perfEvents(t, reader, want)
	default:
		var key []byte
		if m.Type().PerCPU() {
			var values [][]byte
			for entries := m.Iterate(); entries.Next(&key, &values); {
				got.add(key, values[0])
			}
		} else {
			var value []byte
			for entries := m.Iterate(); entries.Next(&key, &value); {
				got.add(key, value)
			}
		}
		slices.SortFunc(got.Entries, func(a, b struct{ Key, Value hexBytes }) int { return bytes.Compare(a.Key, b.Key) })
	}
	require.Equal(t, want, got, "map %s on %s", m.Name(), packet)
}

func (m *recordedMap) add(key, value []byte) {
	if !bytes.Equal(value, make([]byte, len(value))) {
		m.Entries = append(m.Entries, struct{ Key, Value hexBytes }{bytes.Clone(key), bytes.Clone(value)})
	}
}

func ringEvents(t *testing.T, m *maps.Map) (events []hexBytes) {
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

// perfEvents reads the samples and pads those that begin like the recorded ones
// as Linux does, so that 4 bytes and a multiple of 8 come out.
func perfEvents(t *testing.T, reader *perf.Reader, want recordedMap) (events []hexBytes) {
	reader.SetDeadline(time.Now().Add(-time.Second))
	for i := 0; ; i++ {
		record, err := reader.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return events
		}
		require.NoError(t, err)
		require.Zero(t, record.LostSamples)
		sample := record.RawSample
		if padded := (len(sample)+4+7)&^7 - 4; i < len(want.Events) && len(want.Events[i]) == padded {
			sample = append(sample, want.Events[i][len(sample):]...)
		}
		events = append(events, sample)
	}
}
