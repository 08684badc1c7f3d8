package difftest

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/sandbpf/sandbpf/asm"
)

// assemble sets the instructions of the case. Labels become distances, names of maps their
// index in names, and names of kernel functions numbers of Case.Kfuncs.
func (c *Case) assemble(insns asm.Instructions, names []string) error {
	insns, err := insns.Resolve()
	if err != nil {
		return err
	}
	c.Kfuncs = make(map[int32]string)
	for _, ins := range insns {
		name := ins.Reference()
		switch {
		case name == "":
		case ins.Kind() == asm.KindCallKfunc:
			ins.Imm = int64(len(c.Kfuncs) + 1)
			c.Kfuncs[int32(ins.Imm)] = name
		default:
			i := slices.Index(names, name)
			if i < 0 {
				return fmt.Errorf("no map %q", name)
			}
			ins.Imm = ins.Imm>>32<<32 | int64(i)
		}
		c.Insns = ins.AppendBinary(c.Insns, binary.LittleEndian)
	}
	return nil
}

// Case returns the program as a case, without a verdict.
func (g *Generated) Case(id string) (*Case, error) {
	c := &Case{ID: id, ProgType: uint32(g.Type), License: "GPL"}
	var names []string
	for _, m := range g.Maps {
		c.Maps, names = append(c.Maps, m.Map), append(names, m.Name)
	}
	if err := c.assemble(g.Insns, names); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(g.Funcs, func(f GeneratedFunc) bool { return f.NeedsBTF }) {
		return c, nil
	}
	symbols, err := g.Insns.Symbols()
	if err != nil {
		return nil, err
	}
	funcs := slices.Clone(g.Funcs)
	slices.SortFunc(funcs, func(a, b GeneratedFunc) int { return symbols[a.Label] - symbols[b.Label] })
	var decls []decl
	var starts []int
	for _, f := range funcs {
		linkage := "static"
		if f.Global {
			linkage = "global"
		}
		d, err := parseDecl(fmt.Sprintf("%s %s", linkage, f.Decl))
		if err != nil {
			return nil, err
		}
		decls, starts = append(decls, d), append(starts, symbols[f.Label])
	}
	return c, c.declare(decls, starts)
}
