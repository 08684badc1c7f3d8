package loader

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
)

// Limits on what an object may ask for. Each is far above what compilers and
// linkers make, and keeps a hostile file from costing more than some hundred
// megabytes.
const (
	maxFile    = 64 << 20 // bytes of a file
	maxCode    = 16 << 20 // bytes of all code sections
	maxZeroed  = 64 << 20 // bytes of .bss and its like, which take none in the file
	maxNames   = 16 << 20 // bytes of names of sections and symbols, spelled out
	maxStrings = 64 << 20 // bytes of names and lines in BTF, spelled out
	maxTypes   = 50_000   // BTF types: cilium/ebpf follows their references recursively, 2 KB of stack each
	maxLinked  = 8 << 20  // instructions of all programs with the functions they call
)

// object is an ELF file as far as it has to be known to judge whether debug/elf and
// cilium/ebpf may read it.
type object struct {
	data     []byte
	order    binary.ByteOrder
	sections []section
}

type section struct {
	name string
	elf.Section64
	data []byte // nil for NOBITS and NULL
}

// Sizes of the structures of a 64-bit ELF file.
const (
	elfHeaderSize  = 64
	elfSectionSize = 64
	elfSymbolSize  = elf.Sym64Size
	elfRelSize     = 16
)

// nativeOrder is the byte order of the host. Unlike binary.NativeEndian, it can be
// compared with what an object has.
var nativeOrder = func() binary.ByteOrder {
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return binary.BigEndian
	}
	return binary.LittleEndian
}()

