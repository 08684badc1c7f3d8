package bench

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// plain is the yardstick: the interpreter that one writes first. It decodes a
// program once, and a loop around a switch executes it, with every access
// checked against stack, packet and context. It knows the instructions that
// compilers emit for computations and XDP packets, and no helpers.
type plain struct {
	insns  []plainInsn
	stack  [prog.MaxFrames * prog.StackSize]byte
	packet []byte
	frames [prog.MaxFrames]plainFrame
	done   uint64
}

type plainInsn struct {
	op       asm.Opcode
	dst, src uint8
	off      int16
	imm      uint64
	to       int32 // where a jump or call goes
}

type plainFrame struct {
	ret    int
	r6to10 [5]uint64
}

// Addresses of the yardstick: it has a memory map of its own.
const (
	plainStack  = 0x1000_0000
	plainPacket = 0x2000_0000
	plainCtx    = 0x3000_0000
)

var errPlain = errors.New("plain loop")

func newPlain(p *prog.Program) *plain {
	pl := &plain{}
	for slot, ins := range p.Insns {
		in := plainInsn{op: ins.Op, dst: uint8(ins.Dst), src: uint8(ins.Src), off: ins.Off, imm: uint64(ins.Imm)}
		if off, ok := ins.JumpOffset(); ok {
			in.to = int32(slot) + 1 + off
		}
		pl.insns = append(pl.insns, in)
	}
	return pl
}

// memory returns the n bytes at addr.
func (p *plain) memory(addr uint64, n uint64) ([]byte, error) {
	if off := addr - plainPacket; off < uint64(len(p.packet)) && n <= uint64(len(p.packet))-off {
		return p.packet[off:], nil
	}
	if off := addr - plainStack; off < uint64(len(p.stack)) && n <= uint64(len(p.stack))-off {
		return p.stack[off:], nil
	}
	return nil, fmt.Errorf("%w: access to %#x", errPlain, addr)
}

// context answers the two loads from the context that programs of the suite do.
func (p *plain) context(addr uint64) (uint64, bool) {
	switch addr {
	case plainCtx:
		return plainPacket, true
	case plainCtx + 4:
		return plainPacket + uint64(len(p.packet)), true
	}
	return 0, false
}

