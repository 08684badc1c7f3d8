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
	PassConstants                    // constants that loops have in registers known in them
	PassParts                        // bytes and words that come from other blocks not masked
	PassBlocks                       // copies, constants and dead code vanish within a block
	PassExtensions                   // zero and sign extensions, 32-bit operations as 64-bit ones
	PassRotations                    // two shifts as a rotation
	PassStrength                     // multiplication and division by powers of two
	PassSums                         // additions of constants joined
	PassMulAdd                       // x*(2^k+-1) + y by shifts and additions
	PassPopcount                     // the usual count of bits as one instruction
	PassLowest                       // x & (x-1) for x ^ (x & -x)
	PassMerge                        // numbers loaded byte by byte loaded at once, fields copied to the frame together
	PassLea                          // shift and addition in one; products of small constants by such
	PassForward                      // what was stored into the frame not loaded again
	PassAddresses                    // base + index*scale + disp in one operand
	PassUnroll                       // small loops repeated
	PassSink                         // what copies compute for one way onward computed there
	PassReassociate                  // sums of a loop's copies taken before they are added
	PassOperands                     // loads, and stores of what was loaded, as operands
	PassAlign                        // loops at round addresses
	passEnd
)

// passNames are by bit.
var passNames = [...]string{"lookups", "calls", "constants", "parts", "blocks", "extensions", "rotations", "strength", "sums", "muladd", "popcount", "lowest",
	"merge", "lea", "forward", "addresses", "unroll", "sink", "reassociate", "operands", "align"}

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

// Run makes p faster, by all passes that are not left out but the last, [Program.Operands].
func Run(p *Program) {
	optimiseBlocks(p)
	unroll(p)
	optimiseJoined(p)
	sink(p)
	align(p)
}
