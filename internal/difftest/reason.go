package difftest

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/sandbpf/sandbpf/verifier"
)

//go:embed testdata/reasons.txt
var reasonText string

// meaning says which of our codes agree with a message of Linux's.
type meaning struct {
	message *regexp.Regexp
	codes   []verifier.Code
}

var meanings = parseMeanings(reasonText)

// parseMeanings reads lines of codes and a regular expression.
func parseMeanings(text string) []meaning {
	var list []meaning
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		codes, message, ok := strings.Cut(line, " ")
		if !ok {
			panic(fmt.Sprintf("reasons.txt: no message in %q", line))
		}
		m := meaning{message: regexp.MustCompile(strings.TrimSpace(message))}
		for code := range strings.SplitSeq(codes, "|") {
			m.codes = append(m.codes, verifier.Code(code))
		}
		list = append(list, m)
	}
	return list
}

// Codes returns the codes that agree with a message of Linux's verifier, the likeliest
// first; none if the message is not in the table.
func Codes(message string) []verifier.Code {
	for _, m := range meanings {
		if m.message.MatchString(message) {
			return m.codes
		}
	}
	return nil
}

// agrees reports whether a refusal with code is what the message says.
func agrees(message string, code verifier.Code) bool { return slices.Contains(Codes(message), code) }
