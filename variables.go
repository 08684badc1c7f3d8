package sandbpf

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"fmt"
	"reflect"
)

// Set sets the value that the variable has when the programs start: the bytes, a
// string (zeros fill the rest), an integer or bool of any Go type if its value fits,
// an encoding.BinaryMarshaler, or what encoding/binary takes, of exactly the
// variable's size and in the host's byte order.
func (v *VariableSpec) Set(value any) error {
	data, err := v.marshal(value)
	if err == nil && len(data) != len(v.Value) {
		err = fmt.Errorf("%T has %d bytes", value, len(data))
	}
	if err != nil {
		return fmt.Errorf("variable %s of %d bytes: %w", v.Name, len(v.Value), err)
	}
	copy(v.Value, data)
	return nil
}

func (v *VariableSpec) marshal(value any) ([]byte, error) {
	if isNil(value) {
		return nil, fmt.Errorf("nil %T", value)
	}
	switch value := value.(type) {
	case []byte:
		return value, nil
	case string:
		if len(value) > len(v.Value) {
			return nil, fmt.Errorf("string has %d bytes", len(value))
		}
		return append([]byte(value), make([]byte, len(v.Value)-len(value))...), nil
	case encoding.BinaryMarshaler:
		return value.MarshalBinary()
	}
	r := reflect.ValueOf(value)
	switch {
	case r.CanInt():
		n := r.Int()
		return v.integer(uint64(n), n>>63 == -1, value)
	case r.CanUint():
		return v.integer(r.Uint(), false, value)
	case r.Kind() == reflect.Bool && r.Bool():
		return v.integer(1, false, value)
	case r.Kind() == reflect.Bool:
		return v.integer(0, false, value)
	}
	return binary.Append(nil, binary.NativeEndian, value)
}

// integer returns n, of which negative says the sign, in as many bytes as the variable has.
func (v *VariableSpec) integer(n uint64, negative bool, value any) ([]byte, error) {
	size := len(v.Value)
	if size != 1 && size != 2 && size != 4 && size != 8 {
		return nil, fmt.Errorf("it is no integer, %T is", value)
	}
	bits := uint(8 * size)
	if negative && int64(n) < -1<<(bits-1) || !negative && bits < 64 && n>>bits != 0 {
		return nil, fmt.Errorf("%v does not fit", value)
	}
	b := binary.NativeEndian.AppendUint64(nil, n)
	if binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		return b[8-size:], nil
	}
	return b[:size], nil
}

// Get stores the value that the variable has when the programs start in what out points
// to: a []byte or string (up to the first zero byte) of any size, an
// encoding.BinaryUnmarshaler, or what encoding/binary takes, of exactly the variable's
// size.
func (v *VariableSpec) Get(out any) error {
	if isNil(out) {
		return fmt.Errorf("variable %s: nil %T", v.Name, out)
	}
	switch out := out.(type) {
	case *[]byte:
		*out = bytes.Clone(v.Value)
		return nil
	case *string:
		text, _, _ := bytes.Cut(v.Value, []byte{0})
		*out = string(text)
		return nil
	case encoding.BinaryUnmarshaler:
		if err := out.UnmarshalBinary(v.Value); err != nil {
			return fmt.Errorf("variable %s: %w", v.Name, err)
		}
		return nil
	}
	if size := binary.Size(out); size != len(v.Value) {
		return fmt.Errorf("variable %s of %d bytes: %T has %d", v.Name, len(v.Value), out, size)
	}
	if _, err := binary.Decode(v.Value, binary.NativeEndian, out); err != nil {
		return fmt.Errorf("variable %s: %w", v.Name, err)
	}
	return nil
}

func isNil(v any) bool {
	r := reflect.ValueOf(v)
	return !r.IsValid() || r.Kind() == reflect.Pointer && r.IsNil()
}
