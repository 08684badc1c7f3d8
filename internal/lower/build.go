package lower

import (
	"slices"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/helper"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/verifier"
)

// Env is what Build needs to know beside the program.
type Env struct {
	// Immediate returns what the 64-bit immediate load at a slot puts into its register.
	Immediate func(slot int) (uint64, error)
	// HasHelper reports whether there is a body for the helper.
	HasHelper func(fn asm.BuiltinFunc) bool
	// Cells returns the array that the map at an address is, if it is one. Nil: helpers are
	// not known, and all are called.
	Cells func(addr uint64) (mem.Cells, bool)
	Proof *verifier.Proof // nil: nothing is proved
	// Popcount says that the machine has an instruction that counts bits.
	Popcount bool
	Layout   *prog.CtxLayout // of the context that the proof is about

	Without Pass // passes to leave out
}

// Build brings p into blocks. The error is a [*prog.Error].
func Build(p *prog.Program, env Env) (*Program, error) {
	b := builder{Program: newProgram(), env: env}
	b.P, b.Popcount, b.Without, b.split = p, env.Popcount, env.Without, &b.memory.split
	b.Verified = env.Proof != nil
	if err := b.build(); err != nil {
		b.Free()
		return nil, err
	}
	return b.Program, nil
}

func (b *builder) build() error {
	if err := b.P.Split(b.split); err != nil {
		return err
	}
	b.Index = b.split.Index
	if err := b.translate(); err != nil {
		return err
	}
	b.functions()
	if b.env.Proof == nil {
		if err := b.split.CheckReads(b.P, b.missing); err != nil {
			return err
		}
	}
	b.inlineCalls()
	return nil
}

type builder struct {
	*Program
	env       Env
	split     *prog.Split
	blockAt   []int32 // by slot
	callbacks []int32 // blocks that function pointers point to
	called    []int32 // blocks that calls go to
	slot      int
	pool      []Ins // of which blocks are cut
}

// missing reports whether there is nothing to call at slot.
func (b *builder) missing(slot int) bool {
	fn := asm.BuiltinFunc(b.P.Insns[slot].Imm)
	return b.split.Info(slot).Kind == asm.KindCallKfunc || fn != asm.FnTailCall && !b.env.HasHelper(fn)
}

// translate makes the blocks.
func (b *builder) translate() error {
	insns, m := b.P.Insns, b.memory
	b.blockAt = m.ints.cut(len(insns))
	n := int32(0)
	for slot, leads := range b.split.Leader[:len(insns)] {
		b.blockAt[slot] = n // of what does not lead, nobody asks
		if leads {
			n++
		}
	}
	b.Blocks, b.flows = m.blocks.cut(int(n)), m.flows.cut(int(n))
	b.pool = b.room(len(insns))
	current, open := -1, -1
	for slot := 0; slot < len(insns); slot++ {
		if b.split.Leader[slot] {
			current++
			b.Blocks[current] = Block{Start: int32(slot), Next: -1, Func: -1}
			if b.goesOn(slot) {
				b.Blocks[current].Dead, b.flows[current] = true, flow{next: -1, target: -1}
			} else {
				b.close(open, slot, int32(current))
				open = current
			}
		}
		b.slot = slot
		if err := b.instruction(&insns[slot]); err != nil {
			return err
		}
		if insns[slot].Slots() == 2 {
			slot++
		}
	}
	b.close(open, len(insns), -1)
	return nil
}

// goesOn reports whether the block that is being made goes on at slot: behind the call of a helper that has
// become part of it.
func (b *builder) goesOn(slot int) bool {
	if len(b.pool) == 0 || b.split.Named[slot] {
		return false
	}
	last := &b.pool[len(b.pool)-1]
	return int(last.Slot) == slot-1 && (last.Op == Lookup || last.Op == CPUID || last.Op == Random)
}

// close ends a block in front of a slot, where another begins.
func (b *builder) close(current, slot int, next int32) {
	if current < 0 {
		return
	}
	bl := &b.Blocks[current]
	bl.End = int32(slot)
	bl.Ins, b.pool = b.pool[:len(b.pool):len(b.pool)], b.pool[len(b.pool):]
	if last := bl.Last(); last == nil || !last.Ends() {
		bl.Next = next
	}
	b.summarise(int32(current))
}

// seen reports whether the instruction can be reached.
func (b *builder) seen() bool { return b.env.Proof == nil || b.env.Proof.Insns[b.slot].Seen }

// place returns a place for an instruction, which add adds.
func (b *builder) place() *Ins { return &b.pool[:len(b.pool)+1][len(b.pool)] }

