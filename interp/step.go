package interp

import (
	"unsafe"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/isa"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
	"github.com/sandbpf/sandbpf/internal/vm"
)

// Registers are a program's registers, r0 to r10.
type Registers = [asm.NumRegisters]uint64

// stepper executes one instruction after the other as package isa says, with
// everything checked every time. It is what the loop is tested against, and
// what runs where somebody wants to see each instruction: to sanitise, to
// trace, to measure coverage.
type stepper struct {
	code   *Code
	c      *vm.CPU
	r      Registers
	slot   int
	frames []stepFrame
	frame  int // the CPU's frame
	done   int64
	poll   int64      // when to look at the run's context again
	san    *sanitiser // nil: none
}

type stepFrame struct {
	ret     int
	r6to9   [4]uint64
	mayGoto uint64
}

// runSteps is Run without the loop.
func (code *Code) runSteps(c *vm.CPU) (uint64, error) {
	s := &stepper{code: code, c: c}
	if code.env.Sanitize {
		s.san = newSanitiser(c)
		c.Watch = s.san.helperAccess
		defer func() { c.Watch = nil }()
	}
	s.begin(0)
	s.r[asm.R1], s.r[asm.R2] = c.CtxAddr(), c.EntryR2
	err := s.run()
	c.Done = uint64(s.done)
	return s.r[asm.R0], err
}

func (s *stepper) begin(frame int) {
	s.frame = frame
	s.r = Registers{asm.R10: s.c.FramePointer(frame)}
	s.c.Prog, s.c.Maps, s.c.Call = s.code.p, s.code.env.Maps, s.call
	s.pushWindow(true)
	s.frames = append(s.frames, stepFrame{ret: -1, mayGoto: mayGotoLimit})
}

func (s *stepper) pushWindow(exposed bool) {
	if exposed || s.san != nil {
		s.c.PushFrame(s.frame)
	} else {
		s.c.EnterFrame(s.frame)
	}
	if s.san != nil {
		s.san.newFrame(s.frame)
	}
}

// run executes until the frame that it began in returns.
func (s *stepper) run() error {
	depth := len(s.frames)
	for len(s.frames) >= depth {
		at := s.slot
		if observe := s.code.env.Observe; observe != nil {
			observe(at, &s.r)
		}
		if err := s.step(s.code.p.Insns[at]); err != nil {
			return s.fault(err, at)
		}
	}
	return nil
}

// fault completes what stopped the instruction at slot.
func (s *stepper) fault(err error, slot int) error {
	if s.c.Context != nil && err == s.c.Context.Err() {
		return err
	}
	f, ok := err.(*vm.Fault)
	if !ok {
		f = &vm.Fault{Err: vm.ErrHelper, Detail: err.Error(), Cause: err}
	}
	if !f.Placed {
		f.Prog, f.Slot, f.Line, f.Placed = s.code.p.Name, slot, s.code.p.LineAt(slot), true
	}
	return f
}

// step executes one instruction. A fault leaves it uncounted.
func (s *stepper) step(ins asm.Instruction) error {
	info, err := ins.Info()
	if err != nil {
		return err
	}
	next := s.slot + ins.Slots()
	src := s.r[ins.Src]
	if info.Source == asm.ImmSource {
		src = uint64(ins.Imm)
	}
	switch info.Kind {
	case asm.KindALU:
		s.r[ins.Dst] = isa.ALU(info.ALU, info.Wide, s.r[ins.Dst], src)
	case asm.KindNeg:
		s.r[ins.Dst] = isa.Neg(info.Wide, s.r[ins.Dst])
	case asm.KindMovSX:
		s.r[ins.Dst] = isa.MovSX(info.Wide, s.r[ins.Src], info.Bits)
	case asm.KindToLE:
		s.r[ins.Dst] = isa.ToLE(s.r[ins.Dst], info.Bits)
	case asm.KindToBE:
		s.r[ins.Dst] = isa.ToBE(s.r[ins.Dst], info.Bits)
	case asm.KindBSwap:
		s.r[ins.Dst] = isa.BSwap(s.r[ins.Dst], info.Bits)
	case asm.KindLoadImm64:
		if s.r[ins.Dst], err = vm.Immediate(s.code.p, s.slot, s.code.env.Maps, s.code.env.Externs); err != nil {
			return err
		}
	case asm.KindLoad:
		err = s.load(ins, info)
	case asm.KindStoreImm:
		err = s.store(ins, info, uint64(ins.Imm))
	case asm.KindStoreReg:
		err = s.store(ins, info, s.r[ins.Src])
	case asm.KindAtomic, asm.KindLoadAcquire, asm.KindStoreRelease:
		err = atomicAccess(s.c, ins, &s.r)
	default:
		return s.control(ins, info, src, next)
	}
	if err != nil {
		return err
	}
	s.done++
	s.slot = next
	return nil
}

