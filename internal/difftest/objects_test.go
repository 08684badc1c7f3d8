package difftest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/loader"
	"github.com/sandbpf/sandbpf/verifier"
)

const testdata = "../../testdata"

// object is an object file of testdata, and what Linux has been recorded to say of its
// programs.
type object struct {
	path    string
	target  string            // what it is relocated against, "" if nothing
	refused map[string]string // messages, by program; nil: all are accepted
}

// objects returns the objects of testdata for little-endian machines.
func objects(t *testing.T) []object {
	var list []object
	recordings, err := filepath.Glob(filepath.Join(testdata, "elf", "golden", "*.json"))
	require.NoError(t, err)
	for _, name := range recordings {
		var g struct {
			Object, Target string
			Programs       map[string]struct{ Refused string }
		}
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(b, &g))
		o := object{path: filepath.Join(testdata, "elf", g.Object), refused: make(map[string]string)}
		if g.Target != "" {
			o.target = filepath.Join(testdata, "elf", g.Target)
		}
		for prog, p := range g.Programs {
			o.refused[prog] = p.Refused
		}
		list = append(list, o)
	}
	for _, pattern := range []string{"bench/*.o", "bench/holdout/*.o", "bench/fresh/*.o", "bench/kernels/*.o"} { // which all run in Linux
		names, err := filepath.Glob(filepath.Join(testdata, pattern))
		require.NoError(t, err)
		for _, name := range names {
			list = append(list, object{path: name})
		}
	}
	require.NotEmpty(t, list)
	return list
}

// load reads the object as our loader does.
func (o *object) load(t *testing.T) *sandbpf.CollectionSpec {
	options := []loader.Option{loader.WithKconfig(map[string]any{"CONFIG_HZ": 250, "CONFIG_BPF": true, "CONFIG_NET": "y"})}
	if o.target != "" {
		types, err := btf.LoadSpec(o.target)
		require.NoError(t, err)
		options = append(options, loader.WithKernelTypes(types))
	}
	spec, err := loader.LoadSpec(o.path, options...)
	require.NoError(t, err, o.path)
	return spec
}

// verify verifies a program a few times, of which the fastest counts.
func (o *object) verify(t *testing.T, spec *sandbpf.CollectionSpec, name string) *Outcome {
	out := new(Outcome)
	for i := range verifyRuns {
		proof, err := spec.Verify(name, nil)
		out.Proof = proof
		var stats verifier.Stats
		if err == nil {
			stats = proof.Stats
		} else {
			require.True(t, errors.As(err, &out.Err), "%s: %v", o.path, err)
			stats = out.Err.Stats
		}
		if micros := float64(max(stats.Micros, 1)); i == 0 || micros < out.Micros {
			out.Micros = micros
		}
	}
	return out
}

// ask has the running kernel verify a program, alone.
func (o *object) ask(t *testing.T, name string) (micros float64, processed int) {
	spec, err := ebpf.LoadCollectionSpec(o.path)
	require.NoError(t, err)
	for other := range spec.Programs {
		if other != name {
			delete(spec.Programs, other)
		}
	}
	for _, m := range spec.Maps {
		if m.Type == ebpf.ProgramArray {
			m.Contents = nil // names of other programs
		}
		m.Pinning = ebpf.PinNone
	}
	var options ebpf.CollectionOptions
	if o.target != "" {
		options.Programs.KernelTypes, err = btf.LoadSpec(o.target)
		require.NoError(t, err)
	}
	coll, err := kernel.LoadSpecWithOptions(spec, options)
	require.NoError(t, err, "%s: %s", o.path, name)
	stats := coll.Programs[name].Stats
	require.NoError(t, coll.Close())
	return float64(stats.Time.Microseconds()), stats.Insns
}

// TestObjects verifies the programs of all objects of testdata and compares with what Linux
// said. With -kernel, it asks for Linux's times in the same run.
func TestObjects(t *testing.T) {
	if isa.BigEndian {
		t.Skip("the objects are for little-endian machines")
	}
	if *askLive {
		if err := kernel.Available(); err != nil {
			t.Skip(err)
		}
	}
	var rows []*row
	for _, o := range objects(t) {
		spec := o.load(t)
		for name := range spec.Programs {
			id := fmt.Sprint(strings.TrimPrefix(filepath.ToSlash(o.path), testdata+"/"), " ", name)
			c := &Case{ID: id, Verdict: "accept", Reason: o.refused[name]}
			if c.Reason != "" {
				c.Verdict = "reject"
			}
			r := newRow(c, o.verify(t, spec, name))
			if *askLive && r.Linux == "accept" {
				r.LinuxMicros, r.LinuxProcessed = o.ask(t, name)
			}
			rows = append(rows, r)
		}
	}
	if *reportFile != "" {
		writeReport(t, *reportFile, rows)
	}
	s := summarise(rows)
	t.Logf("%d programs\n%s\n%s", len(rows), s, s.details())
	for _, kind := range []string{"false reject", "extra accept"} {
		require.Empty(t, s.kinds[kind])
	}
	require.Equal(t, s.reasons, s.sameReason)
}
