package verifier

import (
	"slices"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// checkDepth adds up the stack of all chains of calls, dead ones included
// (check_max_stack_depth).
func (v *verifier) checkDepth() error {
	private := v.privateStacks()
	v.stats.StackDepth = v.stats.StackDepth[:0]
	for i := range v.funcs {
		v.stats.StackDepth = append(v.stats.StackDepth, v.funcs[i].stack)
	}
	for i := range v.funcs {
		if f := &v.funcs[i]; i == 0 || f.async || f.exception {
			if err := v.checkChain(i, private); err != nil {
				return err
			}
		}
	}
	return nil
}

// privateStacks reports whether each frame has a stack of its own (bpf_enable_priv_stack).
func (v *verifier) privateStacks() bool {
	if v.anyTailCall {
		return false
	}
	switch v.p.Type {
	case prog.Kprobe, prog.Tracepoint, prog.PerfEvent, prog.RawTracepoint:
		return true
	}
	return false
}

// round returns how much stack a frame takes: 16 bytes at a time, as compiled code has it.
func round(depth int) int { return (depth + 15) &^ 15 }

// checkChain walks all chains of calls from a function.
func (v *verifier) checkChain(root int, private bool) error {
	type call struct{ fn, next int } // next: where to look for the next call
	chain := []call{{root, v.funcs[root].start}}
	total := 0
	enter := func(fn int) error {
		f := &v.funcs[fn]
		if f.tailCall && len(chain) > 1 && total >= 256 {
			return v.failf(f.start, CodeStackDepth, errnoEACCES, "function %s has a tail call, the frames above it take %d bytes of stack, at most 255 are allowed", f.name, total)
		}
		depth := round(f.stack)
		if private && f.stack >= 64 {
			if depth > prog.StackSize {
				return v.failf(f.start, CodeStackDepth, errnoEACCES, "stack of %d bytes, at most %d are allowed", depth, prog.StackSize)
			}
			depth = 0
		}
		if total += depth; total > prog.StackSize {
			return v.failf(f.start, CodeStackDepth, errnoEACCES, "the stacks of %d calls take %d bytes together, at most %d are allowed", len(chain), total, prog.StackSize)
		}
		return nil
	}
	if err := enter(root); err != nil {
		return err
	}
	for len(chain) > 0 {
		at := &chain[len(chain)-1]
		f := &v.funcs[at.fn]
		slot := v.nextCall(at.next, f.end)
		if slot < 0 {
			depth := round(f.stack)
			if private && f.stack >= 64 {
				depth = 0
			}
			total -= depth
			chain = chain[:len(chain)-1]
			continue
		}
		at.next = slot + v.insns[slot].Slots()
		if v.insns[slot].kind == asm.KindCallKfunc {
			if slices.ContainsFunc(chain, func(c call) bool { return v.funcs[c.fn].calledBack }) {
				return v.failf(slot, CodeException, errnoEINVAL, "bpf_throw cannot be called from a callback")
			}
			continue
		}
		callee := v.funcOf(v.insns[slot].target)
		if v.insns[slot].kind == asm.KindLoadImm64 {
			if v.funcs[callee].async || v.funcs[callee].exception {
				continue
			}
		}
		if v.funcs[callee].exception {
			return v.failf(slot, CodeException, errnoEINVAL, "the exception callback cannot be called")
		}
		chain = append(chain, call{callee, v.funcs[callee].start})
		if len(chain) > prog.MaxFrames {
			return v.failf(slot, CodeCallDepth, errnoE2BIG, "the call stack of %d frames is too deep", prog.MaxFrames)
		}
		if err := enter(callee); err != nil {
			return err
		}
	}
	return nil
}

// nextCall returns the first call of a function of the program's, or of bpf_throw, in [from, to), -1 if
// there is none.
func (v *verifier) nextCall(from, to int) int {
	i := slices.IndexFunc(v.insns[from:to], func(in insn) bool {
		return in.kind == asm.KindCallLocal || in.kind == asm.KindLoadImm64 && in.Src == asm.PseudoFunc ||
			in.kind == asm.KindCallKfunc && v.p.Kfuncs[in.Imm].Name == "bpf_throw"
	})
	if i < 0 {
		return -1
	}
	return from + i
}
