package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/isa"
)

// cli runs a command line and returns what it wrote and its exit code.
func cli(stdin string, args ...string) (stdout, stderr string, code int) {
	var out, err bytes.Buffer
	code = run(args, strings.NewReader(stdin), &out, &err)
	return out.String(), err.String(), code
}

func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		out, errs, code := cli("", arg)
		require.Equal(t, exitOK, code)
		require.Empty(t, errs)
		require.Regexp(t, `^sandbpf \S+, by the rules of Linux 6\.18, go\S+ \w+/\w+\n$`, out)
	}
}

// TestREADME runs the commands that README.md shows.
func TestREADME(t *testing.T) {
	if isa.BigEndian {
		t.Skip("the objects are for little-endian machines")
	}
	t.Chdir(filepath.Join("..", ".."))
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	n := 0
	for line := range strings.Lines(string(text)) {
		command, ok := strings.CutPrefix(line, "go run ./cmd/sandbpf ")
		if !ok {
			continue
		}
		n++
		command, _, _ = strings.Cut(command, "#")
		out, errs, code := cli("", strings.Fields(command)...)
		require.Equal(t, exitOK, code, "%s: %s", command, errs)
		require.NotEmpty(t, out, command)
	}
	require.Equal(t, 5, n)
}

// TestFiles is about files that are not there: what the system says of them differs.
func TestFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "file")
	for _, args := range [][]string{
		{"asm", missing}, {"asm", "-o", missing}, {"disasm", missing}, {"inspect", missing},
		{"run", missing, "--packet", "00"}, {"run", "testdata/demo.o", "stop", "--pcap", missing},
	} {
		out, errs, code := cli("exit", args...)
		require.Equal(t, exitInput, code, "%v", args)
		require.Empty(t, out)
		require.Contains(t, errs, missing)
	}
}

func TestAsmFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "out.bin")
	out, errs, code := cli("r0 = 7\nexit\n", "asm", "-o", file, "-")
	require.Equal(t, exitOK, code)
	require.Empty(t, out+errs)
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, []byte("\xb7\x00\x00\x00\x07\x00\x00\x00\x95\x00\x00\x00\x00\x00\x00\x00"), b)
}

// TestRawToTerminal makes sure that bytes do not go where they would do harm.
func TestRawToTerminal(t *testing.T) {
	var out bytes.Buffer
	e := &env{stdin: strings.NewReader("exit"), stdout: &out, terminal: true}
	require.ErrorContains(t, dispatch(e, []string{"asm"}), "terminal")
	require.Empty(t, out.Bytes())
	e.stdin = strings.NewReader("exit")
	require.NoError(t, dispatch(e, []string{"asm", "--hex"}))
	require.Equal(t, "95 00 00 00 00 00 00 00\n", out.String())

	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	defer null.Close()
	require.False(t, isTerminal(null))
}

// failingWriter is a full disk.
type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, os.ErrPermission }

func TestOutputError(t *testing.T) {
	var errs bytes.Buffer
	require.Equal(t, exitInput, run([]string{"help"}, strings.NewReader(""), failingWriter{}, &errs))
	require.Equal(t, "sandbpf: permission denied\n", errs.String())
}

// TestObjects runs every command over the objects that the repository has.
func TestObjects(t *testing.T) {
	if isa.BigEndian {
		t.Skip("the objects are for little-endian machines")
	}
	files, err := filepath.Glob("../../testdata/*/*.o")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasSuffix(name, ".be.o") || name == "core_target.o" { // which has types, and no programs
			continue
		}
		t.Run(name, func(t *testing.T) {
			for _, args := range [][]string{{"inspect", file}, {"disasm", file}, {"disasm", "--json", file, "--syntax", "mnemonic"}} {
				require.NotContains(t, object(t, args...), "<unknown>")
			}
			var in inspection
			require.NoError(t, json.Unmarshal([]byte(object(t, "inspect", "--json", file)), &in))
			require.NotEmpty(t, in.Programs)
			for _, p := range in.Programs {
				if p.Unsupported == "" && p.Type != "unspec" {
					replayObject(t, file, p.Name)
				}
			}
		})
	}
}

// object runs a command on an object, with a kernel's configuration, and returns what it
// wrote. Runs that are stopped are well.
func object(t *testing.T, args ...string) string {
	t.Helper()
	out, errs, code := cli("CONFIG_HZ=250\nCONFIG_BPF=y\nCONFIG_NET=m\nCONFIG_64BIT=y\n", append(args, "--kconfig", "-")...)
	if args[0] != "run" || code != exitProgram {
		require.Equal(t, exitOK, code, "%v: %s", args, errs)
	}
	require.Empty(t, errs)
	require.NotEmpty(t, out)
	return out
}

// replayObject runs a program over the capture twice: results must be the same.
func replayObject(t *testing.T, file, program string) {
	t.Helper()
	args := []string{"run", file, program, "--pcap", "testdata/demo.pcap", "--json", "--limit", "100000"}
	out := object(t, args...)
	require.Equal(t, out, object(t, args...), "%s is not deterministic", program)
	var rep struct {
		Runs     int
		Verdicts []verdictCount
	}
	require.NoError(t, json.Unmarshal([]byte(out), &rep))
	sum := 0
	for _, v := range rep.Verdicts {
		sum += v.Packets
	}
	require.Equal(t, 7, rep.Runs)
	require.Equal(t, 7, sum)
}

func TestParse(t *testing.T) {
	for line, want := range map[string]string{
		"a b":              "1 [a b]",
		"--limit 2 a b":    "2 [a b]",
		"a --limit 2 b":    "2 [a b]",
		"a b -limit=2":     "2 [a b]",
		"a -- --limit 2":   "1 [a --limit 2]",
		"-- -- a":          "1 [-- a]",
		"- a":              "1 [- a]",
		"a --limit":        "flag needs an argument: -limit",
		"a --limit 2 -h b": "flag: help requested",
	} {
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		fs.SetOutput(io.Discard)
		limit := fs.Int("limit", 1, "")
		args, err := parse(fs, strings.Fields(line))
		got := fmt.Sprint(*limit, args)
		if err != nil {
			got = err.Error()
		}
		require.Equal(t, want, got, line)
	}
}
