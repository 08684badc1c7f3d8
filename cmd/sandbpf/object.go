package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/hooks"
	"github.com/sandbpf/sandbpf/loader"
)

// isObject reports whether data is an ELF file.
func isObject(data []byte) bool { return bytes.HasPrefix(data, []byte("\x7fELF")) }

// objectFlags are the flags of the commands that read an object.
type objectFlags struct {
	kconfig *string
	options []loader.Option // of the command's own
}

func newObjectFlags(fs *flag.FlagSet) *objectFlags {
	return &objectFlags{kconfig: fs.String("kconfig", "", "values of __kconfig variables, from the .config `FILE` of a kernel")}
}

// open reads the object file of that name.
func (f *objectFlags) open(e *env, name string) (*sandbpf.CollectionSpec, error) {
	data, shown, err := e.read(name)
	if err != nil {
		return nil, err
	}
	return f.load(e, data, shown)
}

// load reads an object from the bytes of a file.
func (f *objectFlags) load(e *env, data []byte, name string) (*sandbpf.CollectionSpec, error) {
	options := slices.Clip(f.options)
	if *f.kconfig != "" {
		text, shown, err := e.read(*f.kconfig)
		if err != nil {
			return nil, err
		}
		values, err := loader.ParseKconfig(bytes.NewReader(text))
		if err != nil {
			return nil, inputErrorf("%s: %w", shown, err)
		}
		options = append(options, loader.WithKconfig(values))
	}
	spec, err := loader.LoadSpecFromReader(bytes.NewReader(data), options...)
	var part *loader.Error
	if errors.As(err, &part) && strings.HasPrefix(part.Name, "CONFIG_") {
		err = fmt.Errorf("%w, here by --kconfig FILE", err)
	}
	if err != nil {
		return nil, inputErrorf("%s: %w", name, err)
	}
	return spec, nil
}

// programNames returns the names of the programs, sorted.
func programNames(spec *sandbpf.CollectionSpec) []string {
	return slices.Sorted(maps.Keys(spec.Programs))
}

// pickProgram returns the program of that name, or the only one if the name is "".
func pickProgram(spec *sandbpf.CollectionSpec, name string) (*sandbpf.ProgramSpec, error) {
	names := programNames(spec)
	switch {
	case len(names) == 0:
		return nil, inputErrorf("no program in the object")
	case name == "" && len(names) == 1:
		name = names[0]
	case name == "":
		return nil, usageErrorf("which program? The object has %s", strings.Join(names, ", "))
	}
	if p := spec.Programs[name]; p != nil {
		return p, nil
	}
	return nil, usageErrorf("no program %q: the object has %s", name, strings.Join(names, ", "))
}

// typeByName returns the program type that a user means: a name as bpftool prints
// it, or the start of a section name.
func typeByName(name string) (sandbpf.ProgramType, error) {
	if name == "memory" {
		return sandbpf.Unspec, nil
	}
	for _, t := range hooks.Types() {
		if t.Name == name || slices.Contains(t.Sections, name) {
			return t.Prog, nil
		}
	}
	for t := sandbpf.ProgramType(0); t < 64; t++ {
		if t.String() == name {
			return 0, unsupportedf("programs of type %s are not supported: there is no hook for them", name)
		}
	}
	return 0, usageErrorf("no program type %q: there are xdp, tc, socket and memory", name)
}

// typeName returns what programs of a type are called here.
func typeName(t sandbpf.ProgramType) string {
	if t == sandbpf.Unspec {
		return "memory"
	}
	return t.String()
}

// references returns what the instructions of a kind refer to, each once, in order
// of first use.
func references(insns asm.Instructions, ref func(asm.Instruction) string) []string {
	var out []string
	for _, ins := range insns {
		if name := ref(ins); name != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

func helperOf(ins asm.Instruction) string {
	if ins.Kind() != asm.KindCallHelper {
		return ""
	}
	name := asm.BuiltinFunc(ins.ImmLo()).String()
	if strings.HasPrefix(name, "helper#") {
		return name
	}
	return "bpf_" + name
}
