package sandbpf

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// verdict is a program and what Linux said of it.
type verdict struct {
	ID    string
	Insns string
	Maps  []struct {
		Type       uint32
		KeySize    uint32 `json:"key_size"`
		ValueSize  uint32 `json:"value_size"`
		MaxEntries uint32 `json:"max_entries"`
	}
	Verdict, Reason string
}

// structural are the reasons of Linux's that link has to see, too.
var structural = []string{"last insn is not", "jump out of range", "call to invalid destination", "jump into the middle",
	"unknown opcode", "reserved fields", "unrecognized bpf_ld_imm64", "invalid bpf_ld_imm64"}

// TestLinkAgainstVerdicts links the programs that Linux 6.18 was asked about: what it
// accepted must link, and what it refused for its structure must not.
func TestLinkAgainstVerdicts(t *testing.T) {
	f, err := os.Open("../shared/verdicts/linux-6.18.jsonl")
	if err != nil {
		t.Skip("no recorded verdicts beside the module: ", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 64<<20)
	accepted, refused := 0, 0
	for lines.Scan() {
		var v verdict
		require.NoError(t, json.Unmarshal(lines.Bytes(), &v))
		err := linkVerdict(t, &v)
		if v.Verdict == "accept" {
			require.NoError(t, err, v.ID)
			accepted++
			continue
		}
		for _, reason := range structural {
			if strings.Contains(v.Reason, reason) {
				require.Error(t, err, "%s: %s", v.ID, v.Reason)
				require.True(t, errors.Is(err, prog.ErrInvalid) || errors.Is(err, asm.ErrInvalidInstruction), v.ID)
				refused++
			}
		}
	}
	require.NoError(t, lines.Err())
	require.NotZero(t, accepted)
	require.NotZero(t, refused)
	t.Logf("%d accepted, %d refused for their structure", accepted, refused)
}

// linkVerdict gives maps and externs names and links the program. Where the program
// uses a map's value, the map is an Array; which type others have does not matter.
func linkVerdict(t *testing.T, v *verdict) error {
	b, err := hex.DecodeString(v.Insns)
	require.NoError(t, err)
	insns, err := asm.Decode(b, binary.LittleEndian)
	if err != nil {
		return err
	}
	named := make(map[string]*maps.Map)
	for i, m := range v.Maps {
		spec := &maps.Spec{Name: fmt.Sprint("map", i), Type: maps.Array, KeySize: 4, ValueSize: max(m.ValueSize, 1), MaxEntries: max(1, min(m.MaxEntries, 8))}
		created, err := maps.New(spec)
		require.NoError(t, err)
		defer created.Close()
		named[spec.Name] = created
	}
	for i, ins := range insns {
		switch name := fmt.Sprint(ins.ImmLo()); {
		case ins.Kind() == asm.KindCallKfunc, ins.Kind() == asm.KindLoadImm64 && ins.Src == asm.PseudoBTFID:
			insns[i] = ins.WithReference("id" + name)
		case ins.Kind() == asm.KindLoadImm64 && (ins.Src == asm.PseudoMapFD || ins.Src == asm.PseudoMapValue):
			ins.Imm = ins.Imm >> 32 << 32
			insns[i] = ins.WithReference("map" + name)
		}
	}
	_, err = linkChecked(&ProgramSpec{Name: v.ID, Instructions: insns}, named)
	return err
}
