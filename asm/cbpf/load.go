package cbpf

import (
	"fmt"
	"math"

	"github.com/sandbpf/sandbpf/asm"
)

// seccompDataSize is the size of struct seccomp_data (linux/seccomp.h): number,
// architecture, instruction pointer and six arguments.
const seccompDataSize = 64

// checkSeccomp refuses what seccomp does not have, also where it cannot be
// reached. p must be valid.
func (p Program) checkSeccomp() error {
	for i, ins := range p {
		switch ins.Op {
		case classLD | modeABS | sizeW:
			if ins.K >= seccompDataSize || ins.K%4 != 0 {
				return p.invalid(i, fmt.Sprintf("no aligned word of the %d bytes of seccomp data", seccompDataSize))
			}
		case classLD | modeABS | sizeH, classLD | modeABS | sizeB, classLDX | modeMSH | sizeB,
			classLD | modeIND | sizeW, classLD | modeIND | sizeH, classLD | modeIND | sizeB,
			classALU | aluMOD | srcK, classALU | aluMOD | srcX:
			return p.invalid(i, "not allowed in seccomp filters")
		}
	}
	return nil
}

// load translates a load to A or X. It returns why it cannot, "" if it can.
func (t *translator) load(ins Instruction) string {
	dst := regA
	if ins.class() == classLDX {
		dst = xReg
	}
	switch ins.Op & modeMask {
	case modeIMM:
		t.emit(asm.Mov.Imm32(dst, int32(ins.K)))
	case modeMEM:
		t.emit(asm.LoadMem(dst, asm.RFP, scratchOffset(ins.K), asm.Word))
	case modeLEN:
		t.length(dst)
	default: // modeABS, modeIND, modeMSH
		return t.packet(ins)
	}
	return ""
}

func (t *translator) length(dst asm.Register) {
	switch t.mode {
	case SocketFilter:
		t.emit(asm.LoadMem(dst, regCtx, skbLen, asm.Word))
	case Seccomp:
		t.emit(asm.Mov.Imm32(dst, seccompDataSize))
	case Memory:
		t.emit(asm.Mov.Reg32(dst, regLen))
	}
}

// packet translates a load of the input.
func (t *translator) packet(ins Instruction) string {
	if ad, ok := ins.ancillary(); ok {
		return t.ancillary(ad)
	}
	switch t.mode {
	case SocketFilter:
		t.socketBuffer(ins)
	case Seccomp:
		t.emit(asm.LoadMem(regA, regCtx, int16(ins.K), asm.Word))
	case Memory:
		if ins.Op&modeMask != modeIND && ins.K >= linkHeader {
			return "an offset from a header that plain memory does not have"
		}
		t.memory(ins)
	}
	return ""
}

func (ins Instruction) size() asm.Size { return asm.Size(ins.Op & sizeMask) }

func (t *translator) socketBuffer(ins Instruction) {
	size := asm.PacketSize(ins.size())
	switch ins.Op & modeMask {
	case modeABS:
		t.emit(asm.LoadAbs(int32(ins.K), size))
	case modeIND:
		t.emit(asm.LoadInd(xReg, int32(ins.K), size))
	case modeMSH: // the load overwrites A: keep it in X, which is to be overwritten
		t.emit(
			asm.Mov.Reg32(xReg, regA),
			asm.LoadAbs(int32(ins.K), size),
			asm.And.Imm32(regA, 0xf),
			asm.LSh.Imm32(regA, 2),
			asm.Mov.Reg32(regTmp, xReg),
			asm.Mov.Reg32(xReg, regA),
			asm.Mov.Reg32(regA, regTmp),
		)
	}
}

// alwaysOutside reports whether ins loads from a constant offset that no packet
// of less than 2^31 bytes has.
func (ins Instruction) alwaysOutside() bool {
	operand := opcodes[ins.Op].operand
	return (operand == absolute || operand == headerLen) &&
		ins.K < linkHeader && int64(ins.K)+int64(ins.size().Bytes()) > math.MaxInt32
}

