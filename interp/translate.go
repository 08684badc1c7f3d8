package interp

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// translate checks the program's structure and brings it into blocks.
func (d *decoder) translate() error {
	if err := d.p.Split(&d.split); err != nil {
		return err
	}
	d.blockAt = make([]int32, len(d.p.Insns))
	for slot := range d.p.Insns {
		d.blockAt[slot] = -1
		if d.split.Leader[slot] {
			d.blockAt[slot] = int32(len(d.blocks))
			d.blocks = append(d.blocks, block{start: int32(slot), next: -1})
		}
	}
	current := -1
	for slot := 0; slot < len(d.p.Insns); slot += d.p.Insns[slot].Slots() {
		if d.split.Leader[slot] {
			if current >= 0 && !d.closed(current) {
				d.blocks[current].next = int32(current + 1)
			}
			current++
		}
		d.slot = int32(slot)
		d.current = &d.blocks[current]
		if err := d.instruction(d.p.Insns[slot], slot); err != nil {
			return err
		}
	}
	return nil
}

// closed reports whether nothing falls through the end of block i.
func (d *decoder) closed(i int) bool {
	n := len(d.blocks[i].instrs)
	return n > 0 && opInfos[d.blocks[i].instrs[n-1].op].ends
}

// missing reports whether there is nothing to call at slot.
func (d *decoder) missing(slot int) bool {
	fn := asm.BuiltinFunc(d.p.Insns[slot].Imm)
	return d.split.Info(slot).Kind == asm.KindCallKfunc || fn != asm.FnTailCall && d.env.helper(fn) == nil
}

func (d *decoder) add(in instr) {
	in.slot = d.slot
	d.current.instrs = append(d.current.instrs, in)
}

// set adds an instruction that writes a register.
func (d *decoder) set(op opcode, dst asm.Register, b, c value) error {
	if dst == asm.R10 {
		return d.p.Errorf(int(d.slot), "frame pointer r10 is read only")
	}
	d.add(instr{op: op, dst: int8(dst), a: noValue, b: b, c: c})
	return nil
}

// instruction adds what an instruction of the program becomes.
func (d *decoder) instruction(ins asm.Instruction, slot int) error {
	info := d.split.Info(slot)
	dst, src := value(ins.Dst), value(ins.Src)
	switch info.Kind {
	case asm.KindALU:
		return d.alu(ins, info)
	case asm.KindNeg:
		return d.set(pick(info.Wide, opNeg64, opNeg32), ins.Dst, dst, noValue)
	case asm.KindMovSX:
		return d.set(signExtendOp(info.Bits, info.Wide), ins.Dst, src, noValue)
	case asm.KindToLE, asm.KindToBE, asm.KindBSwap:
		swap := info.Kind == asm.KindBSwap || (info.Kind == asm.KindToBE) != isa.BigEndian
		return d.set(swapOp(info.Bits, swap), ins.Dst, dst, noValue)
	case asm.KindLoadImm64:
		k, err := vm.Immediate(d.p, slot, d.env.Maps, d.env.Externs)
		if err != nil {
			return err
		}
		if ins.Src == asm.PseudoFunc {
			d.hasCalls = true
			d.callbacks = append(d.callbacks, d.blockAt[slot+1+int(ins.ImmLo())])
		}
		return d.set(opMov64, ins.Dst, d.constant(k), noValue)
	case asm.KindLoad, asm.KindStoreImm, asm.KindStoreReg:
		return d.access(ins, info)
	case asm.KindJump:
		return d.jump(ins, info, slot)
	case asm.KindGoto, asm.KindMayGoto:
		off, _ := ins.JumpOffset()
		op := opGoto
		if info.Kind == asm.KindMayGoto {
			op = opMayGoto
		}
		d.add(instr{op: op, dst: -1, a: noValue, b: noValue, c: noValue, target: d.blockAt[slot+1+int(off)]})
		return nil
	}
	return d.outside(ins, info, slot)
}

