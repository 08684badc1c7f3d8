package difftest

import (
	"fmt"
	"strings"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// simpleCall calls a helper that takes no arguments.
func (g *generator) simpleCall() {
	fn := pick(g, asm.FnKtimeGetNs, asm.FnGetPrandomU32, asm.FnGetSmpProcessorId, asm.FnKtimeGetBootNs, asm.FnGetNumaNodeId)
	g.emit(fn.Call())
	g.forget()
	g.set(asm.R0, unbounded)
	if fn != asm.FnGetSmpProcessorId && fn != asm.FnGetNumaNodeId {
		g.settle()
	}
}

// mapCall changes a map.
func (g *generator) mapCall() {
	switch name, m := g.keyed(); g.r.IntN(4) {
	case 0:
		g.key(m.KeySize)
		g.emit(asm.LoadMapPtr(asm.R1, name), asm.FnMapDeleteElem.Call())
	case 1:
		off := g.scratch()
		g.emit(asm.StoreImm(asm.R10, off, g.imm(), asm.DWord), asm.Mov.Reg(asm.R2, asm.R10), asm.Add.Imm(asm.R2, int32(off)),
			asm.LoadMapPtr(asm.R1, "queue"))
		if g.chance(50) {
			g.emit(asm.Mov.Imm(asm.R3, 0), asm.FnMapPushElem.Call())
		} else {
			g.emit(pick(g, asm.FnMapPopElem, asm.FnMapPeekElem).Call())
		}
	default:
		value := g.scratch() - 8*8
		g.fillMemory(value, int(m.ValueSize))
		g.key(m.KeySize)
		g.emit(asm.LoadMapPtr(asm.R1, name), asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, int32(value)),
			asm.Mov.Imm(asm.R4, int32(g.r.IntN(3))), asm.FnMapUpdateElem.Call())
	}
	g.forget()
	g.set(asm.R0, unbounded)
}

// fillMemory writes bytes of the stack from off up.
func (g *generator) fillMemory(off int16, size int) {
	for at := 0; at < size; at += 8 {
		if g.mistake() {
			continue
		}
		g.emit(asm.StoreImm(asm.R10, off+int16(at), int32(at), asm.DWord))
	}
}

// bufferCall calls a helper with memory and its size.
func (g *generator) bufferCall() {
	const size = 16
	buf := g.scratch() - 8*8
	point := func(r asm.Register) { g.emit(asm.Mov.Reg(r, asm.R10), asm.Add.Imm(r, int32(buf))) }
	length := func(r asm.Register) {
		n, found := g.some(func(v value) bool { return v.kind == scalar && v.max <= size })
		switch {
		case found && g.chance(50) && n != asm.R1 && n != asm.R2 && n != asm.R3:
			g.emit(asm.Mov.Reg(r, n))
			if !g.mistake() {
				g.emit(asm.And.Imm(r, 7), asm.Add.Imm(r, 1))
			}
		case g.mistake():
			g.emit(asm.Mov.Imm(r, pick[int32](g, 0, -1, 4096)))
		default:
			g.emit(asm.Mov.Imm(r, int32(4*(1+g.r.IntN(size/4)))))
		}
	}
	ctx, hasCtx := g.some(func(v value) bool { return v.kind == ctxPointer })
	skb := g.typ == prog.SchedCLS || g.typ == prog.SocketFilter || g.typ == prog.CGroupSKB || g.typ == prog.LWTXmit || g.typ == prog.SkSKB
	switch n := g.r.IntN(3); {
	case n == 0 && skb && hasCtx && ctx >= asm.R6:
		length(asm.R4)
		point(asm.R3)
		g.emit(asm.Mov.Imm(asm.R2, int32(g.r.IntN(32))), asm.Mov.Reg(asm.R1, ctx), asm.FnSkbLoadBytes.Call())
	case n == 1 && (g.typ == prog.SchedCLS || g.typ == prog.XDP):
		g.fillMemory(buf, size)
		point(asm.R3)
		g.emit(asm.Mov.Imm(asm.R1, 0), asm.Mov.Imm(asm.R2, 0), asm.Mov.Imm(asm.R4, int32(4*(1+g.r.IntN(4)))), asm.Mov.Imm(asm.R5, g.imm()),
			asm.FnCsumDiff.Call())
	default:
		g.fillMemory(buf, size)
		length(asm.R3)
		point(asm.R2)
		g.emit(asm.LoadMapPtr(asm.R1, "ring"), asm.Mov.Imm(asm.R4, 0), asm.FnRingbufOutput.Call())
	}
	g.forget()
	g.set(asm.R0, unbounded)
}

