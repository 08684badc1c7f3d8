package sandbpf

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	bpfmaps "github.com/sandbpf/sandbpf/maps"
)

// Collection is the programs, maps and variables of an object, loaded.
type Collection struct {
	programs  map[string]*Program
	maps      map[string]*bpfmaps.Map
	variables map[string]*Variable
}

// CollectionOption changes how a collection is loaded.
type CollectionOption func(*collectionLoader)

// WithMaps makes the programs use these maps in place of those of the same name in
// the object, so that they keep what they hold when programs are replaced. Type, sizes
// and flags must be the same. The collection has handles of its own of them.
func WithMaps(named map[string]*bpfmaps.Map) CollectionOption {
	return func(l *collectionLoader) { maps.Copy(l.reuse, named) }
}

type collectionLoader struct {
	vm    *VM
	spec  *CollectionSpec
	reuse map[string]*bpfmaps.Map
	coll  *Collection
}

// LoadCollection creates the maps and loads the programs of spec, which it does not
// change. On an error, nothing stays loaded; it says which program, instruction and
// source line, or which map is at fault.
func (v *VM) LoadCollection(spec *CollectionSpec, options ...CollectionOption) (*Collection, error) {
	if err := spec.complete(); err != nil {
		return nil, err
	}
	l := &collectionLoader{vm: v, spec: spec, reuse: make(map[string]*bpfmaps.Map), coll: &Collection{
		programs: make(map[string]*Program), maps: make(map[string]*bpfmaps.Map), variables: make(map[string]*Variable),
	}}
	for _, option := range options {
		option(l)
	}
	for _, step := range []func() error{l.loadMaps, l.loadVariables, l.loadPrograms, l.fill} {
		if err := step(); err != nil {
			_ = l.coll.Close() // what nothing uses closes without an error
			return nil, err
		}
	}
	return l.coll, nil
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// byName reports whether the values in the contents of a map are names.
func byName(spec *bpfmaps.Spec) bool {
	return spec.Type == bpfmaps.ProgramArray || spec.Type.MapInMap()
}

func (l *collectionLoader) loadMaps() error {
	for name, m := range l.reuse {
		if m == nil {
			return fmt.Errorf("map %s to use: nil Map", name)
		}
		if l.spec.Maps[name] == nil {
			return fmt.Errorf("map %s to use: %w in the collection", name, ErrNotExist)
		}
	}
	for _, name := range sortedKeys(l.spec.Maps) {
		spec := l.spec.Maps[name].Copy()
		if old := l.reuse[name]; old != nil {
			if err := sameMap(old, spec); err != nil {
				return err
			}
			own, err := old.Clone()
			if err != nil {
				return err
			}
			l.coll.maps[name] = own
			continue
		}
		if byName(spec) {
			spec.Contents, spec.Freeze = nil, false // see fill
		}
		m, err := l.vm.NewMap(spec)
		if err != nil {
			return err
		}
		l.coll.maps[name] = m
	}
	return nil
}

func sameMap(m *bpfmaps.Map, spec *bpfmaps.Spec) error {
	if m.Type() != spec.Type || m.KeySize() != spec.KeySize || m.ValueSize() != spec.ValueSize ||
		m.MaxEntries() != spec.MaxEntries || m.Flags() != spec.Flags {
		return fmt.Errorf("map %s to use as %s: %w", m, spec.Name, ErrMapIncompatible)
	}
	return nil
}

func (l *collectionLoader) loadVariables() error {
	for name, spec := range l.spec.Variables {
		m := l.coll.maps[spec.Map]
		if m == nil {
			return fmt.Errorf("variable %s: map %s: %w in the collection", name, spec.Map, ErrNotExist)
		}
		l.coll.variables[name] = &Variable{spec: *spec, m: m}
	}
	return nil
}

func (l *collectionLoader) loadPrograms() error {
	for _, name := range sortedKeys(l.spec.Programs) {
		p, err := l.vm.LoadProgram(l.spec.Programs[name], l.coll.maps)
		if err != nil {
			return err
		}
		l.coll.programs[name] = p
	}
	return nil
}

// fill stores what maps hold by name: programs and maps.
func (l *collectionLoader) fill() error {
	for _, name := range sortedKeys(l.spec.Maps) {
		spec, m := l.spec.Maps[name], l.coll.maps[name]
		if !byName(spec) || l.reuse[name] != nil {
			continue
		}
		for i, kv := range spec.Contents {
			value, err := l.named(spec, kv.Value)
			if err == nil {
				err = m.Put(kv.Key, value)
			}
			if err != nil {
				return fmt.Errorf("map %s: element %d of contents: %w", name, i, err)
			}
		}
		if spec.Freeze {
			if err := m.Freeze(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *collectionLoader) named(spec *bpfmaps.Spec, value any) (any, error) {
	name, ok := value.(string)
	if !ok {
		return value, nil
	}
	if spec.Type == bpfmaps.ProgramArray {
		if p := l.coll.programs[name]; p != nil {
			return p, nil
		}
		return nil, fmt.Errorf("program %q: %w in the collection", name, ErrNotExist)
	}
	if m := l.coll.maps[name]; m != nil {
		return m, nil
	}
	return nil, fmt.Errorf("map %q: %w in the collection", name, ErrNotExist)
}

// Program returns the program of that name, nil if there is none. It belongs to
// the collection.
func (c *Collection) Program(name string) *Program { return c.programs[name] }

// Map returns the map of that name, nil if there is none. It belongs to the
// collection; clone it to keep it longer.
func (c *Collection) Map(name string) *bpfmaps.Map { return c.maps[name] }

// Variable returns the global variable of that name, nil if there is none.
func (c *Collection) Variable(name string) *Variable { return c.variables[name] }

// Programs returns the names of the programs, sorted.
func (c *Collection) Programs() []string { return sortedKeys(c.programs) }

// Maps returns the names of the maps, sorted.
func (c *Collection) Maps() []string { return sortedKeys(c.maps) }

// Variables returns the names of the global variables, sorted.
func (c *Collection) Variables() []string { return sortedKeys(c.variables) }

// Close closes the programs and maps. What is still in use, by a link or by a clone,
// lives on. Closing twice does nothing.
func (c *Collection) Close() error {
	var errs []error
	for _, p := range c.programs {
		errs = append(errs, p.Close())
	}
	for _, m := range c.maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// Variable is a global variable of loaded programs.
type Variable struct {
	spec VariableSpec
	m    *bpfmaps.Map
}

// Name returns the variable's name.
func (v *Variable) Name() string { return v.spec.Name }

// Size returns the variable's size in bytes.
func (v *Variable) Size() uint32 { return v.spec.Size }

// ReadOnly reports whether programs and Set cannot change it.
func (v *Variable) ReadOnly() bool { return v.spec.ReadOnly }

// Get stores the variable's value in what out points to; see [VariableSpec.Get]. A program
// that changes it meanwhile may leave a mixture, except of aligned integers.
func (v *Variable) Get(out any) error {
	value, err := v.m.LookupBytes(uint32(0))
	if err != nil {
		return fmt.Errorf("variable %s: %w", v.Name(), err)
	}
	now := v.spec
	now.Value = value[v.spec.Off : v.spec.Off+v.spec.Size]
	return now.Get(out)
}

// Set sets the variable; see [VariableSpec.Set]. Other variables are not touched. The
// error wraps os.ErrPermission if the variable is read-only.
func (v *Variable) Set(value any) error {
	now := v.spec
	now.Value = make([]byte, v.spec.Size)
	if err := now.Set(value); err != nil {
		return err
	}
	m, err := v.m.Clone() // the memory stays, whatever happens to the collection
	if err != nil {
		return fmt.Errorf("variable %s: %w", v.Name(), err)
	}
	defer m.Close()
	if v.spec.ReadOnly {
		return fmt.Errorf("variable %s: %w", v.Name(), bpfmaps.EPERM)
	}
	memory, err := m.Memory()
	if err != nil {
		return fmt.Errorf("variable %s: %w", v.Name(), err)
	}
	copy(memory[v.spec.Off:], now.Value)
	return nil
}
