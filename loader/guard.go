package loader

import (
	"cmp"
	"debug/elf"
	"slices"
	"sort"
)

// guard refuses what a reader would panic on, hang on or allocate without bound for.
// It accepts more than is right: to say what is wrong with the rest is the reader's
// part.
func (o *object) guard() error {
	if err := o.guardSections(); err != nil {
		return err
	}
	syms, err := o.symbols()
	if err != nil {
		return err
	}
	bySection := make([][]*symbol, len(o.sections))
	for i := range syms {
		s := &syms[i]
		if s.name == "" || s.typ() == elf.STT_SECTION || s.typ() == elf.STT_FILE || int(s.Shndx) >= len(o.sections) {
			continue
		}
		label := s.typ() == elf.STT_NOTYPE && s.bind() == elf.STB_LOCAL
		if !label || !o.sections[s.Shndx].isCode() {
			bySection[s.Shndx] = append(bySection[s.Shndx], s)
		}
	}
	for i := range o.sections {
		if s := &o.sections[i]; s.isCode() || s.isData() || s.isMaps() {
			slices.SortStableFunc(bySection[i], func(a, b *symbol) int { return cmp.Compare(a.Value, b.Value) })
			if err := s.guardSymbols(bySection[i]); err != nil {
				return err
			}
		}
	}
	if err := o.guardLinking(syms, bySection); err != nil {
		return err
	}
	return o.guardBTF()
}

func (o *object) guardSections() error {
	var code, zeroed uint64
	for i := range o.sections {
		s := &o.sections[i]
		typ := elf.SectionType(s.Type)
		switch {
		case elf.SectionFlag(s.Flags)&elf.SHF_COMPRESSED != 0:
			return unsupported("section", s.name, "is compressed")
		case s.isCode():
			code += s.Size
		case s.isData() && typ == elf.SHT_NOBITS:
			zeroed += min(s.Size, maxZeroed+1)
		case s.isMaps() && typ != elf.SHT_PROGBITS:
			return invalid("section", s.name, "map definitions have section type %v", typ)
		case typ == elf.SHT_REL && (s.Entsize != elfRelSize || s.Size%elfRelSize != 0):
			return invalid("section", s.name, "%d bytes of relocations, %d bytes each", s.Size, s.Entsize)
		}
	}
	if code > maxCode {
		return unsupported("", "", "object with more than %d bytes of code", maxCode)
	}
	if zeroed > maxZeroed {
		return unsupported("", "", "object with more than %d bytes of zeroed variables", maxZeroed)
	}
	return nil
}

// guardSymbols checks that symbols lie in their section and not on top of each other,
// except for several names of one thing.
func (s *section) guardSymbols(syms []*symbol) error {
	var start, end uint64
	for i, sym := range syms {
		if sym.Value > s.Size || sym.Size > s.Size-sym.Value {
			return invalid("section", s.name, "symbol %s at %d with %d bytes is not within the section's %d bytes", sym.name, sym.Value, sym.Size, s.Size)
		}
		if i > 0 && sym.Value < end && (sym.Value != start || sym.Value+sym.Size != end) && sym.Size > 0 {
			return invalid("section", s.name, "symbol %s at %d overlaps another", sym.name, sym.Value)
		}
		start, end = sym.Value, max(end, sym.Value+sym.Size)
	}
	return nil
}

// guardLinking bounds what it takes to give every program a copy of the functions
// that it calls. That any of them calls all others is assumed.
func (o *object) guardLinking(syms []symbol, bySection [][]*symbol) error {
	calls := make(map[[2]uint64]bool) // section and place of what refers to a function
	for i := range o.sections {
		rel := &o.sections[i]
		if elf.SectionType(rel.Type) != elf.SHT_REL || int64(rel.Info) >= int64(len(o.sections)) {
			continue
		}
		for b := rel.data; len(b) >= elfRelSize; b = b[elfRelSize:] {
			n := elf.R_SYM64(o.order.Uint64(b[8:]))
			if int64(n) >= int64(len(syms)) {
				return invalid("section", rel.name, "relocation to symbol %d of %d", n, len(syms))
			}
			if to := int(syms[n].Shndx); to < len(o.sections) && o.sections[to].isCode() {
				calls[[2]uint64{uint64(rel.Info), o.order.Uint64(b)}] = true
			}
		}
	}
	var all, callers uint64
	for i := range o.sections {
		if s := &o.sections[i]; s.isCode() {
			all += s.Size / 8
			callers += uint64(s.callers(bySection[i], func(off uint64) bool { return calls[[2]uint64{uint64(i), off}] }))
		}
	}
	if callers*all > maxLinked {
		return unsupported("", "", "%d programs that call functions, with %d instructions in all", callers, all)
	}
	return nil
}

// callers counts the functions that refer to another, through a relocation or not.
func (s *section) callers(funcs []*symbol, relocated func(off uint64) bool) int {
	found := make(map[uint64]bool)
	for off := uint64(0); off+8 <= uint64(len(s.data)); off += 8 {
		// The register fields of a call are 0x10 or, in big-endian order, 0x01.
		if call := s.data[off] == 0x85 && s.data[off+1] != 0; !call && !relocated(off) {
			continue
		}
		if i := sort.Search(len(funcs), func(i int) bool { return funcs[i].Value > off }); i > 0 {
			found[funcs[i-1].Value] = true
		}
	}
	return len(found)
}

// guardBTF bounds the types and the strings that .BTF and .BTF.ext spell out.
func (o *object) guardBTF() error {
	s := o.section(".BTF")
	switch {
	case s == nil && o.section(".maps") != nil:
		return invalid("section", ".maps", "BTF says what maps there are, and the object has none: compile it with clang -g")
	case s == nil:
		return nil
	}
	b, err := parseBTF(s.data, o.order)
	if err != nil {
		return err
	}
	types, budget, ok := 0, maxStrings, true
	spell := func(off uint32) {
		_, found := cString(b.strings, off, &budget)
		ok = ok && found
	}
	err = b.walk(func(t *rawType) {
		types++
		t.names(o.order, spell)
	})
	if err != nil {
		return err
	}
	if types > maxTypes {
		return unsupported("section", s.name, "%d types, at most %d are read", types, maxTypes)
	}
	if ext := o.section(".BTF.ext"); ext != nil {
		if err := extStrings(ext.data, o.order, spell); err != nil {
			return err
		}
	}
	if !ok {
		return invalid("section", s.name, "a name is missing, or names take more than %d bytes", maxStrings)
	}
	return nil
}
