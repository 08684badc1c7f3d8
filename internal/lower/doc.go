// Package lower brings programs into the form that machine code is made from: basic
// blocks of instructions with three operands.
//
//	prog.Program, Proof ─ Build ─▶ Program ─ Run ─▶ Program ─▶ package jit
//
// The example shows a loop at each stage.
//
// # What stays as it is
//
// Registers are those of the program. Clang has already allocated them, well, for a machine with about as many as this
// one, and with what the program says in its registers wherever a block begins or ends, native code can be
// left there for Go, or for a copy of the block, without a table of what is where. Within a block a pass may keep
// other values in registers that nobody needs. Memory is accessed in the program's order.
//
// Each instruction keeps the slot of the one that it is made from, and blocks their first and last: package jit counts
// by them what the program has executed, exactly, whatever has become of it.
//
// # Build
//
// A block begins where something jumps to, and behind what jumps or leaves native code. What the
// proof says is used here: what is never reached is left out, jumps that always go one way are none, accesses that
// are proved need no check, fields of the context with pointers are loaded from where those are. Lookups in arrays and
// some small helpers become instructions, small functions part of the block that calls them.
// A block's flow (see flow.go) is the summary of it that walks over all blocks read: which registers matter where
// (liveness), which hold constants (constancy.go), or bytes and words (parts.go), which blocks are loops (loops.go). The number
// of such walks is bounded, so that compiling is linear in the size of the program.
//
// # Blocks
//
// optimiseBlocks rewrites a block on values (values.go): what each instruction computes is looked at once, in order, by the
// rules (rules.go), each of which knows one idiom and asks what kinds its operands are. Copies and constants vanish into
// those who read them. Then need.go drops what nothing depends on, and allocate.go gives each value a register: the one that the
// program wants it in at the end, if that is free. If registers do not suffice, the block stays as it was.
//
// # Loops
//
// unroll puts copies of small innermost loops in front of them. Copies do not look at the
// instruction budget: a guard does for all, and when it is too short, the loop runs as it was. Where trips are
// counted (counted.go), the guard looks whether the last is near, and the copies but the last do not. Those of a loop without
// branches become one block, which is rewritten again: what each trip adds is added once, products are
// taken out of the chain from trip to trip (reassociate.go, horner.go). Those of a loop that branches (trips.go) share what
// ends one trip and begins the next, add to the counter once, and have what is seldom come to behind the loop,
// where sink moves what is computed for that alone (sink.go).
//
// # Last
//
// align finds the loops that should begin at round addresses; Operands makes loads, and stores of what was loaded, operands
// of instructions, in each block when code is made of it. Both write what other passes do not read.
package lower
