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
	for slot := 0; s.pointers && slot < len(p.Insns); slot++ {
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
		if read, _ := effects[s.Row(slot)].of(&p.Insns[slot]); read&^have != 0 {
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
		_, written := effects[f.s.Row(slot)].of(&f.p.Insns[slot])
		have := f.at[slot] | written
		switch kind := f.s.Info(slot).Kind; {
		case kind == asm.KindLoadImm64:
			slot++ // the function that it points to is called with all registers
		case !ends[kind]:
		case kind == asm.KindExit:
			return
		case kind == asm.KindCallHelper || kind == asm.KindCallKfunc:
			if f.ends(slot) {
				return
			}
		default:
			if target, jumps := f.s.Target(f.p, slot); jumps {
				f.flow(target, have)
			}
			if kind == asm.KindGoto {
				return
			}
		}
		slot++
		if f.at[slot]|have == f.at[slot] {
			return
		}
		f.at[slot] |= have
	}
}

// effect is what instructions of a row of the opcode table read and may write, as far as it is to be
// checked: atomic accesses are taken to read what they need and to write anything. Of dst and src, there is a
// mask of all registers or none.
type effect struct {
	readDst, readSrc, writtenDst registers
	written                      registers // beside dst
}

// effects are by the number of the row.
var effects = func() []effect {
	list := make([]effect, 1)
	for _, info := range asm.Table() {
		list = append(list, newEffect(&info))
	}
	return list
}()

func newEffect(info *asm.Info) (e effect) {
	switch info.Kind {
	case asm.KindALU:
		e.writtenDst = allRegisters
		if info.ALU != asm.Mov {
			e.readDst = allRegisters
		}
		if info.Source == asm.RegSource {
			e.readSrc = allRegisters
		}
	case asm.KindNeg, asm.KindToLE, asm.KindToBE, asm.KindBSwap:
		e.readDst, e.writtenDst = allRegisters, allRegisters
	case asm.KindMovSX, asm.KindAddrSpaceCast, asm.KindLoad:
		e.readSrc, e.writtenDst = allRegisters, allRegisters
	case asm.KindLoadImm64:
		e.writtenDst = allRegisters
	case asm.KindStoreImm:
		e.readDst = allRegisters
	case asm.KindStoreReg:
		e.readDst, e.readSrc = allRegisters, allRegisters
	case asm.KindJump:
		e.readDst = allRegisters
		if info.Source == asm.RegSource {
			e.readSrc = allRegisters
		}
	case asm.KindAtomic, asm.KindLoadAcquire, asm.KindStoreRelease:
		e.written = allRegisters
	case asm.KindCallHelper, asm.KindCallLocal, asm.KindLoadAbs, asm.KindLoadInd:
		e.written = resultOfCalls
	}
	return e
}

// of returns the registers that an instruction of the row reads and may write.
func (e *effect) of(ins *asm.Instruction) (read, written registers) {
	dst, src := registers(1)<<(ins.Dst&15), registers(1)<<(ins.Src&15)
	return dst&e.readDst | src&e.readSrc, dst&e.writtenDst | e.written
}
