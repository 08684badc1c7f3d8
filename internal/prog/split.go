package prog

import "github.com/sandbpf/sandbpf/asm"

// Split is a program cut for engines: a block begins where something jumps to or calls, and
// behind each instruction that jumps, calls, returns, or that an engine may leave to others.
type Split struct {
	Leader []bool  // by slot, and behind the last: a block begins here
	Index  []int32 // by slot, and behind the last: how many instructions come before

	rows []uint16 // by slot: see Row
}

// Info returns the row of the opcode table of the instruction at slot, nil in the second slot of a
// 64-bit immediate load.
func (s *Split) Info(slot int) *asm.Info { return asm.InfoAt(s.rows[slot]) }

// Row returns the number of that row, 0 for nil.
func (s *Split) Row(slot int) uint16 { return s.rows[slot] }

// Split cuts p into s, whose memory it uses again. The program need not have passed Check:
// instructions and jumps are checked here, functions are not known. The error is an [*Error].
func (p *Program) Split(s *Split) error {
	n := len(p.Insns)
	if n == 0 {
		return p.Errorf(0, "program has no instructions")
	}
	s.rows, s.Leader, s.Index = cleared(s.rows, n), cleared(s.Leader, n+1), cleared(s.Index, n+1)
	s.Leader[0] = true
	count, last := int32(0), 0
	for slot := 0; slot < n; slot++ {
		ins := &p.Insns[slot]
		info, err := ins.Check()
		if err != nil {
			return p.Errorf(slot, "%v", err)
		}
		last, s.rows[slot], s.Index[slot] = slot, info.Row(), count
		if info.Kind == asm.KindLoadImm64 {
			if slot+1 == n {
				return p.Errorf(slot, "64-bit immediate load without its second slot")
			}
			slot++
			s.Index[slot] = count
		}
		count++
		if err := s.mark(p, last, info); err != nil {
			return err
		}
	}
	s.Index[n] = count
	for slot, leads := range s.Leader[:n] {
		if leads && s.rows[slot] == 0 {
			return p.Errorf(slot, "jump into the middle of a 64-bit immediate load")
		}
	}
	switch s.Info(last).Kind {
	case asm.KindExit, asm.KindGoto:
		return nil
	}
	return p.Errorf(last, "execution falls off the end of the program")
}

// mark marks what begins behind the instruction at slot and where it goes to.
func (s *Split) mark(p *Program, slot int, info *asm.Info) error {
	switch info.Kind {
	case asm.KindJump, asm.KindGoto, asm.KindMayGoto, asm.KindExit, asm.KindCallHelper, asm.KindCallLocal,
		asm.KindCallKfunc, asm.KindCallX, asm.KindLoadAbs, asm.KindLoadInd,
		asm.KindAtomic, asm.KindLoadAcquire, asm.KindStoreRelease:
		s.Leader[slot+1] = true
	case asm.KindLoadImm64:
	default:
		return nil
	}
	target, ok := s.Target(p, slot)
	if !ok {
		return nil
	}
	if target < 0 || target >= len(p.Insns) {
		return p.Errorf(slot, "jump to instruction %d, outside of the program", target)
	}
	s.Leader[target] = true
	return nil
}

// Target returns the slot that the instruction at slot jumps to, calls, or takes the address of,
// and whether it does one of these.
func (s *Split) Target(p *Program, slot int) (int, bool) {
	ins := &p.Insns[slot]
	switch s.Info(slot).Kind {
	case asm.KindJump, asm.KindMayGoto:
		return slot + 1 + int(ins.Off), true
	case asm.KindGoto, asm.KindCallLocal, asm.KindLoadImm64:
		off, ok := ins.JumpOffset()
		return slot + 1 + int(off), ok
	}
	return 0, false
}

// cleared returns a slice of n zeroes, in the memory of old if that has room.
func cleared[T any](old []T, n int) []T {
	if cap(old) < n {
		return make([]T, n)
	}
	old = old[:n]
	clear(old)
	return old
}
