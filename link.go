package sandbpf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// maxMaps is how many maps a program may refer to (MAX_USED_MAPS).
const maxMaps = 64

// byNameIn returns what finds a map in named.
func byNameIn(named map[string]*maps.Map) func(name string) mapRef {
	return func(name string) mapRef {
		if m := named[name]; m != nil {
			return m
		}
		return nil
	}
}

// link assembles the instructions of spec: names become distances and indices, instruction
// numbers become slots, functions get their bounds. It asks named for maps. The error, about a
// name that stands for nothing, is a [*prog.Error]. The structure of the program is not
// checked: the verifier does it by itself, and where there is none, see [checkStructure].
func link(spec *ProgramSpec, named func(name string) mapRef) (*prog.Program, error) {
	l := &linker{spec: spec, named: named, index: make(map[ref]int), p: &prog.Program{
		Name: spec.Name, Type: spec.Type, Attach: spec.AttachType, Target: spec.AttachTo,
		License: spec.License, Sleep: spec.Sleepable, Lines: slices.Clone(spec.Lines), Types: spec.Types,
	}}
	slices.SortStableFunc(l.p.Lines, func(a, b Line) int { return cmp.Compare(a.Slot, b.Slot) })
	if err := l.assemble(); err != nil {
		return nil, err
	}
	l.findFuncs()
	return l.p, nil
}

// checkStructure makes sure of what engines rely on: every instruction is one of the opcode
// table, maps have the addresses that are asked of them, and [prog.Program.Check]. The error is
// a [*prog.Error].
func checkStructure(p *prog.Program) error {
	for slot := 0; slot < len(p.Insns); slot++ {
		ins := p.Insns[slot]
		if err := ins.Validate(); err != nil {
			return invalid(p, slot, err)
		}
		switch kind := ins.Kind(); {
		case kind == asm.KindCallX:
			return p.Errorf(slot, "call through a register is not supported: clang calls helpers so with -O0, use -O2")
		case kind == asm.KindLoadImm64 && (ins.Src == asm.PseudoMapIdx || ins.Src == asm.PseudoMapIdxValue):
			if err := checkMap(p, slot); err != nil {
				return err
			}
		}
		slot += ins.Slots() - 1
	}
	return p.Check()
}

func invalid(p *prog.Program, slot int, err error) error {
	var bad *asm.InstructionError
	if !errors.As(err, &bad) {
		return p.Errorf(slot, "%v", err)
	}
	return p.Errorf(slot, "%s: %s is %#x", bad.Reason, bad.Field, bad.Value)
}

// checkMap checks a reference to a map or its value.
func checkMap(p *prog.Program, slot int) error {
	ins := p.Insns[slot]
	n, off := ins.ImmLo(), uint32(ins.ImmHi())
	m := p.Maps[n].(mapRef)
	switch {
	case n >= maxMaps:
		return p.Errorf(slot, "map %q is one more than the %d that a program may use", m.Name(), maxMaps)
	case ins.Src == asm.PseudoMapIdx:
	case m.Type() != maps.Array || m.MaxEntries() != 1: // array_map_direct_value_addr
		return p.Errorf(slot, "map %q: only the value of an Array of one element has an address, this is %v of %d",
			m.Name(), m.Type(), m.MaxEntries())
	case off >= m.ValueSize():
		return p.Errorf(slot, "map %q: offset %d is outside of its value of %d bytes", m.Name(), off, m.ValueSize())
	}
	return nil
}

// mapRef is what linking has to know of a map.
type mapRef interface {
	prog.Map
	Type() maps.Type
	MaxEntries() uint32
	ValueSize() uint32
}

// linker is the state of link. References to the same thing share an index.
type linker struct {
	spec  *ProgramSpec
	named func(name string) mapRef // nil: there is no such map
	p     *prog.Program
	index map[ref]int
}

// ref is a name in one of the program's tables.
type ref struct {
	table rune // 'm'ap, 'k'func or 'e'xtern
	name  string
}

// assemble fills the slots of the program.
func (l *linker) assemble() error {
	insns, err := l.spec.Instructions.Resolve()
	if err != nil {
		return l.resolveError(err)
	}
	l.p.Insns = make([]asm.Instruction, 0, insns.Slots())
	for _, ins := range insns {
		slot := len(l.p.Insns)
		if ins, err = l.resolve(ins, slot); err != nil {
			return err
		}
		l.p.Insns = append(l.p.Insns, ins)
		if ins.Slots() == 2 {
			l.p.Insns = append(l.p.Insns, asm.Instruction{})
		}
	}
	return nil
}

// resolveError puts the program and the line to what [asm.Instructions.Resolve]
// says.
func (l *linker) resolveError(err error) error {
	var bad *asm.ReferenceError
	if !errors.As(err, &bad) {
		return l.p.Errorf(0, "%v", err)
	}
	slot := 0
	for _, ins := range l.spec.Instructions {
		if kind := ins.Kind(); slot == bad.Slot && ins.Symbol() != bad.Name && (kind == asm.KindCallLocal || kind == asm.KindLoadImm64) {
			return l.p.Errorf(slot, "function %q is not in the program", bad.Name)
		}
		slot += ins.Slots()
	}
	return l.p.Errorf(bad.Slot, "%q: %s", bad.Name, bad.Reason)
}

