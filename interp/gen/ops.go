package main

import (
	"fmt"
	"strings"
)

// op is an operation of the loop: one instruction's work, or two's.
type op struct {
	name string // its constant in package interp
	info string // fields of its opInfo
	body string // what it does; o is the operation, pc is behind it
	ends bool   // the body never reaches the dispatch

	first, second string // the names of the two, for a pair

	at func(part) string // the body with the operand fields of a part
}

// part names the fields that hold the operands of one half of an operation: a
// is written, b and c are read; x is an offset, y the index of a window.
type part struct{ a, b, c, x, y, miss string }

var (
	firstPart  = part{"o.a", "o.b", "o.c", "o.x", "o.y", "exitMiss"}
	secondPart = part{"o.d", "o.e", "o.f", "o.w", "o.z", "exitMiss2"}
)

func single(name, info string, at func(part) string) op {
	return op{name: "op" + name, info: info, body: at(firstPart), at: at}
}

// special is an operation that is no part of a pair.
func special(name, info, body string) op {
	return op{name: "op" + name, info: info, body: body}
}

func singles() []op {
	var ops []op
	ops = append(ops, control()...)
	ops = append(ops, alu()...)
	ops = append(ops, division()...)
	ops = append(ops, unary()...)
	ops = append(ops, memory()...)
	ops = append(ops, jumps()...)
	return ops
}

// take is a taken jump: account for the instructions since the last one, and
// leave if the budget is used up.
const take = `pc = uintptr(o.z)
m.left -= o.w
if m.left < 0 {
	m.pc = pc
	return exitBudget
}`

// takeOther is the jump of a branch whose condition does not hold.
const takeOther = `pc = uintptr(o.y)
m.left -= o.x
if m.left < 0 {
	m.pc = pc
	return exitBudget
}`

func leave(code string) string { return "m.pc = pc\nreturn " + code }

func control() []op {
	return []op{
		{name: "opExit", info: "ends: true", body: exitBody},
		{name: "opCall", info: "call: true", body: callBody},
		single("Goto", "ends: true, jump: true", func(part) string { return take }),
		{name: "opBack", info: "ends: true", body: "pc = uintptr(o.z)"}, // from what an operation does as two, which is no jump
		{name: "opFault", info: "ends: true", body: leave("exitFault"), ends: true},
		{name: "opHost", info: "ends: true", body: leave("exitHost"), ends: true},
		{name: "opHelper", info: "call: true", body: leave("exitHelper"), ends: true},
		{name: "opAtomic", info: "call: true", body: leave("exitAtomic"), ends: true},
		{name: "opPacket", info: "call: true", body: leave("exitPacket"), ends: true},
		special("MayGoto", "jump: true", `f = (*frame)(unsafe.Add(unsafe.Pointer(&m.frames), m.fp))
if f.mayGoto == 0 {
`+take+`
} else {
	f.mayGoto--
}`),
		special("LoadImm", "writes: true", "s[o.a] = uint64(o.x)"),
		special("Nop", "", ""),
	}
}

const callBody = `if m.fp == m.fpMax {
	m.pc = pc
	return exitDepth
}
f = (*frame)(unsafe.Add(unsafe.Pointer(&m.frames), m.fp))
f.ret, f.retIndex = pc, o.x
f.r6, f.r7, f.r8, f.r9 = s[6], s[7], s[8], s[9]
m.fp += frameSize
(*frame)(unsafe.Add(unsafe.Pointer(&m.frames), m.fp)).mayGoto = mayGotoLimit
s[10] -= stackSize
m.frame -= stackSize
if o.y != 0 {
	m.cpu.PushFrame(int(m.fp / frameSize))
} else {
	m.cpu.EnterFrame(int(m.fp / frameSize))
}
` + take

const exitBody = `if m.fp == m.fpMin {
	m.pc = pc
	return exitDone
}
m.cpu.PopFrame(int(m.fp / frameSize))
m.fp -= frameSize
f = (*frame)(unsafe.Add(unsafe.Pointer(&m.frames), m.fp))
s[6], s[7], s[8], s[9] = f.r6, f.r7, f.r8, f.r9
s[10] += stackSize
m.frame += stackSize
m.left -= o.w - f.retIndex
pc = f.ret`

