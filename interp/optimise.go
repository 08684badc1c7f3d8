package interp

import "github.com/sandbpf/sandbpf/asm"

// def is what is known of a value that an instruction of the block defines.
type def struct {
	op     opcode
	b, c   value
	narrow bool // the upper half is zero
	needed bool
	at     int32 // index of the instruction
	last   int32 // index of the last one that reads it
	slot   int16 // where it lives, unassigned if negative
}

// optimiser works on one block; its slices are reused for the next.
type optimiser struct {
	d    *decoder
	cur  [asm.NumRegisters]value // what each register holds
	defs []def
	out  []instr

	narrowIn regs
}

func (o *optimiser) def(v value) *def {
	if v < firstDef {
		return nil
	}
	return &o.defs[v-firstDef]
}

// narrow reports whether the upper half of v is known to be zero.
func (o *optimiser) narrow(v value) bool {
	if k, ok := o.d.constOf(v); ok {
		return k>>32 == 0
	}
	if f := o.def(v); f != nil {
		return f.narrow
	}
	return v >= 0 && o.narrowIn.has(int(v))
}

// stale reports whether v is what a register held at the beginning and does not
// hold any more: reading it costs a move that saves it.
func (o *optimiser) stale(v value) bool { return v >= 0 && v < firstDef && o.cur[v] != v }

// values rewrites a block on registers as one on values, simplified. Copies and
// constants vanish into the operands of those who read them.
func (o *optimiser) values(b *block) {
	o.defs, o.out = o.defs[:0], o.out[:0]
	for r := range o.cur {
		o.cur[r] = value(r)
	}
	for _, in := range b.instrs {
		for _, v := range [...]*value{&in.a, &in.b, &in.c} {
			if *v >= 0 {
				*v = o.cur[*v]
			}
		}
		info := &opInfos[in.op]
		switch {
		case info.mem:
			o.memory(&in)
		case info.writes:
			o.cur[in.dst] = o.compute(in)
			continue
		case info.jump:
			o.compare(&in)
		}
		o.emit(in)
		if in.dst >= 0 {
			o.cur[in.dst] = o.define(in.op, in.b, in.c, opInfos[in.op].narrow)
		}
	}
}

func (o *optimiser) emit(in instr) {
	in.out = noValue
	o.out = append(o.out, in)
}

// define gives the instruction emitted last a value.
func (o *optimiser) define(op opcode, b, c value, narrow bool) value {
	v := firstDef + value(len(o.defs))
	at := int32(len(o.out) - 1)
	o.defs = append(o.defs, def{op: op, b: b, c: c, narrow: narrow, at: at, last: at, slot: -1})
	o.out[at].out = v
	return v
}

// compute returns the value of an arithmetic instruction: one that exists
// already, or that of an instruction which it emits.
func (o *optimiser) compute(in instr) value {
	for {
		if v, ok := o.known(in); ok {
			return v
		}
		next, ok := o.rewrite(in)
		if !ok {
			break
		}
		in = next
	}
	narrow := opInfos[in.op].narrow || o.keepsNarrow(in)
	o.emit(in)
	return o.define(in.op, in.b, in.c, narrow)
}

// keepsNarrow reports whether a 64-bit operation on operands with a zero upper
// half leaves the upper half zero.
func (o *optimiser) keepsNarrow(in instr) bool {
	switch in.op {
	case opAnd64:
		return o.narrow(in.b) || o.narrow(in.c)
	case opOr64, opXor64:
		return o.narrow(in.b) && o.narrow(in.c)
	case opRSh64:
		k, ok := o.d.constOf(in.c)
		return o.narrow(in.b) || ok && k&63 >= 32
	}
	return false
}