// next is place, with an instruction that has no operands yet.
func (b *builder) next() *Ins {
	in := b.place()
	*in = Ins{Slot: int32(b.slot), Dst: None, A: None, B: None, Index: None}
	return in
}

// add adds the instruction that is at the next place.
func (b *builder) add() {
	if b.seen() {
		b.pool = b.pool[:len(b.pool)+1]
		b.Checks = b.Checks || b.pool[len(b.pool)-1].Check
	}
}

// set adds an instruction that writes a register of the program.
func (b *builder) set(in *Ins) error {
	if in.Dst == Reg(asm.R10) {
		return b.P.Errorf(b.slot, "frame pointer r10 is read only")
	}
	b.add()
	return nil
}

// instruction adds what an instruction of the program becomes.
func (b *builder) instruction(ins *asm.Instruction) error {
	t := &templates[b.split.Row(b.slot)]
	if t.form == formOther {
		return b.other(ins, b.split.Info(b.slot))
	}
	in := b.place()
	t.fill(in, ins, b.slot)
	switch t.form {
	case formAccess:
		b.prove(in)
	case formJump:
		in.Target = b.blockAt[b.slot+1+int(ins.Off)]
		b.constant(in)
	}
	return b.set(in)
}

// other adds what there is no template for.
func (b *builder) other(ins *asm.Instruction, info *asm.Info) error {
	switch info.Kind {
	case asm.KindAtomic, asm.KindLoadAcquire, asm.KindStoreRelease:
		return b.atomic(ins, info)
	case asm.KindLoadImm64:
		return b.immediate(ins)
	}
	return b.control(ins, info)
}

// immediate adds a load of a 64-bit immediate.
func (b *builder) immediate(ins *asm.Instruction) error {
	k, err := b.env.Immediate(b.slot)
	if err != nil {
		return err
	}
	if ins.Src == asm.PseudoFunc {
		b.callbacks = append(b.callbacks, b.target())
	}
	in := b.next()
	in.Op, in.Wide, in.Dst, in.Imm = Mov, true, Reg(ins.Dst), int64(k)
	return b.set(in)
}

// prove says what need not be checked: what the proof says, and accesses to the
// function's own frame, by r10, which the interpreter takes for granted as well.
func (b *builder) prove(in *Ins) {
	in.Check = !onStack(in)
	if !in.Check {
		in.Place = Frame
	}
	if b.env.Proof == nil {
		return
	}
	a := &b.env.Proof.Insns[b.slot].Access
	if !a.Proved {
		return
	}
	switch a.Memory {
	case verifier.MemStack, verifier.MemMapValue, verifier.MemMapKey, verifier.MemPacket, verifier.MemSized:
		in.Check, in.Place = false, places[a.Memory]
	case verifier.MemCtx:
		b.proveCtx(in, a)
	}
}

// places are by kind of memory. What helpers hand out as memory of some size may be a frame.
var places = [...]Place{verifier.MemStack: Frame, verifier.MemMapValue: Shared, verifier.MemPacket: Packet, verifier.MemMixed: Anywhere}

// proveCtx is prove for an access to the context, whose pointer fields stand for
// what they do not hold.
func (b *builder) proveCtx(in *Ins, a *verifier.Access) {
	l := b.env.Layout
	switch {
	case l == nil:
	case l.Plain():
		in.Check = false
	case a.Const:
		f := l.Field(int(a.Off))
		switch {
		case f == nil:
		case f.Kind == prog.Scalar || f.Size == 8:
			in.Check = false
		case in.Op == Load && f.Off == int(a.Off) && f.Size == int(in.Size):
			in.Op, in.A, in.Check, in.Imm = LoadCtx, None, false, int64(f.Ptr)
		}
	}
}

// onStack reports whether a memory operation on r10 stays within the frame.
func onStack(in *Ins) bool {
	return in.A == Reg(asm.R10) && in.Disp >= -prog.StackSize && in.Disp+int32(in.Size) <= 0 && !in.Signed
}

// atomic adds an atomic instruction.
func (b *builder) atomic(ins *asm.Instruction, info *asm.Info) error {
	if ins.Src == asm.R10 && (info.Atomic.Fetch() && info.Kind == asm.KindAtomic || info.Kind == asm.KindLoadAcquire && ins.Dst == asm.R10) {
		return b.P.Errorf(b.slot, "frame pointer r10 is read only")
	}
	in := b.next()
	in.Op, in.Wide, in.Imm, in.Size = Atomic, info.Wide, int64(info.Atomic), uint8(info.Size.Bytes())
	in.A, in.B, in.Disp = Reg(ins.Dst), Reg(ins.Src), int32(ins.Off)
	switch info.Kind {
	case asm.KindLoadAcquire:
		in.Op, in.Wide, in.Dst, in.A, in.B = LoadAcquire, true, Reg(ins.Dst), Reg(ins.Src), None
		if ins.Dst == asm.R10 {
			return b.P.Errorf(b.slot, "frame pointer r10 is read only")
		}
	case asm.KindStoreRelease:
		in.Op = StoreRelease
	default:
		if info.Atomic.Fetch() && info.Atomic != asm.AtomicCmpXchg {
			in.Dst = in.B
		}
	}
	b.prove(in)
	in.Check = in.Check || b.env.Proof == nil // alignment
	b.add()
	return nil
}

