package asm

import (
	"fmt"
	"slices"
)

// Kind groups instructions that are handled alike.
type Kind uint8

// The kinds of instruction.
const (
	KindInvalid       Kind = iota
	KindALU                // dst = dst op (src or imm); mov: dst = (src or imm)
	KindNeg                // dst = -dst
	KindMovSX              // dst = sign-extended low Bits of src
	KindToLE               // dst = little-endian of the low Bits of dst
	KindToBE               // dst = big-endian of the low Bits of dst
	KindBSwap              // dst = the low Bits of dst in reverse byte order
	KindAddrSpaceCast      // dst = src, moved between arena and kernel address space
	KindLoadImm64          // dst = 64-bit immediate, two slots
	KindLoadAbs            // r0 = packet[imm]
	KindLoadInd            // r0 = packet[src + imm]
	KindLoad               // dst = *(src + off)
	KindStoreImm           // *(dst + off) = imm
	KindStoreReg           // *(dst + off) = src
	KindAtomic             // *(dst + off) op= src
	KindLoadAcquire        // dst = load_acquire(src + off)
	KindStoreRelease       // store_release(dst + off, src)
	KindJump               // if dst op (src or imm) goto off
	KindGoto               // goto off, or imm with gotol
	KindMayGoto            // may_goto off: bounded by the runtime
	KindCallHelper         // call helper imm
	KindCallLocal          // call the subprogram imm slots ahead
	KindCallKfunc          // call kernel function imm
	KindCallX              // call through a register: no runtime takes it
	KindExit               // return from the frame
)

// Fields is a set of the fields of an instruction.
type Fields uint8

// The fields beside the opcode.
const (
	FieldDst Fields = 1 << iota
	FieldSrc
	FieldOff
	FieldImm
	FieldNextImm // imm of the second slot of a 64-bit immediate load
)

// Info is a row of the opcode table: one instruction, as distinguished by its
// opcode and, where that is not enough, by a constant in src, off or imm.
type Info struct {
	Kind   Kind
	Opcode Opcode
	ALU    ALUOp    // KindALU
	Jump   JumpOp   // KindJump
	Atomic AtomicOp // KindAtomic, KindLoadAcquire, KindStoreRelease
	Source Source   // KindALU, KindJump
	Size   Size     // width of a memory access
	Signed bool     // KindLoad that sign-extends
	Wide   bool     // 64-bit operation; false: 32-bit, upper half of dst zeroed
	Bits   uint8    // KindMovSX, KindToLE, KindToBE, KindBSwap: 8, 16, 32 or 64
	Uses   Fields   // the fields that hold an operand

	fixed Fields // the fields that tell this row from others of the same opcode
	src   Register
	off   int16
	imm   int32
	index int // in Table
}

// matches reports whether those of the given fields of ins that tell this row
// from others are as in this row.
func (in *Info) matches(ins *Instruction, fields Fields) bool {
	fields &= in.fixed
	return (fields&FieldSrc == 0 || ins.Src == in.src) &&
		(fields&FieldOff == 0 || ins.Off == in.off) &&
		(fields&FieldImm == 0 || ins.Imm == int64(in.imm))
}

// opcodes holds the rows of each opcode; a nil slice is an unknown opcode.
var opcodes = buildTable()

// numbered holds the rows by number: see [Info.Row].
var numbered = func() []*Info {
	list := []*Info{nil}
	for op := range opcodes {
		for i := range opcodes[op] {
			list = append(list, &opcodes[op][i])
		}
	}
	return list
}()

// common are the first rows of opcodes, for a quick look at whether an instruction is of one and valid: if
// its fields, packed, are those in want under mask, which is all that are no operands.
var common = func() (list [256]struct {
	info       *Info
	mask, want uint64
}) {
	for op, rows := range opcodes {
		c := &list[op]
		c.want = 1 // never, under an empty mask
		if len(rows) > 0 && Opcode(op) != opLoadImm64 {
			in := &rows[0]
			like := Instruction{Src: in.src, Off: in.off, Imm: int64(in.imm)}
			c.info, c.mask, c.want = in, packed(in.fixed|^in.Uses), like.pack()&packed(in.fixed)
		}
	}
	return list
}()

// pack returns the fields of the first slot in one number.
func (ins *Instruction) pack() uint64 {
	return uint64(ins.Dst) | uint64(ins.Src)<<8 | uint64(uint16(ins.Off))<<16 | uint64(uint32(ins.Imm))<<32
}

// packed returns where pack has some fields.
func packed(fields Fields) (mask uint64) {
	for i, bits := range [...]uint64{0xff, 0xff << 8, 0xffff << 16, 0xffffffff << 32} { // FieldDst and so on
		if fields>>i&1 != 0 {
			mask |= bits
		}
	}
	return mask
}

// Row returns the number of a row of the opcode table, from 1, for tables that keep
// what instructions are in two bytes. [InfoAt] undoes it.
func (in *Info) Row() uint16 { return uint16(in.index + 1) }

// InfoAt returns the row of the opcode table with that number, nil for 0.
func InfoAt(row uint16) *Info { return numbered[row] }

