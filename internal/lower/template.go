package lower

import "github.com/sandbpf/sandbpf/asm"

// template is what instructions of a row of the opcode table become, but for their operands: these are
// filled in without a look at what the instruction is.
type template struct {
	form form
	ins  Ins // registers that there are none of are None, the others 0
	// Which fields operands come from: all bits are set, or none.
	dst, aDst, aSrc, bDst, bSrc Reg
	disp                        int32
	imm                         int64 // the bits that are used
}

// form is what is to be done with an instruction that has its operands.
type form uint8

const (
	formOther  form = iota // see builder.other
	formValue              // no more
	formAccess             // a proof may say more
	formJump               // to be given a target, and a proof may say more
)

// templates are by the number of the row.
var templates = func() (list []template) {
	list = append(list, template{})
	for _, info := range asm.Table() {
		list = append(list, newTemplate(&info))
	}
	return list
}()

const yes = Reg(-1) // all bits

func newTemplate(info *asm.Info) template {
	t := template{form: formValue, ins: Ins{Wide: info.Wide, Size: info.Bits / 8}}
	switch info.Kind {
	case asm.KindALU:
		t.alu(info)
	case asm.KindNeg:
		t.ins.Op, t.dst, t.aDst = Neg, yes, yes
	case asm.KindMovSX:
		t.ins.Op, t.dst, t.aSrc = Sext, yes, yes
	case asm.KindToLE: // native code is for little-endian machines
		t.ins.Op, t.ins.Wide, t.dst, t.aDst = Zext, true, yes, yes
		if info.Bits >= 32 {
			t.ins.Op, t.ins.Wide, t.aDst, t.bDst = Mov, info.Bits == 64, 0, yes
		}
	case asm.KindToBE, asm.KindBSwap:
		t.ins.Op, t.ins.Wide, t.dst, t.aDst = Swap, true, yes, yes
	case asm.KindLoad, asm.KindStoreImm, asm.KindStoreReg:
		t.access(info)
	case asm.KindJump:
		t.form, t.ins.Op, t.ins.Cond, t.aDst = formJump, Jump, info.Jump, yes
		t.source(info.Source, -1)
	default:
		t.form = formOther
	}
	for _, r := range [...]struct {
		reg *Reg
		is  bool
	}{{&t.ins.Dst, t.dst != 0}, {&t.ins.A, t.aDst|t.aSrc != 0}, {&t.ins.B, t.bDst|t.bSrc != 0}, {&t.ins.Index, false}} {
		if !r.is {
			*r.reg = None
		}
	}
	return t
}

// source says where the second operand is from: a register, or those bits of the constant.
func (t *template) source(from asm.Source, bits int64) {
	if from == asm.RegSource {
		t.bSrc = yes
	} else {
		t.imm = bits
	}
}

var aluOps = map[asm.ALUOp]Op{asm.Add: Add, asm.Sub: Sub, asm.Mul: Mul, asm.Div: Div, asm.Or: Or, asm.And: And, asm.LSh: LSh,
	asm.RSh: RSh, asm.Mod: Mod, asm.Xor: Xor, asm.ArSh: ArSh, asm.SDiv: SDiv, asm.SMod: SMod, asm.Mov: Mov}

func (t *template) alu(info *asm.Info) {
	t.ins.Op, t.dst = aluOps[info.ALU], yes
	if t.ins.Op != Mov {
		t.aDst = yes
	}
	if info.Wide {
		t.source(info.Source, -1)
	} else {
		t.source(info.Source, 1<<32-1)
	}
}

// access is a load or store.
func (t *template) access(info *asm.Info) {
	t.form, t.disp = formAccess, -1
	t.ins.Op, t.ins.Wide, t.ins.Size = Store, true, uint8(info.Size.Bytes())
	switch info.Kind {
	case asm.KindLoad:
		t.ins.Op, t.ins.Signed, t.dst, t.aSrc = Load, info.Signed, yes, yes
	case asm.KindStoreReg:
		t.aDst, t.bSrc = yes, yes
	default:
		t.aDst, t.imm = yes, -1
	}
}

// fill makes in the instruction ins of the program, which is at slot.
func (t *template) fill(in *Ins, ins *asm.Instruction, slot int) {
	dst, src := Reg(ins.Dst), Reg(ins.Src)
	*in = t.ins
	in.Dst = t.ins.Dst | dst&t.dst
	in.A = t.ins.A | dst&t.aDst | src&t.aSrc
	in.B = t.ins.B | dst&t.bDst | src&t.bSrc
	in.Disp = int32(ins.Off) & t.disp
	in.Imm = ins.Imm & t.imm
	in.Slot = int32(slot)
}
