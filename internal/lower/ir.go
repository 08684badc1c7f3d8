package lower

import (
	"math/bits"

	"github.com/sandbpf/sandbpf/asm"
	"github.com/sandbpf/sandbpf/internal/mem"
	"github.com/sandbpf/sandbpf/internal/prog"
)

// Reg is a register of the program, r0 to r10, or None.
type Reg int8

// None is no register.
const None Reg = -1

// Op is what an instruction does.
type Op uint8

// The operations. Src is B or, if that is None, Imm; Mem is A + Index*Scale + Disp. Additions to exclusive ors that
// have a Size have an operand in memory: Src is Size bytes at B + Index*Scale + Disp or, if there is no Dst, they compute what
// is at Mem instead, of that and Src. See operands.
const (
	Nop      Op = iota
	Mov         // Dst = Src
	Add         // Dst = A + Src
	Sub         // Dst = A - Src
	Mul         // Dst = A * Src
	And         // Dst = A & Src
	Or          // Dst = A | Src
	Xor         // Dst = A ^ Src
	Div         // Dst = A / Src; 0 if Src is 0
	Mod         // Dst = A % Src; A if Src is 0
	SDiv        // the same, signed
	SMod        // the same, signed
	LSh         // Dst = A << Src
	RSh         // Dst = A >> Src
	ArSh        // Dst = A >> Src, signed
	Rol         // Dst = A rotated left by Imm
	Neg         // Dst = -A
	Zext        // Dst = low Size bytes of A, 1 or 2
	Sext        // Dst = low Size bytes of A with the sign extended
	Swap        // Dst = low Size bytes of A in reverse order
	Popcount    // Dst = how many bits of A are set
	Lea         // Dst = A + Index*Scale + Disp; A may be None
	Exchange    // Dst and B change places
	Load        // Dst = Size bytes at Mem, Signed or not
	LoadCtx     // Dst = what the pointer field of the context stands for, which is number Imm
	Lookup      // Dst = address of the value in Program.Cells[Imm] whose index is B or, if that is None, at Mem; or 0
	CPUID       // Dst = number of the CPU
	Random      // Dst = next number of the CPU's generator
	Store       // Size bytes at Mem = Src
	Enter       // a call whose function follows; it begins at slot Imm
	Leave       // the exit of that function; the program goes on at slot Imm
	Hop         // a jump to what follows, which is at slot Imm
	Atomic      // the operation Imm, an [asm.AtomicOp], of the memory at Mem and B
	LoadAcquire
	StoreRelease
	Jump       // to Target if A Cond Src
	Goto       // to Target
	MayGoto    // to Target if the frame's loops are used up
	Call       // the function that begins at block Target
	Helper     // number Imm of Program.Helpers
	LoadPacket // LD_ABS, LD_IND
	Exit
	Fault  // an instruction that nothing can execute
	Guard  // to Target, the loop as it was, if fewer than Imm instructions of the slice are left, or the trip that ends it may come too soon
	Repeat // to Target, the first copy, if at least Imm are left, and that trip does not
)

// Ins is an instruction. It takes 32 bytes, and should not take more: how fast programs are compiled is
// how fast these are read and written.
type Ins struct {
	Op     Op
	Wide   bool // on 64 bits; else on 32, and the upper half of Dst becomes zero
	Signed bool
	Check  bool // it is not proved that the access is allowed
	Place  Place
	Size   uint8
	Scale  uint8 // of Index; of a shift by a register, not 0 if nobody needs what r4 holds, see Count
	Dst    Reg
	A, B   Reg
	Index  Reg
	Cond   asm.JumpOp // or NotSet
	Disp   int32
	Target int32 // block
	Slot   int32 // of the program's instruction
	Imm    int64
}

// Place is what is known of the memory that an access goes to.
type Place uint8

// The places.
const (
	Anywhere Place = iota
	Shared         // in no frame; others may write to it while the program runs
	Packet
	Frame // of the function, or of one that has called it
)

// private reports whether nobody else writes there while the program runs.
func (p Place) private() bool { return p >= Packet }

// Count is the register that the machine has counts of shifts in.
const Count = Reg(asm.R4)

// NotSet is the opposite of [asm.JSet], for which programs have no name.
const NotSet = asm.JSet | 1

