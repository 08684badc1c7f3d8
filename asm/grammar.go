package asm

import (
	"slices"
	"strings"
)

// The grammar of a syntax is one tree that all its forms are merged into: an
// edge is a literal token or a class of operand, a path from the root to an end
// is a form. A line is read by one walk without going back, so that the time
// is linear in its length, and where the walk ends early, the edges that leave
// the node are what the source should have had there.
type node struct {
	words    map[string]*node
	operands []operandEdge
	ends     []*form
}

type operandEdge struct {
	class class
	to    *node
}

// class is what an operand looks like. A token that fits two is of the first.
type class uint8

const (
	classReg    class = iota // r1
	classReg32               // w1
	classNum                 // number or constant
	classOffset              // signed number, the sign may stand apart
	classJump                // signed number, "pc" and signed number, or label
	classCallee              // as classJump, number, or "name#12"
	className                // word
)

var fieldClasses = map[field]class{
	fieldDst: classReg, fieldSrc: classReg, fieldR0: classReg,
	fieldDst32: classReg32, fieldSrc32: classReg32, fieldW0: classReg32,
	fieldImm: classNum, fieldImmNum: classNum, fieldImmHex: classNum, fieldImm64: classNum, fieldImmRel: classNum,
	fieldHiNum: classNum, fieldOffNum: classNum,
	fieldImmOff: classOffset, fieldHi: classOffset, fieldOff: classOffset,
	fieldJump: classJump, fieldHelper: classCallee, fieldCallee: classCallee,
	fieldName: className, fieldLabel: className,
}

// add merges a form into the tree.
func (n *node) add(f *form) {
	for _, p := range f.parts {
		if p.field != fieldNone {
			n = n.operand(fieldClasses[p.field])
			continue
		}
		l := lexer{line: p.text}
		for t := l.next(); t.kind != tokenEnd; t = l.next() {
			n = n.word(t.key())
		}
	}
	n.ends = append(n.ends, f)
}

func (n *node) word(key string) *node {
	next := n.words[key]
	if next == nil {
		if n.words == nil {
			n.words = make(map[string]*node)
		}
		next = new(node)
		n.words[key] = next
	}
	return next
}

func (n *node) operand(c class) *node {
	for _, e := range n.operands {
		if e.class == c {
			return e.to
		}
	}
	next := new(node)
	n.operands = append(n.operands, operandEdge{c, next})
	slices.SortFunc(n.operands, func(a, b operandEdge) int { return int(a.class) - int(b.class) })
	return next
}

// want lists what can follow at n.
func (n *node) want(mnemonic bool) string {
	const most = 16 // so that the operators behind "r1" are listed
	switch {
	case n.words["exit"] != nil:
		return "an instruction"
	case len(n.words) > most:
		return "an operand or an operation"
	}
	var names []string
	for word := range n.words {
		names = append(names, `"`+word+`"`)
	}
	slices.Sort(names)
	for _, e := range n.operands {
		names = append(names, e.class.name(mnemonic))
	}
	if len(n.ends) > 0 {
		names = append(names, "end of line")
	}
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " or " + names[last]
	}
	return strings.Join(names, "")
}

func (c class) name(mnemonic bool) string {
	if c == classReg && mnemonic {
		return "a register %r0 to %r10"
	}
	return [...]string{
		classReg: "a register r0 to r10", classReg32: "a register w0 to w10",
		classNum: "a number", classOffset: `an offset like "+ 4"`, classJump: `a label or a distance like "+4"`,
		classCallee: "a helper, a label or a distance like \"pc+4\"", className: "a name",
	}[c]
}
