package verifier

import (
	"slices"
	"strings"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/linux"
)

// explain completes a refusal: what the instruction is, how it is reached, where what is known of
// the register at fault comes from, and what usually cures it.
func (v *verifier) explain(e *Error) {
	if e.Insn >= 0 && e.Insn < len(v.insns) {
		e.Text = v.text(e.Insn)
		e.Line = v.p.LineAt(e.Insn)
	}
	if e.Hint == "" {
		e.Hint = hints[e.Code]
	}
	if v.cur == nil || e.Insn != v.insnIdx {
		return
	}
	path := v.pathHere()
	e.Path = v.steps(path)
	if r, ok := v.faulty(e); ok {
		e.Origin = append(v.origins(path, r), e.Origin...)
	}
}

// faulty returns the register that a refusal is about.
func (v *verifier) faulty(e *Error) (asm.Register, bool) {
	for r := asm.R0; r <= asm.R9; r++ {
		if e.Reg == r.String() {
			return r, true
		}
	}
	return 0, false
}

// maxPath is how many instructions of a path are looked at.
const maxPath = 4096

// pathHere returns the instructions that led to the one at hand, the latest first. It follows the
// history of the states that the path came through.
func (v *verifier) pathHere() []int {
	var path []int
	s, at := v.cur, v.insnIdx
	first := int(s.first)
	for s != nil && len(path) < maxPath {
		n := len(s.history)
		for len(path) < maxPath {
			path = append(path, at)
			if at == first && (n == 0 || n == 1 && int(s.history[0].insn) == at) {
				break
			}
			if n > 0 && int(s.history[n-1].insn) == at {
				at = int(s.history[n-1].prev)
				n--
			} else {
				at--
			}
			if at < 0 {
				return path
			}
			if v.insns[at].mark&markSecond != 0 {
				at--
			}
		}
		if s = s.parent; s == nil {
			break
		}
		at, first = int(s.last), int(s.first)
		if at < 0 {
			break
		}
	}
	return path
}

// text is an instruction as text, calls with the name of what they call.
func (v *verifier) text(slot int) string {
	in := &v.insns[slot]
	switch in.kind {
	case asm.KindCallHelper:
		if p := v.helperProto(asm.BuiltinFunc(in.Imm)); p != nil {
			return "call " + p.String()
		}
	case asm.KindCallKfunc:
		if in.Imm >= 0 && in.Imm < int64(len(v.p.Kfuncs)) {
			return "call " + v.p.Kfuncs[in.Imm].Name
		}
	case asm.KindCallLocal:
		if fn := v.funcOf(in.target); fn >= 0 && fn < len(v.funcs) && v.funcs[fn].name != "" {
			return "call " + v.funcs[fn].name
		}
	case asm.KindLoadImm64:
		switch in.Src {
		case asm.PseudoMapIdx, asm.PseudoMapIdxValue:
			if i := int(uint32(in.Imm)); i < len(v.p.Maps) {
				return in.Dst.String() + " = map " + v.p.Maps[i].Name()
			}
		}
	}
	return in.Text(asm.Kernel)
}

// maxSteps is how many jumps of a path are told.
const maxSteps = 24

// steps returns the jumps on a path, in the order they are made. Of a long path it keeps the last.
func (v *verifier) steps(path []int) []Step {
	var list []Step
	for i := 1; i < len(path) && len(list) < maxSteps; i++ {
		in := &v.insns[path[i]]
		if in.kind != asm.KindJump {
			continue
		}
		list = append(list, Step{Insn: path[i], Text: v.text(path[i]), Line: v.p.LineAt(path[i]),
			Taken: path[i-1] == int(in.target) && path[i-1] != path[i]+1})
	}
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
	return list
}

// maxOrigins is how far back the making of a value is told.
const maxOrigins = 4

// origins returns the instructions that made r what it is, the latest first.
func (v *verifier) origins(path []int, r asm.Register) []Origin {
	var list []Origin
	number := v.cur.cur().regs[r].kind == scalar
	depth := 0 // calls that were returned from on the way back
	for i, slot := range path {
		if i == 0 || len(list) >= maxOrigins {
			continue
		}
		in := &v.insns[slot]
		switch in.kind {
		case asm.KindExit:
			depth++
			continue
		case asm.KindCallLocal:
			if depth > 0 {
				depth--
				continue
			}
		}
		if depth > 0 {
			continue
		}
		_, def := v.registers(in)
		if def&bit(r) == 0 {
			if what := v.takesAway(in); what != "" && number && v.madePointer(path[i:], r) {
				list = append(list, v.origin(slot, what+" "+r.String()))
			}
			continue
		}
		o := v.origin(slot, made(in, r))
		list = append(list, o)
		switch in.kind {
		case asm.KindALU:
			if in.info.ALU == asm.Mov && in.info.Source == asm.RegSource {
				r = in.Src
				continue
			}
			if in.info.ALU != asm.Mov {
				continue
			}
		case asm.KindMovSX:
			r = in.Src
			continue
		}
		break
	}
	return list
}

// takesAway says of a call that makes pointers numbers what it does, "" of others.
func (v *verifier) takesAway(in *insn) string {
	switch in.kind {
	case asm.KindCallHelper:
		p := v.helperProto(asm.BuiltinFunc(in.Imm))
		switch {
		case p == nil:
		case p.ID == asm.FnSpinUnlock:
			return "ends the lock, and with it"
		case p.MovesPacket && v.seesPacket, p.ID == asm.FnDynptrWrite:
			return "may move the packet, which ends"
		case slices.ContainsFunc(p.Args, func(a helper.Arg) bool { return a.Flags&helper.FlagRelease != 0 }):
			return "gives back what was in"
		}
	case asm.KindCallKfunc:
		name := v.p.Kfuncs[in.Imm].Name
		if k, ok := linux.KfuncByName(name); ok && (k.Flags&linux.KfRelease != 0 || strings.HasSuffix(name, "obj_drop_impl")) {
			return "gives back what was in"
		}
	}
	return ""
}

