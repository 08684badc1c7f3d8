package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

// env is what a command has to do with.
type env struct {
	stdin    io.Reader
	stdout   io.Writer
	stderr   io.Writer
	terminal bool // stdout is one
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return false
	}
	null, err := os.Stat(os.DevNull)
	return err != nil || !os.SameFile(info, null)
}

// maxInput is how many bytes of a file or of standard input are read, and of packets in
// a capture that is compressed.
const maxInput = 1 << 30

// read returns what is in a file, or in standard input if the name is "-". The name that
// it returns is for messages.
func (e *env) read(name string) (data []byte, shown string, err error) {
	r := e.stdin
	if name == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(name)
		if err != nil {
			return nil, name, inputError{err}
		}
		defer f.Close()
		r = f
	}
	data, err = io.ReadAll(io.LimitReader(r, maxInput+1))
	if err == nil && len(data) > maxInput {
		err = fmt.Errorf("more than %d bytes", maxInput)
	}
	if err != nil {
		return nil, name, inputErrorf("%s: %w", name, err)
	}
	return data, name, nil
}

// writeJSON writes v for programs to read.
func (e *env) writeJSON(v any) error {
	enc := json.NewEncoder(e.stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// parseHex reads bytes as pairs of hex digits, with any white space between them.
func parseHex(text string) ([]byte, error) {
	out := make([]byte, 0, len(text)/2)
	high := -1
	for i, r := range text {
		n := strings.IndexRune("0123456789abcdef", unicode.ToLower(r))
		switch {
		case unicode.IsSpace(r) && high < 0:
		case n < 0 && high >= 0:
			return nil, inputErrorf("hex bytes: column %d: got %q, want the second digit of a byte", column(text, i), r)
		case n < 0:
			return nil, inputErrorf("hex bytes: column %d: got %q, want a hex digit", column(text, i), r)
		case high < 0:
			high = n
		default:
			out, high = append(out, byte(high<<4|n)), -1
		}
	}
	if high >= 0 {
		return nil, inputErrorf("hex bytes: the last byte has one digit, want two")
	}
	return out, nil
}

// column returns the position in its line of the character at offset i, from 1.
func column(text string, i int) int {
	return utf8.RuneCountInString(text[strings.LastIndexByte(text[:i], '\n')+1:i]) + 1
}

// writeTable writes rows in columns as wide as they must be. A cell that starts with
// a tab is aligned to the right.
func writeTable(w io.Writer, indent string, rows [][]string) {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(strings.TrimPrefix(cell, "\t")))
		}
	}
	for _, row := range rows {
		line := indent
		for i, cell := range row {
			if text, ok := strings.CutPrefix(cell, "\t"); ok {
				line += fmt.Sprintf("%*s  ", width[i], text)
			} else {
				line += fmt.Sprintf("%-*s  ", width[i], cell)
			}
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}

// plural returns "1 packet", "2 packets".
func plural[N int | uint32 | uint64](n N, thing string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", thing)
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
