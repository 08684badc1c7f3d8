package loader

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf/asm"
)

// objects returns every object of the repository, by path.
func objects(t testing.TB) map[string][]byte {
	t.Helper()
	out := make(map[string][]byte)
	for _, pattern := range []string{"testdata/*.o", "../testdata/elf/*.o", "../testdata/bench/*.o", "../testdata/bench/holdout/*.o", "../testdata/bench/fresh/*.o", "../testdata/bench/kernels/*.o", "../testdata/examples/*.o"} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, path := range paths {
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			out[path] = b
		}
	}
	return out
}

func TestEveryObjectLoads(t *testing.T) {
	n := 0
	for path, b := range objects(t) {
		spec, err := LoadSpecFromReader(bytes.NewReader(b), WithKconfig(kconfigValues))
		if elf.Data(b[elf.EI_DATA]) == elf.ELFDATA2LSB != (nativeOrder == binary.LittleEndian) {
			require.ErrorIs(t, err, ErrByteOrder, path)
			continue
		}
		require.NoError(t, err, path)
		n++
		for name, p := range spec.Programs {
			require.NotEmpty(t, p.Instructions, "%s %s", path, name)
			require.NoError(t, p.Instructions.Validate(), "%s %s", path, name)
			require.Equal(t, name, p.Instructions[0].Symbol())
			if !strings.Contains(path, "legacy") {
				require.NotEmpty(t, p.Lines, "%s %s", path, name)
				require.NotNil(t, p.Funcs[name], "%s %s", path, name)
				require.NotNil(t, p.Funcs[name].Proto, "%s %s", path, name)
			}
		}
	}
	require.NotZero(t, n)
}

// file is an ELF file to be written.
type file struct {
	sections []fileSection
	raw      func(h *elf.Header64)
}

type fileSection struct {
	name string
	elf.Section64
	data []byte
}

// bytes lays out header, sections, section names and section table. A section's size
// is that of its data unless it is set.
func (f *file) bytes() []byte {
	var names, body, table bytes.Buffer
	sections := append([]fileSection{{}}, f.sections...)
	sections = append(sections, fileSection{name: ".shstrtab", Section64: elf.Section64{Type: uint32(elf.SHT_STRTAB)}})
	for i := range sections {
		s := &sections[i]
		s.Name = uint32(names.Len())
		names.WriteString(s.name + "\x00")
		if i == len(sections)-1 {
			s.data = names.Bytes()
		}
		s.Off = uint64(elfHeaderSize + body.Len())
		if s.Size == 0 {
			s.Size = uint64(len(s.data))
		}
		body.Write(s.data)
		_ = binary.Write(&table, nativeOrder, s.Section64)
	}
	h := elf.Header64{Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_BPF), Version: 1, Ehsize: elfHeaderSize,
		Shoff: uint64(elfHeaderSize + body.Len()), Shentsize: elfSectionSize, Shnum: uint16(len(sections)), Shstrndx: uint16(len(sections) - 1)}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_VERSION], h.Ident[elf.EI_DATA] = byte(elf.ELFCLASS64), 1, byte(elf.ELFDATA2LSB)
	if nativeOrder == binary.BigEndian {
		h.Ident[elf.EI_DATA] = byte(elf.ELFDATA2MSB)
	}
	if f.raw != nil {
		f.raw(&h)
	}
	var out bytes.Buffer
	_ = binary.Write(&out, nativeOrder, h)
	out.Write(body.Bytes())
	out.Write(table.Bytes())
	return out.Bytes()
}

var exit = []byte{0x95, 0, 0, 0, 0, 0, 0, 0}

func codeSection(name string, data []byte) fileSection {
	return fileSection{name: name, data: data, Section64: elf.Section64{Type: uint32(elf.SHT_PROGBITS), Flags: uint64(elf.SHF_EXECINSTR | elf.SHF_ALLOC)}}
}

func dataSection(name string, typ elf.SectionType, size uint64, data []byte) fileSection {
	return fileSection{name: name, data: data, Section64: elf.Section64{Type: uint32(typ), Size: size, Flags: uint64(elf.SHF_ALLOC | elf.SHF_WRITE)}}
}

