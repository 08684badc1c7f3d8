package kernel

import (
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "record what the running kernel answers")

const elfDir = "../../testdata/elf"

// hexBytes is bytes written in hex.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

// A golden is what Linux did with one object; testdata/elf/README.md explains
// the fields.
type golden struct {
	Object   string                   `json:"object"`
	Target   string                   `json:"target,omitempty"`
	Kernel   string                   `json:"kernel"`
	Programs map[string]goldenProgram `json:"programs"`
}

type goldenProgram struct {
	Type    string       `json:"type"`
	Refused string       `json:"refused,omitempty"`
	Cases   []goldenCase `json:"cases,omitempty"`
}

type goldenCase struct {
	Packet string               `json:"packet"`
	In     hexBytes             `json:"in"`
	Ctx    hexBytes             `json:"ctx"`
	Ret    uint32               `json:"ret"`
	Out    hexBytes             `json:"out,omitempty"`
	CtxOut hexBytes             `json:"ctx_out,omitempty"`
	Maps   map[string]goldenMap `json:"maps,omitempty"`
}

type goldenMap struct {
	Entries []goldenEntry `json:"entries,omitempty"`
	Events  []hexBytes    `json:"events,omitempty"`
}

type goldenEntry struct {
	Key   hexBytes `json:"key"`
	Value hexBytes `json:"value"`
}

func readJSON(t testing.TB, path string, to any) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, to), path)
}

func writeJSON(t testing.TB, path string, from any) {
	t.Helper()
	b, err := json.MarshalIndent(from, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, append(b, '\n'), 0o644))
}

// Every object that runs on a little-endian machine has a recording of all its
// programs, and every recording an object.
func TestGoldenComplete(t *testing.T) {
	if *update {
		t.Skip("recording")
	}
	recorded := make(map[string]bool)
	files, err := filepath.Glob(filepath.Join(elfDir, "golden", "*.json"))
	require.NoError(t, err)
	for _, file := range files {
		var g golden
		readJSON(t, file, &g)
		recorded[g.Object] = true
		require.NotEmpty(t, g.Kernel, file)
		spec, err := ebpf.LoadCollectionSpec(filepath.Join(elfDir, g.Object))
		require.NoError(t, err, file)
		require.Len(t, g.Programs, len(spec.Programs), file)
		for name, p := range g.Programs {
			require.Contains(t, spec.Programs, name, file)
			require.Equal(t, spec.Programs[name].Type.String(), p.Type, file)
			require.NotEqual(t, p.Refused == "", len(p.Cases) == 0, "%s: %s is either refused or run", file, name)
		}
	}
	objects, err := filepath.Glob(filepath.Join(elfDir, "*.o"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(objects), 24)
	for _, object := range objects {
		name := filepath.Base(object)
		if strings.HasSuffix(name, ".be.o") || name == "core_target.o" {
			continue
		}
		require.True(t, recorded[name], "%s has no recording: go test ./internal/kernel -update", name)
	}
}