// resolve replaces the name that ins refers to by an index into one of the
// program's tables.
func (l *linker) resolve(ins asm.Instruction, slot int) (asm.Instruction, error) {
	name := ins.Reference()
	switch kind := ins.Kind(); {
	case kind == asm.KindCallKfunc:
		if name == "" {
			return ins, l.p.Errorf(slot, "call of kernel function by BTF id %d, and not by name", ins.Imm)
		}
		ins.Imm, ins.Off = int64(l.kfunc(name)), 0
	case kind != asm.KindLoadImm64:
		if name != "" {
			return ins, l.p.Errorf(slot, "%q: this instruction cannot refer to a name", name)
		}
	case ins.Src == asm.PseudoNone && name != "":
		return ins, l.p.Errorf(slot, "%q: no such variable", name)
	case ins.Src == asm.PseudoBTFID:
		if name == "" {
			return ins, l.p.Errorf(slot, "kernel variable by BTF id %d, and not by name", ins.ImmLo())
		}
		ins.Imm = int64(l.extern(name))
	case ins.Src != asm.PseudoNone && ins.Src != asm.PseudoFunc:
		if err := l.resolveMap(&ins, name, slot); err != nil {
			return ins, err
		}
	}
	return ins.WithReference(""), nil
}

func (l *linker) resolveMap(ins *asm.Instruction, name string, slot int) error {
	if name == "" {
		return l.p.Errorf(slot, "map by number %d, and not by name", ins.ImmLo())
	}
	m := l.named(name)
	if m == nil {
		return l.p.Errorf(slot, "map %q is not in the collection", name)
	}
	n := l.intern(ref{'m', name}, len(l.p.Maps), func() { l.p.Maps = append(l.p.Maps, m) })
	if ins.Src == asm.PseudoMapValue || ins.Src == asm.PseudoMapIdxValue {
		ins.Src = asm.PseudoMapIdxValue
	} else {
		ins.Src = asm.PseudoMapIdx
	}
	ins.Imm = int64(ins.ImmHi())<<32 | int64(n)
	return nil
}

// intern returns the index of r, which is next if r is new; add then adds it.
func (l *linker) intern(r ref, next int, add func()) int {
	n, ok := l.index[r]
	if !ok {
		n = next
		l.index[r] = n
		add()
	}
	return n
}

func (l *linker) kfunc(name string) int {
	return l.intern(ref{'k', name}, len(l.p.Kfuncs), func() {
		k := prog.Kfunc{Name: name}
		if decl := l.spec.Kfuncs[name]; decl != nil {
			k = *decl
		}
		l.p.Kfuncs = append(l.p.Kfuncs, k)
	})
}

func (l *linker) extern(name string) int {
	return l.intern(ref{'e', name}, len(l.p.Externs), func() {
		e := prog.Extern{Name: name}
		if decl := l.spec.Ksyms[name]; decl != nil {
			e = *decl
		}
		l.p.Externs = append(l.p.Externs, e)
	})
}

// findFuncs cuts the program into functions: they start at the entry, at what is
// called or has its address taken, and at the labels that spec.Funcs knows.
// Other labels are targets of jumps.
func (l *linker) findFuncs() {
	labels := make(map[int]string)
	starts := []int{0}
	slot := 0
	for _, ins := range l.spec.Instructions {
		if name := ins.Symbol(); name != "" {
			labels[slot] = name
			if l.spec.Funcs[name] != nil {
				starts = append(starts, slot)
			}
		}
		slot += ins.Slots()
	}
	for slot, ins := range l.p.Insns {
		off, ok := ins.JumpOffset()
		if kind := ins.Kind(); ok && (kind == asm.KindCallLocal || kind == asm.KindLoadImm64) {
			// A target that is outside or within an instruction is for others to report.
			if target := slot + 1 + int(off); target >= 0 && target < len(l.p.Insns) && l.p.Insns[target].Op != 0 {
				starts = append(starts, target)
			}
		}
	}
	slices.Sort(starts)
	starts = slices.Compact(starts)
	for i, start := range starts {
		f := prog.Func{Name: labels[start], Start: start, End: len(l.p.Insns)}
		if i+1 < len(starts) {
			f.End = starts[i+1]
		}
		if info := l.spec.Funcs[f.Name]; info != nil {
			f.Linkage, f.Proto, f.Exception = info.Linkage, info.Proto, info.Exception
		}
		switch {
		case f.Name == "" && i == 0:
			f.Name = l.spec.Name
		case f.Name == "":
			f.Name = fmt.Sprintf("func#%d", i) // as the kernel's log has it
		}
		l.p.Funcs = append(l.p.Funcs, f)
	}
}
