package loader

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"reflect"
	"runtime"
	"strconv"
	"strings"

	"github.com/cilium/ebpf/btf"

	"github.com/sandbpf/sandbpf"
	"github.com/sandbpf/sandbpf/internal/btftype"
	"github.com/sandbpf/sandbpf/maps"
)

const kconfigSection = ".kconfig"

// KernelVersion is what LINUX_KERNEL_VERSION is unless [WithKconfig] says otherwise:
// that of Linux 6.18.0, whose rules this module follows, as KERNEL_VERSION(6, 18, 0).
const KernelVersion = 6<<16 | 18<<8

// ParseKconfig reads the .config of a kernel for [WithKconfig]: lines of the form
// CONFIG_NAME=value. Values stay as they are written.
func ParseKconfig(r io.Reader) (map[string]any, error) {
	values := make(map[string]any)
	lines := bufio.NewScanner(r)
	n := 1
	for ; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" || value == "" {
			return nil, fmt.Errorf("line %d: no NAME=value: %.40q", n, line)
		}
		values[name] = value
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n, err)
	}
	return values, nil
}

// kconfig makes the map .kconfig out of the declarations of extern variables and the
// values that the user gives.
func (c *converter) kconfig() error {
	if c.cs.Types == nil {
		return nil
	}
	var ds *btf.Datasec
	if err := c.cs.Types.TypeByName(kconfigSection, &ds); err != nil {
		return nil // no such variables
	}
	if ds.Size > maxZeroed {
		return unsupported("section", kconfigSection, "%d bytes of variables", ds.Size)
	}
	data := make([]byte, ds.Size)
	for _, member := range ds.Vars {
		v, ok := member.Type.(*btf.Var)
		size := btftype.Size(member.Type)
		if ok {
			size = btftype.Size(v.Type)
		}
		if !ok || uint64(member.Offset)+uint64(size) > uint64(len(data)) {
			return invalid("section", kconfigSection, "variable %s is not within its %d bytes", member.Type.TypeName(), len(data))
		}
		value := data[member.Offset : member.Offset+size : member.Offset+size]
		if err := c.setKconfig(v, value); err != nil {
			return err
		}
		c.out.Variables[v.Name] = &sandbpf.VariableSpec{Name: v.Name, Map: kconfigSection, Off: member.Offset, Size: size,
			Type: c.types.Convert(v.Type), ReadOnly: true, Value: value}
	}
	c.out.Maps[kconfigSection] = &maps.Spec{Name: kconfigSection, Type: maps.Array, KeySize: 4, ValueSize: ds.Size, MaxEntries: 1,
		Flags: maps.FlagRdonlyProg | maps.FlagMmapable, Contents: []maps.KV{{Key: uint32(0), Value: data}}, Freeze: true}
	c.out.MapTypes[kconfigSection] = &sandbpf.MapTypes{Value: c.types.Convert(ds)}
	return nil
}

func (c *converter) setKconfig(v *btf.Var, value []byte) error {
	given, ok := c.opts.kconfig[v.Name]
	if !ok {
		given, ok = virtualKconfig(v.Name)
	}
	switch {
	case !ok && c.ext.weakKconfig[v.Name]:
		return nil // stays zero
	case !ok:
		return invalid("variable", v.Name, "a __kconfig extern that is not weak has no value: give it with WithKconfig")
	}
	if err := encodeKconfig(v.Type, given, value); err != nil {
		return invalid("variable", v.Name, "kconfig value %v: %v", given, err)
	}
	return nil
}

// virtualKconfig returns what libbpf puts in, beside what is in the kernel's .config.
func virtualKconfig(name string) (any, bool) {
	switch name {
	case "LINUX_KERNEL_VERSION":
		return KernelVersion, true
	case "LINUX_HAS_BPF_COOKIE": // since 5.15
		return true, true
	case "LINUX_HAS_SYSCALL_WRAPPER": // CONFIG_ARCH_HAS_SYSCALL_WRAPPER
		switch runtime.GOARCH {
		case "amd64", "arm64", "s390x", "riscv64":
			return true, true
		}
		return false, true
	}
	return nil, false
}

