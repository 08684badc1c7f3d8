package cbpf

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// ErrSyntax is what every [SyntaxError] is.
var ErrSyntax = errors.New("syntax error")

// SyntaxError says where text is no classic BPF program.
type SyntaxError struct {
	Line, Column int    // from 1; columns count bytes
	Want         string // what was expected
	Got          string // what is there
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: want %s, got %s", e.Line, e.Column, e.Want, e.Got)
}

// Is reports whether target is [ErrSyntax].
func (e *SyntaxError) Is(target error) bool { return target == ErrSyntax }

// Parse reads a program from any of three texts:
//
//   - what tcpdump -ddd prints: the number of instructions, then op, jt, jf and k
//     of each on a line of its own;
//   - the same with commas for line ends, also in double quotes, as iptables -m bpf
//     and tc have it: "2,48 0 0 0,22 0 0 0";
//   - what tcpdump -dd prints, an array initialiser in C: { 0x28, 0, 0, 0x0000000c },
//
// Numbers are decimal or, after 0x, hexadecimal. What the numbers mean is not
// checked: see [Program.Validate]. The error is a [*SyntaxError].
func Parse(text string) (Program, error) {
	s := &scanner{text: text}
	if s.next() == "{" {
		return s.initialiser()
	}
	return s.bytecode()
}

// bytecode reads the forms that start with a count. A comma ends a line.
func (s *scanner) bytecode() (Program, error) {
	quoted := s.accept(`"`)
	count, err := s.number(32, "the number of instructions or {")
	if err != nil {
		return nil, err
	}
	var p Program
	for uint64(len(p)) < count {
		if err := s.nextRecord(fmt.Sprintf("instruction %d of %d on a line of its own or after a comma", len(p)+1, count)); err != nil {
			return nil, err
		}
		ins, err := s.fields("")
		if err != nil {
			return nil, err
		}
		p = append(p, ins)
	}
	s.accept(",") // tr '\n' ',' leaves one at the end
	if quoted && !s.accept(`"`) {
		return nil, s.unexpected(`"`)
	}
	if s.next() != "" {
		return nil, s.unexpected(fmt.Sprintf("the end after %d instructions", count))
	}
	return p, nil
}

// nextRecord wants a line end, a comma, or both, and something behind it.
func (s *scanner) nextRecord(want string) error {
	line := s.line
	if tok := s.next(); !s.accept(",") && (tok == "" || s.line == line) {
		return s.unexpected(want)
	}
	return nil
}

// initialiser reads { op, jt, jf, k }, ...
func (s *scanner) initialiser() (Program, error) {
	var p Program
	for s.next() != "" {
		if !s.accept("{") {
			return nil, s.unexpected("{")
		}
		ins, err := s.fields(",")
		if err != nil {
			return nil, err
		}
		if !s.accept("}") {
			return nil, s.unexpected("}")
		}
		p = append(p, ins)
		if !s.accept(",") && s.next() != "" {
			return nil, s.unexpected("a comma")
		}
	}
	return p, nil
}

// fields reads the four numbers of an instruction, with sep between them, ""
// for white space within the line.
func (s *scanner) fields(sep string) (Instruction, error) {
	var value [4]uint64
	for i, f := range [4]struct {
		bits int
		want string
	}{{16, "op (0 to 65535)"}, {8, "jt (0 to 255)"}, {8, "jf (0 to 255)"}, {32, "k (0 to 4294967295)"}} {
		line := s.line
		s.next()
		switch {
		case i > 0 && sep != "" && !s.accept(sep):
			return Instruction{}, s.unexpected("a comma")
		case i > 0 && sep == "" && s.line != line:
			return Instruction{}, s.unexpected(f.want + " on the line before")
		}
		var err error
		if value[i], err = s.number(f.bits, f.want); err != nil {
			return Instruction{}, err
		}
	}
	return Instruction{Op: uint16(value[0]), Jt: uint8(value[1]), Jf: uint8(value[2]), K: uint32(value[3])}, nil
}

// scanner cuts text into punctuation marks and words.
type scanner struct {
	text      string
	pos       int // of the token that next returns
	line      int // of that token, from 0
	lineStart int
}

// next returns the next token without taking it, "" at the end.
func (s *scanner) next() string {
	for s.pos < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.pos]) >= 0 {
		if s.text[s.pos] == '\n' {
			s.line++
			s.lineStart = s.pos + 1
		}
		s.pos++
	}
	rest := s.text[s.pos:]
	switch end := strings.IndexAny(rest, " \t\r\n,{}\""); {
	case end < 0:
		return rest
	case end == 0:
		return rest[:1]
	default:
		return rest[:end]
	}
}

// accept takes the next token if it is tok.
func (s *scanner) accept(tok string) bool {
	if s.next() != tok {
		return false
	}
	s.pos += len(tok)
	return true
}

func (s *scanner) number(bits int, want string) (uint64, error) {
	tok := s.next()
	digits, base := tok, 10
	if hex, ok := strings.CutPrefix(strings.ToLower(tok), "0x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, bits)
	if err != nil {
		return 0, s.unexpected(want)
	}
	s.pos += len(tok)
	return n, nil
}

func (s *scanner) unexpected(want string) error {
	const longest = 32 // bytes of hostile text to repeat
	got := "the end"
	if tok := s.next(); tok != "" {
		got = strconv.Quote(tok[:min(len(tok), longest)])
	}
	return &SyntaxError{Line: s.line + 1, Column: s.pos - s.lineStart + 1, Want: want, Got: got}
}
