package helper

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strconv"

	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/vm"
	"github.com/sandbpf/sandbpf/maps"
)

// The format language of bpf_trace_printk and bpf_snprintf, as Linux checks it in
// bpf_bprintf_prepare and prints it in bstr_printf:
//
//	%[flags 0 + - space][width] d i u x X, with l or ll for 64 bits
//	%c %s %%
//	%p %px %pK %ps %pS %pB  a pointer
//	%pks %pus               a string in kernel or user memory
//	%pI4 %pi4 %pI6 %pi6     an address, by pointer
//
// Linux takes pointers for secrets and prints a hash of them, or a symbol; here
// they are numbers.

const (
	printArgs   = 12   // MAX_BPRINTF_VARARGS
	printMemory = 512  // MAX_BPRINTF_BIN_ARGS: bytes that all arguments take together
	traceLine   = 1024 // MAX_BPRINTF_BUF
	maxWidth    = 1<<23 - 1
)

// spec is a conversion of a format.
type spec struct {
	verb                    byte // d, u, x, X, c, s, p (number), b (pointer as symbol), t (string by pointer), I, i (address)
	long                    bool
	ip6                     bool
	left, plus, space, zero bool
	width                   int
	end                     int // index behind it
}

// printer formats one call.
type printer struct {
	format []byte
	values [printArgs]uint64
	text   [printArgs][]byte // of strings, addresses: in memory
	memory [printMemory]byte
	used   int // bytes of memory
}

// isAlnum is the kernel's isalnum, which counts the letters of Latin-1.
func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' || c >= 0xc0 && c != 0xd7 && c != 0xf7
}

// endsWord reports whether a conversion of letters may end before c: at the
// end, a space or a punctuation mark.
func endsWord(c byte) bool {
	return c == 0 || isSpace(c) || !isAlnum(c) && (c > ' ' && c < 0x7f || c > 0xa0)
}

func (p *printer) at(i int) byte {
	if i < len(p.format) {
		return p.format[i]
	}
	return 0
}

// parse reads the conversion behind the % at i.
func (p *printer) parse(i int) (s spec, ok bool) {
	i++
	for ; ; i++ {
		switch p.at(i) {
		case '0':
			s.zero = true
			continue
		case '+':
			s.plus = true
			continue
		case '-':
			s.left = true
			continue
		case ' ':
			s.space = true
			continue
		}
		break
	}
	for ; '0' <= p.at(i) && p.at(i) <= '9'; i++ {
		s.width = min(s.width*10+int(p.at(i)-'0'), maxWidth)
	}
	switch p.at(i) {
	case 'p':
		return p.parsePointer(s, i+1)
	case 's':
		s.verb, s.end = 's', i+1
		return s, endsWord(p.at(i + 1))
	case 'c':
		s.verb, s.end = 'c', i+1
		return s, true
	case 'l':
		s.long = true
		if i++; p.at(i) == 'l' {
			i++
		}
	}
	s.verb, s.end = p.at(i), i+1
	switch s.verb {
	case 'i':
		s.verb = 'd'
	case 'd', 'u', 'x', 'X':
	default:
		return s, false
	}
	return s, true
}

// parsePointer reads what follows %p.
func (p *printer) parsePointer(s spec, i int) (spec, bool) {
	s.long = true
	next := p.at(i + 1)
	switch c := p.at(i); {
	case endsWord(c):
		s.verb, s.end = 'p', i
	case (c == 'k' || c == 'u') && next == 's':
		s.verb, s.end = 't', i+2
		return s, endsWord(p.at(i + 2))
	case c == 'K' || c == 'x':
		s.verb, s.end = 'p', i+1
	case c == 's' || c == 'S' || c == 'B':
		s.verb, s.end = 'b', i+1
	case (c == 'i' || c == 'I') && (next == '4' || next == '6'):
		s.verb, s.ip6, s.end = c, next == '6', i+2
	default:
		return s, false
	}
	return s, true
}

// prepare checks the format and fetches what its arguments point to.
func (p *printer) prepare(c *vm.CPU, format []byte, args []uint64) maps.Errno {
	p.format = format
	n := 0
	for i := 0; i < len(format); {
		if ch := format[i]; ch == 0x7f || ch < ' ' && !isSpace(ch) { // text may be UTF-8
			return maps.EINVAL
		}
		if format[i] != '%' {
			i++
			continue
		}
		if p.at(i+1) == '%' {
			i += 2
			continue
		}
		if n >= len(args) {
			return maps.EINVAL
		}
		s, ok := p.parse(i)
		if !ok {
			return maps.EINVAL
		}
		if no := p.fetch(c, &s, n, args[n]); no != 0 {
			return no
		}
		n++
		i = s.end
	}
	return 0
}