// target returns the block that the instruction at hand goes to, or takes the address of.
func (b *builder) target() int32 {
	to, _ := b.split.Target(b.P, b.slot)
	return b.blockAt[to]
}

// control adds a jump that is always taken, a call, or what else may end a block.
func (b *builder) control(ins *asm.Instruction, info *asm.Info) error {
	in := b.next()
	switch info.Kind {
	case asm.KindGoto:
		in.Op, in.Target = Goto, b.target()
	case asm.KindMayGoto:
		in.Op, in.Target = MayGoto, b.target()
		b.MayGoto = true
	case asm.KindCallLocal:
		in.Op, in.Target = Call, b.target()
		b.called = append(b.called, in.Target)
	case asm.KindCallHelper:
		fn := asm.BuiltinFunc(ins.Imm)
		if fn != asm.FnTailCall && !b.env.HasHelper(fn) {
			// Not an error yet: a program may call what is not there behind a branch that
			// it never takes, as CO-RE makes it do.
			in.Op = Fault
			break
		}
		if b.inline(fn, in) {
			break
		}
		in.Op, in.Imm = Helper, b.helper(fn)
	case asm.KindCallKfunc:
		in.Op = Fault // like the call of a helper that is not there
	case asm.KindLoadAbs, asm.KindLoadInd:
		b.UsesPacket = true
		in.Op, in.Size, in.Imm = LoadPacket, uint8(info.Size.Bytes()), ins.Imm
		if info.Kind == asm.KindLoadInd {
			in.B = Reg(ins.Src)
		}
	case asm.KindExit:
		in.Op = Exit
	case asm.KindCallX:
		return b.P.Errorf(b.slot, "callx: calls through a register are not supported, by Linux neither")
	case asm.KindAddrSpaceCast:
		return b.P.Errorf(b.slot, "addr_space_cast: arenas are not supported")
	default:
		return b.P.Errorf(b.slot, "instruction of kind %d is not supported", info.Kind)
	}
	b.add()
	return nil
}

// constant replaces a jump of which the proof knows where it goes.
func (b *builder) constant(in *Ins) {
	if b.env.Proof == nil {
		return
	}
	switch p := &b.env.Proof.Insns[b.slot]; {
	case p.Taken && !p.Falls:
		in.Op, in.A, in.B = Goto, None, None
	case p.Falls && !p.Taken:
		in.Op, in.A, in.B = Nop, None, None
	}
}

// argumentsOf returns the registers that a helper is given, and those that matter where a function ends,
// if it may do so there.
func (b *builder) argumentsOf(fn asm.BuiltinFunc) Regs {
	if fn == asm.FnTailCall {
		return ArgRegs | SavedRegs
	}
	proto, known := helper.Get(fn)
	if !known || !b.Verified || fn == asm.FnTracePrintk { // which has as many as its format asks for
		return ArgRegs
	}
	return ArgRegs & (1<<(len(proto.Args)+1) - 1)
}

// readsAnywhere reports whether a helper reads memory at addresses that are numbers to the verifier, which does
// not know then what is read of the stack.
func readsAnywhere(fn asm.BuiltinFunc) bool {
	switch fn {
	case asm.FnProbeRead, asm.FnProbeReadKernel, asm.FnProbeReadUser, asm.FnCopyFromUser,
		asm.FnProbeReadStr, asm.FnProbeReadKernelStr, asm.FnProbeReadUserStr,
		asm.FnTracePrintk, asm.FnTraceVprintk, asm.FnSnprintf: // their formats have pointers
		return true
	}
	_, known := helper.Get(fn)
	return !known
}

// helper returns the index in Helpers of a helper.
func (b *builder) helper(fn asm.BuiltinFunc) int64 {
	i := slices.Index(b.Helpers, fn)
	if i < 0 {
		i = len(b.Helpers)
		b.Helpers = append(b.Helpers, fn)
		b.arguments = append(b.arguments, b.argumentsOf(fn))
		b.ReadsAnywhere = b.ReadsAnywhere || readsAnywhere(fn)
	}
	return int64(i)
}
