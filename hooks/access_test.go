package hooks_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/kernel"
)

// access is a load from the context or a store to it.
type access struct {
	off, size int
	write     bool
}

var accessTypes = []*hooks.Type{hooks.XDP, hooks.SchedCLS, hooks.SocketFilter}

// accesses returns what may be done to a context as its layout has it.
func accesses(t *hooks.Type) map[access]bool {
	set := make(map[access]bool)
	for _, f := range t.Layout.Fields {
		for _, size := range []int{1, 2, 4, 8} {
			for off := f.Off; off+size <= f.Off+f.Size; off++ {
				if off%size != 0 {
					continue
				}
				if int(f.Reads)&size != 0 {
					set[access{off, size, false}] = true
				}
				if int(f.Writes)&size != 0 {
					set[access{off, size, true}] = true
				}
			}
		}
	}
	return set
}

// format prints accesses, one line for each offset: "48 r1248 w1248".
func format(set map[access]bool) string {
	var b strings.Builder
	for off := range 200 {
		line := ""
		for _, write := range []bool{false, true} {
			sizes := ""
			for _, size := range []int{1, 2, 4, 8} {
				if set[access{off, size, write}] {
					sizes += fmt.Sprint(size)
				}
			}
			if sizes != "" {
				line += map[bool]string{false: " r", true: " w"}[write] + sizes
			}
		}
		if line != "" {
			fmt.Fprintf(&b, "%d%s\n", off, line)
		}
	}
	return b.String()
}

func accessFile(t *hooks.Type) string { return "testdata/access_" + t.Name + ".txt" }

// TestContextAccess compares the layouts with what the verifier of Linux 6.18 lets
// programs do, as recorded.
func TestContextAccess(t *testing.T) {
	for _, hook := range accessTypes {
		want, err := os.ReadFile(accessFile(hook))
		require.NoError(t, err)
		require.Equal(t, string(want), format(accesses(hook)), hook.Name)
	}
}

// TestContextAccessProbed makes sure that what is recorded is what was probed.
func TestContextAccessProbed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "shared", "linux", "ctx-access.json"))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the table of probes is not part of this repository; TestContextAccess has what it says")
	}
	require.NoError(t, err)
	var table struct {
		Variants []struct{ Label string }
		Rows     [][7]int
	}
	require.NoError(t, json.Unmarshal(text, &table))
	for _, hook := range accessTypes {
		set := make(map[access]bool)
		for _, row := range table.Rows {
			if table.Variants[row[0]].Label == hook.Name && row[4] != 0 {
				set[access{row[1], row[2], row[3] != 0}] = true
			}
		}
		require.NotEmpty(t, set)
		if *update {
			require.NoError(t, os.WriteFile(accessFile(hook), []byte(format(set)), 0o644))
		}
		want, err := os.ReadFile(accessFile(hook))
		require.NoError(t, err)
		require.Equal(t, string(want), format(set))
	}
}

// TestContextAccessNow asks the kernel of this machine about every access.
func TestContextAccessNow(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	sizes := map[int]asm.Size{1: asm.Byte, 2: asm.Half, 4: asm.Word, 8: asm.DWord}
	for _, hook := range accessTypes {
		want := accesses(hook)
		for off := 0; off < hook.Layout.Size+8; off++ {
			for size, s := range sizes {
				for _, write := range []bool{false, true} {
					insn := asm.LoadMem(asm.R0, asm.R1, int16(off), s)
					if write {
						insn = asm.StoreMem(asm.R1, int16(off), asm.R2, s)
					}
					code, err := asm.Instructions{asm.Mov.Imm(asm.R2, 0), insn, asm.Mov.Imm(asm.R0, 0), asm.Return()}.Encode(binary.NativeEndian)
					require.NoError(t, err)
					l, err := kernel.Load(kernel.Prog{Type: ebpf.ProgramType(hook.Prog), Insns: code})
					require.NoError(t, err)
					require.Equal(t, l.Accepted(), want[access{off, size, write}], "%s: %d bytes at %d, write: %v", hook, size, off, write)
					require.NoError(t, l.Close())
				}
			}
		}
	}
}