// Table returns every row of the opcode table, in opcode order.
func Table() []Info {
	var rows []Info
	for _, r := range opcodes {
		rows = append(rows, r...)
	}
	return rows
}

type table [256][]Info

func (t *table) add(in Info) { t[in.Opcode] = append(t[in.Opcode], in) }

func buildTable() *table {
	t := new(table)
	t.alu()
	t.endian()
	t.loads()
	t.stores()
	t.atomics()
	t.jumps()
	t.calls()
	index := 0
	for _, rows := range t {
		for i := range rows {
			rows[i].index = index
			index++
		}
	}
	return t
}

func (t *table) alu() {
	for _, class := range []Class{ClassALU, ClassALU64} {
		wide := class == ClassALU64
		for _, op := range []ALUOp{Add, Sub, Mul, Div, Or, And, LSh, RSh, Mod, Xor, Mov, ArSh, SDiv, SMod} {
			row := Info{Kind: KindALU, ALU: op, Wide: wide, off: int16(op >> 8)}
			switch op {
			case Div, Mod, SDiv, SMod:
				row.fixed = FieldOff
			}
			row.Opcode, row.Source, row.Uses = Opcode(op)|Opcode(class), ImmSource, FieldDst|FieldImm
			t.add(row)
			if op == Mov {
				row.fixed = FieldOff // the other offsets are sign-extending moves
			}
			row.Opcode, row.Source, row.Uses = row.Opcode|Opcode(RegSource), RegSource, FieldDst|FieldSrc
			t.add(row)
		}
		t.add(Info{Kind: KindNeg, Opcode: aluNeg | Opcode(class), Wide: wide, Uses: FieldDst})
		for _, bits := range []uint8{8, 16, 32} {
			if bits == 32 && !wide {
				continue
			}
			t.add(Info{Kind: KindMovSX, Opcode: Opcode(Mov) | Opcode(class) | Opcode(RegSource), Wide: wide,
				Bits: bits, Uses: FieldDst | FieldSrc, fixed: FieldOff, off: int16(bits)})
		}
	}
	for to := range int32(2) { // dst space in the upper half of imm, src space in the lower
		t.add(Info{Kind: KindAddrSpaceCast, Opcode: Opcode(Mov) | Opcode(ClassALU64) | Opcode(RegSource), Wide: true,
			Uses: FieldDst | FieldSrc, fixed: FieldOff | FieldImm, off: 1, imm: to<<16 | (1 - to)})
	}
}

func (t *table) endian() {
	for _, bits := range []uint8{16, 32, 64} {
		row := Info{Bits: bits, Wide: true, Uses: FieldDst, fixed: FieldImm, imm: int32(bits)}
		row.Kind, row.Opcode = KindToLE, aluEnd|Opcode(ClassALU)
		t.add(row)
		row.Kind, row.Opcode = KindToBE, aluEnd|Opcode(ClassALU)|Opcode(RegSource)
		t.add(row)
		row.Kind, row.Opcode = KindBSwap, aluEnd|Opcode(ClassALU64)
		t.add(row)
	}
}

func (t *table) loads() {
	for kind := PseudoNone; kind <= PseudoMapIdxValue; kind++ {
		row := Info{Kind: KindLoadImm64, Opcode: opLoadImm64, Size: DWord, Wide: true,
			Uses: FieldDst | FieldImm, fixed: FieldSrc, src: kind}
		switch kind {
		case PseudoNone, PseudoMapValue, PseudoBTFID, PseudoMapIdxValue:
			row.Uses |= FieldNextImm
		}
		t.add(row)
	}
	for _, size := range []Size{Word, Half, Byte, DWord} {
		t.add(Info{Kind: KindLoad, Opcode: Opcode(ClassLDX) | Opcode(MemMode) | Opcode(size), Size: size,
			Wide: true, Uses: FieldDst | FieldSrc | FieldOff})
		if size == DWord {
			continue
		}
		t.add(Info{Kind: KindLoad, Opcode: Opcode(ClassLDX) | Opcode(MemSXMode) | Opcode(size), Size: size,
			Wide: true, Signed: true, Uses: FieldDst | FieldSrc | FieldOff})
		t.add(Info{Kind: KindLoadAbs, Opcode: Opcode(ClassLD) | Opcode(AbsMode) | Opcode(size), Size: size,
			Wide: true, Uses: FieldImm})
		t.add(Info{Kind: KindLoadInd, Opcode: Opcode(ClassLD) | Opcode(IndMode) | Opcode(size), Size: size,
			Wide: true, Uses: FieldSrc | FieldImm})
	}
}

func (t *table) stores() {
	for _, size := range []Size{Word, Half, Byte, DWord} {
		t.add(Info{Kind: KindStoreImm, Opcode: Opcode(ClassST) | Opcode(MemMode) | Opcode(size), Size: size,
			Wide: true, Uses: FieldDst | FieldOff | FieldImm})
		t.add(Info{Kind: KindStoreReg, Opcode: Opcode(ClassSTX) | Opcode(MemMode) | Opcode(size), Size: size,
			Wide: true, Uses: FieldDst | FieldSrc | FieldOff})
	}
}

