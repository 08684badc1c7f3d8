package lower

import (
	"fmt"
	"strings"
)

var names = map[Op]string{Add: "+", Sub: "-", Mul: "*", And: "&", Or: "|", Xor: "^", Div: "/", Mod: "%", SDiv: "s/", SMod: "s%",
	LSh: "<<", RSh: ">>", ArSh: "s>>", Rol: "rol"}

func (r Reg) String() string { return fmt.Sprintf("r%d", int8(r)) }

// text returns an instruction as the tests have it: w marks 32-bit operations, a question
// mark accesses that are checked.
func (in *Ins) text() string {
	src := fmt.Sprint(in.Imm)
	if in.B != None {
		src = in.B.String()
	}
	dst := in.Dst.String()
	if !in.Wide {
		dst = "w" + dst[1:]
	}
	base, operand := in.A, in.Op >= Add && in.Op <= Xor && in.Size != 0
	if operand && in.Dst != None {
		base = in.B
	}
	m := fmt.Sprintf("u%d[%v", 8*int(in.Size), base)
	if in.Index != None {
		m += fmt.Sprintf("+%v*%d", in.Index, in.Scale)
	}
	if in.Disp != 0 {
		m += fmt.Sprintf("%+d", in.Disp)
	}
	m += "]"
	if in.Check {
		m += "?"
	}
	switch {
	case operand && in.Dst == None:
		return fmt.Sprintf("%s %s= %s", m, names[in.Op], src)
	case operand:
		src = m
	}
	switch in.Op {
	case Mov:
		return fmt.Sprintf("%s = %s", dst, src)
	case Neg:
		return fmt.Sprintf("%s = -%v", dst, in.A)
	case Zext, Sext, Swap:
		return fmt.Sprintf("%s = %s%d %v", dst, map[Op]string{Zext: "zext", Sext: "sext", Swap: "swap"}[in.Op], 8*int(in.Size), in.A)
	case Popcount:
		return fmt.Sprintf("%s = popcount %v", dst, in.A)
	case Load:
		return fmt.Sprintf("%s = %s", dst, m)
	case Store:
		return fmt.Sprintf("%s = %s", m, src)
	case Lea:
		return fmt.Sprintf("%s = %v + %v*%d", dst, in.A, in.Index, in.Scale)
	case Lookup:
		if in.B != None {
			return fmt.Sprintf("%s = lookup %d %v", dst, in.Imm, in.B)
		}
		return fmt.Sprintf("%s = lookup %d %s", dst, in.Imm, m)
	case Exchange:
		return fmt.Sprintf("%v <-> %v", in.Dst, in.B)
	case Jump:
		return fmt.Sprintf("if %v %v %s goto %d", in.A, in.Cond, src, in.Target)
	case Goto, Call, MayGoto:
		return fmt.Sprintf("%s %d", map[Op]string{Goto: "goto", Call: "call", MayGoto: "may_goto"}[in.Op], in.Target)
	case Guard, Repeat:
		text := fmt.Sprintf("%s %d goto %d", map[Op]string{Guard: "guard", Repeat: "repeat"}[in.Op], in.Imm, in.Target)
		if in.Disp != 0 {
			text += fmt.Sprintf(", counter %d", in.Disp)
		}
		return text
	case Helper:
		return fmt.Sprintf("helper %d", in.Imm)
	case Exit:
		return "exit"
	case Enter:
		return fmt.Sprintf("enter %d", in.Imm)
	case Leave:
		return fmt.Sprintf("leave %d", in.Imm)
	case Hop:
		return fmt.Sprintf("hop %d", in.Imm)
	case Nop:
		return "nop"
	}
	if name := names[in.Op]; name != "" {
		return fmt.Sprintf("%s = %v %s %s", dst, in.A, name, src)
	}
	return fmt.Sprintf("op%d", in.Op)
}

// text returns the blocks of a program, one a line.
func (p *Program) text() string {
	var lines []string
	for i := range p.Blocks {
		lines = append(lines, p.Blocks[i].text())
	}
	return strings.Join(lines, "\n")
}

func (b *Block) text() string {
	var ins []string
	for j := range b.Ins {
		ins = append(ins, b.Ins[j].text())
	}
	return strings.Join(ins, "; ")
}