// symtab makes the sections .symtab and .strtab; at is the index that the first will
// have.
func symtab(at int, names []string, syms ...elf.Sym64) []fileSection {
	var table, strs bytes.Buffer
	strs.WriteByte(0)
	_ = binary.Write(&table, nativeOrder, elf.Sym64{})
	for i, s := range syms {
		if i < len(names) {
			s.Name = uint32(strs.Len())
			strs.WriteString(names[i] + "\x00")
		}
		_ = binary.Write(&table, nativeOrder, s)
	}
	return []fileSection{
		{name: ".symtab", data: table.Bytes(), Section64: elf.Section64{Type: uint32(elf.SHT_SYMTAB), Link: uint32(at + 1), Entsize: elfSymbolSize}},
		{name: ".strtab", data: strs.Bytes(), Section64: elf.Section64{Type: uint32(elf.SHT_STRTAB)}},
	}
}

func function(section uint16, value, size uint64) elf.Sym64 {
	return elf.Sym64{Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC), Shndx: section, Value: value, Size: size}
}

func variableSymbol(section uint16, value, size uint64) elf.Sym64 {
	return elf.Sym64{Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_OBJECT), Shndx: section, Value: value, Size: size}
}

// constChain is BTF of n types, each a const of the next and the last of one of the given
// ID, the first of which is the type of a variable in the section .ksyms.
func constChain(n int, last uint32) []byte {
	var types bytes.Buffer
	put := func(words ...uint32) { _ = binary.Write(&types, nativeOrder, words) }
	for i := range n - 1 {
		put(0, 10<<24, uint32(i+2))
	}
	put(0, 10<<24, last)
	put(1, uint32(kindVar)<<24, 1, 2)
	put(3, uint32(kindDatasec)<<24|1, 0, uint32(n+1), 0, 0)
	strs := "\x00v\x00.ksyms\x00"
	var b bytes.Buffer
	_ = binary.Write(&b, nativeOrder, struct {
		Magic          uint16
		Version, Flags uint8
		Rest           [5]uint32
	}{0xeb9f, 1, 0, [5]uint32{24, 0, uint32(types.Len()), uint32(types.Len()), uint32(len(strs))}})
	b.Write(types.Bytes())
	b.WriteString(strs)
	return b.Bytes()
}

