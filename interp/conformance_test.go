package interp

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/enginetest"
	"github.com/sandbpf/sandbpf/internal/isa"
)

// execute returns what the vector's program leaves in r0.
func execute(t *testing.T, v enginetest.Vector, observe func(int, *Registers)) (uint64, error) {
	t.Helper()
	p, err := v.Program(t)
	if err != nil {
		return 0, err
	}
	code, err := Compile(p, Env{Helper: enginetest.VectorHelper, Observe: observe})
	if err != nil {
		return 0, err
	}
	r := enginetest.NewRig(t)
	r.CPU.Limit = 1 << 20
	r0, _, err := r.Run(code, v.Memory(t))
	return r0, err
}

// bigEndianDiffers reports whether a vector's result is that of a little-endian
// machine: it reads or writes memory in the byte order of the machine.
func bigEndianDiffers(v enginetest.Vector) bool {
	text := v.Sections["asm"]
	_, hasMem := v.Sections["mem"]
	for _, op := range []string{"ldx", "stx", "st", "le16", "le32", "le64", "be16", "be32", "be64", "swap", "lock"} {
		if strings.Contains(text, op) {
			return true
		}
	}
	return hasMem || v.Sections["raw"] != ""
}

func TestConformance(t *testing.T) {
	for _, path := range enginetest.Vectors(t, "tests") {
		name := filepath.Base(path)
		v := enginetest.ReadVector(t, path)
		if isa.BigEndian && bigEndianDiffers(v) {
			continue
		}
		for engine, observe := range map[string]func(int, *Registers){"loop": nil, "steps": func(int, *Registers) {}} {
			t.Run(name+"/"+engine, func(t *testing.T) {
				got, err := execute(t, v, observe)
				require.NoError(t, v.Check(name, got, err))
			})
		}
	}
}

// TestConformanceNegative runs what a conforming runtime must not accept.
func TestConformanceNegative(t *testing.T) {
	for _, path := range enginetest.Vectors(t, "negative") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			v := enginetest.ReadVector(t, path)
			got, err := execute(t, v, nil)
			require.NoError(t, v.CheckNegative(got, err))
		})
	}
}
