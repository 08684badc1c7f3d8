package asm

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Parse reads a program in C-like text, in any of the dialects [Objdump],
// [Kernel] and [Exact]; they may be mixed. The package's README.md has the
// grammar. Jumps and calls to labels are left as references, see
// [Instructions.Resolve]. The error is a [*SyntaxError].
func Parse(src string) (Instructions, error) { return parse(src, cSyntax()) }

// ParseMnemonic reads a program in the syntax of the BPF conformance vectors,
// see [Mnemonic]. A jump to "exit" goes to the first exit instruction, if no
// label has that name. The error is a [*SyntaxError].
func ParseMnemonic(src string) (Instructions, error) { return parse(src, mnemonicSyntax()) }

type parser struct {
	syntax    *syntax
	line      int
	tokens    []token // of the line; reused
	insns     Instructions
	constants map[string]number
	labels    map[string]string // the symbol of the instruction that a label is on
	pending   []labelUse        // labels that stand before the next instruction
	uses      []labelUse        // references to labels
}

// labelUse is the mention of a label.
type labelUse struct {
	token
	line int
	insn int
	call bool // may name a helper instead
}

func parse(src string, s *syntax) (Instructions, error) {
	p := &parser{syntax: s, constants: make(map[string]number), labels: make(map[string]string)}
	for more := true; more; {
		var line string
		line, src, more = strings.Cut(src, "\n")
		p.line++
		if err := p.statement(line); err != nil {
			return nil, err
		}
	}
	if len(p.pending) > 0 {
		return nil, p.pending[0].unexpected("an instruction behind the label")
	}
	if err := p.resolveUses(); err != nil {
		return nil, err
	}
	return p.insns, nil
}

func (p *parser) unexpected(t token, want string) error {
	return &SyntaxError{Line: p.line, Column: t.column, Got: t.got(), Want: want}
}

func (u labelUse) unexpected(want string) error {
	return &SyntaxError{Line: u.line, Column: u.column, Got: u.got(), Want: want}
}

// statement reads a line: labels, then an instruction, a directive or nothing.
func (p *parser) statement(line string) error {
	prefix := readPrefix(line)
	l := lexer{line: line, pos: prefix.length}
	p.tokens = l.tokens(p.tokens[:0])
	toks := p.tokens
	if last := toks[len(toks)-1]; last.kind == tokenBad {
		return p.unexpected(last, "a word, a number in 64 bits or an operator")
	}
	for toks[0].kind == tokenWord && strings.HasSuffix(toks[0].text, ":") {
		if err := p.label(toks[0]); err != nil {
			return err
		}
		toks = toks[1:]
	}
	switch listed := prefix.hasOpcode || prefix.bytes != nil; {
	case toks[0].kind == tokenEnd && !listed:
		return nil
	case toks[0].text == ".equ" && !listed:
		return p.constant(toks[1:])
	}
	return p.instruction(toks, prefix)
}

func (p *parser) label(t token) error {
	t.text = t.text[:len(t.text)-1]
	_, taken := p.labels[t.text]
	switch {
	case taken:
		return p.unexpected(t, "a label that is not defined yet")
	case !t.isName() || isRegisterName(t.text):
		return p.unexpected(t, "a label that is not a register")
	}
	p.labels[t.text] = ""
	p.pending = append(p.pending, labelUse{token: t, line: p.line})
	return nil
}

// constant reads what stands behind .equ: "NAME, 5".
func (p *parser) constant(toks []token) error {
	name := toks[0]
	_, taken := p.constants[name.text]
	switch {
	case !name.isName():
		return p.unexpected(name, "the name of a constant")
	case taken || isRegisterName(name.text):
		return p.unexpected(name, "the name of a new constant")
	case toks[1].key() != ",":
		return p.unexpected(toks[1], `","`)
	case toks[2].kind != tokenNumber:
		return p.unexpected(toks[2], "a number")
	case toks[3].kind != tokenEnd:
		return p.unexpected(toks[3], "end of line")
	}
	p.constants[name.text] = toks[2].num
	return nil
}

func isRegisterName(name string) bool {
	_, r := registerOf(name, 'r')
	_, w := registerOf(name, 'w')
	return r || w
}

// registerOf reads r0 to r10 or, by prefix, w0 to w10.
func registerOf(text string, prefix byte) (Register, bool) {
	switch {
	case len(text) == 2 && text[0] == prefix && isDigit(text[1]):
		return Register(text[1] - '0'), true
	case len(text) == 3 && text[0] == prefix && text[1:] == "10":
		return R10, true
	}
	return 0, false
}

// instruction reads one instruction and puts the labels before it on it.
func (p *parser) instruction(toks []token, prefix prefix) error {
	ends, operands, err := p.walk(toks)
	if err != nil {
		return err
	}
	f := ends[0]
	for _, end := range ends {
		if !end.short || prefix.hasOpcode && end.row.Opcode == prefix.opcode {
			f = end
			break
		}
	}
	ins, err := p.build(f, operands)
	if err != nil {
		return err
	}
	if prefix.hasOpcode && ins.Op != prefix.opcode {
		return p.unexpected(token{kind: tokenWord, text: prefix.text, column: prefix.column}, fmt.Sprintf("(%02x)", uint8(ins.Op)))
	}
	if prefix.bytes != nil {
		if ins, err = p.fromBytes(ins, prefix); err != nil {
			return err
		}
	}
	for i, l := range p.pending {
		if i == 0 { // the others are more names for the same
			ins = ins.WithSymbol(l.text)
		}
		p.labels[l.text] = ins.Symbol()
	}
	p.pending = p.pending[:0]
	p.insns = append(p.insns, ins)
	return nil
}

