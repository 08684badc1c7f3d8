package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/isa"
)

// vector is a file of the BPF Conformance project: its sections by name.
type vector map[string]string

func readVector(t *testing.T, path string) vector {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	v := make(vector)
	name := ""
	for line := range strings.Lines(string(b)) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "-- "); ok {
			name = n
			v[name] = ""
			continue
		}
		if !strings.HasPrefix(strings.TrimSpace(line), "#") || name == "asm" {
			v[name] += line
		}
	}
	return v
}

// bytes returns the program as the runner hands it over: what its assembler makes, in the
// byte order of the machine.
func (v vector) bytes(t *testing.T) ([]byte, error) {
	raw, ok := v["raw"]
	switch {
	case ok && strings.Contains(raw, "0x"): // 64-bit words
		var b []byte
		for _, w := range strings.Fields(raw) {
			n, err := strconv.ParseUint(w, 0, 64)
			require.NoError(t, err)
			b = binary.LittleEndian.AppendUint64(b, n)
		}
		return b, nil
	case ok:
		return parseHex(raw)
	}
	text, ok := v["asm"]
	if !ok {
		return nil, errors.New("no program")
	}
	insns, err := asm.ParseMnemonic(text)
	if err != nil {
		return nil, err
	}
	if insns, err = insns.Resolve(); err != nil {
		return nil, err
	}
	var b []byte
	for _, ins := range insns {
		b = ins.AppendBinary(b, binary.NativeEndian) // what is wrong with them is for the plug-in to say
	}
	return b, nil
}

// plugin runs the vector and returns r0, or what the command had to say.
func (v vector) plugin(t *testing.T) (uint64, error) {
	code, err := v.bytes(t)
	if err != nil {
		return 0, err
	}
	var stdout, stderr bytes.Buffer
	exit := run([]string{"plugin", v["mem"], "--limit 1000000"}, strings.NewReader(hex.EncodeToString(code)), &stdout, &stderr)
	if exit != exitOK {
		require.Empty(t, stdout.String())
		require.NotEmpty(t, stderr.String())
		return 0, errors.New(stderr.String())
	}
	require.Empty(t, stderr.String())
	return strconv.ParseUint(strings.TrimSpace(stdout.String()), 16, 64)
}

func vectors(t *testing.T, folder string, count int) []string {
	files, err := filepath.Glob(filepath.Join("..", "..", "..", "shared", "conformance", folder, "*.data"))
	require.NoError(t, err)
	if len(files) == 0 {
		t.Skip("the vectors of the BPF Conformance project are not beside the repository")
	}
	require.Len(t, files, count)
	return files
}

// skipOrder skips vectors that only hold where the byte order of memory is little-endian.
func (v vector) skipOrder(t *testing.T) {
	_, raw := v["raw"]
	_, mem := v["mem"]
	for _, op := range []string{"ldx", "stx", "st", "le16", "le32", "le64", "be16", "be32", "be64", "swap", "lock"} {
		mem = mem || strings.Contains(v["asm"], op)
	}
	if isa.BigEndian && (raw || mem) {
		t.Skip("the vector is for little-endian machines")
	}
}

func TestPluginConformance(t *testing.T) {
	for _, path := range vectors(t, "tests", 313) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			v := readVector(t, path)
			v.skipOrder(t)
			got, err := v.plugin(t)
			if filepath.Base(path) == "callx.data" {
				require.ErrorContains(t, err, "call through a register", "Linux refuses it too")
				return
			}
			if want, ok := v["error"]; ok {
				require.Error(t, err, want)
				return
			}
			require.NoError(t, err)
			want, err := strconv.ParseUint(strings.TrimSpace(v["result"]), 0, 64)
			require.NoError(t, err)
			require.Equalf(t, want, got, "r0 is %#x, should be %#x", got, want)
		})
	}
}

// TestPluginNegative runs what a conforming runtime must not accept: the program is
// refused, its run stops, or its result is not the one in the file.
func TestPluginNegative(t *testing.T) {
	for _, path := range vectors(t, "negative", 60) {
		t.Run(filepath.Base(path), func(t *testing.T) {
			v := readVector(t, path)
			v.skipOrder(t)
			got, err := v.plugin(t)
			if err != nil {
				return
			}
			require.NotContains(t, v, "error", "the program ran")
			want, err := strconv.ParseUint(strings.TrimSpace(v["result"]), 0, 64)
			require.NoError(t, err)
			require.NotEqual(t, want, got)
		})
	}
}
