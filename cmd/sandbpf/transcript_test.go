package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/internal/isa"
)

var update = flag.Bool("update", false, "write the transcripts and the capture in testdata anew")

// TestTranscripts replays the sessions in testdata: lines that start with "$ " are
// commands, what follows is what they wrote, and how they ended if not with 0.
func TestTranscripts(t *testing.T) {
	if isa.BigEndian {
		t.Skip("the object in testdata is for little-endian machines")
	}
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			b, err := os.ReadFile(file)
			require.NoError(t, err)
			want := strings.ReplaceAll(string(b), "\r\n", "\n")
			got := replay(t, want)
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o666))
				return
			}
			require.Equal(t, want, got)
		})
	}
}

// replay runs the commands of a transcript and returns it with what they write now.
func replay(t *testing.T, transcript string) string {
	t.Helper()
	var out strings.Builder
	for line := range strings.Lines(transcript) {
		switch {
		case strings.HasPrefix(line, "# "):
			out.WriteString(line)
		case strings.HasPrefix(line, "$ "):
			out.WriteString(line + pipeline(t, strings.TrimSpace(line[2:])) + "\n")
		}
	}
	return out.String()
}

// times are not the same twice.
var times = regexp.MustCompile(`[\d.]+ ns a run|"time_ns": \d+|\d+ us\b|"time_us": \d+|\d+ usec`)

// pipeline runs commands that are joined by "|". The first may be "echo".
func pipeline(t *testing.T, line string) string {
	t.Helper()
	var stdout, messages bytes.Buffer
	code := 0
	for _, words := range split(line) {
		if words[0] == "echo" {
			fmt.Fprintln(&stdout, strings.Join(words[1:], " "))
			continue
		}
		require.Equal(t, "sandbpf", words[0])
		stdin := bytes.NewReader(bytes.Clone(stdout.Bytes()))
		var stderr bytes.Buffer
		stdout.Reset()
		code = run(words[1:], stdin, &stdout, &stderr)
		for line := range strings.Lines(stderr.String()) {
			messages.WriteString("stderr: " + line)
		}
	}
	text := times.ReplaceAllString(stdout.String(), "(time)")
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "(no newline)\n"
	}
	if text += messages.String(); code != 0 {
		text += fmt.Sprintf("exit %d\n", code)
	}
	return text
}

// split takes a line apart as a shell does: words, single quotes, pipes.
func split(line string) [][]string {
	commands := [][]string{nil}
	word, quoted, started := "", false, false
	end := func() {
		last := &commands[len(commands)-1]
		if started {
			*last = append(*last, word)
		}
		word, started = "", false
	}
	for _, r := range line {
		switch {
		case r == '\'':
			quoted, started = !quoted, true
		case quoted || r != ' ' && r != '|':
			word, started = word+string(r), true
		case r == ' ':
			end()
		default:
			end()
			commands = append(commands, nil)
		}
	}
	end()
	return commands
}
