package verifier

import (
	"sort"
	"strings"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/linux"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/maps"
)

// Limits of Linux 6.18.
const (
	maxProcessed = 1_000_000 // BPF_COMPLEXITY_LIMIT_INSNS
	maxPending   = 8192      // BPF_COMPLEXITY_LIMIT_JMP_SEQ
	maxMaps      = 64        // MAX_USED_MAPS
	maxKfuncs    = 256       // MAX_KFUNC_DESCS
	maxOffset    = 1 << 29   // BPF_MAX_VAR_OFF
)

// insn is an instruction as the walk needs it.
type insn struct {
	asm.Instruction
	info *asm.Info
	kind asm.Kind // KindInvalid: no instruction, or the second half of ld_imm64
	mark mark

	target int32  // of a jump or call, the slot it goes to
	scc    int32  // the loop it is in, 0 if none
	live   uint16 // registers that are read before they are written, from here on
	slots  uint64 // stack slots of the frame, likewise, as far as has been walked
}

// mark is what is known of an instruction, most of it before the walk.
type mark uint16

const (
	markSecond       mark = 1 << iota // second half of ld_imm64
	markPrune                         // states are compared and kept here
	markJump                          // history must say how it was reached
	markForce                         // a state is kept here always
	markCallback                      // it makes a helper run a callback at once
	markIterNext                      // it asks an iterator for the next element
	markReachable                     // some edge leads here
	markChecked                       // its fields are in order
	markBarrier                       // Linux puts a barrier before it, that speculation does not pass
	markBarrierAfter                  // the same behind it
)

// subprog is a function of the program.
type subprog struct {
	name       string
	start, end int
	linkage    prog.Linkage
	proto      *prog.BTFType // nil: not known
	exception  bool

	reached    bool // a global function that is called
	done       bool // a global function that has been verified
	calledBack bool // some path has it called back, at once or later; or it is the exception callback
	async      bool // it runs on its own later
	tailCall   bool // it has a tail call
	ldAbs      bool
	effects    effect
	calls      []int32
	stack      int // bytes of its frame
}

// effect is what a function, or one that it calls, may do.
type effect uint8

const (
	movesPkt    effect = 1 << iota // move the packet
	mightSleep                     // sleep
	dynptrWrite                    // write through a dynptr
	dynptrOfPkt                    // make a dynptr of an skb
)

// has reports whether a function may do something of e.
func (f *subprog) has(e effect) bool { return f.effects&e != 0 }

// movesPacket reports whether a function may move the packet; by a write through a dynptr, too, which Linux
// does not think of.
func (f *subprog) movesPacket() bool {
	return f.has(movesPkt) || f.has(dynptrWrite) && f.has(dynptrOfPkt)
}