// outside adds what the loop leaves to others.
func (d *decoder) outside(ins asm.Instruction, info *asm.Info, slot int) error {
	in := instr{dst: -1, a: noValue, b: noValue, c: noValue}
	switch info.Kind {
	case asm.KindAtomic, asm.KindLoadAcquire, asm.KindStoreRelease:
		if ins.Src == asm.R10 && (info.Atomic.Fetch() || info.Kind == asm.KindLoadAcquire && ins.Dst == asm.R10) {
			return d.p.Errorf(slot, "frame pointer r10 is read only")
		}
		in.op = opAtomic
	case asm.KindLoadAbs, asm.KindLoadInd:
		in.op = opPacket
	case asm.KindExit:
		in.op = opExit
	case asm.KindCallLocal:
		d.hasCalls = true
		in.op, in.target = opCall, d.blockAt[slot+1+int(ins.ImmLo())]
	case asm.KindCallHelper:
		if d.missing(slot) {
			// Not an error yet: a program may call what is not there behind a branch that
			// it never takes, as CO-RE makes it do.
			in.op = opFault
			break
		}
		in.op, in.x = opHelper, d.helperIndex(d.env.helper(asm.BuiltinFunc(ins.Imm)))
	case asm.KindCallKfunc:
		in.op = opFault // like the call of a helper that is not there
	case asm.KindCallX:
		return d.p.Errorf(slot, "callx: calls through a register are not supported, by Linux neither")
	case asm.KindAddrSpaceCast:
		return d.p.Errorf(slot, "addr_space_cast: arenas are not supported")
	default:
		return d.p.Errorf(slot, "instruction of kind %d is not supported", info.Kind)
	}
	d.add(in)
	return nil
}

func pick[T any](cond bool, yes, no T) T {
	if cond {
		return yes
	}
	return no
}

func signExtendOp(bits uint8, wide bool) opcode {
	switch bits {
	case 8:
		return pick(wide, opSX8, opSX8to32)
	case 16:
		return pick(wide, opSX16, opSX16to32)
	}
	return opSX32
}

func swapOp(bits uint8, swap bool) opcode {
	switch bits {
	case 16:
		return pick(swap, opSwap16, opMov16)
	case 32:
		return pick(swap, opSwap32, opMov32)
	}
	return pick(swap, opSwap64, opMov64)
}

func (d *decoder) alu(ins asm.Instruction, info *asm.Info) error {
	src := value(ins.Src)
	if info.Source == asm.ImmSource {
		src = d.constant(uint64(ins.Imm))
	}
	if info.ALU == asm.Mov {
		return d.set(pick(info.Wide, opMov64, opMov32), ins.Dst, src, noValue)
	}
	ops := aluOps[info.ALU]
	return d.set(pick(info.Wide, ops[1], ops[0]), ins.Dst, value(ins.Dst), src)
}

// loadOps and storeOps are by the logarithm of the size.
var (
	loadOps       = [4]opcode{opLoad8, opLoad16, opLoad32, opLoad64}
	signedLoadOps = [4]opcode{opLoadS8, opLoadS16, opLoadS32}
	storeOps      = [4]opcode{opStore8, opStore16, opStore32, opStore64}
)

func log2(size int) int { return bits.TrailingZeros(uint(size)) }

func (d *decoder) access(ins asm.Instruction, info *asm.Info) error {
	log := log2(info.Size.Bytes())
	in := instr{dst: -1, a: noValue, c: noValue, x: int64(ins.Off)}
	switch info.Kind {
	case asm.KindLoad:
		if ins.Dst == asm.R10 {
			return d.p.Errorf(int(d.slot), "frame pointer r10 is read only")
		}
		in.op, in.dst, in.b = loadOps[log], int8(ins.Dst), value(ins.Src)
		if info.Signed {
			in.op = signedLoadOps[log]
		}
	case asm.KindStoreImm:
		in.op, in.a, in.b = storeOps[log], d.constant(uint64(ins.Imm)), value(ins.Dst)
	case asm.KindStoreReg:
		in.op, in.a, in.b = storeOps[log], value(ins.Src), value(ins.Dst)
	}
	d.add(in)
	return nil
}

func (d *decoder) jump(ins asm.Instruction, info *asm.Info, slot int) error {
	src := value(ins.Src)
	if info.Source == asm.ImmSource {
		src = d.constant(uint64(ins.Imm))
	}
	cond := conditionOps[info.Jump]
	in := instr{op: pick(info.Wide, cond.op64, cond.op32), dst: -1, a: noValue, b: value(ins.Dst), c: src,
		target: d.blockAt[slot+1+int(ins.Off)]}
	if cond.swap {
		in.b, in.c = in.c, in.b
	}
	d.add(in)
	return nil
}
