package cbpf

// Classes, the lowest three bits of Op (linux/bpf_common.h).
const (
	classLD   = 0x00
	classLDX  = 0x01
	classST   = 0x02
	classSTX  = 0x03
	classALU  = 0x04
	classJMP  = 0x05
	classRET  = 0x06
	classMISC = 0x07

	classMask = 0x07
)

// Sizes and modes of loads.
const (
	sizeW = 0x00
	sizeH = 0x08
	sizeB = 0x10

	modeIMM = 0x00
	modeABS = 0x20
	modeIND = 0x40
	modeMEM = 0x60
	modeLEN = 0x80
	modeMSH = 0xa0

	sizeMask = 0x18
	modeMask = 0xe0
)

// Operations and their operand's source.
const (
	srcK = 0x00
	srcX = 0x08

	aluADD = 0x00
	aluSUB = 0x10
	aluMUL = 0x20
	aluDIV = 0x30
	aluOR  = 0x40
	aluAND = 0x50
	aluLSH = 0x60
	aluRSH = 0x70
	aluNEG = 0x80
	aluMOD = 0x90
	aluXOR = 0xa0

	jmpJA   = 0x00
	jmpJEQ  = 0x10
	jmpJGT  = 0x20
	jmpJGE  = 0x30
	jmpJSET = 0x40

	retK = 0x00
	retA = 0x10

	miscTAX = 0x00
	miscTXA = 0x80

	opMask = 0xf0
)

// operand is how an instruction uses and how text shows K.
type operand uint8

const (
	noOperand operand = iota
	decimal
	hexadecimal
	regX     // the operand is X
	absolute // packet byte K
	indirect // packet byte X + K
	headerLen
	scratch // M[K]
	length
	jump
)

type opcode struct {
	mnemonic string
	operand  operand
}

// opcodes holds every instruction that Linux takes from user space
// (chk_code_allowed in net/core/filter.c). No others exist.
var opcodes = map[uint16]opcode{
	classLD | modeABS | sizeW: {"ld", absolute},
	classLD | modeABS | sizeH: {"ldh", absolute},
	classLD | modeABS | sizeB: {"ldb", absolute},
	classLD | modeIND | sizeW: {"ld", indirect},
	classLD | modeIND | sizeH: {"ldh", indirect},
	classLD | modeIND | sizeB: {"ldb", indirect},
	classLD | modeIMM:         {"ld", hexadecimal},
	classLD | modeMEM:         {"ld", scratch},
	classLD | modeLEN:         {"ld", length},

	classLDX | modeIMM:         {"ldx", hexadecimal},
	classLDX | modeMEM:         {"ldx", scratch},
	classLDX | modeLEN:         {"ldx", length},
	classLDX | modeMSH | sizeB: {"ldxb", headerLen},

	classST:  {"st", scratch},
	classSTX: {"stx", scratch},

	classALU | aluADD | srcK: {"add", decimal},
	classALU | aluSUB | srcK: {"sub", decimal},
	classALU | aluMUL | srcK: {"mul", decimal},
	classALU | aluDIV | srcK: {"div", decimal},
	classALU | aluMOD | srcK: {"mod", decimal},
	classALU | aluOR | srcK:  {"or", hexadecimal},
	classALU | aluAND | srcK: {"and", hexadecimal},
	classALU | aluXOR | srcK: {"xor", hexadecimal},
	classALU | aluLSH | srcK: {"lsh", decimal},
	classALU | aluRSH | srcK: {"rsh", decimal},
	classALU | aluADD | srcX: {"add", regX},
	classALU | aluSUB | srcX: {"sub", regX},
	classALU | aluMUL | srcX: {"mul", regX},
	classALU | aluDIV | srcX: {"div", regX},
	classALU | aluMOD | srcX: {"mod", regX},
	classALU | aluOR | srcX:  {"or", regX},
	classALU | aluAND | srcX: {"and", regX},
	classALU | aluXOR | srcX: {"xor", regX},
	classALU | aluLSH | srcX: {"lsh", regX},
	classALU | aluRSH | srcX: {"rsh", regX},
	classALU | aluNEG:        {"neg", noOperand},

	classJMP | jmpJA:          {"ja", jump},
	classJMP | jmpJEQ | srcK:  {"jeq", hexadecimal},
	classJMP | jmpJGT | srcK:  {"jgt", hexadecimal},
	classJMP | jmpJGE | srcK:  {"jge", hexadecimal},
	classJMP | jmpJSET | srcK: {"jset", hexadecimal},
	classJMP | jmpJEQ | srcX:  {"jeq", regX},
	classJMP | jmpJGT | srcX:  {"jgt", regX},
	classJMP | jmpJGE | srcX:  {"jge", regX},
	classJMP | jmpJSET | srcX: {"jset", regX},

	classRET | retK: {"ret", decimal},
	classRET | retA: {"ret", noOperand},

	classMISC | miscTAX: {"tax", noOperand},
	classMISC | miscTXA: {"txa", noOperand},
}

func (ins Instruction) class() uint16 { return ins.Op & classMask }

// conditional reports whether ins jumps by Jt and Jf.
func (ins Instruction) conditional() bool {
	return ins.class() == classJMP && ins.Op&opMask != jmpJA
}

// successors returns the instructions that may follow ins at index i: none,
// one, or two for a conditional jump. ins must be valid.
func (ins Instruction) successors(i int) []int {
	switch {
	case ins.class() == classRET:
		return nil
	case ins.conditional():
		return []int{i + 1 + int(ins.Jt), i + 1 + int(ins.Jf)}
	case ins.class() == classJMP:
		return []int{i + 1 + int(ins.K)}
	}
	return []int{i + 1}
}

// Offsets that do not count from the packet's first byte. They are negative
// numbers to the kernel (linux/filter.h).
const (
	linkHeader    = 0xffe0_0000 // SKF_LL_OFF: from here on, relative to the link layer header
	networkHeader = 0xfff0_0000 // SKF_NET_OFF: from here on, to the network header
	ancillaryBase = 0xffff_f000 // SKF_AD_OFF: absolute loads from here on read no packet
)

// ancillaryNames are the names in text of the ancillary loads, by K less
// ancillaryBase.
var ancillaryNames = map[uint32]string{
	adProtocol: "proto", adPktType: "type", adIfindex: "ifidx", adNlattr: "nla", adNlattrNest: "nlan",
	adMark: "mark", adQueue: "queue", adHatype: "hatype", adRxhash: "rxhash", adCPU: "cpu",
	adXorX: "xor_x", adVlanTag: "vlan_tci", adVlanPresent: "vlanp", adPayOffset: "poff",
	adRandom: "random", adVlanTPID: "vlan_tpid",
}

// The ancillary loads (SKF_AD_* in linux/filter.h).
const (
	adProtocol    = 0
	adPktType     = 4
	adIfindex     = 8
	adNlattr      = 12
	adNlattrNest  = 16
	adMark        = 20
	adQueue       = 24
	adHatype      = 28
	adRxhash      = 32
	adCPU         = 36
	adXorX        = 40
	adVlanTag     = 44
	adVlanPresent = 48
	adPayOffset   = 52
	adRandom      = 56
	adVlanTPID    = 60
)

// ancillary returns which ancillary load ins is, and whether it is one. As in
// the kernel, its size does not matter.
func (ins Instruction) ancillary() (uint32, bool) {
	if ins.class() != classLD || ins.Op&modeMask != modeABS || ins.K < ancillaryBase {
		return 0, false
	}
	ad := ins.K - ancillaryBase
	_, ok := ancillaryNames[ad]
	return ad, ok
}