// memory translates a load from plain memory. The comparisons are such that a
// verifier that tracks ranges but no relations between registers can prove the
// load, from the length's range and the comparison of two registers.
func (t *translator) memory(ins Instruction) {
	size := ins.size()
	bytes := int32(size.Bytes())
	base, off := regData, int16(0)
	if ins.Op&modeMask == modeIND {
		base = regTmp
		t.emit(asm.Mov.Reg32(regTmp, xReg))
		if ins.K != 0 {
			t.emit(asm.Add.Imm32(regTmp, int32(ins.K)))
		}
		t.emit(
			skip(asm.JLT.Imm(regLen, bytes, ""), 3),
			asm.Mov.Reg(regTmp2, regLen),
			asm.Sub.Imm(regTmp2, bytes),
			skip(asm.JLE.Reg(regTmp, regTmp2, ""), 2),
		)
		t.fail()
		t.emit(asm.Add.Reg(regTmp, regData))
	} else {
		t.emit(skip(asm.JGE.Imm(regLen, int32(ins.K)+bytes, ""), 2))
		t.fail()
		if ins.K <= math.MaxInt16 {
			off = int16(ins.K)
		} else {
			base = regTmp
			t.emit(asm.Mov.Reg(regTmp, regData), asm.Add.Imm(regTmp, int32(ins.K)))
		}
	}
	switch {
	case ins.Op&modeMask == modeMSH:
		t.emit(asm.LoadMem(xReg, base, off, size), asm.And.Imm32(xReg, 0xf), asm.LSh.Imm32(xReg, 2))
	case size == asm.Byte:
		t.emit(asm.LoadMem(regA, base, off, size))
	default:
		t.emit(asm.LoadMem(regA, base, off, size), asm.ToBE(regA, asm.SwapBits(8*bytes)))
	}
}

// Offsets in struct __sk_buff (linux/bpf.h).
const (
	skbLen         = 0
	skbPktType     = 4
	skbMark        = 8
	skbQueue       = 12
	skbProtocol    = 16
	skbVlanPresent = 20
	skbVlanTCI     = 24
	skbVlanProto   = 28
	skbIfindex     = 40
	skbHash        = 68
)

// skbFields are the ancillary loads that __sk_buff has a word for.
var skbFields = map[uint32]int16{
	adProtocol: skbProtocol, adPktType: skbPktType, adIfindex: skbIfindex, adMark: skbMark, adQueue: skbQueue,
	adRxhash: skbHash, adVlanTag: skbVlanTCI, adVlanPresent: skbVlanPresent, adVlanTPID: skbVlanProto,
}

// ancillary translates an ancillary load to A. It returns why it cannot, "" if
// it can.
func (t *translator) ancillary(ad uint32) string {
	switch ad {
	case adXorX:
		t.emit(asm.Xor.Reg32(regA, xReg))
		return ""
	case adCPU:
		t.emit(asm.FnGetSmpProcessorId.Call())
		return ""
	case adRandom:
		t.emit(asm.FnGetPrandomU32.Call())
		return ""
	}
	field, ok := skbFields[ad]
	switch {
	case !ok:
		return "eBPF programs have no access to this"
	case t.mode != SocketFilter:
		return "there is no socket buffer to read this from"
	case ad == adIfindex:
		// A buffer without a device ends the program with A as it is.
		t.emit(
			asm.LoadMem(regTmp, regCtx, field, asm.Word),
			skip(asm.JNE.Imm32(regTmp, 0, ""), 1),
			asm.Return(),
			asm.Mov.Reg32(regA, regTmp),
		)
	default:
		t.emit(asm.LoadMem(regA, regCtx, field, asm.Word))
		if ad == adProtocol || ad == adVlanTPID { // the buffer has them in network order
			t.emit(asm.ToBE(regA, asm.Bits16))
		}
	}
	return ""
}
