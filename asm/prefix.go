package asm

import "strings"

// prefix is what listings have before an instruction: the slot, which is not
// checked, and the opcode, as in a verifier log, or the bytes, as in an object
// dump:
//
//	12: (b7) r0 = 0
//	      12:	b7 00 00 00 00 00 00 00	r0 = 0x0
type prefix struct {
	length    int // of the source
	hasOpcode bool
	opcode    Opcode
	bytes     []byte // nil if there are none
	text      string // of the opcode or the bytes
	column    int
}

func readPrefix(line string) prefix {
	var p prefix
	pos := skipSpace(line, 0)
	digits := pos
	for digits < len(line) && isDigit(line[digits]) {
		digits++
	}
	if digits > pos && digits < len(line) && line[digits] == ':' {
		pos = skipSpace(line, digits+1)
	}
	p.length = pos
	rest := line[pos:]
	if len(rest) >= 4 && rest[0] == '(' && rest[3] == ')' {
		if op, ok := hexByte(rest[1:]); ok {
			p.hasOpcode, p.opcode, p.text, p.column = true, Opcode(op), rest[:4], pos+1
			p.length += 4
		}
		return p
	}
	if b, length := hexBytes(rest); len(b) == SlotSize || len(b) == 2*SlotSize {
		p.bytes, p.text, p.column = b, strings.TrimRight(rest[:length], " \t"), pos+1
		p.length += length
	}
	return p
}

func skipSpace(line string, pos int) int {
	for pos < len(line) && isSpace(line[pos]) {
		pos++
	}
	return pos
}

// hexBytes reads bytes of two digits with a space behind each, at most 16.
func hexBytes(text string) (b []byte, length int) {
	for len(b) < 2*SlotSize && len(text) >= length+3 && isSpace(text[length+2]) {
		v, ok := hexByte(text[length:])
		if !ok {
			break
		}
		b = append(b, v)
		length += 3
	}
	return b, length
}

func hexByte(text string) (byte, bool) {
	hi, ok1 := digitOf(text[0])
	lo, ok2 := digitOf(text[1])
	return byte(hi<<4 | lo), ok1 && ok2
}
