package asm

import "strings"

// token is a word of the source and where it stands.
type token struct {
	kind   tokenKind
	text   string
	column int
	num    number // tokenNumber; of tokenNumbered the number behind '#'
}

type tokenKind uint8

const (
	tokenEnd      tokenKind = iota
	tokenWord               // name, r1, %r1, "id:"
	tokenNumber             // 12, -0x1f, +4, 'a'
	tokenNumbered           // name#12
	tokenPunct              // += [
	tokenBad                // a character or number that no text has
)

// number is a literal as it was written: what range it must be in, and whether
// its hex digits may stand for a negative value, depends on where it stands.
type number struct {
	magnitude uint64
	negative  bool
	signed    bool // has a sign
	hex       bool
}

// key is what a literal token of a form is looked up by.
func (t token) key() string {
	if t.kind == tokenNumber && t.num.magnitude < 10 && !t.num.signed {
		return "0123456789"[t.num.magnitude:][:1]
	}
	if t.kind == tokenWord || t.kind == tokenPunct {
		return t.text
	}
	return ""
}

// isName reports whether the token can be the name of a label, a constant or
// what a loader knows.
func (t token) isName() bool {
	return t.kind == tokenWord && t.text[0] != '%' && t.text[len(t.text)-1] != ':'
}

// got names the token in an error.
func (t token) got() string {
	if t.kind == tokenEnd {
		return "end of line"
	}
	return quote(t.text)
}

// The operators of more than one character, longest first. A leading s, for
// signed, belongs to the operator: "s>>=" and "s<".
var operators = [...]string{"<<=", ">>=", "<=", ">=", "==", "!=", "+=", "-=", "*=", "/=", "%=", "|=", "&=", "^="}

// lexer splits a line, without copying it, up to a comment: ';', '//' or a '#'
// that is not in the middle of "name#12".
type lexer struct {
	line string
	pos  int
}

// tokens appends the tokens of the rest of the line, the last of tokenEnd.
func (l *lexer) tokens(out []token) []token {
	for {
		t := l.next()
		out = append(out, t)
		if t.kind == tokenEnd || t.kind == tokenBad {
			return out
		}
	}
}

func (l *lexer) next() token {
	for l.pos < len(l.line) && isSpace(l.line[l.pos]) {
		l.pos++
	}
	rest := l.line[l.pos:]
	switch {
	case rest == "" || rest[0] == ';' || rest[0] == '#' || strings.HasPrefix(rest, "//"):
		return token{kind: tokenEnd, column: l.pos + 1}
	case isDigit(rest[0]) || isSign(rest[0]) && len(rest) > 1 && isDigit(rest[1]):
		return l.number(rest)
	case rest[0] == '\'' && len(rest) > 2 && rest[2] == '\'' && rest[1] < 0x80:
		t := l.take(tokenNumber, 3)
		t.num.magnitude = uint64(rest[1])
		return t
	case isNameStart(rest[0]) || rest[0] == '%' && len(rest) > 1 && isNameStart(rest[1]):
		return l.word(rest)
	}
	return l.operator(rest, 0)
}

// take cuts a token of n bytes.
func (l *lexer) take(kind tokenKind, n int) token {
	t := token{kind: kind, text: l.line[l.pos : l.pos+n], column: l.pos + 1}
	l.pos += n
	return t
}

func (l *lexer) number(rest string) token {
	n := 0
	if isSign(rest[0]) {
		n++
	}
	for n < len(rest) && isNamePart(rest[n]) {
		n++
	}
	t := l.take(tokenNumber, n)
	var ok bool
	if t.num, ok = parseNumber(t.text); !ok {
		t.kind = tokenBad
	}
	return t
}

func (l *lexer) word(rest string) token {
	if len(rest) > 1 && rest[0] == 's' && strings.IndexByte("<>/%", rest[1]) >= 0 {
		return l.operator(rest[1:], 1)
	}
	n := 1
	for n < len(rest) && isNamePart(rest[n]) {
		n++
	}
	switch {
	case n < len(rest) && rest[n] == ':':
		return l.take(tokenWord, n+1)
	case n+1 < len(rest) && rest[n] == '#' && (isDigit(rest[n+1]) || rest[n+1] == '-'):
		end := n + 2
		for end < len(rest) && isNamePart(rest[end]) {
			end++
		}
		num, ok := parseNumber(rest[n+1 : end])
		if !ok {
			return l.take(tokenBad, end)
		}
		t := l.take(tokenNumbered, end)
		t.text, t.num = t.text[:n], num
		return t
	}
	return l.take(tokenWord, n)
}

// operator reads the longest operator of rest, and skip bytes before it.
func (l *lexer) operator(rest string, skip int) token {
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			return l.take(tokenPunct, skip+len(op))
		}
	}
	if strings.IndexByte("=<>&+-*/%()[],:{}", rest[0]) < 0 {
		return l.take(tokenBad, skip+1)
	}
	return l.take(tokenPunct, skip+1)
}

// parseNumber reads decimal and 0x digits behind an optional sign.
func parseNumber(text string) (number, bool) {
	var n number
	if text != "" && isSign(text[0]) {
		n.signed, n.negative = true, text[0] == '-'
		text = text[1:]
	}
	base := uint64(10)
	if len(text) > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X') {
		n.hex, base, text = true, 16, text[2:]
	}
	for i := range len(text) {
		digit, ok := digitOf(text[i])
		if !ok || digit >= base || n.magnitude > (^uint64(0)-digit)/base {
			return n, false
		}
		n.magnitude = n.magnitude*base + digit
	}
	return n, text != ""
}

func digitOf(c byte) (uint64, bool) {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0'), true
	case c >= 'a' && c <= 'f':
		return uint64(c-'a') + 10, true
	case c >= 'A' && c <= 'F':
		return uint64(c-'A') + 10, true
	}
	return 0, false
}

// value returns the number as a signed one of the given width. Hex digits
// without a sign may fill all of its bits; anything else must be in range.
func (n number) value(bits int) (int64, bool) {
	most := uint64(1) << (bits - 1)
	switch {
	case n.negative:
		return -int64(n.magnitude), n.magnitude <= most
	case n.hex && !n.signed:
		return int64(n.magnitude<<(64-bits)) >> (64 - bits), bits == 64 || n.magnitude>>bits == 0
	}
	return int64(n.magnitude), n.magnitude < most
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' }
func isSign(c byte) bool  { return c == '+' || c == '-' }
func isDigit(c byte) bool { return c >= '0' && c <= '9' }
func isNameStart(c byte) bool {
	return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '.' || c == '$' || c == '@'
}
func isNamePart(c byte) bool { return isNameStart(c) || isDigit(c) }
