package loader

import (
	"debug/elf"
	"reflect"

	"github.com/cilium/ebpf/asm"
)

// cilium/ebpf keeps what it knows of an extern in the metadata of the instructions
// that refer to it, under types that it does not export. Reflection can read, though
// not hand out, what lies there. If a later version keeps it elsewhere, the functions
// below find nothing and loading such a program is an error: a test watches that.

// externMeta returns the struct of that type name in the metadata of ins.
func externMeta(ins *asm.Instruction, typeName string) (reflect.Value, bool) {
	e := reflect.ValueOf(ins.Metadata).FieldByName("head")
	for e.Kind() == reflect.Pointer && !e.IsNil() {
		v := e.Elem().FieldByName("value")
		if v.Kind() == reflect.Interface {
			v = v.Elem()
		}
		if v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() == reflect.Struct &&
			v.Elem().Type().PkgPath() == "github.com/cilium/ebpf" && v.Elem().Type().Name() == typeName {
			return v.Elem(), true
		}
		e = e.Elem().FieldByName("next")
	}
	return reflect.Value{}, false
}

// kconfigOffset returns where in .kconfig the variable is that ins takes the address of.
func kconfigOffset(ins *asm.Instruction) (uint32, bool) {
	if m, ok := externMeta(ins, "kconfigMeta"); ok {
		if off := m.FieldByName("Offset"); off.CanUint() {
			return uint32(off.Uint()), true
		}
	}
	return 0, false
}

// externKind says what the name that an instruction refers to stands for.
type externKind uint8

const (
	notExtern externKind = iota
	externVar
	externFunc
)

// externOf says whether ins refers to an extern, and to one that may be missing.
func externOf(ins *asm.Instruction) (kind externKind, weak bool) {
	m, ok := externMeta(ins, "ksymMeta")
	kind = externVar
	if !ok {
		if m, ok = externMeta(ins, "kfuncMeta"); !ok {
			return notExtern, false
		}
		kind = externFunc
	}
	b := m.FieldByName("Binding")
	return kind, b.CanInt() && elf.SymBind(b.Int()) == elf.STB_WEAK
}
