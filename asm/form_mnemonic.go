package asm

import (
	"fmt"
	"strings"
)

// The mnemonic forms: those that the BPF conformance vectors use, and in their
// manner those for the instructions that they have no name for:
//
//	ldabsb 4              r0 = packet byte at 4 (b, h, w)
//	ldindb %r1, 4         r0 = packet byte at r1 + 4
//	ldxw_acquire          load-acquire (b, h, w, dw), operands as ldxw
//	stxw_release          store-release, operands as stxw
//	addr_space_cast %r1, %r2, 0, 1
//	may_goto +4
//	call %r1              callx
//	call kfunc[id:4]      and kfunc[name]
//	lddw %r1, map[name]   and the other kinds of 64-bit load, as in C-like text

// suffix is a size as a mnemonic ends.
func (s Size) suffix() string { return [4]string{"w", "h", "b", "dw"}[s>>3&3] }

func mnemonicForms(row *Info) []*form {
	l := &formList{row: row}
	switch row.Kind {
	case KindLoadImm64:
		l.lddw()
	case KindLoad, KindLoadAbs, KindLoadInd, KindStoreImm, KindStoreReg:
		l.mnemonicMemory()
	case KindAtomic, KindLoadAcquire, KindStoreRelease:
		l.mnemonicAtomic()
	case KindJump, KindGoto, KindMayGoto, KindCallHelper, KindCallLocal, KindCallKfunc, KindCallX, KindExit:
		l.mnemonicJump()
	default:
		l.mnemonicALU()
	}
	return l.forms
}

// mnemonic adds a form for printing; a name with the suffix 64 reads as one without.
func (l *formList) mnemonic(name string, wide bool, operands string) {
	if !wide {
		l.add(in(Mnemonic), "%s32 %s", name, operands)
		return
	}
	l.add(in(Mnemonic), "%s %s", name, operands)
	l.add(0, "%s64 %s", name, operands)
}

func (l *formList) mnemonicALU() {
	row := l.row
	switch row.Kind {
	case KindALU:
		l.mnemonic(row.ALU.String(), row.Wide, "{dst}, "+sourceOperand(row.Source))
	case KindNeg:
		l.mnemonic("neg", row.Wide, "{dst}")
	case KindMovSX:
		width := 64
		if !row.Wide {
			width = 32
		}
		l.add(in(Mnemonic), "movsx%d%d {dst}, {src}", row.Bits, width)
	case KindToLE:
		l.add(in(Mnemonic), "le%d {dst}", row.Bits)
	case KindToBE:
		l.add(in(Mnemonic), "be%d {dst}", row.Bits)
	case KindBSwap:
		l.add(in(Mnemonic), "bswap%d {dst}", row.Bits)
		l.add(0, "swap%d {dst}", row.Bits)
	case KindAddrSpaceCast:
		l.add(in(Mnemonic), "addr_space_cast {dst}, {src}, %d, %d", row.imm>>16, row.imm&0xffff)
	}
}

func sourceOperand(s Source) string {
	if s == ImmSource {
		return "{imm}"
	}
	return "{src}"
}

func (l *formList) lddw() {
	if l.row.src == PseudoNone {
		l.add(in(Mnemonic), "lddw {dst}, {imm64}")
		return
	}
	texts := loadImm64Names[l.row.src]
	if texts.name != "" {
		l.add(in(Mnemonic), "lddw {dst}, %s", texts.name)
	}
	l.add(in(Mnemonic), "lddw {dst}, %s", texts.number)
	if l.row.src == PseudoBTFID {
		l.add(in(Mnemonic), "lddw {dst}, %s[fd:{hinum}]", texts.number)
	}
}

// memory adds two forms, since an offset of zero is left out.
func (l *formList) memory(in dialects, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.add(in, "%s", strings.Replace(text, "{off}", "", 1))
	l.add(in, "%s", text)
}

func (l *formList) mnemonicMemory() {
	row := l.row
	size := row.Size.suffix()
	switch row.Kind {
	case KindLoad:
		if row.Signed {
			size = "s" + size
		}
		l.memory(in(Mnemonic), "ldx%s {dst}, [{src}{off}]", size)
	case KindLoadAbs:
		l.add(in(Mnemonic), "ldabs%s {imm}", size)
	case KindLoadInd:
		l.add(in(Mnemonic), "ldind%s {src}, {imm}", size)
	case KindStoreImm:
		l.memory(in(Mnemonic), "st%s [{dst}{off}], {imm}", size)
	case KindStoreReg:
		l.memory(in(Mnemonic), "stx%s [{dst}{off}], {src}", size)
	}
}

func (l *formList) mnemonicAtomic() {
	row := l.row
	switch row.Kind {
	case KindLoadAcquire:
		l.memory(in(Mnemonic), "ldx%s_acquire {dst}, [{src}{off}]", row.Size.suffix())
	case KindStoreRelease:
		l.memory(in(Mnemonic), "stx%s_release [{dst}{off}], {src}", row.Size.suffix())
	default:
		name, fetches := strings.CutPrefix(row.Atomic.String(), "fetch_")
		if row.Size == Word {
			name += "32"
		}
		if fetches {
			l.memory(0, "lock fetch_%s [{dst}{off}], {src}", name)
			name = "fetch " + name
		}
		l.memory(in(Mnemonic), "lock %s [{dst}{off}], {src}", name)
	}
}

func (l *formList) mnemonicJump() {
	row := l.row
	switch row.Kind {
	case KindJump:
		l.mnemonic(row.Jump.String(), row.Wide, "{dst}, "+sourceOperand(row.Source)+", {jump}")
	case KindGoto:
		l.mnemonic("ja", row.Opcode.Class() == ClassJMP, "{jump}")
	case KindMayGoto:
		l.add(in(Mnemonic), "may_goto {jump}")
	case KindCallHelper:
		l.add(in(Mnemonic), "call {helper}")
		l.add(0, "call helper {helper}")
	case KindCallLocal:
		l.add(in(Mnemonic), "call local {jump}")
		l.add(0, "call {callee}")
	case KindCallKfunc:
		l.add(in(Mnemonic), "call kfunc[{name}]")
		l.kfuncByID("call")
		l.add(0, "call runtime {imm}")
	case KindCallX:
		l.add(in(Mnemonic), "call {dst}")
	case KindExit:
		l.add(in(Mnemonic), "exit")
	}
}