// fetch puts an argument into the printer and counts the memory that it takes
// in Linux.
func (p *printer) fetch(c *vm.CPU, s *spec, n int, arg uint64) maps.Errno {
	p.values[n] = arg
	rest := p.memory[p.used:]
	switch s.verb {
	case 's', 't':
		if len(rest) == 0 {
			return maps.ENOSPC
		}
		p.text[n] = copyString(rest, readable(c, arg))
		p.used += len(p.text[n]) + 1
	case 'i', 'I':
		var addr [16]byte
		size := 4
		if s.ip6 {
			size = 16
		}
		if len(rest) < size {
			return maps.ENOSPC
		}
		if b := readable(c, arg); len(b) >= size {
			copy(addr[:], b[:size])
		}
		text := appendAddr(nil, addr[:size], s.verb == 'i')
		p.text[n] = rest[:copy(rest, text)]
		p.used = min(p.used+len(text)+1, len(p.memory))
	case 'c':
		if len(rest) == 0 {
			return maps.ENOSPC
		}
		p.used++
	default:
		p.used = (p.used + 3) &^ 3
		size := 4
		if s.long {
			size = 8
		}
		if len(p.memory)-p.used < size {
			return maps.ENOSPC
		}
		p.used += size
	}
	return 0
}

// copyString copies the string at the start of src, cut to leave room for a zero byte.
// It is empty if src ends before the string does.
func copyString(dst, src []byte) []byte {
	n := bytes.IndexByte(src, 0)
	if n < 0 && len(src) < len(dst) {
		return dst[:0]
	}
	if n < 0 || n > len(dst)-1 {
		n = len(dst) - 1
	}
	return dst[:copy(dst, src[:n])]
}

// appendAddr appends an IPv4 or IPv6 address; plain is with leading zeros, and
// without the colons of IPv6.
func appendAddr(b, addr []byte, plain bool) []byte {
	for i, v := range addr {
		switch {
		case len(addr) == 16:
			if i > 0 && i%2 == 0 && !plain {
				b = append(b, ':')
			}
			b = hex.AppendEncode(b, []byte{v})
		default:
			if i > 0 {
				b = append(b, '.')
			}
			if plain {
				b = append(b, "00"[:2-min(int(v)/10, 1)-min(int(v)/100, 1)]...)
			}
			b = strconv.AppendUint(b, uint64(v), 10)
		}
	}
	return b
}

// output is text that goes to a buffer as far as it fits.
type output struct {
	buf []byte
	n   int // how long it would be
}

func (o *output) write(b []byte) {
	if o.n < len(o.buf) {
		copy(o.buf[o.n:], b)
	}
	o.n += len(b)
}

// fill writes n times c.
func (o *output) fill(c byte, n int) {
	for i := o.n; i < min(o.n+n, len(o.buf)); i++ {
		o.buf[i] = c
	}
	o.n += max(n, 0)
}

// print writes the prepared text to buf, cut if need be, with a zero byte behind it,
// and returns how long it is in full.
func (p *printer) print(buf []byte) int {
	o := output{buf: buf}
	n := 0
	for i := 0; i < len(p.format); {
		if p.format[i] != '%' || p.at(i+1) == '%' {
			o.write(p.format[i : i+1])
			if p.format[i] == '%' {
				i++
			}
			i++
			continue
		}
		s, ok := p.parse(i)
		if !ok || n == printArgs { // the program has overwritten its format meanwhile
			break
		}
		p.convert(&o, &s, n)
		n++
		i = s.end
		switch s.verb {
		case 'p', 'b', 't', 'i', 'I': // Linux takes all letters for part of the conversion
			for isAlnum(p.at(i)) {
				i++
			}
		}
	}
	if len(buf) > 0 {
		buf[min(o.n, len(buf)-1)] = 0
	}
	return o.n
}