// madePointer reports whether r, on a path told backwards, comes from a call or from memory: what
// is a number now may have been a pointer then.
func (v *verifier) madePointer(path []int, r asm.Register) bool {
	for _, slot := range path {
		in := &v.insns[slot]
		if _, def := v.registers(in); def&bit(r) == 0 {
			continue
		}
		switch in.kind {
		case asm.KindALU:
			if in.info.Source == asm.RegSource && in.info.ALU == asm.Mov {
				r = in.Src
			}
		case asm.KindLoad, asm.KindCallHelper, asm.KindCallKfunc:
			return true
		default:
			return false
		}
	}
	return false
}

// origin returns an instruction as the origin of something.
func (v *verifier) origin(slot int, what string) Origin {
	return Origin{Insn: slot, Text: v.text(slot), Line: v.p.LineAt(slot), What: what}
}

// made says what an instruction does to a register, in words.
func made(in *insn, r asm.Register) string {
	name := r.String()
	switch in.kind {
	case asm.KindALU:
		switch {
		case in.info.ALU == asm.Mov && in.info.Source == asm.RegSource:
			return name + " is a copy of " + in.Src.String()
		case in.info.ALU == asm.Mov:
			return name + " is this constant"
		}
		if in.info.Source == asm.RegSource {
			return "changes " + name + " by what " + in.Src.String() + " is then"
		}
		return "changes " + name
	case asm.KindLoad, asm.KindLoadAcquire:
		return name + " is loaded from memory"
	case asm.KindLoadImm64:
		return name + " is made here"
	case asm.KindCallHelper, asm.KindCallKfunc:
		if r == asm.R0 {
			return "r0 is what it returns"
		}
		return "a call leaves nothing in " + name
	case asm.KindCallLocal:
		if r == asm.R0 {
			return "r0 is what the function returns"
		}
		return "a call leaves nothing in " + name
	case asm.KindAtomic:
		return name + " is what was in memory"
	}
	return "changes " + name
}

// hints say what usually cures a refusal.
var hints = map[Code]string{
	CodeUnreachable:   "remove the code behind the unconditional jump, or make something lead to it",
	CodeUninitialized: "set it on every path, in C: give the variable an initial value; a call leaves nothing in r1 to r5",
	CodePacketBounds:  "compare the pointer plus the bytes that you access with data_end before, on this path, and use the same pointer afterwards",
	CodeNullDeref:     "compare the pointer with null first: if (!p) return 0;",
	CodePtrNull:       "compare the pointer with null before you add to it",
	CodeMapBounds:     "bound the index before it is added, with a comparison or with an unsigned mask of the size minus one",
	CodeMemBounds:     "bound the index by the size of the memory before it is added",
	CodePtrUnbounded:  "bound the number from below and above before it is added to the pointer, as an unsigned number",
	CodePtrBounds:     "bound the number from below and above before it is added to the pointer: offsets must stay below 1<<29",
	CodeScalarDeref:   "the pointer was lost: by a call that gives back what it points to or moves the packet, by arithmetic other than + and -, or by storing it in memory other than the stack",
	CodeStackBounds:   "a frame has 512 bytes; large buffers go into a per-CPU array map",
	CodeStackDepth:    "move large buffers into a per-CPU array map, or pass less from frame to frame",
	CodeStackUninit:   "write the bytes before they are read, in C: initialise the whole struct, padding included",
	CodeMisaligned:    "the stack, atomic operations and contexts need accesses at multiples of their size",
	CodeCtxAccess:     "load a field as it is declared: its own offset and size",
	CodeCtxModified:   "copy the context pointer before it is moved, or let the compiler use constant offsets",
	CodeArgSize:       "bound the size from both sides: if (n > MAX) return 0; if (n < 1) return 0; as an unsigned number",
	CodeArgNull:       "compare the pointer with null first",
	CodeReference:     "give every reference back on every path, and not twice",
	CodeLock:          "unlock on every path; between lock and unlock only memory may be accessed and static functions be called",
	CodeTooComplex:    "split the program with global functions or tail calls, or use bpf_loop, for_each or an iterator in place of the loop",
	CodeTooManyJumps:  "each turn of a loop leaves a way to be walked for each jump that both ways are open of: put its body into a global function, or use bpf_loop",
	CodeInfiniteLoop:  "the loop's condition must change on each turn, to an end",
	CodeReturn:        "return a value within the range on every path",
	CodeHelperDenied:  "see which helpers the program type may call, and use another type or another helper",
	CodeLicense:       `declare the licence: char _license[] SEC("license") = "GPL";`,
	CodePtrArith:      "only + and - of numbers move a pointer, in 64 bits",
	CodeReadOnly:      "copy the data to the stack before it is changed",
	CodeCallDepth:     "at most 8 functions can be active at a time, and none can call itself",
	CodeSpecialField:  "locks, timers, kptrs and nodes are accessed by their helpers only, which want a pointer to the field itself",
	CodeCallback:      "callbacks are static functions of the program with BTF",
	CodeStackEscape:   "pass memory of the caller's frame down, not of the callee's up",
}
