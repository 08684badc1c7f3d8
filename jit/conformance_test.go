package jit

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// execute returns what the vector's program leaves in r0.
func execute(t *testing.T, v enginetest.Vector) (uint64, error) {
	t.Helper()
	if err := Available(); err != nil {
		t.Skip(err)
	}
	p, err := v.Program(t)
	if err != nil {
		return 0, err
	}
	r0, err := executeAs(t, v, p, Env{Helper: enginetest.VectorHelper})
	blind, blindErr := executeAs(t, v, p, Env{Helper: enginetest.VectorHelper, Blind: true})
	require.Equal(t, r0, blind, "blinded")
	require.Equal(t, err, blindErr, "blinded")
	return r0, err
}

func executeAs(t *testing.T, v enginetest.Vector, p *prog.Program, env Env) (uint64, error) {
	code, err := Compile(p, env)
	if err != nil {
		return 0, err
	}
	defer code.Close()
	r := enginetest.NewRig(t)
	r.CPU.Limit = 1 << 20
	r0, _, err := r.Run(code, v.Memory(t))
	if err != nil {
		r0 = 0 // which means nothing
	}
	return r0, err
}

func TestConformance(t *testing.T) {
	for _, path := range enginetest.Vectors(t, "tests") {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			v := enginetest.ReadVector(t, path)
			got, err := execute(t, v)
			require.NoError(t, v.Check(name, got, err))
		})
	}
}

// TestConformanceNegative runs what a conforming runtime must not accept.
func TestConformanceNegative(t *testing.T) {
	for _, path := range enginetest.Vectors(t, "negative") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			v := enginetest.ReadVector(t, path)
			got, err := execute(t, v)
			require.NoError(t, v.CheckNegative(got, err))
		})
	}
}
