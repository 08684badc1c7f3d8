package difftest

import (
	"errors"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/kernel"
)

// askObject asks the running kernel about every program of an object.
func askObject(t *testing.T, path string) map[string]objectAnswer {
	if slices.Contains(wholeBTF, filepath.Base(path)) {
		return askWholeObject(t, path)
	}
	spec, err := ebpf.LoadCollectionSpec(path)
	require.NoError(t, err)
	out := make(map[string]objectAnswer)
	for name := range spec.Programs {
		out[name] = askProgram(alone(spec, name))
	}
	return out
}

// alone returns a copy of spec with one program and the maps that it refers to, empty.
func alone(spec *ebpf.CollectionSpec, name string) *ebpf.CollectionSpec {
	one := spec.Copy()
	maps.DeleteFunc(one.Programs, func(other string, _ *ebpf.ProgramSpec) bool { return other != name })
	used := make(map[string]bool)
	for _, ins := range one.Programs[name].Instructions {
		used[ins.Reference()] = true
	}
	maps.DeleteFunc(one.Maps, func(other string, m *ebpf.MapSpec) bool {
		return !used[other] && m.Type != ebpf.StructOpsMap && !strings.HasPrefix(other, ".")
	})
	for _, m := range one.Maps {
		m.Pinning = ebpf.PinNone
		if m.Type == ebpf.ProgramArray || m.Type == ebpf.ArrayOfMaps || m.Type == ebpf.HashOfMaps || m.Type == ebpf.StructOpsMap {
			m.Contents = nil
		}
	}
	maps.DeleteFunc(one.Variables, func(_ string, v *ebpf.VariableSpec) bool { return one.Maps[v.SectionName] == nil })
	return one
}

// askProgram asks about the one program of spec.
func askProgram(spec *ebpf.CollectionSpec) objectAnswer {
	coll, err := kernel.LoadSpec(spec)
	if err == nil {
		defer coll.Close()
		for _, p := range coll.Programs {
			return objectAnswer{Processed: p.Stats.Insns}
		}
	}
	var refused *ebpf.VerifierError
	var errno syscall.Errno
	if !errors.As(err, &refused) || !errors.As(err, &errno) || len(refused.Log) == 0 {
		return objectAnswer{Denied: err.Error()}
	}
	log := strings.Join(refused.Log, "\n")
	if errno == syscall.EPERM && lastMessage(log) == "" { // by what guards the machine, not by the verifier
		return objectAnswer{Denied: errno.Error()}
	}
	return objectAnswer{Errno: int(errno), Reason: lastMessage(log), Processed: kernel.ParseStats(log).Insns}
}
