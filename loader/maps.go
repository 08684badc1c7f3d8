package loader

import (
	"io"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/maps"
)

func (c *converter) maps() error {
	for _, name := range sortedKeys(c.cs.Maps) {
		spec, types, err := c.mapSpec(name, c.cs.Maps[name])
		if err != nil {
			return err
		}
		c.out.Maps[name] = spec
		if types != nil {
			c.out.MapTypes[name] = types
		}
	}
	return nil
}

func (c *converter) mapSpec(name string, m *ebpf.MapSpec) (*maps.Spec, *sandbpf.MapTypes, error) {
	switch {
	case m == nil:
		return nil, nil, invalid("map", name, "nil MapSpec")
	case uint32(m.Type) >= platformTag:
		return nil, nil, unsupported("map", name, "type %v is not one of Linux", m.Type)
	case m.MapExtra != 0 && m.Type != ebpf.Arena: // where an arena begins is of no matter
		return nil, nil, unsupported("map", name, "map_extra is %#x", m.MapExtra)
	}
	if err := legacyTail(name, m); err != nil {
		return nil, nil, err
	}
	if m.Pinning != ebpf.PinNone {
		c.note("map %s: pinning is ignored: there is no BPF file system", name)
	}
	for _, tag := range m.Tags {
		c.note("map %s: declaration tag %q is ignored", name, tag)
	}
	out := &maps.Spec{Name: name, Type: maps.Type(m.Type), KeySize: m.KeySize, ValueSize: m.ValueSize, MaxEntries: m.MaxEntries, Flags: m.Flags}
	for _, kv := range m.Contents {
		if b, ok := kv.Value.([]byte); ok {
			kv.Value = slices.Clone(b)
		}
		out.Contents = append(out.Contents, maps.KV{Key: kv.Key, Value: kv.Value})
	}
	if isDataMap(name) {
		out.Flags |= maps.FlagMmapable // as libbpf does, so that variables can be read and set while programs run
		out.Freeze = strings.HasPrefix(name, ".rodata")
	}
	types := &sandbpf.MapTypes{Key: c.types.Convert(m.Key), Value: c.types.Convert(m.Value)}
	if m.InnerMap != nil {
		if m.InnerMap.InnerMap != nil {
			return nil, nil, unsupported("map", name, "the inner map is itself a map of maps")
		}
		var err error
		if out.InnerMap, types.Inner, err = c.mapSpec(name+".inner", m.InnerMap); err != nil {
			return nil, nil, err
		}
	}
	if types.Key == nil && types.Value == nil && types.Inner == nil {
		types = nil
	}
	return out, types, nil
}

// platformTag is above every constant of Linux: cilium/ebpf marks those of Windows so.
const platformTag = 1 << 28

func isDataMap(name string) bool {
	return name == ".bss" || strings.HasPrefix(name, ".data") || strings.HasPrefix(name, ".rodata")
}

// legacyTail refuses what a definition in a "maps" section has beyond struct
// bpf_map_def, unless it is zero: other loaders mean inner maps and pinning by it.
func legacyTail(name string, m *ebpf.MapSpec) error {
	if m.Extra == nil {
		return nil
	}
	extra := *m.Extra // do not move the caller's position
	tail, err := io.ReadAll(&extra)
	if err != nil {
		return &Error{"map", name, "definition", err}
	}
	for _, b := range tail {
		if b != 0 {
			return unsupported("map", name, "the definition has %d bytes beyond struct bpf_map_def that are not zero", len(tail))
		}
	}
	return nil
}

// variables converts the global variables. Their bytes are those in the contents of
// their map.
func (c *converter) variables() error {
	for _, name := range sortedKeys(c.cs.Variables) {
		v := c.cs.Variables[name]
		if v == nil {
			return invalid("variable", name, "nil VariableSpec")
		}
		spec := c.out.Maps[v.SectionName]
		if spec == nil || len(spec.Contents) != 1 {
			return invalid("variable", name, "there is no map %s with one value", v.SectionName)
		}
		data, ok := spec.Contents[0].Value.([]byte)
		end := uint64(v.Offset) + uint64(v.Size())
		if !ok || end > uint64(len(data)) {
			return invalid("variable", name, "bytes [%d, %d) are not within map %s", v.Offset, end, v.SectionName)
		}
		out := &sandbpf.VariableSpec{Name: name, Map: v.SectionName, Off: v.Offset, Size: v.Size(),
			ReadOnly: v.Constant(), Value: data[v.Offset:end:end]}
		copy(out.Value, v.Value)
		if v.Type != nil {
			out.Type = c.types.Convert(v.Type.Type)
			for _, tag := range v.Type.Tags {
				c.note("variable %s: declaration tag %q is ignored", name, tag)
			}
		}
		c.out.Variables[name] = out
	}
	return nil
}

// contents checks the names in the initial values of program arrays and maps of maps.
func (c *converter) contents() error {
	for _, name := range sortedKeys(c.out.Maps) {
		spec := c.out.Maps[name]
		for _, kv := range spec.Contents {
			value, ok := kv.Value.(string)
			switch {
			case !ok:
			case spec.Type == maps.ProgramArray && c.out.Programs[value] == nil:
				return invalid("map", name, "element %v is program %q, which is not in the object", kv.Key, value)
			case spec.Type.MapInMap() && c.out.Maps[value] == nil:
				return invalid("map", name, "element %v is map %q, which is not in the object", kv.Key, value)
			}
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
