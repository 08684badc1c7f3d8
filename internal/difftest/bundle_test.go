package difftest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/maps"
)

// selectorMap is the last map of a bundle, and has the number of the program to run.
var selectorMap = GeneratedMap{"selector", Map{Type: uint32(maps.Array), KeySize: 4, ValueSize: 4, MaxEntries: 1}}

// bundle makes programs of one type a single program, so that one load gives many to the
// kernel. It begins with a jump to the entry of the program that is selected; the entries
// follow, then the functions of all. A program's entry is code of the bundle's entry, with its
// stack and its depth of calls, so that it runs as it would alone.
func bundle(list []*Generated) *Generated {
	entry := GeneratedFunc{Label: "entry", Decl: "int entry(ctx *)", Global: true}
	b := &Generated{Type: list[0].Type, Maps: append(slices.Clip(list[0].Maps), selectorMap), Funcs: []GeneratedFunc{entry}, Insns: asm.Instructions{
		asm.LoadMapValue(asm.R2, selectorMap.Name, 0).WithSymbol(entry.Label), asm.LoadMem(asm.R2, asm.R2, 0, asm.Word),
	}}
	var entries, functions asm.Instructions
	for i, g := range list {
		insns, funcs := g.prefixed(fmt.Sprintf("p%d_", i))
		end := slices.IndexFunc(insns, func(ins asm.Instruction) bool {
			return slices.ContainsFunc(funcs[1:], func(f GeneratedFunc) bool { return f.Label == ins.Symbol() })
		})
		if end < 0 {
			end = len(insns)
		}
		entries, functions = append(entries, insns[:end]...), append(functions, insns[end:]...)
		b.Insns = append(b.Insns, asm.JEq.Imm(asm.R2, int32(i), funcs[0].Label))
		b.Funcs = append(b.Funcs, funcs[1:]...)
	}
	b.Insns = append(b.Insns, asm.Mov.Imm(asm.R0, 0), asm.Return())
	b.Insns = append(append(b.Insns, entries...), functions...)
	return b
}

// prefixed returns the instructions and functions with a prefix before the name of every label.
func (g *Generated) prefixed(prefix string) (asm.Instructions, []GeneratedFunc) {
	labels := make(map[string]bool)
	for _, ins := range g.Insns {
		labels[ins.Symbol()] = true
	}
	insns, funcs := slices.Clone(g.Insns), slices.Clone(g.Funcs)
	for i, ins := range insns {
		if name := ins.Symbol(); name != "" {
			ins = ins.WithSymbol(prefix + name)
		}
		if name := ins.Reference(); name != "" && labels[name] { // not a map's
			ins = ins.WithReference(prefix + name)
		}
		insns[i] = ins
	}
	for i, f := range funcs {
		funcs[i].Label = prefix + f.Label
		funcs[i].Decl = strings.Replace(f.Decl, " "+f.Label+"(", " "+prefix+f.Label+"(", 1)
	}
	return insns, funcs
}
