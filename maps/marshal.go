package maps

import (
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"unsafe"
)

// Marshalling follows cilium/ebpf: fixed-size values in the host's byte order
// as encoding/binary has them (no padding), []byte, string, and
// encoding.BinaryMarshaler; the size must be exact. Beyond that, a netip.Addr is
// its 4 or 16 bytes, and a netip.Prefix the key of an LPMTrie: the length in
// bits as uint32, then the address.

// marshal returns data as size bytes. The result may be data's own memory.
func marshal(data any, size int) (buf []byte, err error) {
	switch v := data.(type) {
	case nil:
		return nil, errors.New("can't marshal a nil value")
	case []byte:
		buf = v
	case string:
		buf = []byte(v)
	case uint32:
		buf = binary.NativeEndian.AppendUint32(nil, v)
	case uint64:
		buf = binary.NativeEndian.AppendUint64(nil, v)
	case unsafe.Pointer:
		if v == nil {
			return nil, errors.New("can't marshal a nil pointer")
		}
		return unsafe.Slice((*byte)(v), size), nil
	case netip.Addr:
		buf = v.AsSlice()
	case netip.Prefix:
		buf = append(binary.NativeEndian.AppendUint32(nil, uint32(v.Bits())), v.Addr().AsSlice()...)
	case encoding.BinaryMarshaler:
		if isNil(data) {
			return nil, fmt.Errorf("can't marshal a nil %T", data)
		}
		buf, err = v.MarshalBinary()
	default:
		if isNil(data) {
			return nil, fmt.Errorf("can't marshal a nil %T", data)
		}
		buf, err = binary.Append(nil, binary.NativeEndian, data)
	}
	if err != nil {
		return nil, err
	}
	if len(buf) != size {
		return nil, fmt.Errorf("%T marshals to %d bytes, want %d", data, len(buf), size)
	}
	return buf, nil
}

func isNil(data any) bool {
	v := reflect.ValueOf(data)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// unmarshal fills what dst points at from buf. *[]byte and *string get a copy of
// any size; everything else must have the size of buf.
func unmarshal(dst any, buf []byte) error {
	if dst == nil || isNil(dst) {
		return fmt.Errorf("can't unmarshal into a nil %T", dst)
	}
	switch v := dst.(type) {
	case *[]byte:
		*v = slices.Clone(buf)
		return nil
	case *string:
		*v = string(buf)
		return nil
	case unsafe.Pointer:
		if v == nil {
			return errors.New("can't unmarshal into a nil pointer")
		}
		copy(unsafe.Slice((*byte)(v), len(buf)), buf)
		return nil
	case *netip.Addr:
		addr, ok := netip.AddrFromSlice(buf)
		if !ok {
			return fmt.Errorf("can't unmarshal %d bytes into a %T", len(buf), dst)
		}
		*v = addr
		return nil
	case *netip.Prefix:
		return unmarshalPrefix(v, buf)
	case encoding.BinaryUnmarshaler:
		return v.UnmarshalBinary(buf)
	}
	if n := binary.Size(dst); n != len(buf) {
		return fmt.Errorf("can't unmarshal %d bytes into a %T of %d", len(buf), dst, n)
	}
	return decode(buf, dst)
}

// decode is binary.Decode, which panics if dst has fields that are not exported.
func decode(buf []byte, dst any) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("can't unmarshal into a %T: %v", dst, r)
		}
	}()
	_, err = binary.Decode(buf, binary.NativeEndian, dst)
	return err
}

func unmarshalPrefix(dst *netip.Prefix, buf []byte) error {
	if len(buf) == lpmHeader+4 || len(buf) == lpmHeader+16 {
		addr, _ := netip.AddrFromSlice(buf[lpmHeader:])
		if length := binary.NativeEndian.Uint32(buf); length <= uint32(addr.BitLen()) {
			*dst = netip.PrefixFrom(addr, int(length))
			return nil
		}
	}
	return fmt.Errorf("can't unmarshal %x into a %T", buf, dst)
}