// convert writes an argument.
func (p *printer) convert(o *output, s *spec, n int) {
	var digits [24]byte
	v := p.values[n]
	switch s.verb {
	case 't', 'i', 'I': // made beforehand: no width
		o.write(p.text[n])
	case 's':
		o.pad(s, p.text[n])
	case 'c':
		o.pad(s, []byte{byte(v)})
	case 'b':
		o.pad(s, strconv.AppendUint(append(digits[:0], "0x"...), v, 16))
	case 'p':
		if s.width == 0 {
			s.width, s.zero = 16, true
		}
		o.number(s, strconv.AppendUint(digits[:0], v, 16), 0)
	case 'd':
		i := int64(v)
		if !s.long {
			i = int64(int32(v))
		}
		o.number(s, strconv.AppendUint(digits[:0], abs(i), 10), s.sign(i < 0))
	default:
		if !s.long {
			v = uint64(uint32(v))
		}
		base := 16
		if s.verb == 'u' {
			base = 10
		}
		b := strconv.AppendUint(digits[:0], v, base)
		if s.verb == 'X' {
			b = bytes.ToUpper(b)
		}
		o.number(s, b, 0)
	}
}

func abs(i int64) uint64 {
	if i < 0 {
		return -uint64(i)
	}
	return uint64(i)
}

// sign returns the character before a number, 0 for none.
func (s *spec) sign(negative bool) byte {
	switch {
	case negative:
		return '-'
	case s.plus:
		return '+'
	case s.space:
		return ' '
	}
	return 0
}

// pad writes text in a field of the conversion's width.
func (o *output) pad(s *spec, text []byte) {
	if !s.left {
		o.fill(' ', s.width-len(text))
	}
	o.write(text)
	if s.left {
		o.fill(' ', s.width-len(text))
	}
}

func (o *output) number(s *spec, digits []byte, sign byte) {
	width := len(digits)
	if sign != 0 {
		width++
	}
	zero := s.zero && !s.left
	if !s.left && !zero {
		o.fill(' ', s.width-width)
	}
	if sign != 0 {
		o.write([]byte{sign})
	}
	if zero {
		o.fill('0', s.width-width)
	}
	o.write(digits)
	if s.left {
		o.fill(' ', s.width-width)
	}
}

// formatArg returns the format string in n bytes at addr, false if it has no end there.
func formatArg(c *vm.CPU, addr, n uint64) ([]byte, bool, error) {
	b, err := memArg(c, addr, n, mem.Read)
	if err != nil {
		return nil, false, err
	}
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return nil, false, nil
	}
	return b[:i], true, nil
}

// listArg returns the arguments that lie in n bytes at addr.
func listArg(c *vm.CPU, addr, n uint64, list *[printArgs]uint64) ([]uint64, maps.Errno, error) {
	if n%8 != 0 || n > printArgs*8 || n != 0 && addr == 0 {
		return nil, maps.EINVAL, nil
	}
	b, err := memOrNull(c, addr, n, mem.Read)
	if err != nil {
		return nil, 0, err
	}
	for i := range len(b) / 8 {
		list[i] = binary.NativeEndian.Uint64(b[i*8:])
	}
	return list[:len(b)/8], 0, nil
}

func tracePrintk(c *vm.CPU, args *[5]uint64) (uint64, error) {
	return trace(c, args, args[2:5])
}

func traceVprintk(c *vm.CPU, args *[5]uint64) (uint64, error) {
	var list [printArgs]uint64
	values, no, err := listArg(c, args[2], uint64(uint32(args[3])), &list)
	if err != nil || no != 0 {
		return errno(no), err
	}
	return trace(c, args, values)
}

// trace prints a line for vm.Options.Trace.
func trace(c *vm.CPU, args *[5]uint64, values []uint64) (uint64, error) {
	format, ok, err := formatArg(c, args[0], uint64(uint32(args[1])))
	if err != nil || !ok {
		return errno(maps.EINVAL), err
	}
	var p printer
	if no := p.prepare(c, format, values); no != 0 {
		return errno(no), nil
	}
	var line [traceLine + 1]byte
	n := p.print(line[:traceLine])
	end := min(n, traceLine-1)
	if end == 0 || line[end-1] != '\n' {
		line[end] = '\n'
		end++
	}
	c.M.Tracef(line[:end])
	return uint64(n), nil
}

func snprintf(c *vm.CPU, args *[5]uint64) (uint64, error) {
	var list [printArgs]uint64
	values, no, err := listArg(c, args[3], uint64(uint32(args[4])), &list)
	if err != nil || no != 0 {
		return errno(no), err
	}
	buf, err := memOrNull(c, args[0], uint64(uint32(args[1])), mem.Write)
	if err != nil {
		return 0, err
	}
	format, err := c.String(args[2], math.MaxInt32)
	if err != nil {
		return 0, err
	}
	var p printer
	if no := p.prepare(c, format, values); no != 0 {
		return errno(no), nil
	}
	return uint64(p.print(buf) + 1), nil
}
