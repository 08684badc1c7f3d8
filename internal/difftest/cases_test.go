package difftest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/sandbpf/sandbpf/internal/kernel"
)

var update = flag.Bool("update", false, "write down what the running kernel says of the programs in testdata/cases, and what generated ones compute in it")

// TestCases has every program of testdata/cases get Linux's verdict, for the same reason.
func TestCases(t *testing.T) {
	allowed := parity(t)
	for _, c := range textCases(t) {
		t.Run(c.ID, func(t *testing.T) {
			o := c.Verify(1, verifyLimit)
			require.Empty(t, o.Crash)
			if allowed[c.ID] != "" {
				require.NotEqual(t, c.Verdict, o.Verdict(), "testdata/parity.txt says that we differ")
				return
			}
			if o.Err != nil {
				require.Equal(t, c.Verdict, "reject", "%+v", o.Err)
				require.True(t, agrees(c.Reason, o.Err.Code), "ours: %s %v; Linux: %s", o.Err.Code, o.Err, c.Reason)
				return
			}
			require.Equal(t, c.Verdict, "accept", "Linux: %s", c.Reason)
		})
	}
}

// TestCasesAgainstKernel compares what testdata/cases says of Linux with the running one,
// or writes it down with -update.
func TestCasesAgainstKernel(t *testing.T) {
	if err := kernel.Available(); err != nil {
		t.Skip(err)
	}
	answers := make(map[string]string) // lines by id
	for _, c := range textCases(t) {
		t.Run(c.ID, func(t *testing.T) {
			live, err := askKernel(c.Case)
			require.NoError(t, err)
			answered := textCase{Case: live}
			answers[c.ID] = answered.linuxLine()
			if !*update {
				require.Equal(t, c.linuxLine(), answered.linuxLine())
			}
		})
	}
	if *update {
		updateCases(t, answers)
	}
}

func updateCases(t *testing.T, answers map[string]string) {
	archives, err := filepath.Glob("testdata/cases/*.txt")
	require.NoError(t, err)
	for _, name := range archives {
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		archive := txtar.Parse(b)
		for i, file := range archive.Files {
			lines := strings.Split(string(file.Data), "\n")
			for n, line := range lines {
				if strings.HasPrefix(line, "linux:") {
					lines[n] = answers[strings.TrimSuffix(filepath.Base(name), ".txt")+"/"+file.Name]
					break
				}
			}
			archive.Files[i].Data = []byte(strings.Join(lines, "\n"))
		}
		require.NoError(t, os.WriteFile(name, txtar.Format(archive), 0o644))
	}
}