// movePacket calls a helper after which packet pointers are no more.
func (g *generator) movePacket() {
	ctx, ok := g.some(func(v value) bool { return v.kind == ctxPointer })
	if !ok || g.noExit > 0 {
		return
	}
	switch g.typ {
	case prog.XDP:
		g.emit(asm.Mov.Reg(asm.R1, ctx), asm.Mov.Imm(asm.R2, int32(-4*g.r.IntN(4))), asm.FnXdpAdjustHead.Call())
	case prog.SchedCLS, prog.LWTXmit:
		g.emit(asm.Mov.Reg(asm.R1, ctx), asm.Mov.Imm(asm.R2, int32(g.r.IntN(40))), asm.FnSkbPullData.Call())
	default:
		return
	}
	g.forget()
	g.set(asm.R0, unbounded)
	if g.mistake() {
		return
	}
	g.forgetPackets()
}

// repeated writes a body that is run again and again: it starts with what holds each
// time, pointers in registers that the body does not change.
func (g *generator) repeated(n int) {
	locked := g.locked
	for r := range g.regs {
		if v := g.regs[r]; v.kind > scalar && v.id == 0 && r >= int(asm.R6) && r < int(asm.R10) {
			g.locked[r] = true
		}
		if !g.locked[r] {
			g.regs[r] = value{}
		}
	}
	g.slots = [frameSlots]value{}
	g.nested++
	g.body(n)
	g.nested--
	for r := range g.regs {
		if !g.locked[r] {
			g.regs[r] = value{}
		}
	}
	g.slots = [frameSlots]value{}
	g.locked = locked
}

// keep returns a register for a counter, which survives calls, false if there is none.
func (g *generator) keep() (asm.Register, bool) {
	for _, r := range []asm.Register{asm.R7, asm.R8, asm.R9} {
		if !g.locked[r] && !g.regs[r].rec {
			return r, true
		}
	}
	return 0, false
}

// loop counts.
func (g *generator) loop() {
	counter, ok := g.keep()
	if !ok || g.nested > 2 {
		return
	}
	head := g.label()
	trips := int32(1 + g.r.IntN(6))
	g.emit(asm.Mov.Imm(counter, 0))
	g.set(counter, number(uint64(trips)))
	was := g.locked[counter]
	g.locked[counter] = true
	g.mark(head)
	g.emit(asm.Add.Imm(counter, 1))
	g.repeated(4)
	back := pick(g, asm.JLT.Imm(counter, trips, head), asm.JNE.Imm(counter, trips, head), asm.JSLT.Imm(counter, trips, head),
		asm.JLT.Imm32(counter, trips, head))
	if g.mistake() {
		back = asm.JNE.Imm(counter, 0, head)
	}
	g.emit(back)
	g.locked[counter] = was
}

// mayGoto loops as long as the kernel lets it; comparable programs, a few times.
func (g *generator) mayGoto() {
	if g.nested > 2 {
		return
	}
	head, end := g.label(), g.label()
	counter := int16(-8 * (frameSlots + 13 + g.nested)) // below what arguments of helpers take
	if g.comparable {
		g.emit(asm.StoreImm(asm.R10, counter, 0, asm.DWord))
	}
	g.mark(head)
	g.emit(asm.MayGoto(end))
	if g.comparable {
		r := g.free(false)
		g.emit(asm.LoadMem(r, asm.R10, counter, asm.DWord), asm.JGE.Imm(r, int32(1+g.r.IntN(6)), end), asm.Add.Imm(r, 1),
			asm.StoreMem(asm.R10, counter, r, asm.DWord))
		g.set(r, number(6))
	}
	g.repeated(3)
	g.emit(asm.Goto(head))
	g.mark(end)
}

// iterator loops over numbers by an open-coded iterator.
func (g *generator) iterator() {
	if g.runnable || g.nested > 1 || g.noExit > 0 || g.calls > 0 {
		return
	}
	const at = -8*frameSlots - 8*20
	point := func() { g.emit(asm.Mov.Reg(asm.R1, asm.R10), asm.Add.Imm(asm.R1, at)) }
	point()
	g.emit(asm.Mov.Imm(asm.R2, 0), asm.Mov.Imm(asm.R3, int32(g.r.IntN(5))), asm.CallKfunc("bpf_iter_num_new"))
	g.forget()
	head, end := g.label(), g.label()
	g.mark(head)
	point()
	g.emit(asm.CallKfunc("bpf_iter_num_next"), asm.JEq.Imm(asm.R0, 0, end))
	g.noExit++
	g.repeated(3)
	g.noExit--
	g.emit(asm.Goto(head))
	g.mark(end)
	if !g.mistake() {
		point()
		g.emit(asm.CallKfunc("bpf_iter_num_destroy"))
	}
	g.forget()
}