// control executes jumps, calls and what else may end a function.
func (s *stepper) control(ins asm.Instruction, info *asm.Info, src uint64, next int) error {
	switch info.Kind {
	case asm.KindJump:
		if s.san != nil {
			s.san.compared(info.Jump, s.r[ins.Dst], src)
		}
		if isa.Compare(info.Jump, info.Wide, s.r[ins.Dst], src) {
			return s.jump(next + int(ins.Off))
		}
	case asm.KindGoto:
		off, _ := ins.JumpOffset()
		return s.jump(next + int(off))
	case asm.KindMayGoto:
		f := &s.frames[len(s.frames)-1]
		if f.mayGoto == 0 {
			return s.jump(next + int(ins.Off))
		}
		f.mayGoto--
	case asm.KindCallLocal:
		return s.callLocal(next, next+int(ins.ImmLo()))
	case asm.KindCallHelper:
		if asm.BuiltinFunc(ins.Imm) == asm.FnTailCall {
			return s.tailCall(next)
		}
		body := s.code.env.helper(asm.BuiltinFunc(ins.Imm))
		if body == nil {
			return vm.Unsupported(ins)
		}
		r0, err := body(s.c, (*[5]uint64)(s.r[asm.R1:asm.R6]))
		if err != nil {
			return err
		}
		s.r[asm.R0] = r0
	case asm.KindLoadAbs, asm.KindLoadInd:
		off := int64(ins.ImmLo())
		if info.Kind == asm.KindLoadInd {
			off = int64(int32(uint32(off) + uint32(s.r[ins.Src])))
		}
		v, ok := s.c.PacketNumber(off, info.Size.Bytes())
		s.r[asm.R0] = v
		if !ok {
			s.done++
			s.exit()
			return nil
		}
	case asm.KindExit:
		s.done++
		s.exit()
		return nil
	default:
		return vm.Unsupported(ins)
	}
	s.done++
	s.slot = next
	return nil
}

// jump goes to slot; like the loop, it looks at the budget there.
func (s *stepper) jump(slot int) error {
	s.done++
	s.slot = slot
	if s.done-int64(s.code.index[slot]) > int64(min(s.c.Limit, 1<<62)) {
		return s.c.OverBudget(s.code.p, slot)
	}
	if s.done >= s.poll && s.c.Context != nil {
		s.poll = s.done + vm.Slice
		return s.c.Context.Err()
	}
	return nil
}

func (s *stepper) callLocal(ret, target int) error {
	if s.frame == prog.MaxFrames-1 {
		return vm.TooDeep()
	}
	s.push(ret, s.code.exposed[target])
	return s.jump(target)
}

func (s *stepper) push(ret int, exposed bool) {
	s.frames = append(s.frames, stepFrame{ret: ret, r6to9: [4]uint64(s.r[asm.R6:asm.R10]), mayGoto: mayGotoLimit})
	s.frame++
	s.r[asm.R10] -= stackSize
	s.pushWindow(exposed)
}

// exit returns from the current frame. The first one stays, for the window.
func (s *stepper) exit() {
	f := s.frames[len(s.frames)-1]
	s.frames = s.frames[:len(s.frames)-1]
	if f.ret < 0 {
		return
	}
	s.c.PopFrame(s.frame)
	s.frame--
	copy(s.r[asm.R6:], f.r6to9[:])
	s.r[asm.R10] += stackSize
	s.slot = f.ret
}

