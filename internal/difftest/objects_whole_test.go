package difftest

import (
	"debug/elf"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/kernel"
	"github.com/sandbpf/sandbpf/loader"
)

// wholeBTF are objects whose maps and programs must share types: an owned object that a program
// puts into a map, or into a list in one, is of a type that both know. cilium/ebpf loads the
// types of each map and program by themselves (and does not encode addr_space_cast as it was
// read), so that such objects are loaded here: with the
// object's whole BTF, as libbpf does.
var wholeBTF = []string{"owned.o", "arena.o"}

// wholeObject is an object that is loaded so.
type wholeObject struct {
	spec *ebpf.CollectionSpec
	ours *sandbpf.CollectionSpec
	btf  []byte
	maps map[string]*ebpf.Map
}

// askWholeObject is askObject for objects of wholeBTF.
func askWholeObject(t *testing.T, path string) map[string]objectAnswer {
	o := &wholeObject{maps: make(map[string]*ebpf.Map)}
	var err error
	o.spec, err = ebpf.LoadCollectionSpec(path)
	require.NoError(t, err)
	o.ours, err = loader.LoadSpec(path, loader.WithLinuxTypes())
	require.NoError(t, err)
	o.btf = kernelReadyBTF(t, path)
	for name, m := range o.spec.Maps {
		o.maps[name] = o.makeMap(t, m)
	}
	out := make(map[string]objectAnswer)
	for name := range o.spec.Programs {
		out[name] = o.ask(t, name)
	}
	for _, m := range o.maps {
		require.NoError(t, m.Close())
	}
	return out
}

func (o *wholeObject) makeMap(t *testing.T, m *ebpf.MapSpec) *ebpf.Map {
	spec := kernel.Map{Type: m.Type, KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries, Flags: m.Flags, Extra: m.MapExtra}
	if m.Value != nil {
		spec.BTF, spec.BTFValue = o.btf, uint32(o.typeID(t, m.Value))
		if _, void := m.Key.(*btf.Void); m.Key != nil && !void {
			spec.BTFKey = uint32(o.typeID(t, m.Key))
		}
	}
	live, err := kernel.NewMap(spec)
	require.NoError(t, err, m.Name)
	return live
}

func (o *wholeObject) typeID(t *testing.T, typ btf.Type) btf.TypeID {
	if ds, ok := typ.(*btf.Datasec); ok { // which is a copy
		require.NoError(t, o.spec.Types.TypeByName(ds.Name, &ds))
		typ = ds
	}
	id, err := o.spec.Types.TypeID(typ)
	require.NoError(t, err)
	return id
}

// ask asks about one program.
func (o *wholeObject) ask(t *testing.T, name string) objectAnswer {
	theirs, ours := o.spec.Programs[name], o.ours.Programs[name]
	p := kernel.Prog{Type: theirs.Type, AttachType: theirs.AttachType, License: theirs.License, Flags: theirs.Flags,
		BTF: o.btf, LogLevel: logFigures}
	if theirs.AttachType == ebpf.AttachTraceRawTp {
		p.AttachBTF = uint32(kernelTypeID[*btf.Typedef](t, "btf_trace_"+theirs.AttachTo))
	}
	insns, err := ours.Instructions.Resolve()
	require.NoError(t, err)
	for i := range insns {
		o.refer(t, &insns[i], &p)
	}
	p.Insns, err = insns.Encode(binary.LittleEndian)
	require.NoError(t, err)
	for it := theirs.Instructions.Iterate(); it.Next(); {
		if fn := btf.FuncMetadata(it.Ins); fn != nil && it.Ins.Symbol() != "" {
			p.FuncInfo = binary.LittleEndian.AppendUint32(p.FuncInfo, uint32(it.Offset))
			p.FuncInfo = binary.LittleEndian.AppendUint32(p.FuncInfo, uint32(o.typeID(t, fn)))
		}
	}
	l, err := kernel.Load(p)
	require.NoError(t, err)
	defer l.Close()
	if l.Accepted() {
		return objectAnswer{Processed: l.Stats.Insns}
	}
	return objectAnswer{Errno: int(l.Errno), Reason: lastMessage(l.Log), Processed: l.Stats.Insns}
}

