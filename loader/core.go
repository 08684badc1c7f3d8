package loader

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	ebpfasm "github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/linux"
)

// runningKernel returns the types of the kernel and of its modules.
func runningKernel() ([]*btf.Spec, error) {
	cache := btf.NewCache()
	kernel, err := cache.Kernel()
	if err != nil {
		return nil, err
	}
	targets := []*btf.Spec{kernel}
	modules, err := cache.Modules()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, name := range modules {
		module, err := cache.Module(name)
		if err != nil {
			return nil, err
		}
		targets = append(targets, module)
	}
	return targets, nil
}

// linuxTypes returns the types of Linux 6.18 that package internal/linux has.
func linuxTypes() ([]*btf.Spec, error) {
	types, err := btf.LoadSpecFromReader(bytes.NewReader(linux.RawBTF()))
	if err != nil {
		return nil, err
	}
	return []*btf.Spec{types}, nil
}

// fixup is what a CO-RE relocation makes of an instruction.
type fixup struct {
	poison bool // the target has no such thing
	value  uint64
}

// fixups resolves the CO-RE relocations of a program against the target types. By
// the program's own types, every relocation stays at what the compiler put in: none
// is returned.
//
// cilium/ebpf finds the candidates, but applies a [btf.COREFixup] on Linux only. Its
// text, "kind=local->target" or "kind=poison", is all that can be had of it elsewhere,
// and so taken everywhere.
func (c *converter) fixups(insns ebpfasm.Instructions) (map[int]fixup, error) {
	var relos []*btf.CORERelocation
	var at []int
	for i := range insns {
		if relo := btf.CORERelocationMetadata(&insns[i]); relo != nil {
			relos, at = append(relos, relo), append(at, i)
		}
	}
	if c.core == nil || len(relos) == 0 {
		return nil, nil
	}
	if c.cs.Types == nil {
		return nil, invalid("", "", "CO-RE relocations without the types of the program")
	}
	found, err := btf.CORERelocate(relos, c.core, nativeOrder, c.cs.Types.TypeID)
	if err != nil {
		return nil, unreadable(fmt.Errorf("CO-RE: %w", err))
	}
	out := make(map[int]fixup, len(found))
	for i := range found {
		f, err := parseFixup(found[i].String())
		if err != nil {
			return nil, err
		}
		if f.poison && c.opts.partial && !c.hasTarget(relos[i]) {
			continue
		}
		out[at[i]] = f
	}
	return out, nil
}

// hasTarget reports whether targets have a type of the name of that which a relocation is
// about. Its text, "CORERelocation(kind, type[accessor], local_id=N)", is all that can be had.
func (c *converter) hasTarget(relo *btf.CORERelocation) bool {
	text := relo.String()
	var id btf.TypeID
	if _, err := fmt.Sscanf(text[strings.LastIndexByte(text, ' ')+1:], "local_id=%d)", &id); err != nil {
		return true
	}
	t, err := c.cs.Types.TypeByID(id)
	if err != nil {
		return true
	}
	name, _, _ := strings.Cut(t.TypeName(), "___") // without its flavour
	return slices.ContainsFunc(c.core, func(spec *btf.Spec) bool {
		_, err := spec.AnyTypesByName(name)
		return err == nil
	})
}

func parseFixup(text string) (fixup, error) {
	kind := 0
	for kind < len(text) && text[kind] != '=' {
		kind++
	}
	if text[kind:] == "=poison" {
		return fixup{poison: true}, nil
	}
	var local, target uint64
	if _, err := fmt.Sscanf(text[kind:], "=%d->%d", &local, &target); err != nil {
		return fixup{}, unsupported("", "", "CO-RE: what cilium/ebpf says of a relocation is not understood: %q", text)
	}
	return fixup{value: target}, nil
}

// poisonHelper is the number of a helper that does not exist (libbpf puts the same in
// place of instructions whose relocation failed): if the verifier finds it reachable,
// it says so.
const poisonHelper = asm.BuiltinFunc(btf.COREBadRelocationSentinel)

// apply returns what takes the place of ins, in as many slots.
func (f fixup) apply(ins asm.Instruction) (asm.Instructions, error) {
	if f.poison {
		out := asm.Instructions{poisonHelper.Call().WithSymbol(ins.Symbol())}
		if ins.Slots() == 2 {
			out = append(out, poisonHelper.Call())
		}
		return out, nil
	}
	info, err := ins.Info()
	if err != nil {
		return nil, err
	}
	switch info.Kind {
	case asm.KindLoad, asm.KindStoreImm, asm.KindStoreReg, asm.KindAtomic:
		if f.value > math.MaxInt16 {
			return nil, fmt.Errorf("offset %d does not fit in 16 bits", f.value)
		}
		ins.Off = int16(f.value)
	case asm.KindLoadImm64:
		if ins.Src != asm.PseudoNone {
			return nil, errors.New("a 64-bit immediate that is no number cannot be relocated")
		}
		ins.Imm = int64(f.value)
	case asm.KindALU:
		if info.Source != asm.ImmSource {
			return nil, errors.New("an operation on registers cannot be relocated")
		}
		v := int64(f.value)
		if !info.Wide && f.value <= math.MaxUint32 {
			v = int64(int32(f.value)) // only the lower half counts
		}
		if v != int64(int32(v)) {
			return nil, fmt.Errorf("value %#x does not fit in 32 bits", f.value)
		}
		ins.Imm = v
	default:
		return nil, fmt.Errorf("opcode %#02x cannot be relocated", uint8(ins.Op))
	}
	return asm.Instructions{ins}, nil
}