// Block is a run of instructions that is entered at its beginning only. A block ends
// behind each jump, call, and whatever else leaves native code for Go.
type Block struct {
	Start int32 // slot
	End   int32 // slot behind it
	Next  int32 // the block that it falls through to, -1 if none
	Func  int32 // index in Program.Funcs of the function it belongs to, -1 if there are several
	Ins   []Ins

	LoopHead bool  // some jump backwards comes here
	Called   bool  // a call or a callback comes here
	Dead     bool  // nothing comes here
	Fast     bool  // a copy in which the budget need not be looked at: see unroll
	Guard    bool  // it decides whether copies are run
	Rare     bool  // a copy that is seldom come to
	Copied   bool  // there are copies of it, which are run as a rule
	Joined   bool  // it has been put together of others, and not been optimised since
	Align    bool  // it should begin at a round address
	Origin   int32 // the number of the block that it begins as, when optimiseBlocks looked at it; -1 if no more
	Back     int32 // the last block that jumps backwards to it, -1 if none does

	LiveIn, LiveOut Regs
}

// Last returns the last instruction, nil if there is none.
func (b *Block) Last() *Ins {
	if len(b.Ins) == 0 {
		return nil
	}
	return &b.Ins[len(b.Ins)-1]
}

// Length returns how many instructions of the program a block executes, with those of the functions
// and blocks that have become part of it.
func (p *Program) Length(b *Block) (n int32) {
	from := p.Index[b.Start]
	for i := range b.Ins {
		switch in := &b.Ins[i]; in.Op {
		case Enter, Leave, Hop:
			n += p.Index[in.Slot] + 1 - from
			from = p.Index[in.Imm]
		}
	}
	return n + p.Index[b.End] - from
}

// Counter is what counts the trips of a loop: it goes on while, after a trip, Reg is as Cond says beside the limit.
type Counter struct {
	Reg, Limit Reg        // if there is no Limit, it is LimitAt
	LimitAt    int32      // extended with its sign
	Wide       bool       // they are compared on 64 bits
	Cond       asm.JumpOp // JNE, or less where Step is more than 0, or greater where it is less
	Step       int32      // what a trip adds to Reg
	Copies     int32      // that are made of the loop, the last of which alone looks whether its trip is the last
}

// Aligned reports whether no copy but the last is the last trip if the distance from the limit is a multiple of
// all that the copies add, which it then is behind them too.
func (c *Counter) Aligned() bool {
	all := max(c.Step, -c.Step) * c.Copies
	return c.Cond == asm.JNE && all&(all-1) == 0
}

// Func is a function: what begins at a block that is called, or at the entry.
type Func struct {
	Block    int32 // that it begins with
	Exposed  bool  // others can have a pointer into its frame
	Callback bool
	Saved    Regs // of r6 to r9, those that it writes
	Calls    bool // calls others, or a helper that may
	// Frameless says that nobody can tell whether it has a frame of its own: it uses no
	// stack, and calls nothing that looks for its caller's frame.
	Frameless bool
	Depth     int // frames that a call of it takes, itself included; prog.MaxFrames if there is no bound
}

// Program is a program in blocks, in the order of their slots.
type Program struct {
	P       *prog.Program
	Blocks  []Block
	Funcs   []Func
	FuncOf  map[int32]int32   // by block that a function begins with: index in Funcs
	Index   []int32           // by slot: how many instructions come before
	Helpers []asm.BuiltinFunc // that it calls

	arguments []Regs      // by index in Helpers, see argumentsOf
	Cells     []mem.Cells // that it looks values up in
	Counters  []Counter   // by Disp of Guard and Repeat, less one; 0 if trips are not counted
	Shared    bool        // functions have blocks in common
	// HasCallbacks says that helpers may call functions of the program.
	HasCallbacks bool
	Popcount     bool // the machine has an instruction for it
	UsesStack    bool // some instruction reads r10
	MayGoto      bool // some instruction is may_goto
	Checks       bool // some access is checked
	Verified     bool // nothing reads r1 to r5 behind a call, nor what is not written
	UsesPacket   bool // some instruction is LD_ABS or LD_IND
	// ReadsAnywhere says that some helper may read stack of which the proof does not say that it is read.
	ReadsAnywhere bool
	Without       Pass // passes that are left out

	flows     []flow          // by block, until blocks are unrolled
	constants constancy       // as optimiseBlocks has found them
	parts     []registerParts // the same; nil if nothing is known
	loops     bool            // some jump goes backwards
	masks     bool            // some operation leaves the low byte of a number, or two
	memory    *memory
}

