package cbpf

import (
	"encoding/binary"
	"math/bits"
)

// input is what a program runs on.
type input struct {
	data []byte            // the packet, or struct seccomp_data
	link []byte            // SocketFilter: the link layer header in front of data
	anc  map[uint32]uint32 // SocketFilter: ancillary values
}

// evaluate computes what p returns, directly by the rules of classic BPF in
// Linux. It is the oracle of the translation, and shares nothing with it but
// the names of opcodes. p must be valid in that mode.
func evaluate(p Program, mode Mode, in input) uint32 {
	var a, x uint32
	var m [ScratchWords]uint32
	for pc := 0; ; pc++ {
		ins := p[pc]
		k := ins.K
		operand := k
		if ins.Op&srcX != 0 {
			operand = x
		}
		switch ins.class() {
		case classLD, classLDX:
			v, ok := in.load(ins, mode, a, x, &m)
			if !ok {
				return 0
			}
			if ins.class() == classLD {
				a = v
			} else {
				x = v
			}
		case classST:
			m[k] = a
		case classSTX:
			m[k] = x
		case classALU:
			var ok bool
			if a, ok = evaluateALU(ins.Op&opMask, a, operand); !ok {
				return 0
			}
		case classJMP:
			var cond bool
			switch ins.Op & opMask {
			case jmpJA:
				pc += int(k)
				continue
			case jmpJEQ:
				cond = a == operand
			case jmpJGT:
				cond = a > operand
			case jmpJGE:
				cond = a >= operand
			case jmpJSET:
				cond = a&operand != 0
			}
			if cond {
				pc += int(ins.Jt)
			} else {
				pc += int(ins.Jf)
			}
		case classRET:
			if ins.Op == classRET|retA {
				return a
			}
			return k
		case classMISC:
			if ins.Op == classMISC|miscTAX {
				x = a
			} else {
				a = x
			}
		}
	}
}

func evaluateALU(op uint16, a, b uint32) (uint32, bool) {
	switch op {
	case aluADD:
		return a + b, true
	case aluSUB:
		return a - b, true
	case aluMUL:
		return a * b, true
	case aluDIV, aluMOD:
		if b == 0 {
			return 0, false
		}
		q, r := bits.Div32(0, a, b)
		if op == aluMOD {
			return r, true
		}
		return q, true
	case aluOR:
		return a | b, true
	case aluAND:
		return a & b, true
	case aluXOR:
		return a ^ b, true
	case aluLSH:
		return a << (b % 32), true
	case aluRSH:
		return a >> (b % 32), true
	case aluNEG:
		return -a, true
	}
	panic("unknown operation")
}

// load returns the value that ins loads, false if it ends the program.
func (in *input) load(ins Instruction, mode Mode, a, x uint32, m *[ScratchWords]uint32) (uint32, bool) {
	size := map[uint16]int{sizeW: 4, sizeH: 2, sizeB: 1}[ins.Op&sizeMask]
	switch ins.Op & modeMask {
	case modeIMM:
		return ins.K, true
	case modeMEM:
		return m[ins.K], true
	case modeLEN:
		return uint32(len(in.data)), true
	case modeMSH:
		b, ok := in.bytes(mode, ins.K, 1)
		return b & 0xf * 4, ok
	case modeIND:
		return in.bytes(mode, x+ins.K, size)
	}
	switch {
	case mode == Seccomp:
		return binary.NativeEndian.Uint32(in.data[ins.K:]), true
	case ins.K == ancillaryBase+adXorX:
		return a ^ x, true
	case ins.K >= ancillaryBase:
		return in.anc[ins.K-ancillaryBase], true
	}
	return in.bytes(mode, ins.K, size)
}

// bytes returns the big-endian number at off.
func (in *input) bytes(mode Mode, off uint32, size int) (uint32, bool) {
	from, at := in.data, int64(off)
	if mode == SocketFilter {
		switch {
		case off >= networkHeader: // data starts at the network header
			at = int64(off - networkHeader)
		case off >= linkHeader:
			from, at = append(in.link[:len(in.link):len(in.link)], in.data...), int64(off-linkHeader)
		}
	}
	if at+int64(size) > int64(len(from)) {
		return 0, false
	}
	var v uint32
	for _, b := range from[at:][:size] {
		v = v<<8 | uint32(b)
	}
	return v, true
}
