package prog

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
)

// registers is a set of registers.
type registers uint16

const (
	allRegisters  registers = 1<<asm.NumRegisters - 1
	atEntry       registers = 1<<asm.R1 | 1<<asm.R2 | 1<<asm.R10
	resultOfCalls registers = 1 << asm.R0
)

// CheckReads refuses a program that reads a register which nothing can have written: no
// path to the instruction does. Linux refuses more, those where some path does not; that
// takes its verifier. Ends reports whether a run is over at the call at a slot, because there
// is nothing to call. The error is an [*Error].
func (s *Split) CheckReads(p *Program, ends func(slot int) bool) error {
	s.at = cleared(s.at, len(p.Insns))
	f := initialised{s: s, p: p, ends: ends, at: s.at}
	f.flow(0, atEntry)
	for slot := range p.Insns {
		if info := s.Info(slot); info != nil && info.Kind == asm.KindLoadImm64 {
			if target, ok := s.Target(p, slot); ok {
				f.flow(target, allRegisters)
			}
		}
	}
	for len(f.work) > 0 {
		slot := f.work[len(f.work)-1]
		f.work = f.work[:len(f.work)-1]
		f.walk(slot)
	}
	for slot, have := range f.at {
		if have == 0 {
			continue
		}
		if read, _ := effect(&p.Insns[slot], s.Info(slot)); read&^have != 0 {
			return p.Errorf(slot, "register r%d is read, but nothing has written it", bits.TrailingZeros16(uint16(read&^have)))
		}
	}
	return nil
}

// initialised finds the registers that may have been written in front of each instruction.
type initialised struct {
	s    *Split
	p    *Program
	ends func(slot int) bool
	at   []registers // by slot, empty where nothing leads
	work []int       // slots from which more is known than when they were walked from
}

// flow adds registers that may have been written in front of slot, and reports whether that is news.
func (f *initialised) flow(slot int, have registers) {
	if f.at[slot]|have != f.at[slot] {
		f.at[slot] |= have
		f.work = append(f.work, slot)
	}
}

// walk follows the program from slot until it comes to where nothing is new.
func (f *initialised) walk(slot int) {
	for {
		ins, info := &f.p.Insns[slot], f.s.Info(slot)
		_, written := effect(ins, info)
		have := f.at[slot] | written
		target, jumps := f.s.Target(f.p, slot)
		switch info.Kind {
		case asm.KindExit:
			return
		case asm.KindGoto:
			f.flow(target, have)
			return
		case asm.KindCallHelper, asm.KindCallKfunc:
			if f.ends(slot) {
				return
			}
		case asm.KindLoadImm64:
			slot++ // the function that it points to is called with all registers
		default:
			if jumps {
				f.flow(target, have)
			}
		}
		slot++
		if f.at[slot]|have == f.at[slot] {
			return
		}
		f.at[slot] |= have
	}
}

// effect returns the registers that an instruction reads and may write, as far as it is to be
// checked: atomic accesses are taken to read what they need and to write anything.
func effect(ins *asm.Instruction, info *asm.Info) (read, written registers) {
	dst, src := registers(1)<<ins.Dst, registers(1)<<ins.Src
	switch info.Kind {
	case asm.KindALU:
		if info.ALU != asm.Mov {
			read = dst
		}
		if info.Source == asm.RegSource {
			read |= src
		}
		return read, dst
	case asm.KindNeg, asm.KindToLE, asm.KindToBE, asm.KindBSwap:
		return dst, dst
	case asm.KindMovSX, asm.KindAddrSpaceCast, asm.KindLoad:
		return src, dst
	case asm.KindLoadImm64:
		return 0, dst
	case asm.KindStoreImm:
		return dst, 0
	case asm.KindStoreReg:
		return dst | src, 0
	case asm.KindJump:
		if info.Source == asm.RegSource {
			return dst | src, 0
		}
		return dst, 0
	case asm.KindAtomic, asm.KindLoadAcquire, asm.KindStoreRelease:
		return 0, allRegisters
	case asm.KindCallHelper, asm.KindCallLocal, asm.KindLoadAbs, asm.KindLoadInd:
		return 0, resultOfCalls
	}
	return 0, 0
}