// Regs is a set of registers.
type Regs uint16

// Sets of registers by their role.
const (
	AllRegs   Regs = 1<<asm.NumRegisters - 1
	ArgRegs   Regs = 1<<asm.R1 | 1<<asm.R2 | 1<<asm.R3 | 1<<asm.R4 | 1<<asm.R5
	SavedRegs Regs = 1<<asm.R6 | 1<<asm.R7 | 1<<asm.R8 | 1<<asm.R9
	Result    Regs = 1 << asm.R0
)

// Has reports whether r is in the set.
func (s Regs) Has(r Reg) bool { return s&bit(r) != 0 }

// first returns the lowest register of the set, which is not empty.
func (s Regs) first() Reg { return Reg(bits.TrailingZeros16(uint16(s))) }

// bit returns the set of r, or of nothing for None.
func bit(r Reg) Regs { return Regs(uint32(1) << (uint8(r) & 31)) } // that of None would be bit 31

// Reads returns the registers that in reads as operands.
func (in *Ins) Reads() Regs { return bit(in.A) | bit(in.B) | bit(in.Index) }

// writes returns the registers that in changes, beside what a call or an atomic operation does.
func (in *Ins) writes() Regs {
	switch {
	case in.Op == Exchange:
		return bit(in.Dst) | bit(in.B)
	case in.shifts() && in.Scale != 0: // which leaves the count in it
		return bit(in.Dst) | bit(Count)
	}
	return bit(in.Dst)
}

// isMem reports whether in accesses memory at A + Index*Scale + Disp.
func (in *Ins) isMem() bool {
	switch in.Op {
	case Load, Store, Atomic, LoadAcquire, StoreRelease:
		return true
	}
	return false
}

// shifts reports whether in shifts, other than by a constant as an operand.
func (in *Ins) shifts() bool {
	return in.Op >= LSh && in.Op <= ArSh && in.B != None
}

// pure reports whether in does nothing but write Dst.
func (in *Ins) pure() bool {
	switch in.Op {
	case LoadCtx, Lookup, CPUID:
		return true
	case Load:
		return !in.Check
	}
	return in.Op >= Mov && in.Op <= Lea
}

// Jumps reports whether in may go to Target, within the function.
func (in *Ins) Jumps() bool { return in.Op == Jump || in.Op == Goto || in.Op == MayGoto }

// Ends reports whether nothing follows in but what is jumped to.
func (in *Ins) Ends() bool { return in.Op == Goto || in.Op == Exit || in.Op == Fault }

// uses returns the registers that matter when in is reached, and those that it writes. For what
// an exit leaves behind see leaves.
func (p *Program) uses(in *Ins) (read, written Regs) {
	read, written = in.Reads(), bit(in.Dst)
	switch in.Op {
	case Helper:
		if p.Verified {
			written |= ArgRegs
		}
		return read | p.arguments[in.Imm], written | Result
	case Exit:
		return read, 0
	case Call:
		if p.Verified {
			return p.Blocks[in.Target].LiveIn&ArgRegs | bit(framePointer), Result | ArgRegs
		}
		return AllRegs, 0
	case LoadPacket, Fault:
		return AllRegs, 0
	case Atomic:
		if in.Imm == int64(asm.AtomicCmpXchg) {
			return read | Result, Result
		}
	}
	return read, written
}

// spoils returns the registers that a call changes, as far as the program can tell.
func (in *Ins) spoils() Regs {
	if in.Op == Helper || in.Op == Call || in.Op == LoadPacket {
		return ^SavedRegs
	}
	return 0
}

// constant returns the constant Imm as in reads it.
func (in *Ins) constant() int64 {
	if in.Wide {
		return in.Imm
	}
	return int64(uint32(in.Imm))
}

// leaves returns the registers that somebody may look at behind the exit of block b.
func (p *Program) leaves(b *Block) Regs {
	if len(p.Funcs) == 1 {
		return Result
	}
	left := Result
	if !p.Verified {
		left |= ArgRegs
	}
	if p.Shared || b.Func < 0 {
		return left
	}
	// A caller sees the registers that are not restored.
	return left | SavedRegs&^p.Funcs[b.Func].Saved
}
