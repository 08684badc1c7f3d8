package verifier

import (
	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/linux"
)

// What a path will still read decides what a state has to agree in with another one to be
// as good (see prune.go). Of registers it is computed before the walk, for each function by itself;
// of the stack, during the walk (see liveness_stack.go).

// findLiveness computes insn.live.
func (v *verifier) findLiveness() {
	for i := range v.funcs {
		f := &v.funcs[i]
		for changed := true; changed; {
			changed = false
			for slot := f.end - 1; slot >= f.start; slot-- {
				in := &v.insns[slot]
				if in.mark&markSecond != 0 {
					continue
				}
				use, def := v.registers(in)
				live, _ := v.liveAfter(slot)
				if live = live&^def | use; live != in.live {
					in.live, changed = live, true
				}
			}
		}
	}
}

// liveAfter returns the registers and slots that are live behind an instruction.
func (v *verifier) liveAfter(slot int) (live uint16, slots uint64) {
	next, target := v.successors(slot)
	if next >= 0 && next < len(v.insns) {
		live, slots = v.insns[next].live, v.insns[next].slots
	}
	if target >= 0 {
		live |= v.insns[target].live
		slots |= v.insns[target].slots
	}
	return live, slots
}

const (
	callerSaved = 0x3f // r0 to r5
	arguments   = 0x3e // r1 to r5
)

func bit(r asm.Register) uint16 { return 1 << r }

// registers returns the registers that an instruction reads and those that it writes
// (compute_insn_live_regs).
func (v *verifier) registers(in *insn) (use, def uint16) {
	dst, src := bit(in.Dst), bit(in.Src)
	switch in.kind {
	case asm.KindALU:
		if in.info.ALU != asm.Mov {
			use = dst
		}
		if in.info.Source == asm.RegSource {
			use |= src
		}
		return use, dst
	case asm.KindNeg, asm.KindToLE, asm.KindToBE, asm.KindBSwap:
		return dst, dst
	case asm.KindMovSX, asm.KindAddrSpaceCast, asm.KindLoad, asm.KindLoadAcquire:
		return src, dst
	case asm.KindLoadImm64:
		return 0, dst
	case asm.KindLoadAbs, asm.KindLoadInd:
		return 0x3ff, 0
	case asm.KindStoreImm:
		return dst, 0
	case asm.KindStoreReg, asm.KindStoreRelease:
		return dst | src, 0
	case asm.KindAtomic:
		switch {
		case in.info.Atomic == asm.AtomicCmpXchg:
			return dst | src | 1, 1
		case in.info.Atomic.Fetch():
			return dst | src, src
		}
		return dst | src, 0
	case asm.KindJump:
		if in.info.Source == asm.RegSource {
			return dst | src, 0
		}
		return dst, 0
	case asm.KindCallLocal:
		return arguments, callerSaved
	case asm.KindCallHelper, asm.KindCallKfunc:
		return (1<<(v.numArgs(in)+1) - 1) &^ 1, callerSaved
	case asm.KindExit:
		return 1, 0
	}
	return 0, 0
}

// numArgs returns how many arguments a helper or kernel function takes.
func (v *verifier) numArgs(in *insn) int {
	if in.kind == asm.KindCallHelper {
		if p := v.helperProto(asm.BuiltinFunc(in.Imm)); p != nil {
			return len(p.Args)
		}
		return 5
	}
	if k, ok := linux.KfuncByName(v.p.Kfuncs[in.Imm].Name); ok && k.Proto != nil {
		return min(len(k.Proto.Params), 5)
	}
	return 5
}
