package interp

import (
	"path/filepath"
	"strconv"
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
				if reason := enginetest.LinuxWins[name]; reason != "" {
					require.Error(t, err, reason)
					return
				}
				if want, ok := v.Sections["error"]; ok {
					require.Error(t, err, want)
					return
				}
				require.NoError(t, err)
				want, err := strconv.ParseUint(strings.TrimSpace(v.Sections["result"]), 0, 64)
				require.NoError(t, err)
				require.Equalf(t, want, got, "r0 is %#x, should be %#x", got, want)
			})
		}
	}
}

// TestConformanceNegative runs what a conforming runtime must not accept: the
// program is refused, its run stops, or its result is not the one in the file.
func TestConformanceNegative(t *testing.T) {
	for _, path := range enginetest.Vectors(t, "negative") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			v := enginetest.ReadVector(t, path)
			got, err := execute(t, v, nil)
			if err != nil {
				return
			}
			require.NotContains(t, v.Sections, "error", "the program ran")
			want, err := strconv.ParseUint(strings.TrimSpace(v.Sections["result"]), 0, 64)
			require.NoError(t, err)
			require.NotEqual(t, want, got)
		})
	}
}
