package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
)

// printArgs prints args.txt: lines of a function, an argument by number, and its type.
func printArgs(b *bytes.Buffer, text string) error {
	var list []string
	err := eachLine(text, func(_ bool, words []string) error {
		if len(words) != 3 {
			return fmt.Errorf("not a function, an argument and a type")
		}
		if _, err := strconv.ParseUint(words[1], 10, 4); err != nil {
			return fmt.Errorf("bad argument %q", words[1])
		}
		f := "{}, refused: true"
		if words[2] != "refused" {
			var err error
			if f, err = field(words[2]); err != nil {
				return err
			}
		}
		list = append(list, fmt.Sprintf("{fn: %q, arg: %s, field: Field%s},", words[0], words[1], f))
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(list)
	b.WriteString("// oddArgs are the arguments that are not what their types say, by function and argument.\nvar oddArgs = [...]oddArg{\n")
	for _, line := range list {
		b.WriteString(line + "\n")
	}
	b.WriteString("}\n")
	return nil
}