// run executes from the first instruction and returns r0.
func (p *plain) run() (uint64, error) {
	var r [16]uint64
	r[1], r[10] = plainCtx, plainStack+uint64(len(p.stack))
	depth, pc, insns := 0, 0, p.insns
	p.done = 0
	for {
		in := &insns[pc]
		pc++
		p.done++
		dst, src := &r[in.dst&15], r[in.src&15]
		switch in.op {
		case 0x07:
			*dst += in.imm
		case 0x0f:
			*dst += src
		case 0x04:
			*dst = uint64(uint32(*dst) + uint32(in.imm))
		case 0x0c:
			*dst = uint64(uint32(*dst) + uint32(src))
		case 0x17:
			*dst -= in.imm
		case 0x1f:
			*dst -= src
		case 0x14:
			*dst = uint64(uint32(*dst) - uint32(in.imm))
		case 0x1c:
			*dst = uint64(uint32(*dst) - uint32(src))
		case 0x27:
			*dst *= in.imm
		case 0x2f:
			*dst *= src
		case 0x24:
			*dst = uint64(uint32(*dst) * uint32(in.imm))
		case 0x2c:
			*dst = uint64(uint32(*dst) * uint32(src))
		case 0x47:
			*dst |= in.imm
		case 0x4f:
			*dst |= src
		case 0x44:
			*dst = uint64(uint32(*dst) | uint32(in.imm))
		case 0x4c:
			*dst = uint64(uint32(*dst) | uint32(src))
		case 0x57:
			*dst &= in.imm
		case 0x5f:
			*dst &= src
		case 0x54:
			*dst = uint64(uint32(*dst) & uint32(in.imm))
		case 0x5c:
			*dst = uint64(uint32(*dst) & uint32(src))
		case 0xa7:
			*dst ^= in.imm
		case 0xaf:
			*dst ^= src
		case 0xa4:
			*dst = uint64(uint32(*dst) ^ uint32(in.imm))
		case 0xac:
			*dst = uint64(uint32(*dst) ^ uint32(src))
		case 0x67:
			*dst <<= in.imm & 63
		case 0x6f:
			*dst <<= src & 63
		case 0x64:
			*dst = uint64(uint32(*dst) << (in.imm & 31))
		case 0x6c:
			*dst = uint64(uint32(*dst) << (src & 31))
		case 0x77:
			*dst >>= in.imm & 63
		case 0x7f:
			*dst >>= src & 63
		case 0x74:
			*dst = uint64(uint32(*dst) >> (in.imm & 31))
		case 0x7c:
			*dst = uint64(uint32(*dst) >> (src & 31))
		case 0xc7:
			*dst = uint64(int64(*dst) >> (in.imm & 63))
		case 0xcf:
			*dst = uint64(int64(*dst) >> (src & 63))
		case 0xc4:
			*dst = uint64(uint32(int32(*dst) >> (in.imm & 31)))
		case 0xcc:
			*dst = uint64(uint32(int32(*dst) >> (src & 31)))
		case 0x87:
			*dst = -*dst
		case 0x84:
			*dst = uint64(-uint32(*dst))
		case 0xb7:
			*dst = in.imm
		case 0xbf:
			*dst = isa.SignExtend(src, [...]uint8{0: 64, 8: 8, 16: 16, 32: 32}[in.off&63])
		case 0xb4:
			*dst = uint64(uint32(in.imm))
		case 0xbc:
			*dst = uint64(uint32(isa.SignExtend(src, [...]uint8{0: 64, 8: 8, 16: 16, 32: 32}[in.off&63])))
		case 0x18:
			*dst = in.imm
			pc++
		case 0x37, 0x3f, 0x34, 0x3c, 0x97, 0x9f, 0x94, 0x9c:
			if in.op&8 == 0 {
				src = in.imm
			}
			op := asm.ALUOp(in.op&0xf0) | asm.ALUOp(in.off)<<8
			*dst = isa.ALU(op, in.op&7 == 7, *dst, src)
		case 0xdc:
			*dst = isa.ToBE(*dst, uint8(in.imm))
		case 0xd4:
			*dst = isa.ToLE(*dst, uint8(in.imm))
		case 0x71:
			addr := src + uint64(int64(in.off))
			b, err := p.memory(addr, 1)
			if err != nil {
				return 0, err
			}
			*dst = uint64(b[0])
		case 0x69:
			addr := src + uint64(int64(in.off))
			b, err := p.memory(addr, 2)
			if err != nil {
				return 0, err
			}
			*dst = uint64(binary.NativeEndian.Uint16(b))
		case 0x61:
			addr := src + uint64(int64(in.off))
			if v, ok := p.context(addr); ok {
				*dst = v
				continue
			}
			b, err := p.memory(addr, 4)
			if err != nil {
				return 0, err
			}
			*dst = uint64(binary.NativeEndian.Uint32(b))
		case 0x79:
			addr := src + uint64(int64(in.off))
			b, err := p.memory(addr, 8)
			if err != nil {
				return 0, err
			}
			*dst = binary.NativeEndian.Uint64(b)
		case 0x73:
			b, err := p.memory(*dst+uint64(int64(in.off)), 1)
			if err != nil {
				return 0, err
			}
			b[0] = byte(src)
		case 0x6b:
			b, err := p.memory(*dst+uint64(int64(in.off)), 2)
			if err != nil {
				return 0, err
			}
			binary.NativeEndian.PutUint16(b, uint16(src))
		case 0x63:
			b, err := p.memory(*dst+uint64(int64(in.off)), 4)
			if err != nil {
				return 0, err
			}
			binary.NativeEndian.PutUint32(b, uint32(src))
		case 0x7b:
			b, err := p.memory(*dst+uint64(int64(in.off)), 8)
			if err != nil {
				return 0, err
			}
			binary.NativeEndian.PutUint64(b, src)
		case 0x72:
			b, err := p.memory(*dst+uint64(int64(in.off)), 1)
			if err != nil {
				return 0, err
			}
			b[0] = byte(in.imm)
		case 0x6a:
			b, err := p.memory(*dst+uint64(int64(in.off)), 2)
			if err != nil {
				return 0, err
			}
			binary.NativeEndian.PutUint16(b, uint16(in.imm))
		case 0x62:
			b, err := p.memory(*dst+uint64(int64(in.off)), 4)
			if err != nil {
				return 0, err
			}
			binary.NativeEndian.PutUint32(b, uint32(in.imm))
		case 0x7a:
			b, err := p.memory(*dst+uint64(int64(in.off)), 8)
			if err != nil {
				return 0, err
			}
			binary.NativeEndian.PutUint64(b, in.imm)
		case 0x05, 0x06:
			pc = int(in.to)
		case 0x15:
			if *dst == in.imm {
				pc = int(in.to)
			}
		case 0x1d:
			if *dst == src {
				pc = int(in.to)
			}
		case 0x16:
			if uint32(*dst) == uint32(in.imm) {
				pc = int(in.to)
			}
		case 0x1e:
			if uint32(*dst) == uint32(src) {
				pc = int(in.to)
			}
		case 0x25:
			if *dst > in.imm {
				pc = int(in.to)
			}
		case 0x2d:
			if *dst > src {
				pc = int(in.to)
			}
		case 0x26:
			if uint32(*dst) > uint32(in.imm) {
				pc = int(in.to)
			}
		case 0x2e:
			if uint32(*dst) > uint32(src) {
				pc = int(in.to)
			}
		case 0x35:
			if *dst >= in.imm {
				pc = int(in.to)
			}
		case 0x3d:
			if *dst >= src {
				pc = int(in.to)
			}
		case 0x36:
			if uint32(*dst) >= uint32(in.imm) {
				pc = int(in.to)
			}
		case 0x3e:
			if uint32(*dst) >= uint32(src) {
				pc = int(in.to)
			}
		case 0x55:
			if *dst != in.imm {
				pc = int(in.to)
			}
		case 0x5d:
			if *dst != src {
				pc = int(in.to)
			}
		case 0x56:
			if uint32(*dst) != uint32(in.imm) {
				pc = int(in.to)
			}
		case 0x5e:
			if uint32(*dst) != uint32(src) {
				pc = int(in.to)
			}
		case 0xa5:
			if *dst < in.imm {
				pc = int(in.to)
			}
		case 0xad:
			if *dst < src {
				pc = int(in.to)
			}
		case 0xa6:
			if uint32(*dst) < uint32(in.imm) {
				pc = int(in.to)
			}
		case 0xae:
			if uint32(*dst) < uint32(src) {
				pc = int(in.to)
			}
		case 0xb5:
			if *dst <= in.imm {
				pc = int(in.to)
			}
		case 0xbd:
			if *dst <= src {
				pc = int(in.to)
			}
		case 0xb6:
			if uint32(*dst) <= uint32(in.imm) {
				pc = int(in.to)
			}
		case 0xbe:
			if uint32(*dst) <= uint32(src) {
				pc = int(in.to)
			}
		case 0x65:
			if int64(*dst) > int64(in.imm) {
				pc = int(in.to)
			}
		case 0x6d:
			if int64(*dst) > int64(src) {
				pc = int(in.to)
			}
		case 0x66:
			if int32(*dst) > int32(in.imm) {
				pc = int(in.to)
			}
		case 0x6e:
			if int32(*dst) > int32(src) {
				pc = int(in.to)
			}
		case 0x75:
			if int64(*dst) >= int64(in.imm) {
				pc = int(in.to)
			}
		case 0x7d:
			if int64(*dst) >= int64(src) {
				pc = int(in.to)
			}
		case 0x76:
			if int32(*dst) >= int32(in.imm) {
				pc = int(in.to)
			}
		case 0x7e:
			if int32(*dst) >= int32(src) {
				pc = int(in.to)
			}
		case 0xc5:
			if int64(*dst) < int64(in.imm) {
				pc = int(in.to)
			}
		case 0xcd:
			if int64(*dst) < int64(src) {
				pc = int(in.to)
			}
		case 0xc6:
			if int32(*dst) < int32(in.imm) {
				pc = int(in.to)
			}
		case 0xce:
			if int32(*dst) < int32(src) {
				pc = int(in.to)
			}
		case 0xd5:
			if int64(*dst) <= int64(in.imm) {
				pc = int(in.to)
			}
		case 0xdd:
			if int64(*dst) <= int64(src) {
				pc = int(in.to)
			}
		case 0xd6:
			if int32(*dst) <= int32(in.imm) {
				pc = int(in.to)
			}
		case 0xde:
			if int32(*dst) <= int32(src) {
				pc = int(in.to)
			}
		case 0x45:
			if *dst&in.imm != 0 {
				pc = int(in.to)
			}
		case 0x4d:
			if *dst&src != 0 {
				pc = int(in.to)
			}
		case 0x46:
			if uint32(*dst&in.imm) != 0 {
				pc = int(in.to)
			}
		case 0x4e:
			if uint32(*dst&src) != 0 {
				pc = int(in.to)
			}
		case 0x85: // of a subprogram: there are no helpers here
			if depth == len(p.frames) {
				return 0, errPlain
			}
			f := &p.frames[depth]
			f.ret = pc
			copy(f.r6to10[:], r[6:11])
			depth++
			r[10] -= prog.StackSize
			pc = int(in.to)
		case 0x95:
			if depth == 0 {
				return r[0], nil
			}
			depth--
			f := &p.frames[depth]
			pc = f.ret
			copy(r[6:11], f.r6to10[:])
		default:
			return 0, fmt.Errorf("%w: opcode %#x", errPlain, uint8(in.op))
		}
	}
}