// loopCall calls bpf_loop.
func (g *generator) loopCall() {
	if g.calls > 1 || g.nested > 2 {
		return
	}
	label := fmt.Sprint("callback", len(g.funcs)+1)
	off := g.scratch()
	turns := int32(g.r.IntN(5))
	if g.comparable { // Linux does not take many programs whose callback never runs, see defect
		turns = max(turns, 1)
	}
	g.emit(asm.StoreImm(asm.R10, off, 0, asm.DWord), asm.Mov.Imm(asm.R1, turns), asm.LoadFunc(asm.R2, label),
		asm.Mov.Reg(asm.R3, asm.R10), asm.Add.Imm(asm.R3, int32(off)), asm.Mov.Imm(asm.R4, 0), asm.FnLoop.Call())
	g.forget()
	g.set(asm.R0, unbounded)
	g.funcs = append(g.funcs, GeneratedFunc{Label: label, Decl: "int " + label + "(u64, void *)", NeedsBTF: true})
	calls := g.calls + 1
	g.later = append(g.later, func() {
		g.begin()
		g.left = g.r.IntN(8)
		g.set(asm.R1, unbounded)
		g.set(asm.R2, value{kind: memory, size: 8})
		g.callback(label, calls)
	})
}

// callback is a function that returns whether to stop.
func (g *generator) callback(label string, calls int) {
	g.function(label, calls)
	if g.mistake() {
		return
	}
	// Both ends of the function return what function has put into r0: bound it.
	for i := len(g.out) - 1; i >= 0 && g.out[i].Symbol() != label; i-- {
		if g.out[i].Kind() == asm.KindExit && i > 0 && g.out[i-1].Op != asm.Mov.Imm(asm.R0, 0).Op {
			g.out = append(g.out[:i], append(asm.Instructions{asm.And.Imm(asm.R0, 1)}, g.out[i:]...)...)
		}
	}
}

// subprogram calls a function with numbers, the context or memory.
func (g *generator) subprogram() {
	if g.calls > 2 || g.nested > 3 {
		return
	}
	label := fmt.Sprint("function", len(g.funcs)+1)
	var args []value
	var params []string
	global := g.chance(25) && g.noExit == 0
	arg := func(v value, c string) {
		args, params = append(args, v), append(params, c)
	}
	if ctx, ok := g.some(func(v value) bool { return v.kind == ctxPointer }); ok && g.chance(60) && ctx >= asm.R6 {
		g.emit(asm.Mov.Reg(asm.R1, ctx))
		arg(value{kind: ctxPointer}, "ctx *")
	}
	for len(args) < 4 && g.chance(60) {
		to := asm.R1 + asm.Register(len(args))
		off := g.scratch()
		if !global && g.chance(30) {
			g.emit(asm.StoreImm(asm.R10, off, g.imm(), asm.DWord), asm.Mov.Reg(to, asm.R10), asm.Add.Imm(to, int32(off)))
			arg(value{kind: memory, size: 8}, "void *")
			continue
		}
		src, found := g.some(func(v value) bool { return v.kind == scalar })
		if !found || src < asm.R6 || g.chance(30) {
			g.emit(asm.Mov.Imm(to, int32(g.r.IntN(40))))
			arg(unbounded, "u64")
			continue
		}
		g.emit(asm.Mov.Reg(to, src))
		arg(unbounded, "u64")
	}
	g.emit(asm.CallLocal(label))
	g.forget()
	g.set(asm.R0, unbounded)
	g.funcs = append(g.funcs, GeneratedFunc{Label: label, Decl: "int " + label + "(" + strings.Join(params, ", ") + ")", Global: global, NeedsBTF: global})
	calls := g.calls + 1
	g.later = append(g.later, func() {
		g.begin()
		g.left = g.r.IntN(10)
		for i, v := range args {
			g.set(asm.R1+asm.Register(i), v)
		}
		g.function(label, calls)
	})
	g.forgetPackets()
}

// forgetPackets makes packet pointers nothing: what was called may have moved the packet.
func (g *generator) forgetPackets() {
	for i, v := range g.regs {
		if v.kind == packet || v.kind == packetEnd {
			g.regs[i] = value{}
		}
	}
	for i, v := range g.slots {
		if v.kind == packet || v.kind == packetEnd {
			g.slots[i] = value{}
		}
	}
}
