package main

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/sandbpf/sandbpf/internal/helper"
)

var kfuncFlags = map[string]string{
	"acquire": "KfAcquire", "release": "KfRelease", "ret_null": "KfRetNull", "trusted_args": "KfTrustedArgs",
	"sleepable": "KfSleepable", "destructive": "KfDestructive", "rcu": "KfRCU", "rcu_protected": "KfRCUProtected",
	"iter_new": "KfIterNew", "iter_next": "KfIterNext", "iter_destroy": "KfIterDestroy", "fastcall": "KfFastCall",
	"arena_ret": "KfArenaRet", "arena_arg1": "KfArenaArg1", "arena_arg2": "KfArenaArg2",
}

// variants returns the set that words name: variants, types for all of theirs, "all", "none".
func variants(words []string) (set uint64, err error) {
	for _, word := range words {
		found := word == "none"
		for i, name := range helper.VariantNames() {
			if word == "all" || name == word || strings.HasPrefix(name, word+"/") {
				set |= 1 << i
				found = true
			}
		}
		if !found {
			return 0, fmt.Errorf("unknown sort of program %q", word)
		}
	}
	return set, nil
}

var sumLine = regexp.MustCompile(`^[0-9a-f]{64}$`)

// printKfuncs prints kfuncs.txt.
func printKfuncs(b *bytes.Buffer, text string) error {
	var list []string
	var allowed uint64
	sum := ""
	err := eachLine(text, func(indented bool, words []string) (err error) {
		switch {
		case words[0] == "vmlinux" && len(words) == 2 && sumLine.MatchString(words[1]):
			sum = words[1]
		case indented:
			var line string
			line, err = kfunc(words, allowed)
			list = append(list, line)
		default:
			allowed, err = variants(words)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(list)
	fmt.Fprintf(b, "// vmlinuxSum is the SHA-256 sum of the BTF of the kernel that the tables are from.\nconst vmlinuxSum = %q\n\n", sum)
	b.WriteString("// kfuncs are the kfuncs by name.\nvar kfuncs = [...]Kfunc{\n")
	for _, line := range list {
		b.WriteString(line + "\n")
	}
	b.WriteString("}\n")
	return nil
}

// kfunc returns the Go literal of a line "name id/recorded flag...".
func kfunc(words []string, allowed uint64) (string, error) {
	if len(words) < 2 {
		return "", fmt.Errorf("a kfunc without an id")
	}
	here, recorded, _ := strings.Cut(words[1], "/")
	for _, id := range []string{here, recorded} {
		if _, err := strconv.ParseUint(id, 10, 32); err != nil {
			return "", fmt.Errorf("bad id %q", id)
		}
	}
	line := fmt.Sprintf("{Name: %q, ID: %s, recorded: %s", words[0], here, recorded)
	var flags []string
	for _, word := range words[2:] {
		if kfuncFlags[word] == "" {
			return "", fmt.Errorf("unknown flag %q", word)
		}
		flags = append(flags, kfuncFlags[word])
	}
	if len(flags) > 0 {
		line += ", Flags: " + strings.Join(flags, "|")
	}
	if allowed != 0 {
		line += fmt.Sprintf(", Allowed: %#x", allowed)
	}
	return line + "},", nil
}