// call runs a callback of the program for a helper.
func (s *stepper) call(fn uint64, args *[5]uint64) (uint64, error) {
	target, ok := vm.FuncSlot(fn)
	if _, known := s.code.callbacks[target]; !ok || !known {
		return 0, &vm.Fault{Err: vm.ErrHelper, Detail: "not a function of the program"}
	}
	if s.frame == prog.MaxFrames-1 {
		return 0, &vm.Fault{Err: vm.ErrCallDepth}
	}
	saved, slot := s.r, s.slot
	s.push(slot, true)
	copy(s.r[asm.R1:], args[:])
	s.done++ // the call of the helper comes before what it calls
	err := s.jumpBack(target)
	if err == nil {
		if err = s.run(); err == nil {
			s.done--
		}
	}
	r0 := s.r[asm.R0]
	s.r, s.slot = saved, slot
	return r0, err
}

// jumpBack is jump for an instruction that is counted already.
func (s *stepper) jumpBack(slot int) error {
	s.done--
	return s.jump(slot)
}

// tailCall replaces the program by another, unless there is none.
func (s *stepper) tailCall(next int) error {
	target, err := s.c.TailTarget(s.r[asm.R2], s.r[asm.R3])
	if err != nil {
		return err
	}
	s.done++
	if target == nil {
		s.slot = next
		return nil
	}
	r0, err := s.continueIn(target)
	s.c.Prog, s.c.Maps, s.c.Call = s.code.p, s.code.env.Maps, s.call
	if err != nil {
		return err
	}
	s.r[asm.R0] = r0
	s.exit()
	return nil
}

// continueIn runs the target of a tail call, by single steps if it can be.
func (s *stepper) continueIn(target vm.Runner) (uint64, error) {
	code, ok := target.(*Code)
	if !ok {
		s.c.Done = uint64(s.done)
		r0, err := target.Continue(s.c, s.frame, s.r[asm.R1])
		s.done = int64(s.c.Done)
		return r0, err
	}
	if uint64(s.done) > s.c.Limit {
		return 0, s.c.OverBudget(code.p, 0)
	}
	t := &stepper{code: code, c: s.c, done: s.done, san: s.san}
	t.begin(s.frame)
	t.r[asm.R1] = s.r[asm.R1]
	err := t.run()
	s.done = t.done
	return t.r[asm.R0], err
}

func (s *stepper) load(ins asm.Instruction, info *asm.Info) error {
	addr, size := s.r[ins.Src]+uint64(int64(ins.Off)), info.Size.Bytes()
	var v uint64
	var err error
	if s.c.InCtx(addr) && !s.c.CtxPlain(false) {
		v, err = s.c.LoadCtx(addr, size)
	} else {
		v, err = s.read(addr, size, ins.Src == asm.R10 && !info.Signed)
	}
	if err != nil {
		return err
	}
	if info.Signed {
		v = isa.SignExtend(v, uint8(8*size))
	}
	s.r[ins.Dst] = v
	return nil
}

// bytes returns the memory of an access. A function's own frame is open to its
// own loads and stores even where it is no region: see exposed.
func (s *stepper) bytes(addr uint64, size int, perm mem.Perm, own bool) ([]byte, error) {
	if off := addr - (s.r[asm.R10] - stackSize); own && s.san == nil && off <= stackSize-uint64(size) {
		return unsafe.Slice((*byte)(mem.Pointer(uintptr(addr))), size), nil
	}
	return s.c.Bytes(addr, size, perm)
}

func (s *stepper) read(addr uint64, size int, own bool) (uint64, error) {
	b, err := s.bytes(addr, size, mem.Read, own)
	if err != nil {
		return 0, err
	}
	if s.san != nil {
		if err := s.san.packetRead(addr, size); err != nil {
			return 0, err
		}
	}
	return mem.Load(b), nil
}

func (s *stepper) store(ins asm.Instruction, info *asm.Info, v uint64) error {
	addr, size := s.r[ins.Dst]+uint64(int64(ins.Off)), info.Size.Bytes()
	if s.c.InCtx(addr) && !s.c.CtxPlain(true) {
		return s.c.StoreCtx(addr, size, v)
	}
	b, err := s.bytes(addr, size, mem.Write, ins.Dst == asm.R10)
	if err != nil {
		return err
	}
	mem.Store(b, v)
	return nil
}
