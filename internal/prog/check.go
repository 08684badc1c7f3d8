package prog

import "github.com/sandbpf/sandbpf/asm"

// MaxFuncs is how many functions a program may have (BPF_MAX_SUBPROGS).
const MaxFuncs = 256

// Check says whether the program's structure is sound, as add_subprog and
// check_subprogs of kernel/bpf/verifier.c do: functions follow each other without
// a gap, every jump ends at an instruction of its own function, every call at
// the start of a function, and no function runs on into the next. The error is
// an [*Error]. What other code of this module gets has passed this check.
func (p *Program) Check() error {
	if n := len(p.Insns); n == 0 {
		return p.Errorf(0, "no instructions")
	} else if n > MaxSlots {
		return p.Errorf(MaxSlots, "%d slots, at most %d are allowed", n, MaxSlots)
	}
	if len(p.Funcs) == 0 {
		return p.Errorf(0, "no functions")
	} else if len(p.Funcs) > MaxFuncs {
		return p.Errorf(p.Funcs[MaxFuncs].Start, "%d functions, at most %d are allowed", len(p.Funcs), MaxFuncs)
	}
	second := p.secondSlots()
	end := 0
	for i := range p.Funcs {
		f := &p.Funcs[i]
		if f.Start != end || f.End <= f.Start || f.End > len(p.Insns) || second[f.Start] {
			return p.Errorf(f.Start, "function %s at [%d, %d) does not follow the one that ends at %d", f.Name, f.Start, f.End, end)
		}
		end = f.End
		if err := p.checkFunc(f, second); err != nil {
			return err
		}
	}
	if end != len(p.Insns) {
		return p.Errorf(end, "instruction is in no function")
	}
	return nil
}

// secondSlots says which slots hold the second half of a 64-bit immediate load.
func (p *Program) secondSlots() []bool {
	second := make([]bool, len(p.Insns))
	for slot := 0; slot < len(p.Insns); slot++ {
		if p.Insns[slot].Slots() == 2 {
			slot++
			if slot < len(second) {
				second[slot] = true
			}
		}
	}
	return second
}

func (p *Program) checkFunc(f *Func, second []bool) error {
	last := asm.KindInvalid
	for slot := f.Start; slot < f.End; slot++ {
		if second[slot] {
			continue
		}
		ins := p.Insns[slot]
		last = ins.Kind()
		if ins.Slots() == 2 && slot+1 >= f.End {
			return p.Errorf(slot, "64-bit immediate load without its second slot")
		}
		off, ok := ins.JumpOffset()
		if !ok {
			continue
		}
		target := slot + 1 + int(off)
		if last == asm.KindCallLocal || last == asm.KindLoadImm64 {
			if p.FuncIndex(target) < 0 {
				return p.Errorf(slot, "no function starts at instruction %d", target)
			}
			continue
		}
		switch {
		case target < 0 || target >= len(p.Insns):
			return p.Errorf(slot, "jump to %d, outside of the program's [0, %d)", target, len(p.Insns))
		case target < f.Start || target >= f.End:
			return p.Errorf(slot, "jump to %d, outside of function %s at [%d, %d)", target, f.Name, f.Start, f.End)
		case second[target]:
			return p.Errorf(slot, "jump to %d, the second slot of a 64-bit immediate load", target)
		}
	}
	if last != asm.KindExit && last != asm.KindGoto {
		return p.Errorf(f.End-1, "function %s ends with neither exit nor goto", f.Name)
	}
	return nil
}

// FuncIndex returns the index in Funcs of the function that starts at slot, -1 if
// there is none.
func (p *Program) FuncIndex(slot int) int {
	if i := p.funcAt(slot); i >= 0 && p.Funcs[i].Start == slot {
		return i
	}
	return -1
}