// known returns the value of in where no instruction is needed to compute it.
func (o *optimiser) known(in instr) (value, bool) {
	b, bConst := o.d.constOf(in.b)
	c, cConst := o.d.constOf(in.c)
	if f := foldable[in.op]; f != nil && bConst && (cConst || in.c == noValue) {
		return o.d.constant(f(b, c)), true
	}
	switch in.op {
	case opMov64:
		return in.b, true
	case opMov32:
		return in.b, o.narrow(in.b)
	case opAdd64, opOr64, opXor64, opLSh64, opRSh64, opArSh64, opSub64:
		return in.b, cConst && c == 0
	case opAnd64:
		return in.b, cConst && (c == 1<<64-1 || c == 1<<32-1 && o.narrow(in.b))
	}
	return noValue, false
}

// wideOf holds the 64-bit operations whose result is the same on operands with
// a zero upper half.
var wideOf = [numOpcodes]opcode{opAnd32: opAnd64, opOr32: opOr64, opXor32: opXor64, opRSh32: opRSh64}

// narrowOf holds the 32-bit operations that give the lower half of the result.
var narrowOf = [numOpcodes]opcode{opAdd64: opAdd32, opSub64: opSub32, opMul64: opMul32,
	opAnd64: opAnd32, opOr64: opOr32, opXor64: opXor32}

// rewrite returns a simpler instruction with the same result.
func (o *optimiser) rewrite(in instr) (instr, bool) {
	c, cConst := o.d.constOf(in.c)
	_, bConst := o.d.constOf(in.b)
	switch in.op {
	case opAdd64, opMul64, opAnd64, opOr64, opXor64, opAdd32, opMul32, opAnd32, opOr32, opXor32:
		if bConst && !cConst {
			in.b, in.c = in.c, in.b
			return in, true
		}
	}
	if cConst && opInfos[in.op].narrow && in.op != opSDiv32 && in.op != opSMod32 && c>>32 != 0 {
		in.c = o.d.constant(c & (1<<32 - 1)) // the upper half of an operand does not matter
		return in, true
	}
	switch in.op {
	case opSub64:
		if cConst {
			in.op, in.c = opAdd64, o.d.constant(-c)
			return in, true
		}
	case opAdd64:
		if f := o.def(in.b); cConst && f != nil && f.op == opAdd64 && !o.stale(f.b) {
			if k, ok := o.d.constOf(f.c); ok {
				in.b, in.c = f.b, o.d.constant(k+c)
				return in, true
			}
		}
	case opAnd64:
		if cConst && c == 1<<32-1 {
			in.op, in.c = opMov32, noValue
			return in, true
		}
	case opMov32:
		if f := o.def(in.b); f != nil && narrowOf[f.op] != 0 && !o.stale(f.b) && !o.stale(f.c) {
			in.op, in.b, in.c = narrowOf[f.op], f.b, f.c
			return in, true
		}
	case opRSh64, opArSh64:
		if next, ok := o.extension(in); ok {
			return next, true
		}
	}
	if next, ok := o.rotation(in); ok {
		return next, true
	}
	if w := wideOf[in.op]; w != 0 && o.narrow(in.b) {
		switch {
		case in.op == opRSh32 && cConst && c < 32, in.op == opAnd32, in.op != opRSh32 && o.narrow(in.c):
			in.op = w
			return in, true
		}
	}
	return in, false
}

// extension finds the zero and sign extensions that compilers write as two
// shifts where the instruction set has none.
func (o *optimiser) extension(in instr) (instr, bool) {
	f := o.def(in.b)
	k, ok := o.d.constOf(in.c)
	if f == nil || f.op != opLSh64 || !ok {
		return in, false
	}
	if left, ok := o.d.constOf(f.c); !ok || left != k {
		return in, false
	}
	zero, sign := opcode(0), opcode(0)
	switch k {
	case 32:
		zero, sign = opMov32, opSX32
	case 48:
		zero, sign = opMov16, opSX16
	case 56:
		sign = opSX8
	}
	op := pick(in.op == opRSh64, zero, sign)
	if op == 0 {
		return in, false
	}
	in.op, in.b, in.c = op, f.b, noValue
	return in, true
}

