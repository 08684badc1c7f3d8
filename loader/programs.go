package loader

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	ebpfasm "github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// Flags of BPF_PROG_LOAD.
const (
	flagSleepable = 1 << 4 // BPF_F_SLEEPABLE
	flagXDPFrags  = 1 << 5 // BPF_F_XDP_HAS_FRAGS: packets here are in one piece
)

func (c *converter) programs() error {
	externs, err := c.declarations()
	if err != nil {
		return err
	}
	for _, name := range sortedKeys(c.cs.Programs) {
		p := c.cs.Programs[name]
		if p == nil {
			return invalid("program", name, "nil ProgramSpec")
		}
		spec, err := c.program(name, p, externs)
		if err != nil {
			return &Error{"program", name, "", err}
		}
		c.out.Programs[name] = spec
	}
	return nil
}

// declarations returns what BTF says of kernel functions and variables, by name.
func (c *converter) declarations() (map[string]btf.Type, error) {
	out := make(map[string]btf.Type)
	if c.cs.Types == nil {
		return out, nil
	}
	var ds *btf.Datasec
	if err := c.cs.Types.TypeByName(".ksyms", &ds); err != nil {
		return out, nil // none
	}
	for _, v := range ds.Vars {
		switch t := v.Type.(type) {
		case *btf.Func:
			out[t.Name] = t
		case *btf.Var:
			out[t.Name] = t.Type
		}
	}
	for name, t := range c.ext.ksymTypes {
		out[name] = t
	}
	return out, nil
}

func (c *converter) program(name string, p *ebpf.ProgramSpec, externs map[string]btf.Type) (*sandbpf.ProgramSpec, error) {
	typ, byOption := c.opts.types[name]
	switch {
	case byOption:
	case uint32(p.Type) >= platformTag || uint32(p.AttachType) >= platformTag:
		return nil, unsupported("", "", "type %v is not one of Linux", p.Type)
	default:
		typ = prog.Type(p.Type)
	}
	if p.AttachTarget != nil {
		return nil, unsupported("", "", "it attaches to a program of the kernel")
	}
	if rest := p.Flags &^ (flagSleepable | flagXDPFrags); rest != 0 {
		c.note("program %s: flags %#x of BPF_PROG_LOAD are ignored", name, rest)
	}
	b := &programBuilder{c: c, externs: externs, out: &sandbpf.ProgramSpec{
		Name: name, Type: typ, AttachType: prog.AttachType(p.AttachType), AttachTo: p.AttachTo,
		Section: p.SectionName, License: p.License, Sleepable: p.Flags&flagSleepable != 0,
		Funcs: make(map[string]*sandbpf.FuncInfo), Kfuncs: make(map[string]*prog.Kfunc), Ksyms: make(map[string]*prog.Extern),
		MapTypes: c.out.MapTypes,
	}}
	fixups, err := c.fixups(p.Instructions)
	if err != nil {
		return nil, err
	}
	for i := range p.Instructions {
		in := &p.Instructions[i]
		if err := b.add(in, fixups, i); err != nil {
			return nil, fmt.Errorf("%s: %w", place(in, b.slot), err)
		}
	}
	return b.out, b.exceptionCallback()
}

// programBuilder converts the instructions of a program.
type programBuilder struct {
	c       *converter
	externs map[string]btf.Type
	out     *sandbpf.ProgramSpec
	slot    int
	throws  string // the name of the exception callback, "" if there is none
}

func (b *programBuilder) add(in *ebpfasm.Instruction, fixups map[int]fixup, i int) error {
	ins, bad := fromInstruction(in)
	if bad != nil {
		bad.Slot = b.slot
		return bad
	}
	ins, err := b.resolve(in, ins)
	if err != nil {
		return err
	}
	b.addInfo(in)
	list := asm.Instructions{ins}
	if f, ok := fixups[i]; ok {
		if list, err = f.apply(ins); err != nil {
			return invalid("relocation", fmt.Sprint(btf.CORERelocationMetadata(in)), "%v", err)
		}
		if f.poison {
			b.c.note("program %s: %s: %v has no match in the kernel's types: reaching it is an error",
				b.out.Name, place(in, b.slot), btf.CORERelocationMetadata(in))
		}
	}
	b.out.Instructions = append(b.out.Instructions, list...)
	b.slot += ins.Slots()
	return nil
}

