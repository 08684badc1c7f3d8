package asm

import (
	"strings"
	"sync"
)

// A form is one way to write one instruction: words and punctuation that stand
// for themselves, and operands in braces, "{dst} = *(u32 *)({src} {off})". The
// same form is printed (see [Instruction.Text]) and parsed (see grammar), so
// that what is printed is what is read. A row of the opcode table has several:
// one for each dialect, where they differ, and some that are only read.
type form struct {
	row   *Info
	in    dialects
	parts []part
	lossy bool   // printed only: reads as another instruction
	short bool   // read only behind an opcode: looks like another instruction
	named bool   // an operand is the name that the instruction refers to
	shows Fields // the fields that the operands are, or that a name stands for
}

// dialects is a set of [Dialect]; the empty one is of forms that are only read.
type dialects uint8

func in(ds ...Dialect) dialects {
	var set dialects
	for _, d := range ds {
		set |= 1 << d
	}
	return set
}

// part is a piece of a form: a literal text or an operand.
type part struct {
	text string // the literal, where field is fieldNone
	field
}

// field is the operand of a form: where its value goes and how it is written.
type field uint8

const (
	fieldNone   field = iota
	fieldDst          // r1, %r1
	fieldSrc          // r1, %r1
	fieldDst32        // w1
	fieldSrc32        // w1
	fieldR0           // r0 and no other
	fieldW0           // w0 and no other
	fieldImm          // 32-bit number
	fieldImmNum       // 32-bit number that is a descriptor or id, printed in decimal
	fieldImmHex       // 32-bit number that is printed in hex without sign
	fieldImm64        // 64-bit number
	fieldImmOff       // imm as the offset from a register: "+ 0x4", "+ 4"
	fieldImmRel       // imm as a signed distance: "+4"
	fieldHi           // upper half of imm, the offset into a map value: "+4"
	fieldHiNum        // upper half of imm
	fieldOff          // offset from a register: "+ 0x4", "+4"
	fieldOffNum       // off as a plain number
	fieldJump         // distance or label: "+0x4", "pc+4", "name"
	fieldHelper       // helper by number or name
	fieldCallee       // helper, subprogram or kernel function, by number or name
	fieldName         // name that a loader resolves
	fieldLabel        // name of a label
)

// fieldNames are the operands as forms spell them.
var fieldNames = map[string]field{
	"dst": fieldDst, "src": fieldSrc, "wdst": fieldDst32, "wsrc": fieldSrc32,
	"r0": fieldR0, "w0": fieldW0, "rel": fieldImmRel,
	"imm": fieldImm, "num": fieldImmNum, "ximm": fieldImmHex, "imm64": fieldImm64, "ioff": fieldImmOff,
	"hi": fieldHi, "hinum": fieldHiNum, "off": fieldOff, "offnum": fieldOffNum,
	"jump": fieldJump, "helper": fieldHelper, "callee": fieldCallee, "name": fieldName, "label": fieldLabel,
}

// newForm compiles the text of a form.
func newForm(row *Info, in dialects, text string) *form {
	f := &form{row: row, in: in}
	for text != "" {
		literal, rest, operand := strings.Cut(text, "{")
		if literal != "" {
			f.parts = append(f.parts, part{text: literal})
		}
		if !operand {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		operandField, ok := fieldNames[name]
		if !ok {
			panic("asm: form with unknown operand " + name)
		}
		f.parts = append(f.parts, part{field: operandField})
		f.note(operandField)
		text = after
	}
	return f
}

func (f *form) note(operand field) {
	switch operand {
	case fieldDst, fieldDst32:
		f.shows |= FieldDst
	case fieldSrc, fieldSrc32:
		f.shows |= FieldSrc
	case fieldImm, fieldImmNum, fieldImmHex, fieldImmOff, fieldImmRel, fieldHelper:
		f.shows |= FieldImm
	case fieldImm64:
		f.shows |= FieldImm | FieldNextImm
	case fieldHi, fieldHiNum:
		f.shows |= FieldNextImm
	case fieldOff, fieldOffNum:
		f.shows |= FieldOff
	case fieldJump, fieldCallee:
		f.shows |= FieldOff | FieldImm
	case fieldName, fieldLabel:
		f.shows |= FieldImm
		f.named = true
	}
}

// tells reports whether the form shows all of ins that an instruction of its
// row may hold.
func (f *form) tells(ins Instruction) bool {
	hidden := f.row.Uses &^ f.shows
	switch {
	case f.named && ins.Reference() == "",
		hidden&FieldOff != 0 && ins.Off != 0,
		hidden&FieldImm != 0 && ins.ImmLo() != 0,
		hidden&FieldNextImm != 0 && ins.ImmHi() != 0:
		return false
	}
	return true
}

// A syntax is all the forms of a family of dialects.
type syntax struct {
	forms   [][]*form // by Info.index, in the order of preference for printing
	grammar *node
	// mnemonic syntax has '%' before its registers, and a jump to "exit" that goes
	// to the first exit instruction, if no label has that name.
	mnemonic bool
}

var (
	cSyntax        = sync.OnceValue(func() *syntax { return newSyntax(cForms, false) })
	mnemonicSyntax = sync.OnceValue(func() *syntax { return newSyntax(mnemonicForms, true) })
)

func newSyntax(formsOf func(*Info) []*form, mnemonic bool) *syntax {
	s := &syntax{grammar: new(node), mnemonic: mnemonic}
	for _, rows := range opcodes {
		for i := range rows {
			forms := formsOf(&rows[i])
			s.forms = append(s.forms, forms)
			for _, f := range forms {
				if !f.lossy {
					s.grammar.add(f)
				}
			}
		}
	}
	return s
}

// pick returns the form in which d writes ins: the first that shows all of it,
// or the last where reserved fields are used, which no form shows.
func (s *syntax) pick(row *Info, d Dialect, ins Instruction) *form {
	var last *form
	for _, f := range s.forms[row.index] {
		if f.in&in(d) == 0 {
			continue
		}
		if last = f; f.tells(ins) {
			break
		}
	}
	return last
}

// jumps reports whether the form ends in where it jumps to.
func (f *form) jumps() bool { return f.parts[len(f.parts)-1].field == fieldJump }