func (t *table) atomics() {
	for _, size := range []Size{Word, DWord, Half, Byte} {
		row := Info{Kind: KindAtomic, Opcode: Opcode(ClassSTX) | Opcode(AtomicMode) | Opcode(size), Size: size,
			Wide: size == DWord, Uses: FieldDst | FieldSrc | FieldOff, fixed: FieldImm}
		if size == Word || size == DWord {
			for _, op := range []AtomicOp{AtomicAdd, AtomicOr, AtomicAnd, AtomicXor, AtomicFetchAdd, AtomicFetchOr,
				AtomicFetchAnd, AtomicFetchXor, AtomicXchg, AtomicCmpXchg} {
				row.Atomic, row.imm = op, int32(op)
				t.add(row)
			}
		}
		row.Kind, row.Atomic, row.imm = KindLoadAcquire, atomicLoadAcquire, int32(atomicLoadAcquire)
		t.add(row)
		row.Kind, row.Atomic, row.imm = KindStoreRelease, atomicStoreRelease, int32(atomicStoreRelease)
		t.add(row)
	}
}

func (t *table) jumps() {
	t.add(Info{Kind: KindGoto, Opcode: jumpJA | Opcode(ClassJMP), Uses: FieldOff})
	t.add(Info{Kind: KindGoto, Opcode: jumpJA | Opcode(ClassJMP32), Uses: FieldImm})
	t.add(Info{Kind: KindMayGoto, Opcode: jumpJCond | Opcode(ClassJMP), Uses: FieldOff, fixed: FieldSrc})
	for _, class := range []Class{ClassJMP, ClassJMP32} {
		for _, op := range []JumpOp{JEq, JGT, JGE, JSet, JNE, JSGT, JSGE, JLT, JLE, JSLT, JSLE} {
			row := Info{Kind: KindJump, Jump: op, Wide: class == ClassJMP}
			row.Opcode, row.Source, row.Uses = Opcode(op)|Opcode(class), ImmSource, FieldDst|FieldOff|FieldImm
			t.add(row)
			row.Opcode, row.Source, row.Uses = row.Opcode|Opcode(RegSource), RegSource, FieldDst|FieldSrc|FieldOff
			t.add(row)
		}
	}
}

func (t *table) calls() {
	call := jumpCall | Opcode(ClassJMP)
	t.add(Info{Kind: KindCallHelper, Opcode: call, Uses: FieldImm, fixed: FieldSrc, src: callHelper})
	t.add(Info{Kind: KindCallLocal, Opcode: call, Uses: FieldImm, fixed: FieldSrc, src: callLocal})
	// off is the index of the module whose BTF declares the function.
	t.add(Info{Kind: KindCallKfunc, Opcode: call, Uses: FieldImm | FieldOff, fixed: FieldSrc, src: callKfunc})
	t.add(Info{Kind: KindCallX, Opcode: call | Opcode(RegSource), Uses: FieldDst})
	t.add(Info{Kind: KindExit, Opcode: jumpExit | Opcode(ClassJMP)})
}

// invalid is what Info returns beside an error, so that callers may read Kind
// without a nil check.
var invalid = Info{Kind: KindInvalid}

// Info returns the row of the opcode table that ins is an instance of. It
// looks only at what tells instructions apart: see [Instruction.Validate] for
// registers out of range and reserved fields. The error is an
// [*InstructionError]; the row is never nil, of KindInvalid beside an error.
func (ins Instruction) Info() (*Info, error) { return ins.row() }

func (ins *Instruction) row() (*Info, error) {
	rows := opcodes[ins.Op]
	for i := range rows {
		if in := &rows[i]; in.fixed == 0 || in.matches(ins, FieldSrc|FieldOff|FieldImm) {
			return in, nil
		}
	}
	if len(rows) == 0 {
		return &invalid, &InstructionError{Ins: *ins, Field: "opcode", Value: int64(ins.Op), Reason: "unknown opcode"}
	}
	return &invalid, noMatch(ins, rows)
}

// Kind returns the kind of ins, KindInvalid where it is no instruction.
func (ins Instruction) Kind() Kind {
	in, _ := ins.row()
	return in.Kind
}

// noMatch finds the first field that leaves none of the rows of the opcode.
func noMatch(ins *Instruction, rows []Info) error {
	name, value := "imm", ins.Imm
	switch {
	case !anyMatches(rows, ins, FieldSrc):
		name, value = "src", int64(ins.Src)
	case !anyMatches(rows, ins, FieldSrc|FieldOff):
		name, value = "off", int64(ins.Off)
	}
	return &InstructionError{Ins: *ins, Field: name, Value: value,
		Reason: fmt.Sprintf("opcode %#02x knows no instruction with this %s", uint8(ins.Op), name)}
}

func anyMatches(rows []Info, ins *Instruction, fields Fields) bool {
	return slices.ContainsFunc(rows, func(row Info) bool { return row.matches(ins, fields) })
}
