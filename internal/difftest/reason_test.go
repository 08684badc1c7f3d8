package difftest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/verifier"
)

// knownCodes returns the codes of package verifier.
func knownCodes(t *testing.T) map[verifier.Code]bool {
	file, err := parser.ParseFile(token.NewFileSet(), "../../verifier/code.go", nil, 0)
	require.NoError(t, err)
	codes := make(map[verifier.Code]bool)
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok {
			for _, v := range spec.Values {
				if lit, ok := v.(*ast.BasicLit); ok {
					text, err := strconv.Unquote(lit.Value)
					require.NoError(t, err)
					codes[verifier.Code(text)] = true
				}
			}
		}
		return true
	})
	require.NotEmpty(t, codes)
	return codes
}

func TestReasonsNameCodes(t *testing.T) {
	known := knownCodes(t)
	for _, m := range meanings {
		require.NotEmpty(t, m.codes, m.message)
		for _, code := range m.codes {
			require.Contains(t, known, code, m.message)
		}
	}
}

// messages are what Linux said in all recordings that there are here.
func messages(t *testing.T) []string {
	var list []string
	cases, err := ReadCorpus(defaultCorpus)
	require.NoError(t, err)
	for _, c := range cases {
		list = append(list, c.Reason)
	}
	if probes := readProbes(t); probes != nil {
		for _, p := range probes.Programs {
			list = append(list, p.Reason)
			if p.NoPerfmon != nil {
				list = append(list, p.NoPerfmon.Reason)
			}
		}
	}
	for _, programs := range readObjectAnswers(t) {
		for _, answer := range programs {
			list = append(list, answer.Reason)
		}
	}
	for _, c := range textCases(t) {
		list = append(list, c.Reason)
	}
	return list
}

// TestReasonsAreMapped makes sure that the table has every message that is recorded.
func TestReasonsAreMapped(t *testing.T) {
	n := 0
	for _, message := range messages(t) {
		if message != "" {
			n++
			require.NotEmpty(t, Codes(message), message)
		}
	}
	require.Greater(t, n, 100)
}
