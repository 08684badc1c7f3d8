// Package verifier says whether Linux 6.18 would run a program, and why not.
//
// [Verify] explores the paths of a program with abstract values in its registers and on
// its stack, as kernel/bpf/verifier.c does, and comes to the same verdict. What it has
// found is the [Proof], which engines rely on; what it refuses is an [*Error] with a stable
// [Code], the instruction, what is known of the register at fault and where that knowledge
// was lost.
//
// # Security
//
// A program that passes does not read or write a byte that it was not given, as long as
// what the [Env] says of maps, helpers and the context is true. Everything else about a
// program is hostile: bytes, types and sizes.
package verifier
