package kernel

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
)

const benchDir = "../../testdata/bench"

// benchPacket is the packet of the benchmark programs, by the formula of
// testdata/bench/README.md.
func benchPacket() []byte {
	p := make([]byte, 1024)
	for i := range p {
		p[i] = byte(i*7 + 3)
	}
	for s := range 16 {
		frame := p[s*64:]
		id := byte(s)
		switch s % 4 {
		case 0: // IPv4, UDP
			copy(frame[12:], []byte{0x08, 0, 0x45, 0, 0, 50, 0, id, 0, 0, 64, 17})
		case 1: // 802.1Q, IPv4, TCP
			copy(frame[12:], []byte{0x81, 0, 0, id, 0x08, 0, 0x45, 0, 0, 46, 0, id, 0, 0, 64, 6})
		case 2: // IPv6, UDP
			copy(frame[12:], []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 10, 17, 64})
		case 3: // IPv4 with four bytes of options, TCP
			copy(frame[12:], []byte{0x08, 0, 0x46, 0, 0, 50, 0, id, 0, 0, 64, 6})
		}
	}
	return p
}

func benchObjects(t testing.TB) []string {
	var all []string
	for _, folder := range []struct {
		name    string
		objects int
	}{{"", 13}, {"holdout", 12}, {"fresh", 14}, {"kernels", 12}} {
		objects, err := filepath.Glob(filepath.Join(benchDir, folder.name, "*.o"))
		require.NoError(t, err)
		require.Len(t, objects, folder.objects, folder.name)
		all = append(all, objects...)
	}
	return all
}

// benchName is how golden.json calls an object: its path without the end.
func benchName(t testing.TB, path string) string {
	name, err := filepath.Rel(benchDir, path)
	require.NoError(t, err)
	return strings.TrimSuffix(filepath.ToSlash(name), ".o")
}

func TestBenchPacket(t *testing.T) {
	file := filepath.Join(benchDir, "packet.bin")
	if *update {
		require.NoError(t, os.WriteFile(file, benchPacket(), 0o644))
	}
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, benchPacket(), got)
}

// TestBench has every benchmark program return what is recorded, also after
// many runs: none depends on what the one before left in the packet.
func TestBench(t *testing.T) {
	file := filepath.Join(benchDir, "golden.json")
	want, got := make(map[string]uint32), make(map[string]uint32)
	if !*update {
		readJSON(t, file, &want)
		var names []string
		for _, path := range benchObjects(t) {
			names = append(names, benchName(t, path))
		}
		require.ElementsMatch(t, names, slices.Collect(maps.Keys(want)))
	}
	needKernel(t)
	for _, path := range benchObjects(t) {
		spec, err := ebpf.LoadCollectionSpec(path)
		require.NoError(t, err)
		coll, err := LoadSpec(spec)
		require.NoError(t, err)
		name := benchName(t, path)
		prog := coll.Programs[filepath.Base(name)]
		require.NotNil(t, prog, name)
		once, err := prog.Run(benchPacket(), nil, 1)
		require.NoError(t, err)
		often, err := prog.Run(benchPacket(), nil, 1000)
		require.NoError(t, err)
		require.Equal(t, once.Ret, often.Ret, name)
		got[name] = once.Ret
		t.Logf("%-20s %10d  %8v a run, verified %7d instructions in %v",
			name, once.Ret, often.Duration, prog.Stats.Insns, prog.Stats.Time)
		require.NoError(t, coll.Close())
	}
	if *update {
		writeJSON(t, file, got)
		return
	}
	require.Equal(t, want, got)
}
