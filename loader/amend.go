package loader

import (
	"bytes"
	"debug/elf"
	"slices"

	"github.com/cilium/ebpf/btf"
)

// externs is what an object says of its externs that cilium/ebpf does not tell.
type externs struct {
	weakKconfig map[string]bool
	ksymTypes   map[string]btf.Type // of typed __ksym variables
}

// amend returns the object's bytes with what cilium/ebpf refuses to read, though
// libbpf takes it, put in terms that it knows: weak __kconfig variables become
// strong, and __ksym variables with a type lose it.
func (o *object) amend() (*externs, []byte, error) {
	ext := &externs{weakKconfig: make(map[string]bool), ksymTypes: make(map[string]btf.Type)}
	s := o.section(".BTF")
	if s == nil {
		return ext, o.data, nil
	}
	out := &object{data: slices.Clone(o.data), order: o.order}
	b, err := parseBTF(out.data[s.Off:s.Off+s.Size], o.order)
	if err != nil {
		return nil, nil, err
	}
	kconfig, ksyms, err := b.externVars()
	if err != nil {
		return nil, nil, err
	}
	if err := out.strengthen(o, kconfig, ext); err != nil {
		return nil, nil, err
	}
	if len(ksyms) == 0 {
		return ext, out.data, nil
	}
	types, err := btf.LoadSpecFromReader(bytes.NewReader(o.data))
	if err != nil {
		return nil, nil, unreadable(err)
	}
	for _, t := range ksyms {
		typ, err := types.TypeByID(btf.TypeID(t.id))
		if err != nil {
			return nil, nil, unreadable(err)
		}
		if v, ok := typ.(*btf.Var); ok {
			ext.ksymTypes[v.Name] = v.Type
		}
		o.order.PutUint32(t.rec[8:], 0)
	}
	return ext, out.data, nil
}

// strengthen makes the undefined symbols of those names global in the copy.
func (out *object) strengthen(o *object, names map[string]bool, ext *externs) error {
	if len(names) == 0 {
		return nil
	}
	syms, err := o.symbols()
	if err != nil {
		return err
	}
	for _, sym := range syms {
		if names[sym.name] && sym.bind() == elf.STB_WEAK && elf.SectionIndex(sym.Shndx) == elf.SHN_UNDEF {
			ext.weakKconfig[sym.name] = true
			out.data[sym.at+4] = elf.ST_INFO(elf.STB_GLOBAL, sym.typ())
		}
	}
	return nil
}

// externVars finds the names of the variables of .kconfig and the records of those
// of .ksyms that have a type.
func (b *rawBTF) externVars() (kconfig map[string]bool, ksyms []*rawType, err error) {
	in := make(map[uint32]string) // the section of a variable
	err = b.walk(func(t *rawType) {
		if t.kind != kindDatasec {
			return
		}
		if name := b.name(t); name == ".kconfig" || name == ".ksyms" {
			for _, m := range t.members() {
				in[b.order.Uint32(m)] = name
			}
		}
	})
	if err != nil {
		return nil, nil, err
	}
	kconfig = make(map[string]bool)
	err = b.walk(func(t *rawType) {
		switch {
		case t.kind != kindVar:
		case in[t.id] == ".kconfig":
			kconfig[b.name(t)] = true
		case in[t.id] == ".ksyms" && b.order.Uint32(t.rec[8:]) != 0:
			ksyms = append(ksyms, t)
		}
	})
	return kconfig, ksyms, err
}
