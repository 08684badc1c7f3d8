package difftest

import (
	"slices"
	"strings"
)

// Log levels of bpf(2). At that of the figures, messages are there too; at the other,
// every instruction is, which takes a million lines for some programs.
const (
	logFigures = 4
	logAll     = 2 | logFigures
)

// lastMessage is the last line of a log before its figures. That of an infinite loop is
// followed by states.
func lastMessage(log string) string {
	if at := strings.Index(log, "infinite loop detected"); at >= 0 {
		line, _, _ := strings.Cut(log[at:], "\n")
		return line
	}
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(log), "\n"), func(line string) bool {
		return strings.HasPrefix(line, "verification time ") || strings.HasPrefix(line, "stack depth ") ||
			strings.HasPrefix(line, "processed ") || strings.HasPrefix(line, "; ") || strings.TrimSpace(line) == ""
	})
	if len(lines) == 0 {
		return ""
	}
	last, _, _ := strings.Cut(lines[len(lines)-1], "processed 0 insns")
	last, _, _ = strings.Cut(last, "verification time ") // some messages do not end their line
	return strings.TrimSpace(last)
}
