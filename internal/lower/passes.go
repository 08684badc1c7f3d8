package lower

import (
	"iter"
	"math/bits"
)

// Pass is one of the steps that make programs faster, or a set of them. Programs compute the
// same without. Measurements leave some out, and so does the search for the one that makes a
// mistake.
type Pass uint32

// The passes, in the order in which a program meets them.
const (
	PassLookups     Pass = 1 << iota // array lookups and small helpers without a call
	PassCalls                        // small functions in the place of their calls
	PassNarrow                       // upper halves known to be zero across blocks
	PassBlocks                       // copies, constants and dead code vanish within a block
	PassExtensions                   // zero and sign extensions, 32-bit operations as 64-bit ones
	PassRotations                    // two shifts as a rotation
	PassStrength                     // multiplication and division by powers of two
	PassSums                         // additions of constants joined
	PassMulAdd                       // x*(2^k+-1) + y by shifts and additions
	PassPopcount                     // the usual count of bits as one instruction
	PassAddresses                    // base + index*scale + disp in one operand
	PassUnroll                       // small loops repeated
	PassDuplicate                    // short blocks of loops in place of jumps to them
	PassReassociate                  // sums of a loop's copies taken before they are added
	PassAlign                        // loops at round addresses
	passEnd
)

// passNames are by bit.
var passNames = [...]string{"lookups", "calls", "narrow", "blocks", "extensions", "rotations", "strength", "sums", "muladd", "popcount", "addresses",
	"unroll", "duplicate", "reassociate", "align"}

// Passes returns each pass with its name, in their order.
func Passes() iter.Seq2[Pass, string] {
	return func(yield func(Pass, string) bool) {
		for p := Pass(1); p < passEnd; p <<= 1 {
			if !yield(p, passNames[bits.TrailingZeros32(uint32(p))]) {
				return
			}
		}
	}
}

// does reports whether a pass is not left out.
func (p *Program) does(pass Pass) bool { return p.Without&pass == 0 }

// ops is a set of operations.
type ops uint64

func (s ops) has(op Op) bool { return s>>op&1 != 0 }

// The operations that the rules of an expression are about.
const (
	halves      ops = 1<<(Neg+1) - 1<<Add // have a form for 32 bits
	commutative ops = 1<<Add | 1<<Mul | 1<<And | 1<<Or | 1<<Xor
	joining     ops = 1<<Add | 1<<Or | 1<<Xor // two halves of a rotation
	widening    ops = 1<<Mov | 1<<And | 1<<Or | 1<<Xor | 1<<RSh
	scaling     ops = 1<<Mul | 1<<Div | 1<<Mod
)

// rewrite makes n simpler, with the same result, and reports whether it could. Rules without a pass
// bring operations into the form that the others look for.
func (o *optimiser) rewrite(n *node) bool {
	does, op := o.p.does, n.Op
	return commutative.has(op) && o.order(n) ||
		!n.Wide && halves.has(op) && does(PassExtensions) && o.strip(n) ||
		(op == Sub || op == And) && o.identity(n) ||
		(op == RSh || op == ArSh) && does(PassExtensions) && o.extension(n) ||
		joining.has(op) && does(PassRotations) && o.rotation(n) ||
		!n.Wide && widening.has(op) && does(PassExtensions) && o.widen(n) ||
		scaling.has(op) && does(PassStrength) && o.strength(n) ||
		op == Add && (does(PassSums) && o.sum(n) || does(PassMulAdd) && o.mulAdd(n)) ||
		op == RSh && does(PassPopcount) && o.popcount(n) ||
		o.b.Joined && joining.has(op) && does(PassReassociate) && o.reassociate(n)
}