// marshalPerCPU returns the values of all CPUs, each rounded up to 8 bytes, from a
// slice with one element for each. Missing ones are 0.
func marshalPerCPU(data any, size, cpus int) ([]byte, error) {
	v := reflect.ValueOf(data)
	if v.Kind() != reflect.Slice {
		return nil, fmt.Errorf("a per-CPU value is a slice with an element for each CPU, not a %T", data)
	}
	if v.Len() > cpus {
		return nil, fmt.Errorf("per-CPU value has %d elements, want at most %d", v.Len(), cpus)
	}
	stride := round8(uint32(size))
	buf := make([]byte, int(stride)*cpus)
	for i := range v.Len() {
		b, err := marshal(v.Index(i).Interface(), size)
		if err != nil {
			return nil, fmt.Errorf("CPU %d: %w", i, err)
		}
		copy(buf[i*int(stride):], b)
	}
	return buf, nil
}

// unmarshalPerCPU fills a slice, or what a *slice points at (which is made if it
// is shorter), with the value of each CPU.
func unmarshalPerCPU(dst any, buf []byte, size, cpus int) error {
	v := reflect.ValueOf(dst)
	if v.Kind() == reflect.Pointer && !v.IsNil() && v.Elem().Kind() == reflect.Slice {
		if v = v.Elem(); v.Len() < cpus {
			v.Set(reflect.MakeSlice(v.Type(), cpus, cpus))
		}
	}
	if v.Kind() != reflect.Slice || v.Len() < cpus {
		return fmt.Errorf("a per-CPU value goes into a slice of %d elements, not a %T", cpus, dst)
	}
	stride := int(round8(uint32(size)))
	for i := range cpus {
		elem := v.Index(i)
		if elem.Kind() == reflect.Pointer && elem.IsNil() {
			elem.Set(reflect.New(elem.Type().Elem()))
		}
		to := elem
		if elem.Kind() != reflect.Pointer {
			to = elem.Addr()
		}
		if err := unmarshal(to.Interface(), buf[i*stride:][:size]); err != nil {
			return fmt.Errorf("CPU %d: %w", i, err)
		}
	}
	return nil
}

// userSize is the size of a value as the user side copies it.
func (c *core) userSize() int {
	if c.typ.PerCPU() {
		return int(round8(c.valueSize)) * c.numCPU
	}
	return int(c.valueSize)
}

func (c *core) marshalKey(key any) ([]byte, error) {
	if key == nil && c.keySize == 0 {
		return nil, nil
	}
	buf, err := marshal(key, int(c.keySize))
	if err != nil {
		return nil, fmt.Errorf("can't marshal key: %w", err)
	}
	return buf, nil
}

func (c *core) marshalValue(value any) (buf []byte, err error) {
	switch v := value.(type) {
	case *Map:
		return c.marshalInner(v)
	default:
		if c.typ.PerCPU() {
			buf, err = marshalPerCPU(value, int(c.valueSize), c.numCPU)
		} else {
			buf, err = marshal(value, int(c.valueSize))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("can't marshal value: %w", err)
	}
	return buf, nil
}

func (c *core) marshalInner(m *Map) ([]byte, error) {
	switch {
	case c.inner == nil:
		return nil, fmt.Errorf("can't marshal value: a %v has no maps in it", c.typ)
	case m == nil:
		return nil, errors.New("can't marshal value: nil *Map")
	case m.closed.Load() && m != m.prog:
		return nil, fmt.Errorf("can't marshal value: %w", ErrClosed)
	}
	return binary.NativeEndian.AppendUint32(nil, m.id), nil
}

func (c *core) unmarshalValue(dst any, buf []byte) error {
	if v, ok := dst.(**Map); ok && v != nil {
		if c.inner == nil {
			return fmt.Errorf("can't unmarshal value: a %v has no maps in it", c.typ)
		}
		m, err := FromID(binary.NativeEndian.Uint32(buf))
		if err != nil {
			return fmt.Errorf("can't unmarshal value: %w", err)
		}
		*v = m
		return nil
	}
	if _, ok := dst.(*Map); ok {
		return errors.New("can't unmarshal value into a *Map, need a **Map")
	}
	var err error
	if c.typ.PerCPU() {
		err = unmarshalPerCPU(dst, buf, int(c.valueSize), c.numCPU)
	} else {
		err = unmarshal(dst, buf)
	}
	if err != nil {
		return fmt.Errorf("can't unmarshal value: %w", err)
	}
	return nil
}
