package difftest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/btftype"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/verifier"
)

// Sizes of the records of the UAPI: struct bpf_func_info and bpf_line_info.
const (
	funcInfoSize  = 8
	lineInfoSize  = 16
	maxRecordSize = 252
)

// types is a BTF blob.
type types struct {
	raw     []byte
	strings []byte
	spec    *btf.Spec // nil if there is none
	conv    *btftype.Converter
}

// newTypes reads a BTF blob, which may be empty.
func newTypes(raw []byte) (*types, error) {
	t := &types{raw: raw}
	if len(raw) == 0 {
		return t, nil
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	t.spec, t.conv = spec, btftype.New(spec)
	t.strings = stringTable(raw)
	return t, nil
}

// stringTable returns the strings of a blob that has been read: struct btf_header says
// where they are.
func stringTable(raw []byte) []byte {
	le := binary.LittleEndian
	start := uint64(le.Uint32(raw[4:])) + uint64(le.Uint32(raw[16:]))
	return raw[start : start+uint64(le.Uint32(raw[20:]))]
}

// text returns the string at an offset.
func (t *types) text(off uint32) (string, bool) {
	if uint64(off) >= uint64(len(t.strings)) {
		return "", false
	}
	s, _, ok := bytes.Cut(t.strings[off:], []byte{0})
	return string(s), ok
}

func (t *types) byID(id uint32) (btf.Type, error) {
	if t.spec == nil {
		return nil, fmt.Errorf("type %d: there is no BTF", id)
	}
	return t.spec.TypeByID(btf.TypeID(id))
}

// structs returns all structs.
func (t *types) structs() []*prog.BTFType {
	if t.spec == nil {
		return nil
	}
	var list []*prog.BTFType
	for typ := range t.spec.All() {
		if _, ok := typ.(*btf.Struct); ok {
			list = append(list, t.conv.Convert(typ))
		}
	}
	return list
}

// refusal is what Linux says of wrong func_info or line_info.
func refusal(insn int, format string, args ...any) *verifier.Error {
	const einval = 22
	return &verifier.Error{Code: verifier.CodeBTF, Errno: einval, Insn: insn, Reason: fmt.Sprintf(format, args...)}
}

// check looks at the shape of the records (check_btf_func_early, check_btf_line).
func (r *Records) check(name string, size int, t *types) *verifier.Error {
	switch {
	case r.Size < size || r.Size > maxRecordSize || r.Size%4 != 0:
		return refusal(-1, "records of %s are %d bytes long", name, r.Size)
	case len(r.Hex) < r.Count*r.Size:
		return refusal(-1, "%s is shorter than its %d records", name, r.Count)
	case t.spec == nil:
		return refusal(-1, "%s without BTF", name)
	}
	return nil
}

// word returns a field of a record.
func (r *Records) word(record, field int) uint32 {
	return binary.LittleEndian.Uint32(r.Hex[record*r.Size+field*4:])
}

// funcStarts are the slots at which Linux sees a function start (add_subprog_and_kfunc).
func funcStarts(insns []asm.Instruction) []int {
	starts := map[int]bool{0: true}
	for slot, ins := range insns {
		off, ok := ins.JumpOffset()
		if kind := ins.Kind(); ok && (kind == asm.KindCallLocal || kind == asm.KindLoadImm64) {
			starts[slot+1+int(off)] = true
		}
	}
	var list []int
	for slot := range starts {
		list = append(list, slot)
	}
	sort.Ints(list)
	return list
}

// starts is funcStarts with the exception callback, which nothing need call.
func (s *Subject) starts() []int {
	list := funcStarts(s.Prog.Insns)
	for _, f := range s.Prog.Funcs {
		if f.Exception {
			list = append(list, f.Start)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// addFuncInfo makes functions of func_info, or a refusal.
func (s *Subject) addFuncInfo(c *Case, t *types) {
	r := c.FuncInfo
	if r == nil || r.Count == 0 {
		return
	}
	if s.early = r.check("func_info", funcInfoSize, t); s.early != nil {
		return
	}
	var funcs []prog.Func
	for i := range r.Count {
		off, id := r.word(i, 0), r.word(i, 1)
		if i == 0 && off != 0 {
			s.early = refusal(-1, "func_info starts at instruction %d", off)
			return
		} else if i > 0 && off <= r.word(i-1, 0) {
			s.early = refusal(int(off), "func_info is not in order")
			return
		}
		typ, err := t.byID(id)
		fn, ok := typ.(*btf.Func)
		if err != nil || !ok {
			s.early = refusal(int(off), "func_info: type %d is no function", id)
			return
		}
		funcs = append(funcs, prog.Func{Name: fn.Name, Start: int(off), End: len(s.Prog.Insns),
			Linkage: prog.Linkage(fn.Linkage), Proto: t.conv.Proto(fn)})
		if i > 0 {
			funcs[i-1].End = int(off)
		}
	}
	s.Prog.Funcs = funcs
	if s.early = markException(t, r, funcs); s.early != nil {
		return
	}
	starts := s.starts()
	if len(starts) != len(funcs) {
		s.late = refusal(-1, "func_info has %d functions, the program %d", len(funcs), len(starts))
		return
	}
	for i, start := range starts {
		if funcs[i].Start != start {
			s.late = refusal(start, "func_info has a function at %d, the program at %d", funcs[i].Start, start)
			return
		}
	}
}

// exceptionTag is the declaration tag of a program's entry that names its exception callback.
const exceptionTag = "exception_callback:"

// markException finds the exception callback (bpf_find_exception_callback_insn_off).
func markException(t *types, r *Records, funcs []prog.Func) *verifier.Error {
	entry, err := t.byID(r.word(0, 1))
	fn, ok := entry.(*btf.Func)
	if err != nil || !ok {
		return nil
	}
	for _, tag := range fn.Tags {
		name, ok := strings.CutPrefix(tag, exceptionTag)
		if !ok {
			continue
		}
		i := slices.IndexFunc(funcs, func(f prog.Func) bool { return f.Name == name })
		if i < 0 {
			e := refusal(-1, "there is no exception callback %s", name)
			e.Code, e.Errno = verifier.CodeException, 2
			return e
		}
		funcs[i].Exception = true
	}
	return nil
}

// addLineInfo makes source lines of line_info, or a refusal.
func (s *Subject) addLineInfo(c *Case, t *types) {
	r := c.LineInfo
	if r == nil || r.Count == 0 || s.late != nil {
		return
	}
	if err := r.check("line_info", lineInfoSize, t); err != nil {
		if t.spec == nil {
			s.early = err
		}
		s.late = err
		return
	}
	starts := s.starts()
	for i := range r.Count {
		off := int(r.word(i, 0))
		file, fileOK := t.text(r.word(i, 1))
		text, textOK := t.text(r.word(i, 2))
		switch {
		case i > 0 && off <= int(r.word(i-1, 0)), off >= len(s.Prog.Insns):
			s.late = refusal(off, "line_info is not in order")
		case s.Prog.Insns[off].Op == 0:
			s.late = refusal(off, "line_info of the second slot of a load")
		case !fileOK || !textOK:
			s.late = refusal(off, "line_info: text outside of the BTF")
		case len(starts) > 0 && off > starts[0]:
			s.late = refusal(starts[0], "line_info has no line for the function at %d", starts[0])
		}
		if s.late != nil {
			return
		}
		if len(starts) > 0 && off == starts[0] {
			starts = starts[1:]
		}
		col := r.word(i, 3)
		s.Prog.Lines = append(s.Prog.Lines, prog.Line{Slot: off, File: file, Number: int(col >> 10), Column: int(col & 1023), Text: text})
	}
	if len(starts) > 0 {
		s.late = refusal(starts[0], "line_info has no line for the function at %d", starts[0])
	}
}