// parseObject reads headers and sections. The data is the whole file.
func parseObject(data []byte) (*object, error) {
	switch {
	case len(data) > maxFile:
		return nil, unsupported("", "", "object of more than %d bytes", maxFile)
	case len(data) < elfHeaderSize || string(data[:4]) != elf.ELFMAG:
		return nil, invalid("", "", "not an ELF file")
	case elf.Class(data[elf.EI_CLASS]) != elf.ELFCLASS64:
		return nil, unsupported("", "", "%v ELF file: objects of BPF programs have 64 bits", elf.Class(data[elf.EI_CLASS]))
	}
	o := &object{data: data}
	switch elf.Data(data[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		o.order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		o.order = binary.BigEndian
	default:
		return nil, invalid("", "", "no byte order: EI_DATA is %d", data[elf.EI_DATA])
	}
	var h elf.Header64
	if _, err := binary.Decode(data, o.order, &h); err != nil {
		return nil, err
	}
	if m := elf.Machine(h.Machine); m != elf.EM_BPF && m != elf.EM_NONE {
		return nil, invalid("", "", "machine is %v, not BPF", m)
	}
	if err := checkByteOrder(o.order); err != nil {
		return nil, err
	}
	return o, o.readSections(&h)
}

// checkByteOrder refuses programs that were compiled for the other byte order:
// contexts, packets and map values have the host's.
func checkByteOrder(order binary.ByteOrder) error {
	if order == nativeOrder {
		return nil
	}
	kind, fits, target := "little-endian", "amd64, arm64 or riscv64", "bpfel"
	if order == binary.BigEndian {
		kind, fits, target = "big-endian", "s390x or ppc64", "bpfeb"
	}
	return &Error{"", "", fmt.Sprintf("a %s object (clang -target %s) fits GOARCH %s, not %s", kind, target, fits, runtime.GOARCH), ErrByteOrder}
}

func (o *object) readSections(h *elf.Header64) error {
	end := h.Shoff + uint64(h.Shnum)*elfSectionSize
	if h.Shoff < elfHeaderSize || end < h.Shoff || end > uint64(len(o.data)) || h.Shentsize != elfSectionSize || h.Shnum == 0 {
		return invalid("", "", "section table at %#x with %d entries of %d bytes is not within the file's %#x bytes",
			h.Shoff, h.Shnum, h.Shentsize, len(o.data))
	}
	var total uint64
	for i := range int(h.Shnum) {
		var s section
		if _, err := binary.Decode(o.data[int(h.Shoff)+i*elfSectionSize:], o.order, &s.Section64); err != nil {
			return err
		}
		if typ := elf.SectionType(s.Type); typ != elf.SHT_NOBITS && typ != elf.SHT_NULL {
			if s.Off > uint64(len(o.data)) || s.Size > uint64(len(o.data))-s.Off {
				return invalid("section", "", "number %d at %#x with %#x bytes is not within the file's %#x bytes", i, s.Off, s.Size, len(o.data))
			}
			s.data = o.data[s.Off : s.Off+s.Size : s.Off+s.Size]
			total += s.Size
		}
		o.sections = append(o.sections, s)
	}
	if total > uint64(len(o.data)) {
		return invalid("", "", "sections overlap: they have %d bytes, the file %d", total, len(o.data))
	}
	if int(h.Shstrndx) >= len(o.sections) {
		return invalid("", "", "section names are in section %d of %d", h.Shstrndx, len(o.sections))
	}
	budget := maxNames
	for i := range o.sections {
		s := &o.sections[i]
		name, ok := cString(o.sections[h.Shstrndx].data, s.Name, &budget)
		if !ok {
			return invalid("section", "", "number %d has no name, or names take more than %d bytes", i, maxNames)
		}
		s.name = name
	}
	return nil
}

// cString returns the string at off of a string table, and takes its length from
// the budget.
func cString(table []byte, off uint32, budget *int) (string, bool) {
	if uint64(off) > uint64(len(table)) {
		return "", false
	}
	n := bytes.IndexByte(table[off:min(uint64(len(table)), uint64(off)+uint64(*budget)+1)], 0)
	if n < 0 {
		return "", off == 0 && len(table) == 0
	}
	*budget -= n
	return string(table[off : int(off)+n]), true
}

// section returns the section of that name, nil if there is none.
func (o *object) section(name string) *section {
	for i := range o.sections {
		if o.sections[i].name == name {
			return &o.sections[i]
		}
	}
	return nil
}

// symbol is an entry of the symbol table.
type symbol struct {
	elf.Sym64
	name string
	at   int // offset in the file
}

func (s *symbol) typ() elf.SymType  { return elf.ST_TYPE(s.Info) }
func (s *symbol) bind() elf.SymBind { return elf.ST_BIND(s.Info) }

// symbols reads the symbol table, entry 0 included.
func (o *object) symbols() ([]symbol, error) {
	var table *section
	for i := range o.sections {
		if elf.SectionType(o.sections[i].Type) == elf.SHT_SYMTAB {
			table = &o.sections[i]
			break // debug/elf reads the first, too
		}
	}
	if table == nil {
		return nil, invalid("", "", "no symbol table")
	}
	if int64(table.Link) >= int64(len(o.sections)) || len(table.data)%elfSymbolSize != 0 {
		return nil, invalid("section", table.name, "symbol table has %d bytes and its names in section %d of %d",
			len(table.data), table.Link, len(o.sections))
	}
	names := o.sections[table.Link].data
	budget := maxNames
	syms := make([]symbol, len(table.data)/elfSymbolSize)
	for i := range syms {
		s := &syms[i]
		s.at = int(table.Off) + i*elfSymbolSize
		if _, err := binary.Decode(table.data[i*elfSymbolSize:], o.order, &s.Sym64); err != nil {
			return nil, err
		}
		var ok bool
		if s.name, ok = cString(names, s.Name, &budget); !ok {
			return nil, invalid("section", table.name, "symbol %d has no name, or names take more than %d bytes", i, maxNames)
		}
	}
	return syms, nil
}

// What cilium/ebpf takes a section for.
func (s *section) isCode() bool {
	return elf.SectionType(s.Type) == elf.SHT_PROGBITS && elf.SectionFlag(s.Flags)&elf.SHF_EXECINSTR != 0
}

func (s *section) isData() bool {
	return s.name == ".bss" || strings.HasPrefix(s.name, ".data") || strings.HasPrefix(s.name, ".rodata")
}

func (s *section) isMaps() bool { return s.name == ".maps" || strings.HasPrefix(s.name, "maps") }
