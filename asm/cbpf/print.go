package cbpf

import (
	"fmt"
	"strconv"
	"strings"
)

// String returns the program as tcpdump -d prints it, a line for each
// instruction:
//
//	(000) ldh      [12]
//	(001) jeq      #0x800           jt 2	jf 3
//
// Beyond what tcpdump knows, "ldx #pktlen" is printed as such. Unknown opcodes
// are "unimp" and their number.
func (p Program) String() string {
	var b strings.Builder
	for i, ins := range p {
		fmt.Fprintf(&b, "(%03d) %s\n", i, ins.text(i))
	}
	return b.String()
}

// text returns the instruction, which stands at index i.
func (ins Instruction) text(i int) string {
	mnemonic, operand := "unimp", fmt.Sprintf("0x%x", ins.Op)
	if op, ok := opcodes[ins.Op]; ok {
		mnemonic, operand = op.mnemonic, ins.operandText(op.operand, i)
	}
	if ins.conditional() {
		return fmt.Sprintf("%-8s %-16s jt %d\tjf %d", mnemonic, operand, i+1+int(ins.Jt), i+1+int(ins.Jf))
	}
	return fmt.Sprintf("%-8s %s", mnemonic, operand)
}

func (ins Instruction) operandText(kind operand, i int) string {
	k := int32(ins.K) // tcpdump prints signed numbers
	switch kind {
	case decimal:
		return fmt.Sprintf("#%d", k)
	case hexadecimal:
		return fmt.Sprintf("#0x%x", ins.K)
	case regX:
		return "x"
	case absolute:
		if ad, ok := ins.ancillary(); ok {
			return "[" + ancillaryNames[ad] + "]"
		}
		return fmt.Sprintf("[%d]", k)
	case indirect:
		return fmt.Sprintf("[x + %d]", k)
	case headerLen:
		return fmt.Sprintf("4*([%d]&0xf)", k)
	case scratch:
		return fmt.Sprintf("M[%d]", k)
	case length:
		return "#pktlen"
	case jump:
		return strconv.Itoa(int(int32(i) + 1 + k))
	}
	return ""
}

// Bytecode returns the program as tcpdump -ddd prints it: a line with the number
// of instructions, then one with the decimal op, jt, jf and k of each. [Parse]
// reads it back. With commas for line ends it is what iptables -m bpf and tc take.
func (p Program) Bytecode() string {
	b := strconv.AppendInt(nil, int64(len(p)), 10)
	b = append(b, '\n')
	for _, ins := range p {
		b = fmt.Appendf(b, "%d %d %d %d\n", ins.Op, ins.Jt, ins.Jf, ins.K)
	}
	return string(b)
}