// TestHostileObjects tries what costs a reader that trusts an object dearly. Each is an
// error, soon and without much memory.
func TestHostileObjects(t *testing.T) {
	program := codeSection("xdp", exit)
	one := []string{"f"}
	with := func(sections ...fileSection) *file { return &file{sections: sections} }
	header := func(f func(h *elf.Header64)) *file { return &file{sections: []fileSection{program}, raw: f} }
	data := func(typ elf.SectionType, size uint64, b []byte, syms ...elf.Sym64) *file {
		return with(append([]fileSection{dataSection(".data", typ, size, b)}, symtab(2, []string{"a", "b", "c"}, syms...)...)...)
	}
	long := strings.Repeat("x", 1<<20)
	manyNames := symtab(2, []string{long}, make([]elf.Sym64, 100_000)...)
	for i := range 100_000 {
		nativeOrder.PutUint32(manyNames[0].data[(i+1)*elfSymbolSize:], uint32(1+i))
	}
	calls := make([]byte, 0, 100_000*16)
	callSyms := make([]elf.Sym64, 0, 20_000)
	callNames := make([]string, 0, 20_000)
	for i := range 20_000 {
		callSyms = append(callSyms, function(1, uint64(len(calls)), 16))
		callNames = append(callNames, "f"+strings.Repeat("i", i%7)+string(rune('a'+i%26)))
		calls = append(calls, 0x85, 0x11, 0, 0, 0xff, 0xff, 0xff, 0xff)
		calls = append(calls, exit...)
	}
	compressed := program
	compressed.Flags |= uint64(elf.SHF_COMPRESSED)
	rel := func(entsize uint64, b []byte) fileSection {
		return fileSection{name: ".relxdp", data: b, Section64: elf.Section64{Type: uint32(elf.SHT_REL), Info: 1, Link: 2, Entsize: entsize}}
	}
	btf := func(b []byte) *file {
		return with(append([]fileSection{program, {name: ".BTF", data: b, Section64: elf.Section64{Type: uint32(elf.SHT_PROGBITS)}}},
			symtab(3, one, function(1, 0, 8))...)...)
	}
	overlap := program
	overlap.Off = elfHeaderSize
	for _, c := range []struct {
		name string
		file *file
		want string
	}{
		{"no section table", header(func(h *elf.Header64) { h.Shnum = 0 }), "section table"},
		{"section table outside", header(func(h *elf.Header64) { h.Shoff = 1 << 40 }), "section table"},
		{"section table wraps", header(func(h *elf.Header64) { h.Shoff = 1<<64 - 64 }), "section table"},
		{"size of entries", header(func(h *elf.Header64) { h.Shentsize = 40 }), "section table"},
		{"no names", header(func(h *elf.Header64) { h.Shstrndx = 77 }), "section names are in section 77"},
		{"32 bits", header(func(h *elf.Header64) { h.Ident[elf.EI_CLASS] = 1 }), "ELFCLASS32"},
		{"no byte order", header(func(h *elf.Header64) { h.Ident[elf.EI_DATA] = 9 }), "no byte order: EI_DATA is 9"},
		{"machine", header(func(h *elf.Header64) { h.Machine = uint16(elf.EM_X86_64) }), "machine is EM_X86_64"},
		{"no symbols", with(program), "no symbol table"},
		{"section outside", data(elf.SHT_PROGBITS, 1<<40, nil), "is not within the file's"},
		{"section wraps", data(elf.SHT_PROGBITS, 1<<64-1, nil), "is not within the file's"},
		{"zeroed terabyte", data(elf.SHT_NOBITS, 1<<40, nil), "more than 67108864 bytes of zeroed variables"},
		{"zeroed 4 gigabytes", data(elf.SHT_NOBITS, 1<<32-1, nil), "more than 67108864 bytes of zeroed variables"},
		{"variable outside", data(elf.SHT_PROGBITS, 0, make([]byte, 8), variableSymbol(1, 4, 5)), "symbol a at 4 with 5 bytes is not within the section's 8"},
		{"variable wraps", data(elf.SHT_PROGBITS, 0, make([]byte, 8), variableSymbol(1, 4, 1<<64-4)), "symbol a at 4"},
		{"variables overlap", data(elf.SHT_PROGBITS, 0, make([]byte, 8), variableSymbol(1, 0, 8), variableSymbol(1, 1, 7)), "symbol b at 1 overlaps another"},
		{"variables nest", data(elf.SHT_PROGBITS, 0, make([]byte, 8), variableSymbol(1, 0, 8), variableSymbol(1, 2, 2), variableSymbol(1, 4, 4)), "overlaps another"},
		{"compressed", with(append([]fileSection{compressed}, symtab(2, one, function(1, 0, 8))...)...), "section xdp: is compressed"},
		{"functions overlap", with(append([]fileSection{codeSection("xdp", append(exit, exit...))}, symtab(2, []string{"f", "g"}, function(1, 0, 16), function(1, 8, 8))...)...), "symbol g at 8 overlaps"},
		{"maps without bytes", with(append([]fileSection{dataSection(".maps", elf.SHT_NOBITS, 1<<32-1, nil)}, symtab(2, one, variableSymbol(1, 0, 1<<32-1))...)...), "map definitions have section type SHT_NOBITS"},
		{"maps without types", with(append([]fileSection{dataSection(".maps", elf.SHT_PROGBITS, 0, make([]byte, 8))}, symtab(2, one, variableSymbol(1, 0, 8))...)...), "compile it with clang -g"},
		{"relocations", with(append([]fileSection{program, rel(1<<63, make([]byte, 16))}, symtab(3, one, function(1, 0, 8))...)...), "section .relxdp: 16 bytes of relocations"},
		{"relocation to nothing", with(append([]fileSection{program, rel(16, bytes.Repeat([]byte{0xff}, 16))}, symtab(3, one, function(1, 0, 8))...)...), "relocation to symbol 4294967295 of 2"},
		{"names share bytes", with(append([]fileSection{program}, manyNames...)...), "names take more than 16777216 bytes"},
		{"everything calls everything", with(append([]fileSection{codeSection("xdp", calls)}, symtab(2, callNames, callSyms...)...)...), "20000 programs that call functions, with 40000 instructions in all"},
		{"too many types", btf(constChain(maxTypes, 0)), "50002 types, at most 50000 are read"},
		{"no BTF header", btf([]byte{1, 2, 3}), "section .BTF: no header in 3 bytes"},
		{"type cut off", btf(append(constChain(1, 0)[:24:24], make([]byte, 24)...)), "section .BTF: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.file.bytes()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := LoadSpecFromReader(bytes.NewReader(b))
			elapsed := time.Since(start)
			runtime.ReadMemStats(&after)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), "panicked")
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(128<<20))
			require.Less(t, elapsed, 5*time.Second)
		})
	}
}