// fromBytes returns the instruction that the bytes of an object dump are, which
// must print as the text behind them does.
func (p *parser) fromBytes(ins Instruction, prefix prefix) (Instruction, error) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		insns, err := Decode(prefix.bytes, order)
		if err == nil && len(insns) == 1 && insns[0].Text(Objdump) == ins.WithReference("").Text(Objdump) {
			insns[0].meta = ins.meta
			return insns[0], nil
		}
	}
	return ins, p.unexpected(token{kind: tokenWord, text: prefix.text, column: prefix.column}, "the bytes of the instruction behind them")
}

// operand is a part of the source that an operand edge took.
type operand struct {
	token    token // where it stands; for a label or a name its text
	reg      Register
	num      number
	relative bool // "pc+4" or "+4" of a jump
}

// walk follows the tree of the grammar along the tokens, and returns the forms
// at its end with what stands for their operands.
func (p *parser) walk(toks []token) ([]*form, []operand, error) {
	n := p.syntax.grammar
	var operands []operand
	for {
		t := toks[0]
		if key := t.key(); key != "" && n.words[key] != nil {
			n, toks = n.words[key], toks[1:]
			continue
		}
		took := 0
		for _, edge := range n.operands {
			var o operand
			if o, took = p.match(edge.class, toks); took > 0 {
				operands = append(operands, o)
				n, toks = edge.to, toks[took:]
				break
			}
		}
		switch {
		case took > 0:
		case len(n.ends) > 0 && (t.kind == tokenEnd || n.ends[0].jumps() && isTargetNote(toks)):
			return n.ends, operands, nil
		default:
			return nil, nil, p.unexpected(t, n.want(p.syntax.mnemonic))
		}
	}
}

// isTargetNote reports whether toks are what llvm-objdump notes behind a jump:
// "<name+0x8>".
func isTargetNote(toks []token) bool {
	return toks[0].text == "<" && len(toks) > 2 && toks[len(toks)-2].text == ">"
}

// match returns the operand that toks begin with and of how many tokens it is,
// 0 if it is none of the class.
func (p *parser) match(c class, toks []token) (operand, int) {
	t := toks[0]
	o := operand{token: t}
	switch c {
	case classReg, classReg32:
		return p.matchRegister(c, o)
	case classNum:
		var ok bool
		if o.num, ok = p.numberOf(t); ok {
			return o, 1
		}
	case classOffset:
		return p.matchOffset(o, toks)
	case className:
		if t.isName() {
			return o, 1
		}
	case classJump, classCallee:
		return matchTarget(c, o, toks)
	}
	return o, 0
}

func (p *parser) matchRegister(c class, o operand) (operand, int) {
	text, prefix := o.token.text, byte('r')
	if c == classReg32 {
		prefix = 'w'
	}
	if p.syntax.mnemonic {
		if !strings.HasPrefix(text, "%") {
			return o, 0
		}
		text = text[1:]
	}
	var ok bool
	if o.reg, ok = registerOf(text, prefix); ok {
		return o, 1
	}
	return o, 0
}

// numberOf returns the value of a number or of a constant's name.
func (p *parser) numberOf(t token) (number, bool) {
	if t.kind == tokenWord {
		n, ok := p.constants[t.text]
		return n, ok
	}
	return t.num, t.kind == tokenNumber
}

// matchOffset reads "+4", "+ 4", "+ NAME" and "+ -4".
func (p *parser) matchOffset(o operand, toks []token) (operand, int) {
	if o.token.kind == tokenNumber && o.token.num.signed {
		o.num = o.token.num
		return o, 1
	}
	if o.token.text != "+" && o.token.text != "-" {
		return o, 0
	}
	n, ok := p.numberOf(toks[1])
	if !ok {
		return o, 0
	}
	if o.token.text == "-" {
		n.negative = !n.negative
	}
	n.signed = true
	return operand{token: toks[1], num: n}, 2
}

func matchTarget(c class, o operand, toks []token) (operand, int) {
	switch t := toks[0]; {
	case t.kind == tokenWord && t.text == "pc" && toks[1].kind == tokenNumber && toks[1].num.signed:
		o.num, o.relative = toks[1].num, true
		return o, 2
	case t.kind == tokenNumber && (c == classCallee || t.num.signed):
		o.num, o.relative = t.num, c == classJump
		return o, 1
	case t.isName(), t.kind == tokenNumbered && c == classCallee:
		return o, 1
	}
	return o, 0
}

// resolveUses checks that every label that is mentioned exists, and lets those
// of calls that do not exist be helpers.
func (p *parser) resolveUses() error {
	for _, u := range p.uses {
		ins := &p.insns[u.insn]
		if at, ok := p.labels[u.text]; ok {
			*ins = ins.WithReference(at)
			continue
		}
		fn, helper := HelperByName(u.text)
		switch {
		case u.call && helper:
			call := fn.Call()
			call.meta = ins.meta
			*ins = call
		case u.text == "exit" && p.syntax.mnemonic && p.labelFirstExit():
			*ins = ins.WithReference(p.labels["exit"])
		case u.call:
			return u.unexpected("a label of this program or a helper")
		default:
			return u.unexpected("a label of this program")
		}
	}
	return nil
}

// labelFirstExit puts the label "exit" on the first exit instruction, if there
// is one.
func (p *parser) labelFirstExit() bool {
	for i, ins := range p.insns {
		if ins.Kind() != KindExit {
			continue
		}
		if ins.Symbol() == "" {
			p.insns[i] = ins.WithSymbol("exit")
		}
		p.labels["exit"] = p.insns[i].Symbol()
		return true
	}
	return false
}
