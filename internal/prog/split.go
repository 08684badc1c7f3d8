package prog

import "github.com/sandbpf/sandbpf/asm"

// Split is a program cut for engines: a block begins where something jumps to or calls, and
// behind each instruction that jumps, calls, returns, or that an engine may leave to others.
type Split struct {
	Leader []bool  // by slot, and behind the last: a block begins here
	Named  []bool  // by slot: something jumps to it, calls it, or takes its address
	Index  []int32 // by slot, and behind the last: how many instructions come before

	rows []uint16    // by slot: see Row
	at   []registers // by slot: see initialised

	pointers bool // some instruction takes the address of a function
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
	s.Named = cleared(s.Named, n)
	s.Leader[0], s.pointers = true, false
	count, last, wide := int32(0), 0, false
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
			s.Index[slot], wide = count, true
		}
		count++
		s.Leader[last+1] = s.Leader[last+1] || ends[info.Kind]
		if !names[info.Kind] {
			continue
		}
		if target, ok := s.Target(p, last); ok {
			if target < 0 || target >= n {
				return p.Errorf(last, "jump to instruction %d, outside of the program", target)
			}
			s.Leader[target], s.Named[target] = true, true
			s.pointers = s.pointers || info.Kind == asm.KindLoadImm64
		}
	}
	s.Index[n] = count
	for slot := 0; wide && slot < n; slot++ {
		if s.Leader[slot] && s.rows[slot] == 0 {
			return p.Errorf(slot, "jump into the middle of a 64-bit immediate load")
		}
	}
	switch s.Info(last).Kind {
	case asm.KindExit, asm.KindGoto:
		return nil
	}
	return p.Errorf(last, "execution falls off the end of the program")
}

// ends has the kinds of instructions behind which a block begins, names those that name another slot.
var (
	ends = [1 << 8]bool{asm.KindJump: true, asm.KindGoto: true, asm.KindMayGoto: true, asm.KindExit: true,
		asm.KindCallHelper: true, asm.KindCallLocal: true, asm.KindCallKfunc: true, asm.KindCallX: true,
		asm.KindLoadAbs: true, asm.KindLoadInd: true,
		asm.KindAtomic: true, asm.KindLoadAcquire: true, asm.KindStoreRelease: true}
	names = [1 << 8]bool{asm.KindJump: true, asm.KindGoto: true, asm.KindMayGoto: true, asm.KindCallLocal: true, asm.KindLoadImm64: true}
)

// Target returns the slot that the instruction at slot jumps to, calls, or takes the address of,
// and whether it does one of these.
func (s *Split) Target(p *Program, slot int) (int, bool) {
	ins, info := &p.Insns[slot], s.Info(slot)
	switch info.Kind {
	case asm.KindJump, asm.KindMayGoto:
		return slot + 1 + int(ins.Off), true
	case asm.KindGoto:
		if info.Uses&asm.FieldImm == 0 {
			return slot + 1 + int(ins.Off), true
		}
		return slot + 1 + int(ins.ImmLo()), true
	case asm.KindCallLocal:
		return slot + 1 + int(ins.ImmLo()), true
	case asm.KindLoadImm64:
		return slot + 1 + int(ins.ImmLo()), ins.Src == asm.PseudoFunc
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