// addInfo keeps what BTF says of an instruction: the source line, and at the start of a
// function, what kind of function that is.
func (b *programBuilder) addInfo(in *ebpfasm.Instruction) {
	if line, ok := in.Source().(*btf.Line); ok && line.LineNumber() != 0 {
		b.out.Lines = append(b.out.Lines, sandbpf.Line{Slot: b.slot, File: line.FileName(), Number: int(line.LineNumber()),
			Column: int(line.LineColumn()), Text: strings.TrimSpace(line.Line())})
	}
	fn := btf.FuncMetadata(in)
	if fn == nil || in.Symbol() == "" {
		return
	}
	b.out.Funcs[in.Symbol()] = &sandbpf.FuncInfo{Linkage: prog.Linkage(fn.Linkage), Proto: b.c.types.Proto(fn)}
	for _, tag := range fn.Tags {
		if name, ok := strings.CutPrefix(tag, "exception_callback:"); ok && b.slot == 0 {
			b.throws = name
		}
	}
}

func (b *programBuilder) exceptionCallback() error {
	if b.throws == "" {
		return nil
	}
	fn := b.out.Funcs[b.throws]
	if fn == nil {
		return unsupported("", "", "exception callback %s: cilium/ebpf leaves a function out that nothing calls", b.throws)
	}
	fn.Exception = true
	return nil
}

// resolve gives the references to externs and variables their form here.
func (b *programBuilder) resolve(in *ebpfasm.Instruction, ins asm.Instruction) (asm.Instruction, error) {
	name := in.Reference()
	if in.IsKfuncCall() {
		return ins, b.kfunc(in, name)
	}
	if in.IsBuiltinCall() && in.Constant >= platformTag {
		return ins, unsupported("function", fmt.Sprint(in.Constant), "not a helper of Linux")
	}
	if in.IsLoadFromMap() && name == "" {
		off, ok := kconfigOffset(in)
		if !ok {
			return ins, invalid("", "", "refers to a map without a name")
		}
		return asm.LoadMapValue(ins.Dst, kconfigSection, off).WithSymbol(ins.Symbol()), nil
	}
	if !in.OpCode.IsDWordLoad() || name == "" {
		return ins, nil
	}
	kind, weak := externOf(in)
	if kind == notExtern {
		return ins, nil
	}
	return b.ksym(ins, name, weak)
}

func (b *programBuilder) kfunc(in *ebpfasm.Instruction, name string) error {
	if name == "" {
		return unsupported("", "", "calls a kernel function by its number %d", in.Constant)
	}
	fn, _ := b.externs[name].(*btf.Func)
	_, weak := externOf(in)
	k := &prog.Kfunc{Name: name, Weak: weak}
	if fn != nil {
		k.Proto = b.c.types.Proto(fn)
	}
	b.out.Kfuncs[name] = k
	if b.out.Types == nil { // objects of them are made, or taken out of lists and trees
		b.out.Types = b.c.structs()
	}
	return nil
}

// structs returns all structs of the object's own types.
func (c *converter) structs() []*prog.BTFType {
	var list []*prog.BTFType
	if c.cs.Types == nil {
		return nil
	}
	for t := range c.cs.Types.All() {
		if _, ok := t.(*btf.Struct); ok {
			list = append(list, c.types.Convert(t))
		}
	}
	return list
}

// ksym makes the address of a kernel symbol a number where it can be: the user gave
// it, or the symbol may be missing and is. Whether a kernel function is missing is
// for the engines to say.
func (b *programBuilder) ksym(ins asm.Instruction, name string, weak bool) (asm.Instruction, error) {
	t := b.externs[name]
	_, isFunc := t.(*btf.Func)
	addr, given := b.c.opts.ksyms[name]
	if given || weak && !isFunc {
		return asm.LoadImm(ins.Dst, int64(addr)).WithSymbol(ins.Symbol()), nil
	}
	b.out.Ksyms[name] = &prog.Extern{Name: name, Type: b.c.types.Convert(t), Weak: weak}
	ins.Src, ins.Imm = asm.PseudoBTFID, 0
	return ins, nil
}
