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

// wide and narrow are the steps that arithmetic is made of. The decoder makes
// And, Or, Xor and RSh on 32 bits 64-bit ones wherever it knows that the upper
// halves are zero.
var steps = []string{"Add64", "And64", "Xor64", "Or64", "LSh64", "RSh64", "Add32", "Mul32", "LSh32"}

var kinds = []struct{ first, second []string }{
	// A step of arithmetic and the next.
	{steps, steps},
	{[]string{"Mul64", "Rot64"}, []string{"Add64", "Xor64"}},
	{[]string{"Add64", "Xor64"}, []string{"Rot64"}},
	// The end of a loop, and a test of something just computed.
	{[]string{"Add64", "And64", "Add32", "Mov64"}, []string{"JEq64", "JNE64", "JGT64"}},
	{[]string{"Add64", "Mov64"}, []string{"BrEq64"}},
	// A load and the use of what it brought.
	{[]string{"Load8", "Load16", "Load32", "Load64", "LoadX8"}, []string{"Add64", "Xor64", "LSh64", "Add32"}},
	{[]string{"Load8", "Load16", "Load32"}, []string{"JEq64", "JNE64"}},
	// An address and the load from it.
	{[]string{"Add64", "And64", "Mov64"}, []string{"Load8", "Load32", "Load64", "LoadX8"}},
	// Neighbouring fields; copies.
	{[]string{"Load8"}, []string{"Load8", "Store8"}},
	{[]string{"Load16"}, []string{"Load16", "Store16"}},
	{[]string{"Load32"}, []string{"Load32", "Store32"}},
	{[]string{"Load64"}, []string{"Load64", "Store64"}},
	// What is computed and kept.
	{[]string{"Add64"}, []string{"Store8", "Store32", "Store64"}},
	{[]string{"Mov64"}, []string{"Mov64", "Goto", "Add64", "StoreStack64"}},
	{[]string{"Add64"}, []string{"Mov64", "Goto"}},
}