// structure checks what can be seen without following values: functions, jumps, opcodes,
// reachability. The order is that of bpf_check, since the first error counts.
func (v *verifier) structure() error {
	if n := len(v.p.Insns); n == 0 || n > prog.MaxSlots {
		return v.failf(-1, CodeEmpty, errnoE2BIG, "%d instructions, a program has 1 to %d", n, prog.MaxSlots)
	}
	v.decode()
	for _, step := range []func() error{
		v.findFuncs, v.checkFuncs, v.checkFuncInfo, v.checkReferences, v.checkReachable, v.checkAttach,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	v.findEffects()
	v.findMarks()
	v.findLoops()
	v.findLiveness()
	v.prepareSlots()
	return nil
}

// decode looks every instruction up in the opcode table.
func (v *verifier) decode() {
	n := len(v.p.Insns)
	if cap(v.insns) < n {
		v.insns, v.backs = make([]insn, n), make([]uint16, n)
	}
	v.insns, v.backs = v.insns[:n], v.backs[:n]
	for slot := 0; slot < n; slot++ {
		in := &v.insns[slot]
		*in = insn{Instruction: v.p.Insns[slot]}
		in.info, _ = in.Info()
		in.kind = in.info.Kind
		v.backs[slot] = backOf(in)
		if off, ok := jumpOffset(in); ok {
			in.target = int32(max(min(slot+1+int(off), 1<<30), -1))
		}
		if in.Slots() == 2 && slot+1 < n {
			slot++
			v.insns[slot], v.backs[slot] = insn{Instruction: v.p.Insns[slot], info: &noInfo, mark: markSecond}, 0
		}
	}
}

var noInfo asm.Info

// jumpOffset is [asm.Instruction.JumpOffset] without another look at the table.
func jumpOffset(in *insn) (int32, bool) {
	switch in.kind {
	case asm.KindJump, asm.KindMayGoto:
		return int32(in.Off), true
	case asm.KindGoto:
		if in.Op.Class() == asm.ClassJMP32 {
			return in.ImmLo(), true
		}
		return int32(in.Off), true
	case asm.KindCallLocal:
		return in.ImmLo(), true
	case asm.KindLoadImm64:
		return in.ImmLo(), in.Src == asm.PseudoFunc
	}
	return 0, false
}

// isJump reports whether in is a jump within its function, by its class: what
// check_subprogs looks at, unknown opcodes included.
func isJump(in *insn) bool {
	if in.mark&markSecond != 0 {
		return false
	}
	switch in.Op.Class() {
	case asm.ClassJMP, asm.ClassJMP32:
		op := in.Op & 0xf0
		return op != 0x80 && op != 0x90 // call, exit
	}
	return false
}

// findFuncs is add_subprog_and_kfunc.
func (v *verifier) findFuncs() error {
	starts := append(v.ints[:0], 0)
	kfuncs := 0
	for slot := range v.insns {
		in := &v.insns[slot]
		switch in.kind {
		case asm.KindCallLocal:
		case asm.KindLoadImm64:
			if in.Src != asm.PseudoFunc {
				continue
			}
		case asm.KindCallKfunc:
			if err := v.findKfunc(slot, in); err != nil {
				return err
			}
			kfuncs++
			continue
		default:
			continue
		}
		if in.target < 0 || int(in.target) >= len(v.insns) {
			return v.failf(slot, CodeCallTarget, errnoEINVAL, "call to instruction %d, which is outside of the program", in.target)
		}
		starts = append(starts, int(in.target))
	}
	if exception, err := v.exceptionStart(); err != nil {
		return err
	} else if exception > 0 {
		starts = append(starts, exception)
	}
	if len(starts) > 1 {
		sort.Ints(starts)
	}
	for i, start := range starts {
		if i > 0 && start == starts[i-1] {
			continue
		}
		v.funcs = append(v.funcs, subprog{start: start})
	}
	v.ints = starts
	for i := range v.funcs {
		f := &v.funcs[i]
		f.end = len(v.insns)
		if i+1 < len(v.funcs) {
			f.end = v.funcs[i+1].start
		}
		f.name = "main"
		if i > 0 {
			f.name = "func"
		}
		if j := v.p.FuncIndex(f.start); j >= 0 {
			info := &v.p.Funcs[j]
			f.name, f.linkage, f.proto, f.exception = info.Name, info.Linkage, info.Proto, info.Exception
		}
	}
	if len(v.funcs) > prog.MaxFuncs {
		return v.failf(v.funcs[prog.MaxFuncs].start, CodeTooMany, errnoE2BIG, "%d functions, at most %d are allowed", len(v.funcs), prog.MaxFuncs)
	}
	return nil
}

// exceptionStart returns where the exception callback starts, which nothing need call; 0 if there is
// none (bpf_find_exception_callback_insn_off).
func (v *verifier) exceptionStart() (int, error) {
	for i := range v.p.Funcs {
		switch f := &v.p.Funcs[i]; {
		case !f.Exception:
		case f.Linkage != prog.Global:
			return 0, v.failf(-1, CodeException, errnoEINVAL, "the exception callback %s is not global", f.Name)
		case f.Start <= 0 || f.Start >= len(v.insns):
			return 0, v.failf(-1, CodeException, errnoEINVAL, "the exception callback %s is no function but the program itself", f.Name)
		default:
			return f.Start, nil
		}
	}
	return 0, nil
}

// findKfunc resolves a call of a kernel function, dead code included.
func (v *verifier) findKfunc(slot int, in *insn) error {
	n := int(in.Imm)
	if n < 0 || n >= len(v.p.Kfuncs) {
		return v.failf(slot, CodeKfunc, errnoEINVAL, "call of a kernel function that the program does not name")
	}
	k := &v.p.Kfuncs[n]
	if k.Name == "" && k.Weak {
		return nil // BTF id 0: an error if it is not dead
	}
	if !v.gpl {
		return v.failf(slot, CodeLicense, errnoEINVAL, "kernel functions are for programs with a GPL-compatible licence, this one has %q", v.p.License)
	}
	if _, ok := linux.KfuncByName(k.Name); !ok && !k.Weak {
		return v.failf(slot, CodeKfunc, errnoEINVAL, "%q is no function that the kernel lets programs call", k.Name)
	}
	if strings.HasPrefix(k.Name, "bpf_xdp_metadata_") && v.env.Flags&XDPDevBoundOnly == 0 {
		return v.failf(slot, CodeKfunc, errnoEINVAL, "%s is for programs that are bound to a device", k.Name)
	}
	return nil
}

// funcAt returns the index of the function that slot is in.
func (v *verifier) funcAt(slot int) int {
	return sort.Search(len(v.funcs), func(i int) bool { return v.funcs[i].start > slot }) - 1
}

// funcOf returns the index of the function that starts at slot.
func (v *verifier) funcOf(slot int32) int { return v.funcAt(int(slot)) }

// checkFuncs is check_subprogs: jumps stay within their function, and functions do not run
// on into the next.
func (v *verifier) checkFuncs() error {
	for i := range v.funcs {
		f := &v.funcs[i]
		for slot := f.start; slot < f.end; slot++ {
			in := &v.insns[slot]
			if isJump(in) {
				target := slot + 1 + int(in.Off)
				if in.kind == asm.KindGoto {
					target = int(in.target)
				}
				if target < f.start || target >= f.end {
					return v.failf(slot, CodeJumpRange, errnoEINVAL, "jump to %d, outside of function %s at [%d, %d)", target, f.name, f.start, f.end)
				}
			}
			if slot == f.end-1 && in.Op != opExit && in.Op != opJA && in.Op != opJA32 {
				return v.failf(slot, CodeFallthrough, errnoEINVAL, "function %s ends with neither exit nor goto", f.name)
			}
		}
	}
	return nil
}

const (
	opExit = asm.Opcode(0x95)
	opJA   = asm.Opcode(0x05)
	opJA32 = asm.Opcode(0x06)
)

// checkFuncInfo checks that what is known of functions fits the program, and what is not
// possible without it.
func (v *verifier) checkFuncInfo() error {
	typed := false
	for i := range v.p.Funcs {
		typed = typed || v.p.Funcs[i].Proto != nil
	}
	for i := range v.funcs {
		f := &v.funcs[i]
		for slot := f.start; slot < f.end; slot++ {
			switch in := &v.insns[slot]; in.kind {
			case asm.KindLoadAbs, asm.KindLoadInd:
				f.ldAbs = true
			case asm.KindCallHelper:
				f.tailCall = f.tailCall || in.Imm == int64(asm.FnTailCall)
			}
		}
		if i > 0 && !typed && (f.ldAbs || f.tailCall) {
			return v.failf(f.start, CodeBTF, errnoEINVAL, "packet loads and tail calls in subprograms need their types (BTF)")
		}
		if i > 0 && f.ldAbs && !returnsInt(f.proto) || i > 0 && f.tailCall && !returnsInt(f.proto) {
			return v.failf(f.start, CodeBTF, errnoEINVAL, "function %s has packet loads or tail calls and must return int", f.name)
		}
	}
	if typed && len(v.p.Funcs) != len(v.funcs) {
		return v.failf(-1, CodeBTF, errnoEINVAL, "%d functions have types, the program has %d", len(v.p.Funcs), len(v.funcs))
	}
	return nil
}

func returnsInt(proto *prog.BTFType) bool {
	return proto != nil && proto.Return != nil && (proto.Return.Kind == prog.BTFInt || proto.Return.Kind == prog.BTFEnum)
}

// checkReferences is resolve_pseudo_ldimm64: opcodes exist, and what 64-bit immediates stand
// for is there.
func (v *verifier) checkReferences() error {
	for slot := range v.insns {
		in := &v.insns[slot]
		if in.mark&markSecond != 0 {
			continue
		}
		if in.Op.Class() == asm.ClassLDX && (in.Imm != 0 || in.kind != asm.KindLoad) {
			if in.kind == asm.KindInvalid {
				return v.failf(slot, CodeOpcode, errnoEINVAL, "unknown opcode %#02x", uint8(in.Op))
			}
			return v.failf(slot, CodeReserved, errnoEINVAL, "a load has imm %d, it must be zero", in.Imm)
		}
		if in.Slots() == 2 {
			if err := v.checkImm64(slot, in); err != nil {
				return err
			}
			continue
		}
		if in.kind == asm.KindCallX {
			e := v.failf(slot, CodeOpcode, errnoEINVAL, "call through a register is not supported")
			e.Hint = "clang calls helpers so with -O0: use -O2"
			return e
		}
		if !knownOpcode(in.Op) {
			return v.failf(slot, CodeOpcode, errnoEINVAL, "unknown opcode %#02x", uint8(in.Op))
		}
	}
	return nil
}

// knownOpcode reports whether an opcode exists, whatever the other fields are.
func knownOpcode(op asm.Opcode) bool { return known[op] }

var known = func() (k [256]bool) {
	for _, row := range asm.Table() {
		k[row.Opcode] = row.Kind != asm.KindCallX
	}
	return k
}()

// checkImm64 checks one 64-bit immediate.
func (v *verifier) checkImm64(slot int, in *insn) error {
	if slot+1 >= len(v.insns) {
		return v.failf(slot, CodeEncoding, errnoEINVAL, "64-bit immediate without its second half")
	}
	if v.insns[slot+1].Instruction != (asm.Instruction{}) {
		return v.failf(slot, CodeEncoding, errnoEINVAL, "the second half of a 64-bit immediate holds more than a number")
	}
	switch in.Src {
	case asm.PseudoNone, asm.PseudoFunc:
		return nil
	case asm.PseudoBTFID:
		if n := int(in.ImmLo()); n < 0 || n >= len(v.p.Externs) {
			return v.failf(slot, CodeLdImm64, errnoEINVAL, "kernel variable that the program does not name")
		}
		return nil
	case asm.PseudoMapIdx, asm.PseudoMapIdxValue:
	default:
		return v.failf(slot, CodeLdImm64, errnoEINVAL, "64-bit immediate of an unknown kind %d", in.Src)
	}
	n := int(in.ImmLo())
	if n < 0 || n >= v.numMaps {
		return v.failf(slot, CodeLdImm64, errnoEBADF, "map number %d, the program refers to %d", n, v.numMaps)
	}
	if v.numMaps > maxMaps && n >= maxMaps {
		return v.failf(slot, CodeTooMany, errnoE2BIG, "more than %d maps", maxMaps)
	}
	m := v.maps[n]
	if m.Inner != nil && m.Inner.Type.MapInMap() {
		return v.failf(slot, CodeMapProgram, errnoEINVAL, "the inner maps of %s are maps of maps themselves", m.Name)
	}
	v.usesArena = v.usesArena || m.Type == maps.Arena
	if in.Src == asm.PseudoMapIdx && in.ImmHi() != 0 {
		return v.failf(slot, CodeLdImm64, errnoEINVAL, "a map's pointer with an offset")
	}
	if err := v.checkMapProgram(slot, m); err != nil {
		return err
	}
	if in.Src == asm.PseudoMapIdxValue {
		return v.checkDirectValue(slot, m, uint32(in.ImmHi()))
	}
	return nil
}

// arenaPage is the size of an arena's pages in bytes.
const arenaPage = 4096

// checkDirectValue checks the address of a map's first value.
func (v *verifier) checkDirectValue(slot int, m *mapInfo, off uint32) error {
	switch {
	case off >= maxOffset:
		return v.failf(slot, CodeMapBounds, errnoEINVAL, "direct value offset of %d is not allowed", off)
	case m.Type == maps.Arena && uint64(off) > uint64(m.MaxEntries)*arenaPage:
		return v.failf(slot, CodeMapBounds, errnoERANGE, "offset %d is beyond the %d pages of arena %s", off, m.MaxEntries, m.Name)
	case m.Type == maps.Arena:
		return nil
	case m.Type != maps.Array:
		return v.failf(slot, CodeLdImm64, errnoEINVAL, "values of map %s have no constant address, it is of type %v", m.Name, m.Type)
	case m.MaxEntries != 1:
		return v.failf(slot, CodeLdImm64, errnoENOTSUPP, "only a value of an array of one element has a constant address, map %s has %d", m.Name, m.MaxEntries)
	case off >= m.ValueSize:
		return v.failf(slot, CodeMapBounds, errnoEINVAL, "invalid access to map value pointer, value_size=%d off=%d", m.ValueSize, off)
	}
	return nil
}

// checkReachable is check_cfg: every instruction is on some path, and none leads into the
// middle of a 64-bit immediate.
func (v *verifier) checkReachable() error {
	work := v.ints[:0]
	visit := func(slot int) {
		if slot < len(v.insns) && v.insns[slot].mark&markReachable == 0 {
			v.insns[slot].mark |= markReachable
			work = append(work, slot)
		}
	}
	visit(0)
	for i := range v.funcs {
		if v.funcs[i].exception {
			visit(v.funcs[i].start)
		}
	}
	for len(work) > 0 {
		slot := work[len(work)-1]
		work = work[:len(work)-1]
		in := &v.insns[slot]
		if in.mark&markSecond != 0 {
			continue
		}
		switch in.kind {
		case asm.KindExit:
			continue
		case asm.KindGoto:
			visit(int(in.target))
			continue
		case asm.KindJump, asm.KindMayGoto, asm.KindCallLocal:
			visit(int(in.target))
		case asm.KindLoadImm64:
			if in.Src == asm.PseudoFunc {
				visit(int(in.target))
			}
		}
		visit(slot + in.Slots())
	}
	v.ints = work
	for slot := 0; slot < len(v.insns); slot++ {
		in := &v.insns[slot]
		if in.mark&markReachable == 0 {
			return v.failf(slot, CodeUnreachable, errnoEINVAL, "unreachable instruction")
		}
		if in.Slots() == 2 {
			slot++
			if v.insns[slot].mark&markReachable != 0 {
				return v.failf(slot, CodeJumpMiddle, errnoEINVAL, "jump into the middle of the 64-bit immediate at %d", slot-1)
			}
		}
	}
	return nil
}

// findEffects finds what functions do without a look at values: whom they call, whether they
// may move the packet or sleep.
func (v *verifier) findEffects() {
	for i := range v.funcs {
		f := &v.funcs[i]
		for slot := f.start; slot < f.end; slot++ {
			in := &v.insns[slot]
			switch in.kind {
			case asm.KindCallLocal:
				f.calls = append(f.calls, int32(v.funcOf(in.target)))
			case asm.KindLoadImm64:
				if in.Src == asm.PseudoFunc {
					f.calls = append(f.calls, int32(v.funcOf(in.target)))
				}
			case asm.KindCallHelper:
				if in.Imm == int64(asm.FnTailCall) {
					v.anyTailCall = true
					f.effects |= movesPkt
				} else if p := v.helperProto(asm.BuiltinFunc(in.Imm)); p != nil {
					f.effects |= v.helperEffects(p)
				}
			case asm.KindCallKfunc:
				f.effects |= kfuncEffects(v.p.Kfuncs[in.Imm].Name)
			}
		}
	}
	for changed := true; changed; {
		changed = false
		for i := range v.funcs {
			f := &v.funcs[i]
			for _, c := range f.calls {
				g := &v.funcs[c]
				changed = changed || g.effects&^f.effects != 0
				f.effects |= g.effects
			}
		}
	}
}

// helperEffects: Linux asks whether a helper sleeps of one that programs of this type have.
func (v *verifier) helperEffects(p *helper.Proto) (e effect) {
	if p.MovesPacket {
		e |= movesPkt
	}
	if p.Sleeps && (v.p.Type == prog.Custom || v.allowed(p)) {
		e |= mightSleep
	}
	if p.ID == asm.FnDynptrWrite {
		e |= dynptrWrite
	}
	return e
}

func kfuncEffects(name string) (e effect) {
	k, ok := linux.KfuncByName(name)
	if !ok {
		return 0
	}
	if k.MovesPacket() {
		e |= movesPkt
	}
	if k.Flags&linux.KfSleepable != 0 {
		e |= mightSleep
	}
	if writesDynptr(name) {
		e |= dynptrWrite
	}
	if strings.HasPrefix(name, "bpf_dynptr_from_skb") {
		e |= dynptrOfPkt
	}
	return e
}

// findMarks says where states are compared and where history is kept (visit_insn).
func (v *verifier) findMarks() {
	set := func(slot int, m mark) {
		if slot >= 0 && slot < len(v.insns) {
			v.insns[slot].mark |= m
		}
	}
	for slot := range v.insns {
		in := &v.insns[slot]
		switch in.kind {
		case asm.KindJump:
			in.mark |= markPrune
			set(int(in.target), markPrune|markJump)
		case asm.KindMayGoto:
			in.mark |= markPrune | markForce
			set(int(in.target), markPrune|markJump)
		case asm.KindGoto:
			set(int(in.target), markPrune|markJump)
		case asm.KindCallLocal:
			in.mark |= markPrune
			set(int(in.target), markPrune|markJump)
			set(slot+1, markPrune|markJump)
		case asm.KindLoadImm64:
			if in.Src == asm.PseudoFunc {
				in.mark |= markPrune
				set(int(in.target), markPrune|markJump)
				set(slot+2, markPrune|markJump)
			}
		case asm.KindCallHelper:
			set(slot+1, markPrune|markJump)
			if p := v.helperProto(asm.BuiltinFunc(in.Imm)); p != nil && syncCallbackHelper(p) {
				in.mark |= markCallback | markPrune | markForce | markJump
			}
		case asm.KindCallKfunc:
			set(slot+1, markPrune|markJump)
			v.markKfunc(in)
		}
	}
}

func (v *verifier) markKfunc(in *insn) {
	name := v.p.Kfuncs[in.Imm].Name
	k, ok := linux.KfuncByName(name)
	switch {
	case !ok:
	case k.Flags&linux.KfIterNext != 0:
		in.mark |= markIterNext | markPrune | markForce
	case name == "bpf_rbtree_add_impl":
		in.mark |= markCallback | markPrune | markForce | markJump
	}
}

// syncCallbackHelper reports whether a helper calls back while it runs.
func syncCallbackHelper(p *helper.Proto) bool {
	if p.ID == asm.FnTimerSetCallback {
		return false
	}
	for i := range p.Args {
		if p.Args[i].Kind == helper.ArgFunc {
			return true
		}
	}
	return false
}
