package helper

import (
	"encoding/binary"
	"math"
	"math/bits"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// strtol reads a signed number and returns how many bytes it takes.
func strtol(c *vm.CPU, args *[5]uint64) (uint64, error) {
	return parseNumber(c, args, func(v uint64, negative bool) (uint64, maps.Errno) {
		switch {
		case negative && v > -math.MinInt64, !negative && v > math.MaxInt64:
			return 0, eRANGE
		case negative:
			return -v, 0
		}
		return v, 0
	})
}

// strtoul reads an unsigned number, without a sign.
func strtoul(c *vm.CPU, args *[5]uint64) (uint64, error) {
	return parseNumber(c, args, func(v uint64, negative bool) (uint64, maps.Errno) {
		if negative {
			return 0, maps.EINVAL
		}
		return v, 0
	})
}

func parseNumber(c *vm.CPU, args *[5]uint64, signed func(uint64, bool) (uint64, maps.Errno)) (uint64, error) {
	b, err := memArg(c, args[0], args[1], mem.Read)
	if err != nil {
		return 0, err
	}
	res, err := c.Bytes(args[3], 8, mem.Write)
	if err != nil {
		return 0, err
	}
	clear(res)
	v, n, negative, no := scanNumber(b, args[2])
	if no == 0 {
		v, no = signed(v, negative)
	}
	if no != 0 {
		return errno(no), nil
	}
	binary.NativeEndian.PutUint64(res, v)
	return uint64(n), nil
}

// scanNumber is __bpf_strtoull: space, a sign, and at most 63 bytes of digits
// with their prefix. n counts all of them.
func scanNumber(b []byte, flags uint64) (v uint64, n int, negative bool, no maps.Errno) {
	base := flags
	if len(b) == 0 || base != 0 && base != 8 && base != 10 && base != 16 {
		return 0, 0, false, maps.EINVAL
	}
	for n < len(b) && isSpace(b[n]) {
		n++
	}
	if n < len(b) && b[n] == '-' {
		negative = true
		n++
	}
	s := b[n:min(len(b), n+63)]
	at := func(i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	hex := at(0) == '0' && at(1)|0x20 == 'x'
	if base == 0 {
		switch {
		case hex && digit(at(2)) < 16:
			base = 16
		case at(0) == '0':
			base = 8
		default:
			base = 10
		}
	}
	start := 0
	if base == 16 && hex {
		start = 2
	}
	i, overflow := start, false
	for ; uint64(digit(at(i))) < base; i++ {
		hi, lo := bits.Mul64(v, base)
		sum, carry := bits.Add64(lo, uint64(digit(at(i))), 0)
		overflow = overflow || hi != 0 || carry != 0
		v = sum
	}
	switch {
	case overflow:
		return 0, 0, negative, eRANGE
	case i == start:
		return 0, 0, negative, maps.EINVAL
	}
	return v, n + i, negative, 0
}

// digit returns the value of a digit of any base up to 16, 255 if it is none.
func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// isSpace is the kernel's isspace, which counts the no-break space of Latin-1.
func isSpace(c byte) bool { return c == ' ' || c-'\t' < 5 || c == 0xa0 }

// strncmp compares memory with a constant string and returns -1, 0 or 1.
func strncmp(c *vm.CPU, args *[5]uint64) (uint64, error) {
	a, err := memArg(c, args[0], uint64(uint32(args[1])), mem.Read)
	if err != nil {
		return 0, err
	}
	b, err := c.String(args[2], len(a))
	if err != nil {
		return 0, err
	}
	for i, ch := range a {
		other := byte(0)
		if i < len(b) {
			other = b[i]
		}
		switch {
		case ch < other:
			return math.MaxUint64, nil
		case ch > other:
			return 1, nil
		case ch == 0:
			return 0, nil
		}
	}
	return 0, nil
}
