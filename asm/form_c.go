package asm

import (
	"fmt"
	"strings"
)

// The C-like forms: those of LLVM 19, and of LLVM 20 where 19 has none; those of
// kernel/bpf/disasm.c and bpftool; and forms of this package for what neither
// tells apart (kinds of call and of 64-bit load).

var (
	allC   = in(Objdump, Kernel, Exact)
	llvm   = in(Objdump, Exact)
	aluOps = map[ALUOp]string{
		Add: "+=", Sub: "-=", Mul: "*=", Div: "/=", Or: "|=", And: "&=", LSh: "<<=", RSh: ">>=",
		Mod: "%=", Xor: "^=", Mov: "=", ArSh: "s>>=", SDiv: "s/=", SMod: "s%=",
	}
	jumpOps = map[JumpOp]string{
		JEq: "==", JGT: ">", JGE: ">=", JSet: "&", JNE: "!=", JSGT: "s>", JSGE: "s>=",
		JLT: "<", JLE: "<=", JSLT: "s<", JSLE: "s<=",
	}
	lockOps = map[AtomicOp]string{AtomicAdd: "+=", AtomicOr: "|=", AtomicAnd: "&=", AtomicXor: "^="}
)

// formList collects the forms of a row.
type formList struct {
	row   *Info
	forms []*form
}

func (l *formList) add(in dialects, format string, args ...any) *form {
	f := newForm(l.row, in, fmt.Sprintf(format, args...))
	l.forms = append(l.forms, f)
	// Text by hand may leave an offset of zero out.
	if strings.Contains(format, " {off}") {
		l.forms = append(l.forms, newForm(l.row, 0, strings.Replace(fmt.Sprintf(format, args...), " {off}", "", 1)))
	}
	return f
}

func cForms(row *Info) []*form {
	l := &formList{row: row}
	switch row.Kind {
	case KindLoadImm64:
		l.cLoadImm64()
	case KindLoad, KindLoadAbs, KindLoadInd, KindStoreImm, KindStoreReg:
		l.cMemory()
	case KindAtomic, KindLoadAcquire, KindStoreRelease:
		l.cAtomic()
	case KindJump, KindGoto, KindMayGoto, KindCallHelper, KindCallLocal, KindCallKfunc, KindCallX, KindExit:
		l.cJump()
	default:
		l.cALU()
	}
	return l.forms
}

// registers returns the operands of a row whose registers are named by width.
func registers(wide bool) (dst, src string) {
	if wide {
		return "{dst}", "{src}"
	}
	return "{wdst}", "{wsrc}"
}

func (l *formList) cALU() {
	row := l.row
	dst, src := registers(row.Wide)
	switch row.Kind {
	case KindALU:
		if row.Source == ImmSource {
			src = "{imm}"
		}
		l.add(allC, "%s %s %s", dst, aluOps[row.ALU], src)
	case KindNeg:
		l.add(allC, "%s = -%s", dst, dst)
	case KindMovSX:
		l.add(allC, "%s = (s%d)%s", dst, row.Bits, src)
	case KindToLE:
		l.add(allC, "%s = le%d %s", dst, row.Bits, dst)
	case KindToBE:
		l.add(allC, "%s = be%d %s", dst, row.Bits, dst)
	case KindBSwap:
		l.add(allC, "%s = bswap%d %s", dst, row.Bits, dst)
	case KindAddrSpaceCast:
		l.add(llvm, "%s = addr_space_cast(%s, %#x, %#x)", dst, src, row.imm>>16, row.imm&0xffff)
		l.add(in(Kernel), "%s = addr_space_cast(%s, %d, %d)", dst, src, row.imm>>16, row.imm&0xffff)
	}
}

// loadImm64Names are the forms of 64-bit loads that name what they load, and
// those that show the number that stands for it. Both syntaxes have them.
var loadImm64Names = map[Pseudo]struct{ name, number string }{
	PseudoMapFD:       {"map[{name}]", "map[fd:{num}]"},
	PseudoMapValue:    {"map[{name}][0]{hi}", "map[fd:{num}][0]{hi}"},
	PseudoBTFID:       {"ksym[{name}]", "ksym[id:{num}]"},
	PseudoFunc:        {"func[{label}]", "subprog[{rel}]"},
	PseudoMapIdx:      {"", "map[idx:{num}]"},
	PseudoMapIdxValue: {"", "map[idx:{num}][0]{hi}"},
}

func (l *formList) cLoadImm64() {
	if l.row.src == PseudoNone {
		l.add(llvm, "{dst} = {imm64} ll")
		l.add(in(Kernel), "{dst} = {imm64}").short = true
		return
	}
	texts := loadImm64Names[l.row.src]
	if texts.name != "" {
		l.add(llvm, "{dst} = %s ll", texts.name)
		l.add(in(Kernel), "{dst} = %s", texts.name)
	}
	l.add(in(Objdump), "ld_pseudo\t{dst}, %#x, {ximm}", int(l.row.src))
	l.add(in(Exact), "{dst} = %s ll", texts.number)
	l.add(in(Kernel), "{dst} = %s", strings.Replace(texts.number, "[fd:", "[id:", 1))
	if l.row.src == PseudoBTFID { // the variable of a module
		l.add(in(Exact), "{dst} = %s[fd:{hinum}] ll", texts.number)
		l.add(in(Kernel), "{dst} = %s[fd:{hinum}]", texts.number)
	}
}

