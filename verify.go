package sandbpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
	"github.com/sandbpf/sandbpf/verifier"
)

// VerifyProgram verifies a program that refers to maps of these names, as LoadProgram is
// given them, and loads nothing. Programs need no hook here for that if they are of a type
// that Linux has. The errors are those of LoadProgram.
func (v *VM) VerifyProgram(spec *ProgramSpec, named map[string]*maps.Map) (*verifier.Proof, error) {
	if spec == nil {
		return nil, errNilProgram
	}
	hook, err := v.hookOf(spec)
	if err != nil && !ofLinux(spec.Type) {
		return nil, err
	}
	linked, err := link(spec, byNameIn(named))
	if err != nil {
		return nil, err
	}
	env := v.envOf(linked, spec)
	if hook != nil {
		linked.Type = hook.Prog
		ofHook(env, hook)
	}
	return verifier.Verify(linked, env)
}

// envOf is what a program that is linked to live maps is verified against.
func (v *VM) envOf(linked *prog.Program, spec *ProgramSpec) *verifier.Env {
	env := &verifier.Env{NumCPU: v.machine.NumCPU}
	names := mapNames(spec)
	for i, m := range linked.Maps {
		env.Maps = append(env.Maps, liveMap(m.(*maps.Map), spec.MapTypes[names[i]]))
	}
	return env
}

// mapNames returns what spec calls the maps that it refers to, in the order of a linked program's
// Maps. A map that others have made may have another name itself.
func mapNames(spec *ProgramSpec) []string {
	var names []string
	for _, ins := range spec.Instructions {
		if name := mapOf(ins); name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// mapOf returns the name of the map that an instruction refers to, "" if it refers to none.
func mapOf(ins asm.Instruction) string {
	if ins.Kind() != asm.KindLoadImm64 {
		return ""
	}
	switch ins.Src {
	case asm.PseudoNone, asm.PseudoFunc, asm.PseudoBTFID:
		return ""
	}
	return ins.Reference()
}

// prove verifies a program that is about to run at a hook. There is no kernel around it, and what
// the sandbox has not counts for more than what is wrong about how it is called.
func (v *VM) prove(linked *prog.Program, spec *ProgramSpec, hook *hooks.Type) (*verifier.Proof, error) {
	env := v.envOf(linked, spec)
	env.NoKernel = true
	linked.Type = hook.Prog
	ofHook(env, hook)
	proof, err := verifier.Verify(linked, env)
	var refused *verifier.Error
	if errors.As(err, &refused) && refused.Insn >= 0 {
		if missing := unsupported(linked, hook, refused.Insn); missing != nil {
			return nil, missing
		}
	}
	return proof, err
}

// Verify verifies a program of the collection without loading anything: neither its type
// nor those of its maps need be supported here, as long as Linux has them. The errors are
// those of [VM.LoadProgram]. Change, if not nil, is
// given what the program is verified against, to ask for a log or take privileges away.
func (s *CollectionSpec) Verify(program string, change func(*verifier.Env)) (*verifier.Proof, error) {
	spec := s.Programs[program]
	if spec == nil {
		return nil, fmt.Errorf("program %q: %w in the collection", program, ErrNotExist)
	}
	if !ofLinux(spec.Type) {
		return nil, fmt.Errorf("program %s: %w: section %q says no program type of Linux%s", program, ErrUnknownHook, spec.Section, prog.NearSection(spec.Section))
	}
	linked, err := link(spec, func(name string) mapRef {
		if m := s.Maps[name]; m != nil {
			return mapBlueprint{name, m}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	env := new(verifier.Env)
	for _, m := range linked.Maps {
		env.Maps = append(env.Maps, plannedMap(m.(mapBlueprint).Spec, s.MapTypes[m.Name()]))
	}
	if change != nil {
		change(env)
	}
	return verifier.Verify(linked, env)
}

// ofLinux reports whether Linux has programs of a type.
func ofLinux(t ProgramType) bool { return t != prog.Unspec && t != prog.Custom }

// ofHook completes what programs of a custom hook are verified against.
func ofHook(env *verifier.Env, hook *hooks.Type) {
	if hook.Prog != prog.Custom {
		return
	}
	env.Ctx, env.Returns = hook.Layout, &verifier.Range{Min: hook.Returns.Min, Max: hook.Returns.Max}
	env.Helper = func(fn asm.BuiltinFunc) *helper.Proto {
		if h := hook.CustomHelper(fn); h != nil {
			return &h.Proto
		}
		return nil
	}
}

// mapBlueprint is a map that does not exist yet.
type mapBlueprint struct {
	name string
	*maps.Spec
}

func (m mapBlueprint) Name() string       { return m.name }
func (m mapBlueprint) Addr() uint64       { return 0 }
func (m mapBlueprint) Type() maps.Type    { return m.Spec.Type }
func (m mapBlueprint) MaxEntries() uint32 { return m.Spec.MaxEntries }
func (m mapBlueprint) ValueSize() uint32  { return m.Spec.ValueSize }

// plannedMap is what the verifier has to know of a map that would be made of spec.
func plannedMap(spec *maps.Spec, types *MapTypes) *verifier.Map {
	m := &verifier.Map{
		Name: spec.Name, Type: spec.Type, KeySize: spec.KeySize, ValueSize: spec.ValueSize,
		MaxEntries: spec.MaxEntries, Flags: spec.Flags,
	}
	if types == nil {
		types = new(MapTypes)
	}
	m.Key, m.Value = types.Key, types.Value
	if spec.InnerMap != nil {
		m.Inner = plannedMap(spec.InnerMap, types.Inner)
		m.Inner.Frozen, m.Inner.Read = false, nil // what the template holds, the maps need not
	}
	if spec.Freeze && spec.Type == maps.Array {
		m.Frozen, m.Read = true, firstValue(spec)
	}
	return m
}

// firstValue returns what reads the first element of an array's contents, nil if there are some
// that no map can be made of.
func firstValue(spec *maps.Spec) func(off uint32, b []byte) bool {
	first := make([]byte, spec.ValueSize)
	for _, kv := range spec.Contents {
		key, value, err := kv.Marshal(spec.KeySize, spec.ValueSize)
		if err != nil || len(key) != 4 {
			return nil
		}
		if binary.NativeEndian.Uint32(key) == 0 {
			copy(first, value)
		}
	}
	return reads(first)
}

// reads returns what copies bytes of a value.
func reads(value []byte) func(off uint32, b []byte) bool {
	return func(off uint32, b []byte) bool {
		if uint64(off)+uint64(len(b)) > uint64(len(value)) {
			return false
		}
		copy(b, value[off:])
		return true
	}
}

// liveMap is what the verifier has to know of a map.
func liveMap(m *maps.Map, types *MapTypes) *verifier.Map {
	spec := &maps.Spec{
		Name: m.Name(), Type: m.Type(), KeySize: m.KeySize(), ValueSize: m.ValueSize(), MaxEntries: m.MaxEntries(),
		Flags: m.Flags(), InnerMap: m.InnerSpec(),
	}
	out := plannedMap(spec, types)
	if m.Constant() && m.Type() == maps.Array {
		if value, err := m.LookupBytes(uint32(0)); err == nil {
			out.Frozen, out.Read = true, reads(value)
		}
	}
	return out
}
