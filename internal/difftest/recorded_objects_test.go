package difftest

import (
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/loader"
	"github.com/sandbpf/sandbpf/verifier"
)

const defaultObjects = "testdata/objects"

var objectsDir = flag.String("objects", defaultObjects, "compare the objects of this `DIR` with the running kernel, which is asked now")

// objectAnswer is what Linux says of a program of an object.
type objectAnswer struct {
	Errno     int    `json:"errno,omitempty"` // 0: accepted
	Reason    string `json:"reason,omitempty"`
	Processed int    `json:"processed"`

	// Denied says why the kernel cannot be asked about the program.
	Denied string `json:"denied,omitempty"`
}

// recordedCPUs is how many CPUs the machine had that recorded: get_smp_processor_id is below it.
const recordedCPUs = 2

// recordedObjects is what was recorded beside the objects, by object and program.
type recordedObjects map[string]map[string]objectAnswer

func readObjectAnswers(t *testing.T) recordedObjects {
	var out recordedObjects
	b, err := os.ReadFile(filepath.Join(defaultObjects, "linux.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &out))
	return out
}

// TestRecordedObjects has every program of testdata/objects get Linux's verdict for the same reason,
// after as many instructions.
func TestRecordedObjects(t *testing.T) {
	answers := make(recordedObjects)
	if *objectsDir != defaultObjects || *update {
		if err := kernel.Available(); err != nil {
			t.Skip(err)
		}
	} else {
		answers = readObjectAnswers(t)
	}
	for _, path := range objectFiles(t, *objectsDir) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			object := filepath.Base(path)
			if answers[object] == nil {
				answers[object] = askObject(t, path)
			}
			spec, err := loader.LoadSpec(path, loader.WithLinuxTypes())
			require.NoError(t, err)
			require.ElementsMatch(t, slices.Collect(maps.Keys(spec.Programs)), slices.Collect(maps.Keys(answers[object])))
			for _, name := range slices.Sorted(maps.Keys(spec.Programs)) {
				t.Run(name, func(t *testing.T) { requireSame(t, spec, name, answers[object][name]) })
			}
		})
	}
	if *update && *objectsDir == defaultObjects {
		b, err := json.MarshalIndent(answers, "", "\t")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(defaultObjects, "linux.json"), append(b, '\n'), 0o644))
	}
}

func objectFiles(t *testing.T, dir string) []string {
	files, err := filepath.Glob(filepath.Join(dir, "*.o"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// requireSame compares our verdict with that of Linux.
func requireSame(t *testing.T, spec *sandbpf.CollectionSpec, name string, linux objectAnswer) {
	proof, err := spec.Verify(name, func(env *verifier.Env) { env.NumCPU = recordedCPUs })
	if linux.Denied != "" {
		t.Logf("ours: %+v; Linux: %s", err, linux.Denied)
		return
	}
	var refused *verifier.Error
	if err != nil {
		require.True(t, errors.As(err, &refused), "%v; Linux: %+v", err, linux)
		require.NotZero(t, linux.Errno, "Linux accepts; ours: %+v", refused)
		t.Logf("Linux: %s; ours: %+v", linux.Reason, refused)
		require.True(t, agrees(linux.Reason, refused.Code), "code")
		require.Equal(t, linux.Errno, refused.Errno, "errno")
		require.Equal(t, linux.Processed, refused.Stats.Processed, "processed")
		return
	}
	require.Zero(t, linux.Errno, "Linux: %s", linux.Reason)
	require.Equal(t, linux.Processed, proof.Stats.Processed, "processed")
}

// TestRecordedObjectsAgainstKernel compares what was recorded of the programs with what the running
// kernel says.
func TestRecordedObjectsAgainstKernel(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	if *update {
		t.Skip("TestRecordedObjects records them")
	}
	if n, err := ebpf.PossibleCPU(); err != nil || n != recordedCPUs {
		t.Skip("the machine that recorded had 2 CPUs, and some programs depend on it")
	}
	answers := readObjectAnswers(t)
	for _, path := range objectFiles(t, defaultObjects) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			recorded, now := answers[filepath.Base(path)], askObject(t, path)
			for name, answer := range now {
				if answer.Denied != "" { // which other kernels need not do
					t.Logf("%s: %s", name, answer.Denied)
					now[name] = recorded[name]
				}
			}
			require.Equal(t, recorded, now)
		})
	}
}