func (l *formList) cMemory() {
	row := l.row
	pointer := "*(" + row.Size.String() + " *)"
	half := row.Size != DWord // may be written with a 32-bit register: LLVM does with --mcpu=v3
	switch row.Kind {
	case KindLoad:
		if row.Signed {
			l.add(allC, "{dst} = *(s%d *)({src} {off})", row.Size.Bytes()*8)
			return
		}
		l.add(allC, "{dst} = %s({src} {off})", pointer)
		if half {
			l.add(0, "{wdst} = %s({src} {off})", pointer)
		}
	case KindLoadAbs:
		l.add(allC, "{r0} = %sskb[{imm}]", pointer)
	case KindLoadInd:
		l.add(llvm, "{r0} = %sskb[{src}]", pointer)
		l.add(allC, "{r0} = %sskb[{src} {ioff}]", pointer)
	case KindStoreImm:
		l.add(allC, "%s({dst} {off}) = {imm}", pointer)
	case KindStoreReg:
		l.add(allC, "%s({dst} {off}) = {src}", pointer)
		if half {
			l.add(0, "%s({dst} {off}) = {wsrc}", pointer)
		}
	}
}

func (l *formList) cAtomic() {
	row := l.row
	size := row.Size.String()
	dst, src := registers(row.Size == DWord)
	switch op := row.Atomic; {
	case row.Kind == KindLoadAcquire:
		l.add(llvm, "%s = load_acquire((%s *)({src} {off}))", dst, size)
		l.add(in(Kernel), "{dst} = load_acquire((%s *)({src} {off}))", size)
	case row.Kind == KindStoreRelease:
		l.add(llvm, "store_release((%s *)({dst} {off}), %s)", size, src)
		l.add(in(Kernel), "store_release((%s *)({dst} {off}), {src})", size)
	case op == AtomicAdd: // what LLVM has had since its first version
		l.add(allC, "lock *(%s *)({dst} {off}) += {src}", size)
		if row.Size == Word {
			l.add(0, "lock *(%s *)({dst} {off}) += {wsrc}", size)
		}
	case !op.Fetch():
		l.add(llvm, "lock *(%s *)({dst} {off}) %s %s", size, lockOps[op], src)
		l.add(in(Kernel), "lock *(%s *)({dst} {off}) %s {src}", size, lockOps[op])
	default:
		l.cFetch(size, src)
	}
}

func (l *formList) cFetch(size, src string) {
	kernel, result := "atomic", "{w0}"
	llvmName := l.row.Atomic.String() + "32_32"
	if l.row.Size == DWord {
		kernel, result = "atomic64", "{r0}"
		llvmName = l.row.Atomic.String() + "_64"
	}
	switch l.row.Atomic {
	case AtomicXchg:
		l.add(llvm, "%s = %s({dst} {off}, %s)", src, llvmName, src)
		l.add(in(Kernel), "{src} = %s_xchg((%s *)({dst} {off}), {src})", kernel, size)
	case AtomicCmpXchg:
		l.add(llvm, "%s = %s({dst} {off}, %s, %s)", result, llvmName, result, src)
		l.add(in(Kernel), "{r0} = %s_cmpxchg((%s *)({dst} {off}), {r0}, {src})", kernel, size)
	default:
		l.add(llvm, "%s = atomic_%s((%s *)({dst} {off}), %s)", src, l.row.Atomic, size, src)
		l.add(in(Kernel), "{src} = %s_%s((%s *)({dst} {off}), {src})", kernel, l.row.Atomic, size)
	}
}

func (l *formList) cJump() {
	row := l.row
	switch row.Kind {
	case KindJump:
		dst, src := registers(row.Wide)
		kernel := src
		if row.Source == ImmSource {
			src, kernel = "{imm}", "{ximm}"
		}
		l.add(llvm, "if %s %s %s goto {jump}", dst, jumpOps[row.Jump], src)
		l.add(in(Kernel), "if %s %s %s goto {jump}", dst, jumpOps[row.Jump], kernel)
	case KindGoto:
		if row.Opcode.Class() == ClassJMP32 {
			l.add(allC, "gotol {jump}")
			return
		}
		l.add(allC, "goto {jump}")
	case KindMayGoto:
		l.add(allC, "may_goto {jump}")
	case KindCallHelper:
		l.add(allC, "call {helper}")
	case KindCallLocal:
		l.add(allC, "call {callee}")
	case KindCallKfunc:
		l.add(in(Kernel), "call {name}#{num}").lossy = true // read as {callee}
		l.add(llvm, "call kfunc[{name}]")
		l.add(in(Objdump), "call {imm}").lossy = true
		l.kfuncByID("call")
	case KindCallX:
		l.add(allC, "callx {dst}")
	case KindExit:
		l.add(allC, "exit")
	}
}

// kfuncByID adds the forms of a call of a kernel function without its name.
func (l *formList) kfuncByID(call string) {
	set := in(Kernel, Exact, Mnemonic)
	l.add(set, "%s kfunc[id:{num}]", call)
	l.add(set, "%s kfunc[id:{num}][module:{offnum}]", call)
}
