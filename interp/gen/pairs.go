package main

import "log"

// pairs returns the operations that do the work of two neighbours. They are
// chosen by kind, every one of a kind with every one of another, not by what a
// particular program happens to contain.
func pairs(singles []op) []op {
	byName := make(map[string]op)
	for _, o := range singles {
		byName[o.name] = o
	}
	var ops []op
	done := make(map[string]bool)
	for _, k := range kinds {
		for _, first := range k.first {
			for _, second := range k.second {
				f, s := byName["op"+first], byName["op"+second]
				if f.at == nil || s.at == nil {
					log.Fatalf("no pair of %q and %q", first, second)
				}
				name := "op" + first + "_" + second
				if done[name] {
					continue
				}
				done[name] = true
				ops = append(ops, op{name: name, first: f.name, second: s.name, body: f.at(firstPart) + "\n" + s.at(secondPart)})
			}
		}
	}
	return ops
}

var kinds = []struct{ first, second []string }{
	// A step of arithmetic and the next.
	{[]string{"Add64", "And64", "Xor64", "LSh64", "RSh64", "Mul64", "Or64"}, []string{"Add64", "And64", "Xor64", "Or64", "LSh64", "RSh64"}},
	{[]string{"Add32", "And32", "Xor32", "LSh32", "RSh32", "Or32"}, []string{"Add32", "And32", "Xor32", "Or32"}},
	// The end of a loop, and a test of something just computed.
	{[]string{"Add64", "And64", "Mov64"}, []string{"JEq64", "JNE64", "JGT64"}},
	{[]string{"Add32", "And32"}, []string{"JEq32", "JNE32", "JGT32"}},
	// A load and the use of what it brought.
	{[]string{"Load8", "Load16", "Load32", "Load64"}, []string{"Add64", "Xor64", "JNE64", "JEq64"}},
	{[]string{"LoadX8"}, []string{"Add64", "Xor64", "Add32"}},
	{[]string{"Add64"}, []string{"Load8", "Load16", "Load32", "Load64", "Mov64"}},
	{[]string{"Mov64"}, []string{"Mov64", "Goto"}},
}