// refer makes the name that an instruction refers to a number.
func (o *wholeObject) refer(t *testing.T, ins *asm.Instruction, p *kernel.Prog) {
	name := ins.Reference()
	switch {
	case ins.Kind() == asm.KindCallKfunc:
		ins.Imm = int64(kernelTypeID[*btf.Func](t, name))
	case o.maps[name] != nil:
		i := slices.Index(p.Maps, o.maps[name])
		if i < 0 {
			i, p.Maps = len(p.Maps), append(p.Maps, o.maps[name])
		}
		ins.Imm = ins.Imm>>32<<32 | int64(i)
	default:
		return
	}
	*ins = ins.WithReference("")
}

func kernelTypeID[T btf.Type](t *testing.T, name string) btf.TypeID {
	spec, err := kernelTypes()
	require.NoError(t, err)
	var typ T
	require.NoError(t, spec.TypeByName(name, &typ))
	id, err := spec.TypeID(typ)
	require.NoError(t, err)
	return id
}

// kernelReadyBTF returns the BTF of an object with what compilers leave to loaders: sizes of
// sections and offsets of variables. Kernels do not know
// external functions: their section becomes a struct.
func kernelReadyBTF(t *testing.T, path string) []byte {
	file, err := elf.Open(path)
	require.NoError(t, err)
	defer file.Close()
	raw, err := file.Section(".BTF").Data()
	require.NoError(t, err)
	symbols, err := file.Symbols()
	require.NoError(t, err)
	offsets := make(map[string]uint32)
	for _, s := range symbols {
		offsets[s.Name] = uint32(s.Value)
	}
	le := binary.LittleEndian
	types := raw[24+le.Uint32(raw[8:]):][:le.Uint32(raw[12:])]
	text := raw[24+le.Uint32(raw[16:]):]
	name := func(rec []byte) string {
		s, _, _ := strings.Cut(string(text[le.Uint32(rec):]), "\x00")
		return s
	}
	records := [][]byte{nil}
	number := uint32(0) // the id of an integer
	for len(types) > 0 {
		n := 12 + bodySize(types)
		if types[7]&31 == 1 {
			number = uint32(len(records))
		}
		records = append(records, types[:n])
		types = types[n:]
	}
	for _, rec := range records[1:] {
		if rec[7]&31 == 12 && rec[4] == 2 { // a function that is extern becomes a pointer to its prototype
			le.PutUint32(rec, 0)
			rec[4], rec[7] = 0, 2
		}
		if rec[7]&31 != 15 { // a section
			continue
		}
		section := file.Section(name(rec))
		if section == nil { // .ksyms
			rec[7] = 4
			le.PutUint32(rec, 0)
			le.PutUint32(rec[8:], 4)
		} else {
			le.PutUint32(rec[8:], uint32(section.Size))
		}
		for v := rec[12:]; len(v) > 0; v = v[12:] {
			if section == nil {
				le.PutUint32(v, 0)
				le.PutUint32(v[4:], number)
				le.PutUint32(v[8:], 0)
				continue
			}
			le.PutUint32(v[4:], offsets[name(records[le.Uint32(v)])])
		}
		if section != nil {
			sortVars(rec[12:])
		}
	}
	return raw
}

// bodySize is how many bytes a record has behind its three words.
func bodySize(rec []byte) int {
	n := int(binary.LittleEndian.Uint16(rec[4:]))
	switch kind := rec[7] & 31; kind {
	case 1, 14, 17:
		return 4
	case 3:
		return 12
	case 4, 5, 15, 19:
		return 12 * n
	case 6, 13:
		return 8 * n
	case 2, 7, 8, 9, 10, 11, 12, 16, 18:
		return 0
	default:
		panic(fmt.Sprint("BTF of kind ", kind))
	}
}

// sortVars sorts the variables of a section by offset.
func sortVars(b []byte) {
	vars := slices.Collect(slices.Chunk(slices.Clone(b), 12))
	slices.SortFunc(vars, func(x, y []byte) int {
		return int(binary.LittleEndian.Uint32(x[4:])) - int(binary.LittleEndian.Uint32(y[4:]))
	})
	copy(b, slices.Concat(vars...))
}
