package cbpf

import "fmt"

// Validate checks the program by the rules of Linux (bpf_check_classic in
// net/core/filter.c): 1 to [MaxInstructions] instructions, all known, jumps
// within the program, no division by a constant zero, no shift by a constant of
// 32 or more, no scratch word beyond [ScratchWords] or read on a path that has
// not written it, no unknown ancillary load, a return at the end. The error is
// an [*Error], an [ErrInvalid].
func (p Program) Validate() error {
	if len(p) == 0 || len(p) > MaxInstructions {
		return p.invalid(-1, fmt.Sprintf("%d instructions, not 1 to %d", len(p), MaxInstructions))
	}
	for i := range p {
		if reason := p.check(i); reason != "" {
			return p.invalid(i, reason)
		}
	}
	if last := len(p) - 1; p[last].class() != classRET {
		return p.invalid(last, "the last instruction is not a return")
	}
	return p.checkScratch()
}

func (p Program) invalid(i int, reason string) error {
	e := &Error{Insn: i, Reason: reason, kind: ErrInvalid}
	if i >= 0 {
		e.Ins = p[i]
	}
	return e
}

// check returns what is wrong with instruction i, looked at alone.
func (p Program) check(i int) string {
	ins := p[i]
	op, known := opcodes[ins.Op]
	behind := len(p) - i - 1 // instructions after this one
	switch {
	case !known:
		return "unknown opcode"
	case op.operand == scratch && ins.K >= ScratchWords:
		return fmt.Sprintf("no such scratch word, there are %d", ScratchWords)
	case op.operand == jump && uint64(ins.K) >= uint64(behind),
		ins.conditional() && int(max(ins.Jt, ins.Jf)) >= behind:
		return "jump out of the program"
	case op.operand == absolute && ins.K >= ancillaryBase:
		if _, ok := ins.ancillary(); !ok {
			return "unknown ancillary load"
		}
	}
	switch ins.Op {
	case classALU | aluDIV | srcK, classALU | aluMOD | srcK:
		if ins.K == 0 {
			return "division by zero"
		}
	case classALU | aluLSH | srcK, classALU | aluRSH | srcK:
		if ins.K >= 32 {
			return "shift by 32 or more"
		}
	}
	return ""
}

// checkScratch refuses reads of scratch words that some path has not written.
// Jumps go forward only, so that one pass over the program sees all of an
// instruction's predecessors before the instruction. As in the kernel, control
// is taken to run on behind a return: that only ever refuses more.
func (p Program) checkScratch() error {
	const all = 1<<ScratchWords - 1
	written := make([]uint32, len(p)) // on every way to the instruction, a bit for each word
	for i := range written {
		written[i] = all
	}
	now := uint32(0) // the same on the way from the instruction before
	for i, ins := range p {
		now &= written[i]
		switch {
		case ins.class() == classST || ins.class() == classSTX:
			now |= 1 << ins.K
		case opcodes[ins.Op].operand == scratch && now&(1<<ins.K) == 0:
			return p.invalid(i, "scratch word is read before it is written")
		case ins.class() == classJMP:
			for _, target := range ins.successors(i) {
				written[target] &= now
			}
			now = all
		}
	}
	return nil
}