// binary lists the two-operand arithmetic: its 64-bit form, and its 32-bit form
// where that is more than the lower half of the 64-bit one.
var binary = []struct{ name, expr64, expr32 string }{
	{"Add", "%s + %s", ""},
	{"Sub", "%s - %s", ""},
	{"Mul", "%s * %s", ""},
	{"And", "%s & %s", ""},
	{"Or", "%s | %s", ""},
	{"Xor", "%s ^ %s", ""},
	{"LSh", "%s << (%s & 63)", "uint32(%s) << (%s & 31)"},
	{"RSh", "%s >> (%s & 63)", "uint32(%s) >> (%s & 31)"},
	{"ArSh", "uint64(int64(%s) >> (%s & 63))", "uint32(int32(%s) >> (%s & 31))"},
	{"Rot", "bits.RotateLeft64(%s, int(%s))", "bits.RotateLeft32(uint32(%s), int(%s))"},
}

const readsTwo = "writes: true, reads: readsB | readsC"

func alu() []op {
	var ops []op
	for _, o := range binary {
		ops = append(ops, single(o.name+"64", readsTwo, func(p part) string {
			return fmt.Sprintf("s[%s] = "+o.expr64, p.a, "s["+p.b+"]", "s["+p.c+"]")
		}))
		expr32 := o.expr32
		if expr32 == "" {
			expr32 = "uint32(" + o.expr64 + ")"
		}
		ops = append(ops, single(o.name+"32", readsTwo+", narrow: true", func(p part) string {
			return fmt.Sprintf("s[%s] = uint64("+expr32+")", p.a, "s["+p.b+"]", "s["+p.c+"]")
		}))
	}
	return ops
}

// division calls package isa, whose functions the compiler inlines here.
func division() []op {
	var ops []op
	for _, name := range []string{"Div64", "Mod64", "SDiv64", "SMod64"} {
		ops = append(ops, special(name, readsTwo, fmt.Sprintf("s[o.a] = isa.%s(s[o.b], s[o.c])", name)))
	}
	for _, name := range []string{"Div32", "Mod32", "SDiv32", "SMod32"} {
		ops = append(ops, special(name, readsTwo+", narrow: true",
			fmt.Sprintf("s[o.a] = uint64(isa.%s(uint32(s[o.b]), uint32(s[o.c])))", name)))
	}
	return ops
}

func unary() []op {
	var ops []op
	for _, u := range []struct{ name, expr, info string }{
		{"Mov64", "%s", ""},
		{"Mov32", "uint64(uint32(%s))", ", narrow: true"},
		{"Neg64", "-%s", ""},
		{"Neg32", "uint64(-uint32(%s))", ", narrow: true"},
		{"SX8", "uint64(int64(int8(%s)))", ""},
		{"SX16", "uint64(int64(int16(%s)))", ""},
		{"SX32", "uint64(int64(int32(%s)))", ""},
		{"SX8to32", "uint64(uint32(int32(int8(%s))))", ", narrow: true"},
		{"SX16to32", "uint64(uint32(int32(int16(%s))))", ", narrow: true"},
		{"Mov16", "uint64(uint16(%s))", ", narrow: true"},
		{"Swap16", "uint64(bits.ReverseBytes16(uint16(%s)))", ", narrow: true"},
		{"Swap32", "uint64(bits.ReverseBytes32(uint32(%s)))", ", narrow: true"},
		{"Swap64", "bits.ReverseBytes64(%s)", ""},
	} {
		ops = append(ops, single(u.name, "writes: true, reads: readsB"+u.info, func(p part) string {
			return fmt.Sprintf("s[%s] = "+u.expr, p.a, "s["+p.b+"]")
		}))
	}
	return ops
}

var widths = []struct {
	bits  int
	log   int
	utype string
	itype string
}{{8, 0, "uint8", "int8"}, {16, 1, "uint16", "int16"}, {32, 2, "uint32", "int32"}, {64, 3, "uint64", "int64"}}

// address finds the window and checks the access against it.
func address(p part, index bool, limit string, log int) string {
	sum := fmt.Sprintf("s[%s] + uint64(%s)", p.b, p.x)
	if index {
		sum += fmt.Sprintf(" + s[%s]", p.c)
	}
	return fmt.Sprintf(`w = *(**vm.Window)(unsafe.Add(win, %s))
off = %s - uint64(uintptr(w.Base))
if off >= uint64(w.%s[%d]) {
	m.pc = pc
	return %s
}
`, p.y, sum, limit, log, p.miss)
}

