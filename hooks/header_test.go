package hooks_test

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/hooks"
)

type inner struct {
	Small uint8
	Big   uint64
}

// everything has each kind of field, in an order that needs padding.
type everything struct {
	Flag    bool
	Inner   inner
	Pair    [2]inner `bpf:"rw"`
	Matrix  [2][3]uint16
	Half    int16
	Lights  [3]bool `bpf:"rw"`
	Data    hooks.Bytes
	Buffers [2][]byte `bpf:"rw"`
	Renamed int64     `bpf:"other_name"`
	Tail    uint8
}

const headerFile = "testdata/everything.h"

func TestCHeader(t *testing.T) {
	h, err := hooks.New[everything]("everything", hooks.Returns(-4, 4),
		hooks.Helper("log_line", func(line []byte, level uint8) {}),
		hooks.Helper("fill", func(b hooks.Buffer) int64 { return 0 }),
		hooks.Helper("lookup", func(name string, n int32, found bool) (bool, error) { return false, nil }),
		hooks.Helper("now", func() uint64 { return 0 }))
	require.NoError(t, err)
	if *update {
		require.NoError(t, os.WriteFile(headerFile, []byte(h.CHeader()), 0o644))
	}
	want, err := os.ReadFile(headerFile)
	require.NoError(t, err)
	require.Equal(t, string(want), h.CHeader())
}

// TestCHeaderCompiles has clang check the header, which asserts the place of each field.
func TestCHeaderCompiles(t *testing.T) {
	clang, err := exec.LookPath("clang-19")
	if err != nil {
		clang, err = exec.LookPath("clang")
	}
	if err != nil {
		t.Skip("no clang on this machine; TestLayoutRandom checks the places of fields")
	}
	for _, target := range []string{"bpfel", "bpfeb"} {
		out, err := exec.Command(clang, "-target", target, "-Wall", "-Werror", "-Wno-unused-const-variable", "-fsyntax-only", "-x", "c", headerFile).CombinedOutput()
		require.NoError(t, err, string(out))
	}
}
