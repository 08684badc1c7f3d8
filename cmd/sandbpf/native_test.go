package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/internal/listing"
	"github.com/sandbpf/sandbpf/jit"
)

// TestNative looks at the machine code of an object's programs: there is no gap in it, the
// disassembler knows all of it, and each piece is of an instruction.
func TestNative(t *testing.T) {
	if isa.BigEndian {
		t.Skip("the object in testdata is for little-endian machines")
	}
	if err := jit.Available(); err != nil {
		_, errs, code := cli("", "disasm", "testdata/demo.o", "count", "--native")
		require.Equal(t, exitUnsupported, code)
		require.Contains(t, errs, "interpreted")
		return
	}
	for _, name := range []string{"count", "steer", "head", "jump"} {
		out, errs, code := cli("", "disasm", "testdata/demo.o", name, "--native", "--json")
		require.Equal(t, exitOK, code, errs)
		var got struct{ Programs []listing.Program }
		require.NoError(t, json.Unmarshal([]byte(out), &got))
		require.Len(t, got.Programs, 1)
		requireComplete(t, &got.Programs[0])
	}
	text, errs, code := cli("", "disasm", "testdata/demo.o", "count", "--native")
	require.Equal(t, exitOK, code, errs)
	require.Regexp(t, `(?m)^; .*key\.saddr = ip->saddr;\n *\d+: r1 = .* \| +[0-9a-f]+: [0-9a-f]+ +mov eax, dword ptr`, text)
	_, _, code = cli("95", "disasm", "--native", "--hex", "-")
	require.Equal(t, exitUsage, code)
}

func requireComplete(t *testing.T, p *listing.Program) {
	slots := map[int]bool{-1: true}
	for _, l := range p.Lines {
		slots[l.Slot] = true
	}
	at := 0
	for _, n := range p.Native {
		require.Equal(t, at, n.Offset, p.Name)
		require.True(t, slots[n.Slot], "%s: no instruction %d", p.Name, n.Slot)
		require.NotContains(t, n.Text, ".byte", "%s: %s", p.Name, n.Bytes)
		b, err := hex.DecodeString(n.Bytes)
		require.NoError(t, err)
		at += len(b)
	}
	require.NotZero(t, at, p.Name)
}

// TestBlind looks for a constant of a program in its machine code.
func TestBlind(t *testing.T) {
	if isa.BigEndian {
		t.Skip("the object in testdata is for little-endian machines")
	}
	if err := jit.Available(); err != nil {
		t.Skip(err)
	}
	const constant = "666c6f77" // 0x776f6c66, as it lies in memory
	plain, errs, code := cli("", "disasm", "testdata/demo.o", "count", "--native")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, plain, "0x776f6c66")
	require.Contains(t, plain, constant)
	blind, errs, code := cli("", "disasm", "testdata/demo.o", "count", "--native", "--blind")
	require.Equal(t, exitOK, code, errs)
	require.Contains(t, blind, "0x776f6c66")
	require.NotContains(t, blind, constant)
}

// TestPerfMap has the machine code of a run listed for perf, in the place of an older list.
func TestPerfMap(t *testing.T) {
	if isa.BigEndian {
		t.Skip("the object in testdata is for little-endian machines")
	}
	if err := jit.Available(); err != nil || runtime.GOOS != "linux" {
		t.Skip("perf is for Linux: ", err)
	}
	name := fmt.Sprintf("/tmp/perf-%d.map", os.Getpid())
	victim := filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(victim, []byte("mine"), 0o666))
	require.NoError(t, os.Symlink(victim, name))
	defer os.Remove(name)
	_, errs, code := cli("", "run", "testdata/demo.o", "count", "--packet", "00", "--perf-map", "--blind")
	require.Equal(t, exitOK, code, errs)
	list, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Regexp(t, `^[0-9a-f]+ [0-9a-f]+ bpf_prog_count\n$`, string(list))
	kept, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "mine", string(kept))
}