// encodeKconfig stores a value as libbpf does (set_kcfg_value_*): y, n and m for a
// bool, a char or an enum libbpf_tristate; a number for an integer; text for an array
// of char.
func encodeKconfig(t btf.Type, given any, dst []byte) error {
	text, isText := given.(string)
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Array:
		if !isText || btftype.Size(t.Type) != 1 || len(dst) == 0 {
			return fmt.Errorf("%T for an array of %d elements of %d bytes", given, t.Nelems, btftype.Size(t.Type))
		}
		if unquoted, ok := strings.CutPrefix(text, `"`); ok {
			if text, ok = strings.CutSuffix(unquoted, `"`); !ok {
				return fmt.Errorf("no quotation mark at its end")
			}
		}
		if len(text) >= len(dst) {
			return fmt.Errorf("%d bytes of text and a zero do not fit in %d", len(text), len(dst))
		}
		copy(dst, text)
		return nil
	case *btf.Int, *btf.Enum:
		if isText && (text == "y" || text == "n" || text == "m") {
			return encodeTristate(t, text, dst)
		}
		return encodeNumber(t, given, dst)
	}
	return fmt.Errorf("the variable's type %v cannot have one", t)
}

// encodeTristate stores y, n or m. An enum libbpf_tristate has 0 for no, 1 for yes and 2
// for module.
func encodeTristate(t btf.Type, text string, dst []byte) error {
	value := map[string]uint64{"n": 0, "y": 1, "m": 2}[text]
	switch t := t.(type) {
	case *btf.Enum:
		if t.Name != "libbpf_tristate" {
			return fmt.Errorf("the variable is an enum %s", t.Name)
		}
	case *btf.Int:
		switch {
		case t.Encoding == btf.Bool && text == "m":
			return fmt.Errorf("m for a bool")
		case t.Encoding != btf.Bool && t.Size != 1:
			return fmt.Errorf("%s for an integer of %d bytes", text, t.Size)
		case t.Encoding != btf.Bool:
			value = uint64(text[0]) // libbpf gives the letter to a char
		}
	}
	return putNumber(dst, value)
}

// encodeNumber stores an integer or bool, given as such or as text.
func encodeNumber(t btf.Type, given any, dst []byte) error {
	var value uint64
	negative := false
	switch v := reflect.ValueOf(given); {
	case !v.IsValid():
		return fmt.Errorf("no value")
	case v.Kind() == reflect.Bool:
		if v.Bool() {
			value = 1
		}
	case v.CanInt():
		value, negative = uint64(v.Int()), v.Int() < 0
	case v.CanUint():
		value = v.Uint()
	case v.Kind() == reflect.String:
		s := v.String()
		if n, err := strconv.ParseUint(s, 0, 64); err == nil {
			value = n
		} else if n, err := strconv.ParseInt(s, 0, 64); err == nil {
			value, negative = uint64(n), true
		} else {
			return fmt.Errorf("not a number")
		}
	default:
		return fmt.Errorf("%T is neither a number nor text", given)
	}
	signed, bits := true, uint(len(dst))*8
	switch t := t.(type) {
	case *btf.Int:
		signed = t.Encoding == btf.Signed
		if t.Encoding == btf.Bool {
			signed, bits = false, 1
		}
	case *btf.Enum:
		signed = t.Signed
	}
	switch {
	case bits > 64 || bits == 0:
		return fmt.Errorf("the variable has %d bytes", len(dst))
	case negative && (!signed || int64(value) < -1<<(bits-1)), !negative && signed && value > 1<<(bits-1)-1,
		!negative && bits < 64 && value>>bits != 0:
		return fmt.Errorf("out of range for %d bits, signed %v", bits, signed)
	}
	return putNumber(dst, value)
}

// putNumber stores the low bytes of value in the host's byte order.
func putNumber(dst []byte, value uint64) error {
	switch len(dst) {
	case 1:
		dst[0] = uint8(value)
	case 2:
		binary.NativeEndian.PutUint16(dst, uint16(value))
	case 4:
		binary.NativeEndian.PutUint32(dst, uint32(value))
	case 8:
		binary.NativeEndian.PutUint64(dst, value)
	default:
		return fmt.Errorf("the variable has %d bytes", len(dst))
	}
	return nil
}