// TestLongTypeChain has as many types refer to each other as are let through. The reader
// that follows them does so recursively: if its stack overflows, the test dies.
func TestLongTypeChain(t *testing.T) {
	const n = maxTypes - 2
	for _, c := range []struct {
		name string
		last uint32
		want string
	}{{"void", 0, ""}, {"cycle", 1, ""}, {"missing", 1 << 20, "type id 1048576: not found"}} {
		t.Run(c.name, func(t *testing.T) {
			f := file{sections: append([]fileSection{codeSection("xdp", exit),
				{name: ".BTF", data: constChain(n, c.last), Section64: elf.Section64{Type: uint32(elf.SHT_PROGBITS)}}},
				symtab(3, []string{"f"}, function(1, 0, 8))...)}
			_, err := LoadSpecFromReader(bytes.NewReader(f.bytes()))
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestTooLargeFile(t *testing.T) {
	_, err := LoadSpecFromReader(bytes.NewReader(make([]byte, maxFile+1)))
	require.ErrorContains(t, err, "object of more than 67108864 bytes")
}

// TestCutObjects loads every beginning of an object. Only with its last byte is it one.
func TestCutObjects(t *testing.T) {
	for path, b := range objects(t) {
		step := 1 + len(b)/400
		for n := 0; n < len(b); n += step {
			spec, err := LoadSpecFromReader(bytes.NewReader(b[:n]))
			require.Error(t, err, "%s, %d bytes", path, n)
			require.Nil(t, spec)
			require.NotContains(t, err.Error(), "panicked")
		}
	}
}

// TestChangedObjects changes single bytes. Whatever comes of it, it is no panic.
func TestChangedObjects(t *testing.T) {
	for path, b := range objects(t) {
		if !strings.HasPrefix(path, "testdata") || strings.Contains(path, "sections") {
			continue
		}
		for at := 0; at < len(b); at += 7 {
			changed := bytes.Clone(b)
			changed[at] ^= byte(1 << (at % 8))
			spec, err := LoadSpecFromReader(bytes.NewReader(changed), WithKconfig(kconfigValues))
			if err != nil {
				require.Nil(t, spec)
				require.NotContains(t, err.Error(), "panicked", "%s, byte %d", path, at)
				require.True(t, errors.Is(err, ErrInvalid) || errors.Is(err, ErrNotSupported) || errors.Is(err, ErrByteOrder) ||
					errors.Is(err, asm.ErrInvalidInstruction), "%s, byte %d: %v", path, at, err)
			}
		}
	}
}

// FuzzLoadSpec takes any bytes for an object. A spec that comes out holds together.
func FuzzLoadSpec(f *testing.F) {
	for _, b := range objects(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		spec, err := LoadSpecFromReader(bytes.NewReader(b), WithKconfig(kconfigValues))
		if err != nil {
			require.Nil(t, spec)
			return
		}
		for name, v := range spec.Variables {
			require.Len(t, v.Value, int(v.Size), name)
			require.LessOrEqual(t, uint64(v.Off)+uint64(v.Size), uint64(spec.Maps[v.Map].ValueSize))
		}
		for name, p := range spec.Programs {
			require.NotEmpty(t, p.Instructions, name)
			for _, line := range p.Lines {
				require.Less(t, line.Slot, p.Instructions.Slots())
			}
		}
	})
}