func memory() []op {
	var ops []op
	load := func(name, info, typ, ext string, log int, index bool) {
		ops = append(ops, single(name, info, func(p part) string {
			return address(p, index, "RLim", log) +
				fmt.Sprintf("s[%s] = %s(*(*%s)(unsafe.Add(w.Base, off))%s", p.a, ext, typ, strings.Repeat(")", strings.Count(ext, "(")+1))
		}))
	}
	for _, w := range widths {
		narrow, inMemory := "", ""
		if w.bits < 64 {
			narrow = ", narrow: true"
		}
		if w.bits < 32 { // what 32 bits of a context hold may stand for a pointer
			inMemory = narrow
		}
		info := fmt.Sprintf("writes: true, mem: true, size: %d%s", w.bits/8, inMemory)
		load(fmt.Sprintf("Load%d", w.bits), info+", reads: readsB", w.utype, "uint64", w.log, false)
		load(fmt.Sprintf("LoadX%d", w.bits), info+", reads: readsB | readsC", w.utype, "uint64", w.log, true)
		ops = append(ops, single(fmt.Sprintf("LoadStack%d", w.bits), "writes: true"+narrow, func(p part) string {
			return fmt.Sprintf("s[%s] = uint64(*(*%s)(unsafe.Add(m.stack, m.frame + uintptr(%s))))", p.a, w.utype, p.x)
		}))
		if w.bits < 64 {
			info := fmt.Sprintf("writes: true, mem: true, signed: true, size: %d, reads: readsB", w.bits/8)
			load(fmt.Sprintf("LoadS%d", w.bits), info, w.itype, "uint64(int64", w.log, false)
		}
	}
	for _, w := range widths {
		store := func(name, info string, index bool) {
			ops = append(ops, single(name, info, func(p part) string {
				return address(p, index, "WLim", w.log) +
					fmt.Sprintf("*(*%s)(unsafe.Add(w.Base, off)) = %s(s[%s])", w.utype, w.utype, p.a)
			}))
		}
		info := fmt.Sprintf("mem: true, store: true, size: %d, reads: readsA | readsB", w.bits/8)
		store(fmt.Sprintf("Store%d", w.bits), info, false)
		store(fmt.Sprintf("StoreX%d", w.bits), info+" | readsC", true)
		ops = append(ops, single(fmt.Sprintf("StoreStack%d", w.bits), "store: true, reads: readsA", func(p part) string {
			return fmt.Sprintf("*(*%s)(unsafe.Add(m.stack, m.frame + uintptr(%s))) = %s(s[%s])", w.utype, p.x, w.utype, p.a)
		}))
	}
	return ops
}

// conditions are those that the decoder leaves; the others are these with the
// operands exchanged.
var conditions = []struct{ name, expr, typ string }{
	{"JEq", "%s == %s", "uint"}, {"JNE", "%s != %s", "uint"},
	{"JGT", "%s > %s", "uint"}, {"JGE", "%s >= %s", "uint"},
	{"JSGT", "%s > %s", "int"}, {"JSGE", "%s >= %s", "int"},
	{"JSet", "%s & %s != 0", "uint"}, {"JNSet", "%s & %s == 0", "uint"},
}

// branches are conditional jumps in front of an unconditional one, as compilers
// write at the end of loops: both ways are jumps.
func branches() []op {
	var ops []op
	for _, c := range conditions {
		if c.name != "JEq" && c.name != "JGT" && c.name != "JSGT" {
			continue // the others are these with the ways exchanged
		}
		conv := ""
		if c.typ == "int" {
			conv = "int64"
		}
		ops = append(ops, single("Br"+c.name[1:]+"64", "branch: true, ends: true, reads: readsB | readsC", func(p part) string {
			arg := func(f string) string { return conv + "(s[" + f + "])" }
			return fmt.Sprintf("if "+c.expr+" {\n%s\n} else {\n%s\n}", arg(p.b), arg(p.c), take, takeOther)
		}))
	}
	return ops
}

func jumps() []op {
	ops := branches()
	for _, c := range conditions {
		for _, bits := range []int{64, 32} {
			ops = append(ops, single(fmt.Sprintf("%s%d", c.name, bits), "jump: true, reads: readsB | readsC", func(p part) string {
				conv := ""
				if bits == 32 || c.typ == "int" {
					conv = fmt.Sprintf("%s%d", c.typ, bits)
				}
				arg := func(f string) string { return conv + "(s[" + f + "])" }
				return fmt.Sprintf("if "+c.expr+" {\n%s\n}", arg(p.b), arg(p.c), take)
			}))
		}
	}
	return ops
}