// rotation finds (x << k) | (x >> (width - k)).
func (o *optimiser) rotation(in instr) (instr, bool) {
	var left, right, rotate opcode
	var width uint64
	switch in.op {
	case opOr64, opXor64, opAdd64:
		left, right, rotate, width = opLSh64, opRSh64, opRot64, 64
	case opOr32, opXor32, opAdd32:
		left, right, rotate, width = opLSh32, opRSh32, opRot32, 32
	default:
		return in, false
	}
	l, r := o.def(in.b), o.def(in.c)
	if l == nil || r == nil {
		return in, false
	}
	if l.op != left {
		l, r = r, l
	}
	// A right shift on 32 bits of a value with a zero upper half has become a 64-bit one.
	if l.op != left || (r.op != right && !(width == 32 && r.op == opRSh64 && o.narrow(r.b))) || l.b != r.b {
		return in, false
	}
	k, ok1 := o.d.constOf(l.c)
	n, ok2 := o.d.constOf(r.c)
	if !ok1 || !ok2 || k == 0 || k+n != width {
		return in, false
	}
	in.op, in.b, in.c = rotate, l.b, l.c
	return in, true
}

// memory folds the computation of an address into the access.
func (o *optimiser) memory(in *instr) {
	if in.c != noValue {
		return
	}
	for {
		f := o.def(in.b)
		if f == nil || f.op != opAdd64 || o.stale(f.b) {
			break
		}
		k, ok := o.d.constOf(f.c)
		if !ok {
			break
		}
		in.b, in.x = f.b, in.x+int64(k)
	}
	info := &opInfos[in.op]
	log := log2(int(info.size))
	if in.b == value(framePointer) {
		if onStack(in) {
			in.op, in.b = pick(info.store, storeStackOps[log], loadStackOps[log]), noValue
		}
		return
	}
	if f := o.def(in.b); f != nil && f.op == opAdd64 && !info.signed && !o.stale(f.b) && !o.stale(f.c) {
		in.op, in.b, in.c = pick(info.store, storeIndexOps[log], loadIndexOps[log]), f.b, f.c
	}
}

const framePointer = 10

var (
	loadStackOps  = [4]opcode{opLoadStack8, opLoadStack16, opLoadStack32, opLoadStack64}
	storeStackOps = [4]opcode{opStoreStack8, opStoreStack16, opStoreStack32, opStoreStack64}
	loadIndexOps  = [4]opcode{opLoadX8, opLoadX16, opLoadX32, opLoadX64}
	storeIndexOps = [4]opcode{opStoreX8, opStoreX16, opStoreX32, opStoreX64}
)

// wideJump holds the 64-bit comparisons that are the same on operands with a
// zero upper half.
var wideJump = [numOpcodes]opcode{opJEq32: opJEq64, opJNE32: opJNE64, opJGT32: opJGT64, opJGE32: opJGE64, opJSet32: opJSet64}

// compare makes 32-bit comparisons 64-bit ones where that is the same, so that
// there are fewer kinds to fuse.
func (o *optimiser) compare(in *instr) {
	wide := wideJump[in.op]
	if wide == 0 {
		return
	}
	for _, v := range [...]*value{&in.b, &in.c} {
		if k, ok := o.d.constOf(*v); ok {
			*v = o.d.constant(k & (1<<32 - 1))
		}
	}
	if o.narrow(in.b) && o.narrow(in.c) || in.op == opJSet32 && (o.narrow(in.b) || o.narrow(in.c)) {
		in.op = wide
	}
}

// need marks what the block's effects depend on and drops the rest. live are
// the registers that matter behind the block.
func (o *optimiser) need(live regs) {
	mark := func(v value, at int32) {
		if f := o.def(v); f != nil {
			f.needed = true
			f.last = max(f.last, at)
		}
	}
	end := int32(len(o.out))
	for r := range o.cur {
		if live.has(r) {
			mark(o.cur[r], end)
		}
	}
	for i := len(o.out) - 1; i >= 0; i-- {
		in := &o.out[i]
		if in.out != noValue && !opInfos[in.op].mem && !o.def(in.out).needed {
			in.op = opNop
			continue
		}
		for _, v := range [...]value{in.a, in.b, in.c} {
			mark(v, int32(i))
		}
	}
}
